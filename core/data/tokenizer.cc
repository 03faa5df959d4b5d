/* The library does all merging; this cuts text into stretches for it, and keeps apart what it would
 * not give back. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

extern "C" {
#include "core/data/tokenizer.h"
}

namespace
{

/* Bytes of a stretch. The library's time a byte grows with what it is given (1 MB: three times that
 * of 4 KB), and so does its memory. */
const size_t stretch_min = 4096;
const size_t stretch_max = 16384;
const char space_mark[] = "\xe2\x96\x81"; /* U+2581, which the library writes for a space */
const size_t mark_len = 3;

struct ids_out {
    uint32_t **ids;
    size_t *count, *cap;
};

void append(const ids_out &out, const int *ids, size_t n)
{
    static_assert(sizeof(int) == sizeof(uint32_t), "ids are copied as they are");
    if (!n)
        return;
    if (*out.cap - *out.count < n) {
        size_t cap = *out.cap * 2 + n + 256;
        uint32_t *more = static_cast<uint32_t *>(realloc(*out.ids, cap * sizeof **out.ids));
        if (!more)
            throw std::bad_alloc();
        *out.ids = more;
        *out.cap = cap;
    }
    memcpy(*out.ids + *out.count, ids, n * sizeof *ids);
    *out.count += n;
}

/* The length of the first stretch of s. */
size_t stretch(const char *s, size_t len)
{
    if (len <= stretch_max)
        return len;
    for (size_t n = stretch_min; n <= stretch_max; n++)
        if (s[n] == '\n' && s[n - 1] != '\n')
            return n;
    size_t n = stretch_max;
    while (n > stretch_max - 4 && (static_cast<uint8_t>(s[n]) & 0xc0) == 0x80)
        n--;
    return n;
}

} // namespace

struct tokenizer {
    sentencepiece::SentencePieceProcessor sp;
    uint32_t vocab, end;
    std::vector<uint32_t> bytes; /* text bytes of each id */
    std::vector<int> mark;       /* ids of a literal space_mark; empty: left to the library */
};

static void count_bytes(struct tokenizer *t)
{
    t->bytes.resize(t->vocab);
    for (uint32_t id = 0; id < t->vocab; id++) {
        const std::string &piece = t->sp.IdToPiece(static_cast<int>(id));
        size_t n = piece.size();
        for (size_t at = 0; (at = piece.find(space_mark, at)) != std::string::npos; at += mark_len)
            n -= mark_len - 1;
        if (t->sp.IsControl(static_cast<int>(id)))
            n = 0;
        else if (t->sp.IsByte(static_cast<int>(id)) || t->sp.IsUnknown(static_cast<int>(id)))
            n = 1;
        t->bytes[id] = static_cast<uint32_t>(n);
    }
}

/* The library gives a literal U+2581 back as a space. Its three byte pieces come back as they are,
 * where the model has them and adds nothing of its own to the text after them. */
static void learn_mark(struct tokenizer *t)
{
    std::vector<int> mark, probe, after;
    std::string text;
    for (const char *name : {"<0xE2>", "<0x96>", "<0x81>"})
        mark.push_back(t->sp.PieceToId(name));
    for (int id : mark)
        if (!t->sp.IsByte(id))
            return;
    if (!t->sp.Encode("a", &probe).ok() || !t->sp.Encode(" b", &after).ok())
        return;
    probe.insert(probe.end(), mark.begin(), mark.end());
    probe.insert(probe.end(), after.begin(), after.end());
    if (t->sp.Decode(probe, &text).ok() && text == std::string("a") + space_mark + " b")
        t->mark = mark;
}

extern "C" int tokenizer_open(struct tokenizer **out, const void *model, size_t size, struct err *e)
try {
    *out = nullptr;
    std::unique_ptr<tokenizer> t(new tokenizer);
    auto status =
        t->sp.LoadFromSerializedProto(absl::string_view(static_cast<const char *>(model), size));
    if (!status.ok() || t->sp.GetPieceSize() <= 0)
        return err_set(e, ERR_FORMAT, "not a SentencePiece model");
    t->vocab = static_cast<uint32_t>(t->sp.GetPieceSize());
    if (t->sp.eos_id() < 0)
        return err_set(
            e, ERR_FORMAT,
            "the tokenizer has no </s> piece to end documents with: train it with eos_id");
    t->end = static_cast<uint32_t>(t->sp.eos_id());
    count_bytes(t.get());
    learn_mark(t.get());
    *out = t.release();
    return 0;
} catch (const std::bad_alloc &) {
    return err_set(e, ERR_NO_MEMORY, "no memory for a tokenizer");
}

extern "C" void tokenizer_close(struct tokenizer *t)
{
    delete t;
}

extern "C" uint32_t tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab;
}

extern "C" uint32_t tokenizer_end(const struct tokenizer *t)
{
    return t->end;
}

extern "C" uint32_t tokenizer_text_bytes(const struct tokenizer *t, uint32_t id)
{
    return id < t->vocab ? t->bytes[id] : 0;
}

/* Text without a mark. */
static int encode_plain(const struct tokenizer *t, const char *s, size_t len, const ids_out &out,
                        struct err *e)
{
    std::vector<int> ids;
    for (size_t at = 0, n; at < len; at += n) {
        n = stretch(s + at, len - at);
        auto status = t->sp.Encode(absl::string_view(s + at, n), &ids);
        if (!status.ok())
            return err_set(e, ERR_INTERNAL, "cannot encode %zu bytes of text: %s", n,
                           status.error_message());
        append(out, ids.data(), ids.size());
    }
    return 0;
}

extern "C" int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                                uint32_t **ids, size_t *count, size_t *cap, struct err *e)
try {
    const ids_out out = {ids, count, cap};
    const absl::string_view all(text, len);
    for (size_t at = 0; at < len;) {
        size_t to = t->mark.empty() ? all.npos : all.find(space_mark, at);
        bool marked = to != all.npos;
        int rc = encode_plain(t, text + at, (marked ? to : len) - at, out, e);
        if (rc)
            return rc;
        if (marked)
            append(out, t->mark.data(), t->mark.size());
        at = marked ? to + mark_len : len;
    }
    return 0;
} catch (const std::bad_alloc &) {
    return err_set(e, ERR_NO_MEMORY, "no memory to encode %zu bytes of text", len);
}

extern "C" int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t count,
                                struct buf *text, struct err *e)
try {
    std::vector<int> list;
    list.reserve(count);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= t->vocab)
            return err_set(e, ERR_RANGE, "token %u is outside the vocabulary of %u", ids[i],
                           t->vocab);
        list.push_back(static_cast<int>(ids[i]));
    }
    std::string s;
    auto status = t->sp.Decode(list, &s);
    if (!status.ok())
        return err_set(e, ERR_INTERNAL, "cannot decode %zu tokens: %s", count,
                       status.error_message());
    return buf_append(text, s.data(), s.size(), e);
} catch (const std::bad_alloc &) {
    return err_set(e, ERR_NO_MEMORY, "no memory to decode %zu tokens", count);
}
