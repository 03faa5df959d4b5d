/* tacitd: keeps everything that matters of tacit's runs, and hands out their jobs over HTTP. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include "core/base/manual.h"
#include "core/base/options.h"
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/version.h"
#include "coordinator/api/address.h"
#include "coordinator/api/openapi.h"
#include "coordinator/keep/restore.h"
#include "coordinator/log.h"
#include "coordinator/tacitd.h"
#include "coordinator/tacitd_doctor.h"
#include "coordinator/tls/authority.h"
#include "coordinator/tls/tls_command.h"

/* Less, and an agent that is about to name what it uploaded would have to send it again. */
#define GRACE_MS_MIN 10000
#define GRACE_MS_MAX (366 * 86400 * (int64_t)1000)
#define PROGRESS_MS 5000
#define LISTEN_DEFAULT "127.0.0.1:8420"

struct options {
    const char *log_level;
    bool log_json;
    const char *dir, *listen, *certificate, *key, *restore;
    bool insecure;
    int64_t grace_ms;
    bool no_duplicates, openapi, manual, doctor, json;
    struct listen_address address;
};

enum {
    OPTION_CERT = 0x100,
    OPTION_KEY,
    OPTION_INSECURE,
    OPTION_GRACE,
    OPTION_RESTORE,
    OPTION_NO_DUPLICATES,
    OPTION_OPENAPI,
    OPTION_LOG_LEVEL,
    OPTION_LOG_FORMAT,
    OPTION_MANUAL,
    OPTION_DOCTOR,
    OPTION_JSON
};

static const struct argp_option option_list[] = {
    {"data", 'd', "DIR", 0, "Folder of the databases and tokens; made where absent", 0},
    {"listen", 'l', "HOST:PORT", 0,
     "Address to listen on (" LISTEN_DEFAULT "); port 0 takes a free one", 0},
    {"tls-cert", OPTION_CERT, "FILE", 0,
     "Certificate chain, PEM: speak HTTPS (default: what `tacitd tls init` made in DIR)", 0},
    {"tls-key", OPTION_KEY, "FILE", 0, "The certificate's private key, PEM", 0},
    {"insecure", OPTION_INSECURE, NULL, 0,
     "Listen beyond this machine without TLS: tokens and data can be read on the way", 0},
    {"gc-grace", OPTION_GRACE, "TIME", 0,
     "How long an uploaded blob that nothing names is kept: 90m, 24h (the default), 7d", 0},
    {"restore", OPTION_RESTORE, "FILE", 0,
     "Fill the empty --data DIR from a backup of `tacit backup`, and end", 0},
    {"no-duplicates", OPTION_NO_DUPLICATES, NULL, 0,
     "Idle agents do not do once more what another one is slow with", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0,
     "What is logged: error, warn, info (the default), debug (every request)", 0},
    {"log-format", OPTION_LOG_FORMAT, "FORMAT", 0, "text (the default) or json", 0},
    {"openapi", OPTION_OPENAPI, NULL, 0, "Print the description of the API, OpenAPI 3.1, and end",
     1},
    {"doctor", OPTION_DOCTOR, NULL, 0,
     "Look at disk, port, token and memory, tell what mends a fault, and end", 1},
    {"json", OPTION_JSON, NULL, 0, "With --doctor: as JSON", 1},
    {"manual", OPTION_MANUAL, NULL, OPTION_HIDDEN, "Print the manual page, and end", 1},
    {0}};

static const char doc[] =
    "The coordinator of tacit: keeps runs, data sets and checkpoints, and hands out jobs to "
    "agents.\v"
    "DIR/admin.token is the operator's key, for `tacit`; DIR/join.token lets agents join; "
    "DIR/viewer.token shows and changes nothing. They are made at the first start. The dashboard "
    "is at /, such as http://127.0.0.1:8420/.\n\n"
    "Examples:\n"
    "  tacitd --data /var/lib/tacit\n"
    "  tacitd --data ./data --listen 127.0.0.1:0\n"
    "  tacitd tls init --data ./data --host train.example.org   # then, beyond this machine:\n"
    "  tacitd --data ./data --listen 0.0.0.0:8420\n\n"
    "SIGTERM finishes what is queued and stops; agents go on and deliver to the next start.";

const char *argp_program_version = "tacitd " TACIT_VERSION;

