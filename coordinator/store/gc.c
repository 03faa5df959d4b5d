#include "coordinator/store/gc.h"

#include <assert.h>
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/store_parts.h"

#define NAMES_ARENA_MAX (4u << 20)

_Static_assert(GC_DROP <= BLOB_GOING_MAX, "what is going fits the list");

/* --- looking -----------------------------------------------------------------------------------
 */

static void read_candidate(const struct query *q, struct gc_candidate *g)
{
    *g = (struct gc_candidate){.id = column_u64(q, 0),
                               .size = column_u64(q, 2),
                               .touched_ms = (int64_t)column_u64(q, 3),
                               .why = column_u64(q, 4) ? GC_UNNAMED : GC_PARTIAL};
    column_digest(q, 1, &g->digest);
}

#define CANDIDATE_COLUMNS "id, digest, iif(complete, size, durable), touched_ms, complete "

/* The next blobs by id, whatever they are. */
static int next_blobs(struct store *s, uint64_t *cursor, struct gc_candidate *out, uint32_t *count,
                      bool *end, struct err *e)
{
    static const char get[] =
        "SELECT " CANDIDATE_COLUMNS "FROM blob WHERE id > ? ORDER BY id LIMIT ?";
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(s, &c, e);
    *count = 0;
    if (rc)
        return rc;
    query_open(&q, c, get);
    query_u64(&q, *cursor);
    query_u64(&q, GC_LOOK);
    while (*count < GC_LOOK && (rc = query_step(&q, e)) == 1)
        read_candidate(&q, &out[(*count)++]);
    query_close(&q);
    store__blob_read_end(s, c);
    *end = *count < GC_LOOK;
    if (*count)
        *cursor = out[*count - 1].id;
    return rc < 0 ? rc : 0;
}

/* What is to be said of a blob; *keep where it is needed. released_ms: when it was let go, or 0. */
static int judge(struct store_conn *c, struct arena *a, int64_t grace_ms, int64_t wall_ms,
                 uint64_t pinned, uint64_t released_ms, struct gc_candidate *g, bool *keep,
                 struct err *e)
{
    struct blob_names names = {0};
    *keep = false;
    if (g->why == GC_PARTIAL) {
        g->later = g->touched_ms > wall_ms - BLOB_ABANDONED_MS;
        return 0;
    }
    int rc = op_blob_used(c, &g->digest, keep, e);
    if (rc || *keep)
        return rc;
    arena_reset(a);
    rc = op_blob_names(c, &g->digest, 0, a, &names, e);
    if (rc)
        return rc;
    if (names.dropped_run || released_ms) {
        g->why = GC_DROPPED;
        g->run = names.dropped_run;
    }
    /* Its result was published after the last that was heard of it: nobody else is about to name
     * it. */
    uint64_t settled_ms = names.dropped_run ? names.dropped_ms : released_ms;
    bool settled = settled_ms && g->touched_ms <= (int64_t)settled_ms;
    g->later = (!settled && g->touched_ms > wall_ms - grace_ms) || g->id <= pinned;
    return 0;
}

int gc_look(struct store *s, int64_t grace_ms, int64_t wall_ms, uint64_t *cursor,
            struct gc_candidate *out, uint32_t *count, bool *end, struct err *e)
{
    struct store_conn *c;
    struct arena a;
    uint64_t pinned, backups;
    uint32_t n, kept = 0;
    int rc = next_blobs(s, cursor, out, &n, end, e);
    *count = 0;
    if (!rc)
        rc = store_read_begin(s, &c, e);
    if (rc)
        return rc;
    arena_init(&a, NAMES_ARENA_MAX);
    rc = op_backups_pinned(c, &pinned, &backups, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        bool keep;
        rc = judge(c, &a, grace_ms, wall_ms, pinned, 0, &out[i], &keep, e);
        if (!rc && !keep)
            out[kept++] = out[i];
    }
    arena_free(&a);
    store_read_end(s, c);
    *count = rc ? 0 : kept;
    return rc;
}

static int find_blob(struct store_conn *c, const struct digest *d, struct gc_candidate *g,
                     bool *found, struct err *e)
{
    static const char get[] =
        "SELECT " CANDIDATE_COLUMNS "FROM blob WHERE digest = ? AND complete = 1";
    struct query q;
    query_open(&q, c, get);
    query_digest(&q, d);
    int rc = query_step(&q, e);
    *found = rc == 1;
    if (*found)
        read_candidate(&q, g);
    query_close(&q);
    return rc < 0 ? rc : 0;
}

struct forget {
    struct digest digests[GC_DROP];
    uint32_t count;
};

static int forget_fn(struct store_conn *c, void *arg, struct err *e)
{
    const struct forget *f = arg;
    int rc = 0;
    for (uint32_t i = 0; !rc && i < f->count; i++)
        rc = op_released_forget(c, &f->digests[i], e);
    return rc;
}

