/* tacit-agent: collects its settings, then agent_run. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "agent/agent.h"
#include "agent/agent_doctor.h"
#include "agent/agent_log.h"
#include "agent/capabilities.h"
#include "agent/settings_print.h"
#include "core/base/manual.h"
#include "core/base/option_values.h"
#include "core/base/options.h"
#include "core/base/text.h"
#include "core/client/client.h"
#include "core/client/join_file.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/version.h"

#define SETTINGS_MAX (1u << 20) /* bytes, of the configuration file too */
#define CACHE_DEFAULT "10G"
#define GRACE_DEFAULT "30"
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
    "  tacit-agent --join agent.join --work /var/lib/tacit-agent \\\n"
    "              --threads 8 --cache-size 50G\n"
    "  tacit-agent … --preempt-cloud aws --grace 90           # a spot machine\n"
    "  srun --signal=USR1@60 --requeue tacit-agent … --grace 50 --preempt-exit 75\n"
    "  tacit-agent --config /etc/tacit/agent.ini --settings   # what holds, and what says so\n\n"
    "The join token is needed once; afterwards the work folder holds a token of this agent's "
    "own.\n\n"
    "A configuration file has lines \"name = value\", called as the options, without \"--\"; "
    "comments stand on lines of their own, behind \"#\". Options win over the file, the file over "
    "the environment.";

static const char summary[] = "trains for a tacit coordinator on this machine";

enum {
    KEY_CA = 256,
    KEY_JOIN,
    KEY_CACHE,
    KEY_NAME,
    KEY_GRACE,
    KEY_FILE,
    KEY_COMMAND,
    KEY_CLOUD,
    KEY_URL,
    KEY_EXIT,
    KEY_LOG_LEVEL,
    KEY_LOG_FORMAT,
    KEY_CAPABILITIES,
    KEY_JSON,
    KEY_CONFIG,
    KEY_SETTINGS,
    KEY_MANUAL,
    KEY_DOCTOR,
    KEY_SPEC,
    KEY_VOCAB,
    KEY_SEQ
};

static const struct argp_option options[] = {
    {"coordinator", 'c', "URL", 0, "the coordinator's address (default: $TACIT_URL)", 0},
    {"token-file", 't', "FILE", 0, "file with the join token (default: $TACIT_TOKEN_FILE)", 0},
    {"join", KEY_JOIN, "FILE", 0,
     "a join file: address, token and authority in one (default: $TACIT_JOIN, else the one "
     "that DIR has seen)",
     0},
    {"work", 'w', "DIR", 0, "folder for identity, cache and saves; made where absent", 0},
    {"threads", 'n', "N", 0, "threads to compute with (default: all processors)", 0},
    {"cache-size", KEY_CACHE, "BYTES", 0, "limit of the cache, with K, M, G or T (default: 10G)",
     0},
    {"name", KEY_NAME, "NAME", 0, "what people see (default: the host's name)", 0},
    {"ca", KEY_CA, "FILE", 0, "certificates to trust (default: $TACIT_CA, else the system's)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
     "what is logged: error, warn, info or debug, which has every heartbeat (default: info)", 0},
    {"log-format", KEY_LOG_FORMAT, "FORMAT", 0, "text or json (default: text)", 0},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "time to save, deliver and give back from a notice on (default: 30)", 1},
    {"preempt-file", KEY_FILE, "FILE", 0, "its appearance is a notice", 1},
    {"preempt-command", KEY_COMMAND, "COMMAND", 0, "run by the shell at the start; its end is one",
     1},
    {"preempt-cloud", KEY_CLOUD, "NAME", 0, "ask the metadata service of aws, gcp or azure", 1},
    {"preempt-url", KEY_URL, "URL", 0, "its address, where it is another than usual", 1},
    {"preempt-exit", KEY_EXIT, "CODE", 0,
     "exit code after a notice, SIGTERM and SIGUSR1 among them (default: 0)", 1},
    {"config", KEY_CONFIG, "FILE", OPTION_TYPED_ONLY, "take settings from this file, too", 2},
    {"settings", KEY_SETTINGS, NULL, OPTION_TYPED_ONLY,
     "show each setting with what says so, and exit", 3},
    {"capabilities", KEY_CAPABILITIES, NULL, OPTION_TYPED_ONLY,
     "tell what this machine computes with, tested, and exit", 3},
    {"doctor", KEY_DOCTOR, NULL, OPTION_TYPED_ONLY,
     "look at all that may keep this machine from work, tell what mends it, and exit", 3},
    {"spec", KEY_SPEC, "FILE", OPTION_TYPED_ONLY,
     "with --doctor: whether the memory is enough to train this spec's experts", 3},
    {"vocab", KEY_VOCAB, "N", OPTION_TYPED_ONLY, "with --spec: of its data set (default: 32000)",
     3},
    {"seq", KEY_SEQ, "N", OPTION_TYPED_ONLY, "with --spec: of its data set (default: 1024)", 3},
    {"json", KEY_JSON, NULL, OPTION_TYPED_ONLY,
     "with --settings, --capabilities or --doctor: as JSON", 3},
    {"manual", KEY_MANUAL, NULL, OPTION_HIDDEN | OPTION_TYPED_ONLY, "print the manual page", 3},
    {0}};

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

