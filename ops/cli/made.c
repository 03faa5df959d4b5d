#include "ops/cli/made.h"

#include "ops/cli/format.h"

const char *made_job_words(struct arena *a, const struct msg_grant *g)
{
    const char *target = job_target_words[g->target], *kind = job_kind_words[g->kind];
    const char *words = kind;
    bool numbered = g->target == TARGET_EXPERT || g->target == TARGET_ROUTER;
    if (numbered)
        target = arena_printf(a, "%s %s", target, format_count(a, g->index));
    switch (g->kind) {
    case JOB_TRAIN_ROUTER:
        words = arena_printf(a, "train %s, round %s", target, format_count(a, g->round + 1));
        break;
    case JOB_TRAIN:
        words = arena_printf(a, "train %s, steps %s to %s", target, format_count(a, g->step_first),
                             format_count(a, g->step_last));
        break;
    case JOB_EVAL:
        words = g->step_last ? arena_printf(a, "evaluate %s at step %s", target,
                                            format_count(a, g->step_last))
                             : arena_printf(a, "evaluate %s", target);
        break;
    case JOB_SCORE:
    case JOB_ASSIGN:
    case JOB_SEGMENT:
        words = g->final ? arena_printf(a, "%s chunk %s", kind, format_count(a, g->chunk + 1))
                         : arena_printf(a, "%s round %s", kind, format_count(a, g->round + 1));
        if (words && g->kind != JOB_ASSIGN)
            words = arena_printf(a, "%s, part %s", words, format_count(a, g->part + 1));
        break;
    default:
        break;
    }
    return words ? words : kind;
}

const char *made_doer(struct arena *a, const struct msg_made *m)
{
    const char *words =
        m->agent ? arena_printf(a, "agent %s", format_plain(a, m->agent)) : "the coordinator";
    return words ? words : "–";
}

const struct digest *made_name(const struct msg_blob *b)
{
    static const struct digest none;
    return digest_equal(&b->content, &none) ? &b->digest : &b->content;
}

static int get(struct client *c, const char *path, struct arena *a, struct msg_made *out,
               struct err *e)
{
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc = client_call(c, "GET", path, NULL, NULL, &message_made, out, a, 0, e);
    if (!rc && out->what == MADE_BY_JOB && !out->grant)
        rc = err_set(e, ERR_PROTOCOL, "the coordinator does not say which job it was");
    return rc;
}

int made_of_job(struct client *c, uint64_t job, struct arena *a, struct msg_made *out,
                struct err *e)
{
    return get(c, arena_printf(a, "/v1/jobs/%llu/made", (unsigned long long)job), a, out, e);
}

int made_of_digits(struct client *c, const char *digits, struct arena *a, struct msg_made *out,
                   struct err *e)
{
    return get(c, arena_printf(a, "/v1/lineage/%s", digits), a, out, e);
}
