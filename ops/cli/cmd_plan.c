/* tacit plan: costs before they are spent. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/plan_print.h"
#include "ops/cli/spec_file.h"

/* What `tacit ingest` makes unless told otherwise. */
#define ASSUMED_VOCAB 4096
#define ASSUMED_SEQ 128
#define CALL_MS 10000

enum { PLAN_PAPER = OPTION_FIRST, PLAN_VOCAB, PLAN_SEQ, PLAN_SEQUENCES };

struct plan_input {
    bool paper;
    uint64_t vocab, seq, sequences; /* 0: not given */
};

static int set_plan(void *input, int key, const char *arg, struct err *e)
{
    struct plan_input *in = input;
    switch (key) {
    case PLAN_PAPER:
        in->paper = true;
        return 0;
    case PLAN_VOCAB:
        return cli_u64("--vocab", arg, 2, 1u << 20, &in->vocab, e);
    case PLAN_SEQ:
        return cli_u64("--seq", arg, 2, 1u << 16, &in->seq, e);
    default:
        return cli_u64("--sequences", arg, 1, 1ull << 48, &in->sequences, e);
    }
}

/* Sequences that the spec asks for, where no data set says how many there are. */
static uint64_t wanted(const struct run_spec *s)
{
    uint64_t routers = s->router.mode == SPEC_EM ? s->router.sequences * s->router.rounds : 0;
    uint64_t experts = spec_expert_draw(s, UINT64_MAX);
    return routers > experts ? routers : experts;
}

/* The data set of the spec, from the coordinator or assumed. *reached: there is one to ask. */
static int find_data(struct cli *cli, const struct plan_input *in, const struct run_spec *s,
                     bool reached, struct plan_data *out, const char **note, struct err *e)
{
    struct msg_dataset d;
    int rc = ERR_NOT_FOUND;
    bool given = in->vocab && in->seq && in->sequences;
    if (reached && !given)
        rc = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", s->dataset, ""), NULL,
                         NULL, &message_dataset, &d, &cli->arena, CALL_MS, e);
    if (rc == 0) {
        *out = (struct plan_data){(uint32_t)d.vocab, (uint32_t)d.seq, d.train_sequences,
                                  d.heldout_sequences};
        *note = arena_printf(&cli->arena, "of data set %s", s->dataset);
    } else if (reached && !given && !(in->vocab && in->seq)) {
        return err_prefix(e, "give --vocab, --seq and --sequences, or a data set that is there");
    } else {
        *out = (struct plan_data){ASSUMED_VOCAB, ASSUMED_SEQ, wanted(s), 0};
        *note = in->vocab && in->seq ? "as given, no data set asked"
                                     : "assumed: no data set could be asked; --vocab, --seq and "
                                       "--sequences say otherwise";
    }
    out->vocab = in->vocab ? (uint32_t)in->vocab : out->vocab;
    out->seq = in->seq ? (uint32_t)in->seq : out->seq;
    out->sequences = in->sequences ? in->sequences : out->sequences;
    return 0;
}

/* The agents that are connected, and how long they would take. */
static void find_time(struct cli *cli, const struct plan *p, bool reached, struct plan_context *x)
{
    struct msg_agent *agents = NULL;
    uint32_t count = 0;
    struct err e = {0};
    x->seconds = NAN;
    if (plan_measure(p, &x->flops_s, &e)) {
        x->flops_s = 0;
        x->why_untimed = arena_printf(&cli->arena, "%s", e.message);
    }
    x->asked = reached && client_get_array(cli->client, "/v1/agents", &message_agent,
                                           (void **)&agents, &count, &cli->arena, &e) == 0;
    uint64_t *threads = arena_alloc_array(&cli->arena, count + 1, sizeof *threads);
    for (uint32_t i = 0; threads && x->asked && i < count; i++)
        if (strcmp(agents[i].state, "silent") != 0) {
            threads[x->agents++] = agents[i].threads;
            x->threads += agents[i].threads;
        }
    if (x->agents > 0 && x->flops_s > 0)
        x->seconds = plan_seconds(p, threads, x->agents, x->flops_s);
}

/* *reached: whether there is a coordinator to ask. A plan needs none, so all that hinders asking is
 * told and no more; a token that is refused is a mistake. */
static int reach(struct cli *cli, bool *reached, struct err *e)
{
    struct msg_status status;
    *reached = false;
    if (!cli->url || !*cli->url)
        return 0;
    if (cli_connect(cli, e) == 0) {
        int rc = client_call(cli->client, "GET", "/v1/status", NULL, NULL, &message_status, &status,
                             &cli->arena, CALL_MS, e);
        *reached = rc == 0;
        if (!rc || rc == ERR_DENIED || rc == ERR_STOPPED)
            return rc;
    }
    fprintf(stderr, "%s: %s\nPlanned without the coordinator.\n", cli->command, e->message);
    *e = (struct err){0};
    return 0;
}

static int plan_spec(struct cli *cli, const struct plan_input *in, const char *path, struct err *e)
{
    struct buf text;
    struct run_spec spec;
    struct plan_data data;
    struct plan p;
    struct plan_context x = {.file = path};
    int rc = spec_file_read(path, &text, &spec, e);
    buf_free(&text);
    if (rc)
        return rc;
    bool reached = false;
    rc = reach(cli, &reached, e);
    if (rc)
        return rc;
    rc = find_data(cli, in, &spec, reached, &data, &x.dataset_note, e);
    if (!rc)
        rc = plan_make(&spec, &data, &p, e);
    if (rc)
        return rc;
    find_time(cli, &p, reached, &x);
    if (cli->json)
        return plan_print_json(&p, &x, e);
    plan_print(cli, &p, &x);
    return 0;
}

static int plan_paper(struct cli *cli, struct err *e)
{
    if (!cli->json) {
        plan_print_paper(cli);
        return 0;
    }
    struct plan_paper paper = {arena_alloc_array(&cli->arena, cost_paper_count, sizeof *paper.rows),
                               cost_paper_count};
    if (!paper.rows)
        return err_set(e, ERR_NO_MEMORY, "no memory for a table");
    plan_paper_rows(paper.rows);
    return cli_print_json(&message_plan_paper, &paper, e);
}

int cmd_plan(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"paper", PLAN_PAPER, NULL, 0, "The costs of the paper's Table 3, computed beside printed",
         1},
        {"vocab", PLAN_VOCAB, "V", 0, "Vocabulary, where no data set can be asked (4096)", 2},
        {"seq", PLAN_SEQ, "S", 0, "Tokens a sequence, likewise (128)", 2},
        {"sequences", PLAN_SEQUENCES, "N", 0,
         "Sequences to train on, likewise (as many as the spec wants)", 2},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "SPEC.ini",
        .doc = "What a run will cost, before it is spent: parameters, FLOPs of each phase, the "
               "routers' overhead, bytes, memory, and time on the agents connected now. Works "
               "without a coordinator.\v"
               "Examples:\n  tacit plan my.ini\n"
               "  tacit plan my.ini --vocab 32000 --seq 1024 --sequences 1000000\n"
               "  tacit plan --paper",
        .args_min = 0,
        .args_max = 1,
        .json = true,
        .set = set_plan,
    };
    struct plan_input in = {0};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc;
    if (in.paper == (cli->arg_count == 1))
        rc = err_set(&e, ERR_INVALID, "a spec or --paper is wanted, and not both: %s SPEC.ini",
                     cli->command);
    else
        rc = in.paper ? plan_paper(cli, &e) : plan_spec(cli, &in, cli->args[0], &e);
    return rc ? cli_fail(cli, &e) : 0;
}
