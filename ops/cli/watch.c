#include "ops/cli/watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "ops/cli/format.h"

#define LINE_MODELS 3
#define LOG_EVERY_MS 10000
#define LOG_SAME_MS 30000
/* Shares move when links are published: less than this says nothing about the pace. */
#define PACE_SHARE 0.02
#define PACE_SECONDS 5

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

const char *watch_model(struct arena *a, const struct msg_model_progress *m)
{
    switch (m->target) {
    case TARGET_DENSE:
        return "dense";
    case TARGET_DENSE_FLOPS:
        return "dense, equal FLOPs";
    default:
        return or_empty(
            arena_printf(a, "%s %llu", job_target_words[m->target], (unsigned long long)m->index));
    }
}

const char *watch_phase(struct arena *a, const struct msg_run *r)
{
    /* The report still follows. */
    double percent = floor(100 * r->progress < 99 ? 100 * r->progress : 99);
    if (r->state == RUN_DONE)
        return "done";
    bool rounds = strcmp(r->phase, "routers") == 0 || strcmp(r->phase, "scoring") == 0;
    if (rounds && r->round < r->rounds)
        return or_empty(arena_printf(a, "%s: round %llu of %llu; %.0f %% done", r->phase,
                                     (unsigned long long)r->round + 1,
                                     (unsigned long long)r->rounds, percent));
    if (r->round < r->rounds && strcmp(r->phase, "dense") == 0) /* those are the longest chains */
        return or_empty(arena_printf(a,
                                     "dense first, routers' round %llu of %llu after it; %.0f %% "
                                     "done",
                                     (unsigned long long)r->round + 1,
                                     (unsigned long long)r->rounds, percent));
    return or_empty(arena_printf(a, "%s; %.0f %% done", r->phase, percent));
}

const char *watch_job(struct arena *a, const struct msg_job *j)
{
    const char *kind = job_kind_words[j->kind], *target = job_target_words[j->target];
    const char *words = kind;
    switch (j->kind) {
    case JOB_TRAIN_ROUTER:
        words = arena_printf(a, "train router %s, round %s", format_count(a, j->index),
                             format_count(a, j->round + 1));
        break;
    case JOB_TRAIN:
        words =
            j->target == TARGET_EXPERT
                ? arena_printf(a, "train expert %s, to step %s", format_count(a, j->index),
                               format_count(a, j->step_last))
                : arena_printf(a, "train %s, to step %s", target, format_count(a, j->step_last));
        break;
    case JOB_EVAL:
        words = j->target == TARGET_EXPERT || j->target == TARGET_ROUTER
                    ? arena_printf(a, "eval %s %s", target, format_count(a, j->index))
                    : arena_printf(a, "eval %s", target);
        if (words && j->step_last)
            words = arena_printf(a, "%s at step %s", words, format_count(a, j->step_last));
        break;
    case JOB_SCORE:
    case JOB_SEGMENT:
    case JOB_ASSIGN:
        words = j->round > 0 && j->kind != JOB_SEGMENT
                    ? arena_printf(a, "%s round %s, part %s", kind, format_count(a, j->round + 1),
                                   format_count(a, j->part + 1))
                    : arena_printf(a, "%s chunk %s, part %s", kind, format_count(a, j->chunk + 1),
                                   format_count(a, j->part + 1));
        break;
    case JOB_REPLAY:
        if (j->step_last)
            words = arena_printf(a, "replay %s %s, to step %s", target, format_count(a, j->index),
                                 format_count(a, j->step_last));
        else if (j->target)
            words = arena_printf(a, "replay %s %s", target, format_count(a, j->index));
        break;
    default:
        break;
    }
    return words ? words : kind;
}

void watch_table(struct table *t, struct arena *a, const struct msg_model_progress *models,
                 uint32_t count, bool digests)
{
    static const char *const with[] = {"model",     ">step", ">loss",   "state", "agent",
                                       ">tokens/s", "size",  "content", NULL};
    static const char *const without[] = {"model", ">step",     ">loss", "state",
                                          "agent", ">tokens/s", NULL};
    table_init(t, a, digests ? with : without);
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_model_progress *m = &models[i];
        char hex[DIGEST_HEX + 1];
        digest_to_hex(&m->content, hex);
        bool published = m->model_bytes > 0;
        const char *cells[] = {watch_model(a, m),
                               format_part(a, m->step, m->steps),
                               format_number(a, m->loss, 3),
                               m->state,
                               m->agent,
                               isnan(m->rate) ? NULL : format_count(a, (uint64_t)m->rate),
                               published ? format_bytes(a, (double)m->model_bytes) : NULL,
                               published ? arena_printf(a, "%.12s", hex) : NULL};
        table_row(t, cells);
    }
}

