/* Encoding is cut into short stretches, since BPE's time grows faster than the length of what it is
 * given, and since most stretches are words that came before. Where no piece of the vocabulary
 * spans the boundary between a word and the space after it (true of every model that
 * tokenizer_train makes), cutting there changes no id: BPE merges only what the vocabulary holds.
 * Such words are looked up in a cache, or merged by bpe.h, many times faster than by the library.
 * Other models' text is cut at line ends alone, and the library does the rest. What is returned
 * depends on text and model, never on the cache. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

extern "C" {
#include "core/data/bpe.h"
#include "core/data/spm_facts.h"
#include "core/data/tokenizer.h"
}

namespace sentencepiece
{
namespace logging
{
void SetMinLogLevel(int level); /* exported by the library, though by none of its headers */
}
} // namespace sentencepiece

namespace
{

const size_t key_max = 47;          /* bytes of a word that is cached; the rest are rare */
const size_t ids_max = 20;          /* of such a word: one in a thousand has more */
const size_t slot_count = 1u << 15; /* 4 MiB: a corpus's frequent words */
const size_t stretch_max = 4096;    /* bytes given to the library at once where there is no space */
const size_t line_stretch = 16384;  /* bytes, at least, of whole lines for other models */
const char space_mark[] = "\xe2\x96\x81"; /* U+2581, which the library writes for a space */

struct slot {
    std::atomic<uint8_t> busy; /* guards this slot; who finds it taken goes without the cache */
    uint8_t count, len;
    char key[key_max];
    uint32_t ids[ids_max];
};

struct ids_out {
    uint32_t **ids;
    size_t *count, *cap;
};

bool append(const ids_out &out, const uint32_t *ids, size_t n)
{
    if (*out.cap - *out.count < n) {
        size_t cap = *out.cap * 2 + n + 256;
        uint32_t *more = static_cast<uint32_t *>(realloc(*out.ids, cap * sizeof **out.ids));
        if (!more)
            return false;
        *out.ids = more;
        *out.cap = cap;
    }
    memcpy(*out.ids + *out.count, ids, n * sizeof *ids);
    *out.count += n;
    return true;
}

/* FNV-1a: words are a few bytes long. */
uint64_t hash(const char *s, size_t len)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ static_cast<uint8_t>(s[i])) * 1099511628211u;
    return h ^ h >> 29;
}

/* At most n, so that s is cut between characters (UTF-8: of at most four bytes). */
size_t character_cut(const char *s, size_t n)
{
    for (size_t back = 0; back < 4 && back < n; back++)
        if ((static_cast<uint8_t>(s[n - back]) & 0xc0) != 0x80)
            return n - back;
    return n;
}

/* A non-space followed by a space, in the library's writing. */
bool spans_words(const std::string &piece)
{
    for (size_t i = 0; i + 3 <= piece.size();) {
        bool mark = piece.compare(i, 3, space_mark) == 0;
        if (mark && i && !(i >= 3 && piece.compare(i - 3, 3, space_mark) == 0))
            return true;
        i += mark ? 3 : 1;
    }
    return false;
}

} // namespace

struct tokenizer {
    sentencepiece::SentencePieceProcessor sp;
    uint32_t vocab, end;
    std::vector<uint32_t> bytes; /* text bytes of each id */
    bool by_words;
    struct bpe *bpe;
    std::vector<uint32_t> newline, tab, mark; /* ids of what stands alone in by_words */
    std::unique_ptr<slot[]> slots;

    tokenizer() : vocab(0), end(0), by_words(false), bpe(nullptr)
    {
    }
    ~tokenizer()
    {
        bpe_destroy(bpe);
    }
};

static bool library_encode(const struct tokenizer *t, const char *text, size_t len,
                           const ids_out &out)
{
    std::vector<int> ids;
    if (!t->sp.Encode(absl::string_view(text, len), &ids).ok())
        return false;
    static_assert(sizeof(int) == sizeof(uint32_t), "ids are copied as they are");
    return append(out, reinterpret_cast<const uint32_t *>(ids.data()), ids.size());
}

