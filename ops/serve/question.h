/* A question over HTTP, as OpenAI's interface words it, and its answer in JSON. */
#ifndef TACIT_OPS_SERVE_QUESTION_H
#define TACIT_OPS_SERVE_QUESTION_H

#include "ops/serve/serve.h"

/* How a conversation becomes one text: each role's words, "{content}" in them; then reply, where
 * the answer goes on; it ends at one of stops. Strings are owned. */
#define CHAT_STOPS_MAX 4
struct chat_template {
    char *system, *user, *assistant, *reply;
    char *stops[CHAT_STOPS_MAX];
    uint32_t stop_count;
};
/* The plain default: "User: …" and "Assistant: …", a line each. */
TACIT_MUST_CHECK int chat_template_default(struct chat_template *t, struct err *e);
/* From JSON: {"system": …, "user": …, "assistant": …, "reply": …, "stop": […]}. */
TACIT_MUST_CHECK int chat_template_parse(struct chat_template *t, const char *json, size_t len,
                                         const char *name, struct err *e);
void chat_template_free(struct chat_template *t); /* also of zeros */
/* Appends what a message of this role ("system", "user", "assistant") says. */
TACIT_MUST_CHECK int chat_template_add(const struct chat_template *t, const char *role,
                                       const char *content, struct buf *out, struct err *e);

/* What was shown of a choice already. */
struct question_shown {
    size_t text;
    uint32_t told, offset; /* offset: characters, of told tokens */
    bool begun, finished;
};

struct question {
    bool chat, stream, usage, echo;
    uint32_t n, prompt_count;
    char **prompts;               /* texts; owned, as what follows */
    struct question_shown *shown; /* [choices] */
    struct serve_answer *answer;  /* NULL once taken */
    char id[40];
    int64_t created;
    const char *param; /* of what is wrong; static */
    bool usage_shown, ended;
};

/* ERR_INVALID and the like name what is wrong; q->param is set then. q is to be freed in any case;
 * its answer is the caller's, to be destroyed when it is done. */
TACIT_MUST_CHECK int question_parse(struct question *q, const struct serve *s,
                                    const struct chat_template *t, bool chat, const char *body,
                                    size_t len, struct err *e);
void question_free(struct question *q);

/* The whole answer, once it is done: JSON into out. Lock held, here and below. */
TACIT_MUST_CHECK int question_whole(struct question *q, const struct serve *s, struct buf *out,
                                    struct err *e);
/* Server-sent events of what is new; the last one is "[DONE]", after which q->ended. */
TACIT_MUST_CHECK int question_events(struct question *q, const struct serve *s, struct buf *out,
                                     struct err *e);
/* {"error": {…}}; the status to go with it. */
int question_error(const struct err *why, const char *param, struct buf *out);

#endif
