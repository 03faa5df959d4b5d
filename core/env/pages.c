#include "core/env/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
/* Less than two of them would mostly be rounding. */
#define HUGE_MIN (2 * HUGE_PAGE)

void *env_pages_take(size_t bytes)
{
    const size_t extra = bytes >= HUGE_MIN ? HUGE_PAGE : 0;
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    char *p = mmap(NULL, bytes + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (extra == 0)
        return p;
    /* Begin where a huge page does; what is before and after goes back, as far as it is pages. */
    const size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    const size_t after = (extra - before) / 4096 * 4096;
    if (before > 0)
        munmap(p, before);
    if (after > 0)
        munmap(p + before + (bytes + 4095) / 4096 * 4096, after);
    madvise(p + before, bytes, MADV_HUGEPAGE); /* a wish: systems without them go on */
    return p + before;
}

void env_pages_give(void *pages, size_t bytes)
{
    if (pages != NULL)
        munmap(pages, bytes);
}
