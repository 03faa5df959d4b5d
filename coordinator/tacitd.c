#include "coordinator/tacitd.h"

#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/version.h"
#include "coordinator/api/server.h"
#include "coordinator/api/tokens.h"
#include "coordinator/keep/keeper.h"
#include "coordinator/keep/restore.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/works.h"
#include "coordinator/store/gc.h"
#include "coordinator/store/store.h"
#include "coordinator/tls/server_identity.h"

#define PREDECESSOR_MS 10000 /* a predecessor that is being stopped finishes within this */
#define TICK_MS_MAX 1000

struct coordinator {
    struct service service;
    struct tokens tokens;
    struct tls_identity *identity;
    struct api *api;
    struct server *server;
};

static int open_identity(struct coordinator *c, const struct tacitd_options *o, struct err *e)
{
    int rc = o->certificate ? tls_identity_open(&c->identity, o->certificate, o->key, e) : 0;

    if (rc)
        return err_prefix(e, "%s", o->key ? "--tls-cert, --tls-key" : "the certificate");
    if (c->identity)
        atomic_store(&c->service.tls_until_ms, tls_identity_until_ms(c->identity));
    return 0;
}

/* In this order: the store waits for a predecessor; tokens are there before anybody can ask; the
 * API hears of ready jobs before anything makes them; the port opens last. */
static int start(struct coordinator *c, const struct tacitd_options *o, struct err *e)
{
    struct server_options so = {.address = o->address, .wait_ms = PREDECESSOR_MS};
    int rc = open_identity(c, o, e);

    c->service.dir = o->dir;
    c->service.started_ms = env_monotonic_ms();
    c->service.no_duplicates = o->no_duplicates;
    c->service.open_figures = o->address && o->address->loopback;
    c->service.tls = o->certificate != NULL;
    if (!rc)
        rc = restore_check(o->dir, e);
    if (!rc)
        rc = store_open(&c->service.store, o->dir, e);
    if (!rc)
        rc = lease_clock_create(&c->service.leases, e);
    if (!rc)
        rc = tokens_open(o->dir, &c->tokens, e);
    if (!rc)
        rc = api_create(&c->api, &c->service,
                        &(struct api_tokens){c->tokens.admin, c->tokens.join, c->tokens.viewer}, e);
    if (!rc)
        rc = works_create(&c->service.works, &c->service, e);
    if (!rc)
        rc = keeper_create(&c->service.keeper, &c->service,
                           &(struct keeper_options){o->gc_grace_ms ? o->gc_grace_ms : GC_GRACE_MS,
                                                    KEEPER_FIRST_MS},
                           e);
    so.identity = c->identity;
    return rc ? rc : server_start(&c->server, c->api, &c->service, &so, e);
}

static void stop(struct coordinator *c)
{
    struct err e = {0};

    if (c->server)
        server_stop(c->server);
    works_destroy(c->service.works);
    keeper_destroy(c->service.keeper);
    if (c->server && lease_flush(&c->service, &e))
        log_warn("the last lines of running jobs' logs cannot be written: %s", e.message);
    store_close(c->service.store);
    server_destroy(c->server);
    api_destroy(c->api);
    lease_clock_destroy(c->service.leases);
    tls_identity_close(c->identity);
}

static void run(struct coordinator *c)
{
    int64_t next_ms = 0;

    while (!env_stop_wait_ms(next_ms)) {
        struct err e = {0};
        if (c->identity) {
            tls_identity_look(c->identity);
            atomic_store(&c->service.tls_until_ms, tls_identity_until_ms(c->identity));
        }
        if (lease_tick(&c->service, &next_ms, &e)) {
            log_error("leases cannot be looked after: %s", e.message);
            next_ms = TICK_MS_MAX;
        }
        if (next_ms < 1 || next_ms > TICK_MS_MAX)
            next_ms = next_ms < 1 ? 1 : TICK_MS_MAX;
    }
}

int tacitd_run(const struct tacitd_options *o, struct err *e)
{
    struct coordinator c = {0};

    int rc = start(&c, o, e);
    if (!rc) {
        log_info("started version=%s port=%u data=%s incarnation=%llu", TACIT_VERSION,
                 server_port(c.server), o->dir,
                 (unsigned long long)store_incarnation(c.service.store));
        if (o->ready)
            o->ready(o->ready_arg, server_port(c.server));
        run(&c);
        log_info("stopping");
    }
    stop(&c);
    if (!rc)
        log_info("stopped");
    return rc;
}
