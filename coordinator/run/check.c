/* Nothing that an agent sends is believed: every output of a job is opened and held against what
 * the job must give before the job can be done. */
#include "coordinator/run/runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/checkpoint.h"
#include "core/data/shard.h"
#include "core/env/process.h"
#include "core/mixture/assign.h"
#include "core/mixture/draw.h"
#include "core/mixture/evalblob.h"
#include "core/mixture/scores.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/store/blobs.h"

#define CHECK_ARENA_MAX (64u << 20)
#define OUTPUT_MEMORY_MAX (256u << 20) /* a score part or a piece; checkpoints are streamed */

struct check {
    struct store *store;
    struct store_conn *conn;
    struct arena *arena;
    struct run_view view;
    struct job_row job;
    const struct msg_complete *m;
    uint64_t handed_step; /* of a save that is handed over; 0: m is the job's result */
    bool ended;           /* the job is done, or was given back: nothing was looked at */
};

struct blob_reader {
    struct store *store;
    struct store_conn *conn;
    const struct digest *digest;
    uint64_t offset;
};

/* A large result takes minutes to check: at a stop its agent is told to come again, and no snapshot
 * is held that long. */
static int check_stop(struct store_conn *c, struct err *e)
{
    return env_stop_requested()
               ? err_set(e, ERR_UNAVAILABLE, "the coordinator is being stopped; send it again")
               : store_read_renew(c, e);
}

static long read_blob(void *arg, void *out, size_t cap, struct err *e)
{
    struct blob_reader *r = arg;
    size_t got;
    int rc = check_stop(r->conn, e);
    if (rc)
        return rc;
    rc = blob_read(r->store, r->digest, r->offset, out, cap, &got, e);
    r->offset += got;
    return rc ? rc : (long)got;
}

static int check_present(const struct check *k, const struct msg_blob *b, struct err *e)
{
    struct blob_info info;
    char hex[DIGEST_HEX + 1];
    int rc = blob_stat(k->store, &b->digest, &info, e);
    if (rc == ERR_NOT_FOUND || (rc == 0 && !info.complete))
        return err_set(e, ERR_CONFLICT, "output %s %s has not been uploaded",
                       blob_role_words[b->role], digest_to_hex(&b->digest, hex));
    if (!rc && info.size != b->bytes)
        return err_set(e, ERR_INVALID, "output %s %s has %" PRIu64 " bytes, not %" PRIu64,
                       blob_role_words[b->role], digest_to_hex(&b->digest, hex), info.size,
                       b->bytes);
    return rc;
}

/* A blob whole in memory (free()). */
static int load_output(const struct check *k, const struct msg_blob *b, uint8_t **data,
                       struct err *e)
{
    size_t got = 0;
    *data = NULL;
    if (b->bytes > OUTPUT_MEMORY_MAX)
        return err_set(e, ERR_TOO_LARGE, "output %s has %" PRIu64 " bytes: at most %u are taken",
                       blob_role_words[b->role], b->bytes, OUTPUT_MEMORY_MAX);
    *data = malloc(b->bytes ? b->bytes : 1);
    if (!*data)
        return err_set(e, ERR_NO_MEMORY, "no memory to check an output");
    int rc = blob_read(k->store, &b->digest, 0, *data, b->bytes, &got, e);
    if (!rc && got != b->bytes)
        rc = err_set(e, ERR_IO, "output %s is cut short", blob_role_words[b->role]);
    return rc;
}

static uint64_t expected_step(const struct check *k)
{
    const struct job_key *j = &k->job.key;
    if (j->kind == JOB_TRAIN)
        return j->step_last;
    return spec_router_steps(&k->view.spec, j->index) * (j->round + 1);
}

static uint64_t first_step(const struct check *k)
{
    const struct job_key *j = &k->job.key;
    return j->kind == JOB_TRAIN ? j->step_first
                                : spec_router_steps(&k->view.spec, j->index) * j->round;
}

/* Of a result, the cursor is 0; of a save, the steps since the job's start. */
static int check_position(const struct check *k, const struct checkpoint_position *p, struct err *e)
{
    uint64_t step = k->handed_step ? k->handed_step : expected_step(k);
    uint64_t cursor = k->handed_step ? step - first_step(k) : 0;
    if (p->step != step)
        return err_set(e, ERR_INVALID, "the state is at step %" PRIu64 ", not %" PRIu64, p->step,
                       step);
    if (k->handed_step && p->round_step != cursor)
        return err_set(e, ERR_INVALID, "the state is %" PRIu64 " steps into its job, not %" PRIu64,
                       p->round_step, cursor);
    return 0;
}