static bool is_training(const struct msg_model_progress *m)
{
    return m->agent != NULL;
}

/* 0: shown first. */
static int rank(const struct msg_run *r, const struct msg_model_progress *m)
{
    if (is_training(m))
        return 0;
    bool routing = r->round < r->rounds;
    if (m->target == TARGET_ROUTER)
        return routing ? 1 : 3;
    return m->step < m->steps && !(routing && m->target == TARGET_EXPERT) ? 1 : 2;
}

uint32_t watch_select(const struct msg_run *r, uint32_t rows, struct msg_model_progress *out)
{
    uint32_t room[4] = {0}, n = 0, left = rows;
    for (int k = 0; k < 4; k++)
        for (uint32_t i = 0; i < r->model_count && left > 0; i++)
            if (rank(r, &r->models[i]) == k) {
                room[k]++;
                left--;
            }
    for (uint32_t i = 0; i < r->model_count; i++) {
        int k = rank(r, &r->models[i]);
        if (room[k] == 0)
            continue;
        room[k]--;
        out[n++] = r->models[i];
    }
    return n;
}

const char *watch_line(struct arena *a, const struct msg_run *r)
{
    const char *line = watch_phase(a, r);
    uint32_t training = 0;
    for (uint32_t i = 0; i < r->model_count; i++) {
        const struct msg_model_progress *m = &r->models[i];
        if (!is_training(m) || ++training > LINE_MODELS)
            continue;
        line = or_empty(arena_printf(
            a, "%s; %s %s loss %s (%s%s%s)", line, watch_model(a, m),
            format_part(a, m->step, m->steps), format_number(a, m->loss, 2),
            format_plain(a, m->agent), isnan(m->rate) ? "" : ", ",
            isnan(m->rate)
                ? ""
                : or_empty(arena_printf(a, "%s tokens/s", format_count(a, (uint64_t)m->rate)))));
    }
    if (training > LINE_MODELS)
        line = or_empty(arena_printf(a, "%s; %u more in training", line, training - LINE_MODELS));
    if (training == 0 && r->jobs_leased == 0 && r->reason)
        return or_empty(arena_printf(a, "%s; %s", line, format_plain(a, r->reason)));
    if (r->jobs_quarantined)
        line = or_empty(arena_printf(a, "%s; %llu jobs quarantined", line,
                                     (unsigned long long)r->jobs_quarantined));
    return line;
}

bool watch_log_due(struct watch_log *g, const struct msg_run *r, const char *line, int64_t now_ms)
{
    bool news = !g->began || strcmp(g->phase, r->phase) != 0 || g->round != r->round;
    bool same = g->began && strncmp(g->line, line, sizeof g->line - 1) == 0;
    int64_t every = same ? LOG_SAME_MS : news ? 0 : LOG_EVERY_MS;
    if (g->began && now_ms - g->told_ms < every)
        return false;
    snprintf(g->phase, sizeof g->phase, "%s", r->phase);
    snprintf(g->line, sizeof g->line, "%s", line);
    g->round = r->round;
    g->told_ms = now_ms;
    g->began = true;
    return true;
}

const char *watch_bar(struct arena *a, double share, int width)
{
    int inner = width - 2, full = (int)(share * inner);
    char *bar = inner > 0 ? arena_alloc(a, (size_t)width + 1) : NULL;
    if (!bar)
        return "";
    full = full < 0 ? 0 : full > inner ? inner : full;
    memset(bar, '.', (size_t)width);
    memset(bar + 1, '#', (size_t)full);
    bar[0] = '[';
    bar[width - 1] = ']';
    return bar;
}

double watch_left(struct watch_pace *p, double share, double now_s)
{
    if (!p->began) {
        *p = (struct watch_pace){share, share, now_s, now_s, true};
    } else if (share > p->last_share) {
        p->last_share = share;
        p->last_s = now_s;
    }
    double gained = p->last_share - p->first_share, took = p->last_s - p->first_s;
    if (gained < PACE_SHARE || took < PACE_SECONDS)
        return NAN;
    double left = (1 - p->last_share) * took / gained - (now_s - p->last_s);
    return left > 0 ? left : 0;
}
