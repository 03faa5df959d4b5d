#include "ops/cli/overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"

#define OVERVIEW_BYTES (256u << 20) /* ten thousand agents and a thousand models are a tenth */
#define HOUR_MS (3600 * (int64_t)1000)
#define PAGE 1000
#define PAGES_MAX 8

/* Where one look is. */
struct look {
    struct client *client;
    const struct overview_want *want;
    struct overview *s;
    long timeout_ms;
    struct err *e;
};

static int call(struct look *l, const char *path, const struct message *m, void *out)
{
    if (!path)
        return err_set(l->e, ERR_NO_MEMORY, "no memory for a path");
    return client_call(l->client, "GET", path, NULL, NULL, m, out, &l->s->arena, l->timeout_ms,
                       l->e);
}

static int list(struct look *l, const char *path, const struct message *m, void **items,
                uint32_t *count)
{
    if (!path)
        return err_set(l->e, ERR_NO_MEMORY, "no memory for a path");
    return client_get_array(l->client, path, m, items, count, &l->s->arena, l->e);
}

static int get_jobs(struct look *l)
{
    static const char *const states[] = {"quarantined", "leased", "backing%20off", "waiting"};
    struct overview *s = l->s;
    int rc = 0;
    s->jobs = arena_alloc_array(&s->arena, 4 * OVERVIEW_JOBS, sizeof *s->jobs);
    if (!s->jobs)
        return err_set(l->e, ERR_NO_MEMORY, "no memory for jobs");
    for (int i = 0; !rc && i < 4; i++) {
        struct msg_job *some;
        uint32_t count = 0;
        rc =
            list(l, arena_printf(&s->arena, "/v1/jobs?limit=%d&state=%s", OVERVIEW_JOBS, states[i]),
                 &message_job, (void **)&some, &count);
        /* Those that back off wait, too. */
        for (uint32_t k = 0; !rc && k < count && k < OVERVIEW_JOBS; k++)
            if (i < 3 || some[k].state != JOB_BACKING_OFF)
                s->jobs[s->job_count++] = some[k];
    }
    return rc;
}

static int get_events(struct look *l)
{
    struct overview *s = l->s;
    uint64_t after = l->want->events_after;
    int64_t since = after ? 0 : s->wall_ms - HOUR_MS;
    struct msg_event *kept = arena_alloc_array(&s->arena, OVERVIEW_EVENTS, sizeof *kept);
    if (!kept)
        return err_set(l->e, ERR_NO_MEMORY, "no memory for events");
    for (int i = 0; i < PAGES_MAX; i++) {
        struct msg_event *page;
        uint32_t count;
        int rc = list(l,
                      arena_printf(&s->arena, "/v1/history?limit=%d&after=%llu&since=%lld", PAGE,
                                   (unsigned long long)after, (long long)since),
                      &message_event, (void **)&page, &count);
        if (rc)
            return rc;
        for (uint32_t k = 0; k < count; k++) {
            after = page[k].event;
            if (s->event_count == OVERVIEW_EVENTS)
                memmove(kept, kept + 1, --s->event_count * sizeof *kept);
            kept[s->event_count++] = page[k];
        }
        if (count < PAGE)
            break;
    }
    s->events = kept;
    return 0;
}

static const struct msg_run *choose(const struct overview *s, const char *name)
{
    for (uint32_t i = 0; name && i < s->run_count; i++)
        if (strcmp(s->runs[i].name, name) == 0)
            return &s->runs[i];
    for (uint32_t i = 0; i < s->run_count; i++)
        if (s->runs[i].state == RUN_ACTIVE && !s->runs[i].paused)
            return &s->runs[i];
    return s->run_count ? &s->runs[0] : NULL;
}

/* What lists of runs do not say: models and their steps. A run's name needs no escapes: it is one
 * of text_is_name. */
static int get_models(struct look *l, struct msg_run *r)
{
    int rc = call(l, arena_printf(&l->s->arena, "/v1/runs/%s", r->name), &message_run, r);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int get_runs(struct look *l)
{
    struct overview *s = l->s;
    int rc = list(l, "/v1/runs", &message_run, (void **)&s->runs, &s->run_count);
    for (uint32_t i = 0; !rc && l->want->models && i < s->run_count; i++)
        if (s->runs[i].state == RUN_ACTIVE)
            rc = get_models(l, &s->runs[i]);
    const struct msg_run *chosen = rc ? NULL : choose(s, l->want->run);
    if (!chosen || !l->want->curves)
        return rc;
    s->chosen = chosen;
    if (!chosen->models)
        rc = get_models(l, (struct msg_run *)chosen);
    if (!rc)
        rc = list(
            l,
            arena_printf(&s->arena, "/v1/runs/%s/curves?limit=%d", chosen->name, OVERVIEW_POINTS),
            &message_curve, (void **)&s->curves, &s->curve_count);
    return rc;
}

int overview_fetch(struct client *c, const struct overview_want *want, long timeout_ms,
                   struct overview **out, struct err *e)
{
    struct overview *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for a look at the coordinator");
    struct look l = {.client = c, .want = want, .s = s, .timeout_ms = timeout_ms, .e = e};
    double began = env_monotonic_s();
    arena_init(&s->arena, OVERVIEW_BYTES);
    s->wall_ms = env_wall_ms();
    int rc = call(&l, "/v1/status", &message_status, &s->status);
    if (!rc)
        rc = get_runs(&l);
    if (!rc)
        rc = list(&l, "/v1/agents", &message_agent, (void **)&s->agents, &s->agent_count);
    if (!rc && want->jobs)
        rc = get_jobs(&l);
    if (!rc && want->events)
        rc = get_events(&l);
    s->took_s = env_monotonic_s() - began;
    if (rc)
        overview_free(s);
    else
        *out = s;
    return rc;
}

void overview_free(struct overview *s)
{
    if (!s)
        return;
    arena_free(&s->arena);
    free(s);
}

const struct msg_curve *overview_curve(const struct overview *s, int target, uint64_t index)
{
    for (uint32_t i = 0; i < s->curve_count; i++)
        if (s->curves[i].target == target && s->curves[i].index == index)
            return &s->curves[i];
    return NULL;
}
