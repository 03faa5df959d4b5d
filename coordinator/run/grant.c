/* What a job reads: every input by digest, from the outputs of the jobs before it and the shards of
 * its data set. The outputs of done jobs never change, so a job's grant is the same at any time. */
#include "coordinator/run/advance.h"

#include "core/base/arena.h"
#include "core/mixture/assign.h"
#include "core/mixture/draw.h"
#include "coordinator/run/reply.h"

struct input_list {
    struct call *call;
    struct run_view *view;
    struct msg_blob *items;
    uint32_t count, capacity;
    bool dropped_too; /* what was, not what can be had */
};

static struct msg_blob *list_add(struct input_list *l, struct err *e)
{
    if (l->count == l->capacity) {
        uint32_t capacity = l->capacity ? 2 * l->capacity : 16;
        struct msg_blob *items = arena_alloc_array(l->call->arena, capacity, sizeof *items);
        if (!items) {
            err_set(e, ERR_NO_MEMORY, "no memory for the inputs of a job");
            return NULL;
        }
        for (uint32_t i = 0; i < l->count; i++)
            items[i] = l->items[i];
        l->items = items;
        l->capacity = capacity;
    }
    return &l->items[l->count++];
}

/* Outputs of the job with this key whose role is one of two; only: the index, or UINT64_MAX for
 * all. They are put in with index `as` where it is not UINT64_MAX. */
static int add_outputs(struct input_list *l, const struct job_key *k, int role, int role2,
                       uint64_t only, uint64_t as, struct err *e)
{
    struct job_row job;
    struct msg_blob *rows;
    uint32_t count;
    int rc = op_job_find(l->call->conn, l->view->row.id, k, l->call->arena, &job, e);
    if (!rc)
        rc = op_outputs(l->call->conn, job.id, l->call->arena, &rows, &count, e);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        if ((rows[i].role != role && rows[i].role != role2) ||
            (only != UINT64_MAX && rows[i].index != only))
            continue;
        if (rows[i].dropped && !l->dropped_too)
            return err_set(e, ERR_CONFLICT, "%s: its %s is not kept any more",
                           run_job_words(l->call->arena, k), blob_role_words[rows[i].role]);
        struct msg_blob *b = list_add(l, e);
        if (!b)
            return e->code;
        *b = rows[i];
        if (as != UINT64_MAX)
            b->index = as;
    }
    return 0;
}

/* Models of all routers as they were after training round `round`. */
static int add_routers(struct input_list *l, uint32_t round, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < l->view->spec.experts; i++) {
        struct job_key k = {
            .kind = JOB_TRAIN_ROUTER, .target = TARGET_ROUTER, .index = i, .round = round};
        rc = add_outputs(l, &k, ROLE_MODEL, ROLE_MODEL, UINT64_MAX, i, e);
    }
    return rc;
}

/* The shards under a window of a split, each with the part that the window covers. */
static int add_window(struct input_list *l, const struct draw_window *w, struct err *e)
{
    uint64_t done = 0;
    struct draw_range r;
    while (draw_range_next(w, l->view->facts.shard_sequences, &done, &r)) {
        struct msg_shard *shard;
        int rc = op_shards(l->call->conn, l->view->row.dataset, 0, r.shard, 1, l->call->arena,
                           &shard, e);
        if (rc)
            return rc;
        struct msg_blob *b = list_add(l, e);
        if (!b)
            return e->code;
        *b = (struct msg_blob){.role = ROLE_SHARD,
                               .index = r.shard,
                               .digest = shard->digest,
                               .bytes = shard->bytes,
                               .first = r.first,
                               .count = r.count};
    }
    return 0;
}

static int add_heldout(struct input_list *l, struct err *e)
{
    struct msg_shard *shards;
    struct msg_dataset d;
    int rc = op_dataset_get(l->call->conn, l->view->row.dataset, true, l->call->arena, &d, e);
    if (rc)
        return rc;
    shards = d.heldout;
    for (uint32_t i = 0; i < d.heldout_count; i++) {
        struct msg_blob *b = list_add(l, e);
        if (!b)
            return e->code;
        *b = (struct msg_blob){.role = ROLE_SHARD,
                               .index = i,
                               .digest = shards[i].digest,
                               .bytes = shards[i].bytes,
                               .count = shards[i].sequences};
    }
    return 0;
}

