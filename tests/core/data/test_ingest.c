/* From files to shards: what METHOD settles (packing, split, labels), the same bytes whatever the
 * threads and the way in, flat memory, and errors that name what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/base/rng.h"
#include "core/data/ingest.h"
#include "core/data/tokenizer.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "tests/core/data/data_files.h"

#define SEQ 32

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
static const int sanitized = SANITIZED;

static const char *const words[] = {"router",      "expert", "Маршрут", "слово",
                                    "größer",      "prefix", "segment", "likelihood",
                                    "for (i = 0;", "été",    "return",  "\t}"};

/* Document i: a few lines of words. */
static void document(struct buf *b, uint64_t i, const char *end)
{
    struct err e;
    uint64_t n = 20 + rng_u64(11, RNG_TEST, i, 0) % 60;
    for (uint64_t w = 1; w <= n; w++) {
        uint64_t x = rng_u64(11, RNG_TEST, i, w);
        if (buf_printf(b, &e, "%s%llu%s", words[x % 12], (unsigned long long)(x >> 32) % 30,
                       w % 9 ? " " : end))
            abort();
    }
}

/* 900 documents as JSONL, three sources. */
static void write_jsonl(const char *name)
{
    struct buf b;
    struct err e;
    buf_init(&b, 1u << 26);
    for (uint64_t i = 0; i < 900; i++) {
        struct buf text;
        buf_init(&text, 1u << 20);
        document(&text, i, "\\n");
        for (char *t; (t = strchr(text.data, '\t'));)
            *t = ' ';
        if (buf_printf(&b, &e, "{\"text\": \"%s\", \"source\": \"s%d\"}\n", text.data,
                       (int)(i % 3)))
            abort();
        buf_free(&text);
    }
    files_write(name, b.data, b.len);
    buf_free(&b);
}

static int begin(void **state)
{
    if (files_begin(state))
        return -1;
    write_jsonl("docs.jsonl");
    return 0;
}

static struct ingest_options options_for(const char *const *inputs, uint32_t count)
{
    static char work[512];
    snprintf(work, sizeof work, "%s", files_path("work"));
    return (struct ingest_options){.inputs = inputs,
                                   .input_count = count,
                                   .vocab = 400,
                                   .seq = SEQ,
                                   .holdout = 0.2,
                                   .threads = 2,
                                   .work_dir = work};
}

static void run(const struct ingest_options *o, struct ingest_result *r)
{
    struct err e = {0};
    if (ingest_run(o, r, &e))
        fail_msg("%s", e.message);
}

static void open_shard(const struct ingest_shard *s, struct env_map *map, struct shard *out)
{
    struct err e = {0};
    struct digest d;
    assert_int_equal(env_file_map(s->path, map, &e), 0);
    assert_int_equal(map->size, s->bytes);
    digest_of(map->data, map->size, &d);
    assert_true(digest_equal(&d, &s->digest));
    if (shard_open(out, map->data, map->size, &e))
        fail_msg("%s", e.message);
    assert_int_equal(out->count, s->sequences);
}

static struct tokenizer *open_tokenizer(const struct ingest_result *r)
{
    struct err e = {0};
    struct env_map map;
    struct tokenizer *t;
    assert_int_equal(env_file_map(r->tokenizer_path, &map, &e), 0);
    assert_int_equal(tokenizer_open(&t, map.data, map.size, &e), 0);
    env_file_unmap(&map);
    return t;
}

/* The split's sequences in the order before the shuffle, one after the other. */
static uint32_t *unshuffled(const struct ingest_result *r, int split, uint32_t *bytes,
                            uint32_t *labels)
{
    uint64_t n = r->sequences[split], at = 0;
    uint32_t *all = malloc(n * SEQ * sizeof *all);
    struct rng_perm order;
    rng_perm_init(&order, n, 0, RNG_CORPUS, (uint64_t)split);
    for (uint32_t i = 0; i < r->shard_count[split]; i++) {
        struct env_map map;
        struct shard s;
        open_shard(&r->shards[split][i], &map, &s);
        for (uint32_t k = 0; k < s.count; k++, at++) {
            uint64_t to = rng_perm_at(&order, at);
            shard_tokens(&s, k, SEQ, all + to * SEQ);
            bytes[to] = shard_text_bytes(&s, k);
            labels[to] = shard_label(&s, k);
        }
        env_file_unmap(&map);
    }
    assert_int_equal(at, n);
    return all;
}

