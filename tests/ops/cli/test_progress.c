#include "ops/cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void expect(const char *wanted, uint64_t first, uint64_t done, uint64_t total,
                   const char *unit, double seconds)
{
    char words[256];
    progress_words(words, sizeof words, "upload", first, done, total, unit, seconds);
    assert_string_equal(words, wanted);
}

/* Someone who waits wants to know how far, how fast, how long still. */
static void test_words(void **state)
{
    (void)state;
    expect("upload: 25.0 MB of 100 MB (25 %), 5.00 MB/s, 15 s left", 0, 25000000, 100000000,
           "bytes", 5);
    expect("upload: 1,200 documents, 600 documents/s", 0, 1200, 0, "documents", 2);
    expect("upload: 100 sequences of 100 sequences (100 %), 50 sequences/s", 0, 100, 100,
           "sequences", 2);
}

/* Training a tokenizer knows no end: that it goes on is told without a made-up rate. */
static void test_time_alone(void **state)
{
    (void)state;
    expect("upload: for 5.2 s so far", 0, 5155, 0, "ms", 5.2);
}

/* What was there before this phase began must not count as speed. */
static void test_rate_counts_from_the_first(void **state)
{
    (void)state;
    expect("upload: 90.0 MB of 100 MB (90 %), 1.00 MB/s, 10 s left", 80000000, 90000000, 100000000,
           "bytes", 10);
}

/* Nothing has moved yet: no rate and no end are made up. */
static void test_no_rate_yet(void **state)
{
    (void)state;
    expect("upload: 0 B of 100 MB (0 %)", 0, 0, 100000000, "bytes", 30);
    expect("upload: 10.0 MB of 100 MB (10 %)", 0, 10000000, 100000000, "bytes", 0.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_rate_counts_from_the_first),
        cmocka_unit_test(test_no_rate_yet),
        cmocka_unit_test(test_time_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
