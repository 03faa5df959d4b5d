#include "coordinator/keep/keeper_parts.h"

#include <stdlib.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "coordinator/log.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/run_pace.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_storage.h"

#define RELEASED_MS 1000         /* dropped checkpoints go within a second or two */
#define PASS_MS (30 * 60 * 1000) /* between searches through all blobs */
#define PASS_PAUSE_MS 20         /* between its steps: others come first */
#define EXPIRE_MS 10000
#define HEALTH_MS 2000
#define PLAN_MS 30000
#define PACE_MS 10000
#define PLAN_ARENA_MAX (64u << 20)
#define AFTER_ERROR_MS 10000

bool keeper_stopping(struct keeper *k)
{
    env_mutex_lock(&k->mutex);
    bool stopping = k->stopping;
    env_mutex_unlock(&k->mutex);
    return stopping || env_stop_requested();
}

void keeper_wake(struct keeper *k)
{
    env_mutex_lock(&k->mutex);
    k->wake = true;
    env_cond_signal(&k->changed);
    env_mutex_unlock(&k->mutex);
}

int keeper_of(const struct call *c, struct keeper **out, struct err *e)
{
    *out = c->service->keeper;
    return *out ? 0 : err_set(e, ERR_UNAVAILABLE, "the coordinator is starting; try again later");
}

static void trouble(const char *what, int rc, const struct err *e)
{
    if (rc && rc != ERR_STOPPED)
        log_warn("%s code=%s why=\"%s\"", what, err_name(rc), e->message);
}

static void look_at_released(struct keeper *k, int64_t now)
{
    struct err e = {0};
    uint64_t blobs = 0, bytes = 0;
    bool end;
    if (now < k->released_at_ms)
        return;
    int rc = keep_released(k, INT64_MAX, &end, &blobs, &bytes, &e);
    trouble("dropped blobs cannot be collected", rc, &e);
    if (blobs)
        log_info("collected dropped blobs=%llu bytes=%llu", (unsigned long long)blobs,
                 (unsigned long long)bytes);
    k->released_at_ms = env_monotonic_ms() + (rc ? AFTER_ERROR_MS : RELEASED_MS);
}

static void go_on_with_pass(struct keeper *k, int64_t now)
{
    struct err e = {0};
    uint64_t blobs = 0, bytes = 0;
    bool end = false;
    if (now < k->pass_at_ms)
        return;
    if (!k->passing)
        k->cursor = 0;
    int rc = keep_pass_step(k, &k->cursor, &end, &blobs, &bytes, &e);
    trouble("blobs that nobody needs cannot be collected", rc, &e);
    if (blobs)
        log_info("collected blobs=%llu bytes=%llu", (unsigned long long)blobs,
                 (unsigned long long)bytes);
    k->passing = !rc && !end;
    k->pass_at_ms = now + (rc ? AFTER_ERROR_MS : end ? PASS_MS : PASS_PAUSE_MS);
}

/* Sees whether a disk that was full or failed works again, so that the state is true and what waits
 * for it goes on; a full one is helped by collecting what can go. */
static void look_after_health(struct keeper *k, int64_t now)
{
    char words[400];
    int64_t since;
    if (now < k->health_at_ms)
        return;
    k->health_at_ms = now + HEALTH_MS;
    int code = store_health(k->service->store, words, sizeof words, &since);
    if (code != k->health)
        log_warn("storage %s", words);
    if (code == ERR_NO_SPACE && k->health != code && !k->passing && k->pass_at_ms > now)
        k->pass_at_ms = now;
    k->health = code;
    store_probe(k->service->store);
}

/* What a run will take at most, less what it has. */
static int plan_run(struct store_conn *c, struct arena *a, uint64_t run, uint64_t *planned,
                    struct err *e)
{
    struct run_view v;
    struct spec_disk d;
    uint64_t blobs, bytes, data;
    int rc = run_view_load(c, run, false, a, &v, e);
    if (!rc)
        rc = op_named_totals(c, run, &blobs, &bytes, &data, e);
    if (rc)
        return rc;
    spec_disk(&v.spec, (uint32_t)v.dataset.vocab, (uint32_t)v.dataset.seq,
              v.dataset.train_sequences, v.dataset.heldout_sequences, &d);
    if (d.peak > (double)(bytes - data))
        *planned += (uint64_t)d.peak - (bytes - data);
    return 0;
}

static void plan_disk(struct keeper *k, int64_t now)
{
    struct store_conn *c;
    struct run_row *rows;
    struct arena a;
    struct err e = {0};
    uint32_t count = 0;
    uint64_t planned = 0;
    if (now < k->plan_at_ms || store_read_begin(k->service->store, &c, &e))
        return;
    k->plan_at_ms = now + PLAN_MS;
    arena_init(&a, PLAN_ARENA_MAX);
    int rc = op_runs(c, &a, &rows, &count, &e);
    for (uint32_t i = 0; !rc && i < count; i++)
        if (rows[i].state == RUN_ACTIVE) {
            rc = plan_run(c, &a, rows[i].id, &planned, &e);
            if (!rc)
                rc = store_read_renew(c, &e);
        }
    store_read_end(k->service->store, c);
    arena_free(&a);
    trouble("the runs' needs cannot be counted", rc, &e);
    if (!rc)
        k->service->disk_planned = planned;
}

