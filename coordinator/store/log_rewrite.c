/* The log's format is SQLite's (sqlite.org/walformat.html), numbers big-endian:
 *
 *     header  32 bytes: at 8 the size of a page
 *     frame   24 bytes: at 0 the number of the page, from 1; then the page
 */
#include "coordinator/store/log_rewrite.h"

#include <stdlib.h>

#define LOG_HEADER 32
#define FRAME_HEADER 24
/* Of the shared memory's locks: who holds it alone writes the log back. */
#define CHECKPOINT_LOCK 1

struct logged {
    uint32_t page, frame;
};

struct rewrite {
    sqlite3_file *file, *log;
    uint32_t page_bytes;
    uint8_t *page;
    struct logged *list;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t frame_offset(const struct rewrite *x, uint32_t frame)
{
    return LOG_HEADER + (int64_t)(frame - 1) * (FRAME_HEADER + (int64_t)x->page_bytes);
}

static int by_page_and_frame(const void *a, const void *b)
{
    const struct logged *x = a, *y = b;
    if (x->page != y->page)
        return x->page < y->page ? -1 : 1;
    return (x->frame > y->frame) - (x->frame < y->frame);
}

static int read_list(struct rewrite *x, uint32_t pages)
{
    uint8_t header[LOG_HEADER];
    int rc = x->log->pMethods->xRead(x->log, header, sizeof header, 0);
    if (rc != SQLITE_OK)
        return rc;
    x->page_bytes = be32(header + 8);
    if (x->page_bytes < 512 || x->page_bytes > 65536)
        return SQLITE_CORRUPT;
    x->list = malloc(pages * sizeof *x->list);
    x->page = malloc(x->page_bytes);
    if (!x->list || !x->page)
        return SQLITE_NOMEM;
    for (uint32_t i = 0; rc == SQLITE_OK && i < pages; i++) {
        rc = x->log->pMethods->xRead(x->log, header, FRAME_HEADER, frame_offset(x, i + 1));
        x->list[i] = (struct logged){be32(header), i + 1};
        if (rc == SQLITE_OK && x->list[i].page == 0)
            rc = SQLITE_CORRUPT;
    }
    return rc;
}

/* Of each page its last version alone: readers may be looking at the file, where it is already. */
static int write_pages(struct rewrite *x, uint32_t pages)
{
    int rc = SQLITE_OK;
    qsort(x->list, pages, sizeof *x->list, by_page_and_frame);
    for (uint32_t i = 0; rc == SQLITE_OK && i < pages; i++) {
        if (i + 1 < pages && x->list[i + 1].page == x->list[i].page)
            continue;
        rc = x->log->pMethods->xRead(x->log, x->page, (int)x->page_bytes,
                                     frame_offset(x, x->list[i].frame) + FRAME_HEADER);
        if (rc == SQLITE_OK)
            rc = x->file->pMethods->xWrite(x->file, x->page, (int)x->page_bytes,
                                           (int64_t)(x->list[i].page - 1) * x->page_bytes);
    }
    return rc == SQLITE_OK ? x->file->pMethods->xSync(x->file, SQLITE_SYNC_NORMAL) : rc;
}

int log_rewrite(sqlite3 *db, uint32_t pages)
{
    struct rewrite x = {0};
    int rc = sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &x.file);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &x.log);
    if (rc != SQLITE_OK || pages == 0)
        return rc;
    /* Another program that writes the log back meanwhile would write newer versions. */
    rc = x.file->pMethods->xShmLock(x.file, CHECKPOINT_LOCK, 1,
                                    SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    if (rc != SQLITE_OK)
        return rc;
    rc = read_list(&x, pages);
    if (rc == SQLITE_OK)
        rc = write_pages(&x, pages);
    x.file->pMethods->xShmLock(x.file, CHECKPOINT_LOCK, 1,
                               SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    free(x.list);
    free(x.page);
    return rc;
}
