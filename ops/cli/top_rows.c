/* What each pane of `tacit top` lists. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "ops/cli/format.h"
#include "ops/cli/spark.h"
#include "ops/cli/top.h"
#include "ops/cli/watch.h"

#define WIDE 90 /* columns of a pane from which on curves and bars are long */

struct making {
    const struct top_view *v;
    const char *filter;
    int columns;
    struct arena *a;
    struct grid *g;
    uint32_t capacity;
};

static bool matches(const struct grid_row *r, const char *filter)
{
    if (!*filter)
        return true;
    for (int i = 0; i < GRID_COLUMNS_MAX; i++)
        if (r->cells[i] && strcasestr(r->cells[i], filter))
            return true;
    return false;
}

/* The next row; it counts once row_end has found that it matches. */
static struct grid_row *row_begin(struct making *m, uint32_t item)
{
    if (m->g->row_count >= m->capacity)
        return NULL;
    struct grid_row *r = &m->g->rows[m->g->row_count];
    memset(r, 0, sizeof *r);
    r->item = item;
    return r;
}

static void row_end(struct making *m, const struct grid_row *r)
{
    m->g->row_count += matches(r, m->filter);
}

static const char *count_of(struct arena *a, double n)
{
    return isnan(n) ? NULL : format_count(a, (uint64_t)n);
}

static const char *ago(const struct making *m, uint64_t at_ms)
{
    double seconds = floor((double)(m->v->now_ms - (int64_t)at_ms) / 1000);
    if (at_ms == 0)
        return NULL;
    return seconds < 60 ? arena_printf(m->a, "%.0f s", seconds > 0 ? seconds : 0)
                        : format_duration(m->a, seconds);
}

static uint8_t style_of_state(const char *state)
{
    static const struct {
        const char *state;
        uint8_t style;
    } list[] = {{"working", STYLE_GOOD},     {"training", STYLE_GOOD},   {"running", STYLE_GOOD},
                {"active", STYLE_GOOD},      {"idle", STYLE_PLAIN},      {"done", STYLE_FAINT},
                {"cancelled", STYLE_FAINT},  {"silent", STYLE_WARN},     {"benched", STYLE_WARN},
                {"backing off", STYLE_WARN}, {"stalled", STYLE_WARN},    {"paused", STYLE_WARN},
                {"draining", STYLE_WARN},    {"drained", STYLE_FAINT},   {"revoked", STYLE_FAINT},
                {"failed", STYLE_BAD},       {"quarantined", STYLE_BAD}, {"waiting", STYLE_FAINT}};
    for (size_t i = 0; state && i < sizeof list / sizeof list[0]; i++)
        if (strcmp(state, list[i].state) == 0)
            return list[i].style;
    return STYLE_PLAIN;
}

/* --- runs ------------------------------------------------------------------------------------- */

static const struct grid_column run_columns[] = {
    {"run", false, 12, 0},   {"state", false, 0, 0},   {"done", true, 0, 0},
    {"", false, 0, 3},       {"phase", false, 8, 1},   {"left", false, 0, 2},
    {"jobs", true, 0, 4},    {"tokens/s", true, 0, 5}, {"experts", true, 0, 7},
    {"created", true, 0, 8}, {NULL, false, 0, 0}};

/* "routers 3/8". */
static const char *phase_of(struct arena *a, const struct msg_run *r)
{
    bool rounds = strcmp(r->phase, "routers") == 0 || strcmp(r->phase, "scoring") == 0;
    if (r->state != RUN_ACTIVE)
        return NULL;
    return rounds && r->round < r->rounds
               ? arena_printf(a, "%s %llu/%llu", r->phase, (unsigned long long)r->round + 1,
                              (unsigned long long)r->rounds)
               : r->phase;
}

static double rate_of(const struct overview *s, const char *run)
{
    double sum = NAN;
    for (uint32_t i = 0; i < s->job_count; i++)
        if (s->jobs[i].agent && strcmp(s->jobs[i].run, run) == 0 && !isnan(s->jobs[i].rate))
            sum = (isnan(sum) ? 0 : sum) + s->jobs[i].rate;
    return sum;
}

