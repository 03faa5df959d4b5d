#include "coordinator/run/run_words.h"

#include <inttypes.h>
#include <string.h>
#include "core/base/text.h"
#include "coordinator/lease/lease.h"

/* What has to be done next for the mixture. */
static const char *phase_due(const struct run_view *v)
{
    const struct run_facts *f = &v->facts;
    if (v->row.state == RUN_DONE)
        return "done";
    if (v->spec.router.mode == SPEC_EM && f->rounds_trained < v->spec.router.rounds)
        return f->rounds_trained == 0 || f->rounds_assigned >= f->rounds_trained ? "routers"
                                                                                 : "scoring";
    uint32_t chunks = (uint32_t)spec_chunks(&v->spec, f->train_sequences);
    if (f->chunks_segmented < chunks)
        return f->chunks_scored < chunks ? "scoring" : "segments";
    for (uint32_t i = 0; i < v->spec.experts; i++)
        if (f->expert_step[i] < due_steps(f, TARGET_EXPERT))
            return "experts";
    if (f->dense_step < due_steps(f, TARGET_DENSE) ||
        f->dense_flops_step < due_steps(f, TARGET_DENSE_FLOPS))
        return "dense";
    return f->evals_done < due_evals_total(f) ? "evaluation" : "report";
}

static const char *phase_of_job(int kind, int target)
{
    switch (kind) {
    case JOB_TRAIN_ROUTER:
        return "routers";
    case JOB_SCORE:
    case JOB_ASSIGN:
        return "scoring";
    case JOB_SEGMENT:
        return "segments";
    case JOB_TRAIN:
        return target == TARGET_EXPERT ? "experts" : "dense";
    case JOB_EVAL:
        return "evaluation";
    case JOB_REPORT:
        return "report";
    default:
        return NULL; /* replays are no part of the way */
    }
}

/* While nobody is at what is due (dense models come first), the phase is what is being done. */
static int find_phase(struct call *c, const struct run_view *v, const char **phase, struct err *e)
{
    struct job_kinds *kinds;
    uint32_t count;
    const char *other = NULL;
    *phase = phase_due(v);
    if (v->row.state != RUN_ACTIVE)
        return 0;
    int rc = op_jobs_leased_kinds(c->conn, v->row.id, c->arena, &kinds, &count, e);
    for (uint32_t i = 0; !rc && i < count; i++) {
        const char *at = phase_of_job(kinds[i].kind, kinds[i].target);
        if (at && strcmp(at, *phase) == 0)
            return 0;
        if (at && !other)
            other = at;
    }
    if (other)
        *phase = other;
    return rc;
}

/* One more part of a list of words. */
static const char *also(struct call *c, const char *words, uint64_t n, const char *one,
                        const char *many)
{
    if (n == 0 || !words)
        return words;
    return arena_printf(c->arena, "%s%s%" PRIu64 " %s", words, *words ? "; " : "", n,
                        n == 1 ? one : many);
}

static int waits_for(struct call *c, const struct run_view *v, const uint64_t states[5],
                     const char **reason, struct err *e)
{
    uint64_t resting = 0;
    int rc = op_jobs_backing_off(c->conn, v->row.id, &resting, e);
    if (rc)
        return rc;
    uint64_t ready = states[JOB_WAITING] - resting;
    bool idle = states[JOB_LEASED] == 0 && ready > 0;
    bool alone =
        idle && !v->row.paused && lease_agents_alive(c->service->leases, c->now_ms - LEASE_MS) == 0;
    char left[24];
    double rests_s = (double)((int64_t)v->row.resume_ms - c->wall_ms) / 1000;
    const char *words = idle && !v->row.paused ? "nothing is under way" : "";
    if (v->row.paused && v->row.resume_ms)
        words = arena_printf(c->arena, "paused for another %s",
                             text_duration(rests_s > 0 ? rests_s : 0, left));
    else if (v->row.paused)
        words = arena_printf(c->arena, "paused until `tacit run resume %s`", v->row.name);
    words = also(c, words, states[JOB_LEASED], "job is under way", "jobs are under way");
    words = also(c, words, ready, alone ? "job waits for an agent, and none is there" : "job waits",
                 alone ? "jobs wait for agents, and none is there" : "jobs wait");
    words = also(c, words, resting, "rests after a failure", "rest after failures");
    words = also(c, words, states[JOB_QUARANTINED], "is in quarantine", "are in quarantine");
    *reason = words;
    return words ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for what a run waits for");
}

int run_words(struct call *c, const struct run_view *v, const uint64_t states[5], struct msg_run *r,
              struct err *e)
{
    int rc = find_phase(c, v, &r->phase, e);
    return rc || v->row.state != RUN_ACTIVE ? rc : waits_for(c, v, states, &r->reason, e);
}
