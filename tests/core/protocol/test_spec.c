/* A spec is the first thing a user writes: every slip in it must be named with file, line and what
 * is accepted, and its canonical form must name a run the same on every machine. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/spec.h"

#define MINIMAL                                                                                    \
    "[run]\nname = demo\ndataset = corpus\nexperts = 4\n"                                          \
    "[router]\nhidden = 16\nlayers = 1\nheads = 2\n"                                               \
    "[expert]\nhidden = 32\nlayers = 2\nheads = 2\n"

static int parse(const char *text, struct run_spec *s, struct err *e)
{
    *e = (struct err){0};
    return spec_parse(text, strlen(text), "a.ini", s, e);
}

static void absent_keys_get_their_defaults(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse(MINIMAL, &s, &e), 0);
    assert_string_equal(s.name, "demo");
    assert_string_equal(s.dataset, "corpus");
    assert_true(s.experts == 4 && s.seed == 1 && s.arithmetic == SPEC_EXACT);
    assert_true(s.precision == SPEC_F32 && spec_engine_arithmetic(&s) == ENGINE_EXACT);
    assert_true(s.router.mode == SPEC_EM && s.router.prefix == 32 && s.router.rounds == 8);
    assert_true(s.router.sequences == 4096 && s.router.passes == 1 && s.router.batch == 16);
    assert_true(s.router.learning_rate == 3e-3 && s.router.warmup == 20);
    assert_true(s.router.grad_clip == 1.0);
    assert_true(s.expert.ffn == 128 && s.expert.batch == 8 && s.expert.steps == 4000);
    assert_true(s.expert.learning_rate == 5e-3 && s.expert.warmup == 100);
    assert_true(s.expert.grad_clip == 1.0 && s.expert.weight_decay == 0.1);
    assert_true(s.expert.beta1 == 0.9 && s.expert.beta2 == 0.99 && s.expert.chunk == 1048576);
    assert_true(spec_optimizer(&s, true) == OPTIMIZER_ADAMW);
    assert_true(spec_optimizer(&s, false) == OPTIMIZER_ADAMW);
    assert_true(s.dense.enabled && s.dense.batch == 32 && s.dense.match == SPEC_MATCH_TOKENS);
    assert_true(s.checkpoint.every_steps == 250 && s.checkpoint.publish_steps == 500);
    assert_true(s.eval.every_steps == 0);
}

static void each_kind_of_model_has_its_optimizer(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse(MINIMAL "[expert]\noptimizer = muon\n", &s, &e), 0);
    assert_true(spec_optimizer(&s, false) == OPTIMIZER_MUON);
    assert_true(spec_optimizer(&s, true) == OPTIMIZER_ADAMW);
    assert_int_equal(parse(MINIMAL "[router]\noptimizer = sgd\n", &s, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "accepted: adamw or muon"));
}

/* A short link must not make the user set a key that was not theirs. */
static void saves_follow_short_links(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse(MINIMAL "[checkpoint]\npublish_steps = 100\n", &s, &e), 0);
    assert_int_equal(s.checkpoint.every_steps, 100);
}

static void every_form_of_text_is_read(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse("\xef\xbb\xbf# comment\r\n" MINIMAL
                           "\n   ; indented comment\n  ffn=64\r\n\tsteps : 100 ; behind\n"
                           "learning_rate = 1e-4\n[dense]\nenabled = false\nmatch = both\n"
                           "[router]\nmode = random\n[run]\narithmetic = blas\nseed = 0",
                           &s, &e),
                     0);
    assert_true(s.expert.ffn == 64 && s.expert.steps == 100 && s.expert.learning_rate == 1e-4);
    assert_true(!s.dense.enabled && s.dense.match == SPEC_MATCH_BOTH);
    assert_true(s.router.mode == SPEC_RANDOM && s.arithmetic == SPEC_BLAS && s.seed == 0);
}

static void precision_chooses_the_engine(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse(MINIMAL "[run]\nprecision = bf16\n", &s, &e), 0);
    assert_true(s.precision == SPEC_BF16 && spec_engine_arithmetic(&s) == ENGINE_BF16);
    assert_int_equal(parse(MINIMAL "[run]\narithmetic = blas\n", &s, &e), 0);
    assert_int_equal(spec_engine_arithmetic(&s), ENGINE_BLAS);
}

static void booleans_have_four_words(void **state)
{
    (void)state;
    struct run_spec s;
    struct err e;

    assert_int_equal(parse(MINIMAL "[dense]\nenabled = yes", &s, &e), 0);
    assert_true(s.dense.enabled);
    assert_int_equal(parse(MINIMAL "[dense]\nenabled = true", &s, &e), 0);
    assert_true(s.dense.enabled);
    assert_int_equal(parse(MINIMAL "[dense]\nenabled = no", &s, &e), 0);
    assert_false(s.dense.enabled);
}

