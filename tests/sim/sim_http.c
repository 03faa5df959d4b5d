/* core/env/http.h over the simulated network, with its faults. */
#include "core/env/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/process.h"
#include "tests/sim/net.h"

#define CONNECT_US (10 * SIM_SECOND)
#define STALL_US (60 * SIM_SECOND)
#define POLL_US SIM_SECOND
#define PIECE_MAX (64u << 10)
#define EXPECT_ABOVE (64u << 10) /* larger bodies wait for the server's word */

struct env_http {
    char *base, *bearer;
};

struct exchange {
    struct env_http *h;
    const struct env_http_request *r;
    struct machine *here;
    struct link *link;
    struct wire *wire;
    int64_t deadline, moved_at, stall;
    enum net_fault fault; /* NET_FAULTS: none */
    bool stopped, timed_out;
};

static char *copy(const char *text)
{
    char *c = text ? strdup(text) : NULL;
    if (text && !c)
        abort();
    return c;
}

int env_http_open(struct env_http **out, const struct env_http_options *o, struct err *e)
{
    struct env_http *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_NO_MEMORY, "no memory for an HTTP handle");
    h->base = copy(o->base_url);
    h->bearer = copy(o->bearer);
    *out = h;
    return 0;
}

void env_http_close(struct env_http *h)
{
    if (!h)
        return;
    free(h->base);
    free(h->bearer);
    free(h);
}

int env_http_set_bearer(struct env_http *h, const char *bearer, struct err *e)
{
    (void)e;
    free(h->bearer);
    h->bearer = copy(bearer);
    return 0;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Whether the exchange is over, for a reason of this side. */
static bool is_over(struct exchange *x)
{
    x->stopped = x->stopped || (!x->r->through_stop && x->here->stop) ||
                 (x->r->poll && x->r->poll(x->r->arg) != 0);
    x->timed_out = x->timed_out || world_now() >= x->deadline ||
                   (x->stall < SIM_NEVER && world_now() >= x->moved_at + x->stall);
    return x->stopped || x->timed_out;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Once, at most until then. */
static void wait_once(struct exchange *x, struct waiters *q, int64_t until)
{
    until = sooner(until, x->deadline);
    if (x->stall < SIM_NEVER)
        until = sooner(until, x->moved_at + x->stall);
    if (x->r->poll)
        until = sooner(until, world_now() + POLL_US);
    world_wait_poked(q, until);
}

/* False where the exchange ended meanwhile. */
static bool sleep_until(struct exchange *x, int64_t until)
{
    while (!is_over(x)) {
        if (world_now() >= until)
            return true;
        wait_once(x, NULL, until);
    }
    return false;
}

static bool reachable(struct exchange *x)
{
    while (x->link->cut_until > world_now())
        if (!sleep_until(x, x->link->cut_until))
            return false;
    return true;
}

/* So many bytes one way. */
static int64_t trip(const struct link *l, size_t bytes)
{
    return l->delay_us + (int64_t)world_draw((uint64_t)l->jitter_us + 1) +
           (int64_t)bytes * SIM_SECOND / l->bytes_s;
}

/* --- the request ----------------------------------------------------------------------------- */

static void set_query(struct wire *w, char *query)
{
    for (char *at = strtok(query, "&"); at; at = strtok(NULL, "&")) {
        char *value = strchr(at, '=');
        if (!value)
            continue;
        *value++ = 0;
        if (strcmp(at, "run") == 0)
            w->query_run = copy(value);
        else if (strcmp(at, "state") == 0)
            w->query_state = copy(value);
        else if (strcmp(at, "limit") == 0)
            w->query_limit = copy(value);
    }
}

static void set_header(struct wire *w, const char *line)
{
    static const struct {
        const char *name;
        size_t offset;
    } known[] = {{"Range: ", offsetof(struct wire, range)},
                 {"Upload-Offset: ", offsetof(struct wire, upload_offset)},
                 {"Upload-Length: ", offsetof(struct wire, upload_length)}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(line, known[i].name, strlen(known[i].name)) == 0)
            *(char **)(void *)((char *)w + known[i].offset) = copy(line + strlen(known[i].name));
}

static struct wire *make_wire(const struct exchange *x)
{
    const struct env_http_request *r = x->r;
    struct wire *w = wire_create(x->here, net_coordinator);
    char text[600];
    w->method = copy(r->method);
    w->path = copy(r->path);
    char *query = strchr(w->path, '?');
    if (query) {
        *query = 0;
        set_query(w, query + 1);
    }
    if (x->h->bearer) {
        snprintf(text, sizeof text, "Bearer %s", x->h->bearer);
        w->authorization = copy(text);
    }
    for (size_t i = 0; r->headers && r->headers[i]; i++)
        set_header(w, r->headers[i]);
    if (r->read_body) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)r->body_size);
        w->content_length = copy(text);
    }
    w->up_done = r->body_size == 0;
    return w;
}

