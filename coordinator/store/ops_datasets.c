#include "coordinator/store/ops.h"

#include "coordinator/store/conn.h"

enum { SPLIT_TRAIN, SPLIT_HELDOUT };

static int insert_row(struct store_conn *c, const struct msg_dataset *m, uint64_t wall_ms,
                      uint64_t *id, struct err *e)
{
    static const char insert[] =
        "INSERT INTO dataset (name, vocab, seq, tokenizer, tokenizer_bytes, train_sequences,"
        " heldout_sequences, train_text_bytes, heldout_text_bytes, documents, skipped, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
    struct query q;
    query_open(&q, c, insert);
    query_text(&q, m->name);
    query_u64(&q, m->vocab);
    query_u64(&q, m->seq);
    query_digest(&q, &m->tokenizer);
    query_u64(&q, m->tokenizer_bytes);
    query_u64(&q, m->train_sequences);
    query_u64(&q, m->heldout_sequences);
    query_u64(&q, m->train_text_bytes);
    query_u64(&q, m->heldout_text_bytes);
    query_u64(&q, m->documents);
    query_u64(&q, m->skipped);
    query_u64(&q, wall_ms);
    int rc = query_returned(&q, id, e);
    if (rc == ERR_EXISTS)
        err_set(e, ERR_EXISTS, "data set %s exists already; choose another name", m->name);
    return rc;
}

