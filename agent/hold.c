#include "agent/hold.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/job_folders.h"
#include "agent/spool.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"

#define GRANT_ARENA_MAX (64u << 20) /* a grant may name very many pieces */
#define KEY_HEX 32
#define UP_RATE_UNKNOWN 1250000.0 /* bytes a second: the 10 Mbit/s of a slow line */
#define RATE_BYTES_MIN 65536

void hold_init(struct hold *h)
{
    memset(h, 0, sizeof *h);
    arena_init(&h->arena, GRANT_ARENA_MAX);
    h->result.loss = NAN;
}

void hold_free(struct hold *h)
{
    arena_free(&h->arena);
    free(h->dir);
    free(h->inputs);
    job_result_free(&h->result);
}

/* --- what the job is ----------------------------------------------------------------------------
 */

static void add_u64(struct digest_state *s, uint64_t x)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(x >> (8 * i));
    }
    digest_update(s, bytes, sizeof bytes);
}

/* Content of the state that a training job starts from, which names its model's, wherever on its
 * way it is taken up: zero for the initial weights. */
static struct digest start_of(const struct msg_grant *g)
{
    for (uint32_t i = 0; g->resume_step == 0 && i < g->input_count; i++) {
        if (g->inputs[i].role == ROLE_STATE) {
            return g->inputs[i].content;
        }
    }
    return g->start;
}

void hold_key(const struct msg_grant *g, char key[33])
{
    static const struct digest none;
    const uint64_t numbers[] = {(uint64_t)g->kind, (uint64_t)g->target,
                                g->index,          g->round,
                                g->chunk,          g->part,
                                g->final,          g->step_first,
                                g->step_last,      g->steps,
                                g->window_first,   g->window_count,
                                g->segment_count,  g->prior_steps};
    struct digest_state s;
    struct digest d;
    char hex[DIGEST_HEX + 1];
    digest_init(&s);
    digest_update(&s, g->spec.bytes, sizeof g->spec.bytes);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        add_u64(&s, numbers[i]);
    }
    bool trains = g->kind == JOB_TRAIN || g->kind == JOB_TRAIN_ROUTER;
    if (g->cycle > 0) {
        add_u64(&s, g->cycle);
    }
    for (uint32_t i = 0; i < g->input_count; i++) {
        const struct msg_blob *b = &g->inputs[i];
        if (trains && (b->role == ROLE_MODEL || b->role == ROLE_STATE)) {
            continue; /* named below */
        }
        const struct digest *name = digest_equal(&b->content, &none) ? &b->digest : &b->content;
        add_u64(&s, (uint64_t)b->role);
        add_u64(&s, b->index);
        add_u64(&s, b->first);
        add_u64(&s, b->count);
        digest_update(&s, name->bytes, sizeof name->bytes);
    }
    if (trains) {
        struct digest start = start_of(g);
        digest_update(&s, start.bytes, sizeof start.bytes);
    }
    digest_final(&s, &d);
    digest_to_hex(&d, hex);
    memcpy(key, hex, KEY_HEX);
    key[KEY_HEX] = 0;
}

void hold_words(const struct msg_grant *g, char *out, size_t cap)
{
    const char *kind = job_kind_words[g->kind], *target = job_target_words[g->target];
    char number[32] = "";
    if (g->target == TARGET_ROUTER || g->target == TARGET_EXPERT) {
        snprintf(number, sizeof number, " %" PRIu64, g->index);
    }
    switch (g->kind) {
    case JOB_TRAIN_ROUTER:
        snprintf(out, cap, "train router %" PRIu64 ", round %" PRIu64, g->index, g->round + 1);
        break;
    case JOB_TRAIN:
        snprintf(out, cap, "train %s%s, steps %" PRIu64 " to %" PRIu64, target, number,
                 g->step_first + 1, g->step_last);
        break;
    case JOB_EVAL:
        snprintf(out, cap, "eval %s%s", target, number);
        break;
    default:
        snprintf(out, cap, "%s %s %" PRIu64 ", part %" PRIu64, kind, g->final ? "chunk" : "round",
                 g->final ? g->chunk : g->round, g->part);
        break;
    }
}

