# make deb: Debian packages in build/deb, from ops/deploy/debian and what make install installs.
VERSION    := $(shell sed -n 's/^\#define TACIT_VERSION "\(.*\)"/\1/p' core/version.h)
DEB_DATE    = $(shell date -u -R -d "$$(sed -n 's/^\#define TACIT_DATE "\([0-9-]*\)".*/\1/p' core/version.h)")
# Set by the test of upgrades: a version that comes after this one.
DEB_SUFFIX ?=
DEB_TREE    = $(BUILD)/deb/tacit-$(VERSION)

.PHONY: deb deb-test deb-build walk
deb: ## Debian packages tacit, tacitd, tacit-agent in build/deb; lintian
	@ops/deps.sh build deb
	@+$(MAKE) --no-print-directory $(INNER_J) deb-build
	@cd $(BUILD)/deb && lintian --fail-on=error,warning,info --no-tag-display-limit *.changes && ls *.deb

# Built where the programs are already: packing takes seconds.
deb-build: all $(BUILD)/man/made
	@rm -rf $(BUILD)/deb && mkdir -p $(DEB_TREE)
	@cp -r ops/deploy/debian $(DEB_TREE)/debian
	@printf 'tacit (%s%s) unstable; urgency=medium\n\n  * See the history of the source.\n\n -- %s  %s\n' \
	    '$(VERSION)' '$(DEB_SUFFIX)' 'The tacit maintainers <tacit@packages.debian.org>' '$(DEB_DATE)' \
	    > $(DEB_TREE)/debian/changelog
	@mkdir -p $(DEB_TREE)/debian/source && echo '3.0 (native)' > $(DEB_TREE)/debian/source/format
	@cd $(DEB_TREE) && MAKEFLAGS= TACIT_TOP=$(CURDIR) dpkg-buildpackage -b -us -uc > ../build.log 2>&1 || \
	    { tail -n 40 ../build.log; exit 1; }

deb-test: deb ## install, upgrade, remove and purge in a clean root (root; debootstrap)
	@ops/deploy/deb_test.sh $(BUILD)/deb

walk: deb ## a newcomer's walk in a clean root: TLS, an agent elsewhere, a run, page, upgrade (root)
	@ops/deploy/walk.sh $(BUILD)/deb
