#include "coordinator/store/scrub.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/arena.h"
#include "core/base/text.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/store_parts.h"

#define PAGE 256 /* names looked up at a time */
#define PAGE_ARENA_MAX (64u << 20)
#define FOUND_ARENA_MAX (4u << 20)

/* Where the next names come from. */
enum source {
    SOURCE_STORED,  /* blobs.db, all that is complete */
    SOURCE_MISSING, /* outputs: only whether the blob is there */
    SOURCE_NAMED,   /* outputs of one run */
    SOURCE_DATA,    /* data set and spec of one run */
    SOURCE_END
};

struct scrub {
    struct store *store;
    uint64_t run;
    enum source source;
    struct arena arena, page_arena; /* of what was found; of the page */
    struct msg_scrub found;
    struct digest last; /* the last name of the page */
    struct named_blob *page;
    uint32_t count, at;

    /* The blob being read. */
    bool reading;
    struct blob_row row;
    uint64_t offset;
    struct digest_state hash;
    uint8_t *chunk;
};

const struct msg_scrub *scrub_found(const struct scrub *k)
{
    return &k->found;
}

void scrub_destroy(struct scrub *k)
{
    if (!k)
        return;
    arena_free(&k->arena);
    arena_free(&k->page_arena);
    free(k->chunk);
    free(k);
}

/* --- which -------------------------------------------------------------------------------------
 */

static int page_of_stored(struct scrub *k, struct err *e)
{
    static const char get[] = "SELECT digest, size FROM blob WHERE digest > ? AND complete = 1"
                              " ORDER BY digest LIMIT ?";
    struct store_conn *c;
    struct query q;
    int rc = store__blob_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    query_open(&q, c, get);
    query_digest(&q, &k->last);
    query_u64(&q, PAGE);
    rc = store__named_blobs(&q, &k->page_arena, &k->page, &k->count, e);
    store__blob_read_end(k->store, c);
    return rc;
}

/* All of a run's data at once: a data set has so many shards at most as fit a message. */
static int page_of_data(struct scrub *k, struct store_conn *c, struct err *e)
{
    struct rows list = {.arena = &k->page_arena, .item_size = sizeof *k->page};
    struct msg_dataset d;
    struct run_row run;
    int rc = op_run_get(c, k->run, &k->page_arena, &run, e);
    if (!rc)
        rc = op_dataset_get(c, run.dataset, true, &k->page_arena, &d, e);
    for (uint32_t i = 0; !rc && i < d.train_count + d.heldout_count + 2; i++) {
        struct named_blob *b = rows_add(&list, e);
        if (!b)
            return e->code;
        const struct msg_shard *s = i < d.train_count ? &d.train[i] : NULL;
        if (!s && i < d.train_count + d.heldout_count)
            s = &d.heldout[i - d.train_count];
        if (s)
            *b = (struct named_blob){s->digest, s->bytes};
        else if (i == d.train_count + d.heldout_count)
            *b = (struct named_blob){d.tokenizer, d.tokenizer_bytes};
        else
            *b = (struct named_blob){run.spec, strlen(run.spec_text)};
    }
    k->page = list.items;
    k->count = list.count;
    return rc;
}

static int next_page(struct scrub *k, struct err *e)
{
    struct store_conn *c;
    k->at = k->count = 0;
    arena_reset(&k->page_arena);
    if (k->source == SOURCE_STORED)
        return page_of_stored(k, e);
    int rc = store_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = k->source == SOURCE_DATA
             ? page_of_data(k, c, e)
             : op_named_blobs(c, k->run, &k->last, PAGE, &k->page_arena, &k->page, &k->count, e);
    store_read_end(k->store, c);
    return rc;
}

/* --- what is found -----------------------------------------------------------------------------
 */

static int report_bad(struct scrub *k, const struct named_blob *b, const char *problem,
                      struct err *e)
{
    struct store_conn *c;
    struct blob_names names;
    k->found.bad_total++;
    if (k->found.bad_count == PROTOCOL_SCRUB_BAD_MAX)
        return 0;
    int rc = store_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = op_blob_names(c, &b->digest, k->run, &k->arena, &names, e);
    store_read_end(k->store, c);
    if (!rc)
        k->found.bad[k->found.bad_count++] = (struct msg_scrub_bad){
            .digest = b->digest, .bytes = b->bytes, .problem = problem, .named = names.text};
    return rc;
}