/* "90m": minutes to years. */
static bool grace_read(const char *text, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    char digits[8];
    uint64_t n;
    size_t len = strlen(text);

    if (len < 2 || len > sizeof digits)
        return false;
    snprintf(digits, sizeof digits, "%.*s", (int)(len - 1), text);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (text[len - 1] == units[i].unit && text_to_u64(digits, &n))
            *ms = (int64_t)n * units[i].ms;
    return *ms >= GRACE_MS_MIN && *ms <= GRACE_MS_MAX;
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case 'd':
        o->dir = arg;
        return 0;
    case 'l':
        o->listen = arg;
        return 0;
    case OPTION_CERT:
        o->certificate = arg;
        return 0;
    case OPTION_KEY:
        o->key = arg;
        return 0;
    case OPTION_INSECURE:
        o->insecure = true;
        return 0;
    case OPTION_GRACE:
        if (!grace_read(arg, &o->grace_ms))
            argp_error(state, "--gc-grace %s: a number and s, m, h or d; from 10s to 366d", arg);
        return 0;
    case OPTION_RESTORE:
        o->restore = arg;
        return 0;
    case OPTION_NO_DUPLICATES:
        o->no_duplicates = true;
        return 0;
    case OPTION_DOCTOR:
        o->doctor = true;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case OPTION_MANUAL:
        o->manual = true;
        return 0;
    case OPTION_OPENAPI:
        o->openapi = true;
        return 0;
    case OPTION_LOG_LEVEL:
        o->log_level = arg;
        if (!log_setup(arg, o->log_json))
            argp_error(state, "--log-level %s: error, warn, info or debug is wanted", arg);
        return 0;
    case OPTION_LOG_FORMAT:
        o->log_json = strcmp(arg, "json") == 0;
        if (!o->log_json && strcmp(arg, "text") != 0)
            argp_error(state, "--log-format %s: text or json is wanted", arg);
        if (!log_setup(o->log_level ? o->log_level : "info", o->log_json))
            argp_error(state, "--log-level %s: no such level", o->log_level);
        return 0;
    case ARGP_KEY_END:
        if (o->openapi || o->manual)
            return 0;
        if (!o->dir)
            argp_error(state, "--data DIR is needed");
        if (!o->certificate != !o->key)
            argp_error(state, "--tls-cert and --tls-key go together");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int check_exposure(struct options *o, struct err *e)
{
    int rc = listen_address_parse(o->listen, &o->address, e);

    if (rc)
        return err_prefix(e, "--listen");
    if (!o->address.loopback && !o->certificate && !o->insecure)
        return err_set(
            e, ERR_INVALID,
            "--listen %s: without TLS, tokens and data could be read on the way to other "
            "machines; make a certificate (`tacitd tls init --data %s --host NAME`), give "
            "--tls-cert and --tls-key, or --insecure on a network that you trust",
            o->listen, o->dir);
    return 0;
}

/* Thousands of agents hold a connection each. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void say_ready(void *arg, uint16_t port)
{
    const struct options *o = arg;

    printf("tacitd: listening on %s://%s:%u, data in %s\n", o->certificate ? "https" : "http",
           o->address.host, port, o->dir);
    fflush(stdout);
    (void)sd_notify(0, "READY=1"); /* where systemd started it, units that need it may start */
}

static int say_progress(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    int64_t *next_ms = arg, now = env_monotonic_ms();

    (void)e;
    if (now >= *next_ms) {
        fprintf(stderr, "tacitd: %llu of %llu MB\n", (unsigned long long)(done >> 20),
                (unsigned long long)(total >> 20));
        *next_ms = now + PROGRESS_MS;
    }
    return 0;
}

static int restore(const struct options *o, struct err *e)
{
    struct msg_backup m;
    int64_t next_ms = env_monotonic_ms() + PROGRESS_MS;
    int rc = restore_run(o->restore, o->dir, say_progress, &next_ms, &m, e);

    if (!rc)
        printf("tacitd: %s restored: %llu blobs, %llu MB; start it with tacitd --data %s\n", o->dir,
               (unsigned long long)m.blobs, (unsigned long long)(m.blob_bytes >> 20), o->dir);
    return rc;
}

static int print_openapi(struct err *e)
{
    struct buf b;

    buf_init(&b, OPENAPI_BYTES_MAX);
    int rc = openapi_write(&b, e);
    if (!rc)
        fwrite(b.data, 1, b.len, stdout);
    buf_free(&b);
    return rc;
}

static int print_manual(struct err *e)
{
    struct manual m;

    manual_begin(&m, "tacitd", 8, "the coordinator of tacit: keeps runs, hands out their jobs");
    manual_section(&m, "SYNOPSIS");
    manual_synopsis(&m, "tacitd", "--data DIR");
    manual_break(&m);
    manual_synopsis(&m, "tacitd tls", "init|renew --data DIR");
    manual_section(&m, "DESCRIPTION");
    manual_doc_before(&m, doc);
    manual_section(&m, "OPTIONS");
    manual_options(&m, option_list);
    manual_own_options(&m);
    manual_section(&m, "NOTES");
    manual_doc_after(&m, doc, true);
    tls_command_manual(&m);
    manual_section(&m, "SEE ALSO");
    manual_text(&m, "tacit(1), tacit-agent(1)", false);
    int rc = manual_end(&m, e);
    if (!rc)
        fwrite(m.out.data, 1, m.out.len, stdout);
    buf_free(&m.out);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct argp parser = {option_list, on_option, NULL, doc, NULL, NULL, NULL};
    struct options o = {.listen = LISTEN_DEFAULT};
    struct err e = {0};

    argp_err_exit_status = EX_USAGE;
    if (argc > 1 && strcmp(argv[1], "tls") == 0)
        return tls_command(argc - 1, argv + 1);
    if (options_check(option_list, true, argc, argv, &e)) {
        fprintf(stderr, "tacitd: %s\nTry 'tacitd --help'.\n", e.message);
        return EX_USAGE;
    }
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    char *own = o.certificate || o.insecure || !o.dir ? NULL : tls_server_path(o.dir);
    if (own)
        o.certificate = own;
    if (o.openapi || o.manual) {
        int printed = o.openapi ? print_openapi(&e) : print_manual(&e);
        if (printed)
            fprintf(stderr, "tacitd: %s\n", e.message);
        return printed ? err_exit_code(printed) : EX_OK;
    }
    env_stop_on_signals();
    raise_descriptors();
    int rc = check_exposure(&o, &e);
    if (!rc && o.restore)
        rc = restore(&o, &e);
    struct tacitd_options run = {.dir = o.dir,
                                 .address = &o.address,
                                 .certificate = o.certificate,
                                 .key = o.key,
                                 .gc_grace_ms = o.grace_ms,
                                 .no_duplicates = o.no_duplicates,
                                 .ready = say_ready,
                                 .ready_arg = &o};
    int code = !rc && o.doctor ? tacitd_doctor(&run, o.json) : EX_OK;
    if (!rc && !o.restore && !o.doctor)
        rc = tacitd_run(&run, &e);
    free(own);
    if (rc)
        fprintf(stderr, "tacitd: %s\n", e.message);
    return rc ? err_exit_code(rc) : code;
}
