#include "tests/sim/power_loss/agent_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/cache.h"
#include "agent/identity.h"
#include "agent/job_folders.h"
#include "agent/spool.h"
#include "core/client/client.h"
#include "core/env/file.h"
#include "core/env/http.h"
#include "core/protocol/messages.h"
#include "core/runners/saves.h"
#include "tests/sim/disk/one_machine.h"

#define WORK "home/work"
#define CACHE WORK "/cache"
#define CACHE_MAX (1u << 20)
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("line %d: %s: %s (%s)", __LINE__, #call, err.message, err.origin);            \
    } while (0)

static struct err err;
static const struct agent_scene *server; /* whose blobs the coordinator below has */

/* --- a coordinator that only sends blobs: the other end of core/env/http.h
 * ------------------------ */

struct env_http {
    char nothing;
};

int env_http_open(struct env_http **h, const struct env_http_options *o, struct err *e)
{
    (void)o;
    *h = calloc(1, sizeof **h);
    return *h ? 0 : err_set(e, ERR_NO_MEMORY, "no memory");
}

void env_http_close(struct env_http *h)
{
    free(h);
}

int env_http_set_bearer(struct env_http *h, const char *bearer, struct err *e)
{
    (void)h;
    (void)bearer;
    (void)e;
    return 0;
}

int env_http_exchange(struct env_http *h, const struct env_http_request *r, int *status,
                      struct err *e)
{
    char hex[DIGEST_HEX + 1], text[64];
    unsigned long long from = 0;
    size_t i = 0;
    (void)h;
    for (int k = 0; r->headers && r->headers[k]; k++)
        sscanf(r->headers[k], "Range: bytes=%llu-", &from);
    while (i < SCENE_BLOBS &&
           strcmp(r->path + strlen("/v1/blobs/"), digest_to_hex(&server->blobs[i].digest, hex)))
        i++;
    assert_true(i < SCENE_BLOBS);
    size_t len = server->blobs[i].len;
    *status = from == 0 ? 200 : from < len ? 206 : 416;
    r->on_header(r->arg, "tacit-protocol", "1");
    snprintf(text, sizeof text, "bytes %llu-%zu/%zu", from, len - 1, len);
    if (*status == 206)
        r->on_header(r->arg, "content-range", text);
    for (size_t at = (size_t)from; at < len; at += 7000) {
        size_t part = len - at < 7000 ? len - at : 7000;
        if (r->write_body(r->arg, *status, (const char *)server->blobs[i].data + at, part))
            return err_set(e, ERR_STOPPED, "a callback ended it");
    }
    return 0;
}

/* --- playing
 * ------------------------------------------------------------------------------------------ */

static struct promise *promise(struct agent_scene *s, enum promise_kind kind)
{
    assert_true(s->count < PROMISES_MAX);
    struct promise *p = &s->promises[s->count];
    *p = (struct promise){.kind = kind};
    sim_disk_mark(s->disk, s->count++);
    return p;
}

static const struct model_config shape = {
    .vocab = 64, .seq = 16, .hidden = 16, .layers = 1, .heads = 2, .ffn = 64};

static struct checkpoint_position position(unsigned job, unsigned step)
{
    return (struct checkpoint_position){.step = step, .round_step = step, .stream = job};
}

/* What a model's arrays hold after a step, and room for a load. */
static void fill(struct weights *w, unsigned job, unsigned step)
{
    for (uint64_t i = 0; i < w->count; i++) {
        w->parameters[i] = (float)(i % 97) + (float)step;
        w->moment1[i] = (float)step * 0.5f;
        w->moment2[i] = (float)job;
    }
}

static void job_folder(unsigned job, char out[64])
{
    snprintf(out, 64, WORK "/jobs/%032u", job);
}

static void save(struct agent_scene *s, struct weights *w, unsigned job, unsigned step)
{
    struct checkpoint_position p = position(job, step);
    struct checkpoint_digests model, state;
    char dir[64];
    job_folder(job, dir);
    OK(env_dir_make(dir, &err));
    fill(w, job, step);
    OK(saves_write(dir, w, &p, &model, &state, &err));
    struct promise *x = promise(s, PROMISE_SAVE);
    x->job = job;
    x->step = step;
}

static int fetch(void *arg, const struct digest *d, const char *path, struct err *e)
{
    uint64_t moved = 0;
    return client_blob_get(arg, d, path, NULL, NULL, &moved, e);
}

