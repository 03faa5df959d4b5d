/* Answers as OpenAI's interface words them. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "ops/serve/question.h"

static const char *finish_word(const struct serve_choice *c)
{
    static const char *const words[] = {NULL, "stop", "length", NULL};
    return words[c->finish];
}

/* What would be no UTF-8 (it can't be: tokens decode to characters) is shown as a question mark. */
static json_t *text_json(const char *text, size_t len)
{
    json_t *out = json_stringn(text ? text : "", text ? len : 0);
    return out ? out : json_string("?");
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* --- log-probabilities -------------------------------------------------------------------------
 */

struct pieces {
    const struct tokenizer *tokenizer;
    struct buf one;
};

static const char *piece(struct pieces *p, uint32_t after, uint32_t id)
{
    struct err ignored = {0};
    if (words_piece(p->tokenizer, after, id, &p->one, &ignored) || !p->one.data)
        return "";
    return p->one.data;
}

static uint32_t characters(const char *text)
{
    uint32_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static uint32_t before(const struct serve_answer *a, const struct serve_choice *c, uint32_t told)
{
    const uint32_t at = told + (a->echo_logprobs ? 0 : c->prompt_count);
    return at > 0 ? c->ids[at - 1] : c->ids[0];
}

/* {"tokens": […], "token_logprobs": […], "top_logprobs": […], "text_offset": […]} of the tokens
 * told since. */
static json_t *completion_logprobs(const struct serve *s, struct serve_choice *c,
                                   struct question_shown *shown)
{
    const struct serve_answer *a = c->of;
    struct pieces p = {.tokenizer = serve_source_of(s)->tokenizer};
    json_t *tokens = json_array(), *logprobs = json_array(), *tops = json_array();
    json_t *offsets = json_array();
    buf_init(&p.one, 1u << 16);
    for (; shown->told < c->told_count; shown->told++) {
        const struct serve_token *t = &c->told[shown->told];
        const uint32_t after = before(a, c, shown->told);
        const char *text = piece(&p, after, t->id);
        json_array_append_new(tokens, text_json(text, strlen(text)));
        json_array_append_new(logprobs, real(t->logprob));
        json_array_append_new(offsets, json_integer(shown->offset));
        shown->offset += characters(text);
        json_t *top = isnan(t->logprob) ? json_null() : json_object();
        for (uint32_t i = 0; i < t->top_count; i++)
            json_object_set_new(top, piece(&p, after, t->top[i].id), real(t->top[i].logprob));
        json_array_append_new(tops, top);
    }
    buf_free(&p.one);
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", logprobs,
                     "top_logprobs", tops, "text_offset", offsets);
}

static json_t *chat_token(struct pieces *p, uint32_t after, uint32_t id, float logprob)
{
    const char *text = piece(p, after, id);
    json_t *bytes = json_array();
    for (const char *b = text; *b; b++)
        json_array_append_new(bytes, json_integer((unsigned char)*b));
    return json_pack("{s:o, s:o, s:o}", "token", text_json(text, strlen(text)), "logprob",
                     real(logprob), "bytes", bytes);
}

static json_t *chat_logprobs(const struct serve *s, struct serve_choice *c,
                             struct question_shown *shown)
{
    struct pieces p = {.tokenizer = serve_source_of(s)->tokenizer};
    json_t *content = json_array();
    buf_init(&p.one, 1u << 16);
    for (; shown->told < c->told_count; shown->told++) {
        const struct serve_token *t = &c->told[shown->told];
        const uint32_t after = before(c->of, c, shown->told);
        json_t *token = chat_token(&p, after, t->id, t->logprob), *top = json_array();
        for (uint32_t i = 0; i < t->top_count; i++)
            json_array_append_new(top, chat_token(&p, after, t->top[i].id, t->top[i].logprob));
        json_object_set_new(token, "top_logprobs", top);
        json_array_append_new(content, token);
    }
    buf_free(&p.one);
    return json_pack("{s:o}", "content", content);
}

/* --- choices -----------------------------------------------------------------------------------
 */

/* The text since, the prompt before it where it is echoed. */
static json_t *new_text(const struct question *q, const struct serve_choice *c, uint32_t index,
                        struct question_shown *shown)
{
    const char *prompt = q->echo && !shown->begun ? q->prompts[index / q->n] : "";
    const size_t len = strlen(prompt), more = c->shown - shown->text;
    char *both = malloc(len + more + 1);
    if (!both)
        return json_string("");
    memcpy(both, prompt, len);
    if (more > 0)
        memcpy(both + len, c->text.data + shown->text, more);
    json_t *out = text_json(both, len + more);
    free(both);
    shown->text = c->shown;
    return out;
}

static json_t *logprobs_of(const struct question *q, const struct serve *s, struct serve_choice *c,
                           struct question_shown *shown)
{
    if (c->of->logprobs < 0)
        return json_null();
    return q->chat ? chat_logprobs(s, c, shown) : completion_logprobs(s, c, shown);
}

/* A choice, or what is new of it: with its finish only where all of it is shown. */
static json_t *choice_json(const struct question *q, const struct serve *s, uint32_t index,
                           bool part)
{
    struct serve_choice *c = &q->answer->choices[index];
    struct question_shown *shown = &q->shown[index];
    if (!shown->begun && !q->answer->echo_logprobs)
        shown->offset = characters(q->prompts[index / q->n]);
    json_t *text = new_text(q, c, index, shown), *words = logprobs_of(q, s, c, shown);
    const char *finish = finish_word(c);
    json_t *out = json_pack("{s:i, s:o, s:o}", "index", (int)index, "logprobs", words,
                            "finish_reason", finish ? json_string(finish) : json_null());
    if (!q->chat) {
        json_object_set_new(out, "text", text);
    } else {
        json_t *message = json_object();
        if (!shown->begun)
            json_object_set_new(message, "role", json_string("assistant"));
        json_object_set_new(message, "content", text);
        json_object_set_new(out, part ? "delta" : "message", message);
    }
    shown->begun = true;
    shown->finished = c->finish != SERVE_RUNNING;
    return out;
}

static json_t *usage_json(const struct question *q)
{
    const struct serve_answer *a = q->answer;
    json_int_t prompt = 0, answer = 0, cached = 0;
    for (uint32_t i = 0; i < a->choice_count; i++) {
        const struct serve_choice *c = &a->choices[i];
        prompt += c->index == 0 ? c->prompt_count : 0;
        cached += c->index == 0 ? c->cached : 0;
        answer += c->count - c->prompt_count;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", prompt, "completion_tokens",
                     answer, "total_tokens", prompt + answer, "prompt_tokens_details",
                     "cached_tokens", cached);
}

static json_t *frame(const struct question *q, const struct serve *s, bool part, json_t *choices)
{
    const char *object = !q->chat ? "text_completion"
                         : part   ? "chat.completion.chunk"
                                  : "chat.completion";
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", q->id, "object", object, "created",
                     (json_int_t)q->created, "model", serve_source_of(s)->name, "choices", choices);
}

