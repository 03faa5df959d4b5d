/* Text must survive encoding and decoding byte by byte, in any language and layout, or perplexity
 * and samples are of something else than what the user gave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include "core/base/rng.h"
#include "core/data/tokenizer.h"
#include "tests/core/data/data_files.h"

static const char *const phrases[] = {
    "the router sends each sequence to the expert that finds it likeliest",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "Größere Übungsaufgaben für zwölf Boxkämpfer über dem Deich",
    "    for (size_t i = 0; i < n; i++) {",
    "        return sum(x * y for x, y in zip(a, b))",
    "l'été dernier, où le cœur naïf s'était égaré",
    "3.14159 and 2.71828; 1,234,567 items",
};

static struct buf model;
static struct tokenizer *tok;

static int begin(void **state)
{
    struct err e = {0};
    struct buf text;
    if (files_begin(state))
        return -1;
    buf_init(&text, 1u << 24);
    for (uint64_t i = 0; i < 6000; i++) {
        uint64_t x = rng_u64(7, RNG_TEST, i, 0);
        const char *p = phrases[x % 7];
        size_t len = strlen(p), at = (x >> 8) % (len / 2);
        while (((unsigned char)p[at] & 0xc0) == 0x80)
            at++;
        if (buf_printf(&text, &e, "%s%llu\n", p + at, (unsigned long long)(x >> 40) % 100))
            return -1;
    }
    files_write("sample", text.data, text.len);
    buf_free(&text);
    buf_init(&model, 1u << 24);
    if (tokenizer_train(files_path("sample"), 700, &model, &e) ||
        tokenizer_open(&tok, model.data, model.len, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return -1;
    }
    return 0;
}

static int end(void **state)
{
    tokenizer_close(tok);
    buf_free(&model);
    return files_end(state);
}

struct ids {
    uint32_t *ids;
    size_t count, cap;
};

static struct ids encode(const char *text, size_t len)
{
    struct ids r = {NULL, 0, 0};
    struct err e = {0};
    assert_int_equal(tokenizer_encode(tok, text, len, &r.ids, &r.count, &r.cap, &e), 0);
    return r;
}

static void round_trip(const char *text, size_t len)
{
    struct ids r = encode(text, len);
    struct buf back;
    struct err e = {0};
    buf_init(&back, 1u << 26);
    assert_int_equal(tokenizer_decode(tok, r.ids, r.count, &back, &e), 0);
    assert_int_equal(back.len, len);
    assert_memory_equal(back.data, text, len);
    uint64_t bytes = 0;
    for (size_t i = 0; i < r.count; i++) {
        assert_true(r.ids[i] < tokenizer_vocab(tok));
        assert_true(r.ids[i] != tokenizer_end(tok));
        bytes += tokenizer_text_bytes(tok, r.ids[i]);
    }
    assert_int_equal(bytes, len); /* bits per byte of text rest on it */
    buf_free(&back);
    free(r.ids);
}

static void any_text_comes_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x",
        " ",
        "\n",
        "\t",
        "  leading and trailing  ",
        "\n\n\n\t\t \n",
        "a\r\nb\r\n",
        "Съешь же ещё этих\nмягких  французских\tбулок",
        "Größe — „Übung“ … Straße",
        "int main(void)\n{\n\tif (x)\n\t\treturn 0;\n        /* eight */\n}\n",
        "日本語のテキスト、漢字とかな。",
        "\xf0\x9f\x98\x80\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
        "\n\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81 and\n\xe2\x96\x81 \n  \xe2\x96\x81",
        "a literal \xe2\x96\x81 mark\xe2\x96\x81\xe2\x96\x81 \xe2\x96\x81",
        "</s><s><unk><0x0A>",
        "e\xcc\x81 and \xef\xac\x81 and \xef\xbc\xa1 are not normalized",
        "\x01\x7f\xc2\xa0\xe3\x80\x80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        round_trip(texts[i], strlen(texts[i]));
    char text[400];
    for (uint64_t i = 0; i < 3000; i++) {
        size_t len = 0;
        for (uint64_t k = 0; k < 40; k++) {
            uint64_t x = rng_u64(1, RNG_TEST, i, k);
            static const char *const bits[] = {" ",  "\n", "\t", "a", "th", "é",   "ж",    "日",
                                               "  ", "▁",  "(",  "9", "😀",  "the", "\r\n", "_"};
            const char *s = bits[x % 16];
            memcpy(text + len, s, strlen(s));
            len += strlen(s);
        }
        round_trip(text, len);
    }
}

