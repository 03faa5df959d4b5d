#include "core/data/spm_facts.h"

#include <stdint.h>

struct wire {
    const uint8_t *p, *end;
};

struct field {
    uint32_t number;
    uint64_t value;    /* of a varint */
    struct wire bytes; /* of a length-delimited field; otherwise empty */
};

static bool varint(struct wire *w, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        uint8_t b = *w->p++;
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct wire *w, uint64_t n)
{
    if (n > (uint64_t)(w->end - w->p))
        return false;
    w->p += n;
    return true;
}

static bool next(struct wire *w, struct field *f)
{
    uint64_t key, n;
    if (!varint(w, &key))
        return false;
    f->number = (uint32_t)(key >> 3);
    f->value = 0;
    f->bytes.p = f->bytes.end = w->p;
    switch (key & 7) {
    case 0:
        return varint(w, &f->value);
    case 1:
        return skip(w, 8);
    case 2:
        if (!varint(w, &n))
            return false;
        f->bytes.p = w->p;
        if (!skip(w, n))
            return false;
        f->bytes.end = w->p;
        return true;
    case 5:
        return skip(w, 4);
    default:
        return false;
    }
}

static bool read_piece(struct wire w, struct spm_facts *out)
{
    struct field f;
    while (w.p < w.end) {
        if (!next(&w, &f))
            return false;
        if (f.number == 3 && f.value == 4)
            out->user_pieces = true;
    }
    return true;
}

static bool read_trainer(struct wire w, struct spm_facts *out)
{
    struct field f;
    while (w.p < w.end) {
        if (!next(&w, &f))
            return false;
        if (f.number == 3)
            out->bpe = f.value == 2;
    }
    return true;
}

static bool read_normalizer(struct wire w, struct spm_facts *out)
{
    struct field f;
    bool maps = false, prefix = true, strips = true, escapes = true;
    while (w.p < w.end) {
        if (!next(&w, &f))
            return false;
        if (f.number == 2)
            maps = f.bytes.end > f.bytes.p;
        else if (f.number == 3)
            prefix = f.value;
        else if (f.number == 4)
            strips = f.value;
        else if (f.number == 5)
            escapes = f.value;
    }
    out->verbatim = !maps && !prefix && !strips && escapes;
    return true;
}

bool spm_facts_read(const void *model, size_t size, struct spm_facts *out)
{
    struct wire w = {model, (const uint8_t *)model + size};
    struct field f;
    *out = (struct spm_facts){false, false, false};
    while (w.p < w.end) {
        if (!next(&w, &f))
            return false;
        if (f.number == 1 && !read_piece(f.bytes, out))
            return false;
        if (f.number == 2 && !read_trainer(f.bytes, out))
            return false;
        if (f.number == 3 && !read_normalizer(f.bytes, out))
            return false;
    }
    return true;
}