/* The control trains no routers, so it needs no sizes of them. */
static void random_needs_no_router_sizes(void **state)
{
    (void)state;
    struct run_spec s, again;
    struct buf b;
    struct err e;

    assert_int_equal(parse("[run]\nname = c\ndataset = d\nexperts = 4\n[router]\nmode = random\n"
                           "[expert]\nhidden = 32\nlayers = 2\nheads = 2\n",
                           &s, &e),
                     0);
    buf_init(&b, SPEC_BYTES_MAX);
    assert_int_equal(spec_canonical(&s, &b, &e), 0);
    assert_int_equal(spec_parse(b.data, b.len, "c", &again, &e), 0);
    assert_memory_equal(&s, &again, sizeof s);
    buf_free(&b);
}

static void slips_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[run]\nname = demo\nexperts = 4\n",
         "a.ini: [run] dataset: missing; accepted: 1 to 64 letters, digits, '.', '_' and '-', the "
         "first not '.' or '-'"},
        {"", "a.ini: [run] name: missing; "},
        {"[run]\nname = a\ndataset = b\nexperts = 2\n[expert]\nhidden = 8\nlayers=1\nheads=1",
         "a.ini: [router] hidden: missing; accepted: a whole number from 1 to 32768"},
        {"[run]\nname = my run\n",
         "a.ini:2: [run] name: \"my run\" is not a name; accepted: 1 to 64 letters"},
        {"[run]\n\nexperts = four\n",
         "a.ini:3: [run] experts: \"four\" is not a whole number; accepted: a whole number from 2 "
         "to 1024"},
        {"[run]\nexperts = 1\n", "a.ini:2: [run] experts: \"1\" is out of range; accepted: a whole "
                                 "number from 2 to 1024"},
        {"[run]\nexperts = 1025\n", "a.ini:2: [run] experts: \"1025\" is out of range; "},
        {"[run]\nexperts = -4\n", "a.ini:2: [run] experts: \"-4\" is not a whole number; "},
        {"[run]\nexperts =\n", "a.ini:2: [run] experts: \"\" is not a whole number; "},
        {"[run]\nseed = 9223372036854775808\n", "a.ini:2: [run] seed: \"9223372036854775808\" is "
                                                "out of range; "},
        {"[run]\narithmetic = fast\n",
         "a.ini:2: [run] arithmetic: \"fast\" is not known; accepted: exact or blas"},
        {"[router]\nlearning_rate = 0\n", "a.ini:2: [router] learning_rate: \"0\" is out of range; "
                                          "accepted: a number above 0 to 1"},
        {"[router]\nlearning_rate = nan\n",
         "a.ini:2: [router] learning_rate: \"nan\" is not a number; "},
        {"[expert]\nbeta2 = 1\n",
         "a.ini:2: [expert] beta2: \"1\" is out of range; accepted: a number from 0 and below 1"},
        {"[expert]\nweight_decay = 1.5\n",
         "a.ini:2: [expert] weight_decay: \"1.5\" is out of range; accepted: a number from 0 to 1"},
        {"[dense]\nenabled = maybe\n",
         "a.ini:2: [dense] enabled: \"maybe\" is neither yes nor no; accepted: yes or no"},
        {"[expert]\nlerning_rate = 1\n",
         "a.ini:2: [expert] lerning_rate: unknown key; did you mean learning_rate?"},
        {"[router]\nchunk = 100\n",
         "a.ini:2: [router] chunk: unknown key; [expert] has one of this name"},
        {"[run]\npublish_step = 1\n",
         "a.ini:2: [run] publish_step: unknown key; did you mean [checkpoint] publish_steps?"},
        {"[run]\nzzz = 1\n", "a.ini:2: [run] zzz: unknown key; `tacit run spec` prints all keys"},
        {"[experts]\nhidden = 1\n", "a.ini:2: unknown section [experts]; did you mean [expert]?"},
        {"[zzz]\nhidden = 1\n", "a.ini:2: unknown section [zzz]; accepted: [run], [router], "},
        {"name = 1\n", "a.ini:1: a key before the first section; "},
        {"[run]\nname = a\nnonsense\nseed = x\n",
         "a.ini:3: neither \"[section]\" nor \"key = value\""},
        {"[run]\nname = a\n\nname = b\n", "a.ini:4: [run] name: given twice, first in line 2"},
        {MINIMAL "[router]\nhidden = 16\n",
         "a.ini:14: [router] hidden: given twice, first in line 6"},
        {"[run]\nname = \xff\n", "a.ini: not UTF-8 text: is this a spec?"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run_spec s;
        struct err e;
        int rc = parse(cases[i].text, &s, &e);
        if (rc != ERR_INVALID || strncmp(e.message, cases[i].message, strlen(cases[i].message)))
            fail_msg("%s\n gave %d %s\n not %s", cases[i].text, rc, e.message, cases[i].message);
    }
}

