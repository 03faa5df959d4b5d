/* Blobs down and up, streamed: no more than a chunk of either is held.
 *
 * Down: one range a request (206, 416); several are answered with the whole, as RFC 9110 allows.
 * Up: PUT with Upload-Length (of the blob) and Upload-Offset (where the body starts); without both
 * the body is the blob. Bytes are durable chunk by chunk, so a break costs one chunk at most: HEAD
 * then answers 404 with the Upload-Offset to go on from. */
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/api/exchange.h"
#include "coordinator/api/problem.h"
#include "coordinator/run/reply.h"
#include "coordinator/store/ops.h"

/* Each holds a chunk: a gigabyte in all would be too much of a small machine's memory. */
#define UPLOADS_MAX 256

static unsigned long long ull(uint64_t n)
{
    return n;
}

static void add_number(struct exchange *x, const char *name, uint64_t n)
{
    reply_add_header(&x->public.reply, name, arena_printf(&x->arena, "%llu", ull(n)));
}

/* --- down ------------------------------------------------------------------------------------ */

enum range { RANGE_NONE, RANGE_OK, RANGE_OUTSIDE };

/* "bytes=3-7", "bytes=3-", "bytes=-5"; anything else is no range at all. */
static enum range range_read(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
    char from[24], to[24];
    uint64_t a = 0, b = UINT64_MAX;
    const char *dash;

    if (!text || strncmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    text += 6;
    dash = strchr(text, '-');
    if (!dash || dash - text >= (long)sizeof from || strlen(dash + 1) >= sizeof to)
        return RANGE_NONE;
    snprintf(from, sizeof from, "%.*s", (int)(dash - text), text);
    snprintf(to, sizeof to, "%s", dash + 1);
    if ((from[0] && !text_to_u64(from, &a)) || (to[0] && !text_to_u64(to, &b)) ||
        (!from[0] && !to[0]) || (from[0] && b < a))
        return RANGE_NONE;
    if (!from[0]) { /* the last b bytes */
        if (b == 0 || size == 0)
            return RANGE_OUTSIDE;
        *count = b < size ? b : size;
        *first = size - *count;
        return RANGE_OK;
    }
    if (a >= size)
        return RANGE_OUTSIDE;
    *first = a;
    *count = (b < size - 1 ? b : size - 1) - a + 1;
    return RANGE_OK;
}

static enum api_step down(struct exchange *x)
{
    struct blob_info info;
    char hex[DIGEST_HEX + 1];
    struct api_reply *r = &x->public.reply;
    uint64_t first = 0, count;

    /* Who asks by HEAD means to spare himself sending it. */
    bool head = strcmp(x->public.request.method, "HEAD") == 0;
    x->rc =
        (head ? blob_promise : blob_stat)(x->api->service->store, &x->match.digest, &info, &x->err);
    if (x->rc)
        return exchange_refuse(x, 0);
    if (!info.complete) {
        exchange_fail(x, 404, ERR_NOT_FOUND,
                      "blob %s is being uploaded: %llu of %llu bytes are here",
                      digest_to_hex(&x->match.digest, hex), ull(info.offset), ull(info.size));
        add_number(x, "Upload-Offset", info.offset);
        add_number(x, "Upload-Length", info.size);
        return API_REPLY;
    }
    count = info.size;
    enum range range = range_read(x->public.request.range, info.size, &first, &count);
    if (range == RANGE_OUTSIDE) {
        exchange_fail(x, 416, ERR_RANGE, "the range lies outside of the blob's %llu bytes",
                      ull(info.size));
        reply_add_header(r, "Content-Range",
                         arena_printf(&x->arena, "bytes */%llu", ull(info.size)));
        return API_REPLY;
    }
    *r = (struct api_reply){.status = range == RANGE_OK ? 206 : 200,
                            .type = "application/octet-stream",
                            .len = (size_t)count};
    if (range == RANGE_OK)
        reply_add_header(r, "Content-Range",
                         arena_printf(&x->arena, "bytes %llu-%llu/%llu", ull(first),
                                      ull(first + count - 1), ull(info.size)));
    reply_add_header(r, "Accept-Ranges", "bytes");
    /* Its name is its content: it never changes. */
    reply_add_header(r, "Cache-Control", "private, max-age=31536000, immutable");
    x->public.blob.digest = x->match.digest;
    x->public.blob.first = first;
    x->public.blob.count = count;
    return API_BLOB_GET;
}

/* --- up: opening ----------------------------------------------------------------------------- */

static bool upload_slot_take(struct exchange *x)
{
    struct api *a = x->api;

    x->began_ms = (uint64_t)env_wall_ms();
    atomic_store(&x->arrived, x->offset);
    env_mutex_lock(&a->mutex);
    bool free_slot = a->uploads < UPLOADS_MAX;
    a->uploads += free_slot;
    if (free_slot) {
        x->next = a->uploading;
        if (x->next)
            x->next->previous = x;
        a->uploading = x;
    }
    env_mutex_unlock(&a->mutex);
    return free_slot;
}

static void upload_slot_give(struct exchange *x)
{
    struct api *a = x->api;

    env_mutex_lock(&a->mutex);
    a->uploads--;
    *(x->previous ? &x->previous->next : &a->uploading) = x->next;
    if (x->next)
        x->next->previous = x->previous;
    x->previous = x->next = NULL;
    env_mutex_unlock(&a->mutex);
}

static void close_upload(struct exchange *x)
{
    blob_upload_close(x->upload);
    x->upload = NULL;
    upload_slot_give(x);
}

static enum api_step finished(struct exchange *x, int status)
{
    x->public.reply = (struct api_reply){.status = status, .close = x->public.reply.close};
    add_number(x, "Upload-Offset", x->size);
    return API_REPLY;
}

/* The reply of an upload that failed; what is durable of the blob goes with it. */
static enum api_step upload_refuse(struct exchange *x)
{
    struct blob_info info = {0};
    struct err ignored;

    if (x->rc == ERR_EXISTS)
        return finished(x, 200);
    exchange_refuse(x, 0);
    if (x->rc == ERR_CONFLICT) {
        if (blob_stat(x->api->service->store, &x->match.digest, &info, &ignored))
            info.offset = 0;
        add_number(x, "Upload-Offset", info.offset);
    }
    return API_REPLY;
}

static enum api_step open_upload(struct exchange *x)
{
    uint64_t durable;

    x->rc = blob_upload_open(x->api->service->store, &x->match.digest, x->size, x->offset,
                             &x->upload, &durable, &x->err);
    if (!x->rc)
        return API_BLOB_PUT;
    x->upload = NULL;
    upload_slot_give(x);
    return upload_refuse(x);
}

/* What the head says of sizes: the blob's, where the body starts, and how long it is. */
static enum api_step read_sizes(struct exchange *x)
{
    const struct api_request *r = &x->public.request;
    uint64_t body = 0;

    if (r->content_length && !text_to_u64(r->content_length, &body))
        return exchange_fail(x, 400, ERR_PROTOCOL, "Content-Length: not a whole number");
    if (!r->upload_length != !r->upload_offset)
        return exchange_fail(x, 400, ERR_PROTOCOL,
                             "Upload-Length and Upload-Offset go together: both, or none");
    if (!r->upload_length && r->transfer_encoding)
        return exchange_fail(x, 411, ERR_PROTOCOL,
                             "a chunked body needs Upload-Length and Upload-Offset");
    x->size = body;
    if (r->upload_length &&
        (!text_to_u64(r->upload_length, &x->size) || !text_to_u64(r->upload_offset, &x->offset)))
        return exchange_fail(x, 400, ERR_PROTOCOL,
                             "Upload-Length and Upload-Offset: not whole numbers");
    if (x->size > PROTOCOL_BLOB_MAX)
        return exchange_fail(x, 413, ERR_TOO_LARGE, "a blob has at most %llu bytes, not %llu",
                             ull(PROTOCOL_BLOB_MAX), ull(x->size));
    if (x->offset > x->size)
        return exchange_fail(x, 400, ERR_PROTOCOL,
                             "Upload-Offset %llu is beyond Upload-Length %llu", ull(x->offset),
                             ull(x->size));
    if (!r->transfer_encoding && body != x->size - x->offset)
        return exchange_fail(x, 400, ERR_PROTOCOL,
                             "the body has %llu bytes, but %llu are missing from offset %llu on",
                             ull(body), ull(x->size - x->offset), ull(x->offset));
    return API_BODY;
}

/* What a cancelled job has made is of no use to anybody. */
static enum api_step check_job(struct exchange *x)
{
    const char *job = x->public.request.query_job;
    struct store_conn *c;
    struct job_row row;
    uint64_t id;

    if (!job || x->call.caller != CALLER_AGENT)
        return API_BODY;
    if (!text_to_u64(job, &id))
        return exchange_fail(x, 400, ERR_INVALID, "job: not a whole number");
    x->rc = store_read_begin(x->api->service->store, &c, &x->err);
    if (x->rc)
        return exchange_refuse(x, 0);
    x->job = id;
    x->rc = op_job_get(c, id, &x->arena, &row, &x->err);
    store_read_end(x->api->service->store, c);
    if (x->rc)
        return exchange_refuse(x, 0);
    if (row.state == JOB_CANCELLED)
        return exchange_fail(x, 0, ERR_FENCED, "job %llu is cancelled: drop it and claim again",
                             ull(id));
    return API_BODY;
}

static enum api_step up(struct exchange *x)
{
    if (check_job(x) == API_REPLY)
        return API_REPLY;
    if (read_sizes(x) == API_REPLY)
        return API_REPLY;
    if (!upload_slot_take(x))
        return exchange_fail(x, 503, ERR_BUSY, "%d uploads are under way; try again later",
                             UPLOADS_MAX);
    return open_upload(x);
}

enum api_step transfer_begin(struct exchange *x)
{
    return strcmp(x->route->method, "PUT") == 0 ? up(x) : down(x);
}

/* --- up: bytes ------------------------------------------------------------------------------- */

static void flush_done(void *arg, int rc, const struct err *e)
{
    struct exchange *x = arg;

    x->rc = rc;
    if (rc)
        x->err = *e;
    exchange_resume(x);
}

static enum api_step make_room(struct exchange *x)
{
    if (!exchange_defer(x))
        return API_REPLY;
    blob_upload_make_room(x->upload, flush_done, x);
    return API_WAIT;
}

static enum api_step finish(struct exchange *x)
{
    if (!exchange_defer(x))
        return API_REPLY;
    x->whole = true;
    x->buffered = false;
    blob_upload_flush(x->upload, true, flush_done, x);
    return API_WAIT;
}

enum api_step api_put_take(struct api_exchange *public, const void *data, size_t len, size_t *taken)
{
    struct exchange *x = exchange_of(public);

    *taken = 0;
    x->state = EXCHANGE_NEW;
    if (x->rc)
        return upload_refuse(x);
    *taken = blob_upload_take(x->upload, data, len);
    x->buffered |= *taken > 0;
    atomic_store_explicit(&x->arrived, blob_upload_offset(x->upload), memory_order_relaxed);
    if (*taken == len)
        return API_MORE;
    if (blob_upload_offset(x->upload) == x->size)
        return exchange_fail(x, 400, ERR_PROTOCOL, "the body goes beyond the blob's %llu bytes",
                             ull(x->size));
    return make_room(x);
}

enum api_step api_put_end(struct api_exchange *public)
{
    struct exchange *x = exchange_of(public);

    x->state = EXCHANGE_NEW;
    if (x->rc)
        return upload_refuse(x);
    if (x->whole)
        return finished(x, 201);
    if (blob_upload_offset(x->upload) != x->size)
        return exchange_fail(x, 400, ERR_PROTOCOL, "the body ended after %llu of %llu bytes",
                             ull(blob_upload_offset(x->upload)), ull(x->size));
    return finish(x);
}

static void orphan_done(void *arg, int rc, const struct err *e)
{
    struct exchange *x = arg;

    (void)rc; /* nobody is left to tell; HEAD says what is durable */
    (void)e;
    close_upload(x);
    exchange_free(x);
}

bool transfer_break(struct exchange *x)
{
    if (!x->upload)
        return false;
    if (x->buffered) {
        blob_upload_flush(x->upload, false, orphan_done, x);
        return true;
    }
    close_upload(x);
    return false;
}

/* --- up: who is at it ------------------------------------------------------------------------- */

struct going {
    uint64_t agent;
    struct msg_transfer told;
};

static uint32_t copy_uploads(struct api *a, struct going *out)
{
    uint32_t count = 0;

    env_mutex_lock(&a->mutex);
    for (struct exchange *x = a->uploading; x && count < UPLOADS_MAX; x = x->next)
        out[count++] = (struct going){
            .agent = x->call.agent,
            .told = {.digest = x->match.digest,
                     .job = x->job,
                     .bytes = atomic_load_explicit(&x->arrived, memory_order_relaxed),
                     .total = x->size,
                     .began_at = x->began_ms}};
    env_mutex_unlock(&a->mutex);
    return count;
}

int transfers_list(struct call *c, const void *in, void *out, struct err *e)
{
    struct going *going = arena_alloc_array(c->arena, UPLOADS_MAX, sizeof *going);
    struct msg_transfer *list = arena_alloc_array(c->arena, UPLOADS_MAX, sizeof *list);

    (void)in;
    (void)out;
    if (!going || !list)
        return err_set(e, ERR_NO_MEMORY, "no memory for a list of transfers");
    uint32_t count = copy_uploads(c->service->api, going);
    for (uint32_t i = 0; i < count; i++) {
        list[i] = going[i].told;
        list[i].agent = reply_agent_name(c, going[i].agent);
    }
    return reply_array(c, &message_transfer, list, count, e);
}
