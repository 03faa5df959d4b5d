#include "core/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN ((size_t)16 << 10) /* an ordinary request fits one block */
#define BLOCK_MAX ((size_t)1 << 20)  /* doubling stops here; larger requests get their own size */

struct arena_block {
    _Alignas(ARENA_ALIGN) struct arena_block *next; /* the one before it */
    size_t cap, used;
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_free(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = 0;
}

/* Keeps the first block, so that one huge request does not hold its memory for ever. */
void arena_reset(struct arena *a)
{
    while (a->head != NULL && a->head->next != NULL) {
        struct arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    if (a->head != NULL)
        a->head->used = 0;
    a->used = 0;
}

static struct arena_block *block_add(struct arena *a, size_t size)
{
    size_t cap = BLOCK_MIN;

    if (a->head != NULL)
        cap = a->head->cap < BLOCK_MAX / 2 ? 2 * a->head->cap : BLOCK_MAX;
    if (cap < size)
        cap = size;
    if (cap > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *b = aligned_alloc(ARENA_ALIGN, sizeof *b + cap);
    if (b == NULL)
        return NULL;
    *b = (struct arena_block){.next = a->head, .cap = cap};
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size_t rounded = arena_size(size);
    if (rounded > a->max - a->used)
        return NULL;
    struct arena_block *b = a->head;
    if (b == NULL || rounded > b->cap - b->used)
        b = block_add(a, rounded);
    if (b == NULL)
        return NULL;
    void *out = b->data + b->used;
    b->used += rounded;
    a->used += rounded;
    return memset(out, 0, rounded);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(a, total);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *out = arena_alloc(a, len + 1);
    if (out != NULL && len > 0)
        memcpy(out, s, len);
    return out;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return NULL;
    char *out = arena_alloc(a, (size_t)len + 1);
    if (out == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(out, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return out;
}