static void keys_must_fit_each_other(void **state)
{
    (void)state;
    static const struct {
        const char *more, *message;
    } cases[] = {
        {"[run]\narithmetic = blas\nprecision = bf16\n",
         "a.ini:15: [run] precision: OpenBLAS has no products of bf16 that add up in float32 the "
         "same everywhere; accepted: f32, or bf16 with arithmetic = exact"},
        {"[dense]\nbatch = 3\n", "a.ini:14: [dense] batch: 3 does not divide the 128000 sequences "
                                 "of all experts' training"},
        {"[checkpoint]\nevery_steps = 501\n",
         "a.ini:14: [checkpoint] every_steps: 501 is more than publish_steps, 500; "},
        {"[eval]\nevery_steps = 750\n",
         "a.ini:14: [eval] every_steps: 750 is not a multiple of [checkpoint] publish_steps, 500"},
        {"[router]\nsequences = 3\n", "a.ini:14: [router] sequences: 3 sequences cannot be parted "
                                      "among 4 routers; accepted: at least 4"},
        {"[expert]\nchunk = 2\n", "a.ini:14: [expert] chunk: 2 sequences cannot be parted among 4 "
                                  "experts; accepted: at least 4"},
        /* Each of these would end the run at its assignment or report, after all training. */
        {"[router]\nsequences = 300000000\n", "a.ini:14: [router] sequences: \"300000000\" is out "
                                              "of range; accepted: a whole number from 2 "
                                              "to 268435456"},
        {"[expert]\nsteps = 1500000\n[eval]\nevery_steps = 1000\n",
         "a.ini:16: [eval] every_steps: 1000 makes 1500 points of the longest model's 1500000 "
         "steps, more than 1000; accepted: at least 1500"},
        {"[dense]\nbatch = 1\n[checkpoint]\npublish_steps = 100\n[eval]\nevery_steps = 100\n",
         "a.ini:18: [eval] every_steps: 100 makes 1280 points of the longest model's 128000 "
         "steps, more than 1000; accepted: at least 200"},
    };
    struct run_spec s;
    struct err e;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        snprintf(text, sizeof text, "%s%s", MINIMAL, cases[i].more);
        int rc = parse(text, &s, &e);
        if (rc != ERR_INVALID || strncmp(e.message, cases[i].message, strlen(cases[i].message)))
            fail_msg("%s\n gave %d %s\n not %s", cases[i].more, rc, e.message, cases[i].message);
    }
    assert_int_equal(parse("[run]\nname = a\ndataset = b\nexperts = 2\n[router]\nhidden = 18\n"
                           "layers = 1\nheads = 3\n[expert]\nhidden = 33\nlayers=1\nheads=3",
                           &s, &e),
                     ERR_INVALID);
    assert_string_equal(e.message, "a.ini:10: [expert] hidden: 33 does not divide into 3 heads of "
                                   "even size; accepted: a multiple of 6");
}

static void long_lines_and_files_are_refused(void **state)
{
    (void)state;
    static char text[SPEC_BYTES_MAX + 2];
    struct run_spec s;
    struct err e = {0};

    memset(text, ' ', sizeof text);
    memcpy(text, "[run]\nname = ", 13);
    memset(text + 13, 'a', 300);
    text[313] = '\n';
    assert_int_equal(spec_parse(text, 400, "a.ini", &s, &e), ERR_INVALID);
    assert_string_equal(e.message, "a.ini:2: the line is longer than 198 characters");
    assert_int_equal(spec_parse(text, sizeof text, "a.ini", &s, &e), ERR_INVALID);
    assert_string_equal(e.message, "a.ini: larger than 65536 bytes: is this a spec?");
    /* A long comment is no one's harm. */
    text[0] = ';';
    memset(text + 1, 'x', 1000);
    memcpy(text + 1001, "\n" MINIMAL, sizeof MINIMAL);
    assert_int_equal(spec_parse(text, 1001 + sizeof MINIMAL, "a.ini", &s, &e), 0);
}