static void add_run(struct making *m, uint32_t i)
{
    const struct overview *s = m->v->s;
    const struct msg_run *r = &s->runs[i];
    struct arena *a = m->a;
    struct grid_row *row = row_begin(m, i);
    if (!row)
        return;
    bool active = r->state == RUN_ACTIVE;
    const char *state = r->paused && active ? "paused" : run_state_words[r->state];
    const char **c = row->cells;
    c[0] = r->name;
    c[1] = state;
    c[2] = arena_printf(a, "%.0f %%", floor(100 * r->progress));
    c[3] = active ? watch_bar(a, r->progress, m->columns >= WIDE ? 22 : 12) : "";
    c[4] = phase_of(a, r);
    c[5] = active && !r->paused ? format_range(a, r->left_least, r->left_most) : "";
    c[6] = active ? arena_printf(a, "%s%s", format_count(a, r->jobs_leased),
                                 r->jobs_quarantined ? "!" : "")
                  : NULL;
    c[7] = active ? count_of(a, rate_of(s, r->name)) : NULL;
    c[8] = format_count(a, r->experts);
    c[9] = format_ago(a, r->created_at, m->v->now_ms);
    row->styles[0] = STYLE_STRONG;
    row->styles[1] = style_of_state(state);
    row->styles[3] = STYLE_ACCENT;
    row->styles[6] = r->jobs_quarantined ? STYLE_BAD : STYLE_PLAIN;
    row->styles[8] = row->styles[9] = STYLE_FAINT;
    snprintf(row->key, sizeof row->key, "%s", r->name);
    row_end(m, row);
}

/* Active ones first; else as they come, newest first. */
static void add_runs(struct making *m)
{
    for (int active = 1; active >= 0; active--)
        for (uint32_t i = 0; i < m->v->s->run_count; i++)
            if ((m->v->s->runs[i].state == RUN_ACTIVE) == active)
                add_run(m, i);
}

/* --- models ----------------------------------------------------------------------------------- */

static const struct grid_column model_columns[] = {
    {"model", false, 8, 0}, {"step", true, 0, 0},     {"", false, 0, 6},
    {"loss", true, 0, 0},   {"curve", false, 0, 3},   {"state", false, 0, 1},
    {"agent", false, 8, 2}, {"tokens/s", true, 0, 4}, {NULL, false, 0, 0}};

static void add_model(struct making *m, uint32_t i)
{
    const struct overview *s = m->v->s;
    const struct msg_model_progress *p = &s->chosen->models[i];
    const struct msg_curve *k = overview_curve(s, p->target, p->index);
    struct arena *a = m->a;
    struct grid_row *row = row_begin(m, i);
    if (!row)
        return;
    bool wide = m->columns >= WIDE;
    const char **c = row->cells;
    uint32_t points = !k ? 0 : k->step_count < k->loss_count ? k->step_count : k->loss_count;
    c[0] = watch_model(a, p);
    c[1] = format_part(a, p->step, p->steps);
    c[2] = wide ? watch_bar(a, p->steps ? (double)p->step / (double)p->steps : 0, 12) : NULL;
    c[3] = format_number(a, p->loss, 3);
    c[4] = points ? spark_line(a, k->steps, k->losses, points, wide ? 32 : 14) : "";
    c[5] = p->state;
    c[6] = p->agent ? format_plain(a, p->agent) : NULL;
    c[7] = count_of(a, p->rate);
    row->styles[0] = STYLE_STRONG;
    row->styles[2] = row->styles[4] = STYLE_ACCENT;
    row->styles[5] = style_of_state(p->state);
    snprintf(row->key, sizeof row->key, "%d/%llu", p->target, (unsigned long long)p->index);
    row_end(m, row);
}

/* Routers first while they are trained, and behind the others from then on. */
static void add_models(struct making *m)
{
    const struct msg_run *r = m->v->s->chosen;
    if (!r)
        return;
    bool routing = r->round < r->rounds;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < r->model_count; i++)
            if ((r->models[i].target == TARGET_ROUTER) == (routing == (pass == 0)))
                add_model(m, i);
}

/* --- agents ----------------------------------------------------------------------------------- */