/* What a job leaves behind goes into the cache, and its folder away. */
static void finish(struct agent_scene *s, struct cache *cache, unsigned job, unsigned blob)
{
    struct env_file_new f;
    char dir[64], path[128];
    job_folder(job, dir);
    snprintf(path, sizeof path, "%s/model.tar.zst", dir);
    OK(env_file_new_open(&f, path, 0600, &err));
    f.passing = true; /* as the runners write outputs */
    OK(env_file_new_write(&f, s->blobs[blob].data, s->blobs[blob].len, &err));
    OK(env_file_new_commit(&f, &err));
    OK(cache_adopt(cache, &s->blobs[blob].digest, path, &err));
    promise(s, PROMISE_REMOVED)->job = job;
    job_folder_remove(dir);
}

/* The blobs that a job gives. */
static unsigned output_of(unsigned job, unsigned i)
{
    return job == 4 ? 6 + i : 1 + i;
}

/* A job has run: its outputs are there, and are kept until they are delivered. */
static void give_result(struct agent_scene *s, unsigned job, double seconds)
{
    struct msg_fence fence = {1, job};
    struct msg_grant g = {.job = job,
                          .run = "demo",
                          .kind = JOB_TRAIN,
                          .spec = s->blobs[0].digest,
                          .lease_ms = 60000,
                          .vocab = 64,
                          .seq = 16,
                          .fence = &fence};
    struct job_result r = {.loss = 2.5, .seconds = seconds, .tokens = 7};
    char dir[64], path[128];
    job_folder(job, dir);
    OK(env_dir_make(dir, &err));
    for (unsigned i = 0; i < 2; i++) {
        struct env_file_new f;
        unsigned b = output_of(job, i);
        struct msg_blob blob = {.role = i ? ROLE_STATE : ROLE_MODEL,
                                .digest = s->blobs[b].digest,
                                .content = s->blobs[b].digest,
                                .bytes = s->blobs[b].len};
        snprintf(path, sizeof path, "%s/output-%u", dir, i);
        OK(env_file_new_open(&f, path, 0600, &err));
        f.passing = true;
        OK(env_file_new_write(&f, s->blobs[b].data, s->blobs[b].len, &err));
        OK(env_file_new_commit(&f, &err));
        OK(job_add_output(&r, &blob, path, &err));
    }
    OK(spool_write(dir, &g, &r, &err));
    if (seconds > 1) /* what was computed in less may be computed again */
        promise(s, PROMISE_RESULT)->job = job;
    job_result_free(&r);
}

static void deliver(struct agent_scene *s, struct cache *cache, unsigned job)
{
    char dir[64], path[128];
    job_folder(job, dir);
    promise(s, PROMISE_REMOVED)->job = job;
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/output-%u", dir, i);
        OK(cache_adopt(cache, &s->blobs[output_of(job, i)].digest, path, &err));
    }
    job_folder_remove(dir);
}

static void start(struct identity *id, struct cache **cache)
{
    OK(env_dir_make(WORK, &err));
    OK(identity_load(WORK, id, &err));
    OK(cache_open(cache, CACHE, CACHE_MAX, &err));
}

static void keep_token(struct agent_scene *s, struct identity *id, unsigned which)
{
    OK(identity_keep_token(WORK, id, s->tokens[which], &err));
    snprintf(promise(s, PROMISE_TOKEN)->text, 80, "%s", s->tokens[which]);
}

static struct client *connect_client(void)
{
    struct client *c;
    OK(client_open(&c, &(struct client_options){.url = "http://coordinator:1"}, &err));
    return c;
}

static void play(struct agent_scene *s, struct weights *w)
{
    struct identity id;
    struct cache *cache;
    struct client *c = connect_client();
    const char *path;
    start(&id, &cache);
    snprintf(promise(s, PROMISE_IDENTITY)->text, 80, "%s", id.hex);
    keep_token(s, &id, 0);
    for (unsigned i = 0; i < 3; i++)
        OK(cache_get(cache, &s->blobs[i].digest, s->blobs[i].len, fetch, c, &path, &err));
    for (unsigned step = 10; step <= 40; step += 10)
        save(s, w, 1, step);
    finish(s, cache, 1, 3);
    cache_unpin_all(cache);
    OK(cache_get(cache, &s->blobs[3].digest, 0, fetch, c, &path, &err));
    save(s, w, 2, 5);
    give_result(s, 4, 100);
    give_result(s, 5, 0.5);
    cache_close(cache);
    sim_disk_kill(s->disk); /* and is started again */
    start(&id, &cache);
    keep_token(s, &id, 1);
    OK(cache_get(cache, &s->blobs[1].digest, 0, fetch, c, &path, &err));
    OK(cache_get(cache, &s->blobs[4].digest, 0, fetch, c, &path, &err));
    save(s, w, 2, 15);
    save(s, w, 3, 7);
    deliver(s, cache, 4);
    finish(s, cache, 2, 5);
    give_result(s, 2, 100);
    save(s, w, 3, 17);
    cache_close(cache);
    client_close(c);
}