static struct draw_window expert_window(const struct run_view *v)
{
    struct draw_window w;
    uint64_t n = v->dataset.train_sequences;
    draw_experts(v->spec.seed, n, spec_expert_draw(&v->spec, n), &w);
    return w;
}

/* A part of a round's draw or of a chunk, as a window of the corpus. */
static struct draw_window part_window(const struct run_view *v, const struct job_key *k,
                                      struct msg_grant *g)
{
    struct draw_window whole, w;
    if (k->final) {
        w = expert_window(v);
        draw_chunk_at(&w, v->spec.expert.chunk, k->chunk, &whole);
    } else {
        draw_round(v->spec.seed, v->dataset.train_sequences, v->spec.router.sequences, k->round,
                   &whole);
    }
    due_part_window(&v->facts, k->kind, k->final, k->final ? k->chunk : k->round, k->part,
                    &g->window_first, &g->window_count);
    w.start = (whole.start + g->window_first) % whole.total;
    w.count = g->window_count;
    w.total = whole.total;
    return w;
}

static int grant_train_router(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                              struct err *e)
{
    struct draw_window w;
    const struct run_spec *s = &l->view->spec;
    draw_round(s->seed, l->view->dataset.train_sequences, s->router.sequences, k->round, &w);
    g->window_count = w.count;
    uint64_t share = assign_capacity(s->router.sequences, s->experts, k->index);
    g->prior_steps = k->round * draw_router_steps(s->router.passes, share, s->router.batch);
    g->steps = s->router.rounds * spec_router_steps(s, k->index);
    int rc = 0;
    if (k->round > 0) {
        struct job_key before = *k, assign = {.kind = JOB_ASSIGN, .round = k->round};
        before.round--;
        rc = add_outputs(l, &before, ROLE_MODEL, ROLE_STATE, UINT64_MAX, UINT64_MAX, e);
        if (!rc)
            rc = add_outputs(l, &assign, ROLE_ASSIGNMENT, ROLE_ASSIGNMENT, UINT64_MAX, UINT64_MAX,
                             e);
    }
    return rc ? rc : add_window(l, &w, e);
}

static int grant_score(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                       struct err *e)
{
    int rc = 0;
    const struct run_spec *s = &l->view->spec;
    if (s->router.mode == SPEC_EM)
        rc = add_routers(l, (k->final ? s->router.rounds : k->round) - 1, e);
    struct draw_window w = part_window(l->view, k, g);
    return rc ? rc : add_window(l, &w, e);
}

static int grant_segment(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                         struct err *e)
{
    struct job_key assign = {.kind = JOB_ASSIGN, .final = true, .chunk = k->chunk};
    int rc = add_outputs(l, &assign, ROLE_ASSIGNMENT, ROLE_ASSIGNMENT, UINT64_MAX, UINT64_MAX, e);
    struct draw_window w = part_window(l->view, k, g);
    return rc ? rc : add_window(l, &w, e);
}

/* A segment job's outputs are its pieces in the order of the experts. */
static int add_piece(struct input_list *l, uint32_t chunk, uint32_t part, uint32_t expert,
                     struct msg_blob **out, struct err *e)
{
    struct job_key seg = {.kind = JOB_SEGMENT, .final = true, .chunk = chunk, .part = part};
    struct job_row job;
    struct msg_blob *b = *out = list_add(l, e);
    if (!b)
        return e->code;
    int rc = op_job_find(l->call->conn, l->view->row.id, &seg, l->call->arena, &job, e);
    if (!rc)
        rc = op_output(l->call->conn, job.id, expert, b, e);
    if (!rc && (b->role != ROLE_PIECE || b->index != expert))
        rc = err_set(e, ERR_INTERNAL, "chunk %u, part %u has no piece for expert %u", chunk, part,
                     expert);
    return rc;
}

/* The pieces of an expert that steps first…last read: within the first pass those alone that the
 * link covers, later all of them. Their `first` is the position in the expert's segment. */
