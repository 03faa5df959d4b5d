/* Server-sent events: what happened (event: log), and what moved (event: change), told to everybody
 * who listens. Once a second, while somebody does, the deadlines' thread looks what is new, and
 * resumes those whom it concerns; each then reads for itself what it has not told yet, from where
 * it stands: no stream holds more than a few lines, and a slow one misses nothing that it could not
 * make up for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "coordinator/api/exchange.h"
#include "coordinator/api/problem.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/events.h"
#include "coordinator/store/moved.h"

#define STREAMS_MAX 200
#define RETRY_SECONDS 10
#define LOOK_MS 1000
#define BEAT_MS 15000 /* a comment, without which nobody notices that the other side is gone */
#define RUNS_MAX 256  /* whose changes are told by name */
#define EVENTS_AT_ONCE 32
#define TEXT_MAX (128u << 10) /* EVENTS_AT_ONCE at their longest */
#define LOOK_ARENA_MAX (1u << 20)

/* What has moved, and when: numbers of looks. */
struct mark {
    uint64_t look;
    char run[65];
};
struct streams {
    /* All under the API's mutex. */
    uint32_t count;                /* that are open */
    struct exchange *first, *last; /* that wait for something to tell */
    uint64_t look;                 /* the last that found anything moved */
    uint64_t jobs, agents;
    struct mark runs[RUNS_MAX];
    uint32_t run_count;
    uint64_t event; /* the newest in the store, as far as is known */
    int64_t looked_ms;
};

struct listener {
    uint64_t after, look; /* told up to here: the event, the look */
    int64_t beat_ms;      /* when something was last sent */
    struct buf text;      /* of which `sent` bytes have gone */
    size_t sent;
};

int streams_create(struct streams **out, struct err *e)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for streams of events");
}

void streams_destroy(struct streams *s)
{
    free(s);
}

/* --- one stream ------------------------------------------------------------------------------- */

static void unlink_listener(struct exchange *x)
{
    struct streams *s = x->api->streams;

    *(x->previous ? &x->previous->next : &s->first) = x->next;
    *(x->next ? &x->next->previous : &s->last) = x->previous;
    x->previous = x->next = NULL;
}

static void link_listener(struct exchange *x)
{
    struct streams *s = x->api->streams;

    x->previous = s->last;
    x->next = NULL;
    *(s->last ? &s->last->next : &s->first) = x;
    s->last = x;
}

static bool has_news(const struct exchange *x)
{
    const struct streams *s = x->api->streams;

    return s->event > x->listener->after || s->look > x->listener->look;
}

/* From the event after which it says that it knows all; else from now on. */
static int find_place(struct exchange *x, uint64_t *after)
{
    struct store *store = x->api->service->store;
    struct store_conn *c;
    uint64_t newest = 0, wanted = x->call.query_after;
    const char *last = x->public.request.last_event_id;
    int rc = store_read_begin(store, &c, &x->err);

    if (rc)
        return rc;
    rc = op_events_last(c, &newest, &x->err);
    store_read_end(store, c);
    bool known = (last && text_to_u64(last, &wanted)) || x->public.request.query_after;
    *after = known && wanted < newest ? wanted : newest;
    return rc;
}

static enum api_step too_many(struct exchange *x)
{
    exchange_fail(x, 503, ERR_UNAVAILABLE,
                  "%d pages watch already; close some, or come again in %d s", STREAMS_MAX,
                  RETRY_SECONDS);
    problem_retry_after(&x->public.reply, &x->arena, RETRY_SECONDS);
    return API_REPLY;
}

enum api_step listener_begin(struct exchange *x)
{
    struct api *a = x->api;
    struct listener *s;
    uint64_t after = 0;
    bool room, first;

    x->rc = find_place(x, &after);
    if (x->rc)
        return exchange_refuse(x, 0);
    s = calloc(1, sizeof *s);
    if (!s)
        return exchange_fail(x, 503, ERR_NO_MEMORY, "no memory for another stream");
    buf_init(&s->text, TEXT_MAX);
    s->after = after;
    s->beat_ms = env_monotonic_ms();
    env_mutex_lock(&a->mutex);
    room = a->streams->count < STREAMS_MAX;
    first = a->streams->count == 0;
    if (first)
        a->streams->looked_ms = s->beat_ms;
    if (room) {
        a->streams->count++;
        x->listener = s;
        s->look = a->streams->look;
        if (a->streams->event < after)
            a->streams->event = after;
    }
    env_mutex_unlock(&a->mutex);
    if (!room) {
        free(s);
        return too_many(x);
    }
    if (first) /* what moved while nobody listened is no news */
        store_moved_take(a->service->store, &(struct moved){0});
    /* Something to begin with: the head goes out with the first bytes. */
    x->rc =
        buf_printf(&s->text, &x->err, "retry: 3000\n: after %llu\n\n", (unsigned long long)after);
    if (x->rc)
        return exchange_refuse(x, 0);
    if (a->poke)
        a->poke(a->poke_arg);
    x->public.reply = (struct api_reply){.status = 200, .type = "text/event-stream"};
    reply_add_header(&x->public.reply, "Cache-Control", "no-store");
    reply_add_header(&x->public.reply, "X-Accel-Buffering", "no"); /* of a proxy in between */
    return API_STREAM;
}