/* What of the released is still in blobs.db; the rest, and what is needed after all, is forgotten.
 */
static int judge_released(struct store *s, const struct released_row *rows, uint32_t n,
                          int64_t grace_ms, int64_t wall_ms, struct gc_candidate *out,
                          uint32_t *count, struct forget *f, struct err *e)
{
    struct store_conn *c, *b;
    struct arena a;
    uint64_t pinned, backups;
    int rc = store_read_begin(s, &c, e);
    if (rc)
        return rc;
    if ((rc = store__blob_read_begin(s, &b, e))) {
        store_read_end(s, c);
        return rc;
    }
    arena_init(&a, NAMES_ARENA_MAX);
    rc = op_backups_pinned(c, &pinned, &backups, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        struct gc_candidate g;
        bool found, keep = false;
        rc = find_blob(b, &rows[i].digest, &g, &found, e);
        if (!rc && found)
            rc = judge(c, &a, grace_ms, wall_ms, pinned, rows[i].dropped_ms, &g, &keep, e);
        if (!rc && found && !keep)
            out[(*count)++] = g;
        /* What only waits for its grace time is left to the search through all. */
        if (!rc && (!found || keep || (g.later && g.id > pinned)))
            f->digests[f->count++] = rows[i].digest;
    }
    arena_free(&a);
    store__blob_read_end(s, b);
    store_read_end(s, c);
    return rc;
}

int gc_look_released(struct store *s, int64_t grace_ms, int64_t wall_ms, struct digest *cursor,
                     struct gc_candidate *out, uint32_t *count, bool *end, struct err *e)
{
    struct released_row rows[GC_DROP];
    struct forget f = {.count = 0};
    struct store_conn *c;
    uint32_t n = 0;
    int rc = store_read_begin(s, &c, e);
    *count = 0;
    if (rc)
        return rc;
    rc = op_released(c, cursor, GC_DROP, rows, &n, e);
    store_read_end(s, c);
    *end = n < GC_DROP;
    if (n)
        *cursor = rows[n - 1].digest;
    if (!rc && n)
        rc = judge_released(s, rows, n, grace_ms, wall_ms, out, count, &f, e);
    if (!rc && f.count)
        rc = store_write_wait(s, forget_fn, &f, e);
    return rc;
}

/* --- dropping ----------------------------------------------------------------------------------
 */

struct collection {
    struct store *store;
    const struct gc_candidate *list;
    uint32_t count;
    bool marked[GC_DROP], gone[GC_DROP];
};

/* In tacit.db's writer: nobody can come to name a blob between this look and its mark. */
static int mark_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct collection *w = arg;
    uint64_t pinned, backups;
    blob_guard_clear(w->store); /* of a first try, whose COMMIT failed */
    int rc = op_backups_pinned(c, &pinned, &backups, e);
    for (uint32_t i = 0; !rc && i < w->count; i++) {
        const struct gc_candidate *g = &w->list[i];
        bool used = false;
        w->marked[i] = false;
        if (g->later)
            continue;
        if (g->why != GC_PARTIAL)
            rc = op_blob_used(c, &g->digest, &used, e);
        if (!rc && !used && (g->why == GC_PARTIAL || g->id > pinned))
            w->marked[i] = g->why == GC_PARTIAL || blob_guard_mark(w->store, &g->digest);
    }
    return rc;
}

/* In blobs.db's writer: as it was seen, or it stays. */
static int drop_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct collection *w = arg;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct gc_candidate *g = &w->list[i];
        struct blob_row b;
        w->gone[i] = false;
        if (!w->marked[i])
            continue;
        int rc = blob_row_find(c, &g->digest, &b, e);
        if (rc && rc != ERR_NOT_FOUND)
            return rc;
        if (rc || b.id != g->id || b.touched_ms != g->touched_ms ||
            b.complete != (g->why != GC_PARTIAL))
            continue;
        if ((rc = blob_row_drop(c, g->id, e)))
            return rc;
        w->gone[i] = true;
    }
    return 0;
}

int gc_drop(struct store *s, const struct gc_candidate *list, uint32_t count, uint64_t *blobs,
            uint64_t *bytes, struct err *e)
{
    struct collection w = {.store = s, .list = list, .count = count};
    struct forget f = {.count = 0};
    assert(count <= GC_DROP);
    env_mutex_lock(&s->gc);
    int rc = store_write_wait(s, mark_fn, &w, e);
    if (!rc)
        rc = writer_wait(s->blob_writer, drop_fn, &w, e);
    blob_guard_clear(s);
    env_mutex_unlock(&s->gc);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        if (!w.gone[i])
            continue;
        ++*blobs;
        *bytes += list[i].size;
        if (list[i].why == GC_DROPPED)
            f.digests[f.count++] = list[i].digest;
    }
    store__drop_start(s);
    return f.count ? store_write_wait(s, forget_fn, &f, e) : 0;
}
