#include "ops/serve/text_stream.h"

#include <string.h>

#define WINDOW_MAX (1u << 16) /* bytes */
#define WINDOW_TOKENS 24      /* a longer one begins anew with its last ones */
#define WINDOW_KEPT 6
#define REPLACEMENT "\xEF\xBF\xBD" /* what an incomplete character decodes to */

static int decode(struct words *w, const uint32_t *ids, uint32_t to, struct err *e)
{
    buf_reset(&w->window);
    return tokenizer_decode(w->tokenizer, ids + w->from, to - w->from, &w->window, e);
}

int words_begin(struct words *w, const struct tokenizer *t, const uint32_t *ids, uint32_t at,
                struct err *e)
{
    *w = (struct words){.tokenizer = t, .from = at > WINDOW_KEPT ? at - WINDOW_KEPT : 0, .to = at};
    buf_init(&w->window, WINDOW_MAX);
    int rc = decode(w, ids, at, e);
    w->told = w->window.len;
    return rc;
}

void words_end(struct words *w)
{
    buf_free(&w->window);
}

static bool ends_open(const struct buf *b, size_t from)
{
    const size_t len = strlen(REPLACEMENT);
    return b->len >= from + len && memcmp(b->data + b->len - len, REPLACEMENT, len) == 0;
}

int words_next(struct words *w, const uint32_t *ids, uint32_t count, bool last, struct buf *out,
               struct err *e)
{
    int rc = decode(w, ids, count, e);
    /* Four tokens make a character; what is still open then never closes. */
    if (rc || (!last && count - w->to < 4 && ends_open(&w->window, w->told)))
        return rc;
    if (w->window.len > w->told)
        rc = buf_append(out, w->window.data + w->told, w->window.len - w->told, e);
    w->told = w->window.len;
    w->to = count;
    if (rc || count - w->from <= WINDOW_TOKENS)
        return rc;
    w->from = count - WINDOW_KEPT;
    rc = decode(w, ids, count, e);
    w->told = w->window.len;
    return rc;
}

int words_piece(const struct tokenizer *t, uint32_t after, uint32_t id, struct buf *out,
                struct err *e)
{
    const uint32_t pair[] = {after, id};
    struct buf both;
    buf_init(&both, WINDOW_MAX);
    buf_reset(out);
    int rc = tokenizer_decode(t, pair, 1, &both, e);
    const size_t first = both.len;
    buf_reset(&both);
    if (!rc)
        rc = tokenizer_decode(t, pair, 2, &both, e);
    if (!rc && (both.len <= first || strstr(both.data + first, REPLACEMENT) ||
                memchr(both.data, 0, both.len)))
        rc = buf_printf(out, e, "token_id:%u", id);
    else if (!rc)
        rc = buf_append(out, both.data + first, both.len - first, e);
    buf_free(&both);
    return rc;
}
