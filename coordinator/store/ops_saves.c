/* Saves of jobs that were handed over half done. */
#include "coordinator/store/ops.h"

#include "coordinator/store/conn.h"

int op_save_put(struct store_conn *c, uint64_t job, uint64_t agent, const struct job_save *s,
                uint64_t wall_ms, struct err *e)
{
    static const char put[] =
        "INSERT INTO job_save (job, step, agent, since_ms, model, model_content, model_bytes,"
        " state, state_content, state_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (job) DO UPDATE SET step = excluded.step, agent = excluded.agent,"
        " since_ms = excluded.since_ms, model = excluded.model,"
        " model_content = excluded.model_content, model_bytes = excluded.model_bytes,"
        " state = excluded.state, state_content = excluded.state_content,"
        " state_bytes = excluded.state_bytes WHERE excluded.step > job_save.step";
    struct query q;
    query_open(&q, c, put);
    query_u64(&q, job);
    query_u64(&q, s->step);
    query_u64_or_null(&q, agent);
    query_u64(&q, wall_ms);
    query_digest(&q, &s->model.digest);
    query_digest(&q, &s->model.content);
    query_u64(&q, s->model.bytes);
    query_digest(&q, &s->state.digest);
    query_digest(&q, &s->state.content);
    query_u64(&q, s->state.bytes);
    return query_run(&q, NULL, e);
}

int op_save_get(struct store_conn *c, uint64_t job, struct job_save *out, struct err *e)
{
    static const char get[] = "SELECT step, model, model_content, model_bytes, state,"
                              " state_content, state_bytes FROM job_save WHERE job = ?";
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, job);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *out = (struct job_save){.step = column_u64(&q, 0),
                                 .model = {.role = ROLE_MODEL, .bytes = column_u64(&q, 3)},
                                 .state = {.role = ROLE_STATE, .bytes = column_u64(&q, 6)}};
        column_digest(&q, 1, &out->model.digest);
        column_digest(&q, 2, &out->model.content);
        column_digest(&q, 4, &out->state.digest);
        column_digest(&q, 5, &out->state.content);
    }
    query_close(&q);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "nothing of the job was handed over");
    return rc < 0 ? rc : 0;
}

int op_save_drop(struct store_conn *c, uint64_t job, struct err *e)
{
    struct query q;
    query_open(&q, c, "DELETE FROM job_save WHERE job = ?");
    query_u64(&q, job);
    return query_run(&q, NULL, e);
}
