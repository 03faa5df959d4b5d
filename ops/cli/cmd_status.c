/* tacit status, jobs, agents, datasets: what the coordinator knows, as tables. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/overview.h"
#include "ops/cli/text_table.h"
#include "ops/cli/trouble.h"
#include "ops/cli/watch.h"

/* Fetches an array, or prints it raw with --json: then *count is 0 and *items NULL. */
static int fetch(struct cli *cli, const char *path, const struct message *of, void **items,
                 uint32_t *count, struct err *e)
{
    *items = NULL;
    *count = 0;
    int rc = cli_connect(cli, e);
    if (rc)
        return rc;
    if (cli->json)
        return cli_print_raw(cli, path, e);
    return client_get_array(cli->client, path, of, items, count, &cli->arena, e);
}

#define DAY_S 86400
#define REASON_COLUMNS 60

/* --- status ----------------------------------------------------------------------------------- */

/* Local time of day, where it is near enough for one. */
static const char *clock_words(struct arena *a, const struct msg_run *r, int64_t now_ms)
{
    time_t first = (time_t)((double)now_ms / 1000 + r->left_least);
    time_t last = (time_t)((double)now_ms / 1000 + r->left_most);
    struct tm x, y;
    if (!(r->left_most > 0 && r->left_most < DAY_S) || !localtime_r(&first, &x) ||
        !localtime_r(&last, &y))
        return NULL;
    if (x.tm_hour == y.tm_hour && x.tm_min == y.tm_min)
        return arena_printf(a, "%02d:%02d", x.tm_hour, x.tm_min);
    return arena_printf(a, "%02d:%02d–%02d:%02d", x.tm_hour, x.tm_min, y.tm_hour, y.tm_min);
}

static double rate_of(const struct overview *v, const char *run)
{
    double sum = NAN;
    for (uint32_t i = 0; i < v->job_count; i++)
        if (v->jobs[i].agent && !isnan(v->jobs[i].rate) && strcmp(v->jobs[i].run, run) == 0)
            sum = (isnan(sum) ? 0 : sum) + v->jobs[i].rate;
    return sum;
}

static void print_active(struct cli *cli, const struct overview *v)
{
    static const char *const titles[] = {"run",     "state",     ">done",
                                         "phase",   "left",      "ends",
                                         ">agents", ">tokens/s", "what it waits for",
                                         NULL};
    struct arena *a = &cli->arena;
    struct table t;
    uint32_t active = 0, ended = 0;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < v->run_count; i++) {
        const struct msg_run *r = &v->runs[i];
        bool rounds = r->round < r->rounds &&
                      (strcmp(r->phase, "routers") == 0 || strcmp(r->phase, "scoring") == 0);
        double rate = rate_of(v, r->name);
        if (r->state != RUN_ACTIVE) {
            ended++;
            continue;
        }
        active++;
        const char *cells[] = {
            r->name,
            r->paused ? "paused" : "active",
            arena_printf(a, "%.0f %%", floor(100 * r->progress)),
            rounds ? arena_printf(a, "%s %s", r->phase, format_part(a, r->round + 1, r->rounds))
                   : r->phase,
            r->paused ? NULL : format_range(a, r->left_least, r->left_most),
            r->paused ? NULL : clock_words(a, r, v->wall_ms),
            format_count(a, r->jobs_leased),
            isnan(rate) ? NULL : format_count(a, (uint64_t)rate),
            r->reason ? format_cut(a, format_plain(a, r->reason), REASON_COLUMNS) : ""};
        table_row(&t, cells);
    }
    if (active) {
        putchar('\n');
        table_print(&t, stdout, cli->color);
    }
    if (ended)
        printf("%s%s %s ended: `tacit run list` shows %s\n\n", active ? "and " : "",
               format_count(a, ended), ended == 1 ? "run that has" : "runs that have",
               ended == 1 ? "it" : "them");
    else if (active)
        putchar('\n');
}

