/* SQLite's memory by machine, and malloc.
 *
 * A history takes and gives back pages, caches and compressors' tables by the million, and a
 * machine that is killed gives nothing back: with the library's malloc, a third of all time went
 * into searching for room and into memory that was touched for the first time. One thread. */
#include "tests/sim/memory.h"

#include <errno.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "tests/sim/world.h"

/* --- SQLite's, by machine -------------------------------------------------------------------- */

struct held {
    struct held *next, **at; /* at: what points here */
    size_t size;
    size_t unused; /* 16-aligned */
};

static void *anybody; /* what is held outside of all machines */

static void held_link(struct held *h, struct held **list)
{
    h->at = list;
    h->next = *list;
    if (h->next)
        h->next->at = &h->next;
    *list = h;
}

static void held_unlink(struct held *h)
{
    *h->at = h->next;
    if (h->next)
        h->next->at = h->at;
}

static void *held_take(int size)
{
    struct machine *m = world_here();
    struct held *h = malloc(sizeof *h + (size_t)size);
    if (!h)
        return NULL;
    h->size = (size_t)size;
    held_link(h, (struct held **)(m ? &m->memory : &anybody));
    return h + 1;
}

static void held_give(void *p)
{
    struct held *h = (struct held *)p - 1;
    held_unlink(h);
    free(h);
}

static int held_size(void *p)
{
    return p ? (int)((struct held *)p - 1)->size : 0;
}

static void *held_resize(void *p, int size)
{
    void *grown = held_take(size);
    if (!grown)
        return NULL;
    size_t before = (size_t)held_size(p);
    memcpy(grown, p, before < (size_t)size ? before : (size_t)size);
    held_give(p);
    return grown;
}

static int held_round(int size)
{
    return (size + 7) & ~7;
}

static int held_begin(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void held_end(void *unused)
{
    (void)unused;
}

void memory_start(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = held_take,
        .xFree = held_give,
        .xRealloc = held_resize,
        .xSize = held_size,
        .xRoundup = held_round,
        .xInit = held_begin,
        .xShutdown = held_end,
    };
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK)
        abort();
}

void memory_drop(void **held)
{
    while (*held)
        held_give((struct held *)*held + 1);
}

/* --- blocks by size --------------------------------------------------------------------------- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)

void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

#define AREA (256ull << 30)
#define HUGE_PAGE (2u << 20)
#define STEPS 8 /* sizes from one power of two to the next */
#define CLASSES (64 * STEPS)

/* Before each block. size stands where the library looks for it, marked as a mapping's, so that
 * malloc_usable_size tells the truth. class, of one that begins further on than its block for its
 * alignment's sake: CLASSES and by how much. */
struct head {
    size_t class, size;
};

struct spare {
    struct spare *next;
};

static char *area, *area_end, *fresh;
static struct spare *spare[CLASSES];

static bool in_area(const void *p)
{
    return (uintptr_t)p - (uintptr_t)area < AREA && area;
}

/* The smallest class that holds n bytes, and what it holds: a multiple of 16. */
static size_t class_of(size_t n, size_t *size)
{
    n = n > 16 ? (n + 15) / 16 * 16 : 16;
    unsigned power = 63 - (unsigned)__builtin_clzll(n - 1); /* 2^power < n <= 2^(power+1) */
    size_t step = ((size_t)1 << power) / STEPS, over = n - ((size_t)1 << power);
    size_t steps = (over + step - 1) / step;
    *size = ((size_t)1 << power) + steps * step;
    return (size_t)power * STEPS + steps - 1;
}

void memory_forked(void)
{
    /* What the parent has touched is copied, page by page, as soon as it is touched here. */
    for (size_t i = 0; i < CLASSES; i++)
        spare[i] = NULL;
    fresh += -(uintptr_t)fresh & (HUGE_PAGE - 1);
}

static void *block_take(size_t n, bool *zero)
{
    size_t size, class = class_of(n, &size);
    struct spare *s = spare[class];
    *zero = !s;
    if (s) {
        spare[class] = s->next;
        return s;
    }
    if (!area) {
        void *at = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            return NULL;
        (void)madvise(at, AREA, MADV_HUGEPAGE);
        area = fresh = at;
        area_end = area + AREA;
    }
    size_t need = sizeof(struct head) + (size + 15) / 16 * 16;
    if (need > (size_t)(area_end - fresh))
        return NULL;
    struct head *h = (struct head *)(void *)fresh;
    fresh += need;
    *h = (struct head){class, (size + 2 * sizeof(size_t)) | 2};
    return h + 1;
}

static size_t block_size(const void *p)
{
    return (((const struct head *)p - 1)->size & ~(size_t)7) - 2 * sizeof(size_t);
}

void *malloc(size_t size)
{
    bool zero;
    void *p = size < AREA ? block_take(size, &zero) : NULL;
    if (!p)
        errno = ENOMEM;
    return p;
}

void *calloc(size_t n, size_t size)
{
    bool zero;
    size_t all;
    void *p = NULL;
    if (!__builtin_mul_overflow(n, size, &all) && all < AREA)
        p = block_take(all, &zero);
    if (!p)
        errno = ENOMEM;
    else if (!zero)
        memset(p, 0, all);
    return p;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (size > AREA / 2 || alignment > AREA / 4)
        return NULL;
    char *p = malloc(alignment > 16 ? size + alignment : size);
    size_t on = p ? -(uintptr_t)p & (alignment - 1) : 0;
    if (on == 0)
        return p;
    size_t left = block_size(p) - on;
    p += on;
    ((struct head *)(void *)p)[-1] = (struct head){CLASSES + on, (left + 2 * sizeof(size_t)) | 2};
    return p;
}

void free(void *p)
{
    if (!in_area(p)) {
        __libc_free(p);
        return;
    }
    size_t class = ((struct head *)p - 1)->class;
    if (class > CLASSES) {
        p = (char *)p - (class - CLASSES);
        class = ((struct head *)p - 1)->class;
    }
    struct spare *s = p, **list = &spare[class];
    s->next = *list;
    *list = s;
}

void *realloc(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    if (!in_area(p))
        return __libc_realloc(p, size);
    if (size == 0) {
        free(p);
        return NULL;
    }
    size_t before = block_size(p);
    if (size <= before && size > before / 2)
        return p;
    void *moved = malloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, p, before < size ? before : size);
    free(p);
    return moved;
}

#else

void memory_forked(void)
{
}

#endif
