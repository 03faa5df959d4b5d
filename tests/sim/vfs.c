#include "tests/sim/vfs.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "tests/sim/disk.h"

#define PATH_MAX_BYTES 512
#define UNIX_EPOCH_MS 210866760000000 /* in SQLite's days since −4713, as milliseconds */

/* What the connections to one database share within a process. */
struct database {
    struct database *next;
    uint64_t inode;
    unsigned files;
    unsigned shared; /* of the database file's lock */
    const struct file *reserved, *pending, *exclusive;
    unsigned shm_files;
    void **regions;
    int region_count, region_size;
    unsigned shm_shared[SQLITE_SHM_NLOCK];
    const struct file *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct file {
    sqlite3_file base;
    struct sim_disk *disk;
    int fd, level;
    struct database *database; /* of a main database alone */
    bool shm;
    unsigned shm_shared, shm_exclusive; /* masks of what this one holds */
    bool folder_unsynced;               /* a journal just made: its name is not durable */
    char *path;                         /* "" where it goes with its closing */
    bool temporary;
};

/* Of the last operation that failed, for sqlite3_system_errno. */
static int last_error;

static int failed(int code, int64_t rc)
{
    last_error = (int)-rc;
    return code;
}

static struct file *file_of(sqlite3_file *f)
{
    return (struct file *)f;
}

/* --- bytes -------------------------------------------------------------------- */

static int vfs_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    struct file *f = file_of(base);
    int64_t got = sim_disk_read_at(f->disk, f->fd, (uint64_t)offset, out, (size_t)len);
    if (got < 0)
        return failed(SQLITE_IOERR_READ, got);
    if (got == len)
        return SQLITE_OK;
    memset((char *)out + got, 0, (size_t)(len - got));
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
    struct file *f = file_of(base);
    int rc = sim_disk_write_at(f->disk, f->fd, (uint64_t)offset, data, (size_t)len);
    if (rc == 0)
        return SQLITE_OK;
    return failed(rc == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE, rc);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *f = file_of(base);
    int rc = sim_disk_truncate(f->disk, f->fd, (uint64_t)size);
    return rc ? failed(SQLITE_IOERR_TRUNCATE, rc) : SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct file *f = file_of(base);
    (void)flags;
    int rc = sim_disk_sync(f->disk, f->fd);
    if (rc)
        return failed(SQLITE_IOERR_FSYNC, rc);
    if (f->folder_unsynced) {
        rc = sim_disk_sync_folder(f->disk, f->path, true);
        if (rc)
            return failed(SQLITE_IOERR_DIR_FSYNC, rc);
        f->folder_unsynced = false;
    }
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct file *f = file_of(base);
    struct sim_disk_stat st;
    int rc = sim_disk_fstat(f->disk, f->fd, &st);
    if (rc)
        return failed(SQLITE_IOERR_FSTAT, rc);
    *size = (sqlite3_int64)st.size;
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int what, void *arg)
{
    (void)base;
    (void)what;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *base)
{
    (void)base;
    return 4096; /* as on Linux */
}

static int vfs_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as on Linux; the disk tears, it does not scribble */
}

/* --- the database file's lock --------------------------------------------------- */

