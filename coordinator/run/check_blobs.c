/* Blobs against their names: what a disk or a hand has changed in the store is found by reading it.
 * A request reads for a few seconds and says where it stopped, so that neither a request nor a
 * thread is held up for as long as a whole run's blobs take. */
#include "coordinator/run/check_blobs.h"

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

static int read_all(struct service *s, const struct digest *d, uint64_t size, uint8_t *buffer,
                    struct digest *found, struct err *e)
{
    struct digest_state state;
    int rc = 0;
    digest_init(&state);
    for (uint64_t at = 0; !rc && at < size;) {
        size_t got = 0;
        if (works_stopping(s->works))
            return err_set(e, ERR_UNAVAILABLE, "the coordinator is being stopped");
        rc = blob_read(s->store, d, at, buffer, READ_BYTES, &got, e);
        if (!rc && got == 0)
            rc = err_set(e, ERR_FORMAT, "it ends after %" PRIu64 " of %" PRIu64 " bytes", at, size);
        digest_update(&state, buffer, rc ? 0 : got);
        at += got;
    }
    digest_final(&state, found);
    return rc;
}

int blob_check(struct service *s, const struct digest *d, struct arena *a, enum blob_state *out,
               const char **why, uint64_t *bytes, struct err *e)
{
    struct blob_info info = {0};
    struct digest found;
    char hex[DIGEST_HEX + 1];
    const char *words = NULL;
    *out = BLOB_ABSENT;
    int rc = blob_stat(s->store, d, &info, e);
    if (rc == ERR_NOT_FOUND || (!rc && !info.complete))
        return 0;
    uint8_t *buffer = malloc(READ_BYTES);
    if (!buffer)
        return err_set(e, ERR_NO_MEMORY, "no memory to read blobs");
    if (!rc)
        rc = read_all(s, d, info.size, buffer, &found, e);
    free(buffer);
    if (rc && rc != ERR_FORMAT && rc != ERR_IO && rc != ERR_NOT_FOUND)
        return rc;
    *out = rc || !digest_equal(&found, d) ? BLOB_DAMAGED : BLOB_WHOLE;
    if (rc)
        words = arena_printf(a, "%.200s", e->message);
    else if (*out == BLOB_DAMAGED)
        words = arena_printf(a, "its bytes have the digest %s", digest_to_hex(&found, hex));
    if (why)
        *why = words;
    if (bytes)
        *bytes = info.size;
    return 0;
}

static int check_one(struct checking *k, const struct msg_blob *b, uint64_t job, const char *words,
                     struct err *e)
{
    const char *why = NULL;
    enum blob_state state;
    uint64_t bytes = 0;
    int rc = blob_check(k->service, &b->digest, k->arena, &state, &why, &bytes, e);
    if (rc)
        return rc;
    k->out->blobs += state != BLOB_ABSENT;
    k->out->absent += state == BLOB_ABSENT;
    k->out->bytes += bytes;
    if (state == BLOB_ABSENT && !b->dropped)
        why = "it is lost: not in the store, though nothing has dropped it";
    else if (state != BLOB_DAMAGED)
        return 0;
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
                         .out = arena_alloc(c->arena, sizeof *k.out)};
    arena_init(&k.scratch, ARENA_MAX);
    int rc = k.out ? store_read_begin(c->service->store, &conn, e)
                   : err_set(e, ERR_NO_MEMORY, "no memory to read blobs");
    if (!rc) {
        rc = op_run_find(conn, c->name, c->arena, &k.run, e);
        if (!rc)
            rc = m->jobs ? check_jobs(&k, conn, m->after, e) : check_dataset(&k, conn, m->after, e);
        store_read_end(c->service->store, conn);
    }
    arena_free(&k.scratch);
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
