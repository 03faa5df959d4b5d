# make install: programs, manual pages, completions, systemd units, documents. Pages and completions
# are printed by the programs themselves.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=
BINDIR      = $(PREFIX)/bin
MANDIR      = $(PREFIX)/share/man
DOCDIR      = $(PREFIX)/share/doc/tacit
UNITDIR     = $(PREFIX)/lib/systemd/system
ZSHDIR      = $(PREFIX)/share/zsh/site-functions
INSTALL    ?= install

.PHONY: install uninstall man
man: $(BUILD)/man/made ## manual pages in build/man

$(BUILD)/man/made: $(PROGRAMS)
	@mkdir -p $(@D)
	@set -e; for p in $$($(BUILD)/bin/tacit man); do $(BUILD)/bin/tacit man $$p > $(@D)/$$p; done
	@$(BUILD)/bin/tacitd --manual > $(@D)/tacitd.8
	@$(BUILD)/bin/tacit-agent --manual > $(@D)/tacit-agent.1
	@touch $@

install: $(PROGRAMS) $(BUILD)/man/made ## into PREFIX=/usr/local (DESTDIR=… for packages)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(MANDIR)/man1 $(MANDIR)/man8 $(DOCDIR)/examples \
	    $(UNITDIR) $(ZSHDIR) $(PREFIX)/lib/sysusers.d $(SYSCONFDIR)/tacit $(SYSCONFDIR)/default \
	    $(PREFIX)/share/bash-completion/completions $(PREFIX)/share/fish/vendor_completions.d)
	@$(INSTALL) -m 755 $(PROGRAMS) $(DESTDIR)$(BINDIR)
	@$(INSTALL) -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(MANDIR)/man1
	@$(INSTALL) -m 644 $(BUILD)/man/*.8 $(DESTDIR)$(MANDIR)/man8
	@$(BUILD)/bin/tacit completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/tacit
	@$(BUILD)/bin/tacit completion zsh > $(DESTDIR)$(ZSHDIR)/_tacit
	@$(BUILD)/bin/tacit completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/tacit.fish
	@for u in tacitd tacit-agent; do \
	    sed 's|@bindir@|$(BINDIR)|' ops/deploy/$$u.service > $(DESTDIR)$(UNITDIR)/$$u.service || exit 1; done
	@$(INSTALL) -m 644 ops/deploy/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/tacit.conf
	@[ -e $(DESTDIR)$(SYSCONFDIR)/tacit/agent.ini ] || \
	    $(INSTALL) -m 644 ops/deploy/agent.ini $(DESTDIR)$(SYSCONFDIR)/tacit/agent.ini
	@[ -e $(DESTDIR)$(SYSCONFDIR)/default/tacitd ] || \
	    $(INSTALL) -m 644 ops/deploy/tacitd.default $(DESTDIR)$(SYSCONFDIR)/default/tacitd
	@$(INSTALL) -m 644 README.md LICENSE $(wildcard ops/docs/*.md) $(DESTDIR)$(DOCDIR)
	@$(INSTALL) -d $(DESTDIR)$(DOCDIR)/img
	@$(INSTALL) -m 644 $(wildcard ops/docs/img/*.png) $(DESTDIR)$(DOCDIR)/img
	@$(INSTALL) -m 644 ops/deploy/alerts.yml ops/deploy/prometheus.yml ops/deploy/tacit-agent.slurm \
	    $(DESTDIR)$(DOCDIR)/examples
	@echo "Installed in $(DESTDIR)$(PREFIX)."

uninstall: ## takes away what install put there; configuration and data stay
	@cd $(DESTDIR)$(PREFIX) && rm -f bin/tacit bin/tacitd bin/tacit-agent \
	    share/man/man1/tacit.1 share/man/man1/tacit-*.1 share/man/man8/tacitd.8 \
	    share/bash-completion/completions/tacit share/fish/vendor_completions.d/tacit.fish \
	    lib/systemd/system/tacitd.service lib/systemd/system/tacit-agent.service \
	    lib/sysusers.d/tacit.conf && rm -rf share/doc/tacit && rm -f $(DESTDIR)$(ZSHDIR)/_tacit
