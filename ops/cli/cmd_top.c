/* tacit top: the terminal. What is drawn is top_draw.c's, what keys do is top_keys.c's. */
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "ops/cli/command.h"
#include "ops/cli/top_fetch.h"

#define FIRST_CALL_MS 5000
#define TICK_MS 100   /* between looks at what was fetched; keys are seen at once */
#define CLOCK_MS 1000 /* "for 12 s" counts on */
#define FRAME_BYTES (512u << 20)
#define ESCAPE_MS 25 /* until a lone escape is no beginning of a longer key */

struct screen {
    bool ascii; /* the terminal's character set is none of Unicode's */
    bool color;
    int last_rows, last_columns;
};

/* --- the terminal ----------------------------------------------------------------------------- */

static void set_locale(void)
{
    const char *said = env_get("LC_ALL");
    if (!said || !*said)
        said = env_get("LC_CTYPE");
    if (!said || !*said)
        said = env_get("LANG");
    /* Where nobody says anything, today's terminals read UTF-8. */
    if (!setlocale(LC_CTYPE, said && *said ? "" : "C.UTF-8"))
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static int screen_open(struct screen *t, const struct cli *cli, struct err *e)
{
    set_locale();
    t->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    if (!newterm(NULL, stdout, stdin)) {
        const char *term = env_get("TERM");
        return err_set(e, ERR_INVALID, "TERM=%s: no such terminal is known here; try TERM=xterm",
                       term ? term : "");
    }
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    timeout(TICK_MS);
    set_escdelay(ESCAPE_MS);
    t->color = cli->color && has_colors();
    if (t->color) {
        start_color();
        use_default_colors();
        init_pair(STYLE_GOOD, COLOR_GREEN, -1);
        init_pair(STYLE_WARN, COLOR_YELLOW, -1);
        init_pair(STYLE_BAD, COLOR_RED, -1);
        init_pair(STYLE_ACCENT, COLOR_CYAN, -1);
    }
    return 0;
}

static attr_t attributes(const struct screen *t, uint8_t style)
{
    static const attr_t plain[STYLE_COUNT] = {[STYLE_STRONG] = A_BOLD,
                                              [STYLE_FAINT] = A_DIM,
                                              [STYLE_BAD] = A_BOLD,
                                              [STYLE_WARN] = A_BOLD};
    uint8_t kind = style & ~STYLE_PICKED;
    attr_t a = style & STYLE_PICKED ? A_REVERSE : 0;
    if (t->color && kind >= STYLE_GOOD)
        return a | COLOR_PAIR(kind) | (kind == STYLE_BAD ? A_BOLD : 0);
    /* Faint letters on a reversed row can't be read on many terminals. */
    return a | (a && kind == STYLE_FAINT ? 0 : plain[kind]);
}

/* What stands for a character where there is ASCII alone. */
static uint32_t as_ascii(uint32_t c)
{
    static const char levels[] = "_.-:=+*#";
    if (c < 0x80)
        return c;
    if (c >= 0x2581 && c <= 0x2588)
        return (uint32_t)levels[c - 0x2581];
    switch (c) {
    case 0x2013: /* – */
    case 0x2500: /* ─ */
        return '-';
    case 0x2026: /* … */
        return '~';
    case 0x2192: /* → */
        return '>';
    case 0x2191: /* ↑ */
        return '^';
    case 0x2193: /* ↓ */
        return 'v';
    default:
        return '?';
    }
}

static void show(const struct screen *t, const struct canvas *c)
{
    for (int r = 0; r < c->rows; r++)
        for (int i = 0; i < c->columns; i++) {
            const struct canvas_cell *cell = &c->cells[r * c->columns + i];
            wchar_t text[2] = {(wchar_t)(t->ascii ? as_ascii(cell->character) : cell->character),
                               0};
            cchar_t one;
            attr_t a = attributes(t, cell->style);
            setcchar(&one, text, a, (short)PAIR_NUMBER(a), NULL);
            mvadd_wch(r, i, &one);
        }
    refresh();
}

static int key_of(int key)
{
    switch (key) {
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_HOME;
    case KEY_END:
        return TOP_KEY_END;
    case KEY_BTAB:
        return TOP_KEY_BACK_TAB;
    case KEY_BACKSPACE:
    case 127:
    case '\b':
        return TOP_KEY_BACKSPACE;
    case KEY_ENTER:
        return '\n';
    case KEY_RIGHT:
        return '\t';
    case KEY_LEFT:
        return TOP_KEY_BACK_TAB;
    default:
        return key;
    }
}

/* --- the loop --------------------------------------------------------------------------------- */

struct top {
    struct cli *cli;
    struct screen screen;
    struct top_fetch *fetch;
    struct top_view view;
    struct top_ui ui;
};

static void draw(struct top *t)
{
    struct arena a;
    struct canvas c;
    struct err e = {0};
    arena_init(&a, FRAME_BYTES);
    t->view.now_ms = env_wall_ms();
    if (canvas_init(&c, &a, LINES, COLS, &e) == 0) {
        top_draw(&t->view, &t->ui, &c, &a);
        show(&t->screen, &c);
    }
    arena_free(&a);
}

/* Waits a tick for keys, and takes all that have come; false: it is over. */
static bool take_keys(struct top *t, bool *changed)
{
    struct arena a;
    struct top_order order = {.what = ORDER_NONE};
    arena_init(&a, FRAME_BYTES);
    for (int key; order.what != ORDER_QUIT && (key = getch()) != ERR;) {
        *changed = true;
        timeout(0);
        if (key == KEY_RESIZE)
            continue;
        if (key == 'L' - '@') { /* as everywhere: draw all anew */
            clearok(stdscr, TRUE);
            continue;
        }
        top_key(&t->view, &t->ui, key_of(key), &a, &order);
        if (order.what != ORDER_NONE && order.what != ORDER_QUIT)
            top_fetch_order(t->fetch, &order);
    }
    timeout(TICK_MS);
    arena_free(&a);
    return order.what != ORDER_QUIT && isatty(STDIN_FILENO); /* no: the terminal is gone */
}

static void loop(struct top *t)
{
    int64_t drawn_ms = 0;
    bool going = true, changed = true;
    while (going && !env_stop_requested()) {
        going = take_keys(t, &changed);
        top_fetch_want(t->fetch, top_run(&t->ui), t->ui.mode == TOP_LOG ? t->ui.log_job : 0);
        changed |= top_fetch_take(t->fetch, &t->view, &t->ui);
        int64_t now = env_monotonic_ms();
        if (going && (changed || now - drawn_ms >= CLOCK_MS)) {
            draw(t);
            drawn_ms = now;
            changed = false;
        }
    }
}

/* Mistakes (a token, an address) are told before the screen is taken; an absence is waited for. */
static int first_call(struct cli *cli, struct err *e)
{
    struct msg_status s;
    int rc = cli_connect(cli, e);
    if (!rc)
        rc = client_call(cli->client, "GET", "/v1/status", NULL, NULL, &message_status, &s,
                         &cli->arena, FIRST_CALL_MS, e);
    return cli_may_pass(rc) ? 0 : rc;
}

int cmd_top(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "A live view for terminals: runs and their phases, models with their loss curves, "
               "agents, the queue, transfers, what happened, and what is wrong with the command "
               "that mends it. Keys pause runs, drain agents, retry jobs and open logs; what "
               "changes something is asked for first. ? lists the keys. It waits for a "
               "coordinator that is away.\v"
               "Examples:\n  tacit top\n  NO_COLOR=1 tacit top",
    };
    struct top t = {.cli = cli};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)
                 ? 0
                 : err_set(&e, ERR_INVALID,
                           "this is for terminals; `tacit status` prints the same "
                           "once, --json for scripts");
    if (!rc)
        rc = first_call(cli, &e);
    if (!rc)
        rc = screen_open(&t.screen, cli, &e);
    if (rc)
        return cli_fail(cli, &e);
    top_ui_init(&t.ui);
    t.view = (struct top_view){.url = cli->url, .stored_rate = NAN};
    rc = top_fetch_start(&t.fetch, cli->client, &e);
    if (!rc) {
        loop(&t);
        top_fetch_stop(t.fetch);
    }
    endwin();
    return rc ? cli_fail(cli, &e) : EX_OK;
}
