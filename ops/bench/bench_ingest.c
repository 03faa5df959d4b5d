/* Ingest against the tokenizer alone on one thread: MB of text a second, seconds by phase, peak
 * memory. Usage: bench_ingest [FILE|FOLDER…]; without, 32 MB of made-up words. The vocabulary, the
 * sequence length, threads and a model by environment: VOCAB (1024), SEQ (128), THREADS (all),
 * TOKENIZER (trained). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/data/ingest.h"
#include "core/data/tokenizer.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"

#define WORK "build/bench-ingest"
#define MADE_BYTES (32u << 20)
#define ALONE_TOKENS (4u << 20) /* at most so many are decoded and encoded again */

/* Words of syllables, the n-th drawn with a probability of about 1/n. */
static void append_word(struct buf *b, uint64_t x)
{
    static const char *const syllables[] = {"ka",  "ren", "to", "mi",  "sol", "va",  "ne", "lu",
                                            "dro", "pe",  "si", "gan", "u",   "ter", "is", "om"};
    uint64_t rank = UINT64_C(1) << (x % 15);
    rank += (x >> 8) % rank;
    do {
        if (buf_printf(b, NULL, "%s", syllables[rank % 16]))
            exit(70);
        rank /= 16;
    } while (rank);
}

static void make_text(const char *path)
{
    struct buf b;
    struct err e = {0};
    buf_init(&b, 2 * MADE_BYTES);
    for (uint64_t doc = 0; b.len < MADE_BYTES; doc++) {
        if (buf_printf(&b, &e, "{\"text\": \""))
            exit(70);
        for (uint64_t w = 0; w < 700; w++) {
            append_word(&b, rng_u64(1, RNG_TEST, doc, w));
            if (buf_printf(&b, &e, w % 12 == 11 ? ".\\n" : " "))
                exit(70);
        }
        if (buf_printf(&b, &e, "\", \"source\": \"s%llu\"}\n", (unsigned long long)(doc % 4)))
            exit(70);
    }
    if (env_dir_make(WORK, &e) || env_file_write_atomic(path, b.data, b.len, 0600, &e)) {
        fprintf(stderr, "%s\n", e.message);
        exit(74);
    }
    buf_free(&b);
}

struct phases {
    char name[4][16];
    double began[5];
    int count;
};

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total,
                       const char *unit)
{
    struct phases *p = arg;
    (void)done, (void)total, (void)unit;
    if (p->count == 0 || strcmp(p->name[p->count - 1], phase)) {
        snprintf(p->name[p->count], sizeof p->name[0], "%s", phase);
        p->began[p->count++] = env_monotonic_s();
    }
    p->began[p->count] = env_monotonic_s();
    return 0;
}

/* MB/s of encoding, on one thread, the text that the training shards hold. */
static double tokenizer_alone(const struct ingest_result *r, struct err *e)
{
    struct env_map model, map;
    struct tokenizer *t;
    struct shard s;
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    if (env_file_map(r->tokenizer_path, &model, e) || tokenizer_open(&t, model.data, model.size, e))
        return 0;
    size_t tokens = 0;
    for (uint32_t i = 0; i < r->shard_count[0] && tokens < ALONE_TOKENS; i++) {
        if (env_file_map(r->shards[0][i].path, &map, e) || shard_open(&s, map.data, map.size, e))
            return 0;
        uint32_t *row = malloc(s.shape.seq * sizeof *row);
        for (uint32_t k = 0; k < s.count; k++) {
            shard_tokens(&s, k, s.shape.seq, row);
            if (tokenizer_decode(t, row, s.shape.seq, &text, e))
                return 0;
        }
        tokens += (size_t)s.count * s.shape.seq;
        free(row);
        env_file_unmap(&map);
    }
    uint32_t *ids = NULL;
    size_t count = 0, cap = 0;
    double start = env_monotonic_s();
    if (tokenizer_encode(t, text.data, text.len, &ids, &count, &cap, e))
        return 0;
    double rate = (double)text.len / 1e6 / (env_monotonic_s() - start);
    free(ids);
    buf_free(&text);
    tokenizer_close(t);
    env_file_unmap(&model);
    return rate;
}

static uint64_t setting(const char *name, uint64_t value)
{
    const char *s = env_get(name);
    if (s && !text_to_u64(s, &value))
        fprintf(stderr, "%s=%s is no number\n", name, s);
    return value;
}

static void show(const struct ingest_result *r, const struct phases *p, double alone, uint64_t peak)
{
    double text = (double)(r->text_bytes[0] + r->text_bytes[1]) / 1e6, rate = 0;
    for (int i = 0; i < p->count; i++) {
        double s = p->began[i + 1] - p->began[i];
        printf("%-10s %7.2f s\n", p->name[i], s);
        if (!strcmp(p->name[i], "tokens"))
            rate = text / s;
    }
    printf("all        %7.2f s for %.1f MB of text\n", p->began[p->count] - p->began[0], text);
    printf("tokens     %7.1f MB/s, tokenizer alone on one thread %.1f MB/s: %.2f times\n", rate,
           alone, rate / alone);
    printf("documents  %llu, held out %llu; skipped: %llu empty, %llu not UTF-8, %llu long, %llu "
           "not JSON\n",
           (unsigned long long)r->documents[0], (unsigned long long)r->documents[1],
           (unsigned long long)r->skipped_empty, (unsigned long long)r->skipped_utf8,
           (unsigned long long)r->skipped_long, (unsigned long long)r->skipped_json);
    printf("sequences  %llu, held out %llu, in %u + %u shards; %.3f bytes a token; %u labels\n",
           (unsigned long long)r->sequences[0], (unsigned long long)r->sequences[1],
           r->shard_count[0], r->shard_count[1], (double)r->text_bytes[0] / (double)r->tokens[0],
           r->label_count);
    printf("memory     %.1f MB at the peak, before the tokenizer alone\n", (double)peak / 1e6);
}

int main(int argc, char **argv)
{
    static const char *const made[] = {WORK "/made.jsonl"};
    struct phases phases = {.count = 0};
    struct ingest_result r;
    struct err e = {0};
    struct ingest_options o = {
        .inputs = argc > 1 ? (const char *const *)argv + 1 : made,
        .input_count = argc > 1 ? (uint32_t)argc - 1 : 1,
        .vocab = (uint32_t)setting("VOCAB", 1024),
        .seq = (uint32_t)setting("SEQ", 128),
        .threads = (int)setting("THREADS", 0),
        .tokenizer_path = env_get("TOKENIZER"),
        .holdout = 0.05,
        .work_dir = WORK,
        .progress = on_progress,
        .progress_arg = &phases,
    };
    if (argc == 1)
        make_text(made[0]);
    if (ingest_run(&o, &r, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return err_exit_code(e.code);
    }
    uint64_t peak = env_memory_peak();
    double alone = tokenizer_alone(&r, &e);
    if (alone == 0) {
        fprintf(stderr, "%s\n", e.message);
        return err_exit_code(e.code);
    }
    show(&r, &phases, alone, peak);
    ingest_result_free(&r);
    return 0;
}
