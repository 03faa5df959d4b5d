/* tacit serve: a mixture over OpenAI's interface. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "ops/cli/serving.h"
#include "ops/serve/serve_http.h"

#define FILE_MAX (1u << 20)
#define KEYS_MAX 1024
#define CONNECTIONS_DEFAULT 512
#define GRACE_DEFAULT_S 30

enum {
    SERVE_MEMORY = OPTION_FIRST,
    SERVE_THREADS,
    SERVE_SLOTS,
    SERVE_QUEUE,
    SERVE_EXPERTS,
    SERVE_MIX,
    SERVE_REROUTE,
    SERVE_KEYS,
    SERVE_TEMPLATE,
    SERVE_TIMEOUT,
    SERVE_GRACE,
    SERVE_CONNECTIONS,
    SERVE_CERTIFICATE,
    SERVE_KEY,
    SERVE_INSECURE
};

struct serve_input {
    struct serve_options o;
    const char *listen, *keys, *template, *certificate, *key;
    uint64_t grace_s, connections;
    bool insecure;
};

static int set_count(const char *name, const char *arg, uint64_t max, uint32_t *out, struct err *e)
{
    uint64_t n = 0;
    const int rc = cli_u64(name, arg, 1, max, &n, e);
    *out = (uint32_t)n;
    return rc;
}

static int set_limits(struct serve_input *in, int key, const char *arg, struct err *e)
{
    uint64_t n = 0;
    int rc = 0;
    switch (key) {
    case SERVE_TIMEOUT:
        rc = cli_u64("--timeout", arg, 1, 86400, &n, e);
        in->o.timeout_ms = (int64_t)n * 1000;
        return rc;
    case SERVE_GRACE:
        return cli_u64("--grace", arg, 0, 86400, &in->grace_s, e);
    case SERVE_CONNECTIONS:
        return cli_u64("--connections", arg, 1, 60000, &in->connections, e);
    case SERVE_CERTIFICATE:
        in->certificate = arg;
        return 0;
    case SERVE_KEY:
        in->key = arg;
        return 0;
    default:
        in->insecure = true;
        return 0;
    }
}

static int set_serve(void *input, int key, const char *arg, struct err *e)
{
    struct serve_input *in = input;
    uint32_t n = 0;
    int rc;
    switch (key) {
    case 'l':
        in->listen = arg;
        return 0;
    case SERVE_MEMORY:
        return serving_size("--memory", arg, &in->o.memory, e);
    case SERVE_THREADS:
        rc = set_count("--threads", arg, 1024, &n, e);
        in->o.threads = (int)n;
        return rc;
    case SERVE_SLOTS:
        return set_count("--slots", arg, 512, &in->o.slots, e);
    case SERVE_QUEUE:
        return set_count("--queue", arg, 100000, &in->o.queue, e);
    case SERVE_EXPERTS:
        return set_count("--experts", arg, SERVE_MIX_MAX, &in->o.mix, e);
    case SERVE_REROUTE:
        return set_count("--reroute", arg, 1u << 16, &in->o.reroute, e);
    case SERVE_MIX:
        in->o.log_linear = strcmp(arg, "log-linear") == 0;
        if (in->o.log_linear || strcmp(arg, "linear") == 0)
            return 0;
        return err_set(e, ERR_INVALID, "--mix %s: linear or log-linear is wanted", arg);
    case SERVE_KEYS:
        in->keys = arg;
        return 0;
    case SERVE_TEMPLATE:
        in->template = arg;
        return 0;
    default:
        return set_limits(in, key, arg, e);
    }
}

/* --- files --------------------------------------------------------------------------------------
 */

/* One key a line; lines that begin with # are for people. */
static int read_keys(const char *path, struct digest *keys, uint32_t *count, struct err *e)
{
    struct buf b;
    char *at = NULL;
    int rc = env_file_read(path, FILE_MAX, &b, e);
    if (rc)
        return rc;
    for (char *line = strtok_r(b.data, "\r\n", &at); line; line = strtok_r(NULL, "\r\n", &at)) {
        if (*line == '#' || *line == 0)
            continue;
        if (*count == KEYS_MAX) {
            rc = err_set(e, ERR_INVALID, "%s: at most %d keys", path, KEYS_MAX);
            break;
        }
        digest_of(line, strlen(line), &keys[(*count)++]);
    }
    buf_free(&b);
    if (!rc && *count == 0)
        rc = err_set(e, ERR_INVALID, "%s holds no key: one a line", path);
    return rc;
}

static int read_template(const char *path, struct chat_template *t, struct err *e)
{
    struct buf b;
    if (!path)
        return chat_template_default(t, e);
    int rc = env_file_read(path, FILE_MAX, &b, e);
    if (rc)
        return rc;
    rc = chat_template_parse(t, b.data ? b.data : "", b.len, path, e);
    buf_free(&b);
    return rc;
}

static int read_tls(const struct serve_input *in, struct http_options *o, struct buf pem[2],
                    struct err *e)
{
    if (!in->certificate && !in->key)
        return 0;
    if (!in->certificate || !in->key)
        return err_set(e, ERR_INVALID, "--tls-cert and --tls-key go together");
    int rc = env_file_read(in->certificate, FILE_MAX, &pem[0], e);
    if (!rc)
        rc = env_file_read(in->key, FILE_MAX, &pem[1], e);
    o->certificate = pem[0].data;
    o->key = pem[1].data;
    return rc;
}

