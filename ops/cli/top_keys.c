/* What keys do in `tacit top`. */
#include <stdio.h>
#include <string.h>
#include "ops/cli/format.h"
#include "ops/cli/top.h"

#define KEY_ESCAPE 27
#define ALL ((int64_t)1 << 32) /* rows: more than there are */

void top_ui_init(struct top_ui *ui)
{
    *ui = (struct top_ui){.mode = TOP_TABLES, .pane = PANE_RUNS, .page = 10};
}

const char *top_run(const struct top_ui *ui)
{
    const char *key = ui->places[PANE_RUNS].key;
    return *key ? key : NULL;
}

static void say(struct top_ui *ui, bool bad, const char *words)
{
    snprintf(ui->said, sizeof ui->said, "%s", words);
    ui->said_bad = bad;
}

/* --- choosing --------------------------------------------------------------------------------- */

static void pick(struct top_ui *ui, const struct grid *g, int64_t index)
{
    struct top_place *p = &ui->places[ui->pane];
    if (g->row_count == 0)
        return;
    index = index < 0 ? 0 : index < (int64_t)g->row_count ? index : (int64_t)g->row_count - 1;
    p->index = (uint32_t)index;
    memcpy(p->key, g->rows[index].key, sizeof p->key);
}

/* How far a key goes: rows, or to an end. False: it is none of those. */
static bool distance(const struct top_ui *ui, int key, int64_t *rows)
{
    int64_t page = ui->page > 1 ? ui->page - 1 : 1;
    switch (key) {
    case TOP_KEY_UP:
    case 'k':
        *rows = -1;
        return true;
    case TOP_KEY_DOWN:
    case 'j':
        *rows = 1;
        return true;
    case TOP_KEY_PAGE_UP:
        *rows = -page;
        return true;
    case TOP_KEY_PAGE_DOWN:
    case ' ':
        *rows = page;
        return true;
    case TOP_KEY_HOME:
    case 'g':
        *rows = -ALL;
        return true;
    case TOP_KEY_END:
    case 'G':
        *rows = ALL;
        return true;
    default:
        return false;
    }
}

/* --- orders ----------------------------------------------------------------------------------- */

const char *top_question(struct arena *a, const struct top_order *o)
{
    const char *words = NULL;
    switch (o->what) {
    case ORDER_PAUSE:
        words = arena_printf(a, "Pause run %s? Its jobs are saved and handed back.", o->name);
        break;
    case ORDER_RESUME:
        words = arena_printf(a, "Let run %s go on?", o->name);
        break;
    case ORDER_DRAIN:
        words = arena_printf(a, "Drain %s? It finishes its job and gets no more.", o->name);
        break;
    case ORDER_DRAIN_NOW:
        words = arena_printf(a, "Drain %s now? It saves its job, hands it over, gets no more.",
                             o->name);
        break;
    case ORDER_UNDRAIN:
        words = arena_printf(a, "Give %s jobs again?", o->name);
        break;
    case ORDER_UNBENCH:
        words = arena_printf(a, "Unbench %s? It gets jobs again.", o->name);
        break;
    case ORDER_RETRY_JOB:
        words = arena_printf(a, "Retry job %llu? Its failures are forgotten.",
                             (unsigned long long)o->job);
        break;
    case ORDER_RETRY_RUN:
        words = arena_printf(a, "Retry all jobs of run %s that are in quarantine?", o->name);
        break;
    default:
        break;
    }
    return words ? words : "Do it?";
}

static void ask(struct top_ui *ui, int what, const char *name, uint64_t job)
{
    ui->asked = (struct top_order){.what = what, .job = job};
    snprintf(ui->asked.name, sizeof ui->asked.name, "%s", name ? name : "");
    ui->mode = TOP_ASK;
}

/* The picked row's item of a pane; NULL where there is none. */
static const struct grid_row *picked(const struct top_view *v, const struct top_ui *ui, int pane,
                                     struct arena *a)
{
    struct grid g = top_rows(v, ui, pane, 80, a);
    int at = top_picked(ui, pane, &g);
    return at < 0 ? NULL : &g.rows[at];
}