static const struct grid_column agent_columns[] = {
    {"agent", false, 12, 0},  {"state", false, 0, 0},  {"job", false, 28, 0},
    {"tokens/s", true, 0, 1}, {"since", true, 0, 2},   {"done", true, 0, 4},
    {"failed", true, 0, 5},   {"threads", true, 0, 6}, {"isa", false, 0, 7},
    {"host", false, 8, 8},    {"labels", false, 6, 9}, {NULL, false, 0, 0}};

static int rank_of_agent(const struct msg_agent *g)
{
    static const char *const order[] = {"silent", "benched", "working", "draining", "idle"};
    static const char *const last[] = {"silent", "drained", "revoked"};
    for (int i = 0; i < 5; i++)
        if (strcmp(g->state, order[i]) == 0 && (i > 0 || g->job))
            return i;
    for (int i = 0; i < 3; i++)
        if (strcmp(g->state, last[i]) == 0)
            return 5 + i;
    return 8;
}

static const struct msg_job *job_of_agent(const struct overview *s, const struct msg_agent *g)
{
    for (uint32_t i = 0; g->job && i < s->job_count; i++)
        if (s->jobs[i].agent && strcmp(s->jobs[i].agent, g->name) == 0)
            return &s->jobs[i];
    return NULL;
}

static void add_agent(struct making *m, uint32_t i)
{
    const struct overview *s = m->v->s;
    const struct msg_agent *g = &s->agents[i];
    const struct msg_job *j = job_of_agent(s, g);
    struct arena *a = m->a;
    struct grid_row *row = row_begin(m, i);
    if (!row)
        return;
    bool silent = strcmp(g->state, "silent") == 0;
    const char **c = row->cells;
    c[0] = format_plain(a, g->name);
    c[1] = g->state;
    c[2] = g->job ? format_plain(a, g->job) : g->reason ? format_plain(a, g->reason) : NULL;
    c[3] = count_of(a, g->rate);
    c[4] = ago(m, silent || !j ? g->seen_at : j->since_at);
    c[5] = format_count(a, g->jobs_done);
    c[6] = g->failures ? format_count(a, g->failures) : NULL;
    c[7] = format_count(a, g->threads);
    c[8] = g->isa;
    c[9] = g->host ? format_plain(a, g->host) : NULL;
    c[10] = g->labels;
    row->styles[0] = STYLE_STRONG;
    row->styles[1] = style_of_state(g->state);
    row->styles[6] = STYLE_WARN;
    row->styles[2] = g->job ? STYLE_PLAIN : STYLE_FAINT;
    for (int k = 7; k <= 10; k++)
        row->styles[k] = STYLE_FAINT;
    snprintf(row->key, sizeof row->key, "%llu", (unsigned long long)g->agent);
    row_end(m, row);
}

