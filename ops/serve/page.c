/* The page to try a mixture, carried in the program as it is. */
#include "ops/serve/serve_http.h"

#define FILE_(name, path)                                                                          \
    __asm__(".pushsection .rodata\n.balign 16\n.globl page_" #name "\npage_" #name                 \
            ":\n.incbin \"" path "\"\n.globl page_end_" #name "\npage_end_" #name                  \
            ":\n.popsection\n");                                                                   \
    extern const char page_##name[], page_end_##name[];

FILE_(html, "ops/serve/page/try.html")
FILE_(css, "ops/serve/page/try.css")
FILE_(js, "ops/serve/page/try.js")

const struct page_file page_files[] = {
    {"/", "text/html; charset=utf-8", page_html, page_end_html},
    {"/try.css", "text/css; charset=utf-8", page_css, page_end_css},
    {"/try.js", "text/javascript; charset=utf-8", page_js, page_end_js},
    {NULL, NULL, NULL, NULL},
};
