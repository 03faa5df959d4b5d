/* Blobs up and down, each going on where an earlier try ended. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/client/client.h"
#include "core/client/http_reply.h"
#include "core/env/file.h"
#include "core/env/http.h"
#include "core/env/process.h"

#define BLOB_ASK_FIRST (64u << 10) /* below this a whole upload costs no more than the question */
#define BLOB_STALL_S 60
/* Before it goes on with an upload, the other side may read again what it has, silent meanwhile:
 * bytes a second, of a slow disk. */
#define BLOB_REREAD_RATE 30000000u
#define BLOB_OFFSET_TRIES 4 /* 409s with another offset in a row: then something is broken */

struct transfer {
    struct client *client;
    struct reply reply;
    client_progress_fn *progress;
    void *progress_arg;
    uint64_t start, done, total;
    uint64_t *moved;
    /* up */
    const char *data;
    /* down */
    int fd;
    struct digest_state *digest;
    uint64_t skip; /* bytes of the answer that are on disk already (Range was ignored) */
    struct err *failure;
    int failed;
};

static int transfer_poll(void *arg)
{
    struct transfer *t = arg;
    if (env_stop_requested() && !client__lingers(t->client)) {
        return -1; /* the time to deliver what is held is over */
    }
    return t->progress ? t->progress(t->progress_arg, t->done, t->total) : 0;
}

static void transfer_header(void *arg, const char *name, const char *value)
{
    reply_header(&((struct transfer *)arg)->reply, name, value);
}

#define BLOB_PATH (64 + DIGEST_HEX)

static void blob_path(const struct digest *d, char path[32 + DIGEST_HEX])
{
    char hex[DIGEST_HEX + 1];
    snprintf(path, 32 + DIGEST_HEX, "/v1/blobs/%s", digest_to_hex(d, hex));
}

static long put_read(void *arg, char *out, size_t cap)
{
    struct transfer *t = arg;
    uint64_t left = t->total - t->done;
    size_t n = left < cap ? (size_t)left : cap;
    memcpy(out, t->data + t->done, n);
    t->done += n;
    *t->moved += n;
    return transfer_poll(t) ? -1 : (long)n;
}

static int put_rewind(void *arg)
{
    struct transfer *t = arg;
    t->done = t->start;
    return 0;
}

static int put_write(void *arg, int status, const char *data, size_t len)
{
    (void)status;
    return reply_take(&((struct transfer *)arg)->reply, data, len);
}

/* Where the server stands. All bytes may be there and the blob not whole yet: where the connection
 * broke just before its end, nobody has compared them with the digest. */
static int put_ask(struct client *c, const char *path, struct transfer *t, uint64_t *offset,
                   bool *whole, struct err *e)
{
    int status = 0;
    reply_init(&t->reply);
    struct env_http_request r = {
        .method = "HEAD",
        .path = path,
        .on_header = transfer_header,
        .poll = transfer_poll,
        .arg = t,
        .through_stop = client__lingers(c),
    };
    int rc = env_http_exchange(c->http, &r, &status, e);
    if (!rc && status == 404 && t->reply.versioned) {
        *offset = t->reply.has_offset && t->reply.offset <= t->total ? t->reply.offset : 0;
    } else {
        rc = client__check(c, &t->reply, status, rc, e);
        *whole = rc == 0;
    }
    reply_free(&t->reply);
    return rc;
}

/* Sends the bytes from *offset on. 1 where the server wants another offset, now in *offset. */
static int put_send(struct client *c, const char *path, struct transfer *t, uint64_t *offset,
                    struct err *e)
{
    char length[64], from[64];
    snprintf(length, sizeof length, "Upload-Length: %" PRIu64, t->total);
    snprintf(from, sizeof from, "Upload-Offset: %" PRIu64, *offset);
    const char *const headers[] = {"Content-Type: application/octet-stream", length, from, NULL};
    int status = 0;
    reply_init(&t->reply);
    t->start = t->done = *offset;
    struct env_http_request r = {
        .method = "PUT",
        .path = path,
        .headers = headers,
        .body_size = t->total - *offset,
        .read_body = put_read,
        .rewind_body = put_rewind,
        .write_body = put_write,
        .on_header = transfer_header,
        .poll = transfer_poll,
        .arg = t,
        .through_stop = client__lingers(c),
        .stall_s = BLOB_STALL_S + (long)(*offset / BLOB_REREAD_RATE),
    };
    int rc = env_http_exchange(c->http, &r, &status, e);
    rc = client__check(c, &t->reply, status, rc, e);
    if (rc && status == 409 && t->reply.has_offset && t->reply.offset <= t->total &&
        t->reply.offset != *offset) {
        *offset = t->reply.offset;
        rc = 1;
    }
    reply_free(&t->reply);
    return rc;
}

void client_set_job(struct client *c, uint64_t job)
{
    c->job = job;
}

