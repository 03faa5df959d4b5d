#include "agent/heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/agent_log.h"
#include "core/env/clock.h"
#include "core/env/thread.h"

#define BEAT_FIRST_MS 1000    /* a job that lasts shows its progress soon */
#define BEAT_TIMEOUT_MS 15000 /* an answer that takes longer is as good as none */
#define BEAT_AGAIN_MS 3000    /* after a failure: before the lease runs out there are many tries */
#define BEAT_LOOK_MS 2000     /* after a heartbeat, and at three times that, nine times that … */
#define BEAT_ARENA (64u << 10)

struct heartbeat {
    struct env_thread thread;
    struct client *client; /* the thread's alone */
    /* Guards everything below, and writes to *progress's flags. Not held during an exchange. */
    struct env_mutex lock;
    struct env_cond wake; /* a job began, or the end */
    bool ending, active;
    bool token_is_new;
    char token[PROTOCOL_TOKEN_MAX + 1];
    uint64_t generation; /* of begin and end: what an exchange started for */
    uint64_t job, lease_ms;
    struct msg_fence fence;
    struct job_progress *progress;
    struct job_log *log;
    uint64_t told;        /* of the log: what the coordinator has */
    uint32_t points_told; /* and of the learning curve */
    int64_t linger_ms;
    int64_t due_ms;
    /* Whether the job is still at what the coordinator believes is looked at between heartbeats. */
    int phase;
    bool heard;                /* the coordinator has had a heartbeat of the job */
    uint64_t first_step, step; /* what it was told first, and last */
    int64_t beat_ms, look_ms;
    uint32_t denied; /* heartbeats in a row whose token was not taken */
};

/* One exchange for the job as it was when it began. Called without the lock. */
static int beat(struct heartbeat *h, uint64_t job, const struct msg_heartbeat *m,
                struct msg_command *command)
{
    char path[64];
    struct arena a;
    struct err e = {0};
    snprintf(path, sizeof path, "/v1/jobs/%" PRIu64 "/heartbeat", job);
    arena_init(&a, BEAT_ARENA);
    int rc = client_call(h->client, "POST", path, &message_heartbeat, m, &message_command, command,
                         &a, BEAT_TIMEOUT_MS, &e);
    arena_free(&a);
    return rc;
}

static void take_command(struct heartbeat *h, int rc, const struct msg_command *c)
{
    int64_t now = env_monotonic_ms();
    bool gone = rc == ERR_FENCED || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND;
    /* A stalled job restarts by being dropped and claimed again: this agent's saves stay. */
    bool stop = rc == 0 && (c->command == COMMAND_ABANDON || c->command == COMMAND_RESTART);
    if (gone || stop) {
        atomic_store(&h->progress->abandon, true);
        h->active = false;
    } else if (rc == 0) {
        h->denied = 0;
        if (c->command == COMMAND_HAND_OVER) { /* and the lease goes on until it is given back */
            atomic_store(&h->progress->hand_over, true);
        }
        if (c->lease_ms > 0) {
            h->lease_ms = c->lease_ms;
        }
        h->due_ms = now + (int64_t)(h->lease_ms / 3);
        h->beat_ms = now;
        h->look_ms = now + BEAT_LOOK_MS;
    } else {
        /* Twice, since a new token may just be on its way here: the agent is revoked, or must join
         * again. Its main thread finds out which once the job is put aside. */
        if (rc == ERR_DENIED && h->denied++ > 0) {
            atomic_store(&h->progress->hand_over, true);
        }
        uint32_t random;
        env_random(&random, sizeof random);
        h->due_ms = now + BEAT_AGAIN_MS / 2 + random % BEAT_AGAIN_MS;
    }
}

/* What the coordinator does not have yet, as much as a heartbeat takes. Points do not change once
 * they are counted, so they may be read without the lock. */
static struct msg_point *points_since(struct job_progress *p, uint32_t *told, uint32_t *count)
{
    uint32_t n = atomic_load_explicit(&p->point_count, memory_order_acquire);
    if (*told > n) { /* the job was tried again, and has begun its curve anew */
        *told = 0;
    }
    *count = n - *told < PROTOCOL_POINTS_MAX ? n - *told : PROTOCOL_POINTS_MAX;
    return p->points + *told;
}