static void give_up(struct exchange *x)
{
    if (!x->wire)
        return;
    x->wire->client_gone = true;
    wire_client_done(x->wire);
    x->wire = NULL;
}

/* The answer has begun, or can't come any more. */
static bool server_spoke(const struct wire *w)
{
    return w->status != 0 || w->server_gone;
}

/* The head of a large body, and whether the server wants the rest. */
static bool wait_for_go(struct exchange *x)
{
    int64_t until = world_now() + SIM_SECOND; /* as libcurl: then it sends all the same */
    while (!server_spoke(x->wire) && !is_over(x) && world_now() < until)
        wait_once(x, &x->wire->client_waits, until);
    return !x->stopped && !x->timed_out;
}

static bool send_body(struct exchange *x)
{
    const struct env_http_request *r = x->r;
    uint64_t sent = 0, cut = x->fault == NET_CUT_UP ? world_draw(r->body_size + 1) : UINT64_MAX;
    if (r->body_size > EXPECT_ABOVE && !wait_for_go(x))
        return false;
    while (sent < r->body_size && !server_spoke(x->wire)) {
        char piece[PIECE_MAX];
        size_t cap = world_chance(100000) ? 1 + world_draw(4096) : sizeof piece;
        long n = r->read_body(r->arg, piece, cap);
        if (n < 0) {
            x->stopped = true;
            return false;
        }
        if (n == 0)
            break;
        bool broken = sent + (uint64_t)n > cut;
        size_t len = broken ? (size_t)(cut - sent) : (size_t)n;
        if (!sleep_until(x, world_now() + (int64_t)len * SIM_SECOND / x->link->bytes_s) ||
            !reachable(x))
            return false;
        struct err ignored;
        if (buf_append(&x->wire->up, piece, len, &ignored))
            abort();
        x->moved_at = world_now();
        sent += (uint64_t)n;
        x->wire->up_done = !broken && sent == r->body_size;
        world_wake_all(&x->wire->server_waits);
        if (broken)
            return false;
        while (x->wire->up.len - x->wire->up_read > WIRE_BUFFER && !server_spoke(x->wire))
            if (is_over(x))
                return false;
            else
                wait_once(x, &x->wire->client_waits, SIM_NEVER);
    }
    return true;
}

static bool wait_for_answer(struct exchange *x)
{
    struct wire *w = x->wire;
    while (w->status == 0) {
        if (is_over(x) || w->server_gone)
            return false;
        wait_once(x, &w->client_waits, SIM_NEVER);
    }
    return sleep_until(x, w->down_at) && reachable(x);
}

/* --- a request that comes twice -------------------------------------------------------------- */

struct again {
    struct wire *wire;
    int64_t at;
};

static void come_again(void *arg)
{
    struct again *a = arg;
    struct wire *w = a->wire;
    world_sleep_until(a->at);
    free(a);
    w->between = false;
    w->client_done = true;
    if (server_accepts(w->server))
        server_accept(w);
    else
        wire_server_done(w);
}

static void send_again_later(struct exchange *x)
{
    const struct wire *w = x->wire;
    struct again *a = malloc(sizeof *a);
    if (!a)
        abort();
    struct wire *s = make_wire(x);
    struct err ignored;
    if (buf_append(&s->up, w->up.data, w->up.len, &ignored))
        abort();
    s->up_done = true;
    s->shadow = true;
    s->between = true;
    *a = (struct again){s, world_now() + world_draw_log(1000, 3 * SIM_MINUTE)};
    world_spawn(net_between, come_again, a, "a packet that comes twice");
}

/* --- the answer ------------------------------------------------------------------------------ */

