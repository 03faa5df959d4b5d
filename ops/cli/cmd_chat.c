/* tacit chat: a conversation with a mixture in the terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/env/thread.h"
#include "ops/cli/serving.h"
#include "ops/serve/question.h"

#define TURNS_MAX 1000
#define TEXT_MAX (16u << 20)
#define LINE_MAX_BYTES (1u << 20)
#define LOOK_MS 100 /* whether Ctrl-C was typed */
#define TOKENS_DEFAULT 256
#define TEMPERATURE_DEFAULT 0.8

enum {
    CHAT_MEMORY = OPTION_FIRST,
    CHAT_THREADS,
    CHAT_TEMPERATURE,
    CHAT_SEED,
    CHAT_SYSTEM,
    CHAT_RAW
};

struct chat {
    struct cli *cli;
    struct serve_options o;
    uint64_t tokens, seed; /* seed 0: another one each time */
    double temperature;
    const char *system;
    bool raw; /* each line is continued by itself, as text */

    struct serving serving;
    struct serve *serve;
    struct chat_template template;
    char *turns[TURNS_MAX]; /* user, assistant, user, …; owned */
    uint32_t turn_count;

    struct env_mutex mutex; /* guards news */
    struct env_cond cond;
    bool news;
};

static int set_chat(void *input, int key, const char *arg, struct err *e)
{
    struct chat *c = input;
    uint64_t n = 0;
    int rc = 0;
    switch (key) {
    case 'n':
        return cli_u64("--tokens", arg, 1, 100000, &c->tokens, e);
    case CHAT_MEMORY:
        return serving_size("--memory", arg, &c->o.memory, e);
    case CHAT_THREADS:
        rc = cli_u64("--threads", arg, 1, 1024, &n, e);
        c->o.threads = (int)n;
        return rc;
    case CHAT_TEMPERATURE:
        return cli_double("--temperature", arg, 0, 100, &c->temperature, e);
    case CHAT_SEED:
        return cli_u64("--seed", arg, 0, INT64_MAX, &c->seed, e);
    case CHAT_SYSTEM:
        c->system = arg;
        return 0;
    default:
        c->raw = true;
        return 0;
    }
}

/* --- the conversation ------------------------------------------------------------------------- */

static void forget(struct chat *c, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++)
        free(c->turns[i]);
    memmove(c->turns, c->turns + turns, (c->turn_count - turns) * sizeof *c->turns);
    c->turn_count -= turns;
}

static int remember(struct chat *c, const char *text, size_t len, struct err *e)
{
    if (c->turn_count == TURNS_MAX)
        forget(c, 2);
    char *kept = strndup(text, len);
    if (!kept)
        return err_set(e, ERR_NO_MEMORY, "no memory for the conversation");
    c->turns[c->turn_count++] = kept;
    return 0;
}

static int write_text(const struct chat *c, struct buf *out, struct err *e)
{
    int rc = 0;
    if (c->raw)
        return buf_append(out, c->turns[c->turn_count - 1], strlen(c->turns[c->turn_count - 1]), e);
    if (c->system)
        rc = chat_template_add(&c->template, "system", c->system, out, e);
    for (uint32_t i = 0; !rc && i < c->turn_count; i++)
        rc = chat_template_add(&c->template, i % 2 ? "assistant" : "user", c->turns[i], out, e);
    return rc ? rc : buf_append(out, c->template.reply, strlen(c->template.reply), e);
}

/* The conversation as tokens, its oldest turns dropped where the model could not read it and still
 * say something. */
static int take_prompt(struct chat *c, struct serve_choice *choice, struct err *e)
{
    const uint32_t seq = c->serving.source.expert.seq, most = seq - seq / 4;
    uint32_t *ids = NULL;
    size_t count = 0, cap = 0;
    struct buf text;
    int rc;
    buf_init(&text, TEXT_MAX);
    for (;;) {
        buf_reset(&text);
        count = 0;
        rc = write_text(c, &text, e);
        if (!rc)
            rc = tokenizer_encode(c->serving.source.tokenizer, text.data, text.len, &ids, &count,
                                  &cap, e);
        if (rc || count <= most || c->turn_count <= 2)
            break;
        forget(c, 2);
    }
    buf_free(&text);
    const size_t from = count > most ? count - most : 0;
    if (!rc && count == 0)
        rc = err_set(e, ERR_INVALID, "there is nothing to route on");
    if (!rc) {
        memcpy(choice->ids, ids + from, (count - from) * sizeof *ids);
        choice->prompt_count = (uint32_t)(count - from);
    }
    free(ids);
    return rc;
}