/* --- taking ------------------------------------------------------------------------------------
 */

void hold_take(struct hold *h, const struct msg_grant *g, struct arena *arena)
{
    arena_free(&h->arena);
    h->arena = *arena;
    arena_init(arena, GRANT_ARENA_MAX);
    h->grant = *g;
    h->held = true;
    h->finished = h->spooled = false;
    h->uploaded = 0;
    h->bytes_down = h->bytes_up = 0;
    h->upload_until_ms = 0;
    job_result_free(&h->result);
    atomic_store(&h->progress.phase, PHASE_FETCHING);
    atomic_store(&h->progress.step, g->step_first);
    atomic_store(&h->progress.total, g->steps);
    atomic_store(&h->progress.loss, NAN);
    atomic_store(&h->progress.rate, 0);
    atomic_store(&h->progress.abandon, false);
    atomic_store(&h->progress.point_count, 0);
    atomic_store(&h->progress.hand_over, false);
    free(h->dir);
    free(h->inputs);
    h->dir = NULL;
    h->inputs = NULL;
}

/* The job's folder, and room for the paths of its inputs. What is kept of other jobs has half of
 * the cache's limit at most: a save is worth more than a shard, which can be fetched again. */
static int make_folder(struct hold *h, struct cache *cache, const char *work, struct err *e)
{
    char key[KEY_HEX + 1];
    if (h->dir) {
        return 0;
    }
    hold_key(&h->grant, key);
    char *jobs = env_path_join(work, "jobs");
    char *dir = jobs ? env_path_join(jobs, key) : NULL;
    if (!h->inputs) {
        h->inputs = calloc(h->grant.input_count + 1, sizeof *h->inputs);
    }
    int rc =
        dir && h->inputs ? env_dir_make(dir, e) : err_set(e, ERR_NO_MEMORY, "no memory for a job");
    if (!rc) {
        cache_reserve(cache, job_folders_trim(jobs, key, cache_bytes_max(cache) / 2));
        h->dir = dir;
        dir = NULL;
    }
    free(dir);
    free(jobs);
    return rc;
}

/* --- transfers ----------------------------------------------------------------------------------
 */

struct transfer_arg {
    struct hold *hold;
    struct client *client;
};

static int transfer_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct hold *h = arg;
    (void)done;
    (void)total;
    if (h->upload_until_ms > 0 && env_monotonic_ms() >= h->upload_until_ms) {
        return -1;
    }
    return atomic_load_explicit(&h->progress.abandon, memory_order_relaxed) ? -1 : 0;
}

static int fetch_blob(void *arg, const struct digest *d, const char *path, struct err *e)
{
    struct transfer_arg *t = arg;
    return client_blob_get(t->client, d, path, transfer_progress, t->hold, &t->hold->bytes_down, e);
}

static int fetch_spec(struct hold *h, struct cache *cache, struct transfer_arg *t, struct err *e)
{
    const char *path;
    struct buf text;
    if (h->has_spec && digest_equal(&h->spec_digest, &h->grant.spec)) {
        return 0;
    }
    h->has_spec = false;
    int rc = cache_get(cache, &h->grant.spec, 0, fetch_blob, t, &path, e);
    if (!rc) {
        rc = env_file_read(path, SPEC_BYTES_MAX, &text, e);
    }
    if (rc) {
        return rc;
    }
    rc = spec_parse(text.data, text.len, h->grant.run ? h->grant.run : "spec", &h->spec, e);
    buf_free(&text);
    if (!rc) {
        h->has_spec = true;
        h->spec_digest = h->grant.spec;
    }
    return rc;
}

