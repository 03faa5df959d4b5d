/* tokenizer.json, as the libraries `tokenizers` and transformers.js read it, from SentencePiece's
 * pieces.
 *
 * BPE: there, merges are pairs in the order of their rank; here, a piece has a score, and any two
 * pieces that make it up may merge. So the pairs of a piece are all its cuts into two pieces that
 * there are, ranked by the score of what they make; among those of one piece, the shorter left
 * part comes first. The two algorithms take the same pair next (best rank, then leftmost), but
 * where two pairs that make the same piece overlap, which real text does not have (tests). Bytes
 * of characters without a piece are pieces of their own on both sides, and merge with nothing.
 *
 * Unigram: pieces and scores as they are. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/export.h"

#define SPACE_MARK "\xe2\x96\x81"

/* --- merges ----------------------------------------------------------------------------------- */

struct merge {
    const char *text;
    uint32_t left; /* bytes of the left part */
    float score;
    uint32_t piece;
};

struct merges {
    const struct pieces *p;
    const struct piece **sorted; /* mergeable pieces by text */
    uint32_t sorted_count;
    struct merge *list;
    size_t count, cap;
};

static int by_text(const void *a, const void *b)
{
    const struct piece *const *x = a, *const *y = b;
    return strcmp((*x)->text, (*y)->text);
}

static int by_rank(const void *a, const void *b)
{
    const struct merge *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    if (x->piece != y->piece)
        return x->piece < y->piece ? -1 : 1;
    return x->left < y->left ? -1 : 1;
}

/* Whether the len bytes at s are a piece. */
static bool is_piece(const struct merges *m, const char *s, size_t len)
{
    uint32_t low = 0, high = m->sorted_count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const char *text = m->sorted[mid]->text;
        int order = strncmp(text, s, len);
        if (order == 0 && text[len] != '\0')
            order = 1;
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

static int add_merge(struct merges *m, uint32_t piece, uint32_t left, struct err *e)
{
    if (m->count == m->cap) {
        size_t cap = 2 * m->cap + 1024;
        struct merge *list = realloc(m->list, cap * sizeof *list);
        if (!list)
            return err_set(e, ERR_NO_MEMORY, "no memory for the merges of a tokenizer");
        m->list = list;
        m->cap = cap;
    }
    m->list[m->count++] = (struct merge){.text = m->p->list[piece].text,
                                         .left = left,
                                         .score = m->p->list[piece].score,
                                         .piece = piece};
    return 0;
}

static int cuts_of(struct merges *m, uint32_t piece, struct err *e)
{
    const char *text = m->p->list[piece].text;
    const size_t len = strlen(text);
    int rc = 0;
    for (size_t at = 1; !rc && at < len; at++)
        if (((unsigned char)text[at] & 0xc0) != 0x80 && is_piece(m, text, at) &&
            is_piece(m, text + at, len - at))
            rc = add_merge(m, piece, (uint32_t)at, e);
    return rc;
}

static int find_merges(struct merges *m, const struct pieces *p, struct err *e)
{
    *m = (struct merges){.p = p, .sorted = calloc(p->count, sizeof *m->sorted)};
    if (!m->sorted)
        return err_set(e, ERR_NO_MEMORY, "no memory for the merges of a tokenizer");
    for (uint32_t i = 0; i < p->count; i++)
        if (p->list[i].kind == PIECE_NORMAL)
            m->sorted[m->sorted_count++] = &p->list[i];
    qsort(m->sorted, m->sorted_count, sizeof *m->sorted, by_text);
    int rc = 0;
    for (uint32_t i = 0; !rc && i < p->count; i++)
        if (p->list[i].kind == PIECE_NORMAL)
            rc = cuts_of(m, i, e);
    if (!rc && m->count > 0)
        qsort(m->list, m->count, sizeof *m->list, by_rank);
    return rc;
}

/* --- the parts of the file -------------------------------------------------------------------- */

static json_t *replace(const char *kind, const char *from, const char *to)
{
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", kind, from, "content", to);
}

static json_t *base64(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((len + 2) / 3 * 4 + 1);
    size_t n = 0;
    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t left = (uint32_t)(len - i);
        const uint32_t word = (uint32_t)bytes[i] << 16 |
                              (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                              (left > 2 ? bytes[i + 2] : 0);
        text[n++] = digits[word >> 18];
        text[n++] = digits[word >> 12 & 63];
        text[n++] = left > 1 ? digits[word >> 6 & 63] : '=';
        text[n++] = left > 2 ? digits[word & 63] : '=';
    }
    json_t *out = json_stringn(text, n);
    free(text);
    return out;
}

static json_t *normalizer(const struct pieces *p)
{
    json_t *list = json_array();
    if (p->charsmap_bytes > 0)
        json_array_append_new(list,
                              json_pack("{s:s,s:o}", "type", "Precompiled", "precompiled_charsmap",
                                        base64(p->charsmap, p->charsmap_bytes)));
    if (p->remove_extra_spaces) {
        json_array_append_new(list, replace("Regex", "^ +| +$", ""));
        json_array_append_new(list, replace("Regex", " {2,}", " "));
    }
    if (p->dummy_prefix)
        json_array_append_new(list, json_pack("{s:s,s:s}", "type", "Prepend", "prepend",
                                              p->escape_spaces ? SPACE_MARK : " "));
    if (p->escape_spaces)
        json_array_append_new(list, replace("String", " ", SPACE_MARK));
    return json_pack("{s:s,s:o}", "type", "Sequence", "normalizers", list);
}

static json_t *decoder(const struct pieces *p)
{
    json_t *list = json_array();
    json_array_append_new(list, replace("String", SPACE_MARK, " "));
    json_array_append_new(list, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(list, json_pack("{s:s}", "type", "Fuse"));
    if (p->dummy_prefix)
        json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ",
                                              "start", 1, "stop", 0));
    return json_pack("{s:s,s:o}", "type", "Sequence", "decoders", list);
}

