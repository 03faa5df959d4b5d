#include <stdio.h>
#include "core/client/client.h"
#include "core/client/http_reply.h"
#include "core/env/http.h"

int client_certificate(struct client *c, struct client_certificate *out, struct err *e)
{
    struct env_http_certificate shown;
    int rc = env_http_certificate(c->http, &shown, e);
    if (rc) {
        return rc;
    }
    out->trusted = shown.trusted;
    snprintf(out->subject, sizeof out->subject, "%s", shown.subject);
    snprintf(out->issuer, sizeof out->issuer, "%s", shown.issuer);
    out->from_ms = shown.from_ms;
    out->until_ms = shown.until_ms;
    return 0;
}
