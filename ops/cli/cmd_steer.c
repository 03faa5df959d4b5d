/* tacit run pause, resume, cancel, priority, extend: of one run or of several. */
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/when.h"

/* POST of each run that is named, in turn: the first failure ends it. */
static int post_runs(struct cli *cli, const char *suffix, const struct message *in,
                     const void *in_value, int first, void (*say)(struct cli *, struct msg_run *),
                     struct err *e)
{
    int rc = cli_connect(cli, e);
    for (int i = first; !rc && i < cli->arg_count; i++) {
        struct msg_run run;
        rc = client_call(cli->client, "POST", cli_path(cli, "/v1/runs/", cli->args[i], suffix), in,
                         in_value, &message_run, &run, &cli->arena, 0, e);
        if (!rc && cli->json)
            rc = cli_print_json(&message_run, &run, e);
        else if (!rc)
            say(cli, &run);
    }
    return rc;
}

/* A whole command that takes names alone. */
static int post_names(struct cli *cli, const struct cli_options *o, int argc, char **argv,
                      const char *suffix, void (*say)(struct cli *, struct msg_run *))
{
    struct err e = {0};
    int code;
    if (!cli_parse(cli, o, argc, argv, NULL, &code))
        return code;
    return post_runs(cli, suffix, NULL, NULL, 0, say, &e) ? cli_fail(cli, &e) : 0;
}

/* --- pause, resume ---------------------------------------------------------------------------- */

enum { PAUSE_UNTIL = OPTION_FIRST };

static int set_pause(void *input, int key, const char *arg, struct err *e)
{
    int64_t at;
    (void)key;
    int rc = when_time("--until", arg, env_wall_ms(), &at, e);
    if (!rc && at <= env_wall_ms())
        rc = err_set(e, ERR_INVALID, "--until %s is over already", arg);
    if (!rc)
        ((struct msg_pause *)input)->until = (uint64_t)at;
    return rc;
}

static void say_paused(struct cli *cli, struct msg_run *r)
{
    struct arena *a = &cli->arena;
    double left = ((double)r->resume_at - (double)env_wall_ms()) / 1000;
    const char *until = r->resume_at ? arena_printf(a, "for %s", format_duration(a, left))
                                     : arena_printf(a, "until `tacit run resume %s`", r->name);
    printf("run %s is paused %s; %s jobs under way are saved and handed back\n", r->name, until,
           format_count(a, r->jobs_leased));
}

int cmd_run_pause(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"until", PAUSE_UNTIL, "TIME", 0,
         "Go on by itself then: a duration (20m, 2h, 1d) or a time (18:30, \"2026-03-01 18:30\")",
         1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN...",
        .doc = "Gives out no more jobs of a run. Agents that work for it are told at their next "
               "heartbeat, every 20 seconds: they save, hand their jobs back, and take those of "
               "other runs. Nothing is lost. The pause outlives a restart of the coordinator.\v"
               "Examples:\n  tacit run pause my-run\n  tacit run pause my-run --until 18:30\n"
               "  tacit run pause my-run other-run --until 2h",
        .args_min = 1,
        .args_max = -1,
        .json = true,
        .set = set_pause,
    };
    struct msg_pause pause = {0};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &pause, &code))
        return code;
    return post_runs(cli, "/pause", &message_pause, &pause, 0, say_paused, &e) ? cli_fail(cli, &e)
                                                                               : 0;
}

static void say_resumed(struct cli *cli, struct msg_run *r)
{
    printf("run %s goes on: %s jobs wait\n", r->name, format_count(&cli->arena, r->jobs_waiting));
}

int cmd_run_resume(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "RUN...",
        .doc = "Ends a pause: agents get the run's jobs again, from where they were saved.\v"
               "Example:\n  tacit run resume my-run",
        .args_min = 1,
        .args_max = -1,
        .json = true,
    };
    return post_names(cli, &o, argc, argv, "/resume", say_resumed);
}

/* --- cancel ----------------------------------------------------------------------------------- */

