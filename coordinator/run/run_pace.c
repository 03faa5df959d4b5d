#include "coordinator/run/run_pace.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/thread.h"

#define SAMPLES 64    /* of a run: where they are full, every other one goes */
#define GAP_MS 60000  /* between two samples; what is longer counts as so long */
#define SPAN_MS 20000 /* of work: less says nothing about the pace */
#define SHARE_LEAST 1e-4
#define MARGIN 1.1 /* either way: no pace is kept exactly */

struct sample {
    int64_t worked_ms;
    double share;
};

struct pace {
    uint64_t run;
    int64_t seen_ms, worked_ms;
    struct sample samples[SAMPLES];
    unsigned count, every, skipped; /* one sample in `every` is kept */
    double share;                   /* the newest */
    struct pace *next;
};

struct run_paces {
    struct env_mutex mutex; /* guards the list */
    struct pace *first;
};

int run_paces_create(struct run_paces **out, struct err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_NO_MEMORY, "no memory for the paces of runs");
    env_mutex_init(&(*out)->mutex);
    return 0;
}

void run_paces_destroy(struct run_paces *p)
{
    if (!p)
        return;
    run_paces_keep(p, NULL, 0);
    env_mutex_destroy(&p->mutex);
    free(p);
}

static struct pace *find(struct run_paces *p, uint64_t run)
{
    struct pace *one = p->first;
    while (one && one->run != run)
        one = one->next;
    return one;
}

static void keep_sample(struct pace *one)
{
    if (one->count == SAMPLES) {
        for (unsigned i = 0; i < SAMPLES / 2; i++)
            one->samples[i] = one->samples[2 * i];
        one->count = SAMPLES / 2;
        one->every *= 2;
    }
    if (++one->skipped < one->every && one->count > 0)
        return;
    one->skipped = 0;
    one->samples[one->count++] = (struct sample){one->worked_ms, one->share};
}

void run_paces_note(struct run_paces *p, uint64_t run, double share, bool busy, int64_t now_ms)
{
    env_mutex_lock(&p->mutex);
    struct pace *one = find(p, run);
    if (!one && (one = calloc(1, sizeof *one)) != NULL) {
        *one = (struct pace){.run = run, .seen_ms = now_ms, .every = 1, .next = p->first};
        p->first = one;
    }
    if (one) {
        int64_t passed = now_ms - one->seen_ms;
        /* Work that was undone (a rollback, a lease that ran out) is no pace. */
        if (share < one->share)
            one->count = 0;
        one->worked_ms += !busy ? 0 : passed < GAP_MS ? passed : GAP_MS;
        one->seen_ms = now_ms;
        one->share = share;
        if (busy)
            keep_sample(one);
    }
    env_mutex_unlock(&p->mutex);
}

/* Share a second since sample i; 0 where too little was done since then. */
static double rate_since(const struct pace *one, unsigned i)
{
    int64_t took = one->worked_ms - one->samples[i].worked_ms;
    double gained = one->share - one->samples[i].share;
    return took < SPAN_MS || gained < SHARE_LEAST ? 0 : gained / ((double)took / 1000);
}

bool run_paces_left(struct run_paces *p, uint64_t run, double *least_s, double *most_s)
{
    double fast = 0, slow = 0, left = 0;
    if (!p)
        return false;
    env_mutex_lock(&p->mutex);
    const struct pace *one = find(p, run);
    if (one && one->count > 0) {
        /* All that was seen, its last half, its last eighth: runs change their pace with their
         * phases, and with who comes and goes. */
        const unsigned parts[] = {1, 2, 8};
        left = 1 - one->share;
        for (int k = 0; k < 3; k++) {
            double rate = rate_since(one, one->count - 1 - (one->count - 1) / parts[k]);
            fast = rate > fast ? rate : fast;
            slow = rate > 0 && (slow == 0 || rate < slow) ? rate : slow;
        }
    }
    env_mutex_unlock(&p->mutex);
    if (slow <= 0)
        return false;
    *least_s = left / fast / MARGIN;
    *most_s = left / slow * MARGIN;
    return true;
}

void run_paces_keep(struct run_paces *p, const uint64_t *runs, uint32_t count)
{
    env_mutex_lock(&p->mutex);
    for (struct pace **at = &p->first; *at;) {
        struct pace *one = *at;
        bool kept = false;
        for (uint32_t i = 0; i < count; i++)
            kept |= runs[i] == one->run;
        if (kept) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        free(one);
    }
    env_mutex_unlock(&p->mutex);
}
