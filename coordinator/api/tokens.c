#include "coordinator/api/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/digest.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/run/events.h"
#include "coordinator/service.h"

#define TOKEN_FILE_MAX 512
#define TOKEN_CHARACTERS_MIN 16 /* shorter ones could be guessed */

static const struct {
    const char *name, *file;
    const char *rotated; /* what an event tells of it */
} kinds[TOKEN_KINDS] = {
    [TOKEN_ADMIN] = {"admin", "admin.token",
                     "the admin token of before, and sessions that it began, are good for nothing"},
    [TOKEN_JOIN] = {"join", "join.token", "the join token of before lets nobody in any more"},
    [TOKEN_VIEWER] = {"viewer", "viewer.token",
                      "the viewer token of before, and sessions that it began, show nothing more"},
};

static int token_read(const char *path, char *token, struct err *e)
{
    struct buf b;
    int rc = env_file_read(path, TOKEN_FILE_MAX, &b, e);

    if (rc)
        return rc;
    size_t len = b.len;
    while (len > 0 && strchr("\r\n \t", b.data[len - 1]))
        len--;
    for (size_t i = 0; i < len; i++)
        if (b.data[i] <= ' ' || b.data[i] > '~')
            len = 0;
    if (len < TOKEN_CHARACTERS_MIN || len > PROTOCOL_TOKEN_MAX) {
        rc =
            err_set(e, ERR_FORMAT,
                    "%s holds no token (one line of %d to %d printable characters); remove it, and "
                    "a new one is made",
                    path, TOKEN_CHARACTERS_MIN, PROTOCOL_TOKEN_MAX);
    } else {
        memcpy(token, b.data, len);
        token[len] = 0;
    }
    buf_free(&b);
    return rc;
}

static int token_make(const char *path, char *token, struct err *e)
{
    struct digest random;
    char line[DIGEST_HEX + 2];

    env_random(random.bytes, sizeof random.bytes);
    digest_to_hex(&random, token);
    snprintf(line, sizeof line, "%s\n", token);
    return env_file_write_atomic(path, line, strlen(line), 0600, e);
}

static int token_open(const char *dir, int kind, char *token, struct err *e)
{
    char *path = env_path_join(dir, kinds[kind].file);
    int rc;

    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a token");
    rc = token_read(path, token, e);
    if (rc == ERR_NOT_FOUND) /* for sure: a new one locks out whoever has the old one */
        rc = token_make(path, token, e);
    free(path);
    return rc;
}

int tokens_open(const char *dir, struct tokens *out, struct err *e)
{
    int rc = token_open(dir, TOKEN_ADMIN, out->admin, e);

    if (!rc)
        rc = token_open(dir, TOKEN_JOIN, out->join, e);
    return rc ? rc : token_open(dir, TOKEN_VIEWER, out->viewer, e);
}

int tokens_renew(const char *dir, int kind, char *token, struct err *e)
{
    char *path = env_path_join(dir, kinds[kind].file);
    int rc = path ? token_make(path, token, e) : err_set(e, ERR_NO_MEMORY, "no memory for a token");

    free(path);
    return rc;
}

static int tell_rotated(struct store_conn *conn, void *arg, struct err *e)
{
    struct call c = *(const struct call *)arg;

    c.conn = conn;
    return event_tell(&c, &(struct event){.kind = "token.rotated"}, e, "%s", kinds[c.id].rotated);
}

int tokens_rotate(struct call *c, const void *in, void *out, struct err *e)
{
    struct msg_token *m = out;
    struct service *s = c->service;
    char *token = arena_alloc(c->arena, PROTOCOL_TOKEN_MAX + 1);

    (void)in;
    if (!token)
        return err_set(e, ERR_NO_MEMORY, "no memory for a token");
    for (c->id = 0; c->id < TOKEN_KINDS && strcmp(kinds[c->id].name, c->name) != 0; c->id++)
        ;
    if (c->id == TOKEN_KINDS)
        return err_set(e, ERR_NOT_FOUND, "there is no token \"%s\": admin, join and viewer are",
                       c->name);
    m->token = token;
    int rc = s->rotate_token(s->rotate_token_arg, (int)c->id, token, e);
    return rc ? rc : store_write_wait(s->store, tell_rotated, c, e);
}
