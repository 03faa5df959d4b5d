#include "ops/serve/question.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"

#define PROMPTS_MAX 256
#define N_MAX 32
#define TEXT_MAX (16u << 20)
#define TOKENS_DEFAULT 16 /* OpenAI's, of completions */

/* --- values with ranges -------------------------------------------------------------------------
 */

static int wrong(struct question *q, const char *key, struct err *e, const char *wanted)
{
    q->param = key;
    return err_set(e, ERR_INVALID, "%s: %s is wanted", key, wanted);
}

static const json_t *value(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    return json_is_null(v) ? NULL : v;
}

static int number(struct question *q, const json_t *root, const char *key, double min, double max,
                  double *out, struct err *e)
{
    const json_t *v = value(root, key);
    char wanted[64];
    if (!v)
        return 0;
    snprintf(wanted, sizeof wanted, "a number from %g to %g", min, max);
    if (!json_is_number(v) || !(json_number_value(v) >= min && json_number_value(v) <= max))
        return wrong(q, key, e, wanted);
    *out = json_number_value(v);
    return 0;
}

static int whole(struct question *q, const json_t *root, const char *key, int64_t min, int64_t max,
                 int64_t *out, struct err *e)
{
    const json_t *v = value(root, key);
    char wanted[80];
    if (!v)
        return 0;
    snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)min,
             (long long)max);
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return wrong(q, key, e, wanted);
    *out = json_integer_value(v);
    return 0;
}

static int yes_no(struct question *q, const json_t *root, const char *key, bool *out, struct err *e)
{
    const json_t *v = value(root, key);
    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return wrong(q, key, e, "true or false");
    *out = json_is_true(v);
    return 0;
}

/* --- options ------------------------------------------------------------------------------------
 */

struct options {
    struct pick pick;
    int64_t seed, n, max_tokens, top_k, logprobs;
    bool told;
};

static int take_options(struct question *q, const json_t *root, struct options *o, struct err *e)
{
    const char *logprobs = q->chat ? "top_logprobs" : "logprobs";
    *o = (struct options){.pick = {.temperature = 1, .top_p = 1, .repetition = 1},
                          .seed = -1,
                          .n = 1,
                          .max_tokens = -1,
                          .logprobs = -1};
    int rc = number(q, root, "temperature", 0, 100, &o->pick.temperature, e);
    if (!rc)
        rc = number(q, root, "top_p", 0, 1, &o->pick.top_p, e);
    if (!rc)
        rc = number(q, root, "min_p", 0, 1, &o->pick.min_p, e);
    if (!rc)
        rc = number(q, root, "repetition_penalty", 0.01, 100, &o->pick.repetition, e);
    if (!rc)
        rc = number(q, root, "presence_penalty", -2, 2, &o->pick.presence, e);
    if (!rc)
        rc = number(q, root, "frequency_penalty", -2, 2, &o->pick.frequency, e);
    if (!rc)
        rc = whole(q, root, "top_k", -1, INT32_MAX, &o->top_k, e);
    if (!rc)
        rc = whole(q, root, "seed", INT64_MIN, INT64_MAX, &o->seed, e);
    if (!rc)
        rc = whole(q, root, "n", 1, N_MAX, &o->n, e);
    if (!rc)
        rc = whole(q, root, "max_tokens", 0, INT32_MAX, &o->max_tokens, e);
    if (!rc)
        rc = whole(q, root, "max_completion_tokens", 0, INT32_MAX, &o->max_tokens, e);
    if (!rc)
        rc = yes_no(q, root, "stream", &q->stream, e);
    if (!rc)
        rc = yes_no(q, root, "echo", &q->echo, e);
    if (!rc)
        rc = yes_no(q, value(root, "stream_options"), "include_usage", &q->usage, e);
    if (!rc && q->chat)
        rc = yes_no(q, root, "logprobs", &o->told, e);
    if (!rc)
        rc = whole(q, root, logprobs, 0, SERVE_TOP_MAX, &o->logprobs, e);
    if (q->chat)
        o->logprobs = o->told ? (o->logprobs < 0 ? 0 : o->logprobs) : -1;
    o->pick.top_k = o->top_k > 0 ? (uint32_t)o->top_k : 0;
    q->n = (uint32_t)o->n;
    q->echo = q->echo && !q->chat;
    return rc;
}

/* What would change an answer and can't be done is refused; other unknown keys are passed over. */
static int refuse(struct question *q, const json_t *root, struct err *e)
{
    static const char *const keys[] = {"suffix", "logit_bias", "tools", "functions", "best_of"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *v = value(root, keys[i]);
        const bool none = !v || (json_is_object(v) && json_object_size(v) == 0) ||
                          (json_is_array(v) && json_array_size(v) == 0) ||
                          (json_is_integer(v) && json_integer_value(v) == (json_int_t)q->n);
        if (none)
            continue;
        q->param = keys[i];
        return err_set(e, ERR_INVALID, "%s: not known here; leave it out", keys[i]);
    }
    return 0;
}

