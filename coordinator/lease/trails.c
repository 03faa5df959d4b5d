#include "coordinator/lease/trails.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/thread.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/lease/watchdog.h"

#define BUCKETS 4096u
#define KINDS 64          /* kinds of jobs whose step times are known; the oldest goes */
#define OVERLAP_BYTES 256 /* of a tail's end, looked for in what follows */
#define KEPT_BYTES 1024   /* of a log that has been written, to see what is repeated */

struct trail {
    struct trail *next;
    struct trail_key key;
    uint64_t step_heard, step, version, written, round;
    uint64_t before; /* the step that earlier attempts came to */
    double loss_first, loss;
    int phase;
    int64_t phase_ms, seen_ms, quiet_ms, told_ms; /* told_ms: 0: not told to restart */
    bool ending, hung, stepped;
    struct watch_pace pace;
    unsigned patience;
    char *log;                /* NULL: none yet */
    struct msg_point *points; /* of the learning curve, not written yet; NULL: none yet */
    uint32_t point_count;
};

struct kind_pace {
    uint64_t run;
    int kind, target;
    uint64_t used;
    struct watch_pace pace;
};

struct trails {
    struct env_mutex mutex; /* guards everything; nothing is called while it is held */
    struct trail *buckets[BUCKETS];
    struct kind_pace kinds[KINDS];
    uint64_t clock, round;
};

int trails_create(struct trails **out, struct err *e)
{
    struct trails *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "no memory for the trails of attempts");
    env_mutex_init(&t->mutex);
    *out = t;
    return 0;
}

static void trail_free(struct trail *r)
{
    free(r->log);
    free(r->points);
    free(r);
}

void trails_destroy(struct trails *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        while (t->buckets[i]) {
            struct trail *r = t->buckets[i];
            t->buckets[i] = r->next;
            trail_free(r);
        }
    env_mutex_destroy(&t->mutex);
    free(t);
}

/* --- logs --------------------------------------------------------------------------------------
 */

/* How many bytes at the start of more are at old's end already. */
static size_t repeated(const char *old, size_t old_len, const char *more, size_t more_len)
{
    for (size_t at = 0; at < old_len;) { /* its last lines are how more begins */
        size_t n = old_len - at;
        if (n <= more_len && memcmp(old + at, more, n) == 0)
            return n;
        const char *line = memchr(old + at, '\n', n);
        if (!line)
            break;
        at = (size_t)(line - old) + 1;
    }
    size_t end = old_len < OVERLAP_BYTES ? old_len : OVERLAP_BYTES, found = 0;
    for (const char *at = more; end > 0 && (size_t)(more + more_len - at) >= end; at++) {
        at = memmem(at, (size_t)(more + more_len - at), old + old_len - end, end);
        if (!at)
            break;
        found = (size_t)(at - more) + end;
    }
    return found;
}

void trail_join(const char *old, const char *more, char out[PROTOCOL_TAIL_MAX + 1])
{
    size_t old_len = old ? strlen(old) : 0, more_len = more ? strlen(more) : 0;
    size_t skip = old_len && more_len ? repeated(old, old_len, more, more_len) : 0;
    more_len -= skip;
    bool line = skip == 0 && old_len > 0 && more_len > 0 && old[old_len - 1] != '\n';
    size_t most = PROTOCOL_TAIL_MAX;
    if (more_len > most) {
        skip += more_len - most;
        more_len = most;
    }
    size_t room = most - more_len, kept = old_len + line <= room ? old_len
                                          : room > line          ? room - line
                                                                 : 0;
    bool cut = kept < old_len || (skip > 0 && old_len == 0);
    char *at = out;
    if (kept > 0) {
        memmove(at, old + old_len - kept, kept);
        at += kept;
        if (line)
            *at++ = '\n';
    }
    if (more_len > 0)
        memcpy(at, more + skip, more_len);
    at[more_len] = 0;
    char *first = cut ? strchr(out, '\n') : NULL; /* no half line in front */
    if (first && first[1])
        memmove(out, first + 1, strlen(first + 1) + 1);
}

static void keep_log(struct trail *r, const char *more)
{
    char joined[PROTOCOL_TAIL_MAX + 1];
    if (!more || !*more)
        return;
    trail_join(r->log, more, joined);
    if (r->log && strcmp(joined, r->log) == 0)
        return;
    char *grown = realloc(r->log, strlen(joined) + 1);
    if (!grown)
        return;
    r->log = strcpy(grown, joined);
    r->version++;
}

/* What begins before the end of what is there takes its place: the job went on from a save. Where
 * there is no memory, the curve has a gap. */
