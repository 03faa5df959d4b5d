/* Dropping: a blob's row goes at once, its chunks a few at a time, so that others get in between.
 * The pages that they leave are used again by the next uploads. And what keeps gc from a blob that
 * somebody was just told is there. */
#include <stdlib.h>
#include "core/env/clock.h"
#include "coordinator/store/blob_file.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/store_parts.h"

/* Chunks of a dropped blob that one transaction removes. */
#define DROP_CHUNKS 16

struct drop_work {
    struct store *store;
    bool more;
    uint64_t gone; /* the blob that has no row left after this transaction: its file goes then */
};

/* Removes some chunks of a dropped blob. One of many gigabytes takes many transactions, so that
 * others get in between. */
static int drop_fn(struct store_conn *c, void *arg, struct err *e)
{
    static const char next[] = "SELECT blob FROM dropped LIMIT 1";
    static const char chunks[] =
        "DELETE FROM chunk WHERE id IN "
        "(SELECT id FROM chunk WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)";
    static const char finished[] = "DELETE FROM dropped WHERE blob = ?";
    struct drop_work *w = arg;
    struct query q;
    w->gone = 0;
    query_open(&q, c, next);
    int rc = query_step(&q, e);
    uint64_t id = rc == 1 ? column_u64(&q, 0) : 0, removed;
    query_close(&q);
    w->more = rc == 1;
    if (rc != 1)
        return rc;
    query_open(&q, c, chunks);
    query_u64(&q, BLOB_ROW_ID(id, 0));
    query_u64(&q, BLOB_ROW_ID(id + 1, 0));
    query_u64(&q, DROP_CHUNKS);
    rc = query_run(&q, &removed, e);
    if (rc || removed == DROP_CHUNKS)
        return rc;
    w->gone = id;
    query_open(&q, c, finished);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}

static void drop_done(void *arg, int rc, const struct err *e)
{
    struct drop_work *w = arg;
    (void)e; /* what is left is removed at the next drop or start */
    if (!rc && w->gone)
        blob_file_remove(w->store->blob_folder, w->gone);
    if (!rc && w->more && !atomic_load(&w->store->closing))
        writer_put(w->store->blob_writer, drop_fn, drop_done, w);
    else
        free(w);
}

void store__drop_start(struct store *s)
{
    struct drop_work *w = malloc(sizeof *w);
    if (!w)
        return; /* as above */
    *w = (struct drop_work){.store = s};
    writer_put(s->blob_writer, drop_fn, drop_done, w);
}