/* How far each active run is: from one look to the next that gives its pace. */
static int note_paces(struct keeper *k, struct call *c, struct err *e)
{
    struct run_row *rows;
    uint32_t count = 0, active = 0;
    int rc = op_runs(c->conn, c->arena, &rows, &count, e);
    uint64_t *ids = rc ? NULL : arena_alloc_array(c->arena, (size_t)count + 1, sizeof *ids);
    for (uint32_t i = 0; !rc && ids && i < count; i++) {
        double share;
        bool busy;
        if (rows[i].state != RUN_ACTIVE)
            continue;
        ids[active++] = rows[i].id;
        rc = runs_share(c, rows[i].id, &share, &busy, e);
        if (!rc) {
            run_paces_note(k->service->paces, rows[i].id, share, busy, c->now_ms);
            rc = store_read_renew(c->conn, e);
        }
    }
    if (!rc && ids)
        run_paces_keep(k->service->paces, ids, active);
    return rc;
}

static void look_at_paces(struct keeper *k, int64_t now)
{
    struct arena a;
    struct err e = {0};
    struct call c = {.service = k->service, .arena = &a, .now_ms = now, .wall_ms = env_wall_ms()};
    if (now < k->pace_at_ms || store_read_begin(k->service->store, &c.conn, &e))
        return;
    k->pace_at_ms = now + PACE_MS;
    arena_init(&a, PLAN_ARENA_MAX);
    int rc = note_paces(k, &c, &e);
    store_read_end(k->service->store, c.conn);
    arena_free(&a);
    trouble("the runs' paces cannot be seen", rc, &e);
}

static int expire_fn(struct store_conn *c, void *arg, struct err *e)
{
    return op_backups_expire(c, (uint64_t)(env_wall_ms() - PROTOCOL_BACKUP_MS), arg, e);
}

static int renew_fn(struct store_conn *c, void *arg, struct err *e)
{
    (void)arg;
    return op_backups_renew_all(c, (uint64_t)env_wall_ms(), e);
}

static void expire_backups(struct keeper *k, int64_t now)
{
    struct err e = {0};
    uint64_t ended = 0;
    if (now < k->expire_at_ms)
        return;
    int rc = store_write_wait(k->service->store, expire_fn, &ended, &e);
    trouble("old backups cannot be ended", rc, &e);
    if (ended)
        log_info("given up backups=%llu", (unsigned long long)ended);
    k->expire_at_ms = now + EXPIRE_MS;
}

/* Does what is due; returns when to look again. */
static int64_t step(struct keeper *k)
{
    int64_t now = env_monotonic_ms(), pause;
    look_at_released(k, now);
    go_on_with_pass(k, now);
    expire_backups(k, now);
    look_after_health(k, now);
    plan_disk(k, now);
    look_at_paces(k, now);
    pause = keep_scrub_step(k);
    int64_t next = k->released_at_ms < k->pass_at_ms ? k->released_at_ms : k->pass_at_ms;
    next = k->expire_at_ms < next ? k->expire_at_ms : next;
    next = k->plan_at_ms < next ? k->plan_at_ms : next;
    next = k->pace_at_ms < next ? k->pace_at_ms : next;
    next = k->health_at_ms < next ? k->health_at_ms : next;
    now = env_monotonic_ms();
    return pause >= 0 && now + pause < next ? now + pause : next;
}

static void keeper_main(void *arg)
{
    struct keeper *k = arg;
    for (;;) {
        int64_t next = step(k);
        env_mutex_lock(&k->mutex);
        while (!k->stopping && !k->wake && env_cond_wait_until(&k->changed, &k->mutex, next))
            ;
        k->wake = false;
        bool stopping = k->stopping;
        env_mutex_unlock(&k->mutex);
        if (stopping)
            return;
    }
}

int keeper_create(struct keeper **out, struct service *s, const struct keeper_options *o,
                  struct err *e)
{
    struct keeper *k = calloc(1, sizeof *k);
    struct err ignored; /* a full disk: then they end sooner */
    int64_t now = env_monotonic_ms();
    if (!k)
        return err_set(e, ERR_NO_MEMORY, "no memory for housekeeping");
    k->service = s;
    k->options = *o;
    k->released_at_ms = now + o->first_ms;
    k->pass_at_ms = now + o->first_ms;
    k->expire_at_ms = now + EXPIRE_MS;
    env_mutex_init(&k->mutex);
    env_mutex_init(&k->scrub_mutex);
    env_cond_init(&k->changed);
    keep_sweep_snapshots(s->dir);
    (void)!store_write_wait(s->store, renew_fn, NULL, &ignored);
    *out = k;
    int rc = run_paces_create(&s->paces, e);
    if (!rc)
        rc = env_thread_start(&k->thread, keeper_main, k, "the housekeeping thread", e);
    k->started = !rc;
    if (rc) {
        keeper_destroy(k);
        *out = NULL;
    }
    return rc;
}

void keeper_destroy(struct keeper *k)
{
    if (!k)
        return;
    env_mutex_lock(&k->mutex);
    k->stopping = true;
    env_cond_signal(&k->changed);
    env_mutex_unlock(&k->mutex);
    if (k->started)
        env_thread_join(&k->thread);
    keep_scrub_free(k);
    run_paces_destroy(k->service->paces);
    k->service->paces = NULL;
    env_cond_destroy(&k->changed);
    env_mutex_destroy(&k->mutex);
    env_mutex_destroy(&k->scrub_mutex);
    free(k);
}
