#include "coordinator/keep/restore.h"

#include <stdlib.h>
#include <string.h>
#include "core/backup/backup_archive.h"
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/snapshot.h"
#include "coordinator/store/store.h"

#define SPACE_BESIDE (192ull << 20) /* what a coordinator wants to be free for its logs */

struct restoring {
    const char *dir;
    char *work;
    restore_progress_fn *progress;
    void *arg;
    struct store *store; /* once tacit.db is there */
    enum backup_part part;
    struct env_file_new file;   /* of a part that is one */
    struct blob_upload *upload; /* of a blob; NULL for one that is there already */
};

static int remove_folder(const char *path, bool within, struct err *e);

/* Empties a folder of files, and of folders of files where within is true, if it is there. */
static int clear_folder(const char *path, bool within, struct err *e)
{
    char **names;
    size_t count;
    if (!env_dir_exists(path))
        return 0;
    int rc = env_dir_list(path, &names, &count, e);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < count; i++) {
        char *file = env_path_join(path, names[i]);
        if (!file)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (within && env_dir_exists(file))
            rc = remove_folder(file, false, e);
        else
            rc = env_file_remove(file, e);
        free(file);
    }
    env_dir_list_free(names, count);
    return rc;
}

static int remove_folder(const char *path, bool within, struct err *e)
{
    int rc = clear_folder(path, within, e);
    return rc ? rc : env_dir_remove(path, e);
}

int restore_check(const char *dir, struct err *e)
{
    char *work = env_path_join(dir, RESTORE_FOLDER);
    if (!work)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    char *whole = env_path_join(dir, "tacit.db");
    bool unfinished = env_dir_exists(work);
    int rc = 0;
    if (unfinished && whole && env_file_exists(whole)) { /* all but the last step was done */
        rc = remove_folder(work, true, e);
    } else if (unfinished) {
        rc =
            err_set(e, ERR_CONFLICT,
                    "%s: a backup was being restored here and is not whole; restore it again", dir);
    }
    free(whole);
    free(work);
    return rc;
}

/* Only what an unfinished restoring left may be in the folder. */
static int prepare(struct restoring *r, struct err *e)
{
    char **names;
    size_t count = 0;
    int rc = env_dir_make(r->dir, e);
    if (!rc)
        rc = env_dir_list(r->dir, &names, &count, e);
    if (rc)
        return rc;
    bool own = env_dir_exists(r->work);
    for (size_t i = 0; !rc && i < count; i++) {
        bool ours = strcmp(names[i], "blobs.db") == 0 || strcmp(names[i], "blobs") == 0 ||
                    strcmp(names[i], "admin.token") == 0 || strcmp(names[i], "join.token") == 0;
        if (strcmp(names[i], RESTORE_FOLDER) != 0 && !(own && ours))
            rc = err_set(e, ERR_EXISTS,
                         "%s is not empty (there is %s): restore into an empty folder, and remove "
                         "nothing that may still be needed",
                         r->dir, names[i]);
    }
    env_dir_list_free(names, count);
    if (!rc)
        rc = clear_folder(r->work, true, e);
    return rc ? rc : env_dir_make(r->work, e);
}

/* --- parts -------------------------------------------------------------------------------------
 */

static int on_start(void *arg, const struct msg_backup *m, struct err *e)
{
    struct restoring *r = arg;
    uint64_t room, wanted = m->blob_bytes + 2 * m->snapshot_bytes + SPACE_BESIDE;
    char has[16], needs[16];
    int rc = env_disk_free(r->dir, &room, e);
    if (rc || room >= wanted)
        return rc;
    return err_set(e, ERR_NO_SPACE, "no room in %s: %s are free, %s are needed", r->dir,
                   text_bytes(room, has), text_bytes(wanted, needs));
}