static int add_stop(struct question *q, struct serve_answer *a, const char *text, struct err *e)
{
    if (!text || !*text || a->stop_count == SERVE_STOPS_MAX)
        return wrong(q, "stop", e, "a text, or some, none of them empty");
    a->stops[a->stop_count] = strdup(text);
    if (!a->stops[a->stop_count])
        return err_set(e, ERR_NO_MEMORY, "no memory for stop strings");
    a->stop_count++;
    return 0;
}

static int take_stops(struct question *q, const json_t *root, const struct chat_template *t,
                      struct err *e)
{
    const json_t *stop = value(root, "stop"), *one;
    struct serve_answer *a = q->answer;
    size_t i;
    int rc = 0;
    if (json_is_array(stop)) {
        json_array_foreach(stop, i, one)
        {
            if (!rc)
                rc = add_stop(q, a, json_string_value(one), e);
        }
    } else if (stop) {
        rc = add_stop(q, a, json_string_value(stop), e);
    }
    for (uint32_t k = 0; !rc && q->chat && k < t->stop_count; k++)
        rc = add_stop(q, a, t->stops[k], e);
    return rc;
}

/* --- prompts ------------------------------------------------------------------------------------
 */

static int fits(struct question *q, const struct serve *s, size_t count, struct err *e)
{
    const uint32_t seq = serve_source_of(s)->expert.seq;
    q->param = q->chat ? "messages" : "prompt";
    if (count == 0)
        return err_set(e, ERR_INVALID, "the prompt is empty: there is nothing to route on");
    if (count > seq)
        return err_set(e, ERR_TOO_LARGE,
                       "this model's maximum context length is %u tokens; the prompt has %zu", seq,
                       count);
    return 0;
}

static int from_text(struct question *q, const struct serve *s, uint32_t at, const char *text,
                     struct err *e)
{
    struct serve_choice *c = &q->answer->choices[at * q->n];
    uint32_t *ids = NULL;
    size_t count = 0, cap = 0;
    int rc =
        tokenizer_encode(serve_source_of(s)->tokenizer, text, strlen(text), &ids, &count, &cap, e);
    if (!rc)
        rc = fits(q, s, count, e);
    if (!rc) {
        memcpy(c->ids, ids, count * sizeof *ids);
        c->prompt_count = (uint32_t)count;
        q->prompts[at] = strdup(text);
        if (!q->prompts[at])
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a prompt");
    }
    free(ids);
    return rc;
}

static int from_tokens(struct question *q, const struct serve *s, uint32_t at, const json_t *list,
                       struct err *e)
{
    struct serve_choice *c = &q->answer->choices[at * q->n];
    const struct serve_source *x = serve_source_of(s);
    struct buf text;
    int rc = fits(q, s, json_array_size(list), e);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= x->expert.vocab)
            return wrong(q, "prompt", e, "texts, or tokens of the model's vocabulary");
        c->ids[i] = (uint32_t)json_integer_value(id);
    }
    if (rc)
        return rc;
    c->prompt_count = (uint32_t)json_array_size(list);
    buf_init(&text, TEXT_MAX);
    rc = tokenizer_decode(x->tokenizer, c->ids, c->prompt_count, &text, e);
    q->prompts[at] = buf_take(&text);
    return rc || q->prompts[at] ? rc : err_set(e, ERR_NO_MEMORY, "no memory for a prompt");
}

/* Room for so many prompts. */
static int make_answer(struct question *q, const struct serve *s, size_t prompts, struct err *e)
{
    if (prompts == 0 || prompts > PROMPTS_MAX)
        return wrong(q, "prompt", e, "1 to 256 prompts");
    q->answer = serve_answer_create(s, (uint32_t)prompts * q->n);
    q->prompts = calloc(prompts, sizeof *q->prompts);
    q->shown = calloc(prompts * q->n, sizeof *q->shown);
    q->prompt_count = (uint32_t)prompts;
    if (!q->answer || !q->prompts || !q->shown)
        return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
    q->answer->per_prompt = q->n;
    return 0;
}

static int take_prompts(struct question *q, const struct serve *s, const json_t *root,
                        struct err *e)
{
    const json_t *prompt = value(root, "prompt");
    const bool one = json_is_string(prompt) || json_is_integer(json_array_get(prompt, 0));
    if (!prompt || !(json_is_string(prompt) || json_is_array(prompt)))
        return wrong(q, "prompt", e, "a text, tokens, or some of them");
    int rc = make_answer(q, s, one ? 1 : json_array_size(prompt), e);
    for (uint32_t i = 0; !rc && i < q->prompt_count; i++) {
        const json_t *p = one ? prompt : json_array_get(prompt, i);
        if (json_is_string(p))
            rc = from_text(q, s, i, json_string_value(p), e);
        else if (json_is_array(p))
            rc = from_tokens(q, s, i, p, e);
        else
            rc = wrong(q, "prompt", e, "a text, tokens, or some of them");
    }
    return rc;
}

