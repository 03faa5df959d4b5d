/* The disk of one simulated machine, in memory: folders and files by path, descriptors, and what of
 * it all is durable. core/env/file.h and read.h (sim_file.c) and SQLite (vfs.c) stand on it.
 *
 * What is written is seen at once and is durable after a sync. Until then each write of a file may
 * survive a power loss whole, not at all, or torn: by sectors of 512 bytes, by pages of 4 KiB, or
 * cut off. A name made, removed or renamed is durable after its folder's sync; before it, a power
 * loss keeps a prefix of a folder's changes in their order (a rename is one change, in both folders
 * or in none). A sync that fails may lose for good what it should have written, as on Linux.
 *
 * Paths are looked up from the root whether they start with '/' or not; "." and ".." work, links do
 * not exist. Functions return 0 (or a count) or a negative errno. One thread at a time. */
#ifndef TACIT_SIM_DISK_H
#define TACIT_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_DISK_SECTOR 512
#define SIM_DISK_PAGE 4096

struct sim_disk;

/* --- what the world around provides -----------------------------------------------------------*/
/* The disk of the machine whose code is running. */
struct sim_disk *sim_disk_current(void);
/* The operation that is ending took so long; called with nothing half done. */
void sim_disk_spend(int64_t us);

/* --- life -------------------------------------------------------------------------------------*/
/* Empty. The seed decides which operations fail and what a power loss leaves. */
struct sim_disk *sim_disk_create(uint64_t seed);
/* Another machine's, of the same content, durable and not; no descriptors, locks or faults. */
struct sim_disk *sim_disk_clone(const struct sim_disk *d, uint64_t seed);
void sim_disk_destroy(struct sim_disk *d); /* accepts NULL */

/* The process on this machine is gone: descriptors, locks and its memory (below) with it. All that
 * was written stays. */
void sim_disk_kill(struct sim_disk *d);

enum sim_disk_loss {
    SIM_DISK_LOSS_ALL,   /* only what is durable is left */
    SIM_DISK_LOSS_NONE,  /* everything had been written back just before */
    SIM_DISK_LOSS_DRAWN, /* from the seed: every choice that the header's first lines allow */
};
/* Kills, and leaves what is durable and a part of what is not. */
void sim_disk_power_loss(struct sim_disk *d, enum sim_disk_loss loss, uint64_t seed);

/* Memory of the process that uses this disk (locks between its connections): NULL until it is set,
 * and again after a kill, which leaves it to those who still point to it. */
void **sim_disk_process_memory(struct sim_disk *d);
/* The next random number of this disk's own. */
uint64_t sim_disk_random(struct sim_disk *d);

/* --- faults -----------------------------------------------------------------------------------*/
struct sim_disk_faults {
    uint64_t bytes_max;                     /* ENOSPC beyond; 0: no limit */
    uint32_t read_ppm, write_ppm, sync_ppm; /* chance of EIO, in millionths */
    uint32_t syncs_spared;                  /* so many succeed before the first may fail */
    bool read_only;                         /* EROFS for whatever would change something */
    bool sync_lies;                         /* says that it has synced, and has not */
    int64_t op_us, sync_us, mib_us;         /* what each operation, sync and MiB takes */
};
/* From now on. Zeros: none. */
void sim_disk_set_faults(struct sim_disk *d, const struct sim_disk_faults *f);
const struct sim_disk_faults *sim_disk_faults(const struct sim_disk *d);

/* How many syncs have failed. */
uint64_t sim_disk_sync_errors(const struct sim_disk *d);

/* --- files ------------------------------------------------------------------------------------*/
enum sim_disk_flags {
    SIM_DISK_WRITE = 1, /* reading is always allowed */
    SIM_DISK_CREATE = 2,
    SIM_DISK_EXCLUSIVE = 4,
    SIM_DISK_APPEND = 8,
};
struct sim_disk_stat {
    bool folder;
    uint64_t size;
    int64_t modified_ms;
    uint64_t inode;
};

/* A descriptor, at least 1000 and never used twice on a disk. */
int sim_disk_open(struct sim_disk *d, const char *path, int flags);
int sim_disk_close(struct sim_disk *d, int fd); /* gives its lock back */
/* Returns how many bytes were there. */
int64_t sim_disk_read_at(struct sim_disk *d, int fd, uint64_t offset, void *out, size_t len);
/* From where the descriptor stands, and moves it. */
int64_t sim_disk_read(struct sim_disk *d, int fd, void *out, size_t len);
/* All of it, or a part and an error (a full disk takes what fits). */
int sim_disk_write_at(struct sim_disk *d, int fd, uint64_t offset, const void *data, size_t len);
int sim_disk_write(struct sim_disk *d, int fd, const void *data, size_t len);
int sim_disk_truncate(struct sim_disk *d, int fd, uint64_t size);
int sim_disk_sync(struct sim_disk *d, int fd);
int sim_disk_fstat(struct sim_disk *d, int fd, struct sim_disk_stat *out);
/* Exclusive; EWOULDBLOCK where another descriptor has it. */
int sim_disk_lock(struct sim_disk *d, int fd);

int sim_disk_stat(struct sim_disk *d, const char *path, struct sim_disk_stat *out);
int sim_disk_touch(struct sim_disk *d, const char *path);
int sim_disk_unlink(struct sim_disk *d, const char *path);
int sim_disk_rename(struct sim_disk *d, const char *from, const char *to);
int sim_disk_mkdir(struct sim_disk *d, const char *path);
int sim_disk_rmdir(struct sim_disk *d, const char *path);
/* Syncs the folder `path`, or where holding is true the one that holds it. */
int sim_disk_sync_folder(struct sim_disk *d, const char *path, bool holding);
/* The names in a folder, sorted by bytes: a heap array of heap strings. */
int sim_disk_list(struct sim_disk *d, const char *path, char ***names, size_t *count);
/* Bytes that a limit leaves; 1 TiB where there is none. */
uint64_t sim_disk_free(struct sim_disk *d);
/* Bytes of all files, in pages. */
uint64_t sim_disk_used(struct sim_disk *d);

/* --- journal: what happened to a disk, to build it as of any moment ----------------------------*/
/* Records whatever changes from now on; the disk is still empty. It belongs to the disk. */
struct sim_journal *sim_disk_record(struct sim_disk *d);
/* Stands in the journal between the operations: `what` was acknowledged here. */
void sim_disk_mark(struct sim_disk *d, uint64_t what);
size_t sim_journal_count(const struct sim_journal *j);
/* Does operation i to a disk to which those before it have been done. A mark does nothing, and says
 * *what. */
enum sim_journal_effect { SIM_JOURNAL_CHANGE, SIM_JOURNAL_SYNC, SIM_JOURNAL_MARK };
enum sim_journal_effect sim_journal_apply(const struct sim_journal *j, size_t i,
                                          struct sim_disk *onto, uint64_t *what);
/* "write 4096 bytes at 0 of tacit.db-wal": for people. */
void sim_journal_text(const struct sim_journal *j, size_t i, char *out, size_t cap);

#endif