static void weights_make(struct weights *w)
{
    *w = (struct weights){.config = shape, .count = model_parameters(&shape)};
    w->parameters = calloc(w->count, sizeof(float));
    w->moment1 = calloc(w->count, sizeof(float));
    w->moment2 = calloc(w->count, sizeof(float));
}

static void weights_drop(struct weights *w)
{
    free(w->parameters);
    free(w->moment1);
    free(w->moment2);
}

void agent_scene_play(struct agent_scene *s)
{
    struct weights w;
    *s = (struct agent_scene){.disk = sim_disk_create(1), .tokens = {"token-one", "token-two"}};
    server = s;
    machine_use(s->disk);
    machine_seed(1);
    s->journal = sim_disk_record(s->disk);
    for (unsigned i = 0; i < SCENE_BLOBS; i++) {
        s->blobs[i].len = 3000 + 9000 * i;
        s->blobs[i].data = malloc(s->blobs[i].len);
        for (size_t k = 0; k < s->blobs[i].len; k++)
            s->blobs[i].data[k] = (uint8_t)(k * (2 * i + 1) >> 3);
        digest_of(s->blobs[i].data, s->blobs[i].len, &s->blobs[i].digest);
    }
    weights_make(&w);
    play(s, &w);
    weights_drop(&w);
}

bool agent_scene_find_owed(bool deliver)
{
    struct msg_grant g;
    struct job_result r;
    struct arena a;
    char *dir;
    arena_init(&a, 1u << 20);
    bool found = spool_find(WORK "/jobs", &dir, &g, &a, &r);
    if (found) {
        if (deliver)
            spool_keep(dir);
        free(dir);
        job_result_free(&r);
    }
    arena_free(&a);
    return found;
}

void agent_scene_free(struct agent_scene *s)
{
    for (unsigned i = 0; i < SCENE_BLOBS; i++)
        free(s->blobs[i].data);
    sim_disk_destroy(s->disk);
}

/* --- checking
 * ---------------------------------------------------------------------------------------------- */

static bool check_identity(const struct agent_scene *s, size_t acknowledged, char *why, size_t cap)
{
    struct identity id;
    unsigned oldest = 0, k = 0;
    bool kept = false;
    if (env_dir_make(WORK, &err) || identity_load(WORK, &id, &err))
        return snprintf(why, cap, "%s", err.message), false;
    for (size_t i = 0; i < acknowledged; i++) {
        const struct promise *p = &s->promises[i];
        if (p->kind == PROMISE_IDENTITY && strcmp(p->text, id.hex) != 0)
            return snprintf(why, cap, "another identity"), false;
        for (; p->kind == PROMISE_TOKEN && strcmp(p->text, s->tokens[oldest]) != 0;)
            oldest++;
        kept |= p->kind == PROMISE_TOKEN;
    }
    for (k = oldest; k < 2 && strcmp(id.token, s->tokens[k]) != 0;)
        k++;
    if (kept ? k == 2 : k == 2 && id.token[0])
        return snprintf(why, cap, "the token is '%s'", id.token), false;
    return true;
}

/* The newest save is not older than the promised one, and is what was trained, bit for bit. */
static bool check_saves(const struct agent_scene *s, size_t acknowledged, unsigned job, char *why,
                        size_t cap)
{
    struct checkpoint_position like = position(job, 0), p;
    struct checkpoint_digests model, state;
    struct weights w, expected;
    unsigned promised = 0;
    bool found = false, right = true;
    char dir[64];
    for (size_t i = 0; i < acknowledged; i++)
        if (s->promises[i].job == job && s->promises[i].kind != PROMISE_RESULT)
            promised = s->promises[i].kind == PROMISE_SAVE ? s->promises[i].step : 0;
    job_folder(job, dir);
    if (!env_dir_exists(dir))
        return promised == 0 || (snprintf(why, cap, "the folder of job %u is gone", job), false);
    weights_make(&w);
    weights_make(&expected);
    if (saves_load(dir, &like, 0, 1000, &w, &p, &found, &err) || (promised && !found)) {
        snprintf(why, cap, "job %u: the save of step %u is gone", job, promised);
        right = false;
    } else if (found && p.step < promised) {
        snprintf(why, cap, "job %u: step %u was saved, %u is loaded", job, promised,
                 (unsigned)p.step);
        right = false;
    } else if (found) {
        size_t bytes = w.count * sizeof(float);
        fill(&expected, job, (unsigned)p.step);
        right = !memcmp(w.parameters, expected.parameters, bytes) &&
                !memcmp(w.moment1, expected.moment1, bytes) &&
                !memcmp(w.moment2, expected.moment2, bytes);
        if (!right)
            snprintf(why, cap, "job %u: step %u is loaded with other weights", job,
                     (unsigned)p.step);
    }
    /* It goes on: another save can be made in the same folder. */
    like.step = like.round_step = 100;
    if (right && saves_write(dir, &w, &like, &model, &state, &err)) {
        snprintf(why, cap, "job %u cannot save any more: %s", job, err.message);
        right = false;
    }
    weights_drop(&expected);
    weights_drop(&w);
    return right;
}