static int add_pieces(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                      struct err *e)
{
    struct run_view *v = l->view;
    uint32_t chunks = (uint32_t)spec_chunks(&v->spec, v->dataset.train_sequences);
    for (uint32_t c = 0; c < chunks; c++)
        g->segment_count +=
            assign_capacity(due_chunk_sequences(&v->facts, c), v->spec.experts, k->index);
    uint64_t from = k->step_first * v->spec.expert.batch, to = k->step_last * v->spec.expert.batch;
    if (to > g->segment_count) {
        from = 0;
        to = g->segment_count;
    }
    uint64_t at = 0;
    for (uint32_t c = 0; c < chunks && at < to; c++) {
        uint64_t capacity =
            assign_capacity(due_chunk_sequences(&v->facts, c), v->spec.experts, k->index);
        if (at + capacity <= from) {
            at += capacity;
            continue;
        }
        for (uint32_t p = 0; p < due_segment_parts(&v->facts, c) && at < to; p++) {
            struct msg_blob *b;
            int rc = add_piece(l, c, p, k->index, &b, e);
            if (rc)
                return rc;
            b->first = at;
            at += b->count;
            if (b->count == 0 || at <= from)
                l->count--;
        }
    }
    return 0;
}

/* Dense models read the experts' whole draw in its order; positions as with pieces. */
static int add_dense_shards(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                            struct err *e)
{
    struct draw_window w = expert_window(l->view);
    g->segment_count = w.count;
    uint64_t batch = l->view->spec.dense.batch;
    uint64_t from = k->step_first * batch, to = k->step_last * batch;
    if (to <= w.count) {
        g->window_first = from;
        w.start = (w.start + from) % w.total;
        w.count = to - from;
    }
    g->window_count = w.count;
    return add_window(l, &w, e);
}

static int grant_train(struct input_list *l, const struct job_key *k, struct msg_grant *g,
                       struct err *e)
{
    int rc = 0;
    due_cycle(&l->view->facts, k->target, k->step_first, &g->cycle, &g->steps);
    if (k->step_first > 0) {
        struct job_key before = *k;
        before.step_last = k->step_first;
        before.step_first = due_link_first(&l->view->facts, k->target, k->step_first);
        rc = add_outputs(l, &before, ROLE_MODEL, ROLE_STATE, UINT64_MAX, UINT64_MAX, e);
    }
    if (rc)
        return rc;
    return k->target == TARGET_EXPERT ? add_pieces(l, k, g, e) : add_dense_shards(l, k, g, e);
}

static int grant_eval(struct input_list *l, const struct job_key *k, struct err *e)
{
    int rc = 0;
    const struct run_spec *s = &l->view->spec;
    if (k->target == TARGET_ROUTER && s->router.mode == SPEC_EM) {
        struct job_key train = {.kind = JOB_TRAIN_ROUTER,
                                .target = TARGET_ROUTER,
                                .index = k->index,
                                .round = s->router.rounds - 1};
        rc = add_outputs(l, &train, ROLE_MODEL, ROLE_MODEL, UINT64_MAX, UINT64_MAX, e);
    } else if (k->target != TARGET_ROUTER) {
        struct job_key train = {
            .kind = JOB_TRAIN, .target = k->target, .index = k->index, .step_last = k->step_last};
        train.step_first = due_link_first(&l->view->facts, k->target, k->step_last);
        rc = add_outputs(l, &train, ROLE_MODEL, ROLE_MODEL, UINT64_MAX, UINT64_MAX, e);
    }
    return rc ? rc : add_heldout(l, e);
}

/* Where the job was handed over half done: its save takes the place of the model and state that it
 * starts from. */
static int resume(struct input_list *l, const struct job_row *job, struct msg_grant *g,
                  struct err *e)
{
    struct job_save save;
    uint32_t kept = 0;
    if (g->kind != JOB_TRAIN && g->kind != JOB_TRAIN_ROUTER)
        return 0;
    int rc = op_save_get(l->call->conn, job->id, &save, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->items[i].role == ROLE_STATE)
            g->start = l->items[i].content;
        if (l->items[i].role != ROLE_MODEL && l->items[i].role != ROLE_STATE)
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
    const struct msg_blob both[] = {save.model, save.state};
    for (uint32_t i = 0; i < 2; i++) {
        struct msg_blob *b = list_add(l, e);
        if (!b)
            return e->code;
        *b = both[i];
        b->index = job->key.index;
    }
    g->resume_step = save.step;
    return 0;
}

