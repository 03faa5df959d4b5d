#include "coordinator/lease/lease_clock.h"

#include <stdlib.h>
#include "core/env/thread.h"
#include "coordinator/lease/trails.h"

#define BUCKETS 4096u /* chains stay short with tens of thousands of agents */

struct job_entry {
    struct job_entry *next;
    struct lease_due due;
    int64_t due_ms;
    bool has_progress;
    struct lease_progress progress;
};

struct agent_entry {
    struct agent_entry *next;
    uint64_t agent, benched_ms; /* benched_ms: which bench until_ms is of */
    int64_t seen_ms, until_ms;
};

struct lease_clock {
    struct trails *trails;
    struct env_mutex mutex; /* guards everything; nothing is called while it is held */
    bool started;
    int64_t notes_ms; /* when the attempts' notes were last written */
    int64_t rests_ms; /* when pauses were last looked at */
    struct job_entry *jobs[BUCKETS];
    struct agent_entry *agents[BUCKETS];
};

int lease_clock_create(struct lease_clock **out, struct err *e)
{
    struct lease_clock *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NO_MEMORY, "no memory for the leases");
    int rc = trails_create(&l->trails, e);
    if (rc) {
        free(l);
        return rc;
    }
    env_mutex_init(&l->mutex);
    *out = l;
    return 0;
}

void lease_clock_destroy(struct lease_clock *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < BUCKETS; i++) {
        while (l->jobs[i]) {
            struct job_entry *j = l->jobs[i];
            l->jobs[i] = j->next;
            free(j);
        }
        while (l->agents[i]) {
            struct agent_entry *a = l->agents[i];
            l->agents[i] = a->next;
            free(a);
        }
    }
    env_mutex_destroy(&l->mutex);
    trails_destroy(l->trails);
    free(l);
}

struct trails *lease_clock_trails(struct lease_clock *l)
{
    return l->trails;
}

bool lease_clock_notes_due(struct lease_clock *l, int64_t now_ms)
{
    env_mutex_lock(&l->mutex);
    bool due = now_ms - l->notes_ms >= LEASE_NOTES_MS;
    if (due)
        l->notes_ms = now_ms;
    env_mutex_unlock(&l->mutex);
    return due;
}

bool lease_clock_rests_due(struct lease_clock *l, int64_t now_ms)
{
    env_mutex_lock(&l->mutex);
    bool due = now_ms - l->rests_ms >= LEASE_RESTS_MS;
    if (due)
        l->rests_ms = now_ms;
    env_mutex_unlock(&l->mutex);
    return due;
}

int lease_fence_compare(const struct msg_fence *a, const struct msg_fence *b)
{
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return a->counter < b->counter ? -1 : a->counter > b->counter;
}

/* Where the pointer to the job's entry is, or to the NULL at its chain's end. */
static struct job_entry **find_job(struct lease_clock *l, uint64_t job)
{
    struct job_entry **at = &l->jobs[job % BUCKETS];
    while (*at && (*at)->due.job != job)
        at = &(*at)->next;
    return at;
}

static int set_entry(struct lease_clock *l, const struct lease_due *d, int64_t due_ms,
                     const struct lease_progress *p, struct err *e)
{
    env_mutex_lock(&l->mutex);
    struct job_entry **at = find_job(l, d->job), *j = *at;
    if (!j) {
        j = *at = calloc(1, sizeof *j);
        if (j)
            j->due = *d;
    }
    if (j && lease_fence_compare(&d->fence, &j->due.fence) >= 0) {
        j->due = *d;
        j->due_ms = due_ms;
        j->has_progress = p != NULL;
        if (p)
            j->progress = *p;
    }
    env_mutex_unlock(&l->mutex);
    return j ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a lease");
}

int lease_clock_lease(struct lease_clock *l, uint64_t job, const struct msg_fence *fence,
                      int64_t due_ms, const struct lease_progress *p, struct err *e)
{
    return set_entry(l, &(struct lease_due){job, false, *fence}, due_ms, p, e);
}

int lease_clock_backoff(struct lease_clock *l, uint64_t job, const struct msg_fence *fence,
                        int64_t due_ms, struct err *e)
{
    return set_entry(l, &(struct lease_due){job, true, *fence}, due_ms, NULL, e);
}

/* NULL without memory, where it was not known: lists say less, no more. */
static struct agent_entry *agent_entry(struct lease_clock *l, uint64_t agent)
{
    struct agent_entry **at = &l->agents[agent % BUCKETS];
    while (*at && (*at)->agent != agent)
        at = &(*at)->next;
    if (!*at && (*at = calloc(1, sizeof **at))) {
        (*at)->agent = agent;
        (*at)->seen_ms = -1;
    }
    return *at;
}

void lease_clock_seen(struct lease_clock *l, uint64_t agent, int64_t now_ms)
{
    env_mutex_lock(&l->mutex);
    struct agent_entry *a = agent_entry(l, agent);
    if (a)
        a->seen_ms = now_ms;
    env_mutex_unlock(&l->mutex);
}

