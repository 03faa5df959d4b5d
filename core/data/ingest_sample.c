#include "core/data/ingest_parts.h"

#include <stdlib.h>
#include <string.h>

/* Of the sample: more pieces need more text to be told apart, though little. Bytes a token of 1,024
 * pieces with 2.5 and 9 MB: 2.086, 2.088, in 3 and 12 seconds; of 4,096 with 2.5, 5 and 9
 * MB: 2.967, 2.975, 2.978. */
#define SAMPLE_BYTES_PER_PIECE 1280
#define SAMPLE_BYTES_MIN (5u << 19)
#define SAMPLE_BYTES_MAX (24u << 20)
#define SAMPLE_LINES 400000
/* Longer lines are cut into pieces of about this length: what the trainer takes as one sentence. */
#define LINE_BYTES 2000
#define ENTRY_HEAD 12

void sample_init(struct sample *s, uint32_t vocab)
{
    uint64_t want = (uint64_t)vocab * SAMPLE_BYTES_PER_PIECE;
    memset(s, 0, sizeof *s);
    s->text_max = want < SAMPLE_BYTES_MIN   ? SAMPLE_BYTES_MIN
                  : want > SAMPLE_BYTES_MAX ? SAMPLE_BYTES_MAX
                                            : want;
    buf_init(&s->bytes, SIZE_MAX / 2);
    s->threshold = UINT64_MAX;
}

void sample_free(struct sample *s)
{
    buf_free(&s->bytes);
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit depends on every bit. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static size_t piece_length(const char *s, size_t len)
{
    if (len <= LINE_BYTES)
        return len;
    size_t n = LINE_BYTES;
    while (n > LINE_BYTES / 2 && s[n] != ' ')
        n--;
    if (n > LINE_BYTES / 2)
        return n;
    for (n = LINE_BYTES; n > LINE_BYTES - 4 && ((unsigned char)s[n] & 0xc0) == 0x80;)
        n--;
    return n;
}

int sample_lines(struct buf *out, const struct document *d, uint64_t place, uint64_t threshold,
                 struct err *e)
{
    uint64_t key = d->fraction + mix(place); /* copies of a document are drawn from apart */
    uint64_t number = 0;
    for (size_t i = 0; i < d->len;) {
        const char *p = d->text + i, *nl = memchr(p, '\n', d->len - i);
        size_t line = nl ? (size_t)(nl - p) : d->len - i;
        size_t n = piece_length(p, line);
        uint64_t h = mix(key + mix(++number));
        i += n + (n == line && nl ? 1 : 0);
        if (!n || h > threshold)
            continue;
        uint32_t len32 = (uint32_t)n;
        char head[ENTRY_HEAD];
        memcpy(head, &h, 8);
        memcpy(head + 8, &len32, 4);
        int rc = buf_append(out, head, sizeof head, e);
        if (!rc)
            rc = buf_append(out, p, n, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* Copies the entries under the threshold to `to`, which may be where they are. */
static void keep(struct sample *s, const char *from, size_t len, char *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < len;) {
        uint64_t h;
        uint32_t n;
        memcpy(&h, from + i, 8);
        memcpy(&n, from + i + 8, 4);
        if (h <= s->threshold) {
            memmove(to + kept, from + i, ENTRY_HEAD + n);
            kept += ENTRY_HEAD + n;
            s->lines++;
            s->text += n;
        }
        i += ENTRY_HEAD + n;
    }
    s->bytes.len += kept;
}

int sample_add(struct sample *s, const struct buf *entries, struct err *e)
{
    char *to = buf_reserve(&s->bytes, entries->len, e);
    if (!to)
        return ERR_NO_MEMORY;
    keep(s, entries->data, entries->len, to);
    while (s->text > s->text_max || s->lines > SAMPLE_LINES) {
        size_t len = s->bytes.len;
        s->threshold /= 2;
        s->bytes.len = 0;
        s->lines = s->text = 0;
        keep(s, s->bytes.data, len, s->bytes.data);
    }
    return 0;
}

int sample_estimate(const struct sample *s, const struct tokenizer *t, uint64_t text,
                    double *tokens, struct err *e)
{
    uint32_t *ids = NULL;
    size_t cap = 0, count;
    uint64_t sum = s->lines; /* a line's end is a token, or makes part of one */
    int rc = 0;
    for (size_t i = 0; i < s->bytes.len && !rc;) {
        uint32_t n;
        count = 0;
        memcpy(&n, s->bytes.data + i + 8, 4);
        rc = tokenizer_encode(t, s->bytes.data + i + ENTRY_HEAD, n, &ids, &count, &cap, e);
        sum += count;
        i += ENTRY_HEAD + n;
    }
    free(ids);
    *tokens = (double)sum * (double)text / (double)(s->text + s->lines);
    return rc;
}

int sample_write(const struct sample *s, const char *path, struct err *e)
{
    struct env_file_new f;
    struct buf lines;
    buf_init(&lines, SIZE_MAX / 2);
    int rc = env_file_new_open(&f, path, 0600, e);
    for (size_t i = 0; i < s->bytes.len && !rc;) {
        uint32_t n;
        memcpy(&n, s->bytes.data + i + 8, 4);
        rc = buf_append(&lines, s->bytes.data + i + ENTRY_HEAD, n, e);
        if (!rc)
            rc = buf_append(&lines, "\n", 1, e);
        i += ENTRY_HEAD + n;
        if (!rc && (lines.len > (1u << 20) || i == s->bytes.len)) {
            rc = env_file_new_write(&f, lines.data, lines.len, e);
            buf_reset(&lines);
        }
    }
    if (!rc)
        rc = env_file_new_commit(&f, e);
    env_file_new_abandon(&f);
    buf_free(&lines);
    return rc;
}
