/* tacit logs, retry, agents unbench: what became of a job, and once more. */
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/follow.h"
#include "ops/cli/format.h"
#include "ops/cli/job_text.h"

#define TEXT_BYTES (16u << 20)

/* --- logs ------------------------------------------------------------------------------------- */

struct logs_input {
    uint64_t attempt; /* 0: all */
    bool follow;
};

static int set_logs(void *input, int key, const char *arg, struct err *e)
{
    if (key == 'f') {
        ((struct logs_input *)input)->follow = true;
        return 0;
    }
    return cli_u64("--attempt", arg, 1, INT64_MAX, &((struct logs_input *)input)->attempt, e);
}

/* "/v1/jobs/12/attempts". */
static int job_path(struct cli *cli, const char *suffix, const char **path, struct err *e)
{
    uint64_t job;
    if (!text_to_u64(cli->args[0], &job) || job == 0)
        return err_set(e, ERR_INVALID,
                       "JOB is a number, not %s; if that is a run, `tacit jobs --run %s` lists its "
                       "jobs",
                       cli->args[0], cli->args[0]);
    *path = arena_printf(&cli->arena, "/v1/jobs/%llu%s", (unsigned long long)job, suffix);
    return *path ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

/* One attempt, or all, as JSON. */
static int print_raw(struct cli *cli, const struct msg_attempt *found, const char *path,
                     struct err *e)
{
    return found ? cli_print_json(&message_attempt, found, e) : cli_print_raw(cli, path, e);
}

/* The job and its attempts, or the one that is wanted. */
static void print_text(struct cli *cli, const struct msg_job *job, const struct msg_attempt *list,
                       uint32_t count, const struct msg_attempt *wanted)
{
    struct buf text;
    int64_t now = env_wall_ms();
    buf_init(&text, TEXT_BYTES);
    job_text_head(&text, &cli->arena, job, count, now);
    for (uint32_t i = 0; i < count; i++)
        if (!wanted || &list[i] == wanted)
            job_text_attempt(&text, &cli->arena, &list[i], now);
    fwrite(text.data, 1, text.len, stdout);
    buf_free(&text);
}

int cmd_logs(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"attempt", 'a', "N", 0, "This attempt alone", 1},
        {"follow", 'f', NULL, 0, "Go on with what is added, until the job has ended", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "JOB",
        .doc =
            "Every attempt at a job: which agent, from when on and how long, the step it "
            "reached, how it ended (an error, an exit or signal), and the tail of its log, which "
            "is kept when the machine is gone. The first few attempts and the last ones are "
            "kept.\vExamples:\n  tacit jobs --state quarantined\n  tacit logs 12\n"
            "  tacit logs 12 --attempt 3\n  tacit logs 12 -f\n  tacit logs 12 --json | jq -r "
            "'.[-1].log'",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_logs,
    };
    struct logs_input in = {0};
    struct err e = {0};
    struct msg_job job;
    struct msg_attempt *attempts, *found = NULL;
    uint32_t count;
    const char *path, *all;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc = job_path(cli, "", &path, &e);
    if (!rc)
        rc = job_path(cli, "/attempts", &all, &e);
    if (!rc)
        rc = cli_connect(cli, &e);
    if (!rc)
        rc = client_call(cli->client, "GET", path, NULL, NULL, &message_job, &job, &cli->arena, 0,
                         &e);
    if (!rc)
        rc = client_get_array(cli->client, all, &message_attempt, (void **)&attempts, &count,
                              &cli->arena, &e);
    for (uint32_t i = 0; !rc && i < count; i++)
        if (attempts[i].number == in.attempt)
            found = &attempts[i];
    if (!rc && in.attempt && !found)
        rc = err_set(&e, ERR_NOT_FOUND, "job %s has no attempt %llu, or it is not kept any more",
                     cli->args[0], (unsigned long long)in.attempt);
    if (!rc && in.follow && (cli->json || in.attempt))
        rc = err_set(&e, ERR_INVALID, "--follow goes without --json and --attempt");
    if (!rc && cli->json)
        rc = print_raw(cli, found, all, &e);
    if (rc || cli->json)
        return rc ? cli_fail(cli, &e) : 0;
    print_text(cli, &job, attempts, count, found);
    if (in.follow && follow_job(cli, path, all, attempts, count, &e))
        return cli_fail(cli, &e);
    if (job.state == JOB_QUARANTINED)
        printf("\n`tacit retry %s` tries it once more, `tacit retry %s` all of the run's.\n",
               cli->args[0], job.run);
    return 0;
}

/* --- retry ------------------------------------------------------------------------------------ */

struct retry_input {
    bool run;
};

static int set_retry(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)arg;
    (void)e;
    ((struct retry_input *)input)->run = true;
    return 0;
}

static int retry_job(struct cli *cli, struct err *e)
{
    struct msg_job job;
    const char *path;
    int rc = job_path(cli, "/retry", &path, e);
    if (!rc)
        rc = client_call(cli->client, "POST", path, NULL, NULL, &message_job, &job, &cli->arena, 0,
                         e);
    if (!rc && cli->json)
        return cli_print_json(&message_job, &job, e);
    if (!rc)
        printf("job %llu of run %s is %s again; its failures are forgotten\n",
               (unsigned long long)job.job, job.run, job_status_words[job.state]);
    return rc;
}

static int retry_run(struct cli *cli, struct err *e)
{
    struct msg_run run;
    const char *path = cli_path(cli, "/v1/runs/", cli->args[0], "/retry");
    int rc =
        client_call(cli->client, "POST", path, NULL, NULL, &message_run, &run, &cli->arena, 0, e);
    if (!rc && cli->json)
        return cli_print_json(&message_run, &run, e);
    if (!rc)
        printf("run %s goes on: %s jobs wait, %s are leased\n", run.name,
               format_count(&cli->arena, run.jobs_waiting),
               format_count(&cli->arena, run.jobs_leased));
    return rc;
}

int cmd_retry(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"run", 'r', NULL, 0, "It is a run's name, though it looks like a job's number", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "JOB|RUN",
        .doc = "Takes a job, or all of a run's, out of quarantine: they wait again, and their "
               "failures are forgotten. A run that failed is active again. Agents that are benched "
               "stay so.\vExamples:\n  tacit retry 12\n  tacit retry my-run",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_retry,
    };
    struct retry_input in = {0};
    struct err e = {0};
    uint64_t number;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc =
            !in.run && text_to_u64(cli->args[0], &number) ? retry_job(cli, &e) : retry_run(cli, &e);
    return rc ? cli_fail(cli, &e) : 0;
}

/* --- agents unbench --------------------------------------------------------------------------- */

int cmd_unbench(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "AGENT",
        .doc = "Gives a benched agent jobs again: it asks for one within minutes, or at once when "
               "it is restarted. Several of the same name are all unbenched.\v"
               "Example:\n  tacit agents unbench laptop-3",
        .args_min = 1,
        .args_max = 1,
    };
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc =
            client_call(cli->client, "POST", cli_path(cli, "/v1/agents/", cli->args[0], "/unbench"),
                        NULL, NULL, &message_empty, &(struct msg_empty){0}, &cli->arena, 0, &e);
    if (rc)
        return cli_fail(cli, &e);
    printf("agents named %s get jobs again\n", cli->args[0]);
    return 0;
}