static void keep_points(struct trail *r, const struct msg_point *more, uint32_t count)
{
    if (count == 0)
        return;
    if (!r->points && !(r->points = malloc(TRAIL_POINTS_MAX * sizeof *r->points)))
        return;
    while (r->point_count > 0 && r->points[r->point_count - 1].step >= more[0].step)
        r->point_count--;
    uint32_t room = TRAIL_POINTS_MAX - r->point_count;
    count = count < room ? count : room;
    memcpy(r->points + r->point_count, more, count * sizeof *more);
    r->point_count += count;
    r->version++;
}

/* --- finding -----------------------------------------------------------------------------------
 */

static struct trail **find(struct trails *t, uint64_t job, const struct msg_fence *f)
{
    struct trail **at = &t->buckets[job % BUCKETS];
    while (*at && ((*at)->key.job != job || lease_fence_compare(&(*at)->key.fence, f) != 0))
        at = &(*at)->next;
    return at;
}

/* A new attempt takes over what was seen of the job before. */
static struct trail *add(struct trails *t, const struct trail_key *k, int64_t now_ms)
{
    struct trail *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->key = *k;
    r->loss_first = r->loss = NAN;
    r->seen_ms = r->phase_ms = now_ms;
    for (const struct trail *o = t->buckets[k->job % BUCKETS]; o; o = o->next)
        if (o->key.job == k->job) {
            if (o->pace.count > r->pace.count)
                r->pace = o->pace;
            if (o->patience > r->patience)
                r->patience = o->patience;
            if (o->step_heard > r->before)
                r->before = o->step_heard;
            if (o->before > r->before)
                r->before = o->before;
        }
    r->next = t->buckets[k->job % BUCKETS];
    t->buckets[k->job % BUCKETS] = r;
    return r;
}

/* make: takes the place of the one that was used longest ago. */
static struct watch_pace *kind_of(struct trails *t, const struct trail_key *k, bool make)
{
    struct kind_pace *oldest = &t->kinds[0];
    for (unsigned i = 0; i < KINDS; i++) {
        struct kind_pace *p = &t->kinds[i];
        if (p->used && p->run == k->run && p->kind == k->kind && p->target == k->target) {
            p->used = ++t->clock;
            return &p->pace;
        }
        if (p->used < oldest->used)
            oldest = p;
    }
    if (!make)
        return NULL;
    *oldest =
        (struct kind_pace){.run = k->run, .kind = k->kind, .target = k->target, .used = ++t->clock};
    return &oldest->pace;
}

/* --- steps -------------------------------------------------------------------------------------
 */

static void count_steps(struct trails *t, struct trail *r, uint64_t step, int64_t heard_ms)
{
    r->quiet_ms += heard_ms;
    if (step == r->step)
        return;
    /* Backwards, or from a save's step: not done in this time. */
    if (step > r->step && r->stepped) {
        double each = (double)r->quiet_ms / (double)(step - r->step);
        watch_pace_add(&r->pace, each);
        watch_pace_add(kind_of(t, &r->key, true), each);
    }
    r->stepped = true;
    r->step = step;
    r->quiet_ms = r->told_ms = 0;
    r->hung = false;
}

static enum trail_verdict judge(struct trails *t, struct trail *r, uint64_t total, int64_t now_ms)
{
    uint64_t end = r->key.last ? r->key.last : total;
    bool last = end > 0 && r->step >= end;
    if (r->phase == PHASE_FETCHING || r->phase == PHASE_UPLOADING) {
        r->quiet_ms = r->told_ms = 0; /* how long these take is the network's business */
        return TRAIL_WELL;
    }
    enum watch_stage stage = r->phase == PHASE_SAVING || last ? WATCH_SAVING
                             : r->stepped                     ? WATCH_STEPPING
                                                              : WATCH_LOADING;
    if (r->quiet_ms <= watch_limit_ms(&r->pace, kind_of(t, &r->key, false), stage, r->patience))
        return TRAIL_WELL;
    if (r->told_ms == 0) {
        r->told_ms = now_ms > 0 ? now_ms : 1;
        r->patience += !r->stepped || r->step <= r->before;
        return TRAIL_STALLED;
    }
    return now_ms - r->told_ms > LEASE_MS ? TRAIL_HUNG : TRAIL_STALLED;
}