/* The literal version: all documents of a split, in order, each followed by the end token. */
static void packing_is_what_method_says(void **state)
{
    (void)state;
    const char *in[] = {files_path("docs.jsonl")};
    struct ingest_options o = options_for(in, 1);
    struct ingest_result r;
    struct err e = {0};
    run(&o, &r);
    assert_int_equal(r.label_count, 3);
    assert_int_equal(r.documents[0] + r.documents[1], 900);
    assert_in_range(r.documents[1], 140, 220); /* a fifth of 900, give or take */
    struct tokenizer *t = open_tokenizer(&r);
    assert_int_equal(tokenizer_vocab(t), 400);
    for (int split = 0; split < 2; split++) {
        uint64_t n = r.sequences[split];
        uint32_t *bytes = malloc(n * 4), *labels = malloc(n * 4);
        uint32_t *got = unshuffled(&r, split, bytes, labels);
        uint32_t *want = NULL, *from = malloc((n + 1) * SEQ * 4);
        size_t count = 0, cap = 0, before = 0;
        uint64_t text_bytes = 0;
        for (uint64_t i = 0; i < 900; i++) {
            struct buf text;
            struct digest d;
            buf_init(&text, 1u << 20);
            document(&text, i, "\n");
            for (char *tab; (tab = strchr(text.data, '\t'));)
                *tab = ' ';
            digest_of(text.data, text.len, &d);
            /* The first byte alone decides but in a 256th of the cases: 0.2·256 = 51.2. */
            bool held = d.bytes[0] < 51 || (d.bytes[0] == 51 && d.bytes[1] < 51);
            if (held == split) {
                assert_int_equal(tokenizer_encode(t, text.data, text.len, &want, &count, &cap, &e),
                                 0);
                want = realloc(want, (count + 1) * sizeof *want);
                cap = count + 1;
                want[count++] = tokenizer_end(t);
                for (; before < count && before < n * SEQ; before++)
                    from[before] = (uint32_t)(i % 3);
                text_bytes += text.len;
            }
            buf_free(&text);
        }
        assert_int_equal(count, r.tokens[split]);
        assert_int_equal(text_bytes, r.text_bytes[split]);
        assert_int_equal(count / SEQ, n);
        assert_memory_equal(got, want, n * SEQ * sizeof *got);
        for (uint64_t i = 0; i < n; i++) {
            uint32_t sum = 0;
            for (int k = 1; k < SEQ; k++)
                sum += tokenizer_text_bytes(t, want[i * SEQ + (uint64_t)k]);
            assert_int_equal(bytes[i], sum);
            char name[8];
            snprintf(name, sizeof name, "s%u", from[i * SEQ]);
            assert_string_equal(r.labels[labels[i]], name);
        }
        free(bytes), free(labels), free(got), free(want), free(from);
    }
    tokenizer_close(t);
    ingest_result_free(&r);
}

static void same_digests(const struct ingest_result *a, const struct ingest_result *b)
{
    assert_true(digest_equal(&a->tokenizer, &b->tokenizer));
    for (int s = 0; s < 2; s++) {
        assert_int_equal(a->shard_count[s], b->shard_count[s]);
        for (uint32_t i = 0; i < a->shard_count[s]; i++)
            assert_true(digest_equal(&a->shards[s][i].digest, &b->shards[s][i].digest));
    }
}

static void threads_and_ways_in_change_no_byte(void **state)
{
    (void)state;
    files_shell("gzip -kf docs.jsonl && tar cf docs.tar docs.jsonl");
    const char *plain[] = {files_path("docs.jsonl")};
    const char *packed[] = {files_path("docs.jsonl.gz")};
    const char *tar[] = {files_path("docs.tar")};
    const char *stream[] = {"-"};
    struct ingest_options o = options_for(plain, 1);
    struct ingest_result first, again;
    o.threads = 1;
    run(&o, &first);
    o.threads = 3;
    run(&o, &again);
    same_digests(&first, &again);
    ingest_result_free(&again);
    o.inputs = packed;
    run(&o, &again);
    same_digests(&first, &again);
    ingest_result_free(&again);
    o.inputs = tar;
    run(&o, &again);
    same_digests(&first, &again);
    ingest_result_free(&again);
    /* Standard input, without a tokenizer (it is spooled) and with one (it is not). */
    char model[512];
    snprintf(model, sizeof model, "%s", files_path("kept.model"));
    files_shell("cp work/ingest-tokenizer.model kept.model");
    o.inputs = stream;
    for (int i = 0; i < 2; i++) {
        assert_non_null(freopen(packed[0], "rb", stdin));
        o.tokenizer_path = i ? model : NULL;
        run(&o, &again);
        same_digests(&first, &again);
        ingest_result_free(&again);
    }
    files_shell(
        "test -z \"$(ls work | grep -v -e shard -e model)\""); /* nothing temporary is left */
    ingest_result_free(&first);
}

