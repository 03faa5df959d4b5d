/* tacit lineage: what an artifact was made of, by whom and when, down to the shards. What several
 * jobs read is printed where it is met first and referred to afterwards, so the output is as long
 * as there are jobs, and memory holds their numbers and one way down the tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "ops/cli/format.h"
#include "ops/cli/made.h"

#define LEVEL_BYTES_MAX (32u << 20) /* of one answer */
#define DEPTH_MAX 2000
#define INDENT_MAX 24 /* levels that are set apart; deeper ones would leave no room for words */
#define SHORT 12      /* digits of a digest, enough to ask for it */
#define SHARDS_SHOWN 4

struct lineage {
    struct cli *cli;
    uint64_t *seen; /* hash set of jobs; 0: free */
    uint64_t seen_count, seen_capacity;
    bool first; /* --json: no comma yet */
};

/* --- jobs that were met ----------------------------------------------------------------------- */

static uint64_t slot_of(uint64_t job, uint64_t capacity)
{
    return (job * 0x9E3779B97F4A7C15u >> 20) & (capacity - 1);
}

static void place(uint64_t *set, uint64_t capacity, uint64_t job)
{
    uint64_t i = slot_of(job, capacity);
    while (set[i] && set[i] != job)
        i = (i + 1) & (capacity - 1);
    set[i] = job;
}

static bool is_seen(const struct lineage *l, uint64_t job)
{
    if (l->seen_capacity == 0)
        return false;
    uint64_t i = slot_of(job, l->seen_capacity);
    while (l->seen[i] && l->seen[i] != job)
        i = (i + 1) & (l->seen_capacity - 1);
    return l->seen[i] == job;
}

static int add_seen(struct lineage *l, uint64_t job, struct err *e)
{
    if (2 * (l->seen_count + 1) > l->seen_capacity) {
        uint64_t capacity = l->seen_capacity ? 2 * l->seen_capacity : 1024;
        uint64_t *grown = calloc(capacity, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NO_MEMORY, "no memory for the jobs of a tree");
        for (uint64_t i = 0; i < l->seen_capacity; i++)
            if (l->seen[i])
                place(grown, capacity, l->seen[i]);
        free(l->seen);
        l->seen = grown;
        l->seen_capacity = capacity;
    }
    place(l->seen, l->seen_capacity, job);
    l->seen_count++;
    return 0;
}

/* --- what is kept of a job on the way down ---------------------------------------------------- */

struct input {
    struct digest digest, name;
    int role;
    uint64_t index, first, count;
    bool told;
};

struct node {
    uint64_t job;
    bool heldout, chained; /* chained: model and state come from the link before */
    struct input *inputs;  /* owned */
    uint32_t count;
};

static int node_of(struct node *n, const struct msg_made *m, struct err *e)
{
    const struct msg_grant *g = m->grant;
    *n = (struct node){.job = g->job,
                       .heldout = g->kind == JOB_EVAL,
                       .chained = g->kind == JOB_TRAIN || g->kind == JOB_TRAIN_ROUTER,
                       .count = g->input_count,
                       .inputs = calloc(g->input_count + 1, sizeof *n->inputs)};
    if (!n->inputs)
        return err_set(e, ERR_NO_MEMORY, "no memory for the inputs of a job");
    for (uint32_t i = 0; i < g->input_count; i++) {
        const struct msg_blob *b = &g->inputs[i];
        n->inputs[i] = (struct input){
            .digest = b->digest, .name = *made_name(b), .role = b->role, .index = b->index};
        n->inputs[i].first = b->first;
        n->inputs[i].count = b->count;
    }
    return 0;
}

/* --- lines ------------------------------------------------------------------------------------ */

static void indent(uint32_t depth)
{
    printf("%*s", (int)(2 * (depth < INDENT_MAX ? depth : INDENT_MAX)), "");
}

static void print_job(struct arena *a, const struct msg_made *m)
{
    printf("%s (job %llu): %s, %s, %s\n", made_job_words(a, m->grant),
           (unsigned long long)m->grant->job, made_doer(a, m), format_duration(a, m->seconds),
           format_ago(a, m->at, env_wall_ms()));
}

/* Whole the first time. */
static void print_maker(struct arena *a, const struct msg_made *m, bool fresh)
{
    if (fresh)
        print_job(a, m);
    else
        printf("job %llu, above\n", (unsigned long long)m->grant->job);
}

