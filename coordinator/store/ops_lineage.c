/* From digests to what they name: the output of a job, or what people put in. */
#include "coordinator/store/conn.h"
#include "coordinator/store/ops.h"

int op_digests_between(struct store_conn *c, const struct digest *first, const struct digest *last,
                       struct digest *out, uint32_t cap, uint32_t *count, struct err *e)
{
    static const char find[] =
        "SELECT digest FROM output WHERE digest BETWEEN ?1 AND ?2"
        " UNION SELECT content FROM output WHERE content BETWEEN ?1 AND ?2"
        " UNION SELECT digest FROM shard WHERE digest BETWEEN ?1 AND ?2"
        " UNION SELECT tokenizer FROM dataset WHERE tokenizer BETWEEN ?1 AND ?2"
        " UNION SELECT spec FROM run WHERE spec BETWEEN ?1 AND ?2 LIMIT ?3";
    struct query q;
    int rc;
    *count = 0;
    query_open(&q, c, find);
    query_digest(&q, first);
    query_digest(&q, last);
    query_u64(&q, cap);
    while ((rc = query_step(&q, e)) == 1)
        column_digest(&q, 0, &out[(*count)++]);
    query_close(&q);
    return rc;
}

int op_maker(struct store_conn *c, const struct digest *d, uint64_t *job, struct err *e)
{
    static const char find[] =
        "SELECT job.id FROM (SELECT job FROM output WHERE digest = ?1"
        " UNION SELECT job FROM output WHERE content = ?1) AS made JOIN job ON job.id = made.job"
        " WHERE job.state = 2 AND job.kind <> 7 ORDER BY job.id LIMIT 1";
    struct query q;
    query_open(&q, c, find);
    query_digest(&q, d);
    int rc = query_number(&q, job, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "no job gave it");
    return rc < 0 ? rc : 0;
}

int op_dataset_of(struct store_conn *c, const struct digest *d, struct arena *a, const char **name,
                  int *split, uint64_t *number, struct err *e)
{
    static const char find[] =
        "SELECT dataset.name, shard.split, shard.number FROM shard JOIN dataset"
        " ON dataset.id = shard.dataset WHERE shard.digest = ?1"
        " UNION ALL SELECT name, -1, 0 FROM dataset WHERE tokenizer = ?1 LIMIT 1";
    struct query q;
    query_open(&q, c, find);
    query_digest(&q, d);
    int rc = query_step(&q, e);
    if (rc == 1) {
        *split = (int)(int64_t)column_u64(&q, 1);
        *number = column_u64(&q, 2);
        rc = column_text(&q, 0, a, name, e);
    } else if (rc == 0) {
        rc = err_set(e, ERR_NOT_FOUND, "no data set has it");
    }
    query_close(&q);
    return rc;
}

int op_run_of_spec(struct store_conn *c, const struct digest *d, struct arena *a, const char **name,
                   struct err *e)
{
    struct query q;
    query_open(&q, c, "SELECT name FROM run WHERE spec = ? ORDER BY id LIMIT 1");
    query_digest(&q, d);
    int rc = query_step(&q, e);
    if (rc == 1)
        rc = column_text(&q, 0, a, name, e);
    else if (rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, "no run has this spec");
    query_close(&q);
    return rc;
}
