/* Private to ops/serve: what serve.c, admit.c and step.c share. The worker's but where said. */
#ifndef TACIT_OPS_SERVE_SERVE_PARTS_H
#define TACIT_OPS_SERVE_SERVE_PARTS_H

#include "core/env/thread.h"
#include "core/model/decode.h"
#include "ops/serve/serve.h"

#define SERVE_ROWS 128u /* tokens of a step, at least: as many of a prompt at a time */

/* One expert's part of a text. */
struct serve_lane {
    uint32_t expert, slot, fed; /* fed: tokens of the text that are in the slot */
    float weight;               /* of the mixture */
    bool folded;                /* its next-token probabilities are in choice.mixed */
};

enum expert_state { EXPERT_ABSENT, EXPERT_LOADING, EXPERT_READY };
struct serve_expert {
    enum expert_state state;      /* under the lock */
    struct decode_weights *ready; /* under the lock until READY, then the worker's */
    uint32_t users;               /* lanes */
    uint64_t used;                /* when last, for eviction */
    struct err err;               /* of loading */
};

/* A text's keys and values, kept after its answer until another needs the room. */
struct serve_slot {
    uint32_t *ids, count, expert; /* what it holds, under which weights */
    bool busy;
    uint64_t used;
};

struct serve {
    struct serve_source source;
    struct serve_options o;
    struct decode *decode;
    struct engine *engine; /* of the routers; under routing */
    float *routers;        /* (E, parameters) */
    float *cumulative;     /* (M) */
    float *scores;         /* (E): a text that is routed anew */
    struct env_mutex routing;
    uint32_t rows;
    float *logits; /* (rows, V) */
    struct picker picker;
    struct serve_expert *experts; /* [E] */
    uint32_t resident_max;
    struct serve_slot *slots; /* [o.slots] */
    struct serve_choice **waiting, **active;
    uint32_t waiting_count, active_count, waiting_cap;
    uint32_t turn;  /* the expert that stepped last */
    uint64_t clock; /* counts uses */
    struct serve_figures figures;
    struct env_thread worker, loader;
    bool worker_runs, loader_runs;

    /* Guards what follows, and what answers show. Held for microseconds; nothing else is taken
     * while it is. */
    struct env_mutex mutex;
    struct env_cond work, load;
    struct serve_answer *inbox, **inbox_end;
    uint32_t open, queued; /* answers that are not done; texts that are not admitted */
    int64_t loading;       /* the expert that is, or shall be, loaded; -1: none */
    bool draining, stop;
};

/* --- serve.c */
int serve__scores(struct serve *s, const uint32_t *ids, uint32_t count, float *scores,
                  uint32_t *expert, uint32_t *routed_on, struct err *e);
/* Ends a text that is neither waiting nor active any more. */
void serve__finish(struct serve *s, struct serve_choice *c, enum serve_finish how,
                   const struct err *e);

/* --- admit.c */
/* Gives slots and experts to texts that wait, in their order, as far as there are any. */
void serve__admit(struct serve *s);
/* Takes them back. */
void serve__release(struct serve *s, struct serve_choice *c);
/* The loader's thread. */
void serve__loader(void *serve);

/* --- step.c */
/* One step of one expert that has something to do. */
void serve__step(struct serve *s);

#endif