/* --- an answer ----------------------------------------------------------------------------------
 */

static void on_wake(struct serve_answer *a)
{
    struct chat *c = a->arg;
    env_mutex_lock(&c->mutex);
    c->news = true;
    env_cond_signal(&c->cond);
    env_mutex_unlock(&c->mutex);
}

static void wait_for_news(struct chat *c)
{
    env_mutex_lock(&c->mutex);
    if (!c->news)
        (void)!env_cond_wait_until(&c->cond, &c->mutex, env_monotonic_ms() + LOOK_MS);
    c->news = false;
    env_mutex_unlock(&c->mutex);
}

/* What a model says must not steer a terminal. */
static void show(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char b = (unsigned char)text[i];
        putchar((b < ' ' && b != '\n' && b != '\t') || b == 0x7F ? '?' : b);
    }
    fflush(stdout);
}

static void tell_expert(const struct chat *c, const struct serve_choice *choice)
{
    printf(c->cli->color ? "\033[2m[expert %u" : "[expert %u", choice->expert);
    if (choice->routed_on)
        printf(", by %u tokens: %.2f", choice->routed_on, choice->scores[choice->expert]);
    printf(c->cli->color ? "]\033[0m " : "] ");
}

static int follow(struct chat *c, struct serve_answer *a, struct err *e)
{
    const struct serve_choice *choice = &a->choices[0];
    size_t shown = 0;
    bool told = false, done = false, stopped = false;
    while (!done) {
        wait_for_news(c);
        if (env_stop_requested() && !stopped) {
            stopped = true;
            serve_cancel(c->serve, a);
        }
        serve_lock(c->serve);
        if (a->routed && !told) {
            tell_expert(c, choice);
            told = true;
        }
        if (choice->shown > shown)
            show(choice->text.data + shown, choice->shown - shown);
        shown = choice->shown;
        done = a->done;
        serve_unlock(c->serve);
    }
    puts(stopped ? " …" : "");
    if (stopped && env_stop_signal() && strcmp(env_stop_signal(), "SIGINT") == 0)
        env_stop_forget();
    else if (a->err.code) {
        *e = a->err;
        return e->code;
    }
    const char *text = choice->text.data ? choice->text.data : "";
    const size_t lead = shown > 0 && text[0] == ' '; /* the template has its own */
    return remember(c, text + lead, shown - lead, e);
}

static int say(struct chat *c, const char *line, struct err *e)
{
    struct serve_answer *a = serve_answer_create(c->serve, 1);
    if (!a)
        return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
    int rc = remember(c, line, strlen(line), e);
    if (!rc)
        rc = take_prompt(c, &a->choices[0], e);
    a->pick.temperature = c->temperature;
    a->max_tokens = (uint32_t)c->tokens;
    a->seed = c->seed;
    if (c->seed == 0)
        env_random(&a->seed, sizeof a->seed);
    for (uint32_t i = 0; !rc && !c->raw && i < c->template.stop_count; i++) {
        a->stops[i] = strdup(c->template.stops[i]);
        a->stop_count += a->stops[i] != NULL;
    }
    a->wake = on_wake;
    a->arg = c;
    if (!rc)
        rc = serve_ask(c->serve, a, e);
    if (!rc)
        rc = follow(c, a, e);
    serve_answer_destroy(a);
    return rc;
}

/* --- commands ------------------------------------------------------------------------------------
 */

static const char help[] = "/temperature T   0: always the likeliest token (%g)\n"
                           "/seed N          the same seed, the same answers; 0: others (%llu)\n"
                           "/tokens N        an answer has so many at most (%llu)\n"
                           "/new             forget the conversation\n"
                           "/help            this\n"
                           "/quit            end, as Ctrl-D does\n"
                           "Ctrl-C stops an answer.\n";

