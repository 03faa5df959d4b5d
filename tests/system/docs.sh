#!/bin/bash
# What the documents tell people to type, typed: blocks after "<!-- run -->" run in one shell a page,
# in a folder of their own; each line of a block after "<!-- prints -->" must be in what the block
# before it printed ("…" stands for anything, and numbers may be others). And the reference of specs
# must be what the program says.
#   docs.sh [PAGE…]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh
[ -x "$BIN/tacitd" ] || {
    echo "$BIN/tacitd is not built"
    exit 77
}
export PATH=$PWD/$BIN:$PATH
unset TACIT_URL TACIT_TOKEN_FILE TACIT_CA XDG_CONFIG_HOME

ops/docs/spec.sh >"$dir/spec.md"
diff "$dir/spec.md" ops/docs/spec.md || fail "ops/docs/spec.md is old: ops/docs/spec.sh > ops/docs/spec.md"

pages=("$@")
[ $# = 0 ] && mapfile -t pages < <(grep -l '^<!-- run -->' README.md ops/docs/*.md)
for page in "${pages[@]}"; do
    port=$(service_port)
    python3 tests/system/docs.py "$page" "$dir/$(basename "$page")" "$port" || fail "$page"
    echo "$page: as it says"
done

# Links between the documents lead somewhere.
python3 tests/system/docs.py --links README.md ops/docs/*.md || fail "links"
