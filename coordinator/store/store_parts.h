/* What store.c and the blobs' files share of a store. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_STORE_PARTS_H
#define TACIT_COORDINATOR_STORE_STORE_PARTS_H

#include <stdatomic.h>
#include "core/env/thread.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/health.h"
#include "coordinator/store/moved.h"
#include "coordinator/store/writer.h"

#define STORE_READERS 4 /* a file; at most 2 MiB of cache each */

/* The first connection is opened at the start, another one when all are busy: each reads the whole
 * schema. */
struct reader_pool {
    char *path;
    const char *folder; /* for its connections */
    enum conn_file file;
    struct env_mutex mutex; /* guards the rest */
    struct env_cond changed;
    struct store_conn *all[STORE_READERS];
    struct store_conn *idle[STORE_READERS];
    unsigned opened; /* or being opened */
    unsigned made;   /* in all */
    unsigned count;  /* idle ones */
};

#define BLOB_GOING_MAX 64
#define BLOB_TOUCH_LISTS 64
struct touch;
struct blob_guard {
    struct env_mutex mutex;              /* guards the rest; nothing else is taken under it */
    struct digest going[BLOB_GOING_MAX]; /* complete blobs that are just being collected */
    unsigned going_count;
    /* Blobs that somebody was told are there, not yet marked so; by a byte of their digests. */
    struct touch *touching[BLOB_TOUCH_LISTS];
};

struct blob_ahead;
struct blob_files {
    struct env_mutex mutex; /* guards the rest, and what of its items others look at */
    struct blob_ahead *ahead;
};

struct moved_board {
    struct moved pending;   /* the writer's: of the transactions that it has not committed yet */
    struct env_mutex mutex; /* guards told */
    struct moved told;
};
/* Notes what this writer changes, and tells it after its COMMIT. */
void moved_watch(struct moved_board *b, struct store_conn *c);
void moved_committed(struct moved_board *b);

struct store {
    char *dir, *blob_folder;
    int lock;
    uint64_t incarnation;
    struct writer *writer, *blob_writer;
    struct reader_pool readers, blob_readers;
    _Atomic uint64_t upload_bytes; /* still to come of the open uploads: room that is spoken for */
    _Atomic uint64_t room_wanted;  /* by the last upload that was refused for want of it */
    atomic_uint uploads_wide;      /* open ones with a buffer of several chunks */
    struct blob_guard guard;
    struct blob_files files;
    struct health health;
    struct moved_board moved;
    struct env_mutex gc; /* held through a collection; taken before any other */
    bool stepped;
    _Atomic bool closing; /* no more clearing of dropped blobs */
};

/* A snapshot of blobs.db. */
TACIT_MUST_CHECK int store__blob_read_begin(struct store *s, struct store_conn **c, struct err *e);
void store__blob_read_end(struct store *s, struct store_conn *c);
/* ERR_NO_SPACE where so many bytes can't be written as a file and as a blob, beside the uploads
 * under way and what tacit.db lives on. */
TACIT_MUST_CHECK int store__room_for_copy(struct store *s, uint64_t bytes, struct err *e);
/* The same for an upload of so many bytes, once. */
TACIT_MUST_CHECK int store__room_for_upload(struct store *s, uint64_t bytes, struct err *e);
/* Removes the chunks of dropped blobs, as long as there are any. */
void store__drop_start(struct store *s);
/* Drops abandoned uploads, and queues the removal of what earlier processes left behind. */
TACIT_MUST_CHECK int store__blobs_start(struct store *s, struct err *e);

#endif
