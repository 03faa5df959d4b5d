/* What the subcommands of `tacit` share: options, the connection, exit codes. Each command is one
 * function in a cmd_*.c file, with its own table of options. */
#ifndef TACIT_OPS_CLI_COMMAND_H
#define TACIT_OPS_CLI_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/client/client.h"
#include "ops/cli/settings.h"

/* Options that every command takes, from elsewhere where not given, and what was parsed. */
struct cli {
    const char *command; /* "tacit run list": for messages */
    struct settings_given given;
    struct settings settings;
    const char *url; /* these three as settings has them */
    const char *token_file;
    const char *ca_file;
    bool json;   /* --json */
    bool color;  /* standard output is a terminal, NO_COLOR is not set */
    char **args; /* the command's arguments, options taken out */
    int arg_count;
    struct arena arena;                  /* for the command's whole life */
    struct client *client;               /* once cli_connect has been called */
    const struct cli_options **describe; /* where set, cli_parse tells what the command takes here,
                                            and ends it */
};

/* A command: argv[0] is its full name ("tacit run list"). Returns an exit code. The first thing
 * that it does with effect is to call cli_parse: help, completions and manual pages ask it so what
 * it takes. */
typedef int command_fn(struct cli *cli, int argc, char **argv);

struct command {
    const char *name;    /* "ingest", "run" */
    const char *summary; /* one line for --help; NULL: works, and is not shown */
    command_fn *run;
    const struct command
        *sub;             /* a group: {…, {NULL}}; with `run`, that is what it does by itself */
    const char *examples; /* of a group */
};

/* The tree of commands, and the whole program but for its exit: finds the command that argv names
 * and runs it. Unknown commands name the nearest known one. */
extern const struct command command_root;
int command_dispatch(struct cli *cli, int argc, char **argv);
/* The command of this name in a group, or NULL. */
const struct command *command_find(const struct command *group, const char *word);
/* What a command takes; NULL for a group that does nothing by itself. */
const struct cli_options *command_options(const struct command *c);

command_fn cmd_completion, cmd_complete, cmd_man, cmd_config;
command_fn cmd_serve, cmd_chat;
command_fn cmd_ingest, cmd_plan, cmd_report, cmd_sample, cmd_export, cmd_eval;
command_fn cmd_run_create, cmd_run_list, cmd_run_show, cmd_run_wait, cmd_run_cancel, cmd_run_spec;
command_fn cmd_run_pause, cmd_run_resume, cmd_run_priority, cmd_run_extend, cmd_run_fork;
command_fn cmd_agents_drain, cmd_agents_undrain, cmd_agents_revoke, cmd_agents_restore,
    cmd_agents_label;
command_fn cmd_invite, cmd_token_rotate, cmd_quota, cmd_events, cmd_datasets_delete;
command_fn cmd_backup, cmd_restore, cmd_gc, cmd_scrub;
command_fn cmd_verify, cmd_lineage, cmd_rollback, cmd_alarms;
command_fn cmd_status, cmd_top, cmd_doctor, cmd_jobs, cmd_agents, cmd_datasets;
command_fn cmd_logs, cmd_retry, cmd_unbench;

/* What a command takes. Keys of its options are letters, or numbers from OPTION_FIRST. */
#define OPTION_FIRST 0x200
struct cli_options {
    const struct argp_option *options; /* ended by {0}; NULL: none of its own */
    /* "RUN FILE|DIR|-...". Words that completion knows: RUN, AGENT, DATASET and COORDINATOR (of
     * those that are there), FILE, SPEC.ini, DIR, and words in small letters, which are typed as
     * they are. */
    const char *args;
    const char *doc;        /* what it does, "\v", examples */
    int args_min, args_max; /* args_max < 0: any number */
    bool offline;           /* knows nothing of coordinators: no --url and the like */
    bool json;              /* takes --json */
    /* Takes one option into input; NULL where there are none. */
    int (*set)(void *input, int key, const char *arg, struct err *e);
};

/* All options of a command in one list, ended by a zero: its own, --url and the like, --json,
 * --help. Returns how many. */
#define CLI_KNOWN_MAX 48
int cli_known_options(const struct cli_options *o, struct argp_option known[CLI_KNOWN_MAX]);

/* Reads argv into cli and input. False: end with *code (after --help, or a mistake that has been
 * explained; an unknown option names the nearest known one). */
TACIT_MUST_CHECK bool cli_parse(struct cli *cli, const struct cli_options *o, int argc, char **argv,
                                void *input, int *code);

/* For set functions: arg as a number of an option within its range; ERR_INVALID names option. */
TACIT_MUST_CHECK int cli_u64(const char *option, const char *arg, uint64_t min, uint64_t max,
                             uint64_t *out, struct err *e);
TACIT_MUST_CHECK int cli_double(const char *option, const char *arg, double min, double max,
                                double *out, struct err *e);

/* Fills cli->settings, url, token_file and ca_file from what is given. */
TACIT_MUST_CHECK int cli_settings(struct cli *cli, struct err *e);
/* Opens the client; says what to set where the URL or the token is missing. */
TACIT_MUST_CHECK int cli_connect(struct cli *cli, struct err *e);
/* Prints "tacit run list: message" on standard error and returns the exit code of the error. */
int cli_fail(const struct cli *cli, const struct err *e);
/* True for failures that pass when one waits: no answer, busy, timed out. */
bool cli_may_pass(int code);
/* The same once the coordinator has answered at this address: then also what somebody will mend, a
 * full disk, a fault of the service, or a proxy's page in its place. */
bool cli_may_mend(int code);

/* "/v1/runs/demo": prefix, the percent-encoded name, suffix; in the arena. */
const char *cli_path(struct cli *cli, const char *prefix, const char *name, const char *suffix);
/* Fetches a path and prints its JSON, followed by a newline (for --json). */
TACIT_MUST_CHECK int cli_print_raw(struct cli *cli, const char *path, struct err *e);
/* Prints a message as JSON, followed by a newline. */
TACIT_MUST_CHECK int cli_print_json(const struct message *m, const void *value, struct err *e);
/* Prints "TITLE" as a heading. */
void cli_heading(const struct cli *cli, const char *title);

#endif
