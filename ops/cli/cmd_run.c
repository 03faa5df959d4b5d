/* tacit run create, list, show, spec; `wait`, `fork` and those that steer have files of their own.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/plan.h"
#include "ops/cli/spec_file.h"
#include "ops/cli/text_table.h"
#include "ops/cli/watch.h"

/* --- create ----------------------------------------------------------------------------------- */

#define CREATE_DRY_RUN OPTION_FIRST

static int set_create(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)arg;
    (void)e;
    *(bool *)input = true;
    return 0;
}

/* What a dry run says beside "this would do": the models that would be made. */
static void print_models(struct cli *cli, const struct run_spec *s, const struct msg_dataset *d)
{
    struct arena *a = &cli->arena;
    struct model_config router, expert;
    spec_router_model(s, (uint32_t)d->vocab, (uint32_t)d->seq, &router);
    spec_expert_model(s, (uint32_t)d->vocab, (uint32_t)d->seq, &expert);
    if (s->router.mode == SPEC_EM)
        printf("  %u routers of %s parameters, %u rounds of %s sequences, %s steps each\n",
               s->experts, format_count(a, model_parameters(&router)), s->router.rounds,
               format_count(a, s->router.sequences),
               format_count(a, spec_router_steps(s, 0) * s->router.rounds));
    else
        printf("  no routers: sequences go to experts at random (control)\n");
    printf("  %u experts of %s parameters, %s steps of %u sequences each\n", s->experts,
           format_count(a, model_parameters(&expert)), format_count(a, s->expert.steps),
           s->expert.batch);
    if (!s->dense.enabled)
        return;
    printf("  a dense model of the same size, %s steps of %u sequences: equal tokens\n",
           format_count(a, spec_dense_steps(s)), s->dense.batch);
    if (s->dense.match == SPEC_MATCH_BOTH)
        printf("  another, %s steps: equal FLOPs, routers counted\n",
               format_count(a, spec_dense_flops_steps(s, (uint32_t)d->vocab, (uint32_t)d->seq,
                                                      d->train_sequences)));
}

static int get_dataset(struct cli *cli, const char *name, struct msg_dataset *d, struct err *e)
{
    return client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", name, ""), NULL, NULL,
                       &message_dataset, d, &cli->arena, 0, e);
}

static int create(struct cli *cli, const char *path, bool dry_run, struct err *e)
{
    struct buf text;
    struct run_spec spec;
    struct msg_run run = {0};
    struct msg_dataset dataset;
    int rc = spec_file_read(path, &text, &spec, e);
    if (!rc)
        rc = cli_connect(cli, e);
    struct msg_run_create request = {.spec = text.data, .file = path, .dry_run = dry_run};
    if (!rc)
        rc = client_call(cli->client, "POST", "/v1/runs", &message_run_create, &request,
                         &message_run, &run, &cli->arena, 0, e);
    buf_free(&text);
    if (rc)
        return rc;
    if (cli->json)
        return cli_print_json(&message_run, &run, e);
    if (!dry_run) {
        printf("run %s created: `tacit run wait %s` watches it\n", run.name, run.name);
        return 0;
    }
    rc = get_dataset(cli, spec.dataset, &dataset, e);
    if (rc)
        return rc;
    printf("run %s on data set %s would do; nothing was created. It would train\n", run.name,
           run.dataset);
    print_models(cli, &spec, &dataset);
    printf("`tacit plan %s` says what that costs.\n", path);
    return 0;
}

int cmd_run_create(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"dry-run", CREATE_DRY_RUN, NULL, 0, "Check the spec against its data set, create nothing",
         1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "SPEC.ini",
        .doc = "Starts a run from a spec (\"-\": from standard input). A mistake in it is named "
               "with its line, and nothing is created.\v"
               "Examples:\n  tacit run create my.ini --dry-run\n  tacit run create my.ini\n"
               "  sed 's/^seed = .*/seed = 7/; s/^name = .*/name = seven/' my.ini | tacit run "
               "create -",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_create,
    };
    bool dry_run = false;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &dry_run, &code))
        return code;
    return create(cli, cli->args[0], dry_run, &e) ? cli_fail(cli, &e) : 0;
}

/* --- list ------------------------------------------------------------------------------------- */

static void print_runs(struct cli *cli, const struct msg_run *runs, uint32_t count)
{
    static const char *const titles[] = {"run",       "state",    ">done",    "phase",   "data set",
                                         ">priority", ">experts", ">created", ">lasted", NULL};
    struct arena *a = &cli->arena;
    struct table t;
    int64_t now = env_wall_ms();
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_run *r = &runs[i];
        double end = r->ended_at ? (double)r->ended_at : (double)now;
        const char *cells[] = {r->name,
                               r->paused ? "paused" : run_state_words[r->state],
                               arena_printf(a, "%.0f %%", 100 * r->progress),
                               r->state == RUN_ACTIVE ? r->phase : NULL,
                               r->dataset,
                               r->state == RUN_ACTIVE ? arena_printf(a, "%.0f", r->priority) : NULL,
                               format_count(a, r->experts),
                               format_ago(a, r->created_at, now),
                               format_duration(a, (end - (double)r->created_at) / 1000)};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
}

