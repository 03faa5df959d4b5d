/* Private to core/model: what engine.c, workspace.c, forward.c and backward.c share. */
#ifndef TACIT_MODEL_ENGINE_PARTS_H
#define TACIT_MODEL_ENGINE_PARTS_H

#include "core/kernels/kernels.h"
#include "core/model/engine.h"

/* Where a layer's values of one micro-batch live; R = rows = sequences · length. Forward alone lets
 * all layers share one of these, and buffers within it (workspace.c). */
struct engine_layer {
    float *x;          /* (R,H) what enters the layer */
    float *normed1;    /* (R,H) */
    float *stats1;     /* (R,2) */
    float *qkv;        /* (R,3H) */
    float *mixed;      /* (R,H) attention's output before its projection */
    float *attn_stats; /* (B,A,S,2) */
    float *mid;        /* (R,H) x plus attention */
    float *normed2;    /* (R,H) */
    float *stats2;     /* (R,2) */
    float *up;         /* (R,Dff) before GELU */
    float *act;        /* (R,Dff) after it */
};

/* The parameters, or the gradients, of one layer. */
struct engine_weights {
    float *norm1, *qkv, *out, *norm2, *up, *down;
};

/* A layer's weights as kern_hold has them, for each of the four a forward and a backward one; NULL
 * where none are held. */
struct engine_held {
    float *qkv[2], *out[2], *up[2], *down[2];
};

struct engine {
    struct model_config c;
    uint32_t head; /* D = H/A */
    struct kern *kern;
    struct pool *pool;
    void *workspace; /* everything below that is a pointer; from core/env/pages.h */
    size_t workspace_bytes;
    bool train;
    bool hold;      /* weights are held, which takes as much memory again as they do, or twice */
    bool recompute; /* layers keep what enters them alone; the backward pass makes the rest again */
    enum optimizer optimizer;
    int threads;
    size_t rows; /* tokens of a micro-batch at most */
    char description[64];

    float *cos, *sin;            /* (S,D/2) */
    uint32_t *inputs;            /* (R) */
    uint32_t *targets;           /* (R) */
    float *losses;               /* (R) */
    struct engine_layer flat;    /* forward alone */
    struct engine_layer *layers; /* [L], to be followed by the backward pass; NULL unless train */
    struct engine_held *held;    /* [L]; NULL unless hold */
    float *last;                 /* (R,H) what enters the final norm */
    float *last_normed;          /* (R,H) */
    float *last_stats;           /* (R,2) */

    float *gradients;  /* [model_parameters] */
    float *embed_in;   /* (V,H): the embedding's gradient as input, apart from the head's */
    float *d_stream;   /* (R,H) gradient of the residual stream */
    float *d_normed;   /* (R,H) */
    float *head_space; /* kern_head_space */
    float *d_wide;     /* (R, max(3H,Dff)) */

    float *muon_turned;             /* the largest matrix of a layer; Muon alone, as what follows */
    float *muon_square, *muon_poly; /* of the largest smaller side */
};

/* One micro-batch: `count` sequences of `length` inputs each. */
struct engine_batch {
    uint32_t count, length;
    size_t rows; /* count · length */
    bool held;   /* engine__hold has been called with these parameters */
};

/* Bytes of the workspaces for so many rows; g->c, head, threads, train are set. */
uint64_t engine__workspace_size(const struct engine *g, size_t rows);
/* Takes them, as many bytes as engine__workspace_size says. */
TACIT_MUST_CHECK int engine__workspace_take(struct engine *g, struct err *e);

struct engine_weights engine__weights(const struct model_config *c, const float *parameters,
                                      uint32_t layer);

static inline struct kern_head engine__head(const struct engine *g, size_t rows)
{
    return (struct kern_head){rows, g->c.hidden, g->c.vocab};
}

/* Puts weights, where that pays, and for training the head, into the order in which products read
 * them: once for many micro-batches. */
void engine__hold(struct engine *g, const float *parameters, bool train);
/* The rows' hidden states after the final norm, into last_normed. keep: what the backward pass
 * needs stays. */
void engine__forward(struct engine *g, const float *parameters, const struct engine_batch *b,
                     bool keep);
/* One layer of it: next (R,H) is where its output goes. */
void engine__layer_forward(struct engine *g, uint32_t layer, const struct engine_layer *l,
                           const struct engine_weights *w, const struct engine_batch *b,
                           float *next);
/* losses[rows] from last_normed and targets. */
void engine__losses(struct engine *g, const float *parameters, size_t rows);
/* After a forward pass with keep: losses[rows], and gradients and embed_in continue. */
void engine__backward(struct engine *g, const float *parameters, float *gradients,
                      const struct engine_batch *b, float scale);

/* One step of Muon on a matrix; the gradient is overwritten. o: rate and decay of the step. */
void engine__muon(struct engine *g, float *p, float *moment, float *gradient, size_t rows,
                  size_t columns, const struct engine_step *o, float grad_scale);

#endif