enum trail_verdict trails_beat(struct trails *t, const struct trail_key *k,
                               const struct msg_heartbeat *m, int64_t now_ms,
                               struct lease_progress *p, bool *news)
{
    *news = false;
    env_mutex_lock(&t->mutex);
    struct trail *r = *find(t, k->job, &k->fence);
    bool first = !r;
    if (first && !(r = add(t, k, now_ms))) {
        env_mutex_unlock(&t->mutex);
        p->phase_ms = now_ms;
        return TRAIL_WELL;
    }
    if (first)
        r->step = m->step;
    if (first || r->phase != m->phase)
        r->phase_ms = now_ms;
    r->phase = m->phase;
    bool was_told = r->told_ms != 0, was_hung = r->hung;
    count_steps(t, r, m->step, watch_heard_ms(now_ms - r->seen_ms));
    r->seen_ms = now_ms;
    if (m->step > r->step_heard)
        r->step_heard = m->step;
    if (!isnan(m->loss)) {
        r->loss_first = isnan(r->loss_first) ? m->loss : r->loss_first;
        r->loss = m->loss;
    }
    keep_log(r, m->log);
    if (k->kind == JOB_TRAIN || k->kind == JOB_TRAIN_ROUTER)
        keep_points(r, m->points, m->point_count);
    enum trail_verdict v = judge(t, r, m->total, now_ms);
    r->hung = v == TRAIL_HUNG;
    *news = (v == TRAIL_STALLED && !was_told) || (v == TRAIL_HUNG && !was_hung);
    p->phase = r->phase;
    p->phase_ms = r->phase_ms;
    p->stalled_ms = v == TRAIL_WELL ? 0 : r->quiet_ms;
    env_mutex_unlock(&t->mutex);
    return v;
}

bool trails_hung(struct trails *t, uint64_t job, const struct msg_fence *f)
{
    env_mutex_lock(&t->mutex);
    const struct trail *r = *find(t, job, f);
    bool hung = r && r->hung;
    env_mutex_unlock(&t->mutex);
    return hung;
}

bool trails_stalled(struct trails *t, uint64_t job, const struct msg_fence *f)
{
    env_mutex_lock(&t->mutex);
    const struct trail *r = *find(t, job, f);
    bool stalled = r && r->told_ms != 0;
    env_mutex_unlock(&t->mutex);
    return stalled;
}

/* --- into the database -------------------------------------------------------------------------
 */

static void copy(const struct trail *r, struct trail_copy *out)
{
    out->job = r->key.job;
    out->fence = r->key.fence;
    out->step = r->step_heard;
    out->phase = r->phase;
    out->loss_first = r->loss_first;
    out->loss = r->loss;
    out->version = r->version;
    strcpy(out->log, r->log ? r->log : "");
    out->point_count = r->point_count;
    if (r->point_count > 0)
        memcpy(out->points, r->points, r->point_count * sizeof *r->points);
}

bool trails_copy(struct trails *t, uint64_t job, const struct msg_fence *f, bool ending,
                 struct trail_copy *out)
{
    env_mutex_lock(&t->mutex);
    struct trail *r = *find(t, job, f);
    if (r) {
        copy(r, out);
        r->ending = r->ending || ending;
    }
    env_mutex_unlock(&t->mutex);
    return r != NULL;
}

void trails_round(struct trails *t)
{
    env_mutex_lock(&t->mutex);
    t->round++;
    env_mutex_unlock(&t->mutex);
}

unsigned trails_collect(struct trails *t, int64_t now_ms, struct trail_copy *out, unsigned cap)
{
    unsigned count = 0;
    env_mutex_lock(&t->mutex);
    for (unsigned i = 0; i < BUCKETS && count < cap; i++)
        for (struct trail *r = t->buckets[i]; r && count < cap; r = r->next) {
            bool wanted = r->version != r->written || r->ending || now_ms - r->seen_ms > LEASE_MS;
            if (!wanted || r->round == t->round)
                continue;
            r->round = t->round;
            copy(r, &out[count++]);
        }
    env_mutex_unlock(&t->mutex);
    return count;
}

/* Those that were written; what a rewinding has taken back meanwhile comes anew. */
static void forget_points(struct trail *r, const struct trail_copy *c)
{
    uint32_t n = 0;
    if (c->point_count == 0)
        return;
    while (n < r->point_count && r->points[n].step <= c->points[c->point_count - 1].step)
        n++;
    memmove(r->points, r->points + n, (r->point_count - n) * sizeof *r->points);
    r->point_count -= n;
}

void trails_written(struct trails *t, const struct trail_copy *c, bool over)
{
    env_mutex_lock(&t->mutex);
    struct trail **at = find(t, c->job, &c->fence), *r = *at;
    if (r && over) {
        *at = r->next;
        trail_free(r);
    } else if (r) {
        r->written = c->version;
        r->ending = false;
        forget_points(r, c);
        size_t len = r->log && r->version == r->written ? strlen(r->log) : 0;
        if (len > KEPT_BYTES) {
            const char *from = r->log + len - KEPT_BYTES, *line = strchr(from, '\n');
            from = line && line[1] ? line + 1 : from;
            memmove(r->log, from, strlen(from) + 1);
            char *less = realloc(r->log, strlen(r->log) + 1);
            r->log = less ? less : r->log;
        }
    }
    env_mutex_unlock(&t->mutex);
}