static int set_name(struct agent_options *o, const char *arg, struct err *e)
{
    if (!text_is_name(arg)) {
        return err_set(e, ERR_INVALID,
                       "--name '%s': 1 to 64 letters, digits, '.', '_' or '-' are wanted, not "
                       "starting with '.' or '-'",
                       arg);
    }
    o->name = arg;
    return 0;
}

static int set_number(struct agent_options *o, int key, const char *arg, struct err *e)
{
    double seconds = 0;
    int64_t n = 0;
    if (key == KEY_GRACE) {
        if (!text_to_double(arg, &seconds) || seconds < 1 || seconds > GRACE_S_MAX) {
            return err_set(e, ERR_INVALID, "--grace %s: seconds from 1 to %d are wanted", arg,
                           GRACE_S_MAX);
        }
        o->preempt.grace_ms = (int64_t)(seconds * 1000);
    } else if (key == KEY_EXIT) {
        if (!text_to_i64(arg, &n) || n < 0 || n > 255) {
            return err_set(e, ERR_INVALID, "--preempt-exit %s: a number from 0 to 255 is wanted",
                           arg);
        }
        o->preempt.exit_code = (int)n;
    } else if (!text_to_i64(arg, &n) || n < 1 || n > THREADS_MAX) {
        return err_set(e, ERR_INVALID, "--threads %s: a number from 1 to %d is wanted", arg,
                       THREADS_MAX);
    } else {
        o->threads = (int)n;
    }
    return 0;
}

static int set_log(struct agent_options *o, int key, const char *arg, struct err *e)
{
    if (key == KEY_LOG_LEVEL && !log_rules_level(&o->log, arg)) {
        return err_set(e, ERR_INVALID, "--log-level %s: error, warn, info or debug is wanted", arg);
    }
    if (key == KEY_LOG_FORMAT && !log_rules_format(&o->log, arg)) {
        return err_set(e, ERR_INVALID, "--log-format %s: text or json is wanted", arg);
    }
    return 0;
}

