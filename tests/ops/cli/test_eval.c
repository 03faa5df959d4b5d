/* Figures that people will quote: each published format must be read as it is meant, the right
 * answer must be the right one, and intervals must be those of the draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "ops/cli/eval.h"

static struct eval_task parse(const char *text, bool csv, int expected, struct err *e)
{
    struct eval_task t = {0};
    arena_init(&t.arena, 1u << 24);
    assert_int_equal(eval_task_parse(&t, "task", text, strlen(text), csv, 0, e), expected);
    return t;
}

static void one(const char *text, bool csv, const char *prompt, uint32_t choices, uint32_t answer,
                const char *right, const char *group)
{
    struct err e = {0};
    struct eval_task t = parse(text, csv, 0, &e);
    assert_int_equal(t.count, 1);
    assert_string_equal(t.items[0].prompt, prompt);
    assert_int_equal(t.items[0].choice_count, choices);
    assert_int_equal(t.items[0].answer, answer);
    if (choices)
        assert_string_equal(t.items[0].choices[answer], right);
    if (group)
        assert_string_equal(t.items[0].group, group);
    else
        assert_null(t.items[0].group);
    eval_task_free(&t);
}

static void test_formats(void **state)
{
    (void)state;
    one("{\"prompt\":\"a \",\"choices\":[\"b\",\"c\"],\"answer\":1,\"group\":\"g\"}\n", false, "a ",
        2, 1, "c", "g");
    one("{\"prompt\":\"a\",\"target\":\" b\"}", false, "a", 1, 0, " b", NULL);
    one("\n{\"text\":\"all of it\"}\r\n\n", false, "all of it", 0, 0, NULL, NULL);
    /* ARC as published, and as on the hub */
    one("{\"id\":\"M1\",\"question\":{\"stem\":\"Why?\",\"choices\":[{\"text\":\"x\",\"label\":"
        "\"A\"},{\"text\":\"y\",\"label\":\"B\"},{\"text\":\"z\",\"label\":\"C\"}]},"
        "\"answerKey\":\"C\"}",
        false, "Question: Why?\nAnswer:", 3, 2, " z", NULL);
    one("{\"question\":\"Why?\",\"choices\":{\"text\":[\"x\",\"y\"],\"label\":[\"1\",\"2\"]},"
        "\"answerKey\":\"1\"}",
        false, "Question: Why?\nAnswer:", 2, 0, " x", NULL);
    /* HellaSwag: the label may be a string */
    one("{\"ctx\":\"He runs\",\"endings\":[\"up\",\"down\"],\"label\":\"1\","
        "\"activity_label\":\"Running\"}",
        false, "He runs", 2, 1, " down", "Running");
    one("{\"question\":\"What?\",\"distractor1\":\"w1\",\"distractor2\":\"w2\",\"distractor3\":"
        "\"w3\",\"correct_answer\":\"r\",\"support\":\"It is r.\"}",
        false, "It is r.\nQuestion: What?\nAnswer:", 4, 0, " r", NULL);
    one("{\"question\":\"2+2?\",\"choices\":[\"3\",\"4\",\"5\",\"6\"],\"answer\":1,"
        "\"subject\":\"arithmetic\"}",
        false, "Question: 2+2?\nAnswer:", 4, 1, " 4", "arithmetic");
    one("\"Say \"\"a, b\"\", please\",x,\"y, z\",,w,B\n", true,
        "Question: Say \"a, b\", please\nAnswer:", 4, 1, " y, z", NULL);
}

static void refused(const char *text, bool csv, const char *words)
{
    struct err e = {0};
    struct eval_task t = {0};
    arena_init(&t.arena, 1u << 24);
    assert_int_not_equal(eval_task_parse(&t, "task", text, strlen(text), csv, 0, &e), 0);
    if (!strstr(e.message, words))
        fail_msg("%s: %s", text, e.message);
    eval_task_free(&t);
}

static void test_refuses(void **state)
{
    (void)state;
    refused("", false, "no items");
    refused("{\"text\":\"a\"}\nnonsense\n", false, "task:2:");
    refused("[1]", false, "no JSON object");
    refused("{\"x\":1}", false, "no fields of a task");
    refused("{\"text\":\"\"}", false, "empty");
    refused("{\"text\":7}", false, "no string");
    refused("{\"prompt\":\"a\",\"choices\":[\"b\",\"c\"],\"answer\":2}", false, "right one");
    refused("{\"prompt\":\"a\",\"choices\":[\"b\",\"c\"],\"answer\":-1}", false, "right one");
    refused("{\"prompt\":\"a\",\"choices\":[\"b\"],\"answer\":0}", false, "fewer than two");
    refused("{\"prompt\":\"a\",\"choices\":[\"b\",3],\"answer\":0}", false, "no string");
    refused("{\"question\":\"q\",\"choices\":{\"text\":[\"x\",\"y\"],\"label\":[\"A\",\"B\"]},"
            "\"answerKey\":\"C\"}",
            false, "label of no answer");
    refused("q,a,b,c", true, "fewer than four");
    refused("q,a,b,c,d,E", true, "no letter");
    refused("{\"text\":\"\xff\"}", false, "UTF-8");
}