int client_blob_put(struct client *c, const struct digest *d, const char *path, uint64_t size,
                    client_progress_fn *progress, void *arg, uint64_t *moved, struct err *e)
{
    char url[BLOB_PATH];
    blob_path(d, url);
    if (c->job) {
        snprintf(url + strlen(url), sizeof url - strlen(url), "?job=%" PRIu64, c->job);
    }
    struct env_map map;
    int rc = env_file_map(path, &map, e);
    if (rc) {
        return rc;
    }
    if (map.size != size) {
        env_file_unmap(&map);
        return err_set(e, ERR_INVALID, "'%s' has %zu bytes, %" PRIu64 " were announced", path,
                       map.size, size);
    }
    struct transfer t = {.client = c,
                         .progress = progress,
                         .progress_arg = arg,
                         .total = size,
                         .moved = moved,
                         .data = map.data};
    uint64_t offset = 0;
    bool whole = false;
    if (size > BLOB_ASK_FIRST) {
        rc = put_ask(c, url, &t, &offset, &whole, e);
    }
    for (int i = 0; !rc && !whole; i++) {
        rc = put_send(c, url, &t, &offset, e);
        if (rc != 1) {
            break;
        }
        rc = i + 1 < BLOB_OFFSET_TRIES
                 ? 0
                 : err_set(e, ERR_PROTOCOL, "%s wants ever other offsets of an upload", c->url);
    }
    env_file_unmap(&map);
    return rc;
}

/* --- down ---------------------------------------------------------------------------------------
 */

static int get_write(void *arg, int status, const char *data, size_t len)
{
    struct transfer *t = arg;
    if (status != 200 && status != 206) {
        return reply_take(&t->reply, data, len);
    }
    *t->moved += len;
    if (status == 200 && t->skip > 0) {
        size_t n = t->skip < len ? (size_t)t->skip : len;
        t->skip -= n;
        data += n;
        len -= n;
    }
    if (len > 0) {
        digest_update(t->digest, data, len);
        t->failed = env_file_write_all(t->fd, data, len, t->failure);
        t->done += len;
        t->total = t->reply.total;
    }
    return t->failed || transfer_poll(t) ? -1 : 0;
}

/* Hashes what earlier goes left in the part. */
static int get_hash_part(const char *part, struct digest_state *s, uint64_t *have, struct err *e)
{
    struct env_map map;
    int rc = env_file_map(part, &map, e);
    if (rc) {
        return rc;
    }
    if (map.size > 0) {
        digest_update(s, map.data, map.size);
    }
    *have = map.size;
    env_file_unmap(&map);
    return 0;
}

static int get_exchange(struct client *c, const char *url, uint64_t have, struct transfer *t,
                        struct err *e)
{
    char range[64];
    snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-", have);
    const char *const headers[] = {have > 0 ? range : NULL, NULL};
    int status = 0;
    reply_init(&t->reply);
    struct env_http_request r = {
        .method = "GET",
        .path = url,
        .headers = headers,
        .write_body = get_write,
        .on_header = transfer_header,
        .poll = transfer_poll,
        .arg = t,
        .through_stop = client__lingers(c),
    };
    int rc = env_http_exchange(c->http, &r, &status, e);
    if (t->failed) {
        rc = t->failed;
    } else if (!rc && status == 416 && have > 0) {
        rc = 0; /* nothing after what is there: the digest tells whether it is the blob */
    } else {
        rc = client__check(c, &t->reply, status, rc, e);
    }
    reply_free(&t->reply);
    return rc;
}

/* Downloads into the part, which is open for appending, and closes it durable. */
static int get_into_part(struct client *c, const struct digest *d, const char *part, int fd,
                         struct transfer *t, struct err *e)
{
    char url[32 + DIGEST_HEX];
    struct digest_state s;
    struct digest got;
    uint64_t have = 0;
    blob_path(d, url);
    digest_init(&s);
    int rc = get_hash_part(part, &s, &have, e);
    if (!rc) {
        t->done = t->skip = have;
        t->fd = fd;
        t->digest = &s;
        t->failure = e;
        rc = get_exchange(c, url, have, t, e);
    }
    if (rc) {
        return rc;
    }
    digest_final(&s, &got);
    if (!digest_equal(&got, d)) {
        return err_set(e, ERR_DIGEST, "what %s sent for blob %s has another digest", c->url,
                       url + strlen("/v1/blobs/"));
    }
    return env_file_sync(fd, e);
}

int client_blob_get(struct client *c, const struct digest *d, const char *path,
                    client_progress_fn *progress, void *arg, uint64_t *moved, struct err *e)
{
    size_t cap = strlen(path) + sizeof ".part";
    char *part = malloc(cap);
    if (!part) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    }
    snprintf(part, cap, "%s.part", path);
    int fd = -1;
    int rc = env_file_open_append(part, 0600, &fd, e);
    if (!rc) {
        struct transfer t = {
            .client = c, .progress = progress, .progress_arg = arg, .moved = moved};
        rc = get_into_part(c, d, part, fd, &t, e);
        env_file_close(fd);
        if (rc == ERR_DIGEST || rc == ERR_NOT_FOUND) {
            struct err ignored = {0};
            (void)!env_file_remove(part, &ignored); /* worth nothing; the error says why */
        }
    }
    if (!rc) {
        rc = env_file_rename(part, path, e);
    }
    free(part);
    return rc;
}
