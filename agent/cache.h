/* What the agent keeps of blobs: WORK/cache/ab/HEX, content-addressed, under a size limit. What has
 * not been used for longest goes first; what a job holds stays. A blob is checked against its
 * digest when it comes in, and again at its first use after a start. One thread. */
#ifndef TACIT_AGENT_CACHE_H
#define TACIT_AGENT_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"

struct cache;

/* Brings blob d to path (client_blob_get). */
typedef int cache_fetch_fn(void *arg, const struct digest *d, const char *path, struct err *e);

TACIT_MUST_CHECK int cache_open(struct cache **out, const char *dir, uint64_t bytes_max,
                                struct err *e);
void cache_close(struct cache *c); /* accepts NULL; the files stay */

/* Path of blob d (borrowed until cache_unpin_all), fetched where it is not there: pinned. bytes:
 * its size as announced, 0 where unknown; room for it is made first. */
TACIT_MUST_CHECK int cache_get(struct cache *c, const struct digest *d, uint64_t bytes,
                               cache_fetch_fn *fetch, void *arg, const char **path, struct err *e);
/* Takes over the file at path (same file system), whose content is d. */
TACIT_MUST_CHECK int cache_adopt(struct cache *c, const struct digest *d, const char *path,
                                 struct err *e);
void cache_unpin_all(struct cache *c);
/* Removes all that is not pinned; what can't be removed stays. */
void cache_empty(struct cache *c);
/* Of the limit, bytes are in use by others; they count from the next blob on. */
void cache_reserve(struct cache *c, uint64_t bytes);
uint64_t cache_bytes(const struct cache *c);
uint64_t cache_bytes_max(const struct cache *c);

#endif
