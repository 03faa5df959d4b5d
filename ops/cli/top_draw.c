/* How `tacit top` looks: at 80×24 one list at a time below the runs, on a wide screen all at once.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ops/cli/format.h"
#include "ops/cli/top.h"
#include "ops/cli/trouble.h"

#define WIDE_COLUMNS 130
#define WIDE_ROWS 32
#define RUNS_SHOWN 4     /* on a small screen */
#define HEAD_COLUMNS 120 /* from which on the counts take one row */
#define RULE 0x2500      /* ─ */

static const char *const pane_names[] = {"Runs",  "Models",    "Agents",
                                         "Queue", "Transfers", "Events"};

struct drawing {
    const struct top_view *v;
    struct top_ui *ui;
    struct canvas *c;
    struct arena *a;
};

/* --- lines at the top ------------------------------------------------------------------------- */

static const char *clock_of(int64_t wall_ms, char out[16])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm tm;
    out[0] = 0;
    if (localtime_r(&at, &tm))
        snprintf(out, 16, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}

/* The coordinator, and whether what is shown is fresh. */
static void draw_title(struct drawing *d)
{
    const struct overview *s = d->v->s;
    char clock[16];
    struct arena *a = d->a;
    int at = canvas_put(d->c, 0, 1, 20, STYLE_STRONG, "tacit top");
    const char *words = s ? arena_printf(a, "  %s  tacitd %s, up %s", d->v->url, s->status.version,
                                         format_duration(a, (double)(s->status.uptime_ms / 1000)))
                          : arena_printf(a, "  %s", d->v->url);
    int width = d->c->columns - 12 - at;
    canvas_put(d->c, 0, 1 + at, width, STYLE_PLAIN, words ? words : "");
    canvas_put(d->c, 0, d->c->columns - 9, 8, STYLE_FAINT, clock_of(d->v->now_ms, clock));
}

struct count {
    uint64_t n;
    const char *words;
    uint8_t style;
};

/* "14 agents: 9 working, 1 silent": what is none is left out. */
static int put_counts(struct drawing *d, int row, int column, const char *head,
                      const struct count *counts, int count)
{
    int at = column, room = d->c->columns - 1, shown = 0;
    at += canvas_put(d->c, row, at, room - at, STYLE_STRONG, head);
    for (int i = 0; i < count; i++) {
        if (counts[i].n == 0)
            continue;
        at += canvas_put(d->c, row, at, room - at, STYLE_PLAIN, shown++ ? ", " : ": ");
        at += canvas_printf(d->c, row, at, room - at, counts[i].style, "%s %s",
                            format_count(d->a, counts[i].n), counts[i].words);
    }
    return at;
}

/* Returns the row below. */
static int draw_counts(struct drawing *d)
{
    const struct msg_status *t = &d->v->s->status;
    struct arena *a = d->a;
    uint64_t silent = t->agents - t->agents_working - t->agents_idle - t->agents_benched;
    struct count agents[] = {{t->agents_working, "working", STYLE_GOOD},
                             {t->agents_idle, "idle", STYLE_PLAIN},
                             {silent, "silent", STYLE_WARN},
                             {t->agents_benched, "benched", STYLE_WARN}};
    struct count jobs[] = {{t->jobs_running, "running", STYLE_GOOD},
                           {t->jobs_moving, "moving", STYLE_PLAIN},
                           {t->jobs_silent, "silent", STYLE_WARN},
                           {t->jobs_waiting, "waiting", STYLE_PLAIN},
                           {t->jobs_quarantined, "quarantined", STYLE_BAD}};
    const char *head =
        arena_printf(a, "%s agent%s", format_count(a, t->agents), t->agents == 1 ? "" : "s");
    int row = d->c->columns < HEAD_COLUMNS ? 2 : 1;
    int at = put_counts(d, 1, 1, head ? head : "agents", agents, 4);
    at = put_counts(d, row, row == 1 ? at + 3 : 1, "jobs", jobs, 5);
    bool short_of = t->disk_planned > t->disk_free || t->storage_since;
    const char *disk = arena_printf(a, "disk %s free", format_bytes(a, (double)t->disk_free));
    if (disk && at + 3 + (int)format_width(disk) < d->c->columns)
        canvas_put(d->c, row, at + 3, 40, short_of ? STYLE_BAD : STYLE_PLAIN, disk);
    return row + 1;
}