/* False: the end. */
static bool command(struct chat *c, const char *line)
{
    char name[16] = "", arg[32] = "";
    struct err e = {0};
    int rc = 0;
    (void)!sscanf(line, "%15s %31s", name, arg);
    if (strcmp(name, "/quit") == 0 || strcmp(name, "/exit") == 0)
        return false;
    if (strcmp(name, "/new") == 0)
        forget(c, c->turn_count);
    else if (strcmp(name, "/temperature") == 0)
        rc = set_chat(c, CHAT_TEMPERATURE, arg, &e);
    else if (strcmp(name, "/seed") == 0)
        rc = set_chat(c, CHAT_SEED, arg, &e);
    else if (strcmp(name, "/tokens") == 0)
        rc = set_chat(c, 'n', arg, &e);
    else
        printf(help, c->temperature, (unsigned long long)c->seed, (unsigned long long)c->tokens);
    if (rc)
        printf("%s\n", e.message + (strncmp(e.message, "--", 2) == 0 ? 2 : 0));
    return true;
}

static int converse(struct chat *c, struct err *e)
{
    char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    const bool terminal = isatty(STDIN_FILENO);
    for (;;) {
        if (terminal)
            printf(c->cli->color ? "\033[1m> \033[0m" : "> ");
        fflush(stdout);
        errno = 0;
        ssize_t len = getline(&line, &cap, stdin);
        if (len < 0 && errno == EINTR && env_stop_signal() &&
            strcmp(env_stop_signal(), "SIGINT") == 0) {
            env_stop_forget(); /* a line that is not meant */
            clearerr(stdin);
            puts("");
            continue;
        }
        if (len < 0 || env_stop_requested())
            break;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = 0;
        if (len == 0)
            continue;
        if (!text_is_utf8(line, (size_t)len) || len > (ssize_t)LINE_MAX_BYTES) {
            puts("that line is no UTF-8 text");
            continue;
        }
        if (line[0] == '/') {
            if (!command(c, line))
                break;
            continue;
        }
        rc = say(c, line, e);
        if (rc)
            break;
    }
    if (terminal && !rc)
        puts("");
    free(line);
    return rc;
}

int cmd_chat(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"tokens", 'n', "N", 0, "An answer has so many at most (256)", 1},
        {"temperature", CHAT_TEMPERATURE, "T", 0, "0: always the likeliest token (0.8)", 1},
        {"seed", CHAT_SEED, "N", 0, "The same seed, the same answers (0: others each time)", 1},
        {"system", CHAT_SYSTEM, "TEXT", 0, "Put before the conversation", 1},
        {"raw", CHAT_RAW, NULL, 0, "Continue each line as text; no roles, no memory", 1},
        {"memory", CHAT_MEMORY, "BYTES", 0, "Of routers, experts, caches together (2G)", 2},
        {"threads", CHAT_THREADS, "N", 0, "Threads that compute (all processors)", 2},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN|DIR",
        .doc = "A conversation in the terminal. Before each answer stands which expert gives it. "
               "/help lists commands, Ctrl-C stops an answer, Ctrl-D ends.\v"
               "Examples:\n  tacit chat my-run\n"
               "  echo 'Once upon a time' | tacit chat my-run --raw --seed 7",
        .args_min = 1,
        .args_max = 1,
        .set = set_chat,
    };
    struct chat c = {.cli = cli, .tokens = TOKENS_DEFAULT, .temperature = TEMPERATURE_DEFAULT};
    struct err e = {0};
    char said[200];
    int code;
    serving_defaults(&c.o);
    c.o.slots = 2;
    if (!cli_parse(cli, &o, argc, argv, &c, &code))
        return code;
    env_stop_on_signals();
    env_mutex_init(&c.mutex);
    env_cond_init(&c.cond);
    int rc = chat_template_default(&c.template, &e);
    if (!rc)
        rc = serving_open(&c.serving, cli, cli->args[0], &e);
    if (!rc)
        rc = serve_create(&c.serve, &c.serving.source, &c.o, said, &e);
    if (!rc && isatty(STDIN_FILENO))
        printf("%s: %s. /help lists commands.\n", c.serving.source.name, said);
    if (!rc)
        rc = converse(&c, &e);
    serve_destroy(c.serve);
    serving_close(&c.serving);
    forget(&c, c.turn_count);
    chat_template_free(&c.template);
    env_cond_destroy(&c.cond);
    env_mutex_destroy(&c.mutex);
    return rc ? cli_fail(cli, &e) : 0;
}
