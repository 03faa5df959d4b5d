#include "coordinator/store/blob_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/store_parts.h"

#define ENDING ".blob"

static char *file_path(const char *folder, uint64_t id, struct err *e)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64 ENDING, id);
    char *path = env_path_join(folder, name);
    if (!path)
        err_set(e, ERR_NO_MEMORY, "no memory for a path");
    return path;
}

static int file_open(const char *folder, uint64_t id, bool fresh, int *fd, struct err *e)
{
    char *path = file_path(folder, id, e);
    if (!path)
        return e->code;
    int rc = fresh ? env_file_remove(path, e) : 0;
    if (!rc)
        rc = env_file_open_write(path, fresh, fd, e);
    if (!rc && fresh && (rc = env_file_keep(path, e)))
        env_file_close(*fd);
    free(path);
    return rc;
}

int blob_file_read(const char *folder, uint64_t id, uint64_t offset, void *out, size_t len,
                   struct err *e)
{
    int fd;
    char *path = file_path(folder, id, e);
    if (!path)
        return e->code;
    int rc = env_file_open_read(path, &fd, e);
    if (!rc) {
        rc = env_file_read_at(fd, offset, out, len, e);
        env_file_close(fd);
    }
    free(path);
    return rc;
}

/* --- ahead --------------------------------------------------------------------------------------
 */

int blob_ahead_write(struct store *s, struct blob_ahead *a, uint64_t id, bool fresh,
                     uint64_t offset, const void *data, size_t len, const struct digest_state *hash,
                     struct err *e)
{
    if (fresh)
        blob_ahead_end(s, a);
    if (a->id == 0) {
        int rc = file_open(s->blob_folder, id, fresh, &a->fd, e);
        if (rc)
            return rc;
        env_mutex_lock(&s->files.mutex);
        a->id = id;
        a->end = offset;
        a->hash = *hash;
        a->next = s->files.ahead;
        s->files.ahead = a;
        env_mutex_unlock(&s->files.mutex);
    }
    int rc = env_file_write_at(a->fd, offset, data, len, e);
    if (rc)
        return rc;
    env_mutex_lock(&s->files.mutex);
    a->end = offset + len;
    a->hash = *hash;
    env_mutex_unlock(&s->files.mutex);
    return 0;
}

int blob_ahead_sync(struct store *s, struct blob_ahead *a, struct err *e)
{
    int rc = env_file_sync(a->fd, e);
    if (rc) {
        env_mutex_lock(&s->files.mutex);
        a->lost = rc;
        env_mutex_unlock(&s->files.mutex);
    }
    return rc;
}

void blob_ahead_end(struct store *s, struct blob_ahead *a)
{
    if (a->id == 0)
        return;
    env_mutex_lock(&s->files.mutex);
    struct blob_ahead **at = &s->files.ahead;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    env_mutex_unlock(&s->files.mutex);
    env_file_close(a->fd);
    *a = (struct blob_ahead){.lost = a->lost};
}

int blob_ahead_meet(struct store *s, struct store_conn *c, const struct blob_ahead *own,
                    uint64_t id, bool *met, struct err *e)
{
    *met = false;
    env_mutex_lock(&s->files.mutex); /* or its upload ends meanwhile */
    struct blob_ahead *a = s->files.ahead;
    while (a && (a == own || a->id != id || a->lost))
        a = a->next;
    int rc = a ? env_file_sync(a->fd, e) : 0;
    if (a && !rc)
        rc = blob_row_move(c, id, a->end, &a->hash, e);
    if (a)
        a->lost = rc ? rc : ERR_CONFLICT;
    *met = a && !rc;
    env_mutex_unlock(&s->files.mutex);
    return rc;
}

/* --- removing -----------------------------------------------------------------------------------
 */

void blob_file_remove(const char *folder, uint64_t id)
{
    struct err ignored; /* what stays, the next start removes */
    char *path = file_path(folder, id, &ignored);
    if (path)
        (void)!env_file_remove(path, &ignored);
    free(path);
}

static bool id_of(const char *name, uint64_t *id)
{
    char digits[24];
    size_t len = strspn(name, "0123456789");
    if (len == 0 || len >= sizeof digits || strcmp(name + len, ENDING) != 0)
        return false;
    memcpy(digits, name, len);
    digits[len] = 0;
    return text_to_u64(digits, id);
}

static int is_known(struct store_conn *c, uint64_t id, bool *known, struct err *e)
{
    static const char find[] = "SELECT 1 FROM blob WHERE id = ?1"
                               " UNION ALL SELECT 1 FROM dropped WHERE blob = ?1";
    struct query q;
    query_open(&q, c, find);
    query_u64(&q, id);
    int rc = query_step(&q, e);
    query_close(&q);
    *known = rc == 1;
    return rc < 0 ? rc : 0;
}

int blob_files_sweep(struct store *s, struct err *e)
{
    struct store_conn *c;
    char **names;
    size_t count;
    int rc = env_dir_list(s->blob_folder, &names, &count, e);
    if (rc)
        return rc;
    rc = store__blob_read_begin(s, &c, e);
    bool begun = rc == 0;
    for (size_t i = 0; !rc && i < count; i++) {
        uint64_t id;
        bool known = true;
        if (id_of(names[i], &id))
            rc = is_known(c, id, &known, e);
        if (!rc && !known)
            blob_file_remove(s->blob_folder, id);
    }
    if (begun)
        store__blob_read_end(s, c);
    env_dir_list_free(names, count);
    return rc;
}