/* What is wrong, and what to type; returns how many rows that took. */
static int draw_troubles(struct drawing *d, int row, int rows)
{
    uint32_t count;
    int used = 0, width = d->c->columns - 2;
    char clock[16];
    struct arena *a = d->a;
    if (d->v->away_since_ms) {
        double seconds = (double)(d->v->now_ms - d->v->away_since_ms) / 1000;
        canvas_printf(d->c, row, 1, width, STYLE_BAD, "no answer for %s (since %s): %s",
                      format_duration(a, floor(seconds)), clock_of(d->v->away_since_ms, clock),
                      d->v->away ? d->v->away : "");
        canvas_put(d->c, row + 1, 3, width - 2, STYLE_FAINT,
                   "what is below is as it was then; agents go on meanwhile, and nothing is lost");
        used = 2;
    }
    if (!d->v->s)
        return used;
    const struct trouble *list = trouble_find(a, d->v->url, d->v->s, &count);
    for (uint32_t i = 0; i < count && used < rows; i++, used++) {
        bool last = used + 1 == rows && i + 1 < count;
        const struct trouble *t = &list[i];
        if (last) {
            canvas_printf(d->c, row + used, 1, width, STYLE_WARN,
                          "and %u more: `tacit status` lists all", count - i);
            continue;
        }
        int at = canvas_printf(d->c, row + used, 1, width,
                               t->level == TROUBLE_FAULT ? STYLE_BAD : STYLE_WARN, "! %s", t->what);
        if (at + 20 < width)
            canvas_printf(d->c, row + used, 1 + at + 2, width - at - 2, STYLE_FAINT, "→ %s",
                          t->fix);
    }
    return used;
}

/* --- panes ------------------------------------------------------------------------------------ */

static const char *title_of(struct drawing *d, int pane, const struct grid *g)
{
    const struct overview *s = d->v->s;
    struct arena *a = d->a;
    const char *words = pane_names[pane];
    if (pane == PANE_MODELS && s && s->chosen)
        words = arena_printf(a, "Models of %s", s->chosen->name);
    if (pane == PANE_MOVES && s)
        words =
            arena_printf(a, "Transfers: %s stored%s", format_bytes(a, (double)s->status.blob_bytes),
                         isnan(d->v->stored_rate) || d->v->stored_rate < 1
                             ? ""
                             : arena_printf(a, ", %s/s more", format_bytes(a, d->v->stored_rate)));
    if (words && pane == d->ui->pane && *d->ui->filter)
        words = arena_printf(a, "%s /%s (%u match)", words, d->ui->filter, g->row_count);
    return words ? words : pane_names[pane];
}

static void rule(struct drawing *d, int row, int column, int columns)
{
    char line[5];
    canvas_utf8(RULE, line);
    for (int i = 0; i < columns; i++)
        canvas_put(d->c, row, column + i, 1, STYLE_FAINT, line);
}

static const char *empty_words(const struct top_view *v, int pane)
{
    static const char *const words[] = {
        "no runs yet: `tacit run create SPEC.ini` starts one",
        "no run is chosen",
        "no agents yet: `tacit-agent --coordinator URL --token-file FILE --work DIR` joins",
        "no jobs wait or are under way",
        "nothing is fetched, saved or sent at this moment",
        "nothing happened in the last hour"};
    return v->s ? words[pane] : v->away_since_ms ? "" : "asking …";
}

