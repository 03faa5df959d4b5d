/* Times, changes of specs, logs that grow: what is typed means what it says, and slips are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "core/protocol/spec.h"
#include "ops/cli/follow.h"
#include "ops/cli/spec_change.h"
#include "ops/cli/when.h"

static struct err err;

static void times_are_read_as_people_write_them(void **state)
{
    (void)state;
    int64_t at, now = 1772390000000; /* 2026-03-01 18:33:20 UTC */
    setenv("TZ", "UTC", 1);
    tzset();
    assert_int_equal(when_duration("x", "1h30m", &at, &err), 0);
    assert_int_equal(at, 5400000);
    assert_int_equal(when_time("x", "20m", now, &at, &err), 0);
    assert_int_equal(at, now + 1200000);
    assert_int_equal(when_time("x", "18:40", now, &at, &err), 0);
    assert_int_equal(at, 1772390400000);
    assert_int_equal(when_time("x", "18:30", now, &at, &err), 0); /* tomorrow's */
    assert_int_equal(at, 1772389800000 + 24 * 3600 * 1000);
    assert_int_equal(when_time("x", "2026-03-02", now, &at, &err), 0);
    assert_int_equal(at, 1772409600000);
    assert_int_equal(when_time("x", "2026-03-02T12:30Z", now, &at, &err), 0);
    assert_int_equal(at, 1772454600000);
    static const char *const wrong[] = {"",    "soon",  "5",     "m",     "-5m",         "1h 30m",
                                        "90x", "25:00", "12:60", "18:3x", "99999999999d"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(when_time("--until", wrong[i], now, &at, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "--until"));
    }
}

static const char text[] = "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
                           "[router]\nhidden = 16\nlayers = 1\nheads = 2\nsequences = 64\n"
                           "rounds = 2\nbatch = 8\nprefix = 8\n"
                           "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nsteps = 40\nbatch = 2\n"
                           "[checkpoint]\nevery_steps = 10\npublish_steps = 20\n";

/* The canonical text with the changes, parsed again. */
static void change(const char *const *changes, size_t count, struct run_spec *out)
{
    struct run_spec spec;
    struct buf canonical, changed;
    buf_init(&canonical, SPEC_BYTES_MAX);
    buf_init(&changed, SPEC_BYTES_MAX);
    assert_int_equal(spec_parse(text, strlen(text), "a", &spec, &err), 0);
    assert_int_equal(spec_canonical(&spec, &canonical, &err), 0);
    if (spec_change(canonical.data, changes, count, &changed, &err) ||
        spec_parse(changed.data, changed.len, "b", out, &err))
        fail_msg("%s", err.message);
    buf_free(&canonical);
    buf_free(&changed);
}

static void changes_of_a_spec_change_nothing_else(void **state)
{
    (void)state;
    static const char *const some[] = {"run.name=fork",        "run.experts=3", "expert.hidden=32",
                                       "run.require=site=lab", "run.seed=7",    "run.seed=8"};
    struct run_spec before, s;
    assert_int_equal(spec_parse(text, strlen(text), "a", &before, &err), 0);
    change(some, 6, &s);
    assert_string_equal(s.name, "fork");
    assert_string_equal(s.needs, "site=lab"); /* a key that the text did not have */
    assert_true(s.experts == 3 && s.expert.hidden == 32 && s.seed == 8);
    assert_int_equal(s.dense.batch, 6);  /* follows from the experts */
    assert_int_equal(s.expert.ffn, 128); /* and this from hidden */
    assert_int_equal(s.checkpoint.every_steps, before.checkpoint.every_steps);
    assert_int_equal(s.expert.steps, 40);
    static const char *const none[] = {"run.dataset=corpus"};
    change(none, 1, &s);
    assert_memory_equal(&s, &before, sizeof s);
}

static void wrong_changes_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"steps=3", "expert.steps", ".steps=3", "expert.=3",
                                        "export.steps=3"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf changed;
        buf_init(&changed, SPEC_BYTES_MAX);
        assert_int_equal(spec_change(text, &wrong[i], 1, &changed, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, wrong[i]));
        buf_free(&changed);
    }
}

static void what_is_added_to_a_log_is_shown_once(void **state)
{
    (void)state;
    static char before[2000], now[2000];
    assert_string_equal(follow_news("", "a\nb\n"), "a\nb\n");
    assert_string_equal(follow_news("a\nb\n", "a\nb\n"), "");
    assert_string_equal(follow_news("a\nb\n", "a\nb\nc\n"), "c\n");
    /* Its beginning was dropped meanwhile. */
    for (int i = 0; i < 180; i++)
        snprintf(before + strlen(before), sizeof before - strlen(before), "line %d\n", i);
    snprintf(now, sizeof now, "%snew\n", before + 700);
    assert_string_equal(follow_news(before, now), "new\n");
    assert_string_equal(follow_news("old\n", "another process\n"), "another process\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_people_write_them),
        cmocka_unit_test(changes_of_a_spec_change_nothing_else),
        cmocka_unit_test(wrong_changes_are_named),
        cmocka_unit_test(what_is_added_to_a_log_is_shown_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
