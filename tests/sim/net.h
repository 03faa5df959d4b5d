/* The network between machines and the one coordinator: an exchange is a wire, which the client's
 * thread (sim_http.c) feeds and a thread of the server's machine (sim_server.c) answers. */
#ifndef TACIT_SIM_NET_H
#define TACIT_SIM_NET_H

#include "core/base/buf.h"
#include "tests/sim/world.h"

enum net_fault {
    NET_REFUSED, /* the request never arrives */
    NET_CUT_UP,  /* the connection breaks in the request's body */
    NET_LOST,    /* the request is carried out, its answer is lost */
    NET_CUT_DOWN,
    NET_TWICE,  /* the request arrives again, some time later */
    NET_RESENT, /* the connection breaks after the request; the client's library sends it anew */
    NET_FAULTS
};

/* Of a machine. */
struct link {
    int64_t delay_us, jitter_us; /* one way */
    int64_t bytes_s;
    uint32_t fault_ppm[NET_FAULTS];
    int64_t cut_until; /* partitioned until then */
    uint64_t counts[NET_FAULTS], exchanges;
};

#define WIRE_BUFFER (256u << 10) /* bytes on their way */
#define WIRE_HEADERS 12

struct wire {
    struct wire *next, *previous;
    struct machine *client, *server;
    char *method, *path, *authorization, *content_length, *range, *upload_offset, *upload_length;
    char *query_run, *query_state, *query_limit;
    struct buf up;
    size_t up_read;
    bool up_done;
    int status; /* 0: no answer yet */
    char *names[WIRE_HEADERS], *values[WIRE_HEADERS];
    unsigned header_count;
    struct buf down;
    size_t down_read;
    int64_t down_at; /* when the newest of it is there */
    bool down_done;
    bool client_gone, server_gone; /* and the other side hears it */
    bool client_done, server_done;
    struct waiters client_waits, server_waits;
    uint64_t arrived; /* the ledger's: when it was whole */
    bool between;     /* on its way, and nobody's */
    bool shadow;      /* the second coming of a request: nobody reads the answer */
};

struct link *net_link(struct machine *m); /* made where absent */
struct wire *wire_create(struct machine *client, struct machine *server);
/* Each side once; the wire goes with the second. */
void wire_client_done(struct wire *w);
void wire_server_done(struct wire *w);
/* The machine's process is gone: silent, where the machine is, too. */
void net_process_gone(struct machine *m, bool silent);
struct wire *net_first(void);

/* sim_server.c: hands a request that has begun to arrive to the port, if one is open. */
bool server_accepts(struct machine *m);
void server_accept(struct wire *w);
void server_forget(void); /* its process was killed */

/* Everybody talks to this one. */
extern struct machine *net_coordinator;
extern struct machine *net_between; /* where packets wait that have left everybody */
void net_start(void);

#endif
