#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 64 /* one short header line: most buffers never grow past a few doublings */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

static int buf_grow(struct buf *b, size_t len, struct err *e)
{
    if (len > b->max - b->len || b->len + len == SIZE_MAX)
        return err_set(e, ERR_TOO_LARGE, "%zu bytes after %zu: more than the limit of %zu", len,
                       b->len, b->max);
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        size_t cap = b->cap > SIZE_MAX / 2 ? need : 2 * b->cap;
        if (b->max < SIZE_MAX && cap > b->max + 1)
            cap = b->max + 1;
        if (cap < BUF_CAP_MIN)
            cap = BUF_CAP_MIN;
        if (cap < need)
            cap = need;
        char *data = realloc(b->data, cap);
        if (data == NULL)
            return err_set(e, ERR_NO_MEMORY, "no memory for a buffer of %zu bytes", cap);
        b->data = data;
        b->cap = cap;
    }
    b->data[b->len] = '\0';
    b->data[need - 1] = '\0';
    return 0;
}

char *buf_reserve(struct buf *b, size_t len, struct err *e)
{
    return buf_grow(b, len, e) == 0 ? b->data + b->len : NULL;
}

int buf_append(struct buf *b, const void *data, size_t len, struct err *e)
{
    int rc = buf_grow(b, len, e);

    if (rc != 0)
        return rc;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return err_set(e, ERR_INTERNAL, "text that cannot be formatted");
    int rc = buf_grow(b, (size_t)len, e);
    if (rc != 0)
        return rc;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
    return 0;
}

char *buf_take(struct buf *b)
{
    char *data = b->data;

    if (data == NULL)
        return strdup("");
    data[b->len] = '\0';
    buf_init(b, b->max);
    return data;
}
