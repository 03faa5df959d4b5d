#include "core/data/splitter.h"

#include <string.h>

/* JSON may write a byte as \u00XX: a line is at most so much longer than its text, and the other
 * fields. */
#define JSON_ESCAPE_BYTES 6
#define JSON_OTHER_BYTES (1u << 20)
/* Of a file's first block: more invalid bytes than that are another encoding or no text. Latin-1
 * text of a western language has up to 8 %, and is skipped as one document that is not UTF-8. */
#define INVALID_SHARE_MAX 0.15

enum mode { MODE_UNKNOWN, MODE_JSON, MODE_PLAIN };

struct run {
    struct splitter *s;
    struct reader_file *file;
    enum mode mode;
    bool must_be_json;
    bool over;     /* what is being gathered is too long: dropped up to its end */
    size_t len;    /* its length, dropped bytes included */
    uint64_t line; /* of the next byte, from 1 */
    uint64_t records;
};

void splitter_init(struct splitter *s, const struct document_rules *rules,
                   const struct reader_sink *sink)
{
    uint64_t max = rules->bytes_max * JSON_ESCAPE_BYTES + JSON_OTHER_BYTES;
    s->rules = rules;
    s->sink = sink;
    buf_init(&s->text, max);
}

void splitter_free(struct splitter *s)
{
    buf_free(&s->text);
}

static size_t invalid_bytes(const unsigned char *p, size_t len)
{
    size_t bad = 0;
    for (size_t i = 0; i < len;) {
        size_t more = p[i] < 0x80 ? 0 : p[i] >= 0xf0 ? 3 : p[i] >= 0xe0 ? 2 : p[i] >= 0xc2 ? 1 : 9;
        size_t k = 1;
        while (k <= more && i + k < len && (p[i + k] & 0xc0) == 0x80)
            k++;
        bool whole = more < 9 && (k > more || i + k >= len);
        bad += whole ? 0 : 1;
        i += whole ? k : 1;
    }
    return bad;
}

static int check_text(const char *data, size_t len, const struct reader_file *file, struct err *e)
{
    bool utf16 = len >= 2 && (!memcmp(data, "\xff\xfe", 2) || !memcmp(data, "\xfe\xff", 2));
    if (utf16)
        return err_set(e, ERR_FORMAT, "%s is in UTF-16: convert it to UTF-8 with iconv",
                       file->name);
    if (memchr(data, 0, len))
        return err_set(e, ERR_FORMAT, "%s is binary, not text: leave it out", file->name);
    if ((double)invalid_bytes((const unsigned char *)data, len) > INVALID_SHARE_MAX * (double)len)
        return err_set(e, ERR_FORMAT,
                       "%s is not text in UTF-8: convert it with iconv, or leave it out",
                       file->name);
    return 0;
}

static size_t blanks(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n'))
        i++;
    return i;
}

static int emit(struct run *r, const char *data, size_t len, struct err *e)
{
    struct reader_record record = {.data = data, .len = len};
    r->records++;
    return r->s->sink->record(r->s->sink->arg, r->file, &record, e);
}

/* Adds to what is being gathered, up to what its kind may have. */
static int gather(struct run *r, const char *data, size_t len, struct err *e)
{
    size_t max = r->mode == MODE_PLAIN ? r->s->rules->bytes_max : r->s->text.max;
    r->len += len;
    if (r->over || r->len > max) {
        r->over = true;
        buf_reset(&r->s->text);
        return 0;
    }
    return buf_append(&r->s->text, data, len, e);
}

/* Ends a line of JSON or a text. */
static int finish(struct run *r, struct err *e)
{
    int rc = 0;
    if (r->over)
        rc = emit(r, NULL, r->len, e);
    else if (r->mode == MODE_PLAIN || blanks(r->s->text.data, r->s->text.len) < r->s->text.len)
        rc = emit(r, r->s->text.data, r->s->text.len, e);
    buf_reset(&r->s->text);
    r->over = false;
    r->len = 0;
    return rc;
}

/* What the file is, once its first line that is not blank is there (in s->text). */
static int decide(struct run *r, struct err *e)
{
    struct document d;
    struct err why = {0};
    const char *text = r->s->text.data ? r->s->text.data : "";
    size_t skip = blanks(text, r->s->text.len);
    enum document_status status =
        document_read(&d, r->s->rules, text + skip, r->s->text.len - skip, true, &why);
    if (status == DOCUMENT_OK)
        document_free(&d);
    bool json = status != DOCUMENT_JSON && status != DOCUMENT_UTF8;
    if (!json && r->must_be_json)
        return err_set(e, ERR_FORMAT, "%s:%llu: %s", r->file->name, (unsigned long long)r->line,
                       why.message);
    r->mode = json ? MODE_JSON : MODE_PLAIN;
    r->file->json = json;
    return json ? finish(r, e) : 0;
}

/* Part of a line, or (ends) its end. */
static int take_unknown(struct run *r, const char *data, size_t len, bool ends, struct err *e)
{
    int rc = gather(r, data, len, e);
    if (rc)
        return rc;
    size_t at = r->s->text.data ? blanks(r->s->text.data, r->s->text.len) : 0;
    bool blank = at == r->s->text.len;
    if (!blank && !r->must_be_json && r->s->text.data[at] != '{')
        r->mode = MODE_PLAIN;
    else if ((!blank && ends) || r->over)
        return decide(r, e);
    return 0;
}

static int take(struct run *r, const char *data, size_t len, struct err *e)
{
    while (len) {
        if (r->mode == MODE_PLAIN)
            return gather(r, data, len, e);
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) + 1 : len;
        int rc;
        if (r->mode == MODE_UNKNOWN)
            rc = take_unknown(r, data, n, nl != NULL, e);
        else if (nl && !r->len) /* a line that need not be copied */
            rc = blanks(data, n) < n ? emit(r, data, n, e) : 0;
        else {
            rc = gather(r, data, n, e);
            if (!rc && nl)
                rc = finish(r, e);
        }
        if (rc)
            return rc;
        r->line += nl != NULL;
        data += n;
        len -= n;
    }
    return 0;
}

static int take_all(struct run *r, struct feed *feed, bool named, struct err *e)
{
    const char *data;
    size_t len;
    int rc = feed_peek(feed, &data, &len, e);
    if (rc)
        return rc;
    if (!len && named)
        return err_set(e, ERR_INVALID, "%s is empty: give a file with text", r->file->name);
    rc = check_text(data, len, r->file, e);
    bool mark = len >= 3 && !memcmp(data, "\xef\xbb\xbf", 3);
    while (!rc) {
        rc = feed_next(feed, &data, &len, e);
        if (rc || !len)
            break;
        rc = take(r, data + (mark ? 3 : 0), len - (mark ? 3 : 0), e);
        mark = false;
    }
    if (!rc && r->mode == MODE_UNKNOWN && r->len)
        rc = decide(r, e);
    if (rc)
        return rc;
    if (r->mode == MODE_JSON)
        return r->len ? finish(r, e) : 0;
    r->mode = MODE_PLAIN;
    return finish(r, e);
}

int splitter_run(struct splitter *s, struct feed *feed, struct reader_file *file, bool must_be_json,
                 bool named, struct err *e)
{
    struct run r = {.s = s, .file = file, .must_be_json = must_be_json, .line = 1};
    file->json = false;
    buf_reset(&s->text);
    int rc = take_all(&r, feed, named, e);
    if (!rc)
        rc = s->sink->file_end(s->sink->arg, file, e);
    if (s->text.cap > 1u << 20) /* one long document does not keep its memory */
        buf_free(&s->text);
    return rc;
}