/* The blob at hand is through: problem NULL where it is what its name says. */
static int finish_blob(struct scrub *k, const char *problem, struct err *e)
{
    const struct named_blob *b = &k->page[k->at];
    int rc = problem ? report_bad(k, b, problem, e) : 0;
    if (rc)
        return rc;
    k->found.blobs++;
    k->reading = false;
    k->last = b->digest;
    k->at++;
    return 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* Begins with the next blob. What gc has taken meanwhile is passed over; a name without blob is
 * found out. */
static int begin_blob(struct scrub *k, struct err *e)
{
    const struct named_blob *b = &k->page[k->at];
    struct store_conn *c;
    int rc = store__blob_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = blob_row_find(c, &b->digest, &k->row, e);
    store__blob_read_end(k->store, c);
    bool there = !rc && k->row.complete;
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (!there) {
        bool used = false;
        if ((rc = store_read_begin(k->store, &c, e)))
            return rc;
        rc = op_blob_used(c, &b->digest, &used, e);
        store_read_end(k->store, c);
        return rc ? rc : finish_blob(k, used ? "it is named, and not there" : NULL, e);
    }
    if (k->source == SOURCE_MISSING) /* read already */
        return finish_blob(k, k->row.size == b->bytes ? NULL : "it has another size", e);
    digest_init(&k->hash);
    k->offset = 0;
    k->reading = true;
    return 0;
}

/* Why a chunk can't be read: the blob was collected meanwhile (then *problem stays NULL), or it is
 * bad. Other errors are the caller's. */
static int explain(struct scrub *k, int rc, const char **problem, struct err *e)
{
    struct store_conn *c;
    struct blob_row row;
    struct err gone = {0};
    if (rc != ERR_NOT_FOUND && rc != ERR_FORMAT && rc != ERR_IO)
        return rc;
    const char *why = arena_printf(&k->arena, "it cannot be read: %s", e->message);
    rc = store__blob_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = blob_row_find(c, &k->page[k->at].digest, &row, &gone);
    store__blob_read_end(k->store, c);
    if (!rc && row.id == k->row.id)
        *problem = why ? why : "it cannot be read";
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int read_chunk(struct scrub *k, size_t *got, struct err *e)
{
    struct store_conn *c;
    *got = 0;
    int rc = store__blob_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = blob_chunk_read(c, &k->row, k->offset, k->chunk, BLOB_CHUNK, got, e);
    store__blob_read_end(k->store, c);
    return rc;
}

/* One chunk more, or the blob's end. */
static int go_on(struct scrub *k, size_t *got, struct err *e)
{
    const char *problem = NULL;
    *got = 0;
    if (k->offset < k->row.size) {
        int rc = read_chunk(k, got, e);
        if (rc) {
            rc = explain(k, rc, &problem, e);
            return rc ? rc : finish_blob(k, problem, e);
        }
        digest_update(&k->hash, k->chunk, *got);
        k->offset += *got;
        k->found.bytes += *got;
        if (k->offset < k->row.size)
            return 0;
    }
    struct digest d;
    digest_final(&k->hash, &d);
    return finish_blob(k, digest_equal(&d, &k->page[k->at].digest) ? NULL : "its bytes are others",
                       e);
}

static void next_source(struct scrub *k)
{
    static const struct digest first;
    k->last = first;
    k->source = k->source == SOURCE_STORED  ? SOURCE_MISSING
                : k->source == SOURCE_NAMED ? SOURCE_DATA
                                            : SOURCE_END;
}

int scrub_step(struct scrub *k, uint64_t bytes, bool *more, struct err *e)
{
    uint64_t done = 0;
    int rc = 0;
    while (!rc && k->source != SOURCE_END && done < bytes) {
        size_t got = 0;
        done += BLOB_CHUNK / 64; /* a name costs a little, too */
        if (k->reading) {
            rc = go_on(k, &got, e);
        } else if (k->at < k->count) {
            rc = begin_blob(k, e);
        } else if (k->source == SOURCE_DATA && k->count) {
            next_source(k);
        } else if (!(rc = next_page(k, e)) && k->count == 0) {
            next_source(k);
        }
        done += got;
    }
    *more = k->source != SOURCE_END;
    return rc;
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static int count_all(struct scrub *k, struct err *e)
{
    struct store_conn *c;
    uint64_t data;
    if (!k->run)
        return blob_totals(k->store, &k->found.blobs_total, &k->found.bytes_total, e);
    int rc = store_read_begin(k->store, &c, e);
    if (rc)
        return rc;
    rc = op_named_totals(c, k->run, &k->found.blobs_total, &k->found.bytes_total, &data, e);
    store_read_end(k->store, c);
    return rc;
}

int scrub_create(struct scrub **out, struct store *s, uint64_t run, struct err *e)
{
    struct scrub *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NO_MEMORY, "no memory for a scrub");
    k->store = s;
    k->run = run;
    k->source = run ? SOURCE_NAMED : SOURCE_STORED;
    arena_init(&k->arena, FOUND_ARENA_MAX);
    arena_init(&k->page_arena, PAGE_ARENA_MAX);
    k->chunk = malloc(BLOB_CHUNK);
    k->found.bad = arena_alloc_array(&k->arena, PROTOCOL_SCRUB_BAD_MAX, sizeof *k->found.bad);
    int rc = k->chunk && k->found.bad ? count_all(k, e)
                                      : err_set(e, ERR_NO_MEMORY, "no memory for a scrub");
    if (rc)
        scrub_destroy(k);
    else
        *out = k;
    return rc;
}
