/* Code and styles for anybody who reaches the coordinator: they hold no data, and contact no host
 * but this one, which the browser is told to enforce. */
#include "coordinator/api/web_pages.h"

#include <string.h>
#include "coordinator/api/access.h"
#include "coordinator/api/problem.h"
#include "coordinator/web/web.h"

static const struct api_header guards[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-cache"}, /* kept, and asked for anew by its tag */
};

static const struct web_file *find(const char *path)
{
    static const char folder[] = "/assets/";
    const char *name = strcmp(path, "/") == 0                          ? "index.html"
                       : strncmp(path, folder, sizeof folder - 1) == 0 ? path + sizeof folder - 1
                                                                       : NULL;

    for (const struct web_file *f = web_files; name && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

enum api_step pages_serve(struct exchange *x)
{
    const struct api_request *r = &x->public.request;
    const struct web_file *f = find(r->path);

    if (!f)
        return API_BODY;
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        exchange_fail(x, 405, ERR_INVALID, "%.100s has no %.20s, only GET, HEAD", r->path,
                      r->method);
        reply_add_header(&x->public.reply, "Allow", "GET, HEAD");
        return API_REPLY;
    }
    if (access_check_host(x) == API_REPLY)
        return API_REPLY;
    bool known = r->if_none_match && strstr(r->if_none_match, f->tag);
    x->public.reply = (struct api_reply){.status = known ? 304 : 200,
                                         .type = known ? NULL : f->type,
                                         .body = known ? NULL : f->data,
                                         .len = known ? 0 : (size_t)(f->end - f->data)};
    for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++)
        reply_add_header(&x->public.reply, guards[i].name, guards[i].value);
    reply_add_header(&x->public.reply, "ETag", f->tag);
    return API_REPLY;
}
