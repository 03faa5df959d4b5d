/* tacit sample: continues a prompt with a run's mixture. The routers read its beginning, and one
 * expert alone is downloaded and answers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/base/text.h"
#include "core/env/process.h"
#include "core/mixture/scores.h"
#include "core/model/decode.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/mixture.h"
#include "ops/cli/printed.h"
#include "ops/cli/sampler.h"

#define TOKENS_DEFAULT 64
#define TOKENS_MAX 10000
#define TEMPERATURE_DEFAULT 0.8 /* greedy text of small models goes in circles */
#define TEXT_JSON_MAX (16u << 20)
#define SCORES_SHOWN 4

enum { SAMPLE_TEMPERATURE = OPTION_FIRST, SAMPLE_SEED, SAMPLE_PREFIX, SAMPLE_EXPERT };

struct sample_input {
    uint64_t tokens, seed, prefix, expert; /* prefix 0: the run's; expert: where forced */
    double temperature;
    bool forced;
};

/* All that is at hand once downloads are done. */
struct sample {
    struct cli *cli;
    const struct sample_input *in;
    struct mixture mixture;
    uint32_t *ids; /* the prompt's tokens, then those that are drawn */
    size_t count, prompt_count, cap;
    uint32_t expert, routed_on; /* routed_on: tokens that decided; 0: none did */
    double *scores;             /* experts, or NULL */
    struct sampler_text text;
    bool ended; /* the model ended the document itself */
};

static int set_sample(void *input, int key, const char *arg, struct err *e)
{
    struct sample_input *in = input;
    switch (key) {
    case 'n':
        return cli_u64("--tokens", arg, 1, TOKENS_MAX, &in->tokens, e);
    case SAMPLE_TEMPERATURE:
        return cli_double("--temperature", arg, 0, 100, &in->temperature, e);
    case SAMPLE_SEED:
        return cli_u64("--seed", arg, 0, INT64_MAX, &in->seed, e);
    case SAMPLE_PREFIX:
        return cli_u64("--prefix", arg, 1, 1u << 16, &in->prefix, e);
    default:
        in->forced = true;
        return cli_u64("--expert", arg, 0, 1023, &in->expert, e);
    }
}

static int encode_prompt(struct sample *s, struct err *e)
{
    const char *prompt = s->cli->args[1];
    if (!*prompt)
        return err_set(e, ERR_INVALID, "the prompt is empty: there is nothing to route on");
    if (!text_is_utf8(prompt, strlen(prompt)))
        return err_set(e, ERR_INVALID, "the prompt is not valid UTF-8");
    int rc = tokenizer_encode(s->mixture.tokenizer, prompt, strlen(prompt), &s->ids, &s->count,
                              &s->cap, e);
    if (!rc && s->count == 0)
        rc = err_set(e, ERR_INVALID, "the prompt has no token: there is nothing to route on");
    s->prompt_count = s->count;
    return rc;
}

/* --- routing ---------------------------------------------------------------------------------- */

static int choose_expert(struct sample *s, struct err *e)
{
    uint32_t experts = s->mixture.spec.experts, seq = (uint32_t)s->mixture.dataset.seq;
    uint32_t prefix = s->in->prefix ? (uint32_t)s->in->prefix : s->mixture.spec.router.prefix;
    if (s->in->forced && s->in->expert >= experts)
        return err_set(e, ERR_INVALID, "--expert %llu: run %s has experts 0 to %u",
                       (unsigned long long)s->in->expert, s->mixture.run.name, experts - 1);
    if (prefix > seq)
        return err_set(e, ERR_INVALID, "--prefix %u: the models read at most %u tokens", prefix,
                       seq);
    if (s->in->forced) {
        s->expert = (uint32_t)s->in->expert;
        return 0;
    }
    if (s->prompt_count < prefix)
        prefix = (uint32_t)s->prompt_count;
    if (prefix == 1 && s->mixture.spec.router.mode == SPEC_EM)
        return 0; /* nothing is predicted from one token: expert 0 (METHOD, "Short prompts") */
    float *scores = arena_alloc_array(&s->cli->arena, experts, sizeof *scores);
    s->scores = arena_alloc_array(&s->cli->arena, experts, sizeof *s->scores);
    if (!scores || !s->scores)
        return err_set(e, ERR_NO_MEMORY, "no memory for scores");
    int rc = mixture_scores(&s->mixture, s->ids, prefix, scores, e);
    for (uint32_t r = 0; !rc && r < experts; r++)
        s->scores[r] = scores[r];
    s->expert = scores_route(scores, experts);
    s->routed_on = prefix;
    return rc;
}

/* "expert 2 answers: its router finds the first 9 tokens likeliest (log-likelihood −31.2; expert 0
 * −33.0, …)" */