static const struct msg_run *run_picked(const struct top_view *v, const struct top_ui *ui,
                                        struct arena *a)
{
    if (ui->pane == PANE_MODELS)
        return v->s ? v->s->chosen : NULL;
    const struct grid_row *r = ui->pane == PANE_RUNS ? picked(v, ui, PANE_RUNS, a) : NULL;
    return r ? &v->s->runs[r->item] : NULL;
}

static void key_pause(const struct top_view *v, struct top_ui *ui, struct arena *a)
{
    const struct msg_run *r = run_picked(v, ui, a);
    if (!r)
        say(ui, true, "p is for runs: 1 goes to their list");
    else if (r->state != RUN_ACTIVE)
        say(ui, true, "this run has ended");
    else
        ask(ui, r->paused ? ORDER_RESUME : ORDER_PAUSE, r->name, 0);
}

static void key_agent(const struct top_view *v, struct top_ui *ui, int key, struct arena *a)
{
    const struct grid_row *row = ui->pane == PANE_AGENTS ? picked(v, ui, PANE_AGENTS, a) : NULL;
    if (!row) {
        say(ui, true, "d, D and u are for agents: 3 goes to their list");
        return;
    }
    const struct msg_agent *g = &v->s->agents[row->item];
    bool drained = strcmp(g->state, "drained") == 0, draining = strcmp(g->state, "draining") == 0;
    if (strcmp(g->state, "revoked") == 0)
        say(ui, true, "it is revoked: `tacit agents restore` trusts it again");
    else if (key == 'u' && strcmp(g->state, "benched") != 0)
        say(ui, true, "this agent is not benched");
    else if (key == 'u')
        ask(ui, ORDER_UNBENCH, g->name, 0);
    else if (key == 'd' && (drained || draining))
        ask(ui, ORDER_UNDRAIN, g->name, 0);
    else if (key == 'D' && drained)
        say(ui, true, "it is drained already");
    else
        ask(ui, key == 'D' ? ORDER_DRAIN_NOW : ORDER_DRAIN, g->name, 0);
}

static const struct msg_job *job_picked(const struct top_view *v, const struct top_ui *ui,
                                        struct arena *a)
{
    if (ui->pane != PANE_QUEUE && ui->pane != PANE_MOVES)
        return NULL;
    const struct grid_row *r = picked(v, ui, ui->pane, a);
    return r ? &v->s->jobs[r->item] : NULL;
}

static void key_retry(const struct top_view *v, struct top_ui *ui, struct arena *a)
{
    const struct msg_job *j = job_picked(v, ui, a);
    const struct msg_run *r = run_picked(v, ui, a);
    if (j && j->state == JOB_QUARANTINED)
        ask(ui, ORDER_RETRY_JOB, j->run, j->job);
    else if (j)
        say(ui, true, "this job is not in quarantine");
    else if (r && r->jobs_quarantined)
        ask(ui, ORDER_RETRY_RUN, r->name, 0);
    else
        say(ui, true, r ? "this run has no jobs in quarantine" : "r is for jobs and runs");
}

/* The job that a row is about; 0: none. */
static uint64_t job_of(const struct top_view *v, const struct top_ui *ui, struct arena *a)
{
    const struct msg_job *j = job_picked(v, ui, a);
    const struct grid_row *row = j ? NULL : picked(v, ui, ui->pane, a);
    if (j || !row)
        return j ? j->job : 0;
    const struct overview *s = v->s;
    if (ui->pane == PANE_EVENTS)
        return s->events[row->item].job;
    for (uint32_t i = 0; i < s->job_count; i++) {
        const struct msg_job *k = &s->jobs[i];
        const struct msg_model_progress *p =
            ui->pane == PANE_MODELS ? &s->chosen->models[row->item] : NULL;
        if (ui->pane == PANE_AGENTS && k->agent && strcmp(k->agent, s->agents[row->item].name) == 0)
            return k->job;
        if (p && k->target == p->target && k->index == p->index &&
            (k->kind == JOB_TRAIN || k->kind == JOB_TRAIN_ROUTER) &&
            strcmp(k->run, s->chosen->name) == 0)
            return k->job;
        if (ui->pane == PANE_RUNS && strcmp(k->run, s->runs[row->item].name) == 0)
            return k->job;
    }
    return 0;
}

