/* Options, and why: BPE with all 256 byte pieces, so that any text has ids; identity normalization,
 * no dummy prefix, no stripping, so that decoding gives the text back; pieces of spaces alone,
 * since indentation is a tenth of code (1.84 bytes a token without, 2.03 with them, for 1,024
 * pieces on twelve domains of code and prose in four languages); <unk> 0, <s> 1, </s> 2, no
 * padding. One thread, so that equal samples give equal models. Newlines and tabs are byte pieces:
 * the sample comes line by line. Pieces given for line ends with their indentation, and words that
 * mix letters and signs, gave 2.10 bytes a token, but models that said less of each byte. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <sentencepiece_trainer.h>

extern "C" {
#include "core/data/tokenizer.h"
#include "core/env/file.h"
}

namespace
{

const uint32_t fixed_pieces = 3 + 256; /* <unk>, <s>, </s>, bytes */
const double coverage = 0.9995;        /* of characters; the rest are written in bytes */

/* The character at s (at most len bytes), as a number of its bytes; *n of them. */
uint32_t character(const char *s, size_t len, size_t *n)
{
    uint32_t c = static_cast<uint8_t>(s[0]);
    for (*n = 1; *n < len && *n < 4 && (static_cast<uint8_t>(s[*n]) & 0xc0) == 0x80; ++*n)
        c = c << 8 | static_cast<uint8_t>(s[*n]);
    return c;
}

/* Every character covered costs a piece. At most half of the pieces to be learned may go to single
 * characters: scripts with thousands would leave no room for words, or fail. Returns the characters
 * to be left out; mostly none, since the library itself leaves out the rarest. */
std::unordered_set<uint32_t> rare_characters(const char *s, size_t size, uint32_t vocab)
{
    std::unordered_map<uint32_t, uint64_t> counts;
    uint64_t total = 0, covered = 0;
    for (size_t i = 0, n; i < size; i += n) {
        uint32_t c = character(s + i, size - i, &n);
        if (c != '\n' && c != '\t' && c != ' ') {
            counts[c]++;
            total++;
        }
    }
    std::vector<std::pair<uint64_t, uint32_t>> sorted;
    for (const auto &kv : counts)
        sorted.push_back({UINT64_MAX - kv.second, kv.first});
    std::sort(sorted.begin(), sorted.end());
    std::unordered_set<uint32_t> rare;
    size_t most = (vocab - fixed_pieces) / 2;
    for (size_t i = 0; i < sorted.size(); i++) {
        if (i < most)
            covered += UINT64_MAX - sorted[i].first;
        else
            rare.insert(sorted[i].second);
    }
    if (static_cast<double>(covered) >= coverage * static_cast<double>(total))
        rare.clear();
    return rare;
}

/* The lines of a mapped file. A rare character becomes a tab, across which the library merges
 * nothing. */
class lines : public sentencepiece::SentenceIterator
{
  public:
    lines(const char *data, size_t size, const std::unordered_set<uint32_t> *without)
        : at(data), end(data + size), rare(without)
    {
        Next();
    }
    bool done() const override
    {
        return finished;
    }
    void Next() override
    {
        do {
            if (at == end) {
                finished = true;
                return;
            }
            const char *nl = static_cast<const char *>(memchr(at, '\n', end - at));
            const char *to = nl ? nl : end;
            line.assign(at, to);
            at = nl ? nl + 1 : end;
        } while (line.empty());
        if (!rare->empty())
            leave_out();
    }
    const std::string &value() const override
    {
        return line;
    }
    sentencepiece::util::Status status() const override
    {
        return sentencepiece::util::Status();
    }

  private:
    void leave_out()
    {
        std::string kept;
        for (size_t i = 0, n; i < line.size(); i += n)
            if (rare->count(character(line.data() + i, line.size() - i, &n)))
                kept += '\t';
            else
                kept.append(line, i, n);
        line.swap(kept);
    }

    const char *at, *end;
    const std::unordered_set<uint32_t> *rare;
    std::string line;
    bool finished = false;
};

/* What the library says when a vocabulary cannot be filled ends in "<= N.". */
uint32_t largest_possible(const char *message)
{
    const char *p = strstr(message, "<= ");
    return p ? static_cast<uint32_t>(strtoul(p + 3, nullptr, 10)) : 0;
}

int train(const char *data, size_t size, uint32_t vocab, std::string *model, struct err *e)
{
    const std::unordered_set<uint32_t> rare = rare_characters(data, size, vocab);
    const std::unordered_map<std::string, std::string> options = {
        {"model_type", "bpe"},
        {"vocab_size", std::to_string(vocab)},
        {"byte_fallback", "true"},
        {"character_coverage", rare.empty() ? std::to_string(coverage) : "1.0"},
        {"allow_whitespace_only_pieces", "true"},
        {"normalization_rule_name", "identity"},
        {"remove_extra_whitespaces", "false"},
        {"add_dummy_prefix", "false"},
        {"max_sentence_length", "65536"},
        {"num_threads", "1"},
        {"unk_id", "0"},
        {"bos_id", "1"},
        {"eos_id", "2"},
        {"pad_id", "-1"},
        {"model_prefix", ""},
        {"minloglevel", "3"},
    };
    lines it(data, size, &rare);
    if (it.done())
        return err_set(e, ERR_INVALID, "no text to train a tokenizer on");
    auto status = sentencepiece::SentencePieceTrainer::Train(options, &it, model);
    if (status.ok())
        return 0;
    uint32_t most = largest_possible(status.error_message());
    if (most > fixed_pieces)
        return err_set(e, ERR_INVALID,
                       "the text is too small for a vocabulary of %u: give more text, or a "
                       "vocabulary of at most %u",
                       vocab, most);
    return err_set(e, ERR_INVALID, "cannot train a tokenizer with a vocabulary of %u: %s", vocab,
                   status.error_message());
}

} // namespace

extern "C" int tokenizer_train(const char *sample_path, uint32_t vocab, struct buf *out,
                               struct err *e)
{
    struct env_map map = {nullptr, 0};
    if (vocab < fixed_pieces + 32)
        return err_set(
            e, ERR_INVALID,
            "a vocabulary of %u is too small: 256 pieces are single bytes, so give at least %u",
            vocab, fixed_pieces + 32);
    int rc = env_file_map(sample_path, &map, e);
    if (rc)
        return rc;
    try {
        std::string model;
        rc = train(static_cast<const char *>(map.data), map.size, vocab, &model, e);
        if (!rc)
            rc = buf_append(out, model.data(), model.size(), e);
    } catch (const std::bad_alloc &) {
        rc = err_set(e, ERR_NO_MEMORY, "no memory to train a tokenizer");
    }
    env_file_unmap(&map);
    return rc;
}
