/* Held-out beginnings, continued by mixture and dense model: the first sequence of each source in
 * the first held-out shard, its routing prefix as the prompt. */
#include <stdlib.h>
#include "core/data/shard.h"
#include "core/env/file.h"
#include "core/mixture/scores.h"
#include "ops/cli/mixture.h"
#include "ops/cli/report.h"
#include "ops/cli/sampler.h"

struct sampling {
    struct mixture *mixture;
    struct report_facts *facts;
    struct decode *decode;
    float *logits;
    struct model_config config;
    uint32_t prefix, more; /* tokens of the prompt, and after it */
    uint32_t *ids;         /* prefix + more */
};

/* Shown in a page: control characters but line ends as blanks. */
static int words_of(struct sampling *s, const uint32_t *ids, uint32_t count, const char **out,
                    struct err *e)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    int rc = tokenizer_decode(s->mixture->tokenizer, ids, count, &text, e);
    char *kept = rc ? NULL : arena_strndup(&s->mixture->cli->arena, text.data, text.len);
    if (!rc && !kept)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a text");
    for (char *c = kept; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = ' ';
    buf_free(&text);
    *out = kept;
    return rc;
}

/* The likeliest token, again and again. */
static int go_on(struct sampling *s, int target, uint64_t index, const uint32_t *prompt,
                 const char **out, struct err *e)
{
    struct decode_weights *w;
    uint32_t end = tokenizer_end(s->mixture->tokenizer), n = 0;
    int rc = mixture_weights(s->mixture, target, (uint32_t)index, &s->config, s->decode, &w, e);
    decode_cut(s->decode, 0, 0);
    if (!rc)
        rc = mixture_append(s->decode, w, prompt, s->prefix, s->logits, e);
    while (!rc && n < s->more) {
        uint32_t id = sampler_pick(s->logits, s->config.vocab, 0, 0, 0);
        if (id == end)
            break;
        s->ids[n++] = id;
        if (n < s->more)
            rc = mixture_append(s->decode, w, &id, 1, s->logits, e);
    }
    decode_weights_destroy(w);
    return rc ? rc : words_of(s, s->ids, n, out, e);
}

static int one(struct sampling *s, const struct shard *shard, uint32_t at,
               struct report_sample *out, struct err *e)
{
    struct mixture *m = s->mixture;
    uint32_t tokens[1u << 10], n = s->prefix + s->more;
    float *scores = arena_alloc_array(&m->cli->arena, m->spec.experts, sizeof *scores);
    if (!scores)
        return err_set(e, ERR_NO_MEMORY, "no memory for scores");
    shard_tokens(shard, at, n, tokens);
    int rc = words_of(s, tokens, s->prefix, &out->prompt, e);
    if (!rc)
        rc = words_of(s, tokens + s->prefix, s->more, &out->truth, e);
    if (!rc)
        rc = mixture_scores(m, tokens, s->prefix, scores, e);
    if (rc)
        return rc;
    out->source = m->dataset.labels[shard_label(shard, at)].name;
    out->expert = scores_route(scores, m->spec.experts);
    rc = go_on(s, TARGET_EXPERT, out->expert, tokens, &out->mixture, e);
    if (rc || !s->facts->report.dense)
        return rc;
    return go_on(s, TARGET_DENSE, 0, tokens, &out->dense, e);
}

static int from_shard(struct sampling *s, const struct shard *shard, uint32_t wanted, struct err *e)
{
    bool seen[SHARD_LABELS_MAX] = {false};
    struct report_facts *f = s->facts;
    int rc = 0;
    f->samples = arena_alloc_array(&s->mixture->cli->arena, wanted, sizeof *f->samples);
    if (!f->samples)
        return err_set(e, ERR_NO_MEMORY, "no memory for samples");
    for (uint32_t i = 0; !rc && i < shard->count && f->sample_count < wanted; i++) {
        uint32_t label = shard_label(shard, i);
        if (seen[label] || label >= s->mixture->dataset.label_count)
            continue;
        seen[label] = true;
        f->samples[f->sample_count] = (struct report_sample){0};
        rc = one(s, shard, i, &f->samples[f->sample_count++], e);
    }
    return rc;
}

int report_samples_get(struct mixture *m, uint32_t wanted, uint32_t tokens, struct report_facts *f,
                       struct err *e)
{
    struct sampling s = {.mixture = m, .facts = f, .prefix = m->spec.router.prefix};
    uint32_t seq = (uint32_t)m->dataset.seq;
    struct env_map map = {0};
    struct shard shard;
    const char *path;
    if (wanted == 0 || m->dataset.heldout_count == 0 || s.prefix >= seq || seq > 1u << 10)
        return 0; /* nothing to continue */
    s.more = seq - s.prefix < tokens ? seq - s.prefix : tokens;
    spec_expert_model(&m->spec, (uint32_t)m->dataset.vocab, seq, &s.config);
    s.logits = calloc(m->dataset.vocab, sizeof *s.logits);
    s.ids = calloc(s.more, sizeof *s.ids);
    int rc = s.logits && s.ids ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for samples");
    if (!rc)
        rc = mixture_decode(m, &s.config, &s.decode, e);
    if (!rc)
        rc = blob_cache_get(&m->cache, &m->dataset.heldout[0].digest, "held-out text", &path, e);
    if (!rc)
        rc = env_file_map(path, &map, e);
    if (!rc) {
        rc = shard_open(&shard, map.data, map.size, e);
        if (!rc)
            rc = from_shard(&s, &shard, wanted, e);
        env_file_unmap(&map);
    }
    decode_destroy(s.decode);
    free(s.logits);
    free(s.ids);
    return rc;
}