static bool is_in(uint64_t agent, const uint64_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == agent)
            return true;
    return false;
}

unsigned lease_clock_alive(struct lease_clock *l, int64_t since_ms, uint64_t but,
                           const uint64_t *except, uint32_t count)
{
    unsigned alive = 0;
    env_mutex_lock(&l->mutex);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct agent_entry *a = l->agents[i]; a; a = a->next)
            alive += a->seen_ms >= 0 && a->seen_ms >= since_ms && a->agent != but &&
                     !is_in(a->agent, except, count);
    env_mutex_unlock(&l->mutex);
    return alive;
}

unsigned lease_agents_alive(struct lease_clock *l, int64_t since_ms)
{
    return lease_clock_alive(l, since_ms, 0, NULL, 0);
}

int64_t lease_clock_bench(struct lease_clock *l, uint64_t agent, uint64_t benched_ms,
                          int64_t now_ms, int64_t bench_ms)
{
    int64_t left = bench_ms;
    env_mutex_lock(&l->mutex);
    struct agent_entry *a = agent_entry(l, agent);
    if (a && a->benched_ms != benched_ms) {
        a->benched_ms = benched_ms;
        a->until_ms = now_ms + bench_ms;
    } else if (a) {
        left = a->until_ms - now_ms;
    }
    env_mutex_unlock(&l->mutex);
    return left;
}

size_t lease_clock_due(struct lease_clock *l, int64_t now_ms, struct lease_due *out, size_t cap,
                       int64_t *next_ms)
{
    size_t count = 0;
    *next_ms = INT64_MAX;
    env_mutex_lock(&l->mutex);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct job_entry *j = l->jobs[i]; j; j = j->next) {
            if (j->due_ms <= now_ms && count < cap)
                out[count++] = j->due;
            else if (j->due_ms < *next_ms)
                *next_ms = j->due_ms < now_ms ? now_ms : j->due_ms;
        }
    env_mutex_unlock(&l->mutex);
    return count;
}

static bool entry_is_due(const struct job_entry *j, const struct lease_due *d, int64_t now_ms)
{
    return j && j->due_ms <= now_ms && j->due.backoff == d->backoff &&
           lease_fence_compare(&j->due.fence, &d->fence) == 0;
}

bool lease_clock_still_due(struct lease_clock *l, const struct lease_due *d, int64_t now_ms)
{
    env_mutex_lock(&l->mutex);
    bool due = entry_is_due(*find_job(l, d->job), d, now_ms);
    env_mutex_unlock(&l->mutex);
    return due;
}

void lease_clock_forget(struct lease_clock *l, const struct lease_due *d, int64_t now_ms)
{
    env_mutex_lock(&l->mutex);
    struct job_entry **at = find_job(l, d->job), *j = *at;
    if (entry_is_due(j, d, now_ms)) {
        *at = j->next;
        free(j);
    }
    env_mutex_unlock(&l->mutex);
}

static bool set_started(struct lease_clock *l, bool started)
{
    env_mutex_lock(&l->mutex);
    bool before = l->started;
    l->started = started;
    env_mutex_unlock(&l->mutex);
    return before;
}

bool lease_clock_start(struct lease_clock *l)
{
    return !set_started(l, true);
}

void lease_clock_start_again(struct lease_clock *l)
{
    set_started(l, false);
}

bool lease_progress_of(struct lease_clock *l, uint64_t job, struct lease_progress *out)
{
    env_mutex_lock(&l->mutex);
    const struct job_entry *j = *find_job(l, job);
    bool found = j && j->has_progress;
    if (found)
        *out = j->progress;
    env_mutex_unlock(&l->mutex);
    return found;
}

uint32_t lease_jobs_heard(struct lease_clock *l, int64_t since_ms, uint64_t *jobs, uint32_t cap)
{
    uint32_t count = 0;
    env_mutex_lock(&l->mutex);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (const struct job_entry *j = l->jobs[i]; j; j = j->next) {
            if (!j->has_progress || j->progress.seen_ms < since_ms)
                continue;
            if (count < cap)
                jobs[count] = j->due.job;
            count++;
        }
    env_mutex_unlock(&l->mutex);
    return count;
}

int64_t lease_agent_seen(struct lease_clock *l, uint64_t agent)
{
    int64_t seen = -1;
    env_mutex_lock(&l->mutex);
    for (const struct agent_entry *a = l->agents[agent % BUCKETS]; a; a = a->next)
        if (a->agent == agent)
            seen = a->seen_ms;
    env_mutex_unlock(&l->mutex);
    return seen;
}

int64_t lease_bench_until(struct lease_clock *l, uint64_t agent)
{
    int64_t until = -1;
    env_mutex_lock(&l->mutex);
    for (const struct agent_entry *a = l->agents[agent % BUCKETS]; a; a = a->next)
        if (a->agent == agent && a->benched_ms)
            until = a->until_ms;
    env_mutex_unlock(&l->mutex);
    return until;
}