static json_t *special_pieces(const struct pieces *p)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < p->count; i++)
        if (p->list[i].kind == PIECE_UNKNOWN || p->list[i].kind == PIECE_CONTROL)
            json_array_append_new(list,
                                  json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)i,
                                            "content", p->list[i].text, "single_word", 0, "lstrip",
                                            0, "rstrip", 0, "normalized", 0, "special", 1));
    return list;
}

static json_t *bpe(const struct pieces *p, const struct merges *m)
{
    json_t *vocab = json_object(), *list = json_array();
    for (uint32_t i = 0; i < p->count; i++)
        json_object_set_new(vocab, p->list[i].text, json_integer(i));
    for (size_t i = 0; i < m->count; i++) {
        const struct merge *one = &m->list[i];
        json_array_append_new(
            list, json_pack("[o,s]", json_stringn(one->text, one->left), one->text + one->left));
    }
    return json_pack("{s:s,s:n,s:s,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout",
                     "unk_token", p->list[p->unknown].text, "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", 1, "byte_fallback", p->byte_fallback,
                     "ignore_merges", 0, "vocab", vocab, "merges", list);
}

static json_t *unigram(const struct pieces *p)
{
    json_t *vocab = json_array();
    for (uint32_t i = 0; i < p->count; i++)
        json_array_append_new(vocab, json_pack("[s,f]", p->list[i].text, (double)p->list[i].score));
    return json_pack("{s:s,s:I,s:o,s:b}", "type", "Unigram", "unk_id", (json_int_t)p->unknown,
                     "vocab", vocab, "byte_fallback", p->byte_fallback);
}

static int kinds_check(const struct pieces *p, struct err *e)
{
    if (p->model != PIECES_BPE && p->model != PIECES_UNIGRAM)
        return err_set(e, ERR_INVALID, "tokenizer.json: the tokenizer is neither BPE nor unigram");
    for (uint32_t i = 0; i < p->count; i++)
        if (p->list[i].kind == PIECE_USER_DEFINED || p->list[i].kind == PIECE_UNUSED)
            return err_set(e, ERR_INVALID,
                           "tokenizer.json: the tokenizer has %s pieces (\"%.40s\"), which have no "
                           "counterpart there",
                           p->list[i].kind == PIECE_UNUSED ? "unused" : "user-defined",
                           p->list[i].text);
    return 0;
}

int export_hf_tokenizer(const struct pieces *p, struct buf *out, struct err *e)
{
    struct merges m = {0};
    int rc = kinds_check(p, e);
    if (!rc && p->model == PIECES_BPE)
        rc = find_merges(&m, p, e);
    json_t *root =
        rc ? NULL
           : json_pack("{s:s,s:n,s:n,s:o,s:o,s:n,s:n,s:o,s:o}", "version", "1.0", "truncation",
                       "padding", "added_tokens", special_pieces(p), "normalizer", normalizer(p),
                       "pre_tokenizer", "post_processor", "decoder", decoder(p), "model",
                       p->model == PIECES_BPE ? bpe(p, &m) : unigram(p));
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    if (!rc && !text)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for tokenizer.json");
    if (!rc)
        rc = buf_append(out, text, strlen(text), e);
    free(text);
    json_decref(root);
    free(m.list);
    free(m.sorted);
    return rc;
}
