#include "core/data/ingest_parts.h"

#include <stdlib.h>
#include <string.h>

/* Ids of a document that a slot keeps for the next one; more are given back. */
#define IDS_KEPT 65536

int batch_init(struct batch *b, struct pool *pool, const struct document_rules *rules,
               struct err *e)
{
    memset(b, 0, sizeof *b);
    b->pool = pool;
    b->rules = *rules;
    b->items = calloc(BATCH_RECORDS, sizeof *b->items);
    b->files = calloc(BATCH_RECORDS, sizeof *b->files);
    if (!b->items || !b->files)
        return err_set(e, ERR_NO_MEMORY, "no memory for a batch of documents");
    buf_init(&b->bytes, SIZE_MAX / 2);
    for (size_t i = 0; i < BATCH_RECORDS; i++)
        buf_init(&b->items[i].lines, SIZE_MAX / 2);
    return 0;
}

void batch_free(struct batch *b)
{
    for (size_t i = 0; b->items && i < BATCH_RECORDS; i++) {
        free(b->items[i].ids);
        buf_free(&b->items[i].lines);
    }
    free(b->items);
    free(b->files);
    buf_free(&b->bytes);
    memset(b, 0, sizeof *b);
}

bool batch_is_full(const struct batch *b, size_t len)
{
    return b->count == BATCH_RECORDS || (b->count && b->bytes.len + len > BATCH_BYTES);
}

int batch_add(struct batch *b, const struct reader_record *r, const struct reader_file *f,
              struct err *e)
{
    struct batch_item *it = &b->items[b->count];
    it->offset = b->bytes.len;
    it->len = r->len;
    it->json = f->json;
    it->data = r->data;
    if (r->data) {
        int rc = buf_append(&b->bytes, r->data, r->len, e);
        if (rc)
            return rc;
    }
    if (!b->file_count || b->files[b->file_count - 1].number != f->number) {
        b->files[b->file_count] = *f;
        b->files[b->file_count++].name = NULL;
    }
    it->file = b->file_count - 1;
    b->count++;
    return 0;
}

static int work(const struct batch *b, struct batch_item *it)
{
    struct document d;
    it->status = DOCUMENT_LONG;
    it->id_count = 0;
    buf_reset(&it->lines);
    if (!it->data)
        return 0;
    it->status = document_read(&d, &b->rules, it->data, it->len, it->json, NULL);
    if (it->status != DOCUMENT_OK)
        return 0;
    it->heldout = d.heldout;
    it->text_bytes = d.len;
    it->has_source = d.source != NULL;
    if (d.source)
        label_clean(it->source, d.source, d.source_len);
    int rc = 0;
    if (b->tokenizer)
        rc = tokenizer_encode(b->tokenizer, d.text, d.len, &it->ids, &it->id_count, &it->id_cap,
                              NULL);
    else if (!d.heldout) /* the tokenizer learns nothing of what it is judged on */
        rc =
            sample_lines(&it->lines, &d, b->before + (uint64_t)(it - b->items), b->threshold, NULL);
    document_free(&d);
    return rc;
}

/* Each part is one thread, taking items until none is left: documents differ too much in length for
 * equal parts. */
static void work_through(void *arg, size_t begin, size_t end)
{
    struct batch *b = arg;
    (void)begin;
    (void)end;
    for (;;) {
        unsigned i = atomic_fetch_add_explicit(&b->taken, 1, memory_order_relaxed);
        if (i >= b->count)
            return;
        int rc = work(b, &b->items[i]);
        if (rc)
            atomic_store(&b->failed, rc);
    }
}

int batch_run(struct batch *b, struct err *e)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->items[i].data)
            b->items[i].data = b->bytes.data + b->items[i].offset;
    atomic_store(&b->taken, 0);
    atomic_store(&b->failed, 0);
    pool_for(b->pool, (size_t)pool_threads(b->pool), 1, work_through, b);
    int rc = atomic_load(&b->failed);
    return rc ? err_set(e, rc, "no memory to tokenize a batch of documents") : 0;
}

void batch_clear(struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct batch_item *it = &b->items[i];
        if (it->id_cap > IDS_KEPT) {
            free(it->ids);
            it->ids = NULL;
            it->id_cap = 0;
        }
        if (it->lines.cap > IDS_KEPT)
            buf_free(&it->lines);
    }
    b->before += b->count;
    b->count = b->file_count = 0;
    if (b->bytes.cap > 4 * BATCH_BYTES)
        buf_free(&b->bytes);
    else
        buf_reset(&b->bytes);
}