static int set(void *input, int key, const char *arg, struct err *e)
{
    struct agent_options *o = input;
    switch (key) {
    case 'c':
        o->url = arg;
        return client_url_check(arg, e);
    case 't':
        o->token_file = arg;
        return 0;
    case 'w':
        o->work = arg;
        return 0;
    case 'n':
    case KEY_GRACE:
    case KEY_EXIT:
        return set_number(o, key, arg, e);
    case KEY_FILE:
        o->preempt.file = arg;
        return 0;
    case KEY_COMMAND:
        o->preempt.command = arg;
        return 0;
    case KEY_CLOUD:
        o->preempt.cloud = cloud_of(arg);
        return o->preempt.cloud != CLOUD_NONE
                   ? 0
                   : err_set(e, ERR_INVALID, "--preempt-cloud %s: aws, gcp or azure is wanted",
                             arg);
    case KEY_URL:
        o->preempt.url = arg;
        return client_url_check(arg, e) ? err_prefix(e, "--preempt-url") : 0;
    case KEY_CACHE:
        if (!parse_bytes(arg, &o->cache_bytes) || o->cache_bytes < CACHE_BYTES_MIN) {
            return err_set(e, ERR_INVALID,
                           "--cache-size %s: a size of at least 1M is wanted, such as 500M or 20G",
                           arg);
        }
        return 0;
    case KEY_NAME:
        return set_name(o, arg, e);
    case KEY_CA:
        o->ca_file = arg;
        return 0;
    case KEY_JOIN:
        o->join = arg;
        return 0;
    case KEY_LOG_LEVEL:
    case KEY_LOG_FORMAT:
        return set_log(o, key, arg, e);
    }
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "unexpected argument '%s'", arg);
    }
    return option_values_typed(state->input, key, arg) ? 0 : ARGP_ERR_UNKNOWN;
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

/* What a join file says completes what is set; it is the file of the token and of the authorities
 * itself. */
static int take_join(struct option_values *v, const char *path, const char *source, struct err *e)
{
    struct join_file f;
    int rc = join_file_read(path, &f, e);
    if (rc) {
        return err_prefix(e, "%s", source);
    }
    option_values_last(v, KEY_JOIN, path, source);
    option_values_last(v, 'c', arena_strndup(v->arena, f.url, strlen(f.url)), source);
    option_values_last(v, 't', f.token[0] ? path : NULL, source);
    option_values_last(v, KEY_CA, f.authority ? path : NULL, source);
    return 0;
}

/* The one given; else, where no address is, the environment's, or the copy of an earlier start. */
static int find_join(struct option_values *v, bool given, struct err *e)
{
    const struct option_value *join = option_values_get(v, KEY_JOIN);
    const char *work = option_values_get(v, 'w')->value;
    if (given) {
        return join->value ? take_join(v, join->value, join->source, e) : 0;
    }
    if (option_values_get(v, 'c')->value) {
        return 0;
    }
    const char *path = env_get("TACIT_JOIN");
    if (path && *path) {
        return take_join(v, path, "TACIT_JOIN", e);
    }
    path = work ? arena_printf(v->arena, "%s/join", work) : NULL;
    return path && env_file_exists(path) ? take_join(v, path, path, e) : 0;
}

/* What is set nowhere else. Strings live as long as the process. */
static int set_defaults(struct option_values *v, struct err *e)
{
    static char name[65], threads[24];
    default_name(name);
    snprintf(threads, sizeof threads, "%d", env_cpu_count());
    int rc = find_join(v, true, e);
    option_values_last(v, 'c', env_get("TACIT_URL"), "TACIT_URL");
    rc = rc ? rc : find_join(v, false, e);
    option_values_last(v, 't', env_get("TACIT_TOKEN_FILE"), "TACIT_TOKEN_FILE");
    option_values_last(v, KEY_CA, env_get("TACIT_CA"), "TACIT_CA");
    option_values_last(v, KEY_NAME, name, "the host's name");
    option_values_last(v, 'n', threads, "all processors");
    option_values_last(v, KEY_CACHE, CACHE_DEFAULT, "default");
    option_values_last(v, KEY_GRACE, GRACE_DEFAULT, "default");
    option_values_last(v, KEY_EXIT, "0", "default");
    option_values_last(v, KEY_LOG_LEVEL, "info", "default");
    option_values_last(v, KEY_LOG_FORMAT, "text", "default");
    return rc;
}

static int read_settings(struct option_values *v, struct agent_options *o, struct err *e)
{
    const char *file = option_values_get(v, KEY_CONFIG)->value;
    struct buf text;
    int rc = 0;
    if (file) {
        rc = env_file_read(file, SETTINGS_MAX, &text, e);
        if (!rc) {
            rc = option_values_file(v, text.data ? text.data : "", text.len, file, e);
            buf_free(&text);
        }
    }
    rc = rc ? rc : set_defaults(v, e);
    return rc ? rc : option_values_apply(v, set, o, e);
}