static void print_counts(struct cli *cli, const struct msg_status *s)
{
    struct arena *a = &cli->arena;
    printf("jobs         %s waiting, %s leased, %s quarantined\n", format_count(a, s->jobs_waiting),
           format_count(a, s->jobs_leased), format_count(a, s->jobs_quarantined));
    if (s->jobs_leased + s->jobs_backing_off > 0)
        printf("             %s running, %s fetching, saving or uploading, %s silent; %s backing "
               "off\n",
               format_count(a, s->jobs_running), format_count(a, s->jobs_moving),
               format_count(a, s->jobs_silent), format_count(a, s->jobs_backing_off));
    uint64_t others = s->agents_working + s->agents_idle + s->agents_benched;
    printf("agents       %s known: %s working, %s idle, %s silent, %s benched, drained or revoked; "
           "%s threads at hand\n",
           format_count(a, s->agents), format_count(a, s->agents_working),
           format_count(a, s->agents_idle), format_count(a, s->agents - others),
           format_count(a, s->agents_benched), format_count(a, s->threads));
    printf("stored       %s blobs, %s\n", format_count(a, s->blobs),
           format_bytes(a, (double)s->blob_bytes));
    printf("disk         %s used, %s free%s\n", format_bytes(a, (double)s->disk_used),
           format_bytes(a, (double)s->disk_free),
           s->disk_planned ? arena_printf(a, "; active runs will add up to %s",
                                          format_bytes(a, (double)s->disk_planned))
                           : "");
    if (s->storage_since)
        printf("storage      %s (for %s)\n", s->storage,
               format_duration(a, (double)(env_wall_ms() - (int64_t)s->storage_since) / 1000));
    printf("memory       %s at most so far\n", format_bytes(a, (double)s->memory_peak));
}

static void print_troubles(struct cli *cli, const struct overview *v)
{
    static const char *const colors[] = {"\033[33m", "\033[31;1m"};
    uint32_t count;
    const struct trouble *list = trouble_find(&cli->arena, cli->url, v, &count);
    if (count == 0) {
        puts("\nnothing is wrong");
        return;
    }
    cli_heading(cli, "What is wrong, and what to do");
    for (uint32_t i = 0; i < count; i++)
        printf("%s! %s%s\n      %s\n", cli->color ? colors[list[i].level] : "", list[i].what,
               cli->color ? "\033[0m" : "", list[i].fix);
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "One look at all: what runs, how far it is, when it ends (a range, from the paces "
               "it had; local time), who works, what is stored, what is wrong and what to type "
               "about it. `tacit top` shows the same, live.\v"
               "Examples:\n  tacit status\n  tacit status --json | jq .agents_idle",
        .json = true,
    };
    const struct overview_want want = {.jobs = true};
    struct overview *v;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc && cli->json)
        return cli_print_raw(cli, "/v1/status", &e) ? cli_fail(cli, &e) : 0;
    if (!rc)
        rc = overview_fetch(cli->client, &want, 0, &v, &e);
    if (rc)
        return cli_fail(cli, &e);
    printf("coordinator  %s, tacitd %s, up %s\n", cli->url, v->status.version,
           format_duration(&cli->arena, (double)v->status.uptime_ms / 1000));
    printf("runs         %s active\n", format_count(&cli->arena, v->status.runs_active));
    print_active(cli, v);
    print_counts(cli, &v->status);
    print_troubles(cli, v);
    overview_free(v);
    return 0;
}

/* --- jobs ------------------------------------------------------------------------------------- */

#define JOBS_DEFAULT 50

struct jobs_input {
    const char *run, *state;
    uint64_t limit;
};

enum { JOBS_RUN = OPTION_FIRST, JOBS_STATE };