static uint64_t expected_stream(const struct job_key *j)
{
    switch (j->target) {
    case TARGET_ROUTER:
        return MODEL_STREAM_ROUTER + j->index;
    case TARGET_EXPERT:
        return MODEL_STREAM_EXPERT + j->index;
    case TARGET_DENSE:
        return MODEL_STREAM_DENSE;
    default:
        return MODEL_STREAM_DENSE_FLOPS;
    }
}

static int check_state(const struct check *k, const struct model_config *c,
                       enum optimizer optimizer, const struct msg_blob *model,
                       const struct msg_blob *state, struct err *e)
{
    struct checkpoint_position p;
    struct digest model_content, content;
    struct blob_reader r = {k->store, k->conn, &state->digest, 0};
    int rc = checkpoint_state_read(read_blob, &r, c, optimizer, NULL, NULL, &p, &model_content,
                                   &content, e);
    if (rc)
        return rc;
    if (!digest_equal(&content, &state->content))
        return err_set(e, ERR_DIGEST, "the state's content has another digest than was said");
    if (!digest_equal(&model_content, &model->content))
        return err_set(e, ERR_INVALID, "the state belongs to another model than the one given");
    if (!digest_equal(&p.spec, &k->view.row.spec))
        return err_set(e, ERR_INVALID, "the state belongs to a run with another spec");
    if (p.stream != expected_stream(&k->job.key))
        return err_set(e, ERR_INVALID, "the state belongs to another model of the run");
    return check_position(k, &p, e);
}

static int check_training(const struct check *k, struct err *e)
{
    struct model_config c;
    const struct msg_complete *m = k->m;
    uint32_t vocab = k->view.facts.vocab, seq = k->view.facts.seq;
    const bool router = k->job.key.target == TARGET_ROUTER;
    if (router)
        spec_router_model(&k->view.spec, vocab, seq, &c);
    else
        spec_expert_model(&k->view.spec, vocab, seq, &c);
    if (m->output_count != 2 || m->outputs[0].role != ROLE_MODEL ||
        m->outputs[1].role != ROLE_STATE)
        return err_set(e, ERR_INVALID, "a training job gives a model and a state, in this order");
    struct digest content;
    struct blob_reader r = {k->store, k->conn, &m->outputs[0].digest, 0};
    int rc = checkpoint_model_read(read_blob, &r, &c, NULL, &content, e);
    if (!rc && !digest_equal(&content, &m->outputs[0].content))
        rc = err_set(e, ERR_DIGEST, "the model's content has another digest than was said");
    return rc ? rc
              : check_state(k, &c, spec_optimizer(&k->view.spec, router), &m->outputs[0],
                            &m->outputs[1], e);
}

static void job_window(const struct check *k, uint64_t *first, uint64_t *count)
{
    const struct job_key *j = &k->job.key;
    due_part_window(&k->view.facts, j->kind, j->final, j->final ? j->chunk : j->round, j->part,
                    first, count);
}

static int check_scores(const struct check *k, struct err *e)
{
    uint8_t *data;
    const uint8_t *rows;
    uint64_t n, first, count;
    uint32_t routers;
    if (k->m->output_count != 1 || k->m->outputs[0].role != ROLE_SCORES)
        return err_set(e, ERR_INVALID, "a score job gives one blob of scores");
    int rc = load_output(k, &k->m->outputs[0], &data, e);
    if (!rc)
        rc = scores_open(data, k->m->outputs[0].bytes, &n, &routers, &rows, e);
    job_window(k, &first, &count);
    if (!rc && (n != count || routers != k->view.spec.experts))
        rc = err_set(e, ERR_INVALID,
                     "%" PRIu64 " rows of %u scores, where the job asks for %" PRIu64 " of %u", n,
                     routers, count, k->view.spec.experts);
    free(data);
    return rc;
}