static void tell_choice(const struct sample *s)
{
    if (s->in->forced) {
        fprintf(stderr, "expert %u answers, as asked\n", s->expert);
        return;
    }
    if (s->routed_on == 0) {
        fprintf(stderr, "expert 0 answers: one token is too short to route on\n");
        return;
    }
    if (s->mixture.spec.router.mode == SPEC_RANDOM) {
        fprintf(stderr, "expert %u answers: this run routes at random (control)\n", s->expert);
        return;
    }
    fprintf(stderr, "expert %u answers; scores on the first %u token%s: ", s->expert, s->routed_on,
            s->routed_on == 1 ? "" : "s");
    /* The best ones, from the best on. */
    double below = INFINITY;
    uint32_t shown = 0;
    for (; shown < SCORES_SHOWN && shown < s->mixture.spec.experts; shown++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t r = 0; r < s->mixture.spec.experts; r++)
            if (s->scores[r] < below && (best == UINT32_MAX || s->scores[r] > s->scores[best]))
                best = r;
        if (best == UINT32_MAX)
            break;
        below = s->scores[best];
        fprintf(stderr, "%sexpert %u %.2f", shown ? ", " : "", best, s->scores[best]);
    }
    fprintf(stderr, shown < s->mixture.spec.experts ? ", …\n" : "\n");
}

/* --- the answer ------------------------------------------------------------------------------- */

static int emit(struct sample *s, int last, struct err *e)
{
    const char *piece;
    size_t len;
    int rc = sampler_text_next(&s->text, s->ids, s->count, last, &piece, &len, e);
    if (rc || s->cli->json)
        return rc;
    for (size_t i = 0; i < len; i++) { /* what a model says must not steer a terminal */
        unsigned char c = (unsigned char)piece[i];
        putchar((c < ' ' && c != '\n' && c != '\t') || c == 0x7F ? '?' : c);
    }
    fflush(stdout);
    return 0;
}

static int append(struct sample *s, uint32_t id, struct err *e)
{
    if (s->count == s->cap) {
        size_t cap = 2 * s->cap + 64;
        uint32_t *ids = realloc(s->ids, cap * sizeof *ids);
        if (!ids)
            return err_set(e, ERR_NO_MEMORY, "no memory for tokens");
        s->ids = ids;
        s->cap = cap;
    }
    s->ids[s->count++] = id;
    return 0;
}

/* Reads the last tokens into the engine's empty cache: all of them, or where they are more than the
 * model reads, half of what it does, so that as many may follow. */
static int read_context(struct sample *s, struct decode *decode,
                        const struct decode_weights *weights, float *logits, struct err *e)
{
    uint32_t seq = (uint32_t)s->mixture.dataset.seq;
    size_t from = s->count < seq ? 0 : s->count - (seq + 1) / 2;
    decode_cut(decode, 0, 0);
    return mixture_append(decode, weights, s->ids + from, s->count - from, logits, e);
}

static int generate(struct sample *s, struct decode *decode, const struct decode_weights *weights,
                    float *logits, struct err *e)
{
    uint32_t vocab = (uint32_t)s->mixture.dataset.vocab, seq = (uint32_t)s->mixture.dataset.seq;
    uint32_t end = tokenizer_end(s->mixture.tokenizer);
    int rc = read_context(s, decode, weights, logits, e);
    for (uint64_t n = 0; !rc && n < s->in->tokens && !env_stop_requested(); n++) {
        uint32_t id = sampler_pick(logits, vocab, s->in->temperature, s->in->seed, s->count);
        if (id == end) {
            s->ended = true;
            break;
        }
        rc = append(s, id, e);
        if (!rc)
            rc = emit(s, 0, e);
        if (rc || n + 1 == s->in->tokens)
            break;
        if (decode_length(decode, 0) < seq)
            rc = mixture_append(decode, weights, &id, 1, logits, e);
        else
            rc = read_context(s, decode, weights, logits, e);
    }
    return rc ? rc : emit(s, 1, e);
}

static int answer(struct sample *s, struct err *e)
{
    struct model_config c;
    struct decode *decode = NULL;
    struct decode_weights *weights = NULL;
    float *logits = calloc(s->mixture.dataset.vocab, sizeof *logits);
    spec_expert_model(&s->mixture.spec, (uint32_t)s->mixture.dataset.vocab,
                      (uint32_t)s->mixture.dataset.seq, &c);
    if (!logits)
        return err_set(e, ERR_NO_MEMORY, "no memory for logits");
    int rc = mixture_decode(&s->mixture, &c, &decode, e);
    if (!rc)
        rc = mixture_weights(&s->mixture, TARGET_EXPERT, s->expert, &c, decode, &weights, e);
    if (!rc)
        rc = sampler_text_begin(&s->text, s->mixture.tokenizer, s->ids, s->count, e);
    if (!rc && !s->cli->json) {
        tell_choice(s);
        printf(s->cli->color ? "\033[1m%s\033[0m" : "%s", s->cli->args[1]);
        fflush(stdout);
    }
    if (!rc)
        rc = generate(s, decode, weights, logits, e);
    if (!rc && !s->cli->json)
        putchar('\n');
    decode_weights_destroy(weights);
    decode_destroy(decode);
    free(logits);
    return rc;
}

