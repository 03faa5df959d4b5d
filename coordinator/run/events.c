#include "coordinator/run/events.h"

#include <stdarg.h>
#include <stdio.h>
#include "coordinator/run/reply.h"

#define TEXT_BYTES 1024
#define LIST_DEFAULT 1000
#define LIST_MAX 10000

int event_tell(struct call *c, const struct event *event, struct err *e, const char *fmt, ...)
{
    struct event told = *event;
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    told.text = text;
    char session[64];
    snprintf(session, sizeof session, "admin, web session %llu", (unsigned long long)c->session);
    if (c->caller == CALLER_ADMIN)
        told.who = c->session ? session : "admin";
    c->told = true;
    return op_event_add(c->conn, &told, (uint64_t)c->wall_ms, e);
}

int events_after(struct store_conn *c, uint64_t after, uint32_t limit, struct arena *a,
                 struct msg_event **list, uint32_t *count, struct err *e)
{
    struct event *rows;
    int rc = op_events_since(c, after, limit, a, &rows, count, e);
    *list = rc ? NULL : arena_alloc_array(a, *count + 1, sizeof **list);
    if (!rc && !*list)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %u events", *count);
    for (uint32_t i = 0; !rc && i < *count; i++)
        (*list)[i] = (struct msg_event){.event = rows[i].id,
                                        .at = rows[i].at_ms,
                                        .kind = rows[i].kind,
                                        .who = rows[i].who,
                                        .run = rows[i].run_name,
                                        .agent = rows[i].agent_name,
                                        .job = rows[i].job,
                                        .text = rows[i].text};
    return rc;
}

int events_list(struct call *c, const void *in, void *out, struct err *e)
{
    struct msg_event *list;
    uint32_t count = 0;
    uint64_t after = c->query_after, limit = c->query_limit ? c->query_limit : LIST_DEFAULT;
    (void)in;
    (void)out;
    int rc = 0;
    if (after == 0 && c->query_since > 0)
        rc = op_events_before(c->conn, c->query_since, &after, e);
    if (!rc)
        rc = events_after(c->conn, after, (uint32_t)(limit < LIST_MAX ? limit : LIST_MAX), c->arena,
                          &list, &count, e);
    return rc ? rc : reply_array(c, &message_event, list, count, e);
}