int hold_fetch(struct hold *h, struct cache *cache, struct client *c, const char *work,
               struct err *e)
{
    struct transfer_arg t = {h, c};
    atomic_store(&h->progress.phase, PHASE_FETCHING);
    int rc = make_folder(h, cache, work, e);
    if (!rc && !h->finished) {
        h->finished = h->spooled = spool_read(h->dir, &h->result);
        if (h->finished) {
            spool_owe(h->dir, &h->grant);
        }
    }
    if (rc || h->finished) {
        return rc;
    }
    rc = fetch_spec(h, cache, &t, e);
    for (uint32_t i = 0; !rc && i < h->grant.input_count; i++) {
        const struct msg_blob *b = &h->grant.inputs[i];
        rc = cache_get(cache, &b->digest, b->bytes, fetch_blob, &t, &h->inputs[i], e);
    }
    return rc;
}

int hold_run(struct hold *h, struct kept *kept, struct pace *pace, const struct job_watch *watch,
             struct err *e)
{
    struct job_context c = {.spec = &h->spec,
                            .inputs = h->inputs,
                            .dir = h->dir,
                            .kept = kept,
                            .progress = &h->progress,
                            .pace = pace,
                            .watch = watch};
    int rc = 0;
    atomic_store(&h->progress.phase, PHASE_RUNNING);
    if (!h->finished) {
        job_result_free(&h->result);
        h->uploaded = 0;
        rc = job_run(&c, &h->grant, &h->result, e);
        h->finished = rc == 0;
    }
    if (!rc && !h->spooled) {
        atomic_store(&h->progress.phase, PHASE_SAVING);
        rc = spool_write(h->dir, &h->grant, &h->result, e);
        h->spooled = rc == 0;
        if (rc && env_stop_requested()) {
            rc = 0; /* no time to wait for room: delivered from where it is, or not at all */
        }
    }
    return rc;
}

bool hold_take_spooled(struct hold *h, const char *work, struct arena *arena)
{
    struct msg_grant g;
    struct job_result r;
    char *dir = NULL, *jobs = env_path_join(work, "jobs");
    bool found = jobs && spool_find(jobs, &dir, &g, arena, &r);
    free(jobs);
    if (found) {
        hold_take(h, &g, arena);
        h->dir = dir;
        h->result = r;
        h->finished = h->spooled = true;
    }
    return found;
}

double hold_upload_seconds(const struct hold *h)
{
    uint64_t bytes = 0;
    for (uint32_t i = h->uploaded; i < h->result.count; i++) {
        bytes += h->result.outputs[i].blob.bytes;
    }
    return (double)bytes / (h->up_rate > 0 ? h->up_rate : UP_RATE_UNKNOWN);
}

/* What small files take is the round trip, which says nothing of the rate. */
static void measure_rate(struct hold *h, uint64_t bytes, double seconds)
{
    if (bytes >= RATE_BYTES_MIN && seconds > 0) {
        double rate = (double)bytes / seconds;
        h->up_rate = h->up_rate > 0 ? (h->up_rate + rate) / 2 : rate;
    }
}

int hold_upload(struct hold *h, struct client *c, struct err *e)
{
    int rc = 0;
    atomic_store(&h->progress.phase, PHASE_UPLOADING);
    client_set_job(c, h->grant.job);
    while (!rc && h->uploaded < h->result.count) {
        const struct job_output *o = &h->result.outputs[h->uploaded];
        uint64_t before = h->bytes_up;
        double began = env_monotonic_s();
        rc = client_blob_put(c, &o->blob.digest, o->path, o->blob.bytes, transfer_progress, h,
                             &h->bytes_up, e);
        measure_rate(h, h->bytes_up - before, env_monotonic_s() - began);
        h->uploaded += rc == 0;
    }
    return rc;
}

void hold_drop(struct hold *h, struct cache *cache, bool adopt, bool remove)
{
    for (uint32_t i = 0; adopt && i < h->result.count; i++) {
        struct err e = {0}; /* a cache that can't take it loses nothing: it is in the store */
        (void)!cache_adopt(cache, &h->result.outputs[i].blob.digest, h->result.outputs[i].path, &e);
    }
    cache_unpin_all(cache);
    job_result_free(&h->result);
    if (h->dir && remove) {
        job_folder_remove(h->dir);
    } else if (h->dir) {
        spool_keep(h->dir);
    }
    h->held = false;
}
