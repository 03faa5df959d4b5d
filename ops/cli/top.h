/* tacit top: what a person sees and does, without terminal or network. top_draw and top_key are
 * functions of what was fetched (struct top_view) and of where the person is in it (struct top_ui);
 * top_fetch.c brings the one, cmd_top.c shows the other. */
#ifndef TACIT_OPS_CLI_TOP_H
#define TACIT_OPS_CLI_TOP_H

#include "ops/cli/canvas.h"
#include "ops/cli/grid.h"
#include "ops/cli/overview.h"

enum top_pane {
    PANE_RUNS,
    PANE_MODELS, /* of the chosen run */
    PANE_AGENTS,
    PANE_QUEUE,
    PANE_MOVES, /* jobs whose agents fetch, save or send */
    PANE_EVENTS,
    PANE_COUNT
};

/* What is there to be shown. */
struct top_view {
    const char *url;
    const struct overview *s; /* NULL: nothing yet */
    int64_t now_ms;           /* wall clock */
    int64_t away_since_ms;    /* since when the coordinator does not answer; 0: it does */
    const char *away;         /* why */
    double stored_rate;       /* bytes a second that its store has grown by lately; NaN: unknown */
    uint64_t log_job;         /* whose log this is; 0: none has come yet */
    const char *log;          /* lines, newest last */
};

enum top_mode { TOP_TABLES, TOP_HELP, TOP_ASK, TOP_FILTER, TOP_LOG };

enum top_what {
    ORDER_NONE,
    ORDER_QUIT,
    ORDER_PAUSE,
    ORDER_RESUME,
    ORDER_DRAIN,
    ORDER_DRAIN_NOW,
    ORDER_UNDRAIN,
    ORDER_UNBENCH,
    ORDER_RETRY_JOB,
    ORDER_RETRY_RUN,
};

/* What the coordinator is to be asked for. */
struct top_order {
    int what;      /* enum top_what */
    char name[96]; /* of a run or agent */
    uint64_t job;
};

struct top_place {
    char key[96];          /* of the picked row: it stays picked while rows move */
    uint32_t index, first; /* where it was; the first row that is seen */
};

struct top_ui {
    int mode; /* enum top_mode */
    int pane; /* enum top_pane: which one keys act on */
    struct top_place places[PANE_COUNT];
    char filter[64];
    struct top_order asked; /* TOP_ASK: what `y` does */
    char said[240];         /* what came of the last order, or why a key did nothing */
    bool said_bad;
    uint64_t log_job;   /* TOP_LOG */
    uint32_t log_above; /* lines between the end of the log and what is seen; 0: follows it */
    uint32_t page;      /* rows of the pane, or of the log, when it was last drawn */
    uint32_t help_first;
};

/* Keys beyond characters. */
enum {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_BACK_TAB,
    TOP_KEY_BACKSPACE,
};

void top_ui_init(struct top_ui *ui);
/* Draws all of it. What it changes in ui is where lists are scrolled to. */
void top_draw(const struct top_view *v, struct top_ui *ui, struct canvas *c, struct arena *a);
/* Takes a key; *order is what is to be done now, beside what ui says. */
void top_key(const struct top_view *v, struct top_ui *ui, int key, struct arena *a,
             struct top_order *order);
/* The run whose models are looked at, or NULL: the coordinator's first active one. */
const char *top_run(const struct top_ui *ui);

/* The rows of a pane that match the filter, for `columns` columns. Private to top_*.c. */
struct grid top_rows(const struct top_view *v, const struct top_ui *ui, int pane, int columns,
                     struct arena *a);
/* Index of the picked row among rows; −1 where there are none. */
int top_picked(const struct top_ui *ui, int pane, const struct grid *g);
/* What a person is asked before an order is carried out. */
const char *top_question(struct arena *a, const struct top_order *o);

#endif