static void say_cancelled(struct cli *cli, struct msg_run *r)
{
    (void)cli;
    printf("run %s is cancelled\n", r->name);
}

int cmd_run_cancel(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "RUN...",
        .doc = "Ends runs early: agents drop their jobs at their next word to the coordinator, and "
               "what they send of them is refused. It can't be gone on with: the last model of "
               "each stays, older checkpoints go. `tacit run pause` is for what is to go on "
               "later.\vExamples:\n  tacit run cancel my-run\n"
               "  tacit run list --json | jq -r '.[] | select(.state == \"active\").name' | xargs "
               "tacit run cancel",
        .args_min = 1,
        .args_max = -1,
        .json = true,
    };
    return post_names(cli, &o, argc, argv, "/cancel", say_cancelled);
}

/* --- priority --------------------------------------------------------------------------------- */

static void say_priority(struct cli *cli, struct msg_run *r)
{
    (void)cli;
    printf("run %s has priority %.0f\n", r->name, r->priority);
}

int cmd_run_priority(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "NUMBER RUN...",
        .doc = "Runs of higher priority get agents first; those of equal priority share them, 0 is "
               "usual. A job that is under way is not interrupted. A negative number goes behind "
               "\"--\".\v"
               "Examples:\n  tacit run priority 10 my-run\n  tacit run priority -- -5 slow-run",
        .args_min = 2,
        .args_max = -1,
        .json = true,
    };
    struct err e = {0};
    int64_t number;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    /* "priority NAME NUMBER" is as plain. */
    int last = cli->arg_count - 1;
    if (!text_to_i64(cli->args[0], &number) && text_to_i64(cli->args[last], &number)) {
        char *word = cli->args[last];
        memmove(cli->args + 1, cli->args, (size_t)last * sizeof *cli->args);
        cli->args[0] = word;
    }
    int rc = 0;
    if (!text_to_i64(cli->args[0], &number) || number < -PROTOCOL_PRIORITY_MAX ||
        number > PROTOCOL_PRIORITY_MAX)
        rc = err_set(&e, ERR_INVALID, "%s: a priority is a whole number from -%d to %d",
                     cli->args[0], PROTOCOL_PRIORITY_MAX, PROTOCOL_PRIORITY_MAX);
    struct msg_priority m = {.priority = (double)number};
    if (!rc)
        rc = post_runs(cli, "/priority", &message_priority, &m, 1, say_priority, &e);
    return rc ? cli_fail(cli, &e) : 0;
}

/* --- extend ----------------------------------------------------------------------------------- */

enum { EXTEND_STEPS = OPTION_FIRST };

static int set_extend(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    return cli_u64("--steps", arg, 1, 1000000000, &((struct msg_extend *)input)->steps, e);
}

static void say_extended(struct cli *cli, struct msg_run *r)
{
    struct arena *a = &cli->arena;
    printf("run %s: its experts go on to %s steps; %s jobs wait\n", r->name,
           format_count(a, r->expert_steps), format_count(a, r->jobs_waiting));
}

int cmd_run_extend(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"steps", EXTEND_STEPS, "N", 0, "So many steps more of each expert (required)", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN",
        .doc = "Trains the experts of a run on, be it under way or done. What was done stays as it "
               "is, bit for bit: the added steps are a cycle of their own that follows the last "
               "link. Its learning rate warms up again (as [expert] says, for a tenth of the cycle "
               "at most) to [expert] learning_rate, and falls by a cosine to zero at the new end. "
               "Its data are further passes over each expert's own segment, drawn as ever. Dense "
               "models stay as they are: the report then compares models that have had unequal "
               "tokens.\vExample:\n  tacit run extend my-run --steps 2000",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_extend,
    };
    struct msg_extend m = {0};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &m, &code))
        return code;
    int rc = m.steps ? 0 : err_set(&e, ERR_INVALID, "how many steps more? --steps N");
    if (!rc)
        rc = post_runs(cli, "/extend", &message_extend, &m, 0, say_extended, &e);
    return rc ? cli_fail(cli, &e) : 0;
}