static void print_shards(struct node *n, uint32_t depth, struct arena *a)
{
    uint32_t count = 0;
    uint64_t sequences = 0;
    for (uint32_t i = 0; i < n->count; i++) {
        count += n->inputs[i].role == ROLE_SHARD;
        sequences += n->inputs[i].role == ROLE_SHARD ? n->inputs[i].count : 0;
    }
    if (count == 0)
        return;
    indent(depth);
    printf("%s sequences of %u %s shard%s:", format_count(a, sequences), count,
           n->heldout ? "held-out" : "train", count == 1 ? "" : "s");
    for (uint32_t i = 0, shown = 0; i < n->count; i++) {
        struct input *x = &n->inputs[i];
        char hex[DIGEST_HEX + 1];
        if (x->role != ROLE_SHARD)
            continue;
        x->told = true;
        if (shown < SHARDS_SHOWN - 1 || shown == count - 1)
            printf(" %llu %.*s", (unsigned long long)x->index, SHORT,
                   digest_to_hex(&x->digest, hex));
        else if (shown == SHARDS_SHOWN - 1)
            printf(" …");
        shown++;
    }
    putchar('\n');
}

/* Marks the inputs that this job gave; says what they are. */
static void print_inputs_of(struct node *n, const struct msg_made *m, uint32_t at, uint32_t depth,
                            bool fresh, struct arena *a)
{
    char hex[DIGEST_HEX + 1];
    uint32_t count = 0;
    for (uint32_t i = at; i < n->count; i++)
        for (uint32_t k = 0; !n->inputs[i].told && k < m->output_count; k++)
            if (digest_equal(&n->inputs[i].digest, &m->outputs[k].digest)) {
                n->inputs[i].told = true;
                count++;
            }
    struct input *x = &n->inputs[at];
    if (!x->told) /* it gave the same content in other bytes */
        count++;
    x->told = true;
    indent(depth);
    printf("%s %.*s%s ← ", blob_role_words[x->role], SHORT, digest_to_hex(&x->name, hex),
           count > 1 ? arena_printf(a, " and %u more", count - 1) : "");
    print_maker(a, m, fresh);
}

/* --- going down ------------------------------------------------------------------------------- */

static int ask(struct lineage *l, const struct digest *d, struct arena *a, struct msg_made *m,
               struct err *e)
{
    char hex[DIGEST_HEX + 1];
    if (env_stop_requested())
        return err_set(e, ERR_STOPPED, "stopped");
    arena_reset(a);
    return made_of_digits(l->cli->client, digest_to_hex(d, hex), a, m, e);
}

static int emit_json(struct lineage *l, const struct msg_made *m, struct err *e)
{
    puts(l->first ? "[" : ",");
    l->first = false;
    return cli_print_json(&message_made, m, e);
}

static int go_down(struct lineage *l, struct node n, uint32_t depth, struct err *e);

/* One input, with what came before it. */
static int child(struct lineage *l, struct node *n, uint32_t i, uint32_t depth, struct err *e)
{
    struct arena a;
    struct msg_made m;
    struct node below = {0};
    arena_init(&a, LEVEL_BYTES_MAX);
    int rc = ask(l, &n->inputs[i].digest, &a, &m, e);
    bool fresh = !rc && m.what == MADE_BY_JOB && !is_seen(l, m.grant->job);
    if (!rc && l->cli->json) {
        n->inputs[i].told = true;
        rc = fresh ? emit_json(l, &m, e) : 0;
    } else if (!rc && m.what == MADE_BY_JOB) {
        print_inputs_of(n, &m, i, depth, fresh, &a);
    }
    if (!rc && fresh)
        rc = node_of(&below, &m, e);
    arena_free(&a);
    return rc || !fresh ? rc : go_down(l, below, depth + 1, e);
}

/* The link before: model and state of the same chain. In *next; job 0 where there is none, or it
 * was met. */
static int chain_before(struct lineage *l, struct node *n, uint32_t depth, struct node *next,
                        struct err *e)
{
    struct arena a;
    struct msg_made m;
    uint32_t i = 0;
    *next = (struct node){0};
    while (i < n->count && n->inputs[i].role != ROLE_STATE)
        i++;
    if (!n->chained)
        return 0;
    if (i == n->count) {
        if (!l->cli->json) {
            indent(depth);
            puts("from the initial weights");
        }
        return 0;
    }
    arena_init(&a, LEVEL_BYTES_MAX);
    int rc = ask(l, &n->inputs[i].digest, &a, &m, e);
    bool job = !rc && m.what == MADE_BY_JOB, fresh = job && !is_seen(l, m.grant->job);
    if (job && !l->cli->json) {
        indent(depth - 1);
        printf("← ");
        print_maker(&a, &m, fresh);
    } else if (fresh) {
        rc = emit_json(l, &m, e);
    }
    if (!rc && fresh)
        rc = node_of(next, &m, e);
    arena_free(&a);
    return rc;
}