void listener_end(struct exchange *x)
{
    struct api *a = x->api;

    if (!x->listener)
        return;
    env_mutex_lock(&a->mutex);
    a->streams->count--;
    env_mutex_unlock(&a->mutex);
    buf_free(&x->listener->text);
    free(x->listener);
    x->listener = NULL;
}

/* --- what it tells ---------------------------------------------------------------------------- */

static int add_event(struct buf *out, const struct msg_event *m, struct err *e)
{
    int rc = buf_printf(out, e, "id: %llu\nevent: log\ndata: ", (unsigned long long)m->event);

    if (!rc)
        rc = message_encode(&message_event, m, out, e); /* one line */
    return rc ? rc : buf_printf(out, e, "\n\n");
}

static int add_events(struct exchange *x, uint64_t newest)
{
    struct listener *s = x->listener;
    struct store *store = x->api->service->store;
    struct msg_event *list;
    uint32_t count = 0;
    struct store_conn *c;
    int rc = store_read_begin(store, &c, &x->err);

    if (rc)
        return rc;
    rc = events_after(c, s->after, EVENTS_AT_ONCE, &x->arena, &list, &count, &x->err);
    store_read_end(store, c);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = add_event(&s->text, &list[i], &x->err);
        s->after = list[i].event;
    }
    if (!rc && count == 0)
        s->after = newest;
    arena_free(&x->arena); /* nothing of a stream's reply is in it any more */
    arena_init(&x->arena, LOOK_ARENA_MAX);
    return rc;
}

/* With the mutex held. */
static int add_change(struct exchange *x)
{
    const struct streams *all = x->api->streams;
    struct listener *s = x->listener;
    uint32_t told = 0;
    int rc = buf_printf(&s->text, &x->err, "event: change\ndata: {\"runs\":[");

    for (uint32_t i = 0; !rc && i < all->run_count; i++)
        if (all->runs[i].look > s->look)
            rc = buf_printf(&s->text, &x->err, "%s\"%s\"", told++ ? "," : "", all->runs[i].run);
    if (!rc)
        rc = buf_printf(&s->text, &x->err, "],\"jobs\":%s,\"agents\":%s}\n\n",
                        all->jobs > s->look ? "true" : "false",
                        all->agents > s->look ? "true" : "false");
    s->look = all->look;
    return rc;
}

/* True where it was suspended, or is over: *end. */
static bool wait_for_news(struct exchange *x, bool *end)
{
    struct api *a = x->api;

    env_mutex_lock(&a->mutex);
    *end = a->stopping;
    bool waits = !*end && !has_news(x);
    a->deferred += waits;
    env_mutex_unlock(&a->mutex);
    if (!waits)
        return *end;
    x->public.suspend(x->public.shell);
    env_mutex_lock(&a->mutex);
    bool again = a->stopping || has_news(x); /* since */
    if (!again)
        link_listener(x);
    env_mutex_unlock(&a->mutex);
    if (again)
        exchange_resume(x);
    return true;
}

/* Fills the stream's text with what is new, if anything is. */
static int tell_news(struct exchange *x)
{
    struct api *a = x->api;
    struct listener *s = x->listener;
    int64_t now = env_monotonic_ms();
    int rc = 0;

    buf_free(&s->text);
    buf_init(&s->text, TEXT_MAX);
    s->sent = 0;
    env_mutex_lock(&a->mutex);
    uint64_t newest = a->streams->event;
    bool beat = now - s->beat_ms >= BEAT_MS;
    if (beat && !access_still(x, now))
        rc = err_set(&x->err, ERR_DENIED, "the session has ended");
    else if (a->streams->look > s->look)
        rc = add_change(x);
    env_mutex_unlock(&a->mutex);
    if (!rc && newest > s->after)
        rc = add_events(x, newest);
    if (!rc && s->text.len == 0 && beat)
        rc = buf_printf(&s->text, &x->err, ":\n\n");
    if (beat)
        s->beat_ms = now;
    return rc;
}

