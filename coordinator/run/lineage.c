/* What was made of what: one level of the tree a request. A job's inputs come from the function
 * that makes grants, so lineage can't say anything else than what the doer was told. */
#include <inttypes.h>
#include <string.h>
#include "coordinator/run/advance.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"

#define RESULTS_MAX 1000
#define PREFIX_DIGITS_MIN 4

static int made_by_job(struct call *c, uint64_t id, struct msg_made *out, struct err *e)
{
    struct job_row job;
    struct agent_row agent;
    struct msg_grant *g = arena_alloc(c->arena, sizeof *g);
    struct msg_fence *fence = arena_alloc(c->arena, sizeof *fence);
    if (!g || !fence)
        return err_set(e, ERR_NO_MEMORY, "no memory for what a job was made of");
    int rc = op_job_get(c->conn, id, c->arena, &job, e);
    if (!rc && job.state != JOB_DONE)
        rc = err_set(e, ERR_CONFLICT, "job %" PRIu64 " is %s: it has given nothing yet", id,
                     job_state_words[job.state]);
    if (!rc)
        rc = run_inputs(c, &job, g, e);
    if (!rc)
        rc = op_outputs(c->conn, id, c->arena, &out->outputs, &out->output_count, e);
    if (rc)
        return rc;
    *fence = job.fence;
    g->fence = fence;
    g->lease_ms = 1; /* a grant without a lease is none */
    out->what = MADE_BY_JOB;
    out->run = g->run;
    out->grant = g;
    out->doer = job.agent;
    out->seconds = job.seconds;
    out->tokens = job.tokens;
    out->attempts = job.attempts;
    out->at = job.since_ms;
    if (job.agent && op_agent_get(c->conn, job.agent, c->arena, &agent, NULL) == 0)
        out->agent = agent.name;
    return 0;
}

int jobs_made(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    return made_by_job(c, c->id, out, e);
}

/* The names that begin with these digits. */
static int range_of(const char *digits, struct digest *first, struct digest *last, struct err *e)
{
    char low[DIGEST_HEX + 1], high[DIGEST_HEX + 1];
    size_t len = strlen(digits);
    memset(low, '0', DIGEST_HEX);
    memset(high, 'f', DIGEST_HEX);
    if (len >= PREFIX_DIGITS_MIN && len <= DIGEST_HEX) {
        memcpy(low, digits, len);
        memcpy(high, digits, len);
        if (digest_from_hex(first, low, DIGEST_HEX) && digest_from_hex(last, high, DIGEST_HEX))
            return 0;
    }
    return err_set(e, ERR_INVALID,
                   "\"%s\" is no digest: %d to %d hexadecimal digits, small letters, are", digits,
                   PREFIX_DIGITS_MIN, DIGEST_HEX);
}

static int find_whole(struct call *c, struct digest *out, struct err *e)
{
    struct digest first, last, found[2];
    char one[DIGEST_HEX + 1], other[DIGEST_HEX + 1];
    uint32_t count;
    int rc = range_of(c->name, &first, &last, e);
    if (!rc)
        rc = op_digests_between(c->conn, &first, &last, found, 2, &count, e);
    if (rc)
        return rc;
    if (count == 0)
        return err_set(e, ERR_NOT_FOUND, "nothing here has a digest that begins with %s", c->name);
    if (count > 1)
        return err_set(e, ERR_CONFLICT,
                       "%s is the beginning of several digests, %s and %s: give "
                       "more digits",
                       c->name, digest_to_hex(&found[0], one), digest_to_hex(&found[1], other));
    *out = found[0];
    return 0;
}

int lineage_show(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    struct msg_made *m = out;
    uint64_t job;
    int split;
    int rc = find_whole(c, &m->digest, e);
    if (rc)
        return rc;
    rc = op_maker(c->conn, &m->digest, &job, e);
    if (!rc)
        return made_by_job(c, job, m, e);
    if (rc == ERR_NOT_FOUND)
        rc = op_dataset_of(c->conn, &m->digest, c->arena, &m->dataset, &split, &m->number, e);
    if (!rc) {
        m->what = split < 0 ? MADE_TOKENIZER : MADE_SHARD;
        m->split = split < 0 ? NULL : split == 0 ? "train" : "held-out";
        return 0;
    }
    if (rc == ERR_NOT_FOUND) {
        m->what = MADE_SPEC;
        rc = op_run_of_spec(c->conn, &m->digest, c->arena, &m->run, e);
    }
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "what had this digest has been rolled back") : rc;
}

int runs_results(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    struct run_row run;
    struct job_row *rows = NULL;
    uint32_t count = 0, limit = RESULTS_MAX;
    if (c->query_limit > 0 && c->query_limit < RESULTS_MAX)
        limit = (uint32_t)c->query_limit;
    int rc = run_find(c, &run, e);
    if (!rc)
        rc = op_jobs_done(c->conn, run.id, c->query_after, limit, c->arena, &rows, &count, e);
    struct msg_result *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u results", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        list[i] = reply_result(&rows[i]);
    return rc ? rc : reply_array(c, &message_result, list, count, e);
}
