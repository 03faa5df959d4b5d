#include "ops/cli/upload.h"

#include <stdio.h>
#include "core/env/clock.h"
#include "core/env/process.h"

#define PAUSE_MS_FIRST 500
#define PAUSE_MS_MAX 15000
/* A coordinator that is being moved or upgraded is back by then; a wrong address is told. */
#define PATIENCE_MS (10 * 60 * 1000)

int upload_persist(struct upload *u, int (*attempt)(void *arg, struct err *e), void *arg,
                   struct err *e)
{
    int64_t began = env_monotonic_ms(), pause = PAUSE_MS_FIRST;
    uint64_t moved = u->moved;
    for (bool told = false;; told = true) {
        int rc = attempt(arg, e);
        if (!rc && told)
            fprintf(stderr, "%s: going on\n", u->cli->command);
        if (u->moved > moved) { /* what moves is not given up */
            began = env_monotonic_ms();
            moved = u->moved;
        }
        if (!cli_may_mend(rc) || env_monotonic_ms() - began > PATIENCE_MS)
            return rc;
        if (!told) {
            if (u->progress)
                progress_finish(u->progress);
            fprintf(stderr, "%s: %s; trying again (for %d minutes)\n", u->cli->command, e->message,
                    PATIENCE_MS / 60000);
        }
        if (env_stop_wait_ms(pause))
            return err_set(e, ERR_STOPPED, "stopped");
        pause = 2 * pause < PAUSE_MS_MAX ? 2 * pause : PAUSE_MS_MAX;
    }
}

struct one {
    struct upload *u;
    const struct digest *digest;
    const char *path;
    uint64_t bytes;
};

static int on_bytes(void *arg, uint64_t done, uint64_t total)
{
    struct upload *u = arg;
    (void)total;
    progress_update(u->progress, "upload", u->done + done, u->total, "bytes");
    return env_stop_requested();
}

static int put_once(void *arg, struct err *e)
{
    struct one *x = arg;
    return client_blob_put(x->u->cli->client, x->digest, x->path, x->bytes, on_bytes, x->u,
                           &x->u->moved, e);
}

static int put(struct upload *u, const struct digest *d, const char *path, uint64_t bytes,
               struct err *e)
{
    struct one x = {u, d, path, bytes};
    int rc = upload_persist(u, put_once, &x, e);
    u->done += bytes;
    progress_update(u->progress, "upload", u->done, u->total, "bytes");
    return rc;
}

int upload_ingest(struct upload *u, const struct ingest_result *r, struct err *e)
{
    u->total = r->tokenizer_bytes;
    for (int s = 0; s < 2; s++)
        for (uint32_t i = 0; i < r->shard_count[s]; i++)
            u->total += r->shards[s][i].bytes;
    progress_update(u->progress, "upload", 0, u->total, "bytes");
    int rc = put(u, &r->tokenizer, r->tokenizer_path, r->tokenizer_bytes, e);
    for (int s = 0; s < 2; s++)
        for (uint32_t i = 0; !rc && i < r->shard_count[s]; i++) {
            const struct ingest_shard *x = &r->shards[s][i];
            rc = put(u, &x->digest, x->path, x->bytes, e);
        }
    return rc;
}
