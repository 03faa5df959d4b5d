/* Folders of the command line's own: one to work in, one to keep downloads in. */
#ifndef TACIT_OPS_CLI_FOLDER_H
#define TACIT_OPS_CLI_FOLDER_H

#include "core/base/arena.h"
#include "core/base/err.h"

/* A folder to work in, locked for as long as this process lives. */
struct folder_work {
    const char *path; /* in the arena */
    int lock;
};

/* A new folder of a random name below base (NULL: $TMPDIR, or /tmp). Those beside it that nobody
 * locks, of processes that were killed, are removed first. */
TACIT_MUST_CHECK int folder_work_make(struct folder_work *w, struct arena *a, const char *base,
                                      struct err *e);
/* Removes it with all that is in it. */
TACIT_MUST_CHECK int folder_work_remove(struct folder_work *w, struct err *e);
/* Removes a folder with all that is in it. */
TACIT_MUST_CHECK int folder_remove(const char *path, struct err *e);
/* Where downloaded blobs are kept: $XDG_CACHE_HOME/tacit, or ~/.cache/tacit; made. */
TACIT_MUST_CHECK int folder_cache(struct arena *a, const char **path, struct err *e);

#endif