static int check_exposure(const struct serve_input *in, const struct http_options *o, struct err *e)
{
    if (o->loopback || in->insecure)
        return 0;
    if (!o->certificate)
        return err_set(e, ERR_INVALID,
                       "--listen %s is for other machines: give --tls-cert and --tls-key, or "
                       "--insecure where the network is trusted",
                       in->listen);
    if (o->key_count == 0)
        return err_set(e, ERR_INVALID,
                       "--listen %s is for other machines: give --api-keys FILE, or --insecure "
                       "where anybody may ask",
                       in->listen);
    return 0;
}

/* --- running
 * -------------------------------------------------------------------------------------- */

static void say_open(const struct serve_input *in, const struct http_options *o, uint16_t port)
{
    char host[80];
    const char *colon = strrchr(in->listen, ':');
    snprintf(host, sizeof host, "%.*s", (int)(colon - in->listen), in->listen);
    printf("listening on %s://%s:%u/%s\n", o->certificate ? "https" : "http",
           *host ? host : "0.0.0.0", port, o->key_count ? "" : " (no API key is needed)");
    fflush(stdout);
}

static int run(struct cli *cli, const struct serve_input *in, struct http_options *o, struct err *e)
{
    struct serving v;
    struct serve *s = NULL;
    struct http *h = NULL;
    char said[200];
    env_stop_on_signals();
    int rc = serving_open(&v, cli, cli->args[0], e);
    if (!rc)
        rc = serve_create(&s, &v.source, &in->o, said, e);
    if (!rc)
        rc = http_start(&h, s, o, e);
    if (!rc) {
        printf("%s: %s\n", v.source.name, said);
        say_open(in, o, http_port(h));
        while (!env_stop_wait_ms(60000))
            continue;
        printf("ending: answers have %llu s to finish\n", (unsigned long long)in->grace_s);
        fflush(stdout);
        http_stop(h, (int64_t)in->grace_s * 1000);
    }
    serve_destroy(s);
    serving_close(&v);
    return rc;
}

static const struct argp_option options[] = {
    {"listen", 'l', "HOST:PORT", 0, "Where to listen (127.0.0.1:8000)", 1},
    {"memory", SERVE_MEMORY, "BYTES", 0, "Of routers, experts, caches together (2G)", 1},
    {"threads", SERVE_THREADS, "N", 0, "Threads that compute (all processors)", 1},
    {"slots", SERVE_SLOTS, "N", 0, "Texts continued at once (16)", 1},
    {"queue", SERVE_QUEUE, "N", 0, "Texts that may wait; more are refused (256)", 1},
    {"connections", SERVE_CONNECTIONS, "N", 0, "Connections at once (512)", 1},
    {"timeout", SERVE_TIMEOUT, "SECONDS", 0, "An answer may take so long (600)", 1},
    {"grace", SERVE_GRACE, "SECONDS", 0, "After SIGTERM answers may finish so long (30)", 1},
    {"experts", SERVE_EXPERTS, "K", 0, "Mix the K likeliest experts (1)", 2},
    {"mix", SERVE_MIX, "HOW", 0, "linear (probabilities), or log-linear", 2},
    {"reroute", SERVE_REROUTE, "N", 0, "Route anew after every N tokens, on the last ones", 2},
    {"chat-template", SERVE_TEMPLATE, "FILE", 0, "How conversations become text (JSON)", 3},
    {"api-keys", SERVE_KEYS, "FILE", 0, "One API key a line; without, none is needed", 3},
    {"tls-cert", SERVE_CERTIFICATE, "FILE", 0, "Serve https with this certificate", 3},
    {"tls-key", SERVE_KEY, "FILE", 0, "and this key", 3},
    {"insecure", SERVE_INSECURE, NULL, 0, "Let other machines ask without TLS or keys", 3},
    {0}};

int cmd_serve(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .options = options,
        .args = "RUN|DIR",
        .doc = "Answers over OpenAI's interface, /v1/completions and /v1/chat/completions, and on "
               "a page at / to try it. The routers read a prompt's first tokens, one expert "
               "answers; experts are loaded when first needed, and the one not used for longest "
               "goes where the memory is full.\v"
               "Examples:\n  tacit serve my-run --memory 4G\n"
               "  curl -s localhost:8000/v1/completions -H 'Content-Type: application/json' \\\n"
               "      -d '{\"prompt\": \"def main(\", \"max_tokens\": 40}'",
        .args_min = 1,
        .args_max = 1,
        .set = set_serve,
    };
    struct serve_input in = {
        .listen = "127.0.0.1:8000", .grace_s = GRACE_DEFAULT_S, .connections = CONNECTIONS_DEFAULT};
    struct http_options h = {0};
    struct chat_template t = {0};
    struct digest *keys = calloc(KEYS_MAX, sizeof *keys);
    struct buf pem[2] = {{0}};
    struct err e = {0};
    int code, rc = 0;
    serving_defaults(&in.o);
    if (!cli_parse(cli, &o, argc, argv, &in, &code)) {
        free(keys);
        return code;
    }
    h.keys = keys;
    h.chat = &t;
    h.connections = (uint32_t)in.connections;
    if (!keys)
        rc = err_set(&e, ERR_NO_MEMORY, "no memory for API keys");
    if (!rc)
        rc = http_address(in.listen, &h, &e);
    if (!rc && in.keys)
        rc = read_keys(in.keys, keys, &h.key_count, &e);
    if (!rc)
        rc = read_tls(&in, &h, pem, &e);
    if (!rc)
        rc = check_exposure(&in, &h, &e);
    if (!rc)
        rc = read_template(in.template, &t, &e);
    if (!rc)
        rc = run(cli, &in, &h, &e);
    chat_template_free(&t);
    buf_free(&pem[0]);
    buf_free(&pem[1]);
    free(keys);
    return rc ? cli_fail(cli, &e) : 0;
}
