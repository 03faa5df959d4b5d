#include "agent/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"

#define SMALL_FILE_MAX 4096

/* Reads the one line of a small file; "" where there is no file. One that can't be looked at is an
 * error: who took it for absent would join as another agent. */
static int read_line(const char *path, char *out, size_t cap, struct err *e)
{
    struct buf b;
    out[0] = 0;
    int rc = env_file_read(path, SMALL_FILE_MAX, &b, e);
    if (rc) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    size_t len = b.len;
    while (len > 0 && (b.data[len - 1] == '\n' || b.data[len - 1] == '\r')) {
        len--;
    }
    if (len < cap) {
        memcpy(out, b.len ? b.data : "", len);
        out[len] = 0;
    } else {
        rc = err_set(e, ERR_FORMAT, "'%s' is damaged: its line is too long", path);
    }
    buf_free(&b);
    return rc;
}

static int write_line(const char *path, const char *line, struct err *e)
{
    char text[SMALL_FILE_MAX];
    int n = snprintf(text, sizeof text, "%s\n", line);
    return env_file_write_atomic(path, text, (size_t)n, 0600, e);
}

static int load_hex(const char *path, struct identity *id, struct err *e)
{
    struct digest d;
    int rc = read_line(path, id->hex, sizeof id->hex, e);
    if (rc || id->hex[0] == 0) {
        if (!rc) {
            env_random(d.bytes, sizeof d.bytes);
            digest_to_hex(&d, id->hex);
            rc = write_line(path, id->hex, e);
        }
        return rc;
    }
    if (!digest_from_hex(&d, id->hex, strlen(id->hex))) {
        return err_set(
            e, ERR_FORMAT,
            "'%s' is damaged: it should hold 64 hexadecimal digits; remove it to join as "
            "a new agent",
            path);
    }
    return 0;
}

int identity_load(const char *work, struct identity *id, struct err *e)
{
    char *hex = env_path_join(work, "identity"), *token = env_path_join(work, "agent.token");
    int rc = hex && token ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc) {
        rc = load_hex(hex, id, e);
    }
    if (!rc) {
        rc = read_line(token, id->token, sizeof id->token, e);
    }
    free(hex);
    free(token);
    return rc;
}

int identity_keep_token(const char *work, struct identity *id, const char *token, struct err *e)
{
    char *path = env_path_join(work, "agent.token");
    if (!path) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    }
    int rc = strlen(token) < sizeof id->token
                 ? write_line(path, token, e)
                 : err_set(e, ERR_PROTOCOL, "the coordinator gave a token that is too long");
    if (!rc) {
        snprintf(id->token, sizeof id->token, "%s", token);
    }
    free(path);
    return rc;
}