static bool take_body(struct exchange *x)
{
    struct wire *w = x->wire;
    size_t cut = x->fault == NET_CUT_DOWN ? world_draw(w->down.len + 1) : SIZE_MAX;
    for (;;) {
        size_t len = w->down.len - w->down_read;
        bool broken = w->down_read + len > cut;
        if (broken)
            len = cut - w->down_read;
        if (len > 0) {
            if (!sleep_until(x, world_now() + (int64_t)len * SIM_SECOND / x->link->bytes_s) ||
                !reachable(x))
                return false;
            x->moved_at = world_now();
            if (x->r->write_body && strcmp(w->method, "HEAD") != 0 &&
                x->r->write_body(x->r->arg, w->status, w->down.data + w->down_read, len)) {
                x->stopped = true;
                return false;
            }
            w->down_read += len;
            world_wake_all(&w->server_waits);
        }
        if (broken || (w->server_gone && !w->down_done))
            return false;
        if (w->down_done && w->down_read == w->down.len)
            return true;
        if (w->down_read == w->down.len) {
            if (is_over(x))
                return false;
            wait_once(x, &w->client_waits, SIM_NEVER);
        }
    }
}

static void hand_over_head(struct exchange *x)
{
    const struct wire *w = x->wire;
    for (unsigned i = 0; x->r->on_header && i < w->header_count; i++)
        x->r->on_header(x->r->arg, w->names[i], w->values[i]);
}

/* Once over a new connection. True where a whole answer came; *again where the library would try
 * anew by itself. */
static bool attempt(struct exchange *x, int *status, bool *again)
{
    *again = false;
    if (!sleep_until(x, world_now() + trip(x->link, 0)))
        return false;
    int64_t connecting = world_now() + CONNECT_US;
    while (x->link->cut_until > world_now())
        if (world_now() >= connecting || !sleep_until(x, sooner(connecting, x->link->cut_until)))
            return false;
    if (x->fault == NET_REFUSED || !server_accepts(net_coordinator))
        return false;
    x->wire = make_wire(x);
    server_accept(x->wire);
    if (!send_body(x))
        return false;
    if (x->fault == NET_TWICE && x->wire->up_done)
        send_again_later(x);
    if (!wait_for_answer(x) || x->fault == NET_LOST)
        return false;
    *again = x->fault == NET_RESENT;
    if (*again)
        return false;
    hand_over_head(x);
    *status = x->wire->status;
    return take_body(x);
}

static enum net_fault draw_fault(const struct link *l)
{
    for (int f = 0; f < NET_FAULTS; f++)
        if (world_chance(l->fault_ppm[f]))
            return (enum net_fault)f;
    return NET_FAULTS;
}

static bool fault_applies(enum net_fault f, const struct env_http_request *r)
{
    if (f == NET_CUT_UP)
        return r->body_size > 0;
    if (f == NET_RESENT)
        return !r->read_body || r->rewind_body;
    return f != NET_TWICE || r->body_size <= (1u << 20);
}

int env_http_exchange(struct env_http *h, const struct env_http_request *r, int *status,
                      struct err *e)
{
    struct exchange x = {.h = h, .r = r, .here = world_here(), .fault = NET_FAULTS};
    bool again = false;
    world_settle();
    x.link = net_link(x.here);
    x.link->exchanges++;
    x.deadline = r->timeout_ms > 0 ? world_now() + r->timeout_ms * 1000 : SIM_NEVER;
    x.stall = r->timeout_ms > 0 ? SIM_NEVER : r->stall_s > 0 ? r->stall_s * SIM_SECOND : STALL_US;
    x.moved_at = world_now();
    x.fault = draw_fault(x.link);
    if (x.fault != NET_FAULTS && !fault_applies(x.fault, r))
        x.fault = NET_FAULTS;
    if (x.fault != NET_FAULTS)
        x.link->counts[x.fault]++;
    *status = 0;
    bool whole = attempt(&x, status, &again);
    give_up(&x);
    if (again && (!r->read_body || r->rewind_body(r->arg) == 0)) {
        x.fault = NET_FAULTS;
        whole = attempt(&x, status, &again);
        give_up(&x);
    }
    if (whole)
        return 0;
    *status = 0;
    if (x.stopped)
        return err_set(e, ERR_STOPPED, "stopped while talking to %s", h->base);
    return err_set(e, ERR_UNAVAILABLE, "%s %s", h->base,
                   x.timed_out ? "does not answer" : "can't be reached, or broke off");
}