/* A message's text: a string, or the text parts of a list. */
static int add_message(struct question *q, const struct chat_template *t, const json_t *message,
                       struct buf *out, struct err *e)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content"), *part;
    struct buf text;
    size_t i;
    int rc = 0;
    if (!role || !(json_is_string(content) || json_is_array(content)))
        return wrong(q, "messages", e, "a list of {role, content}");
    if (json_is_string(content))
        return chat_template_add(t, role, json_string_value(content), out, e);
    buf_init(&text, TEXT_MAX);
    json_array_foreach(content, i, part)
    {
        const char *words = json_string_value(json_object_get(part, "text"));
        if (!rc && !words)
            rc = wrong(q, "messages", e, "text alone, no images or sounds,");
        if (!rc)
            rc = buf_append(&text, words, strlen(words), e);
    }
    if (!rc)
        rc = chat_template_add(t, role, text.data ? text.data : "", out, e);
    buf_free(&text);
    return rc;
}

static int take_messages(struct question *q, const struct serve *s, const struct chat_template *t,
                         const json_t *root, struct err *e)
{
    const json_t *messages = value(root, "messages"), *message;
    struct buf text;
    size_t i;
    q->param = "messages";
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return wrong(q, "messages", e, "a list of {role, content}");
    buf_init(&text, TEXT_MAX);
    int rc = make_answer(q, s, 1, e);
    json_array_foreach(messages, i, message)
    {
        if (!rc)
            rc = add_message(q, t, message, &text, e);
    }
    if (!rc)
        rc = buf_append(&text, t->reply, strlen(t->reply), e);
    if (!rc)
        rc = from_text(q, s, 0, text.data, e);
    buf_free(&text);
    return rc;
}

static int check_model(struct question *q, const struct serve *s, const json_t *root, struct err *e)
{
    const char *model = json_string_value(json_object_get(root, "model"));
    if (!model || strcmp(model, serve_source_of(s)->name) == 0)
        return 0;
    q->param = "model";
    return err_set(e, ERR_NOT_FOUND, "the model \"%.80s\" is not here; \"%s\" is", model,
                   serve_source_of(s)->name);
}

static void apply(struct question *q, const struct serve *s, const struct options *o)
{
    struct serve_answer *a = q->answer;
    const uint32_t seq = serve_source_of(s)->expert.seq;
    a->pick = o->pick;
    a->logprobs = (int)o->logprobs;
    a->echo_logprobs = q->echo && o->logprobs >= 0;
    a->seed = (uint64_t)o->seed;
    if (o->seed == -1)
        env_random(&a->seed, sizeof a->seed);
    a->max_tokens = o->max_tokens >= 0 ? (uint32_t)o->max_tokens : q->chat ? seq : TOKENS_DEFAULT;
    for (uint32_t i = 0; i < a->choice_count; i++) {
        struct serve_choice *c = &a->choices[i], *first = c - i % q->n;
        if (c != first)
            memcpy(c->ids, first->ids, first->prompt_count * sizeof *c->ids);
        c->prompt_count = first->prompt_count;
    }
}

int question_parse(struct question *q, const struct serve *s, const struct chat_template *t,
                   bool chat, const char *body, size_t len, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(body ? body : "", len, 0, &why);
    struct options o;
    unsigned char id[12];
    *q = (struct question){.chat = chat, .created = env_wall_ms() / 1000};
    if (!root || !json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_INVALID, "the body is no JSON object: %s",
                       root ? "it is something else" : why.text);
    }
    env_random(id, sizeof id);
    int n = snprintf(q->id, sizeof q->id, chat ? "chatcmpl-" : "cmpl-");
    for (size_t i = 0; i < sizeof id; i++)
        n += snprintf(q->id + n, sizeof q->id - (size_t)n, "%02x", id[i]);
    int rc = check_model(q, s, root, e);
    if (!rc)
        rc = take_options(q, root, &o, e);
    if (!rc)
        rc = refuse(q, root, e);
    if (!rc)
        rc = chat ? take_messages(q, s, t, root, e) : take_prompts(q, s, root, e);
    if (!rc)
        rc = take_stops(q, root, t, e);
    if (!rc) {
        apply(q, s, &o);
        q->param = NULL;
    }
    json_decref(root);
    return rc;
}

void question_free(struct question *q)
{
    for (uint32_t i = 0; q->prompts && i < q->prompt_count; i++)
        free(q->prompts[i]);
    free(q->prompts);
    free(q->shown);
}
