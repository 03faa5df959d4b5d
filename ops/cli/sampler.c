#include "ops/cli/sampler.h"

#include <math.h>
#include <string.h>
#include "core/base/rng.h"

#define TEXT_MAX (16u << 20)
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD: what an incomplete character decodes to */
#define INCOMPLETE_MAX 3           /* bytes of a character that may still be missing its last */

uint32_t sampler_pick(const float *logits, uint32_t vocab, double temperature, uint64_t seed,
                      uint64_t position)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    if (temperature <= 0)
        return best;
    double sum = 0, seen = 0, u = rng_uniform(seed, RNG_SAMPLE, position, 0);
    for (uint32_t i = 0; i < vocab; i++)
        sum += exp(((double)logits[i] - logits[best]) / temperature);
    for (uint32_t i = 0; i < vocab; i++) {
        seen += exp(((double)logits[i] - logits[best]) / temperature);
        if (seen > u * sum)
            return i;
    }
    return best;
}

int sampler_text_begin(struct sampler_text *t, const struct tokenizer *tokenizer,
                       const uint32_t *prompt, size_t count, struct err *e)
{
    memset(t, 0, sizeof *t);
    t->tokenizer = tokenizer;
    buf_init(&t->text, TEXT_MAX);
    int rc = tokenizer_decode(tokenizer, prompt, count, &t->text, e);
    t->shown = t->prompt_len = t->text.len;
    return rc;
}

void sampler_text_free(struct sampler_text *t)
{
    buf_free(&t->text);
}

static size_t held_back(const struct buf *b, size_t from)
{
    size_t held = 0, len = strlen(REPLACEMENT);
    for (int i = 0; i < INCOMPLETE_MAX && b->len >= from + held + len; i++) {
        if (memcmp(b->data + b->len - held - len, REPLACEMENT, len) != 0)
            break;
        held += len;
    }
    return held;
}

int sampler_text_next(struct sampler_text *t, const uint32_t *ids, size_t count, int last,
                      const char **piece, size_t *len, struct err *e)
{
    buf_reset(&t->text);
    int rc = tokenizer_decode(t->tokenizer, ids, count, &t->text, e);
    if (rc)
        return rc;
    size_t held = last ? 0 : held_back(&t->text, t->shown);
    size_t end = t->text.len - held;
    *piece = t->text.data + t->shown;
    *len = end > t->shown ? end - t->shown : 0;
    t->shown += *len;
    return 0;
}