static int vfs_lock(sqlite3_file *base, int level)
{
    struct file *f = file_of(base);
    struct database *d = f->database;
    struct sim_disk_stat st;
    if (sim_disk_fstat(f->disk, f->fd, &st)) /* its process was killed: it puts no WAL away */
        return failed(SQLITE_IOERR_LOCK, -EBADF);
    if (f->level >= level || !d)
        return SQLITE_OK;
    if (level == SQLITE_LOCK_SHARED) {
        if (d->pending || d->exclusive)
            return SQLITE_BUSY;
        d->shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (d->reserved || d->pending || d->exclusive)
            return SQLITE_BUSY;
        d->reserved = f;
    } else {
        if ((d->reserved && d->reserved != f) || (d->pending && d->pending != f) || d->exclusive)
            return SQLITE_BUSY;
        d->pending = f;
        if (d->shared > 1) {
            f->level = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
        d->exclusive = f;
    }
    f->level = level;
    return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct file *f = file_of(base);
    struct database *d = f->database;
    if (f->level <= level || !d)
        return SQLITE_OK;
    if (d->reserved == f)
        d->reserved = NULL;
    if (d->pending == f)
        d->pending = NULL;
    if (d->exclusive == f)
        d->exclusive = NULL;
    if (level == SQLITE_LOCK_NONE)
        d->shared--;
    f->level = level;
    return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *out)
{
    const struct database *d = file_of(base)->database;
    *out = d && (d->reserved || d->pending || d->exclusive);
    return SQLITE_OK;
}

/* --- shared memory --------------------------------------------------------------- */

static int vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
    struct file *f = file_of(base);
    struct database *d = f->database;
    *out = NULL;
    if (!f->shm) {
        f->shm = true;
        d->shm_files++;
    }
    if (region >= d->region_count && !extend)
        return SQLITE_OK;
    if (region >= d->region_count) {
        void **grown = reallocarray(d->regions, (size_t)region + 1, sizeof *grown);
        if (!grown)
            return SQLITE_NOMEM;
        d->regions = grown;
        for (; d->region_count <= region; d->region_count++)
            d->regions[d->region_count] = calloc(1, (size_t)size);
    }
    *out = d->regions[region];
    return *out ? SQLITE_OK : SQLITE_NOMEM;
}

static int vfs_shm_lock(sqlite3_file *base, int first, int n, int flags)
{
    struct file *f = file_of(base);
    struct database *d = f->database;
    unsigned mask = (1u << (first + n)) - (1u << first);
    if (flags & SQLITE_SHM_LOCK) {
        for (int i = first; i < first + n; i++) {
            bool mine = f->shm_shared & 1u << i;
            if (d->shm_exclusive[i] && d->shm_exclusive[i] != f)
                return SQLITE_BUSY;
            if (flags & SQLITE_SHM_EXCLUSIVE && d->shm_shared[i] > mine)
                return SQLITE_BUSY;
        }
    }
    for (int i = first; i < first + n; i++) {
        bool mine = f->shm_shared & 1u << i;
        if (flags & SQLITE_SHM_UNLOCK) {
            if (d->shm_exclusive[i] == f)
                d->shm_exclusive[i] = NULL;
            d->shm_shared[i] -= mine;
        } else if (flags & SQLITE_SHM_SHARED) {
            d->shm_shared[i] += !mine;
        } else {
            d->shm_exclusive[i] = f;
        }
    }
    if (flags & SQLITE_SHM_UNLOCK) {
        f->shm_shared &= ~mask;
        f->shm_exclusive &= ~mask;
    } else if (flags & SQLITE_SHM_SHARED) {
        f->shm_shared |= mask;
    } else {
        f->shm_exclusive |= mask;
    }
    return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
    (void)base;
    __sync_synchronize();
}

/* The last one takes the memory with it: who comes next finds none, and recovers it from the WAL.
 */