int64_t api_stream_read(struct api_exchange *public, char *out, size_t max)
{
    struct exchange *x = exchange_of(public);
    struct listener *s = x->listener;
    bool end = false;

    while (s->sent == s->text.len) {
        if (tell_news(x)) {
            log_warn("a stream of events ends: %s", x->err.message);
            return -1;
        }
        if (s->text.len == 0 && wait_for_news(x, &end))
            return end ? -1 : 0;
    }
    size_t n = s->text.len - s->sent < max ? s->text.len - s->sent : max;
    memcpy(out, s->text.data + s->sent, n);
    s->sent += n;
    return (int64_t)n;
}

/* --- what is new ------------------------------------------------------------------------------ */

struct news {
    struct moved moved;
    const char **runs;
    uint32_t run_count;
    uint64_t event;
    bool agents;
};

static int find_news(struct api *a, int64_t since_ms, struct arena *arena, struct news *n,
                     struct err *e)
{
    uint64_t heard[MOVED_MAX];
    struct store_conn *c;
    uint32_t count = lease_jobs_heard(a->service->leases, since_ms, heard, MOVED_MAX);
    int rc;

    store_moved_take(a->service->store, &n->moved);
    n->agents = n->moved.agents || count > 0;
    n->moved.many |= count > MOVED_MAX;
    for (uint32_t i = 0; i < count && i < MOVED_MAX; i++)
        moved_add_job(&n->moved, heard[i]);
    rc = store_read_begin(a->service->store, &c, e);
    if (rc)
        return rc;
    rc = op_moved_runs(c, &n->moved, RUNS_MAX, arena, &n->runs, &n->run_count, e);
    if (!rc)
        rc = op_events_last(c, &n->event, e);
    store_read_end(a->service->store, c);
    return rc;
}

/* A run of which nothing was heard for long makes room. */
static void mark_run(struct streams *s, const char *run)
{
    struct mark *place = NULL;

    for (uint32_t i = 0; i < s->run_count && !place; i++)
        if (strcmp(s->runs[i].run, run) == 0)
            place = &s->runs[i];
    if (!place && s->run_count < RUNS_MAX)
        place = &s->runs[s->run_count++];
    for (uint32_t i = 0; i < RUNS_MAX && !place; i++)
        if (s->runs[i].look < s->look)
            place = &s->runs[i];
    if (!place)
        return;
    place->look = s->look;
    snprintf(place->run, sizeof place->run, "%s", run);
}

/* With the mutex held. */
static void take_news(struct streams *s, const struct news *n)
{
    bool jobs = n->moved.job_count > 0 || n->moved.many;

    if (n->event > s->event)
        s->event = n->event;
    if (!jobs && !n->agents && n->run_count == 0)
        return;
    s->look++;
    s->jobs = jobs ? s->look : s->jobs;
    s->agents = n->agents ? s->look : s->agents;
    for (uint32_t i = 0; i < n->run_count; i++)
        mark_run(s, n->runs[i]);
}

/* Those for whom there is something; with the mutex held. They are linked by `next` alone. */
static struct exchange *take_concerned(struct streams *s, int64_t now_ms, bool all)
{
    struct exchange *taken = NULL;

    for (struct exchange *x = s->first, *next; x; x = next) {
        next = x->next;
        if (!all && !has_news(x) && now_ms - x->listener->beat_ms < BEAT_MS)
            continue;
        unlink_listener(x);
        x->next = taken;
        taken = x;
    }
    return taken;
}

static void resume_all(struct exchange *x)
{
    while (x) {
        struct exchange *next = x->next;
        x->next = NULL;
        exchange_resume(x);
        x = next;
    }
}

void streams_tick(struct api *a, int64_t now_ms, int64_t *next_ms)
{
    struct streams *s = a->streams;
    struct news n = {.event = 0};
    struct arena arena;
    struct err e = {0};

    env_mutex_lock(&a->mutex);
    bool watched = s->count > 0, due = watched && now_ms - s->looked_ms >= LOOK_MS;
    int64_t since = s->looked_ms;
    if (due)
        s->looked_ms = now_ms;
    if (watched && s->looked_ms + LOOK_MS < *next_ms)
        *next_ms = s->looked_ms + LOOK_MS;
    env_mutex_unlock(&a->mutex);
    if (!due)
        return;
    arena_init(&arena, LOOK_ARENA_MAX);
    int rc = find_news(a, since, &arena, &n, &e);
    if (rc)
        log_warn("what is new cannot be seen: %s", e.message);
    env_mutex_lock(&a->mutex);
    if (!rc)
        take_news(s, &n);
    struct exchange *concerned = take_concerned(s, now_ms, false);
    env_mutex_unlock(&a->mutex);
    arena_free(&arena);
    resume_all(concerned);
}

void streams_stop(struct api *a)
{
    env_mutex_lock(&a->mutex);
    struct exchange *all = take_concerned(a->streams, 0, true);
    env_mutex_unlock(&a->mutex);
    resume_all(all);
}
