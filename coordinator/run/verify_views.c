/* Jobs replayed by agents, and alarms: asked for, and shown. */
#include <inttypes.h>
#include "coordinator/lease/lease.h"
#include "coordinator/run/advance.h"
#include "coordinator/run/reply.h"
#include "coordinator/run/find.h"
#include "coordinator/run/runs.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/ops_verify.h"

#define PAGE_MAX 1000
#define ALARMS_MAX 1000

static const struct digest *name_of(const struct msg_blob *b)
{
    static const struct digest none;
    return digest_equal(&b->content, &none) ? &b->digest : &b->content;
}

/* What a replay gave otherwise; its outputs are kept where they differ. */
static int fill_difference(struct call *c, const struct job_row *replay, const struct job_row *job,
                           struct msg_replay *m, struct err *e)
{
    struct msg_blob *published, *found;
    uint32_t n, k;
    int rc = op_outputs(c->conn, job->id, c->arena, &published, &n, e);
    if (!rc)
        rc = op_outputs(c->conn, replay->id, c->arena, &found, &k, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        if (i < k && digest_equal(name_of(&published[i]), name_of(&found[i])))
            continue;
        m->role = published[i].role;
        m->blob_index = published[i].index;
        m->published = *name_of(&published[i]);
        if (i < k)
            m->found = *name_of(&found[i]);
        break;
    }
    return rc;
}

static int fill(struct call *c, const struct job_row *replay, struct msg_replay *m, struct err *e)
{
    struct job_row job;
    int rc = op_job_get(c->conn, replay->replays, c->arena, &job, e);
    if (rc)
        return rc;
    const struct job_key *k = &job.key;
    *m = (struct msg_replay){.replay = replay->id,
                             .job = job.id,
                             .state = replay->state,
                             .agent = reply_agent_name(c, replay->agent),
                             .doer = reply_agent_name(c, job.agent),
                             REPLY_JOB_KEY(k),
                             .final = k->final,
                             .reason = replay->errors};
    if (replay->state != JOB_DONE)
        return 0;
    m->verdict = replay->verdict == REPLAY_DIFFERED ? "differs" : "agrees";
    return replay->verdict == REPLAY_DIFFERED ? fill_difference(c, replay, &job, m, e) : 0;
}

/* Whether it can be replayed; why not, in *reason. */
static int check(struct call *c, uint64_t run, const struct job_row *job, const char **reason,
                 struct err *e)
{
    struct msg_grant g;
    *reason = NULL;
    if (job->run != run)
        *reason = "it is another run's";
    else if (job->state != JOB_DONE)
        *reason = "it is not done";
    else if (job->key.kind == JOB_ASSIGN || job->key.kind == JOB_REPORT)
        *reason = "it is the coordinator's own";
    else if (job->key.kind == JOB_REPLAY)
        *reason = "it is a replay itself";
    if (*reason)
        return 0;
    int rc = run_grant(c, job, &g, e);
    if (rc == ERR_CONFLICT) { /* an input is dropped */
        *reason = arena_printf(c->arena, "%s", e->message);
        rc = 0;
    }
    return rc;
}

static int replay_one(struct call *c, uint64_t run, uint64_t id, struct msg_replay *m,
                      struct err *e)
{
    struct job_row job, replay;
    const char *reason;
    uint64_t made = 0;
    int rc = op_job_get(c->conn, id, c->arena, &job, e);
    if (!rc)
        rc = check(c, run, &job, &reason, e);
    if (rc)
        return rc;
    if (reason) {
        *m = (struct msg_replay){.job = id, .state = JOB_CANCELLED, .reason = reason};
        return 0;
    }
    rc = op_replay_open(c->conn, id, &made, e); /* asked for before */
    if (rc == ERR_NOT_FOUND) {
        rc = op_replay_insert(c->conn, id, false, job.agent, RUN_REPLAY_PRIORITY,
                              (uint64_t)c->wall_ms, &made, e);
        c->ready += rc == 0;
    }
    if (!rc)
        rc = op_job_get(c->conn, made, c->arena, &replay, e);
    return rc ? rc : fill(c, &replay, m, e);
}

int runs_verify(struct call *c, const void *in, void *out, struct err *e)
{
    const struct msg_verify *v = in;
    struct msg_replays *replays = out;
    struct run_row run;
    struct msg_replay *list = arena_alloc_array(c->arena, v->job_count + 1, sizeof *list);
    int rc = list ? run_find(c, &run, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for %u replays", v->job_count);
    for (uint32_t i = 0; !rc && i < v->job_count; i++)
        rc = replay_one(c, run.id, v->jobs[i].job, &list[i], e);
    *replays = (struct msg_replays){list, v->job_count};
    return rc;
}

int runs_replays(struct call *c, const void *in, void *out, struct err *e)
{
    struct run_row run;
    struct job_row *rows = NULL;
    uint32_t count = 0, limit = PAGE_MAX;
    (void)in;
    (void)out;
    if (c->query_limit > 0 && c->query_limit < PAGE_MAX)
        limit = (uint32_t)c->query_limit;
    int rc = run_find(c, &run, e);
    if (!rc)
        rc = op_replays(c->conn, run.id, c->query_after, limit, c->arena, &rows, &count, e);
    struct msg_replay *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u replays", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = fill(c, &rows[i], &list[i], e);
    return rc ? rc : reply_array(c, &message_replay, list, count, e);
}

int jobs_verified(struct call *c, const void *in, void *out, struct err *e)
{
    (void)in;
    (void)out;
    return op_job_verified(c->conn, c->id, e);
}

static int fill_alarm(struct call *c, const struct alarm_row *r, struct msg_alarm *m, struct err *e)
{
    struct run_row run;
    struct job_row job;
    int rc = op_run_get(c->conn, r->run, c->arena, &run, e);
    if (!rc)
        rc = op_job_get(c->conn, r->job, c->arena, &job, e);
    if (rc)
        return rc;
    *m = (struct msg_alarm){.job = r->job,
                            .at = r->at_ms,
                            .run = run.name,
                            .words = run_job_words(c->arena, &job.key),
                            .agent = reply_agent_name(c, r->agent),
                            .other = reply_agent_name(c, r->other),
                            .role = r->role,
                            .index = r->index,
                            .published = r->published,
                            .found = r->found};
    return 0;
}

int alarms_list(struct call *c, const void *in, void *out, struct err *e)
{
    struct run_row run = {0};
    struct alarm_row *rows = NULL;
    uint32_t count = 0;
    (void)in;
    (void)out;
    int rc = c->query_run ? op_run_find(c->conn, c->query_run, c->arena, &run, e) : 0;
    if (!rc)
        rc = op_alarms(c->conn, run.id, ALARMS_MAX, c->arena, &rows, &count, e);
    struct msg_alarm *list = rc ? NULL : arena_alloc_array(c->arena, count + 1, sizeof *list);
    if (!rc && !list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u alarms", count);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = fill_alarm(c, &rows[i], &list[i], e);
    return rc ? rc : reply_array(c, &message_alarm, list, count, e);
}
