#include "tests/sim/net.h"

#include <stdlib.h>
#include <string.h>

#define WIRE_BYTES_MAX (64u << 20)

struct machine *net_coordinator, *net_between;
static struct wire *first;

void net_start(void)
{
    net_coordinator = NULL;
    net_between = world_machine("network");
    first = NULL;
}

struct wire *net_first(void)
{
    return first;
}

struct link *net_link(struct machine *m)
{
    if (!m->extra) {
        struct link *l = calloc(1, sizeof *l);
        if (!l)
            abort();
        l->delay_us = 200;
        l->jitter_us = 100;
        l->bytes_s = 100000000;
        m->extra = l;
    }
    return m->extra;
}

struct wire *wire_create(struct machine *client, struct machine *server)
{
    struct wire *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->client = client;
    w->server = server;
    buf_init(&w->up, WIRE_BYTES_MAX);
    buf_init(&w->down, WIRE_BYTES_MAX);
    w->next = first;
    if (first)
        first->previous = w;
    first = w;
    return w;
}

static void wire_free(struct wire *w)
{
    *(w->previous ? &w->previous->next : &first) = w->next;
    if (w->next)
        w->next->previous = w->previous;
    char *texts[] = {w->method,      w->path,          w->authorization, w->content_length,
                     w->range,       w->upload_offset, w->upload_length, w->query_run,
                     w->query_state, w->query_limit};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (unsigned i = 0; i < w->header_count; i++) {
        free(w->names[i]);
        free(w->values[i]);
    }
    buf_free(&w->up);
    buf_free(&w->down);
    free(w);
}

void wire_client_done(struct wire *w)
{
    w->client_done = true;
    if (w->server_done)
        wire_free(w);
    else
        world_wake_all(&w->server_waits);
}

void wire_server_done(struct wire *w)
{
    w->server_done = true;
    if (w->client_done)
        wire_free(w);
    else
        world_wake_all(&w->client_waits);
}

void net_process_gone(struct machine *m, bool silent)
{
    for (struct wire *w = first, *next; w; w = next) {
        next = w->next;
        if (w->between)
            continue;
        if (w->client == m && !w->client_done) {
            w->client_gone = !silent;
            w->client_waits = (struct waiters){0};
            wire_client_done(w);
        } else if (w->server == m && !w->server_done) {
            w->server_gone = !silent;
            w->server_waits = (struct waiters){0};
            wire_server_done(w);
        }
    }
}