static void draw_rows(struct drawing *d, int pane, struct box b, const struct grid *g)
{
    bool focus = pane == d->ui->pane;
    if (focus)
        d->ui->page = b.rows > 3 ? (uint32_t)b.rows - 2 : 1;
    if (g->row_count == 0) {
        canvas_put(d->c, b.row, b.column, b.columns, STYLE_FAINT,
                   focus && *d->ui->filter ? "nothing matches the filter; Esc takes it away"
                                           : empty_words(d->v, pane));
        return;
    }
    int picked = top_picked(d->ui, pane, g);
    /* The run whose models are shown is marked wherever one is. */
    grid_draw(d->c, b, g, picked, &d->ui->places[pane].first, focus);
}

/* A title in a rule, and the rows below. */
static void draw_pane(struct drawing *d, int pane, struct box b)
{
    if (b.rows < 2)
        return;
    struct grid g = top_rows(d->v, d->ui, pane, b.columns, d->a);
    bool focus = pane == d->ui->pane;
    rule(d, b.row, b.column, b.columns);
    canvas_printf(d->c, b.row, b.column + 2, b.columns - 4, focus ? STYLE_STRONG : STYLE_PLAIN,
                  " %d %s ", pane + 1, title_of(d, pane, &g));
    draw_rows(d, pane, (struct box){b.row + 1, b.column + 1, b.rows - 1, b.columns - 2}, &g);
}

/* The rule of a small screen's one pane names the others, too. */
static void draw_tabs(struct drawing *d, int row, int shown, const struct grid *g)
{
    int at = 2, room = d->c->columns - 2;
    rule(d, row, 0, d->c->columns);
    for (int pane = PANE_MODELS; pane < PANE_COUNT && at < room; pane++) {
        const char *words = pane == shown ? title_of(d, pane, g) : pane_names[pane];
        bool focus = pane == d->ui->pane;
        at += canvas_printf(d->c, row, at, room - at,
                            focus           ? STYLE_STRONG
                            : pane == shown ? STYLE_PLAIN
                                            : STYLE_FAINT,
                            " %d %s ", pane + 1, words);
        at++;
    }
}

static uint32_t rows_of(struct drawing *d, int pane)
{
    return top_rows(d->v, d->ui, pane, d->c->columns, d->a).row_count;
}

static void draw_small(struct drawing *d, int row, int rows)
{
    int runs = (int)rows_of(d, PANE_RUNS), most = rows / 3 > RUNS_SHOWN ? rows / 3 : RUNS_SHOWN;
    runs = (runs < most ? runs : most) + 2;
    runs = runs < 3 ? 3 : runs;
    int shown = d->ui->pane == PANE_RUNS ? PANE_MODELS : d->ui->pane;
    draw_pane(d, PANE_RUNS, (struct box){row, 0, runs, d->c->columns});
    struct grid g = top_rows(d->v, d->ui, shown, d->c->columns - 2, d->a);
    if (rows - runs < 2)
        return;
    draw_tabs(d, row + runs, shown, &g);
    draw_rows(d, shown, (struct box){row + runs + 1, 1, rows - runs - 1, d->c->columns - 2}, &g);
}

static int least_of(int a, int b)
{
    return a < b ? a : b;
}

static void draw_wide(struct drawing *d, int row, int rows)
{
    int left = d->c->columns / 2, right = d->c->columns - left - 1;
    int runs = least_of((int)rows_of(d, PANE_RUNS) + 2, rows / 4);
    int events = least_of((int)rows_of(d, PANE_EVENTS) + 2, rows / 5);
    runs = runs < 3 ? 3 : runs;
    events = events < 3 ? 3 : events;
    int middle = rows - runs - events;
    int moves = least_of((int)rows_of(d, PANE_MOVES) + 2, middle / 4);
    moves = moves < 3 ? 3 : moves;
    int queue = least_of((int)rows_of(d, PANE_QUEUE) + 2, middle / 3);
    queue = queue < 3 ? 3 : queue;
    int agents = middle - moves - queue, top = row + runs;
    draw_pane(d, PANE_RUNS, (struct box){row, 0, runs, d->c->columns});
    draw_pane(d, PANE_MODELS, (struct box){top, 0, middle, left});
    draw_pane(d, PANE_AGENTS, (struct box){top, left + 1, agents, right});
    draw_pane(d, PANE_QUEUE, (struct box){top + agents, left + 1, queue, right});
    draw_pane(d, PANE_MOVES, (struct box){top + agents + queue, left + 1, moves, right});
    draw_pane(d, PANE_EVENTS, (struct box){top + middle, 0, events, d->c->columns});
}