/* The parts' scores, which the coordinator assigns by. */
static int grant_assign(struct input_list *l, const struct job_key *k, struct err *e)
{
    uint32_t which = k->final ? k->chunk : k->round;
    int rc = 0;
    for (uint32_t p = 0; !rc && p < due_score_parts(&l->view->facts, k->final, which); p++) {
        struct job_key score = *k;
        score.kind = JOB_SCORE;
        score.part = p;
        rc = add_outputs(l, &score, ROLE_SCORES, ROLE_SCORES, UINT64_MAX, p, e);
    }
    return rc;
}

/* Evaluations, and the assignments that are told of; no more than a message takes. */
static int grant_report(struct input_list *l, struct err *e)
{
    static const int kinds[] = {JOB_EVAL, JOB_ASSIGN};
    int rc = 0;
    for (size_t k = 0; !rc && k < sizeof kinds / sizeof kinds[0]; k++) {
        struct job_row *rows;
        uint32_t count;
        rc = op_jobs(l->call->conn, l->view->row.id, kinds[k], JOB_DONE, PROTOCOL_INPUTS_MAX,
                     l->call->arena, &rows, &count, e);
        for (uint32_t i = rc ? 0 : count; !rc && i > 0 && l->count < PROTOCOL_INPUTS_MAX; i--)
            rc = add_outputs(l, &rows[i - 1].key, ROLE_EVAL, ROLE_ASSIGNMENT, UINT64_MAX,
                             rows[i - 1].key.index, e);
    }
    return rc;
}

/* What a job does: of a replay, what the job does that it replays. */
static int find_key(struct call *c, const struct job_row *job, struct job_key *key, struct err *e)
{
    struct job_row replayed;
    *key = job->key;
    if (job->key.kind != JOB_REPLAY)
        return 0;
    int rc = op_job_get(c->conn, job->replays, c->arena, &replayed, e);
    if (!rc)
        *key = replayed.key;
    return rc;
}

/* All but what was handed over. */
static int gather(struct input_list *l, const struct job_row *job, struct msg_grant *out,
                  struct err *e)
{
    struct call *c = l->call;
    struct job_key key;
    struct run_view *v = arena_alloc(c->arena, sizeof *v);
    if (!v)
        return err_set(e, ERR_NO_MEMORY, "no memory for a grant");
    int rc = run_view_load(c->conn, job->run, false, c->arena, v, e);
    if (!rc)
        rc = find_key(c, job, &key, e);
    if (rc)
        return rc;
    const struct job_key *k = &key;
    *out = (struct msg_grant){.job = job->id,
                              .run = v->row.name,
                              .spec = v->row.spec,
                              REPLY_JOB_KEY(k),
                              .final = k->final,
                              .vocab = v->dataset.vocab,
                              .seq = v->dataset.seq};
    l->view = v;
    switch (k->kind) {
    case JOB_TRAIN_ROUTER:
        rc = grant_train_router(l, k, out, e);
        break;
    case JOB_SCORE:
        rc = grant_score(l, k, out, e);
        break;
    case JOB_SEGMENT:
        rc = grant_segment(l, k, out, e);
        break;
    case JOB_TRAIN:
        rc = grant_train(l, k, out, e);
        break;
    case JOB_EVAL:
        rc = grant_eval(l, k, e);
        break;
    case JOB_ASSIGN:
        rc = grant_assign(l, k, e);
        break;
    default:
        rc = grant_report(l, e);
        break;
    }
    return rc;
}

static void put_inputs(const struct input_list *l, struct msg_grant *out)
{
    out->inputs = l->items;
    out->input_count = l->count;
}

int run_inputs(struct call *c, const struct job_row *job, struct msg_grant *out, struct err *e)
{
    struct input_list l = {.call = c, .dropped_too = true};
    int rc = gather(&l, job, out, e);
    put_inputs(&l, out);
    return rc;
}

int run_grant(struct call *c, const struct job_row *job, struct msg_grant *out, struct err *e)
{
    struct input_list l = {.call = c};
    if (job->key.kind == JOB_ASSIGN || job->key.kind == JOB_REPORT)
        return err_set(e, ERR_INTERNAL, "job %llu is the coordinator's own",
                       (unsigned long long)job->id);
    int rc = gather(&l, job, out, e);
    if (!rc)
        rc = resume(&l, job, out, e);
    put_inputs(&l, out);
    return rc;
}
