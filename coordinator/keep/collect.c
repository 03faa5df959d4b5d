/* Collection: steps of the search through all blobs, and its report for people. */
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/keep/keeper_parts.h"
#include "coordinator/store/gc.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_storage.h"

/* A request answers within a client's patience, and says whether there is more. */
#define RUN_MS 15000

static int stopped(struct err *e)
{
    return err_set(e, ERR_STOPPED, "the coordinator is being stopped");
}

/* Drops what of a look is ripe, a few at a time. */
static int drop_ripe(struct keeper *k, const struct gc_candidate *list, uint32_t count,
                     uint64_t *blobs, uint64_t *bytes, struct err *e)
{
    struct gc_candidate ripe[GC_DROP];
    uint32_t n = 0;
    int rc = 0;
    for (uint32_t i = 0; !rc && i <= count; i++) {
        if (i < count && !list[i].later)
            ripe[n++] = list[i];
        if (n == 0 || (n < GC_DROP && i < count))
            continue;
        rc = keeper_stopping(k) ? stopped(e) : gc_drop(k->service->store, ripe, n, blobs, bytes, e);
        n = 0;
    }
    return rc;
}

int keep_pass_step(struct keeper *k, uint64_t *cursor, bool *end, uint64_t *blobs, uint64_t *bytes,
                   struct err *e)
{
    struct gc_candidate list[GC_LOOK];
    uint32_t count;
    int rc = gc_look(k->service->store, k->options.grace_ms, env_wall_ms(), cursor, list, &count,
                     end, e);
    return rc ? rc : drop_ripe(k, list, count, blobs, bytes, e);
}

static int sweep_fn(struct store_conn *c, void *more, struct err *e)
{
    return op_sweep(c, (uint64_t)env_wall_ms(), more, e);
}

/* Without asking the writer, mostly: nothing has ended lately. */
static int is_anything_to_sweep(struct keeper *k, bool *yes, struct err *e)
{
    struct store_conn *c;
    int rc = store_read_begin(k->service->store, &c, e);
    if (rc)
        return rc;
    rc = op_to_sweep(c, yes, e);
    store_read_end(k->service->store, c);
    return rc;
}

int keep_released(struct keeper *k, int64_t until_ms, bool *end, uint64_t *blobs, uint64_t *bytes,
                  struct err *e)
{
    struct digest cursor = {{0}};
    bool more;
    *end = false;
    int rc = is_anything_to_sweep(k, &more, e);
    while (!rc && more && env_monotonic_ms() < until_ms)
        rc = keeper_stopping(k) ? stopped(e)
                                : store_write_wait(k->service->store, sweep_fn, &more, e);
    while (!rc && !*end && env_monotonic_ms() < until_ms) {
        struct gc_candidate list[GC_DROP];
        uint32_t count;
        rc = gc_look_released(k->service->store, k->options.grace_ms, env_wall_ms(), &cursor, list,
                              &count, end, e);
        if (!rc)
            rc = drop_ripe(k, list, count, blobs, bytes, e);
    }
    *end = *end && !more;
    return rc;
}

/* --- for people --------------------------------------------------------------------------------
 */

static const char *const why_words[] = {
    [GC_UNNAMED] = "uploaded, but named by nothing: results that came too late, or were given up",
    [GC_DROPPED] = "dropped by retention, by a run's end, or of a backup that has ended",
    [GC_PARTIAL] = "uploads that broke off",
};

struct tally {
    struct call *call;
    struct msg_gc *out;
    uint32_t capacity;
    uint64_t *runs; /* of the rows */
};

static const char *run_name(struct call *c, uint64_t id)
{
    struct store_conn *conn;
    struct run_row run;
    struct err e;
    if (!id || store_read_begin(c->service->store, &conn, &e))
        return NULL;
    int rc = op_run_get(conn, id, c->arena, &run, &e);
    store_read_end(c->service->store, conn);
    return rc ? NULL : run.name;
}

static struct msg_gc_row *row_of(struct tally *t, const struct gc_candidate *g)
{
    struct msg_gc *o = t->out;
    for (uint32_t i = 0; i < o->row_count; i++)
        if (o->rows[i].why == why_words[g->why] && o->rows[i].later == g->later &&
            t->runs[i] == g->run)
            return &o->rows[i];
    if (o->row_count == t->capacity) {
        uint32_t capacity = t->capacity ? 2 * t->capacity : 16;
        struct msg_gc_row *rows = arena_alloc_array(t->call->arena, capacity, sizeof *rows);
        uint64_t *runs = arena_alloc_array(t->call->arena, capacity, sizeof *runs);
        if (!rows || !runs)
            return NULL;
        if (o->row_count) {
            memcpy(rows, o->rows, o->row_count * sizeof *rows);
            memcpy(runs, t->runs, o->row_count * sizeof *runs);
        }
        o->rows = rows;
        t->runs = runs;
        t->capacity = capacity;
    }
    t->runs[o->row_count] = g->run;
    o->rows[o->row_count] = (struct msg_gc_row){
        .why = why_words[g->why], .run = run_name(t->call, g->run), .later = g->later};
    return &o->rows[o->row_count++];
}

static int add(struct tally *t, const struct gc_candidate *g, struct err *e)
{
    struct msg_gc_row *row = row_of(t, g);
    if (!row)
        return err_set(e, ERR_NO_MEMORY, "no memory for what would be collected");
    row->blobs++;
    row->bytes += g->size;
    if (!g->later) {
        t->out->blobs++;
        t->out->bytes += g->size;
    }
    return 0;
}

static int facts(struct keeper *k, struct msg_gc *out, struct err *e)
{
    struct store_conn *c;
    uint64_t pinned;
    int rc = store_read_begin(k->service->store, &c, e);
    if (rc)
        return rc;
    rc = op_backups_pinned(c, &pinned, &out->backups, e);
    store_read_end(k->service->store, c);
    out->grace_ms = (uint64_t)k->options.grace_ms;
    return rc ? rc : store_disk_free(k->service->store, &out->disk_free, e);
}

int keep_gc_show(struct call *c, const void *in, void *out, struct err *e)
{
    struct tally t = {.call = c, .out = out};
    struct gc_candidate list[GC_LOOK];
    struct keeper *k;
    uint64_t cursor = 0;
    bool end = false;
    int rc = keeper_of(c, &k, e);
    (void)in;
    while (!rc && !end) {
        uint32_t count;
        rc = keeper_stopping(k) ? stopped(e) : 0;
        if (!rc)
            rc = gc_look(c->service->store, k->options.grace_ms, env_wall_ms(), &cursor, list,
                         &count, &end, e);
        for (uint32_t i = 0; !rc && i < count; i++)
            rc = add(&t, &list[i], e);
    }
    return rc ? rc : facts(k, out, e);
}

int keep_gc_run(struct call *c, const void *in, void *out, struct err *e)
{
    struct msg_gc *m = out;
    struct keeper *k;
    uint64_t cursor = 0;
    bool end = false, all = false;
    int64_t until = env_monotonic_ms() + RUN_MS;
    int rc = keeper_of(c, &k, e);
    (void)in;
    if (!rc)
        rc = keep_released(k, until, &all, &m->blobs, &m->bytes, e);
    while (!rc && !end && env_monotonic_ms() < until)
        rc = keep_pass_step(k, &cursor, &end, &m->blobs, &m->bytes, e);
    m->more = !all || !end;
    return rc ? rc : facts(k, m, e);
}
