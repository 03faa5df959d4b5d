/* Claims that find nothing wait here, oldest first: an idle fleet costs nothing. A job that becomes
 * ready wakes one of them, which claims again as any other write does.
 *
 * No wake-up is lost: whoever makes a job ready says so after its COMMIT, on or after the writer's
 * thread, and a claim that found nothing is put into the queue by the writer's thread before the
 * next transaction begins. */
#include <string.h>
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "coordinator/api/exchange.h"
#include "coordinator/api/problem.h"

/* What made one claim fail (a full queue, a full disk) would fail the next one in the same instant:
 * its wake-up goes on to the next waiter a little later. */
#define OWED_MS 100
/* Claims that wait to be tried, of agents that all come back at once: what more there are is sent
 * away for some seconds, each for another number of them, rather than kept from an answer. */
#define CLAIMS_MAX 512
#define RETURN_SECONDS 8

static void claim_done(void *arg, int rc, const struct err *e);

static void claim_again(struct exchange *x)
{
    store_write(x->api->service->store, exchange_run, claim_done, x);
}

static void claim_woken(struct exchange *x)
{
    x->woken = true;
    claim_again(x);
}

static void unlink_waiter(struct exchange *x)
{
    struct api *a = x->api;

    *(x->previous ? &x->previous->next : &a->first) = x->next;
    *(x->next ? &x->next->previous : &a->last) = x->previous;
    x->previous = x->next = NULL;
}

/* By age, not by when it was put in: who was woken in vain keeps its place. */
static void link_waiter(struct exchange *x)
{
    struct api *a = x->api;
    struct exchange *before = a->last;

    while (before && before->sequence > x->sequence)
        before = before->previous;
    x->previous = before;
    x->next = before ? before->next : a->first;
    *(x->next ? &x->next->previous : &a->last) = x;
    *(before ? &before->next : &a->first) = x;
}

/* An older claim of the same agent: its connection is gone, whether the server knows it or not, and
 * must not take a wake-up, let alone a lease, from the living one. */
static struct exchange *find_predecessor(const struct exchange *x)
{
    for (struct exchange *w = x->api->first; w; w = w->next)
        if (w->call.agent == x->call.agent && w->sequence < x->sequence)
            return w;
    return NULL;
}

/* There was nothing for it: it waits on, if it still may. A job that is kept from this agent alone
 * is offered to whoever came after it (*next). */
static bool wait_on(struct exchange *x, struct exchange **predecessor, struct exchange **next)
{
    struct api *a = x->api;

    env_mutex_lock(&a->mutex);
    bool waits = !a->stopping && env_monotonic_ms() < x->deadline_ms;
    if (waits) {
        *predecessor = find_predecessor(x);
        if (*predecessor)
            unlink_waiter(*predecessor);
        link_waiter(x);
        x->woken = false;
        *next = x->call.ready ? x->next : NULL;
    } else if (x->call.ready && x->woken) {
        *next = a->first;
    }
    if (*next)
        unlink_waiter(*next);
    env_mutex_unlock(&a->mutex);
    return waits;
}

static void owe_wakeup(struct api *a)
{
    env_mutex_lock(&a->mutex);
    if (a->owed++ == 0)
        a->owed_at_ms = env_monotonic_ms() + OWED_MS;
    env_mutex_unlock(&a->mutex);
    if (a->poke)
        a->poke(a->poke_arg);
}

void waiters_leave(struct exchange *x)
{
    env_mutex_lock(&x->api->mutex);
    x->api->claiming -= x->claiming;
    x->claiming = false;
    env_mutex_unlock(&x->api->mutex);
}

static void claim_done(void *arg, int rc, const struct err *e)
{
    struct exchange *x = arg, *predecessor = NULL, *next = NULL;
    struct api *a = x->api;
    bool waits = false;

    if (!rc && ((const struct msg_grant *)x->out)->job == 0)
        rc = ERR_NOT_FOUND;
    x->rc = rc;
    if (rc)
        x->err = *e;
    waiters_leave(x);
    if (rc == ERR_NOT_FOUND)
        waits = wait_on(x, &predecessor, &next);
    else if (rc && x->woken)
        owe_wakeup(a);
    if (predecessor)
        exchange_resume(predecessor); /* it found nothing */
    if (next)
        claim_woken(next);
    if (waits && a->poke)
        a->poke(a->poke_arg);
    if (waits) /* x may be gone: the deadline's thread can have had it since */
        return;
    waiters_jobs_ready(a, rc ? 0 : x->call.ready);
    exchange_resume(x);
}

bool waiters_have_room(struct exchange *x)
{
    struct api *a = x->api;

    env_mutex_lock(&a->mutex);
    bool room = a->claiming < CLAIMS_MAX;
    uint64_t number = ++a->sequence;
    a->claiming += room;
    env_mutex_unlock(&a->mutex);
    x->claiming = room;
    if (room)
        return true;
    uint64_t seconds = 1 + number % RETURN_SECONDS;
    exchange_fail(x, 503, ERR_UNAVAILABLE, "many agents ask for work at once; ask again in %llu s",
                  (unsigned long long)seconds);
    problem_retry_after(&x->public.reply, &x->arena, seconds);
    return false;
}

void waiters_claim(struct exchange *x)
{
    const struct msg_claim *m = x->in;

    x->deadline_ms = env_monotonic_ms() + (int64_t)m->wait_ms;
    env_mutex_lock(&x->api->mutex);
    x->sequence = ++x->api->sequence;
    struct exchange *predecessor = find_predecessor(x);
    if (predecessor)
        unlink_waiter(predecessor);
    env_mutex_unlock(&x->api->mutex);
    if (predecessor)
        exchange_resume(predecessor); /* it found nothing */
    claim_again(x);
}

void waiters_jobs_ready(void *arg, uint64_t jobs)
{
    struct api *a = arg;

    while (jobs-- > 0) {
        env_mutex_lock(&a->mutex);
        struct exchange *x = a->first;
        if (x)
            unlink_waiter(x);
        env_mutex_unlock(&a->mutex);
        if (!x)
            return;
        claim_woken(x);
    }
}

void api_tick(struct api *a, int64_t now_ms, int64_t *next_ms)
{
    struct exchange *expired = NULL;
    uint64_t wakeups = 0;

    *next_ms = INT64_MAX;
    env_mutex_lock(&a->mutex);
    if (a->owed > 0 && a->owed_at_ms <= now_ms) {
        wakeups = a->owed;
        a->owed = 0;
    } else if (a->owed > 0) {
        *next_ms = a->owed_at_ms;
    }
    for (struct exchange *x = a->first, *next; x; x = next) {
        next = x->next;
        if (x->deadline_ms <= now_ms) {
            unlink_waiter(x);
            x->next = expired;
            expired = x;
        } else if (x->deadline_ms < *next_ms) {
            *next_ms = x->deadline_ms;
        }
    }
    env_mutex_unlock(&a->mutex);
    while (expired) {
        struct exchange *x = expired;
        expired = x->next;
        x->next = NULL;
        exchange_resume(x);
    }
    waiters_jobs_ready(a, wakeups);
    streams_tick(a, now_ms, next_ms);
}

void waiters_stop(struct api *a)
{
    env_mutex_lock(&a->mutex);
    struct exchange *x = a->first;
    a->first = a->last = NULL;
    a->stopping = true;
    env_mutex_unlock(&a->mutex);
    while (x) {
        struct exchange *next = x->next;
        x->rc = err_set(&x->err, ERR_UNAVAILABLE, "the coordinator is stopping");
        exchange_resume(x);
        x = next;
    }
}