static int print_manual(struct err *e)
{
    struct manual m;
    manual_begin(&m, "tacit-agent", 1, summary);
    manual_section(&m, "SYNOPSIS");
    manual_synopsis(&m, "tacit-agent", "--coordinator URL --work DIR");
    manual_section(&m, "DESCRIPTION");
    manual_doc_before(&m, doc);
    manual_section(&m, "OPTIONS");
    manual_options(&m, options);
    manual_own_options(&m);
    manual_doc_after(&m, doc, true);
    manual_section(&m, "SEE ALSO");
    manual_text(&m, "tacit(1), tacitd(8)", false);
    int rc = manual_end(&m, e);
    if (!rc) {
        fputs(m.out.data, stdout);
    }
    buf_free(&m.out);
    return rc;
}

static int doctor(const struct option_values *v, const struct agent_options *o, bool json)
{
    static const struct {
        int key;
        const char *name;
        uint32_t usual;
    } sizes[] = {{KEY_VOCAB, "--vocab", 32000}, {KEY_SEQ, "--seq", 1024}};
    uint64_t n[2];
    for (int i = 0; i < 2; i++) {
        const char *arg = option_values_get(v, sizes[i].key)->value;
        n[i] = sizes[i].usual;
        if (arg && (!text_to_u64(arg, &n[i]) || n[i] < 2 || n[i] > UINT32_MAX)) {
            fprintf(stderr, "tacit-agent: %s %s: a number is wanted, as `tacit datasets` has it\n",
                    sizes[i].name, arg);
            return EX_USAGE;
        }
    }
    return agent_doctor(o, option_values_get(v, KEY_SPEC)->value, (uint32_t)n[0], (uint32_t)n[1],
                        json);
}

/* What is asked for in place of work; false: nothing. */
static bool only_tells(const struct option_values *v, const struct agent_options *o, int *code,
                       struct err *e)
{
    bool json = option_values_get(v, KEY_JSON)->value;
    if (option_values_get(v, KEY_SETTINGS)->value) {
        *code = err_exit_code(settings_print(v, json, e));
    } else if (option_values_get(v, KEY_CAPABILITIES)->value) {
        *code = capabilities_print(json);
    } else if (option_values_get(v, KEY_DOCTOR)->value) {
        *code = doctor(v, o, json);
    } else {
        return false;
    }
    return true;
}

static int run(struct option_values *v)
{
    struct agent_options o = {.log = LOG_RULES_USUAL};
    struct err e = {0};
    int code = 0;
    if (option_values_get(v, KEY_MANUAL)->value) {
        return err_exit_code(print_manual(&e));
    }
    int rc = read_settings(v, &o, &e);
    if (rc) {
        fprintf(stderr, "tacit-agent: %s\nTry 'tacit-agent --help'.\n", e.message);
        return err_exit_code(rc);
    }
    agent_log_setup(&o.log);
    if (only_tells(v, &o, &code, &e)) {
        return code;
    }
    if (!o.url) {
        return usage("no coordinator: give --join FILE or --coordinator URL, or set TACIT_URL");
    }
    if (!o.work) {
        return usage("no work folder: give --work DIR (identity, cache and saves go there)");
    }
    if (o.preempt.url && o.preempt.cloud == CLOUD_NONE) {
        return usage("--preempt-url needs --preempt-cloud aws, gcp or azure: whose format it is");
    }
    if (capabilities_check(&e)) {
        return usage(e.message);
    }
    return agent_run(&o);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct option_values v;
    struct arena arena;
    struct err e = {0};
    env_stop_on_signals(); /* first: from here on a stop ends with 0 */
    env_stop_on_notice();
    if (options_check(options, true, argc, argv, &e)) {
        return usage(e.message);
    }
    arena_init(&arena, SETTINGS_MAX);
    option_values_init(&v, options, &arena);
    argp_err_exit_status = EX_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &v);
    int code = run(&v);
    arena_free(&arena);
    return code;
}
