/* tacit run wait: watches a run until it ends, whatever happens to the coordinator meanwhile. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/watch.h"

#define POLL_MS 1000
#define POLL_MODELS 200 /* as many models make the interval a second longer */
#define AWAY_MS_MAX 5000
#define CALL_MS 15000
#define VIEW_BYTES (4u << 20)
#define BAR 32
#define BAR_MIN 8

struct view {
    struct cli *cli;
    struct arena arena; /* of one look */
    bool terminal;
    int lines;    /* of the live view, above the cursor */
    bool away;    /* the coordinator's absence has been told */
    bool reached; /* it has shown the run once */
    struct watch_pace pace;
    struct watch_log log;
};

/* --- on a terminal ---------------------------------------------------------------------------- */

#define TO_LINE_END "\033[K\n" /* clears what an earlier look left there */

static void go_up(struct view *v)
{
    if (v->lines > 0)
        printf("\033[%dA", v->lines);
    v->lines = 0;
}

static void clear_view(struct view *v)
{
    go_up(v);
    printf("\033[J");
}

static void terminal_size(int *columns, int *rows)
{
    struct winsize w;
    *columns = 100;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
        *columns = w.ws_col;
        *rows = w.ws_row;
    }
}

/* The coordinator knows a run's paces for longer than one looks; before that, what was seen. */
static const char *left_words(struct arena *a, const struct msg_run *r, double left)
{
    char words[24];
    if (r->left_most > 0) {
        const char *range =
            arena_printf(a, ", %s left", format_range(a, r->left_least, r->left_most));
        return range ? range : "";
    }
    const char *out = *format_left(left, words) ? arena_printf(a, ", about %s left", words) : NULL;
    return out ? out : "";
}

/* The models' table, cut to the width so that a line takes one row. */
static void draw_models(struct view *v, const struct msg_run *r, int columns, int rows)
{
    struct msg_model_progress *shown =
        arena_alloc_array(&v->arena, r->model_count + 1, sizeof *shown);
    if (!shown)
        return;
    uint32_t count = watch_select(r, (uint32_t)rows, shown);
    struct table t;
    watch_table(&t, &v->arena, shown, count, false);
    const char *const *lines = table_lines(&t);
    for (int i = 0; lines[i]; i++) {
        const char *line = format_cut(&v->arena, lines[i], (size_t)columns);
        printf(v->cli->color && i == 0 ? "\033[1m%s\033[0m" TO_LINE_END : "%s" TO_LINE_END, line);
        v->lines++;
    }
    if (count < r->model_count) {
        uint32_t more = r->model_count - count;
        printf("(%u more model%s)" TO_LINE_END, more, more == 1 ? "" : "s");
        v->lines++;
    }
}

/* The words matter more than the bar: it takes the room that they leave. */
static const char *head_line(struct view *v, const struct msg_run *r, double left, int columns)
{
    const char *words = arena_printf(&v->arena, "%s  %s%s", r->name, watch_phase(&v->arena, r),
                                     left_words(&v->arena, r, left));
    if (!words)
        return r->name;
    int room = columns - (int)format_width(words) - 1, width = room < BAR ? room : BAR;
    const char *line =
        width < BAR_MIN
            ? NULL
            : arena_printf(&v->arena, "%s %s", watch_bar(&v->arena, r->progress, width), words);
    return format_cut(&v->arena, line ? line : words, (size_t)columns);
}

static void draw(struct view *v, const struct msg_run *r, double left)
{
    int columns, rows;
    terminal_size(&columns, &rows);
    go_up(v);
    printf("%s" TO_LINE_END, head_line(v, r, left, columns));
    v->lines = 1;
    if (r->jobs_quarantined) {
        printf("%llu jobs quarantined: `tacit jobs --run %s --state quarantined` shows "
               "why" TO_LINE_END,
               (unsigned long long)r->jobs_quarantined, r->name);
        v->lines++;
    }
    if (rows > v->lines + 4)
        draw_models(v, r, columns, rows - v->lines - 4);
    printf("\033[J");
    fflush(stdout);
}

/* --- elsewhere: a line now and then ----------------------------------------------------------- */

static void print_plain(struct view *v, const struct msg_run *r, double left)
{
    const char *line = watch_line(&v->arena, r);
    if (!watch_log_due(&v->log, r, line, env_monotonic_ms()))
        return;
    printf("%s%s\n", line, left_words(&v->arena, r, left));
    fflush(stdout);
}

