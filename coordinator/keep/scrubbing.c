/* One scrub of blobs at a time, on the housekeeping thread. */
#include <stdio.h>
#include <string.h>
#include "core/env/clock.h"
#include "coordinator/keep/keeper_parts.h"
#include "coordinator/log.h"
#include "coordinator/store/ops.h"

/* Read before the disk is left to others, for as long as reading took: half of its time. */
#define STEP_BYTES (8u << 20)

int64_t keep_scrub_step(struct keeper *k)
{
    struct err e = {0};
    bool more = false;
    int64_t begin = env_monotonic_ms(), pause = -1;
    env_mutex_lock(&k->scrub_mutex);
    if (k->shown.running) {
        int rc = scrub_step(k->scrub, STEP_BYTES, &more, &e);
        k->shown.running = !rc && more;
        if (rc) {
            snprintf(k->scrub_error, sizeof k->scrub_error, "%s", e.message);
            k->shown.error = k->scrub_error;
        }
        pause = env_monotonic_ms() - begin;
        const struct msg_scrub *f = scrub_found(k->scrub);
        if (!k->shown.running)
            log_info("scrubbed blobs=%llu bytes=%llu bad=%llu%s%s", (unsigned long long)f->blobs,
                     (unsigned long long)f->bytes, (unsigned long long)f->bad_total,
                     rc ? " why=" : "", rc ? e.message : "");
    }
    env_mutex_unlock(&k->scrub_mutex);
    return pause;
}

void keep_scrub_free(struct keeper *k)
{
    scrub_destroy(k->scrub);
    k->scrub = NULL;
}

static int copy_text(struct arena *a, const char **text, struct err *e)
{
    if (!*text)
        return 0;
    *text = arena_strndup(a, *text, strlen(*text));
    return *text ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for what a scrub found");
}

/* What the scrub has found, as the caller's own. Under the mutex. */
static int show(struct keeper *k, struct arena *a, struct msg_scrub *out, struct err *e)
{
    const struct msg_scrub own = k->shown;
    if (k->scrub)
        *out = *scrub_found(k->scrub);
    out->number = own.number;
    out->running = own.running;
    out->run = own.run;
    out->error = own.error;
    struct msg_scrub_bad *bad = arena_alloc_array(a, out->bad_count + 1, sizeof *bad);
    if (!bad)
        return err_set(e, ERR_NO_MEMORY, "no memory for what a scrub found");
    int rc = copy_text(a, &out->run, e);
    if (!rc)
        rc = copy_text(a, &out->error, e);
    for (uint32_t i = 0; !rc && i < out->bad_count; i++) {
        bad[i] = out->bad[i];
        rc = copy_text(a, &bad[i].problem, e);
        if (!rc)
            rc = copy_text(a, &bad[i].named, e);
    }
    out->bad = bad;
    return rc;
}

int keep_scrub_show(struct call *c, const void *in, void *out, struct err *e)
{
    struct keeper *k;
    int rc = keeper_of(c, &k, e);
    (void)in;
    if (rc)
        return rc;
    env_mutex_lock(&k->scrub_mutex);
    rc = show(k, c->arena, out, e);
    env_mutex_unlock(&k->scrub_mutex);
    return rc;
}

static int find_run(struct call *c, const char *name, uint64_t *id, struct err *e)
{
    struct store_conn *conn;
    struct run_row run;
    *id = 0;
    if (!name)
        return 0;
    int rc = store_read_begin(c->service->store, &conn, e);
    if (rc)
        return rc;
    rc = op_run_find(conn, name, c->arena, &run, e);
    store_read_end(c->service->store, conn);
    *id = rc ? 0 : run.id;
    return rc;
}

/* Under the mutex. */
static int begin(struct keeper *k, const char *name, uint64_t run, struct err *e)
{
    struct scrub *scrub;
    int rc = scrub_create(&scrub, k->service->store, run, e);
    if (rc)
        return rc;
    scrub_destroy(k->scrub);
    k->scrub = scrub;
    snprintf(k->run_name, sizeof k->run_name, "%s", name ? name : "");
    k->shown = (struct msg_scrub){
        .number = k->shown.number + 1, .running = true, .run = name ? k->run_name : NULL};
    keeper_wake(k);
    return 0;
}

int keep_scrub_start(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_scrub_start *m = in;
    struct keeper *k;
    uint64_t run;
    int rc = keeper_of(c, &k, e);
    if (!rc)
        rc = find_run(c, m->run, &run, e);
    if (rc)
        return rc;
    env_mutex_lock(&k->scrub_mutex);
    if (!k->shown.running)
        rc = begin(k, m->run, run, e);
    if (!rc)
        rc = show(k, c->arena, out, e);
    env_mutex_unlock(&k->scrub_mutex);
    return rc;
}