static void endless_lines_are_cut_between_characters(void **state)
{
    (void)state;
    size_t len = 1u << 18;
    char *text = malloc(len);
    for (size_t i = 0; i + 2 <= len; i += 2)
        memcpy(text + i, i % 7 ? "ж" : "ы", 2);
    round_trip(text, len);
    memset(text, ' ', len);
    round_trip(text, len);
    memset(text, '\n', len);
    round_trip(text, len);
    free(text);
}

/* Ids depend on the text alone: not on what was encoded before, and not on other threads. */
struct worker {
    const char *text;
    size_t len;
    struct ids want;
    int equal;
};

static void *encode_again(void *arg)
{
    struct worker *w = arg;
    w->equal = 1;
    for (int i = 0; i < 5; i++) {
        struct ids r = {NULL, 0, 0};
        struct err e = {0};
        if (tokenizer_encode(tok, w->text, w->len, &r.ids, &r.count, &r.cap, &e) ||
            r.count != w->want.count || memcmp(r.ids, w->want.ids, r.count * sizeof *r.ids))
            w->equal = 0;
        free(r.ids);
    }
    return NULL;
}

static void threads_and_history_change_no_id(void **state)
{
    (void)state;
    struct buf text;
    struct err e = {0};
    buf_init(&text, 1u << 24);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t x = rng_u64(2, RNG_TEST, i, 0);
        assert_int_equal(buf_printf(&text, &e, "%.*s%llx%c", (int)(x % 9), phrases[0] + x % 40,
                                    (unsigned long long)x >> 44, x % 5 ? ' ' : '\n'),
                         0);
    }
    struct tokenizer *shared = tok;
    assert_int_equal(tokenizer_open(&tok, model.data, model.len, &e), 0);
    struct ids fresh = encode(text.data, text.len);
    tokenizer_close(tok);
    tok = shared;
    struct worker w[3];
    pthread_t t[3];
    for (int i = 0; i < 3; i++) {
        w[i] = (struct worker){text.data, text.len, fresh, 0};
        assert_int_equal(pthread_create(&t[i], NULL, encode_again, &w[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        assert_true(w[i].equal);
    }
    free(fresh.ids);
    buf_free(&text);
}

/* Up to a phrase, and often an empty line and indentation after it. */
static void append_line(struct buf *b, uint64_t x)
{
    static const char *const layouts[] = {"",       "\n",    "\n\n",     "\n",     "\n\t\t",
                                          "\n    ", "\n   ", "\n\t\t\t", "\t\t\t", "\n \t        "};
    const char *p = phrases[x % 7];
    size_t n = strlen(p), from = (x >> 8) % 4 ? n - n / 4 : (x >> 10) % n;
    while (((unsigned char)p[from] & 0xc0) == 0x80)
        from++;
    assert_int_equal(buf_printf(b, NULL, "%s\n%s", p + from, layouts[(x >> 32) % 10]), 0);
}

/* Where a long text happens to be cut changes none of its ids: they are those of any cutting at
 * line ends. */
static void cuts_at_line_ends_change_no_id(void **state)
{
    (void)state;
    struct buf text;
    struct ids pieces = {NULL, 0, 0};
    struct err e = {0};
    buf_init(&text, 1u << 22);
    for (uint64_t i = 0; i < 8000; i++)
        append_line(&text, rng_u64(5, RNG_TEST, i, 0));
    assert_true(text.len > 100000);
    struct ids whole = encode(text.data, text.len);
    size_t from = 0;
    for (size_t at = 1; at <= text.len; at++)
        if (at == text.len || (text.data[at] == '\n' && text.data[at - 1] != '\n')) {
            assert_int_equal(tokenizer_encode(tok, text.data + from, at - from, &pieces.ids,
                                              &pieces.count, &pieces.cap, &e),
                             0);
            from = at;
        }
    assert_int_equal(whole.count, pieces.count);
    assert_memory_equal(whole.ids, pieces.ids, whole.count * sizeof *whole.ids);
    assert_true(whole.count * 3 < text.len * 2); /* it has learned something */
    round_trip(text.data, text.len);
    free(whole.ids);
    free(pieces.ids);
    buf_free(&text);
}

static void equal_samples_give_equal_models(void **state)
{
    (void)state;
    struct buf again;
    struct err e = {0};
    buf_init(&again, 1u << 24);
    files_shell("cp sample another,name");
    assert_int_equal(tokenizer_train(files_path("another,name"), 700, &again, &e), 0);
    assert_int_equal(again.len, model.len);
    assert_memory_equal(again.data, model.data, model.len);
    buf_free(&again);
}

static void too_little_text_says_what_is_possible(void **state)
{
    (void)state;
    struct buf out;
    struct err e = {0};
    buf_init(&out, 1u << 24);
    files_text("little", "a few words\nof text\n");
    assert_int_equal(tokenizer_train(files_path("little"), 4096, &out, &e), ERR_INVALID);
    const char *most = strstr(e.message, "at most ");
    assert_non_null(most);
    unsigned long v = strtoul(most + 8, NULL, 10);
    assert_true(v > 270 && v < 400);
    assert_int_equal(tokenizer_train(files_path("sample"), 200, &out, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "291"));
    files_text("none", "\n\n");
    assert_int_equal(tokenizer_train(files_path("none"), 700, &out, &e), ERR_INVALID);
    /* What was said to be possible is. */
    if (v >= 291)
        assert_int_equal(tokenizer_train(files_path("little"), (uint32_t)v, &out, &e), 0);
    buf_free(&out);
}

/* Thousands of different characters must leave room for merges, not fail. */
static void scripts_of_many_characters_train(void **state)
{
    (void)state;
    struct buf text, out;
    struct err e = {0};
    buf_init(&text, 1u << 24);
    buf_init(&out, 1u << 24);
    for (uint64_t i = 0; i < 40000; i++) {
        uint32_t c = 0x4e00 + (uint32_t)(rng_u64(3, RNG_TEST, i, 0) % 5000);
        if (i % 3)
            c = 0x4e00 + c % 50;
        assert_int_equal(buf_printf(&text, &e, "%c%c%c%s", 0xe0 | c >> 12, 0x80 | (c >> 6 & 63),
                                    0x80 | (c & 63), i % 20 == 19 ? "\n" : ""),
                         0);
    }
    files_write("han", text.data, text.len);
    int rc = tokenizer_train(files_path("han"), 400, &out, &e);
    if (rc)
        fail_msg("%s", e.message);
    buf_free(&text);
    buf_free(&out);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t;
    struct err e = {0};
    assert_int_equal(tokenizer_open(&t, "", 0, &e), ERR_FORMAT);
    assert_int_equal(tokenizer_open(&t, "hello world", 11, &e), ERR_FORMAT);
    for (size_t cut = 1; cut < model.len; cut += 97) {
        int rc = tokenizer_open(&t, model.data, cut, &e);
        if (rc == 0) /* a prefix may be whole, and then it must be usable */
            tokenizer_close(t);
        else
            assert_int_equal(rc, ERR_FORMAT);
    }
    uint32_t id = tokenizer_vocab(tok);
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(tokenizer_decode(tok, &id, 1, &out, &e), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(endless_lines_are_cut_between_characters),
        cmocka_unit_test(threads_and_history_change_no_id),
        cmocka_unit_test(cuts_at_line_ends_change_no_id),
        cmocka_unit_test(equal_samples_give_equal_models),
        cmocka_unit_test(too_little_text_says_what_is_possible),
        cmocka_unit_test(scripts_of_many_characters_train),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