/* --- the last line ---------------------------------------------------------------------------- */

static const char *keys_of(const struct top_ui *ui)
{
    if (ui->mode == TOP_LOG)
        return "↑↓ PgUp PgDn scroll  Home End  q back";
    switch (ui->pane) {
    case PANE_RUNS:
        return "p pause/resume  r retry  ↑↓ choose  Tab next  / filter  ? help  q quit";
    case PANE_AGENTS:
        return "d drain/undrain  D drain now  u unbench  Enter log  / filter  ? help  q quit";
    case PANE_QUEUE:
        return "Enter log  r retry  Tab next  / filter  ? help  q quit";
    case PANE_EVENTS:
        return "↑↓ scroll  Tab next  / filter  ? help  q quit";
    default:
        return "Enter log  Tab next  / filter  ? help  q quit";
    }
}

static void draw_foot(struct drawing *d)
{
    struct top_ui *ui = d->ui;
    int row = d->c->rows - 1, width = d->c->columns - 2;
    if (ui->mode == TOP_ASK) {
        canvas_printf(d->c, row, 1, width, STYLE_STRONG, "%s  [y/n]",
                      top_question(d->a, &ui->asked));
        canvas_pick(d->c, row, 0, d->c->columns);
    } else if (ui->mode == TOP_FILTER) {
        canvas_printf(d->c, row, 1, width, STYLE_STRONG,
                      "/%s_   (Enter keeps it, Esc takes it away)", ui->filter);
    } else if (*ui->said) {
        canvas_put(d->c, row, 1, width, ui->said_bad ? STYLE_BAD : STYLE_GOOD, ui->said);
    } else {
        canvas_put(d->c, row, 1, width, STYLE_FAINT, keys_of(ui));
    }
}

/* --- help, log -------------------------------------------------------------------------------- */

static const char *const help_lines[] = {
    "What is on the screen",
    "  First what is wrong, with → what to type in another terminal; then lists.",
    "  A run's share is of its FLOPs; \"left\" is a range, from rates as measured.",
    "  jobs of a run: those under way; a ! says that some are in quarantine.",
    "  A curve is a model's loss from its first step to its last; its top is cut off.",
    "",
    "Keys",
    "  ↑ ↓ or k j, PgUp PgDn, Home End   choose a row; of runs: whose models are shown",
    "  Tab, Shift-Tab, 1 … 6             another list",
    "  /                                 filter this list; Esc takes the filter away",
    "  Enter or l                        the log of the job, of the agent's or model's job",
    "  p                                 pause the run, or let it go on",
    "  r                                 retry the job, or all of a run's in quarantine",
    "  d                                 drain the agent (it finishes its job), or undrain it",
    "  D                                 drain it now: it hands its job over",
    "  u                                 unbench the agent",
    "  q                                 quit (runs go on); in a log or here: back",
    "",
    "What changes something is asked for first: y does it, any other key does not.",
    "Commands beside this: tacit status, run show, jobs, logs, agents, events, doctor.",
};
#define HELP_LINES (sizeof help_lines / sizeof help_lines[0])

