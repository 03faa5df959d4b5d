/* Protocol buffers, as far as this file has them: a message is fields, each a varint of number and
 * wire type, then a varint (0), eight bytes (1), a length and as many bytes (2), or four bytes (5).
 * Fields may come in any order and twice (the last one counts); unknown ones are passed over. */
#include "core/data/pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/base/text.h"

#define PIECES_MAX (1u << 20) /* model_config_check's largest vocabulary */

struct cursor {
    const uint8_t *at, *end;
};

struct field_read {
    uint32_t number, wire;
    uint64_t value;       /* wire 0 */
    const uint8_t *bytes; /* wire 1, 2, 5 */
    size_t len;
};

static int malformed(struct err *e)
{
    return err_set(e, ERR_FORMAT, "not a SentencePiece model: its fields do not add up");
}

static bool varint(struct cursor *c, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        const uint8_t byte = *c->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* False at the end, or with *rc set. */
static bool field_next(struct cursor *c, struct field_read *f, int *rc, struct err *e)
{
    uint64_t tag, len = 0;
    if (*rc || c->at == c->end)
        return false;
    *rc = varint(c, &tag) ? 0 : malformed(e);
    f->number = (uint32_t)(tag >> 3);
    f->wire = (uint32_t)(tag & 7);
    f->value = 0;
    if (!*rc && f->wire == 0)
        *rc = varint(c, &f->value) ? 0 : malformed(e);
    else if (!*rc && f->wire == 2)
        *rc = varint(c, &len) ? 0 : malformed(e);
    else if (!*rc)
        len = f->wire == 1 ? 8 : 4;
    if (!*rc && ((f->wire != 0 && f->wire != 1 && f->wire != 2 && f->wire != 5) ||
                 len > (uint64_t)(c->end - c->at)))
        *rc = malformed(e);
    if (*rc)
        return false;
    f->bytes = c->at;
    f->len = (size_t)len;
    c->at += len;
    return true;
}

/* SentencePiece: piece = 1, score = 2, type = 3. The text goes to the end of p->texts. */
static int piece_read(struct pieces *p, const struct field_read *of, size_t *used, struct err *e)
{
    struct cursor c = {of->bytes, of->bytes + of->len};
    struct field_read f;
    struct piece *piece = &p->list[p->count];
    const uint8_t *text = NULL;
    size_t len = 0;
    int rc = 0;
    piece->kind = PIECE_NORMAL;
    while (field_next(&c, &f, &rc, e)) {
        if (f.number == 1 && f.wire == 2) {
            text = f.bytes;
            len = f.len;
        } else if (f.number == 2 && f.wire == 5) {
            piece->score = lef32_get(f.bytes);
        } else if (f.number == 3 && f.wire == 0) {
            if (f.value < PIECE_NORMAL || f.value > PIECE_BYTE)
                return err_set(e, ERR_FORMAT, "piece %u is of an unknown kind", p->count);
            piece->kind = (enum piece_kind)f.value;
        }
    }
    if (rc)
        return rc;
    if (!isfinite(piece->score))
        return err_set(e, ERR_FORMAT, "the score of piece %u is no finite number", p->count);
    if (len == 0 || !text_is_utf8((const char *)text, len))
        return err_set(e, ERR_FORMAT, "piece %u of the SentencePiece model is no text", p->count);
    piece->text = p->texts + *used;
    memcpy(p->texts + *used, text, len);
    *used += len + 1;
    p->count++;
    return 0;
}

/* TrainerSpec: model_type = 3, byte_fallback = 35, eos_id = 42. */
static int trainer_read(struct pieces *p, const struct field_read *of, struct err *e)
{
    struct cursor c = {of->bytes, of->bytes + of->len};
    struct field_read f;
    int rc = 0;
    while (field_next(&c, &f, &rc, e))
        if (f.number == 3 && f.wire == 0 && f.value >= PIECES_UNIGRAM && f.value <= PIECES_CHAR)
            p->model = (enum pieces_model)f.value;
        else if (f.number == 35 && f.wire == 0)
            p->byte_fallback = f.value != 0;
        else if (f.number == 42 && f.wire == 0)
            p->end = (uint32_t)f.value;
    return rc;
}

/* NormalizerSpec: precompiled_charsmap = 2, add_dummy_prefix = 3, remove_extra_whitespaces = 4,
 * escape_whitespaces = 5. */
static int normalizer_read(struct pieces *p, const struct field_read *of, struct err *e)
{
    struct cursor c = {of->bytes, of->bytes + of->len};
    struct field_read f, map = {0};
    int rc = 0;
    while (field_next(&c, &f, &rc, e))
        if (f.number == 2 && f.wire == 2)
            map = f;
        else if (f.number == 3 && f.wire == 0)
            p->dummy_prefix = f.value != 0;
        else if (f.number == 4 && f.wire == 0)
            p->remove_extra_spaces = f.value != 0;
        else if (f.number == 5 && f.wire == 0)
            p->escape_spaces = f.value != 0;
    if (rc || map.len == 0)
        return rc;
    void *copy = malloc(map.len);
    if (!copy)
        return err_set(e, ERR_NO_MEMORY, "no memory for a tokenizer");
    memcpy(copy, map.bytes, map.len);
    free((void *)p->charsmap);
    p->charsmap = copy;
    p->charsmap_bytes = map.len;
    return 0;
}

static int ids_check(struct pieces *p, struct err *e)
{
    p->unknown = UINT32_MAX;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->list[i].kind == PIECE_UNKNOWN)
            p->unknown = i;
    if (p->unknown == UINT32_MAX)
        return err_set(e, ERR_NOT_FOUND, "the SentencePiece model has no piece for the unknown");
    if (p->end >= p->count || p->list[p->end].kind != PIECE_CONTROL)
        return err_set(e, ERR_NOT_FOUND, "the SentencePiece model has no piece </s>");
    return 0;
}

/* ModelProto: pieces = 1, trainer_spec = 2, normalizer_spec = 3. */
int pieces_read(struct pieces *out, const void *model, size_t size, struct err *e)
{
    const uint8_t *bytes = model;
    struct cursor c = {bytes, bytes + size};
    struct field_read f;
    size_t count = 0, used = 0;
    int rc = 0;
    *out = (struct pieces){.model = PIECES_UNIGRAM,
                           .dummy_prefix = true,
                           .remove_extra_spaces = true,
                           .escape_spaces = true,
                           .end = 2};
    while (field_next(&c, &f, &rc, e))
        count += f.number == 1 && f.wire == 2;
    if (rc)
        return rc;
    if (count == 0 || count > PIECES_MAX)
        return err_set(e, ERR_FORMAT, "not a SentencePiece model: %zu pieces", count);
    out->list = calloc(count, sizeof *out->list);
    out->texts = calloc(1, size + count); /* texts are parts of the file; a NUL behind each */
    if (!out->list || !out->texts)
        return err_set(e, ERR_NO_MEMORY, "no memory for a tokenizer");
    c.at = bytes;
    while (field_next(&c, &f, &rc, e)) {
        if (f.wire != 2)
            continue;
        if (f.number == 1)
            rc = piece_read(out, &f, &used, e);
        else if (f.number == 2)
            rc = trainer_read(out, &f, e);
        else if (f.number == 3)
            rc = normalizer_read(out, &f, e);
    }
    return rc ? rc : ids_check(out, e);
}

void pieces_free(struct pieces *p)
{
    free(p->list);
    free(p->texts);
    free((void *)p->charsmap);
    memset(p, 0, sizeof *p);
}
