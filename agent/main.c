/* tacit-agent: parses its options, then agent_run. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "agent/agent.h"
#include "agent/capabilities.h"
#include "core/base/options.h"
#include "core/base/text.h"
#include "core/client/client.h"
#include "core/env/process.h"
#include "core/version.h"

#define CACHE_BYTES_DEFAULT (10ull << 30)
#define CACHE_BYTES_MIN (1ull << 20)
#define THREADS_MAX 1024
#define GRACE_S_MAX 86400

const char *argp_program_version = "tacit-agent " TACIT_VERSION;

static const char doc[] =
    "Trains for a tacit coordinator: takes jobs, computes them on this machine, delivers the "
    "results. Stop it at any time (SIGTERM, Ctrl-C): it saves, gives its job back, and goes on "
    "from "
    "there when it is started again with the same --work."
    "\v"
    "Examples:\n"
    "  tacit-agent --coordinator http://127.0.0.1:8420 \\\n"
    "              --token-file data/join.token --work agent-1\n"
    "  tacit-agent --coordinator https://train.example.org --ca ca.pem \\\n"
    "              --token-file join.token --work /var/lib/tacit-agent \\\n"
    "              --threads 8 --cache-size 50G\n"
    "  tacit-agent … --preempt-cloud aws --grace 90           # a spot machine\n"
    "  srun --signal=USR1@60 --requeue tacit-agent … --grace 50 --preempt-exit 75\n\n"
    "The join token is needed once; afterwards the work folder holds a token of this agent's own.";

enum {
    KEY_CA = 256,
    KEY_CACHE,
    KEY_NAME,
    KEY_GRACE,
    KEY_FILE,
    KEY_COMMAND,
    KEY_CLOUD,
    KEY_URL,
    KEY_EXIT,
    KEY_CAPABILITIES,
    KEY_JSON
};

static const struct argp_option options[] = {
    {"coordinator", 'c', "URL", 0, "the coordinator's address (default: $TACIT_URL)", 0},
    {"token-file", 't', "FILE", 0, "file with the join token (default: $TACIT_TOKEN_FILE)", 0},
    {"work", 'w', "DIR", 0, "folder for identity, cache and saves; made where absent", 0},
    {"threads", 'n', "N", 0, "threads to compute with (default: all processors)", 0},
    {"cache-size", KEY_CACHE, "BYTES", 0, "limit of the cache, with K, M, G or T (default: 10G)",
     0},
    {"name", KEY_NAME, "NAME", 0, "what people see (default: the host's name)", 0},
    {"ca", KEY_CA, "FILE", 0, "certificates to trust (default: $TACIT_CA, else the system's)", 0},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "time to save, deliver and give back from a notice on (default: 30)", 1},
    {"preempt-file", KEY_FILE, "FILE", 0, "its appearance is a notice", 1},
    {"preempt-command", KEY_COMMAND, "COMMAND", 0, "run by the shell at the start; its end is one",
     1},
    {"preempt-cloud", KEY_CLOUD, "NAME", 0, "ask the metadata service of aws, gcp or azure", 1},
    {"preempt-url", KEY_URL, "URL", 0, "its address, where it is another than usual", 1},
    {"preempt-exit", KEY_EXIT, "CODE", 0,
     "exit code after a notice, SIGTERM and SIGUSR1 among them (default: 0)", 1},
    {"capabilities", KEY_CAPABILITIES, NULL, 0,
     "tell what this machine computes with, tested, and exit", 2},
    {"json", KEY_JSON, NULL, 0, "with --capabilities: as JSON", 2},
    {0}};

/* What the command line says. */
struct command {
    struct agent_options o;
    bool capabilities, json;
};