static void no_holdout_holds_out_nothing(void **state)
{
    (void)state;
    const char *in[] = {files_path("docs.jsonl")};
    struct ingest_options o = options_for(in, 1);
    struct ingest_result r;
    o.holdout = 0;
    run(&o, &r);
    assert_int_equal(r.documents[0], 900);
    assert_int_equal(r.shard_count[1], 0);
    ingest_result_free(&r);
}

static void labels_fall_back(void **state)
{
    (void)state;
    struct buf many, few;
    struct err e;
    struct ingest_result r;
    buf_init(&many, 1u << 24);
    buf_init(&few, 1u << 24);
    for (int i = 0; i < 200; i++) {
        struct buf text;
        buf_init(&text, 1u << 20);
        document(&text, (uint64_t)i, " ");
        for (char *t; (t = strchr(text.data, '\t'));)
            *t = ' ';
        if (buf_printf(&many, &e, "{\"text\": \"%s\", \"source\": \"n%d\"}\n", text.data, i) ||
            buf_printf(&few, &e, "{\"text\": \"%s x\"}\n", text.data))
            abort();
        buf_free(&text);
    }
    files_write("many.jsonl", many.data, many.len);
    files_write("few.jsonl", few.data, few.len);
    buf_free(&many);
    buf_free(&few);
    const char *in[] = {files_path("many.jsonl"), files_path("few.jsonl")};
    struct ingest_options o = options_for(in, 2);
    o.vocab = 350;
    run(&o, &r);
    assert_int_equal(r.label_count, 2); /* 200 sources: the files' stems */
    assert_string_equal(r.labels[0], "many");
    assert_string_equal(r.labels[1], "few");
    ingest_result_free(&r);

    files_make_folder("books");
    for (int i = 0; i < 100; i++) {
        char name[32];
        struct buf text;
        buf_init(&text, 1u << 20);
        document(&text, (uint64_t)i, "\n");
        snprintf(name, sizeof name, "books/b%03d.txt", i);
        files_text(name, text.data);
        buf_free(&text);
    }
    const char *folder[] = {files_path("books"), files_path("few.jsonl")};
    o.inputs = folder;
    run(&o, &r);
    assert_int_equal(r.label_count, 2); /* 100 stems: the inputs' names */
    assert_string_equal(r.labels[0], "books");
    assert_string_equal(r.labels[1], "few");
    ingest_result_free(&r);
    const char *no_sources[] = {files_path("few.jsonl"), files_path("docs.jsonl")};
    o.inputs = no_sources;
    run(&o, &r);
    assert_int_equal(r.label_count, 4);
    assert_string_equal(r.labels[0], "few");
    assert_string_equal(r.labels[1], "s0");
    ingest_result_free(&r);
}

static void what_is_skipped_is_counted(void **state)
{
    (void)state;
    files_shell("{ cat docs.jsonl; printf '%s\\n' '{\"text\": \"\"}' '{\"text\": \" \\n \"}' "
                "'{\"text\": 7}' 'nonsense' '[1]'; printf '{\"text\": \"caf\\351\"}\\n'; "
                "printf '{\"text\": \"%s\"}\\n' \"$(seq 1 9000 | tr '\\n' ' ')\"; } > dirty.jsonl");
    const char *in[] = {files_path("dirty.jsonl")};
    struct ingest_options o = options_for(in, 1);
    struct ingest_result r;
    o.document_bytes_max = 20000;
    run(&o, &r);
    assert_int_equal(r.documents[0] + r.documents[1], 900);
    assert_int_equal(r.skipped_empty, 2);
    assert_int_equal(r.skipped_json, 3);
    assert_int_equal(r.skipped_utf8, 1);
    assert_int_equal(r.skipped_long, 1);
    ingest_result_free(&r);
}

static void expect_error(const struct ingest_options *o, int code, const char *says)
{
    struct ingest_result r;
    struct err e = {0};
    assert_int_equal(ingest_run(o, &r, &e), code);
    if (!strstr(e.message, says))
        fail_msg("'%s' lacks '%s'", e.message, says);
    files_shell("test ! -e work || test -z \"$(ls work)\""); /* nothing is left behind */
}

static int stop_at_tokens(void *arg, const char *phase, uint64_t done, uint64_t total,
                          const char *unit)
{
    (void)arg, (void)done, (void)total, (void)unit;
    return !strcmp(phase, "tokens");
}