static void key_log(const struct top_view *v, struct top_ui *ui, struct arena *a)
{
    uint64_t job = job_of(v, ui, a);
    if (!job) {
        say(ui, true, "no job is under way here that has a log");
        return;
    }
    ui->log_job = job;
    ui->log_above = 0;
    ui->mode = TOP_LOG;
}

/* --- modes ------------------------------------------------------------------------------------ */

static void key_filter(struct top_ui *ui, int key)
{
    size_t len = strlen(ui->filter);
    if (key == '\n' || key == '\r' || key == KEY_ESCAPE) {
        if (key == KEY_ESCAPE)
            ui->filter[0] = 0;
        ui->mode = TOP_TABLES;
    } else if (key == TOP_KEY_BACKSPACE && len > 0) {
        ui->filter[len - 1] = 0;
    } else if (key >= ' ' && key < 127 && len + 1 < sizeof ui->filter) {
        ui->filter[len] = (char)key;
        ui->filter[len + 1] = 0;
    }
}

/* The end of a log is where one begins: it is scrolled from there. */
static void key_log_mode(struct top_ui *ui, int key)
{
    int64_t rows, above = ui->log_above;
    if (key == 'q' || key == KEY_ESCAPE || key == '\n' || key == '\r') {
        ui->mode = TOP_TABLES;
    } else if (distance(ui, key, &rows)) {
        above -= rows;
        ui->log_above = above < 0 ? 0 : above < UINT32_MAX ? (uint32_t)above : UINT32_MAX;
    }
}

static void key_help(struct top_ui *ui, int key)
{
    int64_t rows, first = ui->help_first;
    if (!distance(ui, key, &rows)) {
        ui->mode = TOP_TABLES;
        return;
    }
    first += rows;
    ui->help_first = first < 0 ? 0 : first < 1000 ? (uint32_t)first : 1000;
}

static void go_to(struct top_ui *ui, int pane)
{
    if (pane != ui->pane)
        ui->filter[0] = 0;
    ui->pane = pane;
}

static void key_tables(const struct top_view *v, struct top_ui *ui, int key, struct arena *a,
                       struct top_order *order)
{
    int64_t rows;
    if (distance(ui, key, &rows)) {
        struct grid g = top_rows(v, ui, ui->pane, 80, a);
        pick(ui, &g, top_picked(ui, ui->pane, &g) + rows);
        return;
    }
    switch (key) {
    case 'q':
        order->what = ORDER_QUIT;
        break;
    case '?':
    case 'h':
        ui->mode = TOP_HELP;
        ui->help_first = 0;
        break;
    case '/':
        ui->mode = TOP_FILTER;
        break;
    case KEY_ESCAPE:
        ui->filter[0] = 0;
        break;
    case '\t':
        go_to(ui, (ui->pane + 1) % PANE_COUNT);
        break;
    case TOP_KEY_BACK_TAB:
        go_to(ui, (ui->pane + PANE_COUNT - 1) % PANE_COUNT);
        break;
    case 'p':
        key_pause(v, ui, a);
        break;
    case 'd':
    case 'D':
    case 'u':
        key_agent(v, ui, key, a);
        break;
    case 'r':
        key_retry(v, ui, a);
        break;
    case '\n':
    case '\r':
    case 'l':
        key_log(v, ui, a);
        break;
    default:
        if (key >= '1' && key < '1' + PANE_COUNT)
            go_to(ui, key - '1');
    }
}

void top_key(const struct top_view *v, struct top_ui *ui, int key, struct arena *a,
             struct top_order *order)
{
    *order = (struct top_order){.what = ORDER_NONE};
    ui->said[0] = 0;
    switch (ui->mode) {
    case TOP_HELP:
        key_help(ui, key);
        break;
    case TOP_LOG:
        key_log_mode(ui, key);
        break;
    case TOP_FILTER:
        key_filter(ui, key);
        break;
    case TOP_ASK:
        ui->mode = TOP_TABLES;
        if (key == 'y' || key == 'Y')
            *order = ui->asked;
        break;
    default:
        key_tables(v, ui, key, a, order);
    }
}