static int insert_shards(struct store_conn *c, uint64_t id, int split, const struct msg_shard *s,
                         uint32_t count, struct err *e)
{
    static const char insert[] = "INSERT INTO shard (dataset, split, number, digest, bytes,"
                                 " sequences) VALUES (?, ?, ?, ?, ?, ?)";
    int rc = 0;
    for (uint32_t i = 0; !rc && i < count; i++) {
        struct query q;
        query_open(&q, c, insert);
        query_u64(&q, id);
        query_u64(&q, (uint64_t)split);
        query_u64(&q, i);
        query_digest(&q, &s[i].digest);
        query_u64(&q, s[i].bytes);
        query_u64(&q, s[i].sequences);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

static int insert_labels(struct store_conn *c, uint64_t id, const struct msg_dataset *m,
                         struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < m->label_count; i++) {
        struct query q;
        query_open(&q, c, "INSERT INTO label (dataset, number, name) VALUES (?, ?, ?)");
        query_u64(&q, id);
        query_u64(&q, i);
        query_text(&q, m->labels[i].name);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int op_dataset_insert(struct store_conn *c, const struct msg_dataset *m, uint64_t wall_ms,
                      uint64_t *id, struct err *e)
{
    int rc = insert_row(c, m, wall_ms, id, e);
    if (!rc)
        rc = insert_shards(c, *id, SPLIT_TRAIN, m->train, m->train_count, e);
    if (!rc)
        rc = insert_shards(c, *id, SPLIT_HELDOUT, m->heldout, m->heldout_count, e);
    return rc ? rc : insert_labels(c, *id, m, e);
}

int op_dataset_find(struct store_conn *c, const char *name, uint64_t *id, struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT id FROM dataset WHERE name = ?");
    query_text(&q, name);
    int rc = query_number(&q, id, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no data set %s; `tacit datasets` lists them",
                       name);
    return rc < 0 ? rc : 0;
}

static int read_row(struct store_conn *c, uint64_t id, struct arena *a, struct msg_dataset *out,
                    struct err *e)
{
    static const char get[] =
        "SELECT name, tokenizer, vocab, seq, tokenizer_bytes, train_sequences, heldout_sequences,"
        " train_text_bytes, heldout_text_bytes, documents, skipped, created_ms FROM dataset"
        " WHERE id = ?";
    uint64_t *numbers[] = {&out->vocab,
                           &out->seq,
                           &out->tokenizer_bytes,
                           &out->train_sequences,
                           &out->heldout_sequences,
                           &out->train_text_bytes,
                           &out->heldout_text_bytes,
                           &out->documents,
                           &out->skipped,
                           &out->created_at};
    struct query q;
    query_open(&q, c, get);
    query_u64(&q, id);
    int rc = query_step(&q, e);
    if (rc == 1) {
        rc = column_text(&q, 0, a, &out->name, e);
        column_digest(&q, 1, &out->tokenizer);
        for (int i = 0; i < 10; i++)
            *numbers[i] = column_u64(&q, 2 + i);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "there is no data set %llu", (unsigned long long)id);
    }
    query_close(&q);
    return rc;
}

static int read_shards(struct store_conn *c, uint64_t id, int split, uint64_t first, uint32_t limit,
                       struct arena *a, struct msg_shard **rows, uint32_t *count, struct err *e)
{
    static const char get[] = "SELECT digest, bytes, sequences FROM shard WHERE dataset = ?"
                              " AND split = ? AND number >= ? ORDER BY number LIMIT ?";
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    struct query q;
    int rc;
    query_open(&q, c, get);
    query_u64(&q, id);
    query_u64(&q, (uint64_t)split);
    query_u64(&q, first);
    query_u64(&q, limit);
    while ((rc = query_step(&q, e)) == 1) {
        struct msg_shard *s = rows_add(&list, e);
        if (!s) {
            rc = ERR_NO_MEMORY;
            break;
        }
        column_digest(&q, 0, &s->digest);
        s->bytes = column_u64(&q, 1);
        s->sequences = column_u64(&q, 2);
    }
    query_close(&q);
    *rows = list.items;
    *count = list.count;
    return rc;
}

static int read_labels(struct store_conn *c, uint64_t id, struct arena *a, struct msg_dataset *out,
                       struct err *e)
{
    struct rows list = {.arena = a, .item_size = sizeof *out->labels};
    struct query q;
    int rc;
    query_open(&q, c, "SELECT name FROM label WHERE dataset = ? ORDER BY number");
    query_u64(&q, id);
    while ((rc = query_step(&q, e)) == 1) {
        struct msg_label *l = rows_add(&list, e);
        rc = l ? column_text(&q, 0, a, &l->name, e) : ERR_NO_MEMORY;
        if (rc)
            break;
    }
    query_close(&q);
    out->labels = list.items;
    out->label_count = list.count;
    return rc;
}

int op_dataset_get(struct store_conn *c, uint64_t id, bool shards, struct arena *a,
                   struct msg_dataset *out, struct err *e)
{
    *out = (struct msg_dataset){0};
    int rc = read_row(c, id, a, out, e);
    if (!rc)
        rc = read_labels(c, id, a, out, e);
    if (!rc && shards)
        rc = read_shards(c, id, SPLIT_TRAIN, 0, UINT32_MAX, a, &out->train, &out->train_count, e);
    if (!rc && shards)
        rc = read_shards(c, id, SPLIT_HELDOUT, 0, UINT32_MAX, a, &out->heldout, &out->heldout_count,
                         e);
    return rc;
}

int op_datasets(struct store_conn *c, struct arena *a, struct msg_dataset **rows, uint32_t *count,
                struct err *e)
{
    uint64_t *ids;
    uint32_t id_count;
    struct query q;
    query_open(&q, c, "SELECT id FROM dataset WHERE deleted_ms = 0 ORDER BY id DESC");
    int rc = query_numbers(&q, a, &ids, &id_count, e);
    struct rows list = {.arena = a, .item_size = sizeof **rows};
    for (uint32_t i = 0; !rc && i < id_count; i++) {
        struct msg_dataset *row = rows_add(&list, e);
        rc = row ? op_dataset_get(c, ids[i], false, a, row, e) : ERR_NO_MEMORY;
    }
    *rows = list.items;
    *count = list.count;
    return rc;
}

int op_shards(struct store_conn *c, uint64_t dataset, int split, uint64_t first, uint32_t count,
              struct arena *a, struct msg_shard **rows, struct err *e)
{
    uint32_t got;
    int rc = read_shards(c, dataset, split, first, count, a, rows, &got, e);
    if (!rc && got != count)
        return err_set(e, ERR_NOT_FOUND, "data set %llu has no shards %llu to %llu",
                       (unsigned long long)dataset, (unsigned long long)first,
                       (unsigned long long)(first + count - 1));
    return rc;
}
