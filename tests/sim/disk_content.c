/* The bytes of a simulated file, in pages that contents share until one of them changes. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/disk_parts.h"

/* Pages come and go with every write: those that went, linked by their first bytes. */
static struct page *idle;

static struct page *page_take(void)
{
    struct page *p = idle;
    if (!p)
        p = malloc(sizeof *p);
    else
        memcpy(&idle, p->data, sizeof idle);
    if (!p)
        abort();
    return p;
}

static void page_drop(struct page *p)
{
    if (!p || --p->refs > 0)
        return;
    memcpy(p->data, &idle, sizeof idle);
    idle = p;
}

/* Page i for writing: there, and no one else's. whole: what is in it will be written over. */
static struct page *page_own(struct content *c, size_t i, bool whole)
{
    while (c->count <= i) {
        if (c->count == c->cap)
            c->pages = disk__grow(c->pages, &c->cap, sizeof *c->pages);
        c->pages[c->count++] = NULL;
    }
    struct page *old = c->pages[i];
    if (old && old->refs == 1)
        return old;
    struct page *own = page_take();
    own->refs = 1;
    if (old && !whole)
        memcpy(own->data, old->data, sizeof own->data);
    else if (!whole)
        memset(own->data, 0, sizeof own->data);
    page_drop(old);
    c->pages[i] = own;
    return own;
}

void content__write(struct content *c, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;
    if (offset + len > c->size)
        c->size = offset + len;
    while (len > 0) {
        size_t at = (size_t)(offset % SIM_DISK_PAGE), part = SIM_DISK_PAGE - at;
        if (part > len)
            part = len;
        memcpy(page_own(c, (size_t)(offset / SIM_DISK_PAGE), part == SIM_DISK_PAGE)->data + at,
               from, part);
        from += part;
        offset += part;
        len -= part;
    }
}

void content__truncate(struct content *c, uint64_t size)
{
    size_t keep = (size_t)((size + SIM_DISK_PAGE - 1) / SIM_DISK_PAGE);
    while (c->count > keep)
        page_drop(c->pages[--c->count]);
    size_t tail = (size_t)(size % SIM_DISK_PAGE);
    if (size < c->size && tail > 0 && keep == c->count && c->pages[keep - 1])
        memset(page_own(c, keep - 1, false)->data + tail, 0, SIM_DISK_PAGE - tail);
    c->size = size;
}

size_t content__read(const struct content *c, uint64_t offset, void *out, size_t len)
{
    uint8_t *to = out;
    if (offset >= c->size)
        return 0;
    if (len > c->size - offset)
        len = (size_t)(c->size - offset);
    for (size_t left = len; left > 0;) {
        size_t i = (size_t)(offset / SIM_DISK_PAGE), at = (size_t)(offset % SIM_DISK_PAGE);
        size_t part = SIM_DISK_PAGE - at < left ? SIM_DISK_PAGE - at : left;
        if (i < c->count && c->pages[i])
            memcpy(to, c->pages[i]->data + at, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        left -= part;
    }
    return len;
}

void content__share(struct content *to, const struct content *from, size_t first, size_t last)
{
    for (size_t i = first; i <= last && i < from->count; i++) {
        while (to->count <= i) {
            if (to->count == to->cap)
                to->pages = disk__grow(to->pages, &to->cap, sizeof *to->pages);
            to->pages[to->count++] = NULL;
        }
        struct page *p = from->pages[i];
        if (p)
            p->refs++;
        page_drop(to->pages[i]);
        to->pages[i] = p;
    }
}

void content__copy(struct content *to, const struct content *from)
{
    content__free(to);
    if (from->count > 0)
        content__share(to, from, 0, from->count - 1);
    to->size = from->size;
}

void content__free(struct content *c)
{
    for (size_t i = 0; i < c->count; i++)
        page_drop(c->pages[i]);
    free(c->pages);
    *c = (struct content){0};
}

size_t content__new_pages(const struct content *c, uint64_t offset, size_t len)
{
    size_t added = 0;
    if (len == 0)
        return 0;
    size_t last = (size_t)((offset + len - 1) / SIM_DISK_PAGE);
    for (size_t i = (size_t)(offset / SIM_DISK_PAGE); i <= last; i++)
        added += i >= c->count || !c->pages[i];
    return added;
}

size_t content__pages(const struct content *c)
{
    size_t pages = 0;
    for (size_t i = 0; i < c->count; i++)
        pages += c->pages[i] != NULL;
    return pages;
}