/* --- JSON ------------------------------------------------------------------------------------- */

struct sample_json {
    const char *run, *prompt, *text;
    uint64_t expert, routed_on, tokens;
    const double *scores;
    uint32_t score_count;
    bool forced, ended;
};

#define JSON_FIELD(kind, member)                                                                   \
    .name = #member, .type = FIELD_##kind, .offset = offsetof(struct sample_json, member)
static const struct field sample_fields[] = {
    {JSON_FIELD(STRING, run)},
    {JSON_FIELD(U64, expert)},
    {JSON_FIELD(BOOL, forced)},
    {JSON_FIELD(U64, routed_on)},
    {JSON_FIELD(DOUBLES, scores), .count_offset = offsetof(struct sample_json, score_count),
     .length_max = 1024},
    {JSON_FIELD(STRING, prompt), .length_max = TEXT_JSON_MAX},
    {JSON_FIELD(STRING, text), .length_max = TEXT_JSON_MAX},
    {JSON_FIELD(U64, tokens)},
    {JSON_FIELD(BOOL, ended)},
};
const struct message message_sample = {
    .name = "sample",
    .size = sizeof(struct sample_json),
    .fields = sample_fields,
    .field_count = sizeof sample_fields / sizeof sample_fields[0],
};

static int print_json(struct sample *s, struct err *e)
{
    size_t len = s->text.text.len - s->text.prompt_len;
    char *text = arena_strndup(&s->cli->arena, s->text.text.data + s->text.prompt_len, len);
    if (!text)
        return err_set(e, ERR_NO_MEMORY, "no memory for the text");
    for (size_t i = 0; i < len; i++) /* a byte that no JSON string holds here */
        text[i] = text[i] ? text[i] : ' ';
    struct sample_json j = {.run = s->mixture.run.name,
                            .prompt = s->cli->args[1],
                            .text = text,
                            .expert = s->expert,
                            .routed_on = s->routed_on,
                            .tokens = s->count - s->prompt_count,
                            .scores = s->scores,
                            .score_count = s->scores ? s->mixture.spec.experts : 0,
                            .forced = s->in->forced,
                            .ended = s->ended};
    return cli_print_json(&message_sample, &j, e);
}

int cmd_sample(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"tokens", 'n', "N", 0, "Tokens to add (64)", 1},
        {"temperature", SAMPLE_TEMPERATURE, "T", 0, "0: always the likeliest token (0.8)", 1},
        {"seed", SAMPLE_SEED, "N", 0, "Another seed, another text (1)", 1},
        {"expert", SAMPLE_EXPERT, "E", 0, "Ask this expert, whatever the routers say", 2},
        {"prefix", SAMPLE_PREFIX, "M", 0, "Route on so many tokens (as in training)", 2},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN PROMPT",
        .doc = "Continues a prompt: the run's routers read its beginning, the expert whose router "
               "likes it best answers. Which one is said on standard error. Only that expert is "
               "downloaded. Downloads are kept in $XDG_CACHE_HOME/tacit or ~/.cache/tacit, "
               "2 GiB of them. A folder that `tacit export` wrote is taken in a run's place where "
               "its name has a slash; no coordinator is asked then.\v"
               "Examples:\n  tacit sample my-run \"def main(\" --tokens 100\n"
               "  tacit sample my-run \"Once upon a time\" --expert 2 --seed 7\n"
               "  tacit sample my-run \"The state\" --json | jq .expert\n"
               "  tacit sample ./my-export \"The state\"",
        .args_min = 2,
        .args_max = 2,
        .json = true,
        .set = set_sample,
    };
    struct sample_input in = {
        .tokens = TOKENS_DEFAULT, .seed = 1, .temperature = TEMPERATURE_DEFAULT};
    struct sample s = {.cli = cli, .in = &in};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc = mixture_open(&s.mixture, cli, cli->args[0], &e);
    if (!rc)
        rc = encode_prompt(&s, &e);
    if (!rc)
        rc = choose_expert(&s, &e);
    if (!rc)
        rc = answer(&s, &e);
    if (!rc && cli->json)
        rc = print_json(&s, &e);
    sampler_text_free(&s.text);
    mixture_close(&s.mixture);
    free(s.ids);
    return rc ? cli_fail(cli, &e) : 0;
}