/* Two items of two answers, two experts. Item 0 is routed to expert 0, item 1 to expert 1. */
#define LN(x) (float)log(x)
static struct mixture mixture;
static struct eval_sequence sequences[] = {
    {.item = 0, .length = 5, .from = 3, .bytes = 10},
    {.item = 0, .length = 5, .from = 3, .bytes = 1},
    {.item = 1, .length = 4, .from = 3, .bytes = 4},
    {.item = 1, .length = 4, .from = 3, .bytes = 4},
};

static void begin(struct eval_run *r, struct eval_task *t, float *scores,
                  struct eval_likelihood *said)
{
    static struct eval_item items[2] = {
        {.kind = EVAL_CHOICE, .choice_count = 2, .answer = 0},
        {.kind = EVAL_CHOICE, .choice_count = 2, .answer = 1},
    };
    const float given[] = {-1, -3, -1, -3, -5, -4, -5, -4};
    const struct eval_likelihood likelihoods[] = {
        {LN(.5), LN(.04), false}, {LN(.5), LN(.05), false}, {LN(.1), LN(.9), false},
        {LN(.1), LN(.1), false},  {LN(.2), LN(.5), false},  {LN(.2), LN(.1), false},
        {LN(.5), LN(.3), false},  {LN(.5), LN(.6), false},
    };
    memcpy(scores, given, sizeof given);
    memcpy(said, likelihoods, sizeof likelihoods);
    *t = (struct eval_task){.items = items, .count = 2};
    *r = (struct eval_run){.mixture = &mixture,
                           .task = t,
                           .sequences = sequences,
                           .sequence_count = 4,
                           .experts = 2,
                           .scores = scores,
                           .likelihood = said};
}

static void test_systems(void **state)
{
    (void)state;
    struct eval_run r;
    struct eval_task t;
    struct eval_likelihood said[8];
    struct eval_system *s;
    struct arena a;
    struct err e = {0};
    float scores[8];
    uint32_t count;
    begin(&r, &t, scores, said);
    arena_init(&a, 1u << 20);
    assert_int_equal(eval_systems(&r, 2, &a, &s, &count, &e), 0);
    assert_int_equal(count, 4); /* mixture, of the 2 best, expert 0, expert 1 */
    /* Item 0 by expert 0: 0.04 against 0.05, but over ten bytes against one. */
    assert_true(s[0].parts[EVAL_RAW][0].above == 0);
    assert_true(s[0].parts[EVAL_BY_LENGTH][0].above == 1);
    assert_true(s[0].parts[EVAL_RAW][1].above == 1);
    assert_true(s[2].parts[EVAL_RAW][1].above == 0);
    assert_true(s[3].parts[EVAL_RAW][0].above == 1);
    /* Perplexity is of the right answer, per token. */
    assert_true(fabs(s[0].parts[EVAL_PERPLEXITY][0].above + log(.04)) < 1e-6);
    assert_true(s[0].parts[EVAL_PERPLEXITY][0].below == 2);
    assert_true(s[0].parts[EVAL_BITS][0].below == 10);
    /* Eq. 2: Σ w p(prompt) p(answer) / Σ w p(prompt). */
    const double w0 = exp(-1), w1 = exp(-3);
    const double p = (w0 * .5 * .04 + w1 * .2 * .5) / (w0 * .5 + w1 * .2);
    assert_true(fabs(s[1].parts[EVAL_PERPLEXITY][0].above + log(p)) < 1e-6);
    arena_free(&a);
}

static void test_bootstrap(void **state)
{
    (void)state;
    enum { ITEMS = 400 };
    struct eval_part good[ITEMS], poor[ITEMS], lossy[ITEMS];
    struct eval_figure v[2], d[2], again[2], none[2];
    struct err e = {0};
    for (int i = 0; i < ITEMS; i++) {
        good[i] = (struct eval_part){i % 10 < 6, 1};
        poor[i] = (struct eval_part){i % 10 < 5, 1};
        lossy[i] = (struct eval_part){2.0, 1};
    }
    struct eval_system s[2] = {{.name = "a", .parts = {good}}, {.name = "b", .parts = {poor}}};
    assert_int_equal(eval_bootstrap(s, 2, EVAL_RAW, ITEMS, 1, 1, v, d, &e), 0);
    assert_true(v[0].value == 0.6 && v[1].value == 0.5);
    /* A binomial's: 0.6 ± 1.96 √(0.6·0.4/400) = ± 0.048, but for the draws' own noise. */
    assert_true(fabs(v[0].low - 0.552) < 0.01 && fabs(v[0].high - 0.648) < 0.01);
    /* Paired: the two differ on a tenth of the items, never the other way. */
    assert_true(fabs(d[0].value - 0.1) < 1e-12);
    assert_true(d[0].low > 0.06 && d[0].high < 0.14);
    assert_true(d[1].low == 0 && d[1].high == 0);
    assert_int_equal(eval_bootstrap(s, 2, EVAL_RAW, ITEMS, 1, 1, again, none, &e), 0);
    assert_memory_equal(v, again, sizeof v);
    assert_int_equal(eval_bootstrap(s, 2, EVAL_RAW, ITEMS, 1, 2, again, none, &e), 0);
    assert_true(memcmp(v, again, sizeof v) != 0);
    s[0].parts[EVAL_PERPLEXITY] = lossy;
    assert_int_equal(eval_bootstrap(s, 2, EVAL_PERPLEXITY, ITEMS, 1, 1, v, d, &e), 0);
    assert_true(fabs(v[0].value - exp(2)) < 1e-9 && isnan(v[1].value) && isnan(d[0].value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_systems),
        cmocka_unit_test(test_bootstrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
