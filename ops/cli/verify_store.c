#include "ops/cli/verify_store.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/file.h"
#include "core/env/process.h"
#include "ops/cli/blob_cache.h"
#include "ops/cli/folder.h"
#include "ops/cli/upload.h"

#define BLOBS_BYTES_MAX (16ull << 30) /* room for the inputs of jobs that follow each other */
#define MEMO_BYTES_MAX (4u << 20)
#define READ_BYTES (1u << 20)
#define PLACES                                                                                     \
    4096 /* of blobs that were checked since the start: what is pushed out is read again */

struct verify_store {
    struct cli *cli;
    struct upload trying; /* to reach the coordinator, which may be away for a while */
    const char *dir, *blobs, *contents, *replays, *jobs;
    int lock;
    struct digest checked[PLACES];
};

/* --- opening ---------------------------------------------------------------------------------- */

static int make_folder(struct verify_store *s, const char *name, const char **out, struct err *e)
{
    *out = arena_printf(&s->cli->arena, "%s/%s", s->dir, name);
    return *out ? env_dir_make(*out, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

int verify_store_open(struct verify_store **out, struct cli *cli, const char *dir, struct err *e)
{
    struct verify_store *s = *out = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for the folder's index");
    s->cli = cli;
    s->trying = (struct upload){.cli = cli};
    s->dir = dir;
    s->lock = -1;
    const char *lock = arena_printf(&cli->arena, "%s/lock", dir);
    int rc = lock ? env_dir_make(dir, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc && (rc = env_lock_take(lock, 0, &s->lock, e)))
        err_prefix(e, "another verify works in '%s' (--work names another folder)", dir);
    if (!rc)
        rc = make_folder(s, "blobs", &s->blobs, e);
    if (!rc)
        rc = make_folder(s, "contents", &s->contents, e);
    if (!rc)
        rc = make_folder(s, "replays", &s->replays, e);
    if (!rc)
        rc = make_folder(s, "jobs", &s->jobs, e);
    return rc;
}

void verify_store_close(struct verify_store *s)
{
    if (s && s->lock >= 0)
        env_lock_release(s->lock);
    free(s);
}

static const char *path_of(const char *folder, const struct digest *d, struct arena *a)
{
    char hex[DIGEST_HEX + 1];
    return arena_printf(a, "%s/%s", folder, digest_to_hex(d, hex));
}

static int no_path(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

/* --- blobs ------------------------------------------------------------------------------------ */

static struct digest *place_of(struct verify_store *s, const struct digest *d)
{
    return &s->checked[(d->bytes[0] | d->bytes[1] << 8) % PLACES];
}

static bool is_whole(struct verify_store *s, const struct digest *d, const char *path)
{
    struct digest *place = place_of(s, d);
    struct err ignored = {0};
    struct digest_state state;
    struct digest found;
    int fd;
    if (!env_file_exists(path))
        return false;
    (void)!env_file_touch(path, &ignored);
    if (digest_equal(place, d))
        return true;
    uint8_t *buffer = malloc(READ_BYTES);
    if (!buffer || env_file_open_read(path, &fd, &ignored)) {
        free(buffer);
        return false;
    }
    size_t got = 0;
    int rc;
    digest_init(&state);
    while ((rc = env_file_read_some(fd, buffer, READ_BYTES, &got, &ignored)) == 0 && got > 0)
        digest_update(&state, buffer, got);
    env_file_close(fd);
    free(buffer);
    digest_final(&state, &found);
    if (rc || !digest_equal(&found, d))
        return false;
    *place = *d;
    return true;
}

struct download {
    struct verify_store *s;
    const struct digest *digest;
    const char *path;
};

static int on_bytes(void *arg, uint64_t done, uint64_t total)
{
    (void)arg, (void)done, (void)total;
    return env_stop_requested();
}

/* Bytes that were turned on the way are asked for once more; bytes that are wrong stay so. */
static int download_once(void *arg, struct err *e)
{
    struct download *x = arg;
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        e->code = 0;
        rc = client_blob_get(x->s->cli->client, x->digest, x->path, on_bytes, NULL,
                             &x->s->trying.moved, e);
        if (rc != ERR_DIGEST)
            break;
    }
    return rc;
}

int verify_store_blob(struct verify_store *s, const struct digest *d, struct arena *a,
                      const char **path, struct err *e)
{
    struct download x = {s, d, *path = path_of(s->blobs, d, a)};
    if (!*path)
        return no_path(e);
    if (is_whole(s, d, *path))
        return 0;
    int rc = upload_persist(&s->trying, download_once, &x, e);
    if (!rc)
        *place_of(s, d) = *d;
    return rc;
}

int verify_store_content(struct verify_store *s, const struct digest *content, struct arena *a,
                         const char **path, struct err *e)
{
    const char *link = path_of(s->contents, content, a);
    struct digest d;
    struct buf b;
    if (!link)
        return no_path(e);
    if (!env_file_exists(link))
        return err_set(e, ERR_NOT_FOUND, "no replay has given it");
    int rc = env_file_read(link, DIGEST_HEX, &b, e);
    bool named = !rc && digest_from_hex(&d, b.data, b.len);
    buf_free(&b);
    *path = named ? path_of(s->blobs, &d, a) : NULL;
    if (!rc && named && !*path)
        return no_path(e);
    return *path && is_whole(s, &d, *path)
               ? 0
               : err_set(e, ERR_NOT_FOUND, "what a replay gave is not kept any more");
}

int verify_store_keep(struct verify_store *s, const struct msg_blob *b, const char *path,
                      struct err *e)
{
    static const struct digest none;
    struct arena a;
    char hex[DIGEST_HEX + 1];
    arena_init(&a, 1u << 16);
    const char *to = path_of(s->blobs, &b->digest, &a);
    const char *link = path_of(s->contents, &b->content, &a);
    int rc = to && link ? env_file_move(path, to, e) : no_path(e);
    if (!rc)
        *place_of(s, &b->digest) = b->digest; /* named as it was written */
    if (!rc && !digest_equal(&b->content, &none))
        rc = env_file_write_atomic(link, digest_to_hex(&b->digest, hex), DIGEST_HEX, 0600, e);
    arena_free(&a);
    return rc;
}

int verify_store_trim(struct verify_store *s, struct err *e)
{
    return blob_cache_trim(s->blobs, BLOBS_BYTES_MAX, 0, e);
}

/* --- what replays gave ------------------------------------------------------------------------ */

int verify_store_recall(struct verify_store *s, const struct digest *key, struct arena *a,
                        struct msg_made *out, struct err *e)
{
    const char *path = path_of(s->replays, key, a);
    struct buf b;
    if (!path)
        return no_path(e);
    if (!env_file_exists(path))
        return err_set(e, ERR_NOT_FOUND, "the job was not replayed here");
    int rc = env_file_read(path, MEMO_BYTES_MAX, &b, e);
    if (!rc)
        rc = message_decode(&message_made, b.data, b.len, out, a, e);
    buf_free(&b);
    /* A torn file is as good as none. */
    return rc == ERR_FORMAT || rc == ERR_INVALID
               ? err_set(e, ERR_NOT_FOUND, "what was kept of the job's replay is damaged")
               : rc;
}

int verify_store_remember(struct verify_store *s, const struct digest *key,
                          const struct msg_made *m, struct err *e)
{
    struct arena a;
    struct buf b;
    arena_init(&a, 1u << 16);
    buf_init(&b, MEMO_BYTES_MAX);
    const char *path = path_of(s->replays, key, &a);
    int rc = path ? message_encode(&message_made, m, &b, e) : no_path(e);
    if (!rc)
        rc = env_file_write_atomic(path, b.data, b.len, 0600, e);
    buf_free(&b);
    arena_free(&a);
    return rc;
}

/* --- jobs' folders ---------------------------------------------------------------------------- */

int verify_store_job(struct verify_store *s, const struct digest *key, struct arena *a,
                     const char **path, struct err *e)
{
    char hex[DIGEST_HEX + 1];
    char **names;
    size_t count;
    *path = path_of(s->jobs, key, a);
    if (!*path)
        return no_path(e);
    int rc = env_dir_list(s->jobs, &names, &count, e);
    if (rc)
        return rc;
    digest_to_hex(key, hex);
    for (size_t i = 0; !rc && i < count; i++) {
        const char *other = arena_printf(a, "%s/%s", s->jobs, names[i]);
        if (strcmp(names[i], hex) != 0)
            rc = other ? folder_remove(other, e) : no_path(e);
    }
    env_dir_list_free(names, count);
    return rc;
}
