#include "coordinator/store/ops_events.h"

#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "coordinator/store/conn.h"

#define TEXT_BYTES 2000

int op_event_add(struct store_conn *c, const struct event *event, uint64_t wall_ms, struct err *e)
{
    static const char add[] = "INSERT INTO event (at_ms, kind, who, run, job, agent, text)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id";
    char text[TEXT_BYTES + 1]; /* what is not UTF-8 could not be shown to anybody */
    uint64_t id = 0;
    struct query q;
    snprintf(text, sizeof text, "%s", event->text);
    text[strcspn(text, "\n")] = 0;
    text_make_utf8(text);
    query_open(&q, c, add);
    query_u64(&q, wall_ms);
    query_text(&q, event->kind);
    query_text(&q, event->who);
    query_u64_or_null(&q, event->run);
    query_u64_or_null(&q, event->job);
    query_u64_or_null(&q, event->agent);
    query_text(&q, text);
    int rc = query_returned(&q, &id, e);
    if (rc || id <= EVENTS_KEPT)
        return rc;
    query_open(&q, c, "DELETE FROM event WHERE id <= ?");
    query_u64(&q, id - EVENTS_KEPT);
    return query_run(&q, NULL, e);
}

static int event_read(const struct query *q, struct arena *a, struct event *out, struct err *e)
{
    const char **texts[] = {&out->kind, &out->who, &out->text, &out->run_name, &out->agent_name};
    int rc = 0;
    *out = (struct event){.id = column_u64(q, 0),
                          .at_ms = column_u64(q, 1),
                          .run = column_u64(q, 2),
                          .job = column_u64(q, 3),
                          .agent = column_u64(q, 4)};
    for (int i = 0; !rc && i < 5; i++)
        rc = column_text(q, 5 + i, a, texts[i], e);
    return rc;
}

int op_events_since(struct store_conn *c, uint64_t after, uint32_t limit, struct arena *a,
                    struct event **rows, uint32_t *count, struct err *e)
{
    static const char get[] =
        "SELECT event.id, at_ms, run, job, agent, kind, who, text, run.name, agent.name FROM event"
        " LEFT JOIN run ON run.id = event.run LEFT JOIN agent ON agent.id = event.agent"
        " WHERE event.id > ? ORDER BY event.id LIMIT ?";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, after);
    query_u64(&q, limit);
    while ((rc = query_step(&q, e)) == 1) {
        struct event *row = rows_add(&list, e);
        rc = row ? event_read(&q, a, row, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

static int one_number(struct query *q, uint64_t *n, struct err *e)
{
    int rc = query_number(q, n, e);
    if (rc == 0)
        *n = 0;
    return rc < 0 ? rc : 0;
}

int op_events_before(struct store_conn *c, uint64_t at_ms, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id - 1 FROM event WHERE at_ms >= ? ORDER BY at_ms, id LIMIT 1");
    query_u64(&q, at_ms);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return op_events_last(c, id, e);
    return rc < 0 ? rc : 0;
}

int op_events_last(struct store_conn *c, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM event ORDER BY id DESC LIMIT 1");
    return one_number(&q, id, e);
}
