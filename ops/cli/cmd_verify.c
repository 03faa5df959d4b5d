/* tacit verify: a run's results, computed again and compared. */
#include <stdio.h>
#include <sysexits.h>
#include "core/env/clock.h"
#include "ops/cli/format.h"
#include "ops/cli/verify.h"

#define LINKS_DEFAULT 8
#define LINKS_MAX 1000000

enum {
    VERIFY_LINKS = OPTION_FIRST,
    VERIFY_ALL,
    VERIFY_SEED,
    VERIFY_THREADS,
    VERIFY_WORK,
    VERIFY_AGENTS
};

struct verify_input {
    struct verify_options o;
    bool seeded, agents;
};

static int set_verify(void *input, int key, const char *arg, struct err *e)
{
    struct verify_input *in = input;
    switch (key) {
    case VERIFY_LINKS:
        return cli_u64("--links", arg, 1, LINKS_MAX, &in->o.links, e);
    case VERIFY_SEED:
        in->seeded = true;
        return cli_u64("--seed", arg, 0, INT64_MAX, &in->o.seed, e);
    case VERIFY_THREADS:
        return cli_u64("--threads", arg, 1, 1024, &in->o.threads, e);
    case VERIFY_WORK:
        in->o.work = arg;
        return 0;
    case VERIFY_AGENTS:
        in->agents = true;
        return 0;
    default:
        in->o.all = true;
        return 0;
    }
}

/* --- what was found --------------------------------------------------------------------------- */

static void print_bad(const struct msg_bad_blob *b)
{
    char hex[DIGEST_HEX + 1];
    printf("DAMAGED: blob %s, %s", digest_to_hex(&b->digest, hex),
           b->words ? b->words : blob_role_words[b->role]);
    if (b->job)
        printf(" (job %llu)", (unsigned long long)b->job);
    printf("\n  %s\n", b->why ? b->why : "");
    printf("  %s\n", b->repair ? b->repair : "nothing computes it anew: a backup may have it");
}

/* "expert:2", as `tacit rollback` takes it; NULL for what is no link. */
static const char *model_of(struct arena *a, const struct msg_difference *d)
{
    bool numbered = d->target == TARGET_EXPERT || d->target == TARGET_ROUTER;
    if (d->target == TARGET_NONE || d->step_last == 0)
        return NULL;
    return numbered ? arena_printf(a, "%s:%llu", job_target_words[d->target],
                                   (unsigned long long)d->index)
                    : job_target_words[d->target];
}

static void print_difference(struct cli *cli, const char *run, const struct msg_difference *d)
{
    static const struct digest none;
    struct arena *a = &cli->arena;
    char published[DIGEST_HEX + 1], replayed[DIGEST_HEX + 1], start[DIGEST_HEX + 1];
    const char *role = blob_role_words[d->role], *model = model_of(a, d);
    bool differs = d->why == NULL;
    printf("%s: %s (job %llu), by %s%s\n", differs ? "DIFFERS" : "DAMAGED", d->words,
           (unsigned long long)d->job, d->agent ? "agent " : "the coordinator",
           d->agent ? format_plain(a, d->agent) : "");
    digest_to_hex(&d->published, published);
    if (differs)
        printf("  %s published %s\n  %*s replayed  %s\n", role, published, (int)format_width(role),
               "", digest_to_hex(&d->replayed, replayed));
    else
        printf("  %s%s %s: %s\n", d->source_job ? "its input, " : "", role, published, d->why);
    if (d->by)
        printf(
            "  replayed by agent %s: of two results one is wrong, `tacit verify %s` here tells\n",
            format_plain(a, d->by), run);
    if (d->source_job)
        printf("  (given by job %llu)\n", (unsigned long long)d->source_job);
    if (!digest_equal(&d->start, &none))
        printf("  started from state %s\n", digest_to_hex(&d->start, start));
    printf("  tacit lineage %.12s  shows what it was made of\n", published);
    if (d->source_job)
        printf("  tacit rollback %s MODEL --to-good  has the model that gave it computed anew\n",
               run);
    else if (model)
        printf("  tacit rollback %s %s --to %llu  undoes it and what followed from it\n", run,
               model, (unsigned long long)d->step_first);
}

