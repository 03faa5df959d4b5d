#!/bin/bash
# Formatting, file names, file sizes. Lists what is off and exits 1.
#   ops/check/format.sh         checks
#   ops/check/format.sh --fix   formats in place
set -u
cd "$(dirname "$0")/../.." || exit 1

# Tracked files where this is a repository (what is not committed yet included), else all.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard | while read -r f; do
            [ -f "$f" ] && echo "$f"
        done
    else
        find . -path ./build -prune -o -type f -print | sed 's|^\./||'
    fi
}

mapfile -t all < <(files | sort)
mapfile -t sources < <(printf '%s\n' "${all[@]}" | grep -E '\.(c|h|cc)$')
failed=0

if [ "${1:-}" = --fix ]; then
    clang-format -i "${sources[@]}"
    exit
fi

# One process a file is slow: groups of files on all processors.
unformatted=$(printf '%s\0' "${sources[@]}" |
    xargs -0 -P"$(nproc)" -n16 clang-format --dry-run -Werror 2>&1 |
    sed -n 's/^\([^:]*\):\([0-9]*\):.*clang-format-violations.*/\1/p' | sort | uniq -c)
if [ -n "$unformatted" ]; then
    echo "not formatted (places, file); ops/check/format.sh --fix does it:"
    echo "$unformatted"
    failed=1
fi

# A name says which file is meant, without its folder.
twice=$(printf '%s\n' "${all[@]}" | grep -v '^\.' | sed 's|.*/||' | grep -v '^main\.c$' | sort | uniq -d)
for name in $twice; do
    echo "file name used more than once:"
    printf '    %s\n' "${all[@]}" | grep -F "/$name" | grep -E "/$name\$"
    failed=1
done

for f in "${sources[@]}"; do
    lines=$(wc -l <"$f")
    if [ "$lines" -gt 900 ]; then
        echo "$f: $lines lines: more than 900, split it"
        failed=1
    fi
done

echo "format: ${#sources[@]} sources, ${#all[@]} files, $([ $failed = 0 ] && echo clean || echo offences)"
exit $failed
