#include "coordinator/run/reply.h"

#include "core/base/buf.h"

#define REPLY_BYTES_MAX (64u << 20)

int reply_array(struct call *c, const struct message *of, const void *items, uint32_t count,
                struct err *e)
{
    struct buf b;
    buf_init(&b, REPLY_BYTES_MAX);
    int rc = message_encode_array(of, items, count, &b, e);
    if (!rc) {
        c->raw = arena_strndup(c->arena, b.data ? b.data : "", b.len);
        c->raw_len = b.len;
        if (!c->raw)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a list of %u", count);
    }
    buf_free(&b);
    return rc;
}

const char *reply_agent_name(struct call *c, uint64_t agent)
{
    struct agent_row row;
    return agent && op_agent_get(c->conn, agent, c->arena, &row, NULL) == 0 ? row.name : NULL;
}

struct msg_result reply_result(const struct job_row *job)
{
    const struct job_key *k = &job->key;
    return (struct msg_result){.job = job->id,
                               REPLY_JOB_KEY(k),
                               .final = k->final,
                               .seconds = job->seconds,
                               .doer = job->agent};
}
