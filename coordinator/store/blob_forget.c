/* A blob that is not what its name says is forgotten, so that it can be sent again. */
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/store_parts.h"

static int forget_fn(struct store_conn *c, void *arg, struct err *e)
{
    static const char mark[] = "INSERT INTO dropped (blob) SELECT id FROM blob WHERE digest = ?";
    static const char forget[] = "DELETE FROM blob WHERE digest = ?";
    const struct digest *d = arg;
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        struct query q;
        query_open(&q, c, i ? forget : mark);
        query_digest(&q, d);
        rc = query_run(&q, NULL, e);
    }
    return rc;
}

int blob_forget(struct store *s, const struct digest *d, struct err *e)
{
    struct digest copy = *d;
    return writer_wait(s->blob_writer, forget_fn, &copy, e);
}