/* Drops partial uploads that are abandoned, and those whose hash another library began. */
static int drop_abandoned(struct store_conn *c, void *arg, struct err *e)
{
#define ABANDONED "complete = 0 AND (touched_ms < ?1 OR hash_kind IS NOT ?2)"
    static const char mark[] = "INSERT INTO dropped (blob) SELECT id FROM blob WHERE " ABANDONED;
    static const char forget[] = "DELETE FROM blob WHERE " ABANDONED;
    int64_t before = env_wall_ms() - BLOB_ABANDONED_MS;
    char kind[64];
    int rc = 0;
    (void)arg;
    digest_state_kind(kind);
    for (int i = 0; !rc && i < 2; i++) {
        struct query q;
        query_open(&q, c, i ? forget : mark);
        query_i64(&q, before);
        query_text(&q, kind);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int store__blobs_start(struct store *s, struct err *e)
{
    int rc = writer_wait(s->blob_writer, drop_abandoned, NULL, e);
    if (!rc)
        rc = blob_files_sweep(s, e);
    if (!rc)
        store__drop_start(s);
    return rc;
}

/* --- who is promised a blob -------------------------------------------------------------------
 *
 * Whoever is told that a blob is there need not send it, and may name it later. So its time starts
 * anew: touched_ms is set by the blob writer, and until that is committed, `touching` keeps gc from
 * it: one entry a blob, however often it is asked for. What fails is done again once writes go well
 * (blob_touch_again). What gc has marked in `going` is gone for everybody from then on. */

struct touch {
    struct touch *next, *retry;
    struct store *store;
    struct digest digest;
    int64_t wall_ms, written_ms;
    bool queued;
};

static struct touch **touch_list(struct blob_guard *g, const struct digest *d)
{
    return &g->touching[d->bytes[0] % BLOB_TOUCH_LISTS];
}

static int touch_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct touch *t = arg;
    struct blob_guard *g = &t->store->guard;
    struct query q;
    env_mutex_lock(&g->mutex);
    t->written_ms = t->wall_ms;
    env_mutex_unlock(&g->mutex);
    query_open(&q, c, "UPDATE blob SET touched_ms = ? WHERE digest = ?");
    query_i64(&q, t->written_ms);
    query_digest(&q, &t->digest);
    return query_run(&q, NULL, e);
}

static void touch_done(void *arg, int rc, const struct err *e)
{
    struct touch *t = arg, **at;
    struct store *s = t->store;
    struct blob_guard *g = &s->guard;
    (void)e; /* a full disk, say: it stays promised until it is done again */
    env_mutex_lock(&g->mutex);
    bool again = !rc && t->wall_ms > t->written_ms && !atomic_load(&s->closing);
    t->queued = again;
    if (!rc && !again) {
        for (at = touch_list(g, &t->digest); *at != t; at = &(*at)->next)
            ;
        *at = t->next;
        free(t);
    }
    env_mutex_unlock(&g->mutex);
    if (again)
        writer_put(s->blob_writer, touch_fn, touch_done, t);
}

void blob_touch_again(struct store *s)
{
    struct blob_guard *g = &s->guard;
    struct touch *failed = NULL;
    env_mutex_lock(&g->mutex);
    for (unsigned i = 0; i < BLOB_TOUCH_LISTS; i++)
        for (struct touch *t = g->touching[i]; t; t = t->next)
            if (!t->queued) {
                t->queued = true;
                t->retry = failed;
                failed = t;
            }
    env_mutex_unlock(&g->mutex);
    while (failed) {
        struct touch *t = failed;
        failed = t->retry; /* the writer may free it at once */
        writer_put(s->blob_writer, touch_fn, touch_done, t);
    }
}

static bool in_going(const struct blob_guard *g, const struct digest *d)
{
    for (unsigned i = 0; i < g->going_count; i++)
        if (digest_equal(&g->going[i], d))
            return true;
    return false;
}

/* The entry of a blob, its time renewed; NULL: no memory. *made: it is new, and to be queued. */
static struct touch *touch_entry(struct store *s, const struct digest *d, bool *made)
{
    struct touch **list = touch_list(&s->guard, d), *t = *list;
    while (t && !digest_equal(&t->digest, d))
        t = t->next;
    *made = !t;
    if (!t && (t = calloc(1, sizeof *t))) {
        t->next = *list;
        t->store = s;
        t->digest = *d;
        t->queued = true;
        *list = t;
    }
    if (t)
        t->wall_ms = env_wall_ms();
    return t;
}

bool blob_touch(struct store *s, const struct digest *d)
{
    struct blob_guard *g = &s->guard;
    struct touch *t = NULL;
    bool made = false;
    env_mutex_lock(&g->mutex);
    if (!in_going(g, d))
        t = touch_entry(s, d, &made); /* without memory: sending it again does no harm */
    env_mutex_unlock(&g->mutex);
    if (t && made)
        writer_put(s->blob_writer, touch_fn, touch_done, t);
    return t != NULL;
}

bool blob_is_going(struct store *s, const struct digest *d)
{
    env_mutex_lock(&s->guard.mutex);
    bool going = in_going(&s->guard, d);
    env_mutex_unlock(&s->guard.mutex);
    return going;
}

bool blob_guard_mark(struct store *s, const struct digest *d)
{
    struct blob_guard *g = &s->guard;
    env_mutex_lock(&g->mutex);
    bool free_to_go = g->going_count < BLOB_GOING_MAX;
    for (const struct touch *t = *touch_list(g, d); free_to_go && t; t = t->next)
        free_to_go = !digest_equal(&t->digest, d);
    if (free_to_go)
        g->going[g->going_count++] = *d;
    env_mutex_unlock(&g->mutex);
    return free_to_go;
}

void blob_guard_clear(struct store *s)
{
    env_mutex_lock(&s->guard.mutex);
    s->guard.going_count = 0;
    env_mutex_unlock(&s->guard.mutex);
}

void blob_guard_free(struct store *s)
{
    for (unsigned i = 0; i < BLOB_TOUCH_LISTS; i++)
        for (struct touch *t = s->guard.touching[i]; t;) {
            struct touch *next = t->next;
            free(t);
            t = next;
        }
}

int blob_row_drop(struct store_conn *c, uint64_t id, struct err *e)
{
    static const char mark[] = "INSERT INTO dropped (blob) VALUES (?)";
    static const char forget[] = "DELETE FROM blob WHERE id = ?";
    struct query q;
    query_open(&q, c, mark);
    query_u64(&q, id);
    int rc = query_run(&q, NULL, e);
    if (rc)
        return rc;
    query_open(&q, c, forget);
    query_u64(&q, id);
    return query_run(&q, NULL, e);
}