static int set_jobs(void *input, int key, const char *arg, struct err *e)
{
    struct jobs_input *in = input;
    if (key == 'n')
        return cli_u64("--limit", arg, 1, 9999, &in->limit, e);
    if (key == JOBS_RUN) {
        in->run = arg;
        return 0;
    }
    in->state = arg;
    for (int i = 0; job_status_words[i]; i++)
        if (strcmp(arg, job_status_words[i]) == 0)
            return 0;
    size_t count = 0;
    while (job_status_words[count])
        count++;
    const char *near = text_nearest(arg, job_status_words, count);
    return err_set(e, ERR_INVALID,
                   "--state %s: a job is waiting (of these, \"backing off\"), leased (fetching, "
                   "running, saving, uploading, silent), done, quarantined or cancelled%s%s%s",
                   arg, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void print_jobs(struct cli *cli, const struct msg_job *jobs, uint32_t count)
{
    static const char *const titles[] = {">job",  "run",       "what",  "state",  "agent", ">step",
                                         ">loss", ">tokens/s", "since", "reason", NULL};
    struct arena *a = &cli->arena;
    struct table t;
    int64_t now = env_wall_ms();
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_job *j = &jobs[i];
        bool training = j->kind == JOB_TRAIN || j->kind == JOB_TRAIN_ROUTER;
        const char *cells[] = {arena_printf(a, "%llu", (unsigned long long)j->job),
                               j->run,
                               watch_job(a, j),
                               job_status_words[j->state],
                               j->agent,
                               training ? format_count(a, j->step) : NULL,
                               format_number(a, j->loss, 3),
                               isnan(j->rate) ? NULL : format_count(a, (uint64_t)j->rate),
                               format_ago(a, j->since_at, now),
                               j->reason ? format_cut(a, j->reason, 100) : ""};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
}

int cmd_jobs(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"run", JOBS_RUN, "RUN", 0, "Jobs of this run alone", 1},
        {"state", JOBS_STATE, "waiting|leased|done|quarantined|cancelled", 0,
         "waiting, leased, done, quarantined or cancelled; of the waiting \"backing off\" alone; "
         "of "
         "the leased fetching, running, saving, uploading or silent alone",
         1},
        {"limit", 'n', "N", 0, "At most so many (default 50)", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "What waits, is being worked on, or is done, each with since when and why; newest "
               "first. `tacit logs JOB` shows more of one.\v"
               "Examples:\n  tacit jobs --state leased\n  tacit jobs --state silent\n"
               "  tacit jobs --run my-run --state quarantined",
        .json = true,
        .set = set_jobs,
    };
    struct jobs_input in = {.limit = JOBS_DEFAULT};
    struct err e = {0};
    struct msg_job *jobs;
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    const char *suffix = arena_printf(&cli->arena, "?limit=%llu", (unsigned long long)in.limit);
    if (in.state && suffix)
        suffix = cli_path(cli, arena_printf(&cli->arena, "%s&state=", suffix), in.state, "");
    const char *path =
        in.run ? cli_path(cli, arena_printf(&cli->arena, "/v1/jobs%s&run=", suffix), in.run, "")
               : arena_printf(&cli->arena, "/v1/jobs%s", suffix);
    if (fetch(cli, path, &message_job, (void **)&jobs, &count, &e))
        return cli_fail(cli, &e);
    if (cli->json)
        return 0;
    if (count == 0) {
        puts(in.run || in.state ? "no such jobs" : "no jobs yet: `tacit run create` makes some");
        return 0;
    }
    print_jobs(cli, jobs, count);
    if (count == in.limit)
        printf("(at most %s shown: --limit N shows more)\n", format_count(&cli->arena, in.limit));
    return 0;
}

/* --- agents ----------------------------------------------------------------------------------- */

int cmd_agents(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "Every machine that has joined: what it is and what it does. One that failed three "
               "different jobs in a row is benched: it gets none for a while, or until `tacit "
               "agents unbench NAME`. `tacit agents drain`, undrain, revoke, restore and label "
               "steer them.\v"
               "Examples:\n  tacit agents\n"
               "  tacit agents --json | jq -r '.[] | select(.state == \"silent\").name'",
        .json = true,
    };
    static const char *const titles[] = {"agent",   "state",  "job",        ">tokens/s", ">threads",
                                         ">memory", "isa",    ">jobs done", ">failures", "seen",
                                         "host",    "labels", NULL};
    struct err e = {0};
    struct msg_agent *agents;
    struct arena *a = &cli->arena;
    struct table t;
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    if (fetch(cli, "/v1/agents", &message_agent, (void **)&agents, &count, &e))
        return cli_fail(cli, &e);
    if (cli->json)
        return 0;
    if (count == 0) {
        printf("no agents yet: start one with\n  tacit-agent --coordinator %s --token-file "
               "DIR/join.token --work DIR2\n",
               cli->url);
        return 0;
    }
    table_init(&t, a, titles);
    int64_t now = env_wall_ms();
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_agent *g = &agents[i];
        const char *cells[] = {g->name,
                               g->state,
                               g->job,
                               isnan(g->rate) ? NULL : format_count(a, (uint64_t)g->rate),
                               format_count(a, g->threads),
                               format_bytes(a, (double)g->memory),
                               g->isa,
                               format_count(a, g->jobs_done),
                               format_count(a, g->failures),
                               format_ago(a, g->seen_at, now),
                               g->host,
                               g->labels};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
    for (uint32_t i = 0; i < count; i++)
        if (agents[i].reason)
            printf("%s is %s %s\n", agents[i].name, agents[i].state,
                   format_plain(a, agents[i].reason));
    return 0;
}