static int dump(json_t *root, const char *before_it, const char *after_it, struct buf *out,
                struct err *e)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
    const int rc = buf_printf(out, e, "%s%s%s", before_it, text, after_it);
    free(text);
    return rc;
}

int question_whole(struct question *q, const struct serve *s, struct buf *out, struct err *e)
{
    json_t *choices = json_array();
    for (uint32_t i = 0; i < q->answer->choice_count; i++)
        json_array_append_new(choices, choice_json(q, s, i, false));
    json_t *root = frame(q, s, false, choices);
    json_object_set_new(root, "usage", usage_json(q));
    return dump(root, "", "\n", out, e);
}

/* --- events --------------------------------------------------------------------------------------
 */

int question_events(struct question *q, const struct serve *s, struct buf *out, struct err *e)
{
    struct serve_answer *a = q->answer;
    int rc = 0;
    if (q->ended)
        return 0;
    for (uint32_t i = 0; !rc && i < a->choice_count; i++) {
        const struct serve_choice *c = &a->choices[i];
        struct question_shown *shown = &q->shown[i];
        const bool news = c->shown > shown->text || (!shown->begun && a->routed) ||
                          (c->finish != SERVE_RUNNING && !shown->finished);
        if (!news || c->finish == SERVE_FAILED)
            continue;
        json_t *choices = json_array();
        json_array_append_new(choices, choice_json(q, s, i, true));
        rc = dump(frame(q, s, true, choices), "data: ", "\n\n", out, e);
    }
    if (rc || !a->done)
        return rc;
    q->ended = true;
    if (a->err.code) {
        rc = buf_printf(out, e, "data: ");
        if (!rc) {
            question_error(&a->err, NULL, out);
            rc = buf_printf(out, e, "\n\n");
        }
        return rc;
    }
    if (q->usage) {
        json_t *root = frame(q, s, true, json_array());
        json_object_set_new(root, "usage", usage_json(q));
        rc = dump(root, "data: ", "\n\n", out, e);
    }
    return rc ? rc : buf_printf(out, e, "data: [DONE]\n\n");
}

/* --- errors
 * --------------------------------------------------------------------------------------- */

int question_error(const struct err *why, const char *param, struct buf *out)
{
    static const struct {
        int code, status;
        const char *type, *name;
    } table[] = {
        {ERR_INVALID, 400, "invalid_request_error", NULL},
        {ERR_FORMAT, 400, "invalid_request_error", NULL},
        {ERR_TOO_LARGE, 400, "invalid_request_error", "context_length_exceeded"},
        {ERR_NOT_FOUND, 404, "invalid_request_error", "model_not_found"},
        {ERR_DENIED, 401, "invalid_request_error", "invalid_api_key"},
        {ERR_BUSY, 429, "rate_limit_error", "queue_full"},
        {ERR_STOPPED, 503, "server_error", "stopping"},
        {ERR_TIMEOUT, 504, "server_error", "timeout"},
    };
    int status = 500;
    const char *type = "server_error", *name = NULL;
    struct err ignored = {0};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == why->code) {
            status = table[i].status;
            type = table[i].type;
            name = table[i].name;
        }
    json_t *root = json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", why->message, "type",
                             type, "param", param, "code", name);
    (void)!dump(root, "", "", out, &ignored);
    return status;
}