int cmd_run_list(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "All runs, newest first.\v"
               "Examples:\n  tacit run list\n  tacit run list --json | jq -r '.[].name'",
        .json = true,
    };
    struct err e = {0};
    struct msg_run *runs;
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc && cli->json)
        return cli_print_raw(cli, "/v1/runs", &e) ? cli_fail(cli, &e) : 0;
    if (!rc)
        rc = client_get_array(cli->client, "/v1/runs", &message_run, (void **)&runs, &count,
                              &cli->arena, &e);
    if (rc)
        return cli_fail(cli, &e);
    if (count == 0)
        puts("no runs yet: `tacit run spec > my.ini`, edit it, `tacit run create my.ini`");
    else
        print_runs(cli, runs, count);
    return 0;
}

/* --- show ------------------------------------------------------------------------------------- */

static void print_run(struct cli *cli, const struct msg_run *r)
{
    struct arena *a = &cli->arena;
    int64_t now = env_wall_ms();
    char hex[DIGEST_HEX + 1];
    printf("run %s: %s\n", r->name, r->paused ? "paused" : run_state_words[r->state]);
    if (r->reason)
        printf("  %s\n", format_plain(a, r->reason));
    printf("  data set %s, %s experts, seed %llu, created %s%s%s\n", r->dataset,
           format_count(a, r->experts), (unsigned long long)r->seed,
           format_ago(a, r->created_at, now), r->ended_at ? ", ended " : "",
           r->ended_at ? format_ago(a, r->ended_at, now) : "");
    printf("  %s\n", watch_phase(a, r));
    printf("  jobs: %s waiting, %s leased, %s done, %s quarantined\n",
           format_count(a, r->jobs_waiting), format_count(a, r->jobs_leased),
           format_count(a, r->jobs_done), format_count(a, r->jobs_quarantined));
    if (r->priority != 0 || r->needs)
        printf("  priority %.0f%s%s\n", r->priority, r->needs ? ", needs agents with " : "",
               r->needs ? r->needs : "");
    if (r->extended_from)
        printf("  experts extended from %s steps to %s\n", format_count(a, r->extended_from),
               format_count(a, r->expert_steps));
    printf("  spec %s%s%s\n", digest_to_hex(&r->spec, hex), r->forked_from ? ", forked from " : "",
           r->forked_from ? r->forked_from : "");
    if (r->model_count == 0)
        return;
    putchar('\n');
    struct table t;
    watch_table(&t, a, r->models, r->model_count, true);
    table_print(&t, stdout, cli->color);
    if (r->jobs_quarantined)
        printf("\n`tacit jobs --run %s --state quarantined` shows what failed.\n", r->name);
    if (r->state == RUN_DONE)
        printf("\n`tacit report %s` compares the mixture with dense models.\n", r->name);
}

static int show(struct cli *cli, struct msg_run *run, struct err *e)
{
    const char *path = cli_path(cli, "/v1/runs/", cli->args[0], "");
    int rc = cli_connect(cli, e);
    return rc ? rc
              : client_call(cli->client, "GET", path, NULL, NULL, &message_run, run, &cli->arena, 0,
                            e);
}

int cmd_run_show(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "RUN",
        .doc = "One run: where it is, and each model's step, loss and agent.\v"
               "Examples:\n  tacit run show my-run\n"
               "  tacit run show my-run --json | jq '.models[] | {index, step, loss}'",
        .args_min = 1,
        .args_max = 1,
        .json = true,
    };
    struct err e = {0};
    struct msg_run run;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    if (cli->json) {
        int rc = cli_connect(cli, &e);
        if (!rc)
            rc = cli_print_raw(cli, cli_path(cli, "/v1/runs/", cli->args[0], ""), &e);
        return rc ? cli_fail(cli, &e) : 0;
    }
    if (show(cli, &run, &e))
        return cli_fail(cli, &e);
    print_run(cli, &run);
    return 0;
}

/* --- spec ------------------------------------------------------------------------------------- */

int cmd_run_spec(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "Prints a spec with every key, its default and what it does.\v"
               "Example:\n  tacit run spec > my.ini",
        .offline = true,
    };
    struct err e = {0};
    struct buf b;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    buf_init(&b, SPEC_BYTES_MAX);
    int rc = spec_template(&b, &e);
    if (!rc)
        fwrite(b.data, 1, b.len, stdout);
    buf_free(&b);
    return rc ? cli_fail(cli, &e) : 0;
}