static void errors_name_what_is_wrong(void **state)
{
    (void)state;
    const char *in[] = {files_path("docs.jsonl"), files_path("cut.jsonl.gz")};
    struct ingest_options o = options_for(in, 1);
    files_shell("rm -rf work; gzip -c docs.jsonl | head -c 9000 > cut.jsonl.gz; "
                "echo '{\"text\": \"a short one\"}' > short.jsonl; "
                "{ head -2 docs.jsonl; seq 1 40; } > mostly.jsonl; echo ' ' > blank.txt; "
                "echo no model > no.model");
    o.input_count = 2;
    expect_error(&o, ERR_FORMAT, "cut.jsonl.gz is cut off or damaged");
    const char *mostly[] = {files_path("mostly.jsonl")};
    o.inputs = mostly;
    o.input_count = 1;
    expect_error(&o, ERR_FORMAT, "40 of 42 lines");
    const char *tiny[] = {files_path("short.jsonl")};
    o.inputs = tiny;
    o.holdout = 0;
    expect_error(&o, ERR_INVALID, "too small for a vocabulary of 400");
    const char *blank[] = {files_path("blank.txt")};
    o.inputs = blank;
    expect_error(&o, ERR_INVALID, "no document in the input: 1 are empty");
    o.inputs = in;
    o.seq = 1u << 20;
    expect_error(&o, ERR_INVALID, "less than one sequence");
    o.seq = SEQ;
    o.tokenizer_path = files_path("no.model");
    expect_error(&o, ERR_FORMAT, "no.model");
    o.tokenizer_path = files_path("kept.model");
    o.vocab = 500;
    expect_error(&o, ERR_INVALID, "has 400 pieces, not 500");
    o.vocab = 400;
    o.field_text = "body";
    expect_error(&o, ERR_FORMAT, "no field \"body\"");
    o.field_text = NULL;
    o.progress = stop_at_tokens;
    expect_error(&o, ERR_STOPPED, "stopped");
    o.holdout = 1;
    expect_error(&o, ERR_RANGE, "hold-out");
}

static int on_tick(void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
    (void)phase, (void)unit;
    assert_true(total == 0 || done <= total);
    ++*(int *)arg;
    return 0;
}

/* Memory must not follow the input. */
/* The last phase that an ingest began. */
static int on_phase(void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
    (void)done, (void)total, (void)unit;
    snprintf(arg, 16, "%s", phase);
    return 0;
}

/* What a data set can't hold is refused before it is shuffled and sent, and before it is tokenized
 * where the sample says so. */
static void too_much_text_is_refused_early(void **state)
{
    (void)state;
    const char *in[] = {files_path("docs.jsonl"), "", ""};
    char copy[512], phase[16];
    files_shell("cp docs.jsonl again.jsonl");
    snprintf(copy, sizeof copy, "%s", files_path("again.jsonl"));
    in[1] = in[2] = copy;
    struct ingest_options o = options_for(in, 1);
    o.progress = on_phase;
    o.progress_arg = phase;
    o.shards_max = 1; /* one for each split is one too many */
    expect_error(&o, ERR_TOO_LARGE, "a data set holds at most 524,288 (1 shards)");
    assert_string_equal(phase, "tokens");
    o.input_count = 3;
    o.seq = 262145; /* one is a shard */
    o.holdout = 0;
    expect_error(&o, ERR_TOO_LARGE, "a data set holds at most 262,145 (1 shards)");
    assert_string_equal(phase, "tokenizer");
    o.shards_max = 3;
    struct ingest_result r;
    run(&o, &r);
    ingest_result_free(&r);
}

static void memory_is_flat(void **state)
{
    (void)state;
    int ticks = 0;
    if (sanitized)
        skip(); /* the sanitizer keeps what is freed */
    files_shell("for i in $(seq 1 110); do cat docs.jsonl; done > large.jsonl && "
                "test $(stat -c %s large.jsonl) -gt 50000000");
    const char *small[] = {files_path("docs.jsonl")}, *large[] = {files_path("large.jsonl")};
    struct ingest_options o = options_for(small, 1);
    struct ingest_result r;
    char model[512];
    snprintf(model, sizeof model, "%s", files_path("kept.model"));
    o.tokenizer_path = model;
    run(&o, &r);
    ingest_result_free(&r);
    uint64_t before = env_memory_peak();
    o.inputs = large;
    o.progress = on_tick;
    o.progress_arg = &ticks;
    run(&o, &r);
    assert_int_equal(r.documents[0] + r.documents[1], 110 * 900);
    assert_true(env_memory_peak() < before + (16u << 20));
    assert_true(ticks > 4);
    ingest_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_is_what_method_says),
        cmocka_unit_test(threads_and_ways_in_change_no_byte),
        cmocka_unit_test(no_holdout_holds_out_nothing),
        cmocka_unit_test(labels_fall_back),
        cmocka_unit_test(what_is_skipped_is_counted),
        cmocka_unit_test(errors_name_what_is_wrong),
        cmocka_unit_test(too_much_text_is_refused_early),
        cmocka_unit_test(memory_is_flat),
    };
    return cmocka_run_group_tests(tests, begin, files_end);
}