/* How many sequences of the part each expert was assigned. */
static int count_assigned(const struct check *k, uint64_t first, uint64_t count, uint64_t *assigned,
                          struct err *e)
{
    struct job_key key = {.kind = JOB_ASSIGN, .final = true, .chunk = k->job.key.chunk};
    struct job_row assign;
    struct msg_blob *outputs;
    uint32_t n;
    size_t got;
    int rc = op_job_find(k->conn, k->job.run, &key, k->arena, &assign, e);
    if (!rc)
        rc = op_outputs(k->conn, assign.id, k->arena, &outputs, &n, e);
    if (rc)
        return rc;
    uint8_t *values = malloc(2 * count);
    if (!values)
        return err_set(e, ERR_NO_MEMORY, "no memory to check a segment");
    rc = blob_read(k->store, &outputs[0].digest, ASSIGN_HEADER + 2 * first, values, 2 * count, &got,
                   e);
    for (uint64_t i = 0; !rc && i < got / 2; i++)
        assigned[assign_at(values, i)]++;
    free(values);
    return rc;
}

static int check_piece(const struct check *k, const struct msg_blob *b, uint64_t assigned,
                       struct err *e)
{
    uint8_t *data;
    struct shard s;
    const struct msg_dataset *d = &k->view.dataset;
    int rc = load_output(k, b, &data, e);
    if (!rc)
        rc = shard_open(&s, data, b->bytes, e);
    if (!rc && (s.shape.seq != d->seq || s.shape.vocab != d->vocab ||
                !digest_equal(&s.shape.tokenizer, &d->tokenizer)))
        rc = err_set(e, ERR_INVALID, "piece %" PRIu64 " is of another data set", b->index);
    if (!rc && (s.count != assigned || b->count != assigned))
        rc = err_set(e, ERR_INVALID,
                     "piece %" PRIu64 " has %u sequences, where %" PRIu64 " were assigned",
                     b->index, s.count, assigned);
    free(data);
    return rc;
}

static int check_segment(const struct check *k, struct err *e)
{
    uint32_t experts = k->view.spec.experts;
    uint64_t first, count;
    uint64_t *assigned = arena_alloc_array(k->arena, experts, sizeof *assigned);
    if (!assigned)
        return err_set(e, ERR_NO_MEMORY, "no memory to check a segment");
    if (k->m->output_count != experts)
        return err_set(e, ERR_INVALID, "a segment job gives %u pieces, one an expert, not %u",
                       experts, k->m->output_count);
    job_window(k, &first, &count);
    int rc = count_assigned(k, first, count, assigned, e);
    for (uint32_t i = 0; !rc && i < experts; i++) {
        const struct msg_blob *b = &k->m->outputs[i];
        if (b->role != ROLE_PIECE || b->index != i)
            return err_set(e, ERR_INVALID, "output %u is not piece %u", i, i);
        rc = check_piece(k, b, assigned[i], e);
    }
    return rc;
}

static int check_eval_rows(const struct check *k, const struct msg_blob *b,
                           const struct evalblob *v, struct err *e)
{
    uint64_t block = (1u << 20) / v->row_bytes + 1;
    uint8_t *rows = malloc(block * v->row_bytes);
    if (!rows)
        return err_set(e, ERR_NO_MEMORY, "no memory to check an evaluation");
    int rc = 0;
    for (uint64_t i = 0; !rc && i < v->count; i += block) {
        if ((rc = check_stop(k->conn, e)))
            break;
        uint64_t n = v->count - i < block ? v->count - i : block;
        size_t got;
        rc = blob_read(k->store, &b->digest, EVALBLOB_HEADER + i * v->row_bytes, rows,
                       n * v->row_bytes, &got, e);
        if (!rc)
            rc = evalblob_rows_check(v, rows, i, n, e);
    }
    free(rows);
    return rc;
}

static int check_eval(const struct check *k, struct err *e)
{
    struct evalblob v;
    uint8_t header[EVALBLOB_HEADER] = {0};
    size_t got;
    const struct msg_blob *b = k->m->outputs;
    if (k->m->output_count != 1 || b->role != ROLE_EVAL)
        return err_set(e, ERR_INVALID, "an evaluation gives one blob");
    int rc = blob_read(k->store, &b->digest, 0, header, sizeof header, &got, e);
    if (!rc)
        rc = evalblob_header_read(header, b->bytes, &v, e);
    if (rc)
        return rc;
    bool router = k->job.key.target == TARGET_ROUTER;
    if (v.kind != (router ? EVALBLOB_ROUTER : EVALBLOB_MODEL) ||
        (router && v.columns != k->view.spec.router.prefix) ||
        v.count != k->view.dataset.heldout_sequences)
        return err_set(e, ERR_INVALID, "the evaluation is not of the kind and size asked for");
    return check_eval_rows(k, b, &v, e);
}