static int vfs_shm_unmap(sqlite3_file *base, int delete_it)
{
    struct file *f = file_of(base);
    struct database *d = f->database;
    (void)delete_it;
    if (!f->shm)
        return SQLITE_OK;
    (void)vfs_shm_lock(base, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    f->shm = false;
    if (--d->shm_files > 0)
        return SQLITE_OK;
    for (int i = 0; i < d->region_count; i++)
        free(d->regions[i]);
    free(d->regions);
    d->regions = NULL;
    d->region_count = 0;
    return SQLITE_OK;
}

/* --- opening and closing ----------------------------------------------------------- */

/* What this process's connections to the database share; made where it is the first. */
static struct database *database_get(struct sim_disk *disk, uint64_t inode)
{
    struct database **list = (struct database **)sim_disk_process_memory(disk), *d;
    for (d = *list; d && d->inode != inode;)
        d = d->next;
    if (!d) {
        d = calloc(1, sizeof *d);
        if (!d)
            return NULL;
        d->inode = inode;
        d->next = *list;
        *list = d;
    }
    d->files++;
    return d;
}

static void database_put(struct sim_disk *disk, struct database *d)
{
    struct database **at = (struct database **)sim_disk_process_memory(disk);
    if (--d->files > 0)
        return;
    while (*at && *at != d) /* not there, where its process was killed */
        at = &(*at)->next;
    if (*at)
        *at = d->next;
    free(d);
}

static int vfs_close(sqlite3_file *base)
{
    struct file *f = file_of(base);
    if (f->database) {
        vfs_shm_unmap(base, 0);
        vfs_unlock(base, SQLITE_LOCK_NONE);
        database_put(f->disk, f->database);
    }
    sim_disk_close(f->disk, f->fd);
    if (f->temporary)
        sim_disk_unlink(f->disk, f->path);
    free(f->path);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* Opens for what is asked, or for reading alone where no more is allowed. */
static int open_as(struct file *f, int *flags)
{
    int how = 0;
    if (*flags & SQLITE_OPEN_READWRITE)
        how |= SIM_DISK_WRITE;
    if (*flags & SQLITE_OPEN_CREATE)
        how |= SIM_DISK_CREATE;
    if (*flags & SQLITE_OPEN_EXCLUSIVE)
        how |= SIM_DISK_EXCLUSIVE;
    int fd = sim_disk_open(f->disk, f->path, how);
    if (fd < 0 && fd != -EISDIR && how & SIM_DISK_WRITE) {
        int read_only = sim_disk_open(f->disk, f->path, 0);
        if (read_only < 0)
            return fd;
        fd = read_only;
        *flags = (*flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
    return fd;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out)
{
    static const int journals =
        SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    struct file *f = file_of(base);
    struct sim_disk *disk = sim_disk_current();
    char temporary[64];
    (void)vfs;
    snprintf(temporary, sizeof temporary, "/sqlite-%016llx",
             path ? 0 : (unsigned long long)sim_disk_random(disk));
    *f = (struct file){.disk = disk, .path = strdup(path ? path : temporary)};
    f->temporary = !path || flags & SQLITE_OPEN_DELETEONCLOSE;
    f->folder_unsynced = flags & SQLITE_OPEN_CREATE && flags & journals;
    if (!f->path)
        return SQLITE_NOMEM;
    f->fd = open_as(f, &flags);
    if (f->fd < 0) {
        free(f->path);
        return failed(SQLITE_CANTOPEN, f->fd);
    }
    if (flags & SQLITE_OPEN_MAIN_DB) {
        struct sim_disk_stat st = {0};
        (void)sim_disk_fstat(disk, f->fd, &st);
        f->database = database_get(disk, st.inode);
        if (!f->database) {
            sim_disk_close(disk, f->fd);
            free(f->path);
            return SQLITE_NOMEM;
        }
    }
    f->base.pMethods = &methods;
    if (out)
        *out = flags;
    return SQLITE_OK;
}

/* --- names, time, chance -------------------------------------------------------------- */

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    struct sim_disk *disk = sim_disk_current();
    (void)vfs;
    int rc = sim_disk_unlink(disk, path);
    if (rc)
        return failed(rc == -ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE, rc);
    if (sync_folder && (rc = sim_disk_sync_folder(disk, path, true)))
        return failed(SQLITE_IOERR_DIR_FSYNC, rc);
    return SQLITE_OK;
}

/* An empty file counts as none, as on Linux: a journal without content says nothing. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int what, int *out)
{
    struct sim_disk *disk = sim_disk_current();
    struct sim_disk_stat st;
    (void)vfs;
    *out = sim_disk_stat(disk, path, &st) == 0;
    if (what == SQLITE_ACCESS_EXISTS)
        *out = *out && (st.folder || st.size > 0);
    else if (what == SQLITE_ACCESS_READWRITE)
        *out = *out && !sim_disk_faults(disk)->read_only;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int cap, char *out)
{
    (void)vfs;
    int n = snprintf(out, (size_t)cap, "%s%s", path[0] == '/' ? "" : "/", path);
    return n < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
    struct sim_disk *disk = sim_disk_current();
    (void)vfs;
    for (int i = 0; i < len; i++)
        out[i] = (char)sim_disk_random(disk);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    env_sleep_ms((us + 999) / 1000);
    return us;
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = env_wall_ms() + UNIX_EPOCH_MS;
    return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 ms;
    int rc = vfs_time_ms(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return rc;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    (void)len;
    (void)out;
    return last_error;
}

void sim_vfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct file),
        .mxPathname = PATH_MAX_BYTES,
        .zName = "sim",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time_days,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_ms,
    };
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
    sqlite3_randomness(0, NULL);
}
