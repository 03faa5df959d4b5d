#include "core/data/bpe.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"

#define NONE UINT32_MAX
#define TEXT_MAX (1u << 30)

struct piece {
    uint32_t at, len, id;
    float score;
};

struct pair {
    uint32_t left, right, joined; /* ids; left NONE: free */
    float score;
};

struct bpe {
    struct buf text; /* of all pieces */
    struct piece *pieces;
    size_t count, cap;
    uint32_t *by_text; /* hash table of indices into pieces, NONE: free; a power of two */
    size_t by_text_size;
    struct pair *pairs; /* hash table; a power of two, at most half full */
    size_t pairs_size, pairs_count;
    uint32_t bytes[256];
};

int bpe_create(struct bpe **out, struct err *e)
{
    struct bpe *b = *out = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NO_MEMORY, "no memory for a vocabulary");
    buf_init(&b->text, TEXT_MAX);
    memset(b->bytes, 0xff, sizeof b->bytes);
    return 0;
}

void bpe_destroy(struct bpe *b)
{
    if (!b)
        return;
    buf_free(&b->text);
    free(b->pieces);
    free(b->by_text);
    free(b->pairs);
    free(b);
}

int bpe_add(struct bpe *b, uint32_t id, const char *text, size_t len, float score, struct err *e)
{
    if (b->count == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 1024;
        struct piece *more = realloc(b->pieces, cap * sizeof *more);
        if (!more)
            return err_set(e, ERR_NO_MEMORY, "no memory for a vocabulary of %zu", cap);
        b->pieces = more;
        b->cap = cap;
    }
    b->pieces[b->count++] = (struct piece){(uint32_t)b->text.len, (uint32_t)len, id, score};
    return buf_append(&b->text, text, len, e);
}

void bpe_add_byte(struct bpe *b, uint8_t byte, uint32_t id)
{
    b->bytes[byte] = id;
}

/* FNV-1a: pieces are a few bytes long. */
static size_t hash_text(const char *s, size_t len)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)s[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static size_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 32);
}

static const struct piece *find(const struct bpe *b, const char *s, size_t len)
{
    size_t mask = b->by_text_size - 1;
    for (size_t i = hash_text(s, len) & mask; b->by_text[i] != NONE; i = (i + 1) & mask) {
        const struct piece *p = &b->pieces[b->by_text[i]];
        if (p->len == len && !memcmp(b->text.data + p->at, s, len))
            return p;
    }
    return NULL;
}

static const struct pair *find_pair(const struct bpe *b, uint32_t left, uint32_t right)
{
    size_t mask = b->pairs_size - 1;
    for (size_t i = hash_pair(left, right) & mask; b->pairs[i].left != NONE; i = (i + 1) & mask)
        if (b->pairs[i].left == left && b->pairs[i].right == right)
            return &b->pairs[i];
    return NULL;
}

