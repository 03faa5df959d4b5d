/* Blobs against their names: what a disk or a hand has changed in the store is found by reading it.
 * A request reads for a few seconds and says where it stopped, so that neither a request nor a
 * thread is held up for as long as a whole run's blobs take. */
#include <inttypes.h>
#include <stdlib.h>
#include "core/env/clock.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/runs.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"

#define READ_BYTES (1u << 20)
#define READ_MS 3000
#define JOBS_PAGE 64
#define ARENA_MAX (16u << 20)

struct checking {
    struct service *service;
    struct arena *arena; /* of the answer */
    struct arena scratch;
    struct run_row run;
    struct msg_checked *out;
    uint32_t capacity;
    int64_t end_ms;
    uint8_t *buffer;
};

static bool time_is_up(const struct checking *k)
{
    return env_monotonic_ms() >= k->end_ms;
}

static struct msg_bad_blob *add_bad(struct checking *k, struct err *e)
{
    struct msg_checked *o = k->out;
    if (o->bad_count == k->capacity) {
        uint32_t capacity = k->capacity ? 2 * k->capacity : 8;
        struct msg_bad_blob *grown = arena_alloc_array(k->arena, capacity, sizeof *grown);
        if (!grown) {
            err_set(e, ERR_NO_MEMORY, "no memory for a list of damaged blobs");
            return NULL;
        }
        for (uint32_t i = 0; i < o->bad_count; i++)
            grown[i] = o->bad[i];
        o->bad = grown;
        k->capacity = capacity;
    }
    return &o->bad[o->bad_count++];
}

/* *why NULL where the bytes are what the name says, or retention has dropped them. */
static int read_one(struct checking *k, const struct msg_blob *b, const char **why, struct err *e)
{
    const struct digest *d = &b->digest;
    struct blob_info info;
    struct digest_state s;
    struct digest found;
    char hex[DIGEST_HEX + 1];
    uint64_t at = 0;
    *why = NULL;
    int rc = blob_stat(k->service->store, d, &info, e);
    if (rc == ERR_NOT_FOUND || (!rc && !info.complete)) {
        k->out->absent++;
        *why = b->dropped ? NULL : "it is lost: not in the store, though nothing has dropped it";
        return 0;
    }
    digest_init(&s);
    while (!rc && at < info.size) {
        size_t got = 0;
        if (works_stopping(k->service->works))
            return err_set(e, ERR_UNAVAILABLE, "the coordinator is being stopped");
        rc = blob_read(k->service->store, d, at, k->buffer, READ_BYTES, &got, e);
        if (!rc && got == 0)
            rc = err_set(e, ERR_FORMAT, "it ends after %" PRIu64 " of %" PRIu64 " bytes", at,
                         info.size);
        digest_update(&s, k->buffer, rc ? 0 : got);
        at += got;
    }
    k->out->blobs++;
    k->out->bytes += at;
    if (rc == ERR_NO_MEMORY || rc == ERR_BUSY)
        return rc;
    digest_final(&s, &found);
    if (rc) {
        *why = arena_printf(k->arena, "%.200s", e->message);
        e->code = 0;
    } else if (!digest_equal(&found, d)) {
        *why = arena_printf(k->arena, "its bytes have the digest %s", digest_to_hex(&found, hex));
    }
    return 0;
}

static int check_one(struct checking *k, const struct msg_blob *b, uint64_t job, const char *words,
                     struct err *e)
{
    const char *why;
    int rc = read_one(k, b, &why, e);
    if (rc || !why)
        return rc;
    struct msg_bad_blob *bad = add_bad(k, e);
    if (!bad)
        return e->code;
    *bad = (struct msg_bad_blob){.digest = b->digest,
                                 .job = job,
                                 .role = b->role,
                                 .index = b->index,
                                 .words = words,
                                 .why = why};
    return 0;
}

/* --- the data set's: numbered tokenizer, spec, shards of both splits ----------------------------
 */