/* Called with the lock held, which it gives up meanwhile. */
static void beat_once(struct heartbeat *h)
{
    uint64_t generation = h->generation, job = h->job;
    struct msg_fence fence = h->fence;
    struct msg_heartbeat m = {
        .fence = &fence,
        .step = atomic_load_explicit(&h->progress->step, memory_order_relaxed),
        .total = atomic_load_explicit(&h->progress->total, memory_order_relaxed),
        .loss = atomic_load_explicit(&h->progress->loss, memory_order_relaxed),
        .rate = atomic_load_explicit(&h->progress->rate, memory_order_relaxed),
        .phase = atomic_load_explicit(&h->progress->phase, memory_order_relaxed),
    };
    m.points = points_since(h->progress, &h->points_told, &m.point_count);
    char lines[PROTOCOL_LOG_MAX + 1];
    uint64_t told = h->told;
    if (h->log && job_log_since(h->log, &told, lines)) {
        m.log = lines;
    }
    if (h->linger_ms > 0) {
        client_linger(h->client, h->linger_ms - env_monotonic_ms());
        h->linger_ms = 0;
    }
    struct msg_command command = {0};
    if (h->token_is_new) {
        struct err e = {0};
        h->token_is_new = false;
        (void)!client_set_token(h->client, h->token, &e); /* refused tokens show as 401 */
    }
    env_mutex_unlock(&h->lock);
    int rc = beat(h, job, &m, &command);
    log_debug("heartbeat job=%" PRIu64 " step=%" PRIu64 " answer=%s", job, m.step, err_name(rc));
    env_mutex_lock(&h->lock);
    if (h->active && h->generation == generation) {
        h->told = rc == 0 ? told : h->told;
        h->points_told += rc == 0 ? m.point_count : 0;
        if (rc == 0) {
            h->first_step = h->heard ? h->first_step : m.step;
            h->heard = true;
        }
        h->step = m.step;
        h->phase = m.phase;
        h->look_ms = INT64_MAX;
        take_command(h, rc, &command);
    }
}

/* A new phase is told before its time, since what is shown of the job is to be true; and so is the
 * first step, since a job under which agents vanish before they do one is held to be at fault. */
static void look(struct heartbeat *h)
{
    uint64_t step = atomic_load_explicit(&h->progress->step, memory_order_relaxed);
    int phase = atomic_load_explicit(&h->progress->phase, memory_order_relaxed);
    if (phase != h->phase || (h->step == h->first_step && step > h->step)) {
        beat_once(h);
    } else {
        h->look_ms += 2 * (h->look_ms - h->beat_ms);
    }
}

static void heartbeat_main(void *arg)
{
    struct heartbeat *h = arg;
    env_mutex_lock(&h->lock);
    while (!h->ending) {
        if (!h->active) {
            env_cond_wait(&h->wake, &h->lock);
        } else if (env_monotonic_ms() >= h->due_ms) {
            beat_once(h);
        } else if (env_monotonic_ms() >= h->look_ms) {
            look(h);
        } else {
            int64_t until_ms = h->look_ms < h->due_ms ? h->look_ms : h->due_ms;
            (void)env_cond_wait_until(&h->wake, &h->lock, until_ms);
        }
    }
    env_mutex_unlock(&h->lock);
}

int heartbeat_create(struct heartbeat **out, const struct client_options *o, struct err *e)
{
    *out = NULL;
    struct heartbeat *h = calloc(1, sizeof *h);
    if (!h) {
        return err_set(e, ERR_NO_MEMORY, "no memory for the heartbeat");
    }
    int rc = client_open(&h->client, o, e);
    if (rc) {
        free(h);
        return rc;
    }
    env_mutex_init(&h->lock);
    env_cond_init(&h->wake);
    rc = env_thread_start(&h->thread, heartbeat_main, h, "the heartbeat's thread", e);
    if (rc) {
        client_close(h->client);
        free(h);
        return rc;
    }
    *out = h;
    return 0;
}

void heartbeat_destroy(struct heartbeat *h)
{
    if (!h) {
        return;
    }
    env_mutex_lock(&h->lock);
    h->ending = true;
    env_cond_signal(&h->wake);
    env_mutex_unlock(&h->lock);
    env_thread_join(&h->thread);
    client_close(h->client);
    env_mutex_destroy(&h->lock);
    env_cond_destroy(&h->wake);
    free(h);
}

void heartbeat_set_token(struct heartbeat *h, const char *token)
{
    env_mutex_lock(&h->lock);
    snprintf(h->token, sizeof h->token, "%s", token);
    h->token_is_new = true;
    env_mutex_unlock(&h->lock);
}

void heartbeat_begin(struct heartbeat *h, uint64_t job, const struct msg_fence *fence,
                     uint64_t lease_ms, struct job_progress *progress, struct job_log *log)
{
    int64_t third = (int64_t)(lease_ms / 3);
    env_mutex_lock(&h->lock);
    h->generation++;
    h->active = true;
    h->denied = 0;
    h->look_ms = INT64_MAX;
    h->heard = false;
    h->job = job;
    h->fence = *fence;
    h->lease_ms = lease_ms;
    h->progress = progress;
    h->log = log;
    h->told = h->points_told = 0;
    h->due_ms = env_monotonic_ms() + (third < BEAT_FIRST_MS ? third : BEAT_FIRST_MS);
    env_cond_signal(&h->wake);
    env_mutex_unlock(&h->lock);
}

void heartbeat_linger(struct heartbeat *h, int64_t until_ms)
{
    env_mutex_lock(&h->lock);
    h->linger_ms = until_ms;
    env_mutex_unlock(&h->lock);
}

void heartbeat_end(struct heartbeat *h)
{
    env_mutex_lock(&h->lock);
    h->generation++;
    h->active = false;
    h->progress = NULL;
    h->log = NULL;
    env_mutex_unlock(&h->lock);
}
