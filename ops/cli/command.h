/* What the subcommands of `tacit` share: the connection's options, output forms, exit codes. Each
 * command is one function in a cmd_*.c file, with its own argp. */
#ifndef TACIT_OPS_CLI_COMMAND_H
#define TACIT_OPS_CLI_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/client/client.h"

/* Options that every command takes, from the environment where not given. */
struct cli {
    const char *url;        /* --url, TACIT_URL */
    const char *token_file; /* --token-file, TACIT_TOKEN_FILE */
    const char *ca_file;    /* --ca, TACIT_CA */
    bool json;              /* --json */
    bool color;             /* standard output is a terminal, NO_COLOR is not set */
    struct arena arena;     /* for the command's whole life */
    struct client *client;  /* once cli_connect has been called */
};

/* A command: parses argv (argv[0] is "tacit run list", for messages) and returns an exit code. */
typedef int command_fn(struct cli *cli, int argc, char **argv);

struct command {
    const char *name;    /* "ingest", "run" */
    const char *summary; /* one line for --help */
    command_fn *run;
    const struct command *sub; /* a group: {…, {NULL}}; run is NULL */
};

command_fn cmd_ingest, cmd_plan, cmd_report, cmd_sample;
command_fn cmd_run_create, cmd_run_list, cmd_run_show, cmd_run_wait, cmd_run_cancel, cmd_run_spec;
command_fn cmd_status, cmd_jobs, cmd_agents, cmd_datasets;

/* The argp of --url, --token-file, --ca and --json, to put among a command's children; its input is
 * the struct cli. */
extern const struct argp cli_common_argp;

/* Parses with the command's own argp (doc with examples after "\v"), the common options included.
 * Unknown flags name the nearest known one. Returns 0, or an exit code to end with (--help too:
 * then *done is true). */
TACIT_MUST_CHECK int cli_parse(struct cli *cli, const struct argp *argp, int argc, char **argv,
                               void *input, bool *done);

/* Opens the client; says what to set where the URL or the token is missing. */
TACIT_MUST_CHECK int cli_connect(struct cli *cli, struct err *e);

/* Prints "tacit run list: message" on standard error and returns the exit code of the error. */
int cli_fail(const char *command, const struct err *e);

/* Fetches a path and prints its JSON, followed by a newline (for --json). */
TACIT_MUST_CHECK int cli_print_raw(struct cli *cli, const char *path, struct err *e);

/* Percent-encodes a name for a path or query; in the arena. */
const char *cli_escape(struct cli *cli, const char *s);

#endif
