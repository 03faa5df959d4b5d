#include "coordinator/run/check_blobs.h"

#include <inttypes.h>
#include <stdlib.h>
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"

#define READ_BYTES (1u << 20)

static int read_all(struct service *s, const struct digest *d, uint64_t size, uint8_t *buffer,
                    struct digest *found, struct err *e)
{
    struct digest_state state;
    int rc = 0;
    digest_init(&state);
    for (uint64_t at = 0; !rc && at < size;) {
        size_t got = 0;
        if (works_stopping(s->works))
            return err_set(e, ERR_UNAVAILABLE, "the coordinator is being stopped");
        rc = blob_read(s->store, d, at, buffer, READ_BYTES, &got, e);
        if (!rc && got == 0)
            rc = err_set(e, ERR_FORMAT, "it ends after %" PRIu64 " of %" PRIu64 " bytes", at, size);
        digest_update(&state, buffer, rc ? 0 : got);
        at += got;
    }
    digest_final(&state, found);
    return rc;
}

int blob_check(struct service *s, const struct digest *d, enum blob_state *out, struct err *e)
{
    struct blob_info info = {0};
    struct digest found;
    *out = BLOB_ABSENT;
    int rc = blob_stat(s->store, d, &info, e);
    if (rc || !info.complete)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    uint8_t *buffer = malloc(READ_BYTES);
    if (!buffer)
        return err_set(e, ERR_NO_MEMORY, "no memory to read blobs");
    rc = read_all(s, d, info.size, buffer, &found, e);
    free(buffer);
    if (rc == ERR_NOT_FOUND) { /* a part is lost, or all of it was collected meanwhile */
        rc = blob_stat(s->store, d, &info, e);
        if (!rc)
            *out = BLOB_DAMAGED;
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    if (rc && rc != ERR_FORMAT) /* the disk or this machine fails: nothing is known of the bytes */
        return rc;
    *out = rc || !digest_equal(&found, d) ? BLOB_DAMAGED : BLOB_WHOLE;
    return 0;
}
