/* A bump allocator: one region sized up front (workspaces), or growing by blocks up to a maximum
 * (one per HTTP request, reset on reply). Nothing is freed singly. Not thread-safe. */
#ifndef TACIT_BASE_ARENA_H
#define TACIT_BASE_ARENA_H

#include <stddef.h>
#include "core/base/err.h"

#define ARENA_ALIGN 64 /* a cache line and a 512-bit vector */

struct arena {
    struct arena_block *head;
    size_t used, max; /* bytes handed out, each piece rounded up to ARENA_ALIGN; never beyond max */
};

void arena_init(struct arena *a, size_t max);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* keeps one block */
/* What a piece of size bytes takes of max. */
static inline size_t arena_size(size_t size)
{
    return (size + (size == 0) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}
/* ARENA_ALIGN-aligned, zeroed; NULL beyond max or without memory. A workspace adds up its pieces by
 * arena_size and makes that its max. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_alloc_array(struct arena *a, size_t count, size_t size); /* NULL on overflow too */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
