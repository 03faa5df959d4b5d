#!/bin/bash
# The layering check must find what it is there for: one planted offence of each kind, each named
# with its line, and no false alarm on what only looks like one.
set -eu
check=$(realpath "$(dirname "$0")/../../ops/check/layering.py")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"

put() {
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}

echo "a clean tree passes"
put core/env/clock.c <<'EOF'
#include "core/base/err.h"
#include <time.h>
long now(void) { return time(0); }
EOF
put core/model/fine.c <<'EOF'
#include "core/kernels/kernels.h"
/* time(NULL), open("x") and SELECT * FROM t are only spoken of. */
// fopen("x")
static const char *help = "run time( and open( what you like";
struct reader { int (*read)(int); };
int read_all(struct reader *r) { return r->read(1) + (*r).read(2) + retime(3); }
EOF
put coordinator/store/jobs.c <<'EOF'
#include <sqlite3.h>
#include "core/env/clock.h"
static const char *claim = "UPDATE job SET state = 'held' RETURNING id";
EOF
put coordinator/main.c <<'EOF'
int main(void) { exit(0); }
EOF
"$check" . >out || { cat out; echo "false alarm"; exit 1; }

expected=()
# offence PATH LINE WORDS: the text on standard input must be found at that line, for that reason.
offence() {
    put "$1"
    expected+=("$1:$2: |$3")
}

offence core/base/up.c 1 'core/base must not include "core/env/clock.h"' <<<'#include "core/env/clock.h"'
offence core/kernels/up.c 2 'must not include "core/model/model.h"' <<<'/* x */
#include "core/model/model.h"'
offence core/model/side.c 1 'must not include "core/data/shard.h"' <<<'#include "core/data/shard.h"'
offence core/mixture/up.h 1 'must not include "core/protocol/spec.h"' <<<'#include "core/protocol/spec.h"'
offence core/client/side.c 1 'must not include "core/mixture/cost.h"' <<<'#include "core/mixture/cost.h"'
offence agent/across.c 1 'agent must not include "coordinator/service.h"' <<<'#include "coordinator/service.h"'
offence coordinator/api/across.c 1 'must not include "agent/loop.h"' <<<'#include "agent/loop.h"'
offence ops/cli/across.c 1 'must not include "coordinator/store/ops.h"' <<<'#include "coordinator/store/ops.h"'
offence coordinator/run/up.c 1 'must not include "coordinator/api/' <<<'#include "coordinator/api/http.h"'
offence coordinator/run/due.c 1 'must not include "core/env/clock.h"' <<<'#include "core/env/clock.h"'
offence core/data/bare.c 1 'without its folder' <<<'#include "shard.h"'
offence coordinator/lease/web.c 1 'may include <microhttpd.h>' <<<'#include <microhttpd.h>'
offence agent/net.c 1 'only core/client may include' <<<'#include <curl/curl.h>'
offence coordinator/api/db.c 1 'only coordinator/store may include' <<<'#include <sqlite3.h>'
offence ops/cli/hash.c 1 'may include <sodium.h>' <<<'#include <sodium.h>'
offence coordinator/api/sql.c 2 'contains SQL' <<<'
const char *q = "select" "SELECT id FROM job";'
offence agent/clock.c 3 'calls clock_gettime' <<<'void f(void)
{
    clock_gettime(0, 0);
}'
offence core/checkpoint/file.c 1 'calls fopen' <<<'int f(void) { return fopen("x", "r") != 0; }'
offence core/data/stream.cc 1 'ifstream' <<<'void f() { std::ifstream in("x"); }'
offence coordinator/lease/wait.c 1 'calls nanosleep' <<<'int f(void) { if (!nanosleep(0, 0)) return 1; }'
offence ops/cli/token.c 1 'calls getrandom' <<<'int f(void) { return (int)getrandom(0, 0, 0); }'
offence core/mixture/log.c 1 'core never prints' <<<'void f(void) { fprintf(0, "x"); }'
offence agent/leave.c 1 'only main exits' <<<'void f(void) { exit(1); }'

"$check" . >out && {
    echo "planted offences pass"
    exit 1
}
failures=0
for one in "${expected[@]}"; do
    place=${one%%|*} words=${one#*|}
    if found=$(grep -F "$place" out) && [[ $found == *"$words"* ]]; then
        echo "found: $found"
    else
        echo "not found: $place$words"
        failures=1
    fi
done
if ! grep -q ", ${#expected[@]} offences$" out; then
    echo "false alarm besides the ${#expected[@]} planted:"
    cat out
    failures=1
fi
mkdir empty
if "$check" empty >out; then
    echo "a tree without sources must not pass"
    failures=1
fi
exit $failures