static bool is_promised(const struct agent_scene *s, size_t acknowledged, unsigned job)
{
    bool promised = false;
    for (size_t i = 0; i < acknowledged; i++)
        if (s->promises[i].job == job && s->promises[i].kind != PROMISE_SAVE)
            promised = s->promises[i].kind == PROMISE_RESULT;
    return promised;
}

static bool same_file(const char *path, const uint8_t *data, size_t len)
{
    struct buf b;
    if (env_file_read(path, CACHE_MAX, &b, &err))
        return false;
    bool same = b.len == len && memcmp(b.data, data, len) == 0;
    buf_free(&b);
    return same;
}

/* Results that are owed are there, and what is there is what was computed. */
static bool check_results(const struct agent_scene *s, size_t acknowledged, char *why, size_t cap)
{
    bool found[SCENE_JOBS + 1] = {false}, right = true;
    struct msg_grant g;
    struct job_result r;
    struct arena a;
    char *dir;
    arena_init(&a, 1u << 20);
    while (right && spool_find(WORK "/jobs", &dir, &g, &a, &r)) {
        unsigned job = (unsigned)g.job;
        right = job <= SCENE_JOBS && !found[job] && r.count == 2 && g.fence &&
                g.fence->counter == job && r.loss == 2.5;
        for (unsigned i = 0; right && i < 2; i++)
            right = same_file(r.outputs[i].path, s->blobs[output_of(job, i)].data,
                              s->blobs[output_of(job, i)].len);
        if (!right)
            snprintf(why, cap, "job %u would deliver something else", job);
        else
            found[job] = true;
        spool_keep(dir);
        job_result_free(&r);
        free(dir);
    }
    arena_free(&a);
    for (unsigned job = 1; right && job <= SCENE_JOBS; job++)
        if (is_promised(s, acknowledged, job) && !found[job]) {
            snprintf(why, cap, "what job %u gave is gone", job);
            right = false;
        }
    return right;
}

/* Whatever the cache hands out has the bytes of its name. */
static bool check_cache(const struct agent_scene *s, char *why, size_t cap)
{
    struct cache *cache = NULL;
    struct client *c = connect_client();
    const char *path;
    int rc = cache_open(&cache, CACHE, CACHE_MAX, &err);
    bool right = true;
    for (unsigned i = 0; !rc && right && i < SCENE_BLOBS; i++) {
        rc = cache_get(cache, &s->blobs[i].digest, 0, fetch, c, &path, &err);
        if (rc == ERR_DIGEST) /* of a part that was damaged: gone now, and the agent tries again */
            rc = cache_get(cache, &s->blobs[i].digest, 0, fetch, c, &path, &err);
        right = rc || same_file(path, s->blobs[i].data, s->blobs[i].len);
    }
    if (rc || !right)
        snprintf(why, cap, "cache: %s", rc ? err.message : "other bytes than the name's");
    cache_close(cache);
    client_close(c);
    return !rc && right;
}

/* Power goes again: who has joined under an identity must keep it. */
static bool check_stays(char *why, size_t cap)
{
    struct identity seen, left;
    if (identity_load(WORK, &seen, &err))
        return snprintf(why, cap, "%s", err.message), false;
    sim_disk_power_loss(sim_disk_current(), SIM_DISK_LOSS_ALL, 0);
    if (identity_load(WORK, &left, &err))
        return snprintf(why, cap, "%s", err.message), false;
    return strcmp(seen.hex, left.hex) == 0 ||
           (snprintf(why, cap, "the identity that was found is gone"), false);
}

/* Of a folder just made, whose maker died before it was synced, nothing lasts on this disk, which
 * is stricter there than real ones: they write a folder's name with what is synced in it. */
static bool folder_is_durable(void)
{
    struct sim_disk *copy = sim_disk_clone(sim_disk_current(), 0);
    struct sim_disk_stat st;
    sim_disk_power_loss(copy, SIM_DISK_LOSS_ALL, 0);
    bool is = sim_disk_stat(copy, WORK, &st) == 0;
    sim_disk_destroy(copy);
    return is;
}

bool agent_scene_check(void *arg, size_t acknowledged, char *why, size_t cap)
{
    const struct agent_scene *s = arg;
    bool lasting = folder_is_durable();
    bool right =
        check_identity(s, acknowledged, why, cap) && check_results(s, acknowledged, why, cap);
    for (unsigned job = 1; right && job <= 3; job++)
        right = check_saves(s, acknowledged, job, why, cap);
    return right && check_cache(s, why, cap) && (!lasting || check_stays(why, cap));
}