/* --- datasets --------------------------------------------------------------------------------- */

int cmd_datasets(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "What runs can train on.\v"
               "Examples:\n  tacit datasets\n  tacit datasets --json | jq -r '.[].name'",
        .json = true,
    };
    static const char *const titles[] = {"data set",   ">vocab", ">seq",    ">train", ">held out",
                                         ">documents", ">text",  ">labels", "made",   NULL};
    struct err e = {0};
    struct msg_dataset *sets;
    struct arena *a = &cli->arena;
    struct table t;
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    if (fetch(cli, "/v1/datasets", &message_dataset, (void **)&sets, &count, &e))
        return cli_fail(cli, &e);
    if (cli->json)
        return 0;
    if (count == 0) {
        puts("no data sets yet: `tacit ingest NAME FILE|DIR… --vocab V --seq S` makes one");
        return 0;
    }
    table_init(&t, a, titles);
    int64_t now = env_wall_ms();
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_dataset *d = &sets[i];
        const char *cells[] = {
            d->name,
            format_count(a, d->vocab),
            format_count(a, d->seq),
            format_count(a, d->train_sequences),
            format_count(a, d->heldout_sequences),
            format_count(a, d->documents),
            format_bytes(a, (double)(d->train_text_bytes + d->heldout_text_bytes)),
            format_count(a, d->label_count),
            format_ago(a, d->created_at, now)};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
    return 0;
}

/* --- datasets delete -------------------------------------------------------------------------- */

enum { DELETE_FORCE = OPTION_FIRST };

static int set_delete(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)arg;
    (void)e;
    ((struct msg_delete *)input)->force = true;
    return 0;
}

int cmd_datasets_delete(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"force", DELETE_FORCE, NULL, 0,
         "Also where runs that are done need it: they can't be verified, sampled or extended then",
         1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "DATASET",
        .doc = "Deletes a data set: its shards go with the next collection (`tacit gc`), its name "
               "is free. Refused while a run needs it, which is named.\v"
               "Example:\n  tacit datasets delete old-books",
        .args_min = 1,
        .args_max = 1,
        .set = set_delete,
    };
    struct msg_delete m = {0};
    struct msg_empty done;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &m, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = client_call(cli->client, "POST",
                         cli_path(cli, "/v1/datasets/", cli->args[0], "/delete"), &message_delete,
                         &m, &message_empty, &done, &cli->arena, 0, &e);
    if (rc)
        return cli_fail(cli, &e);
    printf("data set %s is deleted\n", cli->args[0]);
    return 0;
}