static std::vector<uint32_t> encode_alone(const struct tokenizer *t, const char *text)
{
    std::vector<int> ids;
    if (!t->sp.Encode(text, &ids).ok())
        ids.clear();
    return std::vector<uint32_t>(ids.begin(), ids.end());
}

/* A literal U+2581 would come back as a space: its three byte pieces come back as they are. */
static std::vector<uint32_t> mark_ids(const struct tokenizer *t)
{
    std::vector<uint32_t> ids;
    for (const char *name : {"<0xE2>", "<0x96>", "<0x81>"}) {
        int id = t->sp.PieceToId(name);
        if (!t->sp.IsByte(id))
            return std::vector<uint32_t>();
        ids.push_back(static_cast<uint32_t>(id));
    }
    return ids;
}

/* Tells bpe of a piece; false where the model has what bpe does not do. */
static bool add_piece(struct tokenizer *t, int id, const std::string &piece)
{
    if (t->sp.IsControl(id) || t->sp.IsUnknown(id))
        return true;
    if (t->sp.IsUnused(id))
        return false;
    if (t->sp.IsByte(id)) { /* "<0x0A>" */
        bpe_add_byte(t->bpe, static_cast<uint8_t>(strtoul(piece.c_str() + 1, nullptr, 16)),
                     static_cast<uint32_t>(id));
        return true;
    }
    std::string text = piece;
    for (size_t at; (at = text.find(space_mark)) != std::string::npos;)
        text.replace(at, 3, " ");
    if (bpe_add(t->bpe, static_cast<uint32_t>(id), text.data(), text.size(), t->sp.GetScore(id),
                nullptr))
        throw std::bad_alloc();
    return true;
}

static void learn_pieces(struct tokenizer *t, const struct spm_facts *facts)
{
    t->by_words = facts->bpe && facts->verbatim && !facts->user_pieces;
    if (bpe_create(&t->bpe, nullptr))
        throw std::bad_alloc();
    t->bytes.resize(t->vocab);
    for (uint32_t id = 0; id < t->vocab; id++) {
        const std::string &piece = t->sp.IdToPiece(static_cast<int>(id));
        int i = static_cast<int>(id);
        t->by_words = t->by_words && add_piece(t, i, piece);
        if (t->sp.IsControl(i)) {
            t->bytes[id] = 0;
        } else if (t->sp.IsByte(i) || t->sp.IsUnknown(i)) {
            t->bytes[id] = 1;
        } else {
            size_t n = piece.size();
            for (size_t at = 0; (at = piece.find(space_mark, at)) != std::string::npos; at += 3)
                n -= 2;
            t->bytes[id] = static_cast<uint32_t>(n);
            bool line = piece.find_first_of("\n\t") != std::string::npos && piece.size() > 1;
            if (spans_words(piece) || line)
                t->by_words = false;
        }
    }
    if (!t->by_words)
        return;
    if (bpe_seal(t->bpe, &t->by_words, nullptr))
        throw std::bad_alloc();
    if (!t->by_words)
        return;
    t->newline = encode_alone(t, "\n");
    t->tab = encode_alone(t, "\t");
    t->mark = mark_ids(t);
    t->slots.reset(new slot[slot_count]());
}