static int on_begin(void *arg, enum backup_part part, const struct digest *d, uint64_t size,
                    struct err *e)
{
    static const char *const names[] = {[BACKUP_DATABASE] = "tacit.db",
                                        [BACKUP_ADMIN_TOKEN] = "admin.token",
                                        [BACKUP_JOIN_TOKEN] = "join.token"};
    struct restoring *r = arg;
    r->part = part;
    r->upload = NULL;
    if (part == BACKUP_BLOB) {
        uint64_t durable;
        int rc = blob_upload_open(r->store, d, size, 0, &r->upload, &durable, e);
        if (rc == ERR_EXISTS)
            e->code = 0;
        return rc == ERR_EXISTS ? 0 : rc;
    }
    char *path = env_path_join(r->work, names[part]);
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc = env_file_new_open(&r->file, path, 0600, e);
    free(path);
    return rc;
}

static int on_data(void *arg, const void *data, size_t len, struct err *e)
{
    struct restoring *r = arg;
    if (env_stop_requested())
        return err_set(e, ERR_STOPPED, "stopped; %s is not whole: restore again", r->dir);
    if (r->part != BACKUP_BLOB)
        return env_file_new_write(&r->file, data, len, e);
    const char *at = data;
    int rc = 0;
    while (!rc && r->upload && len > 0) {
        size_t took = blob_upload_take(r->upload, at, len);
        at += took;
        len -= took;
        if (len > 0)
            rc = blob_upload_flush_wait(r->upload, false, e);
    }
    return rc;
}

static int on_end(void *arg, struct err *e)
{
    struct restoring *r = arg;
    int rc;
    if (r->part == BACKUP_BLOB) {
        rc = r->upload ? blob_upload_flush_wait(r->upload, true, e) : 0;
        blob_upload_close(r->upload);
        r->upload = NULL;
        return rc;
    }
    rc = env_file_new_commit(&r->file, e);
    if (!rc && r->part == BACKUP_DATABASE)
        rc = store_open(&r->store, r->work, e);
    return rc;
}

static int on_progress(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    struct restoring *r = arg;
    return r->progress ? r->progress(r->arg, done, total, e) : 0;
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* Closed as it should be, a database leaves no log beside it: what stands there would be lost. */
static int check_closed(const struct restoring *r, struct err *e)
{
    static const char *const logs[] = {"tacit.db-wal", "blobs.db-wal"};
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        char *path = env_path_join(r->work, logs[i]);
        if (!path)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (env_file_exists(path))
            rc = err_set(e, ERR_IO, "%s could not be written back; is the disk full?", path);
        free(path);
    }
    return rc;
}

/* Into place; tacit.db last, since with it the folder is a coordinator's. */
static int move_up(struct restoring *r, struct err *e)
{
    static const char *const names[] = {"blobs", "blobs.db", "admin.token", "join.token",
                                        "tacit.db"};
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof names / sizeof names[0]; i++) {
        char *from = env_path_join(r->work, names[i]), *to = env_path_join(r->dir, names[i]);
        if (!from || !to)
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        else if (i == 0) /* what an unfinished restoring has moved there */
            rc = remove_folder(to, false, e);
        if (!rc)
            rc = env_file_rename(from, to, e);
        free(from);
        free(to);
    }
    return rc ? rc : remove_folder(r->work, true, e);
}

int restore_run(const char *file, const char *dir, restore_progress_fn *progress, void *arg,
                struct msg_backup *out, struct err *e)
{
    struct restoring r = {.dir = dir,
                          .work = env_path_join(dir, RESTORE_FOLDER),
                          .progress = progress,
                          .arg = arg,
                          .file = {.fd = -1}};
    const struct backup_sink sink = {&r, on_start, on_begin, on_data, on_end, on_progress};
    if (!r.work)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc = prepare(&r, e);
    if (!rc)
        rc = backup_read(file, &sink, out, e);
    if (!rc)
        rc = snapshot_settle(r.store, e);
    blob_upload_close(r.upload);
    env_file_new_abandon(&r.file);
    store_close(r.store);
    if (!rc)
        rc = check_closed(&r, e);
    if (!rc)
        rc = move_up(&r, e);
    free(r.work);
    return rc;
}