/* The digest of the canonical form names a run: it must not depend on how the user wrote it. */
static void canonical_form_is_a_fixed_point(void **state)
{
    (void)state;
    static const char *const forms[] = {
        MINIMAL,
        MINIMAL "[expert]\nffn = 128\nlearning_rate = 5.0e-3\nsteps = 04000\n[dense]\nbatch = 0\n"
                "enabled = true\n[router]\ngrad_clip = 1.000\n",
    };
    char *first = NULL;
    struct err e;

    for (int i = 0; i < 2; i++) {
        struct run_spec s, again;
        struct buf b, c;
        buf_init(&b, SPEC_BYTES_MAX);
        buf_init(&c, SPEC_BYTES_MAX);
        assert_int_equal(parse(forms[i], &s, &e), 0);
        assert_int_equal(spec_canonical(&s, &b, &e), 0);
        assert_int_equal(spec_parse(b.data, b.len, "canonical", &again, &e), 0);
        assert_memory_equal(&s, &again, sizeof s);
        assert_int_equal(spec_canonical(&again, &c, &e), 0);
        assert_string_equal(b.data, c.data);
        if (i == 0)
            first = strdup(b.data);
        else
            assert_string_equal(first, b.data);
        buf_free(&b);
        buf_free(&c);
    }
    assert_non_null(strstr(first, "[expert]\nhidden = 32\nlayers = 2\nheads = 2\nffn = 128\n"));
    assert_non_null(strstr(first, "learning_rate = 0.005\n"));
    assert_non_null(strstr(first, "[dense]\nenabled = yes\nbatch = 32\nmatch = tokens\n"));
    free(first);
}

/* What `tacit run spec` prints can be used as it is, and says every default truly. */
static void template_is_the_defaults(void **state)
{
    (void)state;
    struct run_spec s, minimal;
    struct buf b;
    struct err e = {0};

    buf_init(&b, SPEC_BYTES_MAX);
    assert_int_equal(spec_template(&b, &e), 0);
    if (spec_parse(b.data, b.len, "template", &s, &e))
        fail_msg("%s\n%s", e.message, b.data);
    assert_int_equal(parse(MINIMAL, &minimal, &e), 0);
    memcpy(s.name, minimal.name, sizeof s.name);
    memcpy(s.dataset, minimal.dataset, sizeof s.dataset);
    assert_memory_equal(&s, &minimal, sizeof s);
    buf_free(&b);
}

/* Labels that agents must have: one form, whatever the blanks, and slips are named. */
static void needs_are_labels(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "gpu", "gpu=", "=no", "gpu=no,", "gpu=no,gpu=yes", "gpu=no,,site=lab", "gpu=a b=c", "-x=1"};
    struct run_spec s, again;
    struct spec_need need;
    struct buf b;
    struct err e;
    char text[2048];
    buf_init(&b, SPEC_BYTES_MAX);
    assert_int_equal(parse(MINIMAL, &s, &e), 0);
    assert_int_equal(spec_canonical(&s, &b, &e), 0);
    assert_null(strstr(b.data, "require")); /* digests of specs without stay what they were */
    buf_free(&b);
    buf_init(&b, SPEC_BYTES_MAX);
    assert_int_equal(parse("[run]\nrequire = gpu=no, site=lab\n" MINIMAL, &s, &e), 0);
    assert_string_equal(s.needs, "gpu=no,site=lab");
    const char *at = s.needs;
    assert_true(spec_need_next(&at, &need));
    assert_true(strcmp(need.name, "gpu") == 0 && strcmp(need.value, "no") == 0);
    assert_true(spec_need_next(&at, &need));
    assert_true(strcmp(need.name, "site") == 0 && strcmp(need.value, "lab") == 0);
    assert_false(spec_need_next(&at, &need));
    assert_int_equal(spec_canonical(&s, &b, &e), 0);
    assert_int_equal(parse(b.data, &again, &e), 0);
    assert_memory_equal(&again, &s, sizeof s);
    buf_free(&b);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "[run]\nrequire = %s\n%s", wrong[i], MINIMAL);
        assert_int_equal(parse(text, &s, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "a.ini:2: [run] require"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_get_their_defaults),
        cmocka_unit_test(each_kind_of_model_has_its_optimizer),
        cmocka_unit_test(saves_follow_short_links),
        cmocka_unit_test(every_form_of_text_is_read),
        cmocka_unit_test(precision_chooses_the_engine),
        cmocka_unit_test(booleans_have_four_words),
        cmocka_unit_test(random_needs_no_router_sizes),
        cmocka_unit_test(slips_are_named),
        cmocka_unit_test(keys_must_fit_each_other),
        cmocka_unit_test(long_lines_and_files_are_refused),
        cmocka_unit_test(canonical_form_is_a_fixed_point),
        cmocka_unit_test(template_is_the_defaults),
        cmocka_unit_test(needs_are_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