/* A save must be of a step that the job passes on its way. */
static int check_handed(const struct check *k, struct err *e)
{
    if (k->job.key.kind != JOB_TRAIN_ROUTER && k->job.key.kind != JOB_TRAIN)
        return err_set(e, ERR_INVALID, "a job of kind %s can't be handed over half done",
                       job_kind_words[k->job.key.kind]);
    if (k->handed_step <= first_step(k) || k->handed_step >= expected_step(k))
        return err_set(e, ERR_INVALID,
                       "release.step: %" PRIu64 " is not between the job's first step, %" PRIu64
                       ", and its last, %" PRIu64,
                       k->handed_step, first_step(k), expected_step(k));
    return check_training(k, e);
}

static int check_outputs(struct check *k, const struct call *c, struct err *e)
{
    bool accuses = false; /* a late result that raises an alarm must be one at least */
    int rc = op_job_get(k->conn, c->id, k->arena, &k->job, e);
    if (!rc && k->job.state == JOB_DONE && !k->handed_step)
        rc = lease_differs_late(c, k->conn, &k->job, k->m, k->arena, &accuses, e);
    /* Done already, and for good: lease_complete tells a retry from a conflict. Given back already:
     * so does lease_release. */
    k->ended =
        rc == 0 && !accuses &&
        (k->job.state == JOB_DONE || (k->handed_step && k->job.state != JOB_LEASED &&
                                      !(k->job.state == JOB_WAITING && k->job.former == c->agent)));
    if (rc || k->ended)
        return rc;
    rc = accuses ? 0 : lease_check_holder(c, &k->job, k->m->fence, e);
    if (!rc && k->job.key.kind == JOB_REPLAY) { /* it gives what the other job gives */
        struct job_row replayed;
        rc = op_job_get(k->conn, k->job.replays, k->arena, &replayed, e);
        k->job.key = replayed.key;
    }
    if (rc)
        return rc;
    rc = run_view_load(k->conn, k->job.run, false, k->arena, &k->view, e);
    for (uint32_t i = 0; !rc && i < k->m->output_count; i++)
        rc = check_present(k, &k->m->outputs[i], e);
    if (rc)
        return rc;
    if (k->handed_step)
        return check_handed(k, e);
    switch (k->job.key.kind) {
    case JOB_TRAIN_ROUTER:
    case JOB_TRAIN:
        return check_training(k, e);
    case JOB_SCORE:
        return check_scores(k, e);
    case JOB_SEGMENT:
        return check_segment(k, e);
    case JOB_EVAL:
        return check_eval(k, e);
    default:
        return err_set(e, ERR_DENIED, "job %" PRIu64 " is the coordinator's own", c->id);
    }
}

static int prepare(struct call *c, const struct msg_complete *m, uint64_t handed_step,
                   struct err *e)
{
    struct arena arena;
    struct check k = {
        .store = c->service->store, .arena = &arena, .m = m, .handed_step = handed_step};
    arena_init(&arena, CHECK_ARENA_MAX);
    int rc = store_read_begin(k.store, &k.conn, e);
    if (!rc) {
        rc = check_outputs(&k, c, e);
        c->checked = rc == 0 && !k.ended;
        store_read_end(k.store, k.conn);
    }
    arena_free(&arena);
    return rc;
}

int runs_prepare_complete(struct call *c, const void *in, struct err *e)
{
    return prepare(c, in, 0, e);
}

int runs_prepare_release(struct call *c, const void *in, struct err *e)
{
    const struct msg_release *m = in;
    struct msg_complete outputs = {
        .fence = m->fence, .outputs = m->outputs, .output_count = m->output_count};
    if (m->output_count == 0)
        return 0;
    if (m->step == 0)
        return err_set(e, ERR_INVALID, "release.step: a save is handed over at a step, not at 0");
    return prepare(c, &outputs, m->step, e);
}