static int check_small(struct checking *k, const struct msg_dataset *d, struct err *e)
{
    struct msg_blob tokenizer = {.role = ROLE_SHARD, .digest = d->tokenizer};
    struct msg_blob spec = {.role = ROLE_SHARD, .digest = k->run.spec};
    int rc = check_one(k, &tokenizer, 0, "the data set's tokenizer", e);
    return rc ? rc : check_one(k, &spec, 0, "the run's spec", e);
}

/* after: how many shards are through, train and then held out; + 1 once the small ones are. */
static int check_dataset(struct checking *k, struct store_conn *c, uint64_t after, struct err *e)
{
    struct msg_dataset d;
    int rc = op_dataset_get(c, k->run.dataset, true, &k->scratch, &d, e);
    if (!rc && after == 0)
        rc = check_small(k, &d, e);
    uint64_t n = after ? after - 1 : 0, all = (uint64_t)d.train_count + d.heldout_count;
    for (; !rc && n < all && !time_is_up(k); n++) {
        bool train = n < d.train_count;
        uint64_t number = train ? n : n - d.train_count;
        struct msg_blob b = {.role = ROLE_SHARD,
                             .index = number,
                             .digest = (train ? d.train : d.heldout)[number].digest};
        rc = check_one(k, &b, 0,
                       arena_printf(k->arena, "%s shard %" PRIu64 " of data set %s",
                                    train ? "train" : "held-out", number, d.name),
                       e);
    }
    k->out->more = true;
    k->out->jobs = n == all;
    k->out->after = k->out->jobs ? 0 : n + 1;
    return rc;
}

/* --- jobs' ------------------------------------------------------------------------------------ */

static int check_job(struct checking *k, struct store_conn *c, const struct job_row *job,
                     struct err *e)
{
    struct msg_blob *outputs;
    struct agent_row agent = {.name = NULL};
    uint32_t count;
    int rc = op_outputs(c, job->id, &k->scratch, &outputs, &count, e);
    if (!rc && job->agent)
        rc = op_agent_get(c, job->agent, &k->scratch, &agent, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = check_one(k, &outputs[i], job->id,
                       arena_printf(k->arena, "%s of %s, by %s%s", blob_role_words[outputs[i].role],
                                    run_job_words(&k->scratch, &job->key),
                                    agent.name ? "agent " : "the coordinator",
                                    agent.name ? agent.name : ""),
                       e);
    return rc;
}

static int check_jobs(struct checking *k, struct store_conn *c, uint64_t after, struct err *e)
{
    struct job_row *rows;
    uint32_t count;
    int rc = 0;
    k->out->jobs = k->out->more = true;
    k->out->after = after;
    while (!rc && k->out->more && !time_is_up(k)) {
        arena_reset(&k->scratch);
        rc = op_jobs_done(c, k->run.id, k->out->after, JOBS_PAGE, &k->scratch, &rows, &count, e);
        for (uint32_t i = 0; !rc && i < count && !time_is_up(k); i++) {
            rc = check_job(k, c, &rows[i], e);
            k->out->after = rows[i].id;
        }
        k->out->more = !rc && count > 0;
    }
    return rc;
}

int runs_prepare_check(struct call *c, const void *in, struct err *e)
{
    const struct msg_check *m = in;
    struct store_conn *conn;
    struct checking k = {.service = c->service,
                         .arena = c->arena,
                         .end_ms = env_monotonic_ms() + READ_MS,
                         .out = arena_alloc(c->arena, sizeof *k.out),
                         .buffer = malloc(READ_BYTES)};
    arena_init(&k.scratch, ARENA_MAX);
    int rc = k.out && k.buffer ? store_read_begin(c->service->store, &conn, e)
                               : err_set(e, ERR_NO_MEMORY, "no memory to read blobs");
    if (!rc) {
        rc = op_run_find(conn, c->name, c->arena, &k.run, e);
        if (!rc)
            rc = m->jobs ? check_jobs(&k, conn, m->after, e) : check_dataset(&k, conn, m->after, e);
        store_read_end(c->service->store, conn);
    }
    arena_free(&k.scratch);
    free(k.buffer);
    c->prepared = k.out;
    return rc;
}

int runs_check(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)e;
    *(struct msg_checked *)out = *(const struct msg_checked *)c->prepared;
    return 0;
}