/* "50G" → bytes. */
static bool parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char digits[32];
    size_t len = strlen(text);
    const char *unit = len > 1 ? strchr(units, text[len - 1]) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (len == 0 || len >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, len + 1);
    if (unit) {
        digits[len - 1] = 0;
    }
    if (!text_to_u64(digits, out) || *out > UINT64_MAX >> shift) {
        return false;
    }
    *out <<= shift;
    return true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct command *c = state->input;
    struct agent_options *o = &c->o;
    struct err url_error = {0};
    double seconds = 0;
    int64_t n = 0;
    switch (key) {
    case 'c':
        o->url = arg;
        break;
    case 't':
        o->token_file = arg;
        break;
    case 'w':
        o->work = arg;
        break;
    case 'n':
        if (!text_to_i64(arg, &n) || n < 1 || n > THREADS_MAX) {
            argp_error(state, "--threads %s: a number from 1 to %d is wanted", arg, THREADS_MAX);
        } else {
            o->threads = (int)n;
        }
        break;
    case KEY_GRACE:
        if (!text_to_double(arg, &seconds) || seconds < 1 || seconds > GRACE_S_MAX) {
            argp_error(state, "--grace %s: seconds from 1 to %d are wanted", arg, GRACE_S_MAX);
        }
        o->preempt.grace_ms = (int64_t)(seconds * 1000);
        break;
    case KEY_FILE:
        o->preempt.file = arg;
        break;
    case KEY_COMMAND:
        o->preempt.command = arg;
        break;
    case KEY_CLOUD:
        o->preempt.cloud = cloud_of(arg);
        if (o->preempt.cloud == CLOUD_NONE) {
            argp_error(state, "--preempt-cloud %s: aws, gcp or azure is wanted", arg);
        }
        break;
    case KEY_URL:
        if (client_url_check(arg, &url_error)) {
            argp_error(state, "--preempt-url: %s", url_error.message);
        }
        o->preempt.url = arg;
        break;
    case KEY_EXIT:
        if (!text_to_i64(arg, &n) || n < 0 || n > 255) {
            argp_error(state, "--preempt-exit %s: a number from 0 to 255 is wanted", arg);
        }
        o->preempt.exit_code = (int)n;
        break;
    case KEY_CACHE:
        if (!parse_bytes(arg, &o->cache_bytes) || o->cache_bytes < CACHE_BYTES_MIN) {
            argp_error(state,
                       "--cache-size %s: a size of at least 1M is wanted, such as 500M or 20G",
                       arg);
        }
        break;
    case KEY_NAME:
        if (!text_is_name(arg)) {
            argp_error(state,
                       "--name '%s': 1 to 64 letters, digits, '.', '_' or '-' are wanted, not "
                       "starting with '.' or '-'",
                       arg);
        }
        o->name = arg;
        break;
    case KEY_CA:
        o->ca_file = arg;
        break;
    case KEY_CAPABILITIES:
        c->capabilities = true;
        break;
    case KEY_JSON:
        c->json = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* A host's name as a name: what does not belong becomes '-'. */
static void default_name(char out[65])
{
    snprintf(out, 65, "%.64s", env_host_name());
    for (char *c = out; *c; c++) {
        char one[2] = {*c, 0};
        if (!text_is_name(one) && !(c > out && (*c == '.' || *c == '-'))) {
            *c = c > out ? '-' : 'x';
        }
    }
}

static int usage(const char *what)
{
    fprintf(stderr, "tacit-agent: %s\nTry 'tacit-agent --help'.\n", what);
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    char name[65];
    struct err e = {0};
    env_stop_on_signals(); /* first: from here on a stop ends with 0 */
    env_stop_on_notice();
    if (options_check(options, true, argc, argv, &e)) {
        return usage(e.message);
    }
    default_name(name);
    struct command c = {.o = {.url = env_get("TACIT_URL"),
                              .token_file = env_get("TACIT_TOKEN_FILE"),
                              .ca_file = env_get("TACIT_CA"),
                              .name = name,
                              .threads = env_cpu_count(),
                              .cache_bytes = CACHE_BYTES_DEFAULT}};
    const struct agent_options *o = &c.o;
    argp_err_exit_status = EX_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &c);
    if (c.capabilities) {
        return capabilities_print(c.json);
    }
    if (!o->url) {
        return usage("no coordinator: give --coordinator URL, or set TACIT_URL");
    }
    if (!o->work) {
        return usage("no work folder: give --work DIR (identity, cache and saves go there)");
    }
    if (client_url_check(o->url, &e)) {
        return usage(e.message);
    }
    if (o->preempt.url && o->preempt.cloud == CLOUD_NONE) {
        return usage("--preempt-url needs --preempt-cloud aws, gcp or azure: whose format it is");
    }
    if (capabilities_check(&e)) {
        return usage(e.message);
    }
    return agent_run(o);
}
