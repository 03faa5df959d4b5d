/* What a report claims. If one of these failed, a reader would be told that two models had equal
 * training when they had not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "ops/cli/report.h"

static const struct msg_quality dense = {.perplexity = 40,
                                         .perplexity_after_prefix = 38,
                                         .bits_per_byte = 2.6,
                                         .flops = 8e12,
                                         .tokens = 16000000};

/* Whether the report of a mixture with so many tokens and FLOPs says a text. */
static void check(uint64_t tokens, double flops, const char *said, const char *unsaid)
{
    const struct msg_quality mixture = {.perplexity = 32,
                                        .perplexity_after_prefix = 31,
                                        .bits_per_byte = 2.5,
                                        .flops = flops,
                                        .tokens = tokens};
    const struct msg_overhead overhead = {0};
    const struct msg_costs costs = {0};
    const struct msg_seconds seconds = {0};
    const struct msg_bytes bytes = {0};
    const struct report_facts facts = {.report = {.run = "demo",
                                                  .dataset = "books",
                                                  .router_mode = "em",
                                                  .mixture = &mixture,
                                                  .dense = &dense,
                                                  .dense_flops = &dense,
                                                  .overhead = &overhead,
                                                  .costs = &costs,
                                                  .seconds = &seconds,
                                                  .bytes = &bytes}};
    struct arena arena;
    struct doc d;
    struct err e = {0};
    arena_init(&arena, 1u << 20);
    doc_begin(&d, DOC_MARKDOWN, false, &arena, "A report");
    report_write(&d, &facts);
    assert_int_equal(doc_end(&d, &e), 0);
    assert_non_null(strstr(d.out.data, said));
    if (unsaid)
        assert_null(strstr(d.out.data, unsaid));
    buf_free(&d.out);
    arena_free(&arena);
}

static void test_equal_is_said_of_equals_alone(void **state)
{
    (void)state;
    check(16000000, 8.01e12, "Against dense at equal tokens: perplexity 20.0 % lower", NULL);
    check(16000000, 8.01e12, "Against dense at equal FLOPs: perplexity 20.0 % lower", NULL);
    /* The run was extended: its experts have seen more. */
    check(24000000, 12e12, "Against dense at 16.0 M tokens: perplexity", "equal tokens");
    check(24000000, 12e12, "Against dense at 8.00 TFLOP: perplexity", "equal FLOPs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal_is_said_of_equals_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