static void draw_help(struct drawing *d)
{
    uint32_t room = d->c->rows > 2 ? (uint32_t)d->c->rows - 2 : 1;
    uint32_t last = HELP_LINES > room ? (uint32_t)HELP_LINES - room : 0;
    d->ui->page = room;
    d->ui->help_first = d->ui->help_first < last ? d->ui->help_first : last;
    for (uint32_t i = 0; i < room && d->ui->help_first + i < HELP_LINES; i++) {
        const char *line = help_lines[d->ui->help_first + i];
        canvas_put(d->c, (int)i, 1, d->c->columns - 2, *line != ' ' ? STYLE_STRONG : STYLE_PLAIN,
                   line);
    }
    canvas_put(d->c, d->c->rows - 1, 1, d->c->columns - 2, STYLE_FAINT, "q back");
}

/* Calls put for each screen line of the log, wrapped; returns how many there are. */
static uint32_t wrap(struct drawing *d, uint32_t first, uint32_t rows, bool put)
{
    int width = d->c->columns - 2 > 8 ? d->c->columns - 2 : 8;
    uint32_t n = 0;
    for (const char *at = d->v->log; *at;) {
        size_t len = strcspn(at, "\n"), done = 0;
        do {
            size_t bytes = 0;
            int columns = 0;
            while (done + bytes < len && columns < width) {
                bytes++;
                while (done + bytes < len && ((unsigned char)at[done + bytes] & 0xC0) == 0x80)
                    bytes++;
                columns++;
            }
            if (put && n >= first && n < first + rows)
                canvas_printf(d->c, 1 + (int)(n - first), 1, width,
                              strncmp(at, "attempt ", 8) == 0 || strncmp(at, "job ", 4) == 0
                                  ? STYLE_STRONG
                                  : STYLE_PLAIN,
                              "%.*s", (int)bytes, at + done);
            done += bytes;
            n++;
        } while (done < len);
        at += len + (at[len] == '\n');
    }
    return n;
}

static void draw_log(struct drawing *d)
{
    struct top_ui *ui = d->ui;
    uint32_t room = d->c->rows > 3 ? (uint32_t)d->c->rows - 2 : 1;
    ui->page = room;
    rule(d, 0, 0, d->c->columns);
    canvas_printf(d->c, 0, 2, d->c->columns - 4, STYLE_STRONG, " Log of job %llu ",
                  (unsigned long long)ui->log_job);
    if (d->v->log_job != ui->log_job || !d->v->log) {
        canvas_put(d->c, 1, 1, d->c->columns - 2, STYLE_FAINT, "asking …");
        return;
    }
    uint32_t lines = wrap(d, 0, 0, false), last = lines > room ? lines - room : 0;
    ui->log_above = ui->log_above < last ? ui->log_above : last;
    wrap(d, last - ui->log_above, room, true);
    canvas_printf(d->c, 0, d->c->columns - 20, 18, STYLE_FAINT, " %u of %u lines ",
                  last - ui->log_above + (lines < room ? lines : room), lines);
}

void top_draw(const struct top_view *v, struct top_ui *ui, struct canvas *c, struct arena *a)
{
    struct drawing d = {.v = v, .ui = ui, .c = c, .a = a};
    struct top_place *run = &ui->places[PANE_RUNS];
    if (!*run->key && v->s && v->s->chosen) /* nobody has chosen one: it is the shown one */
        snprintf(run->key, sizeof run->key, "%s", v->s->chosen->name);
    if (ui->mode == TOP_HELP) {
        draw_help(&d);
        return;
    }
    if (ui->mode == TOP_LOG) {
        draw_log(&d);
        draw_foot(&d);
        return;
    }
    draw_title(&d);
    int row = v->s ? draw_counts(&d) : 2;
    int most = (c->rows - 12) / 4 > 3 ? (c->rows - 12) / 4 : 3;
    row += draw_troubles(&d, row, most);
    int rows = c->rows - row - 1;
    if (c->columns >= WIDE_COLUMNS && c->rows >= WIDE_ROWS)
        draw_wide(&d, row, rows);
    else
        draw_small(&d, row, rows);
    draw_foot(&d);
}