static int code_of(const struct msg_verified *v)
{
    if (v->bad_total || v->difference_count)
        return EX_DATAERR;
    return v->skipped ? EX_UNAVAILABLE : EX_OK;
}

int verify_print(struct cli *cli, const struct msg_verified *v)
{
    struct arena *a = &cli->arena;
    if (v->all)
        printf("store: %s blobs, %s, read against their names: %s\n", format_count(a, v->blobs),
               format_bytes(a, (double)v->bytes),
               v->bad_total ? arena_printf(a, "%s damaged", format_count(a, v->bad_total))
                            : "all whole");
    for (uint32_t i = 0; i < v->bad_count; i++)
        print_bad(&v->bad[i]);
    if (v->bad_total > v->bad_count)
        printf("and %s more\n", format_count(a, v->bad_total - v->bad_count));
    printf("run %s: %s of %s jobs replayed%s in %s", v->run, format_count(a, v->replayed),
           format_count(a, v->jobs), v->agents ? " by agents" : "", format_duration(a, v->seconds));
    if (v->recalled)
        printf(" (%s of them earlier)", format_count(a, v->recalled));
    if (v->remade)
        printf(", and %s before them whose results are not kept", format_count(a, v->remade));
    if (!v->all)
        printf(", picked with --seed %llu", (unsigned long long)v->seed);
    if (v->difference_count)
        printf(": %u differ\n", v->difference_count);
    else if (v->skipped)
        printf(": %s agree\n", format_count(a, v->replayed));
    else
        printf(": all agree\n");
    if (v->skipped)
        printf("NOT VERIFIED: %s could not be replayed by agents: %s\n"
               "  tacit verify %s  without --agents replays them from further back\n",
               format_count(a, v->skipped), v->skipped_why ? v->skipped_why : "no reason is known",
               v->run);
    for (uint32_t i = 0; i < v->difference_count; i++)
        print_difference(cli, v->run, &v->differences[i]);
    return code_of(v);
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"links", VERIFY_LINKS, "N", 0, "Replay N training jobs, picked at random (default 8)", 1},
        {"all", VERIFY_ALL, NULL, 0,
         "Read every stored blob of the run against its name, then replay every job", 1},
        {"agents", VERIFY_AGENTS, NULL, 0,
         "Have agents replay them, others than their doers first, and wait for it", 1},
        {"seed", VERIFY_SEED, "N", 0, "Pick as another time (default: at random, and told)", 1},
        {"threads", VERIFY_THREADS, "N", 0, "Processors to use (default: all)", 1},
        {"work", VERIFY_WORK, "DIR", 0,
         "Keep inputs and what replays gave here (default: below ~/.cache/tacit)", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN",
        .doc =
            "Computes results of a run again on this machine, from the inputs that their doers "
            "were given, and compares: every result has one right digest. Exits 0 where all "
            "agree, 65 where one differs or a blob is damaged, which is named with its agent, 69 "
            "where agents could not replay some, and all others agree.\v"
            "Examples:\n  tacit verify my-run\n  tacit verify my-run --links 20 --agents\n  "
            "tacit verify my-run --links 20 --seed 7\n"
            "  tacit verify my-run --all --work /tmp/v\n"
            "  tacit verify my-run --json | jq '.differences[] | {words, agent}'",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_verify,
    };
    struct verify_input in = {.o = {.links = LINKS_DEFAULT}};
    struct msg_verified v;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    in.o.run = cli->args[0];
    if (!in.seeded) {
        uint32_t seed;
        env_random(&seed, sizeof seed);
        in.o.seed = seed;
    }
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = in.agents ? verify_by_agents(cli, &in.o, &v, &e) : verify_here(cli, &in.o, &v, &e);
    if (!rc && cli->json)
        rc = cli_print_json(&message_verified, &v, &e);
    if (rc)
        return cli_fail(cli, &e);
    if (cli->json)
        return code_of(&v);
    return verify_print(cli, &v);
}