/* --- the loop --------------------------------------------------------------------------------- */

static int finish(struct view *v, const struct msg_run *r)
{
    double lasted = ((double)r->ended_at - (double)r->created_at) / 1000;
    if (v->terminal)
        clear_view(v);
    if (v->cli->json) {
        struct err e = {0};
        if (cli_print_json(&message_run, r, &e))
            return cli_fail(v->cli, &e);
    } else if (r->state == RUN_DONE) {
        printf("run %s is done after %s: `tacit report %s` compares it with dense models\n",
               r->name, format_duration(&v->arena, lasted), r->name);
    }
    if (r->state == RUN_DONE)
        return EX_OK;
    fprintf(stderr, "%s: run %s %s%s%s\n", v->cli->command, r->name,
            r->state == RUN_CANCELLED ? "was cancelled" : "failed", r->reason ? ": " : "",
            r->reason ? format_plain(&v->arena, r->reason) : "");
    if (r->state == RUN_FAILED)
        fprintf(stderr, "`tacit jobs --run %s --state quarantined` shows the last errors.\n",
                r->name);
    return EX_SOFTWARE;
}

static void tell_away(struct view *v, const struct err *e)
{
    if (v->away)
        return;
    if (v->terminal)
        clear_view(v);
    fflush(stdout);
    fprintf(stderr, "%s: %s\nWaiting for the coordinator; agents go on meanwhile.\n",
            v->cli->command, e->message);
    v->away = true;
}

static void tell_back(struct view *v)
{
    if (v->away)
        fprintf(stderr, "%s: the coordinator is back\n", v->cli->command);
    v->away = false;
}

static int stopped(struct view *v, const char *name)
{
    fflush(stdout);
    fprintf(stderr,
            "%s%s: no longer watching; run %s goes on (`tacit run wait %s` watches again, "
            "`tacit run cancel %s` ends it)\n",
            v->terminal ? "\n" : "", v->cli->command, name, name, name);
    return EX_TEMPFAIL;
}

static int watch(struct view *v, const char *name, const char *path)
{
    int64_t away_ms = POLL_MS;
    while (!env_stop_requested()) {
        struct err e = {0};
        struct msg_run r;
        int64_t pause = POLL_MS;
        arena_reset(&v->arena);
        int rc = client_call(v->cli->client, "GET", path, NULL, NULL, &message_run, &r, &v->arena,
                             CALL_MS, &e);
        if (rc == ERR_STOPPED)
            break;
        if (rc && !(v->reached ? cli_may_mend(rc) : cli_may_pass(rc)))
            return cli_fail(v->cli, &e);
        if (rc) {
            tell_away(v, &e);
            pause = away_ms;
            away_ms = 2 * away_ms < AWAY_MS_MAX ? 2 * away_ms : AWAY_MS_MAX;
        } else {
            tell_back(v);
            v->reached = true;
            away_ms = POLL_MS;
            if (r.state != RUN_ACTIVE)
                return finish(v, &r);
            double left = watch_left(&v->pace, r.progress, env_monotonic_s());
            if (v->terminal)
                draw(v, &r, left);
            else if (!v->cli->json)
                print_plain(v, &r, left);
            pause += (int64_t)r.model_count * 1000 / POLL_MODELS;
        }
        (void)env_stop_wait_ms(pause);
    }
    return stopped(v, name);
}

int cmd_run_wait(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "RUN",
        .doc = "Watches a run until it ends: phase, round, each model's step, loss, agent and "
               "speed. Exits 0 when the run is done, otherwise not. A coordinator that is away is "
               "waited for. Ctrl-C ends the watching; the run goes on.\v"
               "Examples:\n  tacit run wait my-run && tacit report my-run\n"
               "  tacit run wait my-run --json     # silent, then the run as JSON",
        .args_min = 1,
        .args_max = 1,
        .json = true,
    };
    struct view v = {.cli = cli};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    if (cli_connect(cli, &e))
        return cli_fail(cli, &e);
    v.terminal = isatty(STDOUT_FILENO) && !cli->json;
    arena_init(&v.arena, VIEW_BYTES);
    code = watch(&v, cli->args[0], cli_path(cli, "/v1/runs/", cli->args[0], ""));
    arena_free(&v.arena);
    return code;
}
