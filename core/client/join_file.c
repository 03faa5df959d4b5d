#include "core/client/join_file.h"

#include <stdio.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/client/client.h"
#include "core/env/file.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

/* The value of "key: value" at the beginning of a line; false where it is too long. */
static bool line_value(const char *text, const char *key, char *out, size_t size)
{
    size_t len = strlen(key);
    out[0] = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) != 0 || line[len] != ':') {
            continue;
        }
        line += len + 1;
        line += strspn(line, " \t");
        size_t n = strcspn(line, " \t\r\n");
        if (n >= size) {
            return false;
        }
        memcpy(out, line, n);
        out[n] = 0;
        return true;
    }
    return true;
}

int join_file_read(const char *path, struct join_file *out, struct err *e)
{
    struct buf b;
    *out = (struct join_file){.authority = false};
    int rc = env_file_read(path, JOIN_FILE_MAX, &b, e);
    if (rc) {
        return err_prefix(e, "join file");
    }
    const char *text = b.data ? b.data : "";
    bool fits = line_value(text, "url", out->url, sizeof out->url) &&
                line_value(text, "token", out->token, sizeof out->token);
    out->authority = strstr(text, BEGIN) != NULL;
    if (!fits || !out->url[0]) {
        rc = err_set(e, ERR_FORMAT,
                     "'%s' is no join file: it should have lines \"url: https://HOST:PORT\" and "
                     "\"token: …\"; `tacitd tls init` and `tacit invite --file` write such files",
                     path);
    } else {
        rc = client_url_check(out->url, e);
        if (rc) {
            err_prefix(e, "'%s'", path);
        }
    }
    buf_free(&b);
    return rc;
}

static int append_certificates(struct buf *out, const char *pem, struct err *e)
{
    int rc = 0;
    for (const char *from = strstr(pem, BEGIN); !rc && from; from = strstr(from, BEGIN)) {
        const char *end = strstr(from, END);
        if (!end) {
            return err_set(e, ERR_FORMAT, "a certificate among those to trust has no end");
        }
        end += strlen(END);
        rc = buf_printf(out, e, "%.*s\n", (int)(end - from), from);
        from = end;
    }
    return rc;
}

int join_file_write(const char *path, const char *about, const char *url, const char *token,
                    const char *certificates, struct err *e)
{
    struct buf b;
    buf_init(&b, JOIN_FILE_MAX);
    int rc = buf_printf(&b, e, "# %s\nurl: %s\ntoken: %s\n", about, url, token);
    if (!rc && certificates) {
        rc = append_certificates(&b, certificates, e);
    }
    if (!rc) {
        rc = env_file_write_atomic(path, b.data, b.len, 0600, e);
    }
    buf_free(&b);
    return rc;
}