static void add_agents(struct making *m)
{
    for (int rank = 0; rank <= 8; rank++)
        for (uint32_t i = 0; i < m->v->s->agent_count; i++)
            if (rank_of_agent(&m->v->s->agents[i]) == rank)
                add_agent(m, i);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static const struct grid_column job_columns[] = {{"job", true, 0, 0},    {"run", false, 8, 3},
                                                 {"what", false, 22, 0}, {"state", false, 0, 0},
                                                 {"agent", false, 8, 2}, {"tokens/s", true, 0, 6},
                                                 {"loss", true, 0, 5},   {"since", true, 0, 1},
                                                 {"why", false, 20, 4},  {NULL, false, 0, 0}};

static bool is_moving(const struct msg_job *j)
{
    return j->state == JOB_FETCHING || j->state == JOB_SAVING || j->state == JOB_UPLOADING;
}

static void add_job(struct making *m, uint32_t i)
{
    const struct msg_job *j = &m->v->s->jobs[i];
    struct arena *a = m->a;
    struct grid_row *row = row_begin(m, i);
    if (!row)
        return;
    const char **c = row->cells;
    const char *state = job_status_words[j->state];
    c[0] = arena_printf(a, "%llu", (unsigned long long)j->job);
    c[1] = j->run;
    c[2] = watch_job(a, j);
    c[3] = state;
    c[4] = j->agent ? format_plain(a, j->agent) : NULL;
    c[5] = count_of(a, j->rate);
    c[6] = isnan(j->loss) ? NULL : format_number(a, j->loss, 3);
    c[7] = ago(m, j->since_at);
    c[8] = j->reason ? format_plain(a, j->reason) : NULL;
    row->styles[0] = STYLE_STRONG;
    row->styles[3] = style_of_state(state);
    row->styles[8] = j->state == JOB_QUARANTINED ? STYLE_PLAIN : STYLE_FAINT;
    snprintf(row->key, sizeof row->key, "%llu", (unsigned long long)j->job);
    row_end(m, row);
}

static void add_jobs(struct making *m, bool moving)
{
    for (uint32_t i = 0; i < m->v->s->job_count; i++)
        if (!moving || is_moving(&m->v->s->jobs[i]))
            add_job(m, i);
}

/* --- events ----------------------------------------------------------------------------------- */

static const struct grid_column event_columns[] = {{"at", false, 0, 0}, {"what", false, 8, 1},
                                                   {"of", false, 8, 2}, {"", false, 20, 0},
                                                   {"by", false, 6, 3}, {NULL, false, 0, 0}};

static void add_event(struct making *m, uint32_t i)
{
    const struct msg_event *v = &m->v->s->events[i];
    struct arena *a = m->a;
    struct grid_row *row = row_begin(m, i);
    time_t at = (time_t)(v->at / 1000);
    struct tm tm;
    if (!row)
        return;
    const char *whom = v->run ? v->run : v->agent ? v->agent : NULL;
    if (localtime_r(&at, &tm))
        row->cells[0] = arena_printf(a, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
    row->cells[1] = v->kind;
    row->cells[2] = whom ? format_plain(a, whom) : NULL;
    row->cells[3] = v->text ? format_plain(a, v->text) : "";
    row->cells[4] = v->who ? format_plain(a, v->who) : NULL;
    row->styles[0] = row->styles[4] = STYLE_FAINT;
    row->styles[1] =
        strstr(v->kind, "quarantin") || strstr(v->kind, "alarm") || strstr(v->kind, "failed")
            ? STYLE_BAD
            : STYLE_PLAIN;
    snprintf(row->key, sizeof row->key, "%llu", (unsigned long long)v->event);
    row_end(m, row);
}

struct grid top_rows(const struct top_view *v, const struct top_ui *ui, int pane, int columns,
                     struct arena *a)
{
    static const struct grid_column *const of_pane[] = {run_columns, model_columns, agent_columns,
                                                        job_columns, job_columns,   event_columns};
    const struct overview *s = v->s;
    struct grid g = {.columns = of_pane[pane]};
    if (!s)
        return g;
    uint32_t counts[] = {s->run_count,   s->chosen ? s->chosen->model_count : 0,
                         s->agent_count, s->job_count,
                         s->job_count,   s->event_count};
    struct making m = {.v = v, .columns = columns, .a = a, .g = &g, .capacity = counts[pane]};
    /* The filter is of the pane that one is in: the others stay whole. */
    m.filter = pane == ui->pane ? ui->filter : "";
    g.rows = arena_alloc_array(a, (size_t)m.capacity + 1, sizeof *g.rows);
    if (!g.rows)
        m.capacity = 0;
    switch (pane) {
    case PANE_RUNS:
        add_runs(&m);
        break;
    case PANE_MODELS:
        add_models(&m);
        break;
    case PANE_AGENTS:
        add_agents(&m);
        break;
    case PANE_EVENTS:
        for (uint32_t i = s->event_count; i-- > 0;)
            add_event(&m, i);
        break;
    default:
        add_jobs(&m, pane == PANE_MOVES);
    }
    return g;
}

int top_picked(const struct top_ui *ui, int pane, const struct grid *g)
{
    const struct top_place *p = &ui->places[pane];
    for (uint32_t i = 0; *p->key && i < g->row_count; i++)
        if (strcmp(g->rows[i].key, p->key) == 0)
            return (int)i;
    return g->row_count == 0 ? -1 : p->index < g->row_count ? (int)p->index : (int)g->row_count - 1;
}
