/* tacitd: keeps everything that matters of tacit's runs, and hands out their jobs over HTTP. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include "core/base/options.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/version.h"
#include "coordinator/api/server.h"
#include "coordinator/api/tokens.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/works.h"
#include "coordinator/store/store.h"

#define LISTEN_DEFAULT "127.0.0.1:8420"
#define PREDECESSOR_MS 10000 /* a predecessor that is being stopped finishes within this */
#define PEM_BYTES_MAX (1u << 20)
#define TICK_MS_MAX 1000

struct options {
    const char *dir, *listen, *certificate, *key;
    bool insecure;
    struct listen_address address;
};

enum { OPTION_CERT = 0x100, OPTION_KEY, OPTION_INSECURE };

static const struct argp_option option_list[] = {
    {"data", 'd', "DIR", 0, "Folder of the databases and tokens; made where absent", 0},
    {"listen", 'l', "HOST:PORT", 0,
     "Address to listen on (" LISTEN_DEFAULT "); port 0 takes a free one", 0},
    {"tls-cert", OPTION_CERT, "FILE", 0, "Certificate chain, PEM: speak HTTPS", 0},
    {"tls-key", OPTION_KEY, "FILE", 0, "The certificate's private key, PEM", 0},
    {"insecure", OPTION_INSECURE, NULL, 0,
     "Listen beyond this machine without TLS: tokens and data can be read on the way", 0},
    {0}};

static const char doc[] =
    "The coordinator of tacit: keeps runs, data sets and checkpoints, and hands out jobs to "
    "agents.\v"
    "DIR/admin.token is the operator's key, for `tacit`; DIR/join.token lets agents join. Both "
    "are made at the first start.\n\n"
    "Examples:\n"
    "  tacitd --data /var/lib/tacit\n"
    "  tacitd --data ./data --listen 127.0.0.1:0\n"
    "  tacitd --data ./data --listen 0.0.0.0:8420 \\\n"
    "         --tls-cert cert.pem --tls-key key.pem\n\n"
    "SIGTERM finishes what is queued and stops; agents go on and deliver to the next start.";

const char *argp_program_version = "tacitd " TACIT_VERSION;

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
    case ARGP_KEY_END:
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
            "machines; give --tls-cert and --tls-key, or --insecure on a network that "
            "you trust",
            o->listen);
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

struct coordinator {
    struct service service;
    struct tokens tokens;
    struct buf certificate, key;
    struct api *api;
    struct server *server;
};

static int read_tls(struct coordinator *c, const struct options *o, struct err *e)
{
    int rc;

    if (!o->certificate)
        return 0;
    rc = env_file_read(o->certificate, PEM_BYTES_MAX, &c->certificate, e);
    if (rc)
        return err_prefix(e, "--tls-cert");
    rc = env_file_read(o->key, PEM_BYTES_MAX, &c->key, e);
    return rc ? err_prefix(e, "--tls-key") : 0;
}

/* In this order: the store waits for a predecessor; tokens are there before anybody can ask; the
 * API hears of ready jobs before anything makes them; the port opens last. */
static int start(struct coordinator *c, const struct options *o, struct err *e)
{
    struct server_options so = {.address = &o->address, .wait_ms = PREDECESSOR_MS};
    int rc = read_tls(c, o, e);

    c->service.dir = o->dir;
    c->service.started_ms = env_monotonic_ms();
    if (!rc)
        rc = store_open(&c->service.store, o->dir, e);
    if (!rc)
        rc = lease_clock_create(&c->service.leases, e);
    if (!rc)
        rc = tokens_open(o->dir, &c->tokens, e);
    if (!rc)
        rc = api_create(&c->api, &c->service, &(struct api_tokens){c->tokens.admin, c->tokens.join},
                        e);
    if (!rc)
        rc = works_create(&c->service.works, &c->service, e);
    so.certificate = c->certificate.data;
    so.key = c->key.data;
    return rc ? rc : server_start(&c->server, c->api, &c->service, &so, e);
}

static void stop(struct coordinator *c)
{
    if (c->server)
        server_stop(c->server);
    works_destroy(c->service.works);
    store_close(c->service.store);
    server_destroy(c->server);
    api_destroy(c->api);
    lease_clock_destroy(c->service.leases);
    buf_free(&c->certificate);
    buf_free(&c->key);
}

static void run(struct coordinator *c)
{
    int64_t next_ms = 0;

    while (!env_stop_wait_ms(next_ms)) {
        struct err e = {0};
        if (lease_tick(&c->service, &next_ms, &e)) {
            log_error("leases cannot be looked after: %s", e.message);
            next_ms = TICK_MS_MAX;
        }
        if (next_ms < 1 || next_ms > TICK_MS_MAX)
            next_ms = next_ms < 1 ? 1 : TICK_MS_MAX;
    }
}

int main(int argc, char **argv)
{
    static const struct argp parser = {option_list, on_option, NULL, doc, NULL, NULL, NULL};
    struct options o = {.listen = LISTEN_DEFAULT};
    struct coordinator c = {0};
    struct err e = {0};

    argp_err_exit_status = EX_USAGE;
    if (options_check(option_list, true, argc, argv, &e)) {
        fprintf(stderr, "tacitd: %s\nTry 'tacitd --help'.\n", e.message);
        return EX_USAGE;
    }
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    env_stop_on_signals();
    raise_descriptors();
    buf_init(&c.certificate, PEM_BYTES_MAX);
    buf_init(&c.key, PEM_BYTES_MAX);
    int rc = check_exposure(&o, &e);
    if (!rc)
        rc = start(&c, &o, &e);
    if (rc) {
        fprintf(stderr, "tacitd: %s\n", e.message);
    } else {
        printf("tacitd: listening on %s://%s:%u, data in %s\n", o.certificate ? "https" : "http",
               o.address.host, server_port(c.server), o.dir);
        fflush(stdout);
        log_info("started version=%s port=%u data=%s incarnation=%llu", TACIT_VERSION,
                 server_port(c.server), o.dir,
                 (unsigned long long)store_incarnation(c.service.store));
        run(&c);
        log_info("stopping");
    }
    stop(&c);
    if (!rc)
        log_info("stopped");
    return rc ? err_exit_code(rc) : EX_OK;
}