extern "C" int tokenizer_open(struct tokenizer **out, const void *model, size_t size, struct err *e)
try {
    *out = nullptr;
    struct spm_facts facts;
    if (!size || !spm_facts_read(model, size, &facts))
        return err_set(e, ERR_FORMAT, "not a SentencePiece model");
    sentencepiece::logging::SetMinLogLevel(3); /* errors come back as values; core prints nothing */
    std::unique_ptr<tokenizer> t(new tokenizer);
    auto status =
        t->sp.LoadFromSerializedProto(absl::string_view(static_cast<const char *>(model), size));
    if (!status.ok() || t->sp.GetPieceSize() <= 0)
        return err_set(e, ERR_FORMAT, "not a SentencePiece model: %s", status.error_message());
    t->vocab = static_cast<uint32_t>(t->sp.GetPieceSize());
    if (t->sp.eos_id() < 0)
        return err_set(
            e, ERR_FORMAT,
            "the tokenizer has no </s> piece to end documents with: train it with eos_id");
    t->end = static_cast<uint32_t>(t->sp.eos_id());
    learn_pieces(t.get(), &facts);
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

static bool encode_long(const struct tokenizer *t, const char *s, size_t len, const ids_out &out)
{
    for (size_t at = 0; at < len;) {
        size_t n = len - at;
        if (n > stretch_max)
            n = character_cut(s + at, stretch_max);
        if (!library_encode(t, s + at, n, out))
            return false;
        at += n;
    }
    return true;
}

static bool encode_word(const struct tokenizer *t, const char *s, size_t len, const ids_out &out)
{
    uint32_t ids[BPE_WORD_MAX];
    if (len > BPE_WORD_MAX)
        return encode_long(t, s, len, out);
    if (len > key_max)
        return append(out, ids, bpe_word(t->bpe, s, len, ids));
    struct slot *c = &t->slots[hash(s, len) % slot_count];
    if (c->busy.exchange(1, std::memory_order_acquire))
        return append(out, ids, bpe_word(t->bpe, s, len, ids));
    bool ok;
    if (c->len == len && memcmp(c->key, s, len) == 0) {
        ok = append(out, c->ids, c->count);
    } else {
        size_t n = bpe_word(t->bpe, s, len, ids);
        ok = append(out, ids, n);
        if (n <= ids_max) {
            c->len = static_cast<uint8_t>(len);
            c->count = static_cast<uint8_t>(n);
            memcpy(c->key, s, len);
            memcpy(c->ids, ids, n * sizeof *ids);
        }
    }
    c->busy.store(0, std::memory_order_release);
    return ok;
}

/* The end of the word at i: spaces, then anything up to the next space, newline, tab or mark. */
static size_t word_end(const char *s, size_t i, size_t len)
{
    while (i < len && s[i] == ' ')
        i++;
    while (i < len && s[i] != ' ' && s[i] != '\n' && s[i] != '\t' &&
           !(len - i >= 3 && memcmp(s + i, space_mark, 3) == 0))
        i++;
    return i;
}

static bool encode_words(const struct tokenizer *t, const char *s, size_t len, const ids_out &out)
{
    bool ok = true;
    for (size_t i = 0; i < len && ok;) {
        if (s[i] == '\n' || s[i] == '\t') {
            const std::vector<uint32_t> &ids = s[i] == '\n' ? t->newline : t->tab;
            ok = append(out, ids.data(), ids.size());
            i++;
        } else if (len - i >= 3 && memcmp(s + i, space_mark, 3) == 0) {
            ok = t->mark.empty() ? library_encode(t, s + i, 3, out)
                                 : append(out, t->mark.data(), t->mark.size());
            i += 3;
        } else {
            size_t to = word_end(s, i, len);
            ok = encode_word(t, s + i, to - i, out);
            i = to;
        }
    }
    return ok;
}

/* Whole lines, together line_stretch bytes or a little more; a longer line is cut between
 * characters. */
static bool encode_lines(const struct tokenizer *t, const char *s, size_t len, const ids_out &out)
{
    for (size_t i = 0; i < len;) {
        size_t n = len - i;
        if (n > line_stretch) {
            const void *nl = memchr(s + i + line_stretch, '\n', n - line_stretch);
            size_t to = nl ? static_cast<const char *>(nl) + 1 - (s + i) : n;
            n = to > 2 * line_stretch ? character_cut(s + i, 2 * line_stretch) : to;
        }
        if (!library_encode(t, s + i, n, out))
            return false;
        i += n;
    }
    return true;
}

extern "C" int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                                uint32_t **ids, size_t *count, size_t *cap, struct err *e)
try {
    ids_out out = {ids, count, cap};
    bool ok = t->by_words ? encode_words(t, text, len, out) : encode_lines(t, text, len, out);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "no memory to encode %zu bytes of text", len);
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
