#!/bin/sh
# Turns the dashboard's files into C, so that the program carries its page with it: their bytes by
# the assembler's .incbin, and a table of names, types and digests.
# usage: embed_web.sh FILE… > web_files.c
# uPlot.iife.min.js is named uPlot.js: what a file is made of is no matter of its address.
set -eu
type_of() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.js) echo 'text/javascript; charset=utf-8' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.woff2) echo 'font/woff2' ;;
    *)
        echo "embed_web.sh: $1: of what type is it? Say it in ops/embed_web.sh" >&2
        exit 1
        ;;
    esac
}
echo '#include <stddef.h>'
echo '#include "coordinator/web/web.h"'
number=0
rows=
for file in "$@"; do
    name=$(basename "$file" | sed 's/\.iife//; s/\.min//')
    type=$(type_of "$name")
    tag=$(b2sum -l 128 "$file" | cut -d' ' -f1)
    cat <<C
__asm__(".pushsection .rodata\n.balign 16\n.globl web_$number\nweb_$number:\n.incbin \"$file\"\n"
        ".globl web_end_$number\nweb_end_$number:\n.popsection\n");
extern const char web_$number[], web_end_$number[];
C
    rows="$rows    {\"$name\", \"$type\", \"\\\\\"$tag\\\\\"\", web_$number, web_end_$number},
"
    number=$((number + 1))
done
echo 'const struct web_file web_files[] = {'
printf '%b' "$rows"
echo '    {NULL, NULL, NULL, NULL, NULL},'
echo '};'