static size_t character(const char *s, size_t len)
{
    size_t n = 1;
    while (n < len && n < 4 && ((uint8_t)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static bool make_pairs(struct bpe *b, size_t size)
{
    free(b->pairs);
    b->pairs = malloc(size * sizeof *b->pairs);
    if (!b->pairs)
        return false;
    for (size_t i = 0; i < size; i++)
        b->pairs[i].left = NONE;
    b->pairs_size = size;
    b->pairs_count = 0;
    return true;
}

static void add_pair(struct bpe *b, uint32_t left, uint32_t right, const struct piece *joined)
{
    size_t mask = b->pairs_size - 1, i = hash_pair(left, right) & mask;
    while (b->pairs[i].left != NONE)
        i = (i + 1) & mask;
    b->pairs[i] = (struct pair){left, right, joined->id, joined->score};
    b->pairs_count++;
}

/* Every way to join a piece out of two. False where the table got more than half full. */
static bool fill_pairs(struct bpe *b)
{
    for (size_t k = 0; k < b->count; k++) {
        const struct piece *p = &b->pieces[k];
        const char *s = b->text.data + p->at;
        for (size_t at = character(s, p->len); at < p->len; at += character(s + at, p->len - at)) {
            const struct piece *left = find(b, s, at), *right = find(b, s + at, p->len - at);
            if (!left || !right)
                continue;
            if (2 * b->pairs_count >= b->pairs_size)
                return false;
            add_pair(b, left->id, right->id, p);
        }
    }
    return true;
}

static bool characters_are_pieces(const struct bpe *b)
{
    for (size_t k = 0; k < b->count; k++) {
        const char *s = b->text.data + b->pieces[k].at;
        size_t len = b->pieces[k].len;
        for (size_t at = 0, n; at < len; at += n) {
            n = character(s + at, len - at);
            if (!find(b, s + at, n))
                return false;
        }
    }
    for (int i = 0; i < 256; i++)
        if (b->bytes[i] == NONE)
            return false;
    return b->count > 0;
}

int bpe_seal(struct bpe *b, bool *usable, struct err *e)
{
    *usable = false;
    b->by_text_size = 1024;
    while (b->by_text_size < 2 * b->count)
        b->by_text_size *= 2;
    b->by_text = malloc(b->by_text_size * sizeof *b->by_text);
    if (!b->by_text)
        return err_set(e, ERR_NO_MEMORY, "no memory for a vocabulary of %zu", b->count);
    memset(b->by_text, 0xff, b->by_text_size * sizeof *b->by_text);
    for (size_t k = 0; k < b->count; k++) {
        const struct piece *p = &b->pieces[k];
        const char *s = b->text.data + p->at;
        if (!p->len || find(b, s, p->len))
            return 0; /* no vocabulary of the library's has these */
        size_t i = hash_text(s, p->len) & (b->by_text_size - 1);
        while (b->by_text[i] != NONE)
            i = (i + 1) & (b->by_text_size - 1);
        b->by_text[i] = (uint32_t)k;
    }
    if (!characters_are_pieces(b))
        return 0;
    size_t size = 4 * b->by_text_size;
    do {
        if (!make_pairs(b, size))
            return err_set(e, ERR_NO_MEMORY, "no memory for a vocabulary of %zu", b->count);
        size *= 2;
    } while (!fill_pairs(b));
    *usable = true;
    return 0;
}

struct symbol {
    uint32_t id;     /* NONE: no piece */
    uint16_t at;     /* where it starts in the word */
    uint32_t joined; /* with the next one; NONE: they do not join */
    float score;
};

static void look_ahead(const struct bpe *b, struct symbol *s, bool last)
{
    s->joined = NONE;
    if (last || s->id == NONE || s[1].id == NONE)
        return;
    const struct pair *p = find_pair(b, s->id, s[1].id);
    if (p) {
        s->joined = p->joined;
        s->score = p->score;
    }
}

static size_t merge_all(const struct bpe *b, struct symbol *s, size_t n)
{
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (s[i].joined != NONE && (best == n || s[i].score > s[best].score))
                best = i;
        if (best == n)
            return n;
        s[best].id = s[best].joined;
        memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
        n--;
        look_ahead(b, s + best, best + 1 == n);
        if (best)
            look_ahead(b, s + best - 1, false);
    }
}

size_t bpe_word(const struct bpe *b, const char *word, size_t len, uint32_t *ids)
{
    struct symbol s[BPE_WORD_MAX];
    size_t n = 0, count = 0;
    for (size_t at = 0, c; at < len; at += c) {
        c = character(word + at, len - at);
        const struct piece *p = find(b, word + at, c);
        s[n].id = p ? p->id : NONE;
        s[n++].at = (uint16_t)at;
    }
    for (size_t i = 0; i < n; i++)
        look_ahead(b, s + i, i + 1 == n);
    n = merge_all(b, s, n);
    for (size_t i = 0; i < n; i++) {
        if (s[i].id != NONE) {
            ids[count++] = s[i].id;
            continue;
        }
        size_t end = i + 1 < n ? s[i + 1].at : len;
        for (size_t k = s[i].at; k < end; k++)
            ids[count++] = b->bytes[(uint8_t)word[k]];
    }
    return count;
}