/* n (which is freed here) has been printed: its inputs, then the links before it. */
static int go_down(struct lineage *l, struct node n, uint32_t depth, struct err *e)
{
    int rc = 0;
    while (!rc && n.job) {
        struct arena a;
        struct node next = {0};
        rc = add_seen(l, n.job, e);
        arena_init(&a, LEVEL_BYTES_MAX);
        if (!rc && !l->cli->json)
            print_shards(&n, depth, &a);
        arena_free(&a);
        for (uint32_t i = 0; !rc && i < n.count; i++) {
            bool own =
                n.chained && (n.inputs[i].role == ROLE_MODEL || n.inputs[i].role == ROLE_STATE);
            if (n.inputs[i].told || own)
                continue;
            if (depth < DEPTH_MAX) {
                rc = child(l, &n, i, depth, e);
            } else if (!l->cli->json) {
                char hex[DIGEST_HEX + 1];
                indent(depth);
                printf("%s %s: `tacit lineage` goes on from there\n",
                       blob_role_words[n.inputs[i].role], digest_to_hex(&n.inputs[i].name, hex));
            }
        }
        if (!rc)
            rc = chain_before(l, &n, depth, &next, e);
        free(n.inputs);
        n = next;
    }
    free(n.job ? n.inputs : NULL);
    return rc;
}

/* --- the top ---------------------------------------------------------------------------------- */

/* What all jobs of a run share. */
static int print_run(struct cli *cli, const char *name, struct err *e)
{
    struct msg_run run;
    struct msg_dataset d;
    char hex[DIGEST_HEX + 1];
    int rc = client_call(cli->client, "GET", cli_path(cli, "/v1/runs/", name, ""), NULL, NULL,
                         &message_run, &run, &cli->arena, 0, e);
    if (!rc)
        rc = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", run.dataset, ""), NULL,
                         NULL, &message_dataset, &d, &cli->arena, 0, e);
    if (rc)
        return rc;
    printf("all in run %s: spec %s\n", name, digest_to_hex(&run.spec, hex));
    printf("data set %s: tokenizer %s\n", run.dataset, digest_to_hex(&d.tokenizer, hex));
    return 0;
}

static int print_top(struct cli *cli, const struct msg_made *m, const char *digits, struct err *e)
{
    char hex[DIGEST_HEX + 1], other[DIGEST_HEX + 1];
    digest_to_hex(&m->digest, hex);
    switch (m->what) {
    case MADE_SPEC:
        printf("%s is the spec of run %s\n", hex, m->run);
        return 0;
    case MADE_SHARD:
        printf("%s is %s shard %llu of data set %s\n", hex, m->split, (unsigned long long)m->number,
               m->dataset);
        return 0;
    case MADE_TOKENIZER:
        printf("%s is the tokenizer of data set %s\n", hex, m->dataset);
        return 0;
    default:
        break;
    }
    for (uint32_t i = 0; i < m->output_count; i++) {
        const struct msg_blob *b = &m->outputs[i];
        bool bytes = digest_equal(&b->digest, &m->digest);
        if (!bytes && !digest_equal(&b->content, &m->digest))
            continue;
        printf("%s is the %s of\n", hex,
               bytes && made_name(b) != &b->digest
                   ? arena_printf(&cli->arena, "archive of the %s %s", blob_role_words[b->role],
                                  digest_to_hex(&b->content, other))
                   : blob_role_words[b->role]);
        print_job(&cli->arena, m);
        return 0;
    }
    return err_set(e, ERR_PROTOCOL, "the coordinator's answer has no %s", digits);
}

static int show(struct lineage *l, const char *digits, struct err *e)
{
    struct cli *cli = l->cli;
    struct msg_made m;
    struct node top = {0};
    int rc = made_of_digits(cli->client, digits, &cli->arena, &m, e);
    if (!rc)
        rc = cli->json ? emit_json(l, &m, e) : print_top(cli, &m, digits, e);
    if (!rc && m.what == MADE_BY_JOB)
        rc = node_of(&top, &m, e);
    if (!rc && top.job)
        rc = go_down(l, top, 1, e);
    if (!rc && cli->json)
        puts("]");
    else if (!rc && m.what == MADE_BY_JOB)
        rc = print_run(cli, m.run, e);
    return rc;
}

int cmd_lineage(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "DIGEST",
        .doc = "What an artifact was made of, by whom and when, down to the shards of the data "
               "set. DIGEST is that of its content or of its archive, or the first digits of one "
               "(four or more). What several jobs read is shown once. With --json: what each job "
               "was told and gave, an array.\v"
               "Examples:\n  tacit lineage 5f2c81d09a\n"
               "  tacit lineage $(tacit run show my-run --json | jq -r '.models[0].content')",
        .args_min = 1,
        .args_max = 1,
        .json = true,
    };
    struct lineage l = {.cli = cli, .first = true};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = show(&l, cli->args[0], &e);
    free(l.seen);
    return rc ? cli_fail(cli, &e) : EX_OK;
}
