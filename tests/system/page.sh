#!/bin/bash
# The dashboard in a real browser, with a real coordinator and agents: a run from start to end, who
# may see and do what, a broken connection, many jobs and agents. tests/web has the parts; arguments
# pick some ("a run", "actions" …).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
command -v "${CHROMIUM:=/usr/bin/chromium}" >/dev/null || fail "there is no $CHROMIUM: ops/deps.sh test"
[ -d build/npm/test/node_modules/playwright-core ] || fail "playwright-core is missing: ops/deps.sh test"

coordinator_first
synthetic dataset
for name in larch maple oak; do agent $name; done
disown "$tacitd" # a part kills it, of which the shell need not speak
export BIN CHROMIUM PAGE_DIR=$dir TACITD_PID=$tacitd
# shellcheck disable=SC2086 # a script with arguments: make screenshots
node ${PAGE_SCRIPT:-tests/web/page.mjs} "$@" || fail "the page is not as it should be (above)"
