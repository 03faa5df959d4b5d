/* Documents and charts. If one of these failed, a page that somebody sends on would run what an
 * agent calls itself, be cut short, or show a curve where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "ops/cli/doc.h"

static const char hostile[] = "<script>alert('x')</script> & \"b\" | `c`";

struct made {
    struct arena arena;
    struct doc d;
};

static void begin(struct made *m, enum doc_form form)
{
    arena_init(&m->arena, 1u << 20);
    doc_begin(&m->d, form, false, &m->arena, "A report");
}

static const char *end(struct made *m)
{
    struct err e = {0};
    assert_int_equal(doc_end(&m->d, &e), 0);
    return m->d.out.data;
}

static void drop(struct made *m)
{
    buf_free(&m->d.out);
    arena_free(&m->arena);
}

static void say_all(struct made *m)
{
    static const char *const titles[] = {"name", ">share", NULL};
    struct table t;
    doc_heading(&m->d, hostile);
    doc_say(&m->d, "%s", hostile);
    table_init(&t, &m->arena, titles);
    table_row(&t, (const char *const[]){hostile, "12 %"});
    table_row(&t, (const char *const[]){"b", "x %"});
    doc_table(&m->d, &t);
    doc_heat(&m->d, &t);
    doc_code(&m->d, hostile);
    doc_figures(&m->d, &(struct doc_figure){hostile, hostile}, 1);
}

static void test_page_runs_nothing(void **state)
{
    struct made m;
    (void)state;
    begin(&m, DOC_HTML);
    say_all(&m);
    const char *html = end(&m);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "\"b\""));
    assert_non_null(strstr(html, "&lt;script&gt;alert(&#39;x&#39;)"));
    assert_non_null(strstr(html, "default-src 'none'")); /* and what got through would not run */
    assert_non_null(strstr(html, "style=\"--v:0.120\">12 %</td>"));
    assert_non_null(strstr(html, "<td class=\"r\">x %</td>")); /* no share, no shade */
    assert_null(strstr(html, "://"));                          /* it asks nobody */
    assert_string_equal(html + strlen(html) - 8, "</html>\n");
    drop(&m);
}

static void test_markdown_keeps_its_form(void **state)
{
    struct made m;
    (void)state;
    begin(&m, DOC_MARKDOWN);
    say_all(&m);
    const char *md = end(&m);
    assert_non_null(strstr(md, "# A report\n"));
    assert_non_null(strstr(md, "\\<script\\>"));
    assert_non_null(strstr(md, "\\| \\`c\\` | 12 % |\n")); /* a bar in a name opens no column */
    assert_non_null(strstr(md, "|---|--:|\n"));
    drop(&m);
}

static void test_text_is_broken(void **state)
{
    struct made m;
    (void)state;
    begin(&m, DOC_TEXT);
    doc_say(&m.d, "%s %s %s",
            "eight characters and more of them, so that it takes a good part of a "
            "line of a terminal,",
            "which is then broken at a blank,", "and goes on below");
    const char *text = end(&m);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(strchr(line, '\n') - line <= 98);
    assert_non_null(strstr(text, "\n  "));
    drop(&m);
}

static const char *draw(struct made *m, const struct chart_line *line, bool log)
{
    const struct chart_lines c = {.title = hostile,
                                  .about = "about",
                                  .x_name = "steps",
                                  .y_name = "loss",
                                  .log_y = log,
                                  .lines = line,
                                  .count = 1};
    begin(m, DOC_HTML);
    doc_lines(&m->d, &c);
    const char *html = strstr(end(m), "<figure");
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    assert_null(strstr(html, "<script"));
    return html;
}

/* Nothing, one point, equal points, what is no number: still a picture. */
static void test_lines_of_anything(void **state)
{
    static const double x[] = {1, 2, 3, 4, 5}, same[] = {2, 2, 2, 2, 2},
                        holes[] = {1, NAN, 3, INFINITY, 5}, low[] = {0, -1, 1e-300, 1e300, 7},
                        none[] = {NAN, NAN, NAN, NAN, NAN};
    const double *const all[] = {x, same, holes, low, none};
    struct made m;
    (void)state;
    for (int log = 0; log < 2; log++)
        for (int i = 0; i < 5; i++)
            for (uint32_t count = 0; count <= 5; count++) {
                struct chart_line l = {.name = "a", .x = x, .y = all[i], .count = count};
                draw(&m, &l, log);
                drop(&m);
            }
    /* A hole lifts the pen: the points beside it are not joined. */
    struct chart_line l = {.x = x, .y = holes, .count = 5};
    const char *path = strstr(draw(&m, &l, false), "class=\"line");
    assert_int_equal(strcspn(strchr(path, 'd'), "L"), strlen(strchr(path, 'd')));
    drop(&m);
}

static void test_bars(void **state)
{
    const struct chart_bar bars[] = {
        {"expert 0", "-12.0 %", -0.12}, {hostile, "+3.0 %", 0.03}, {"expert 2", "–", NAN}};
    const struct chart_bars c = {
        .title = "gaps", .about = "about", .bars = bars, .count = 3, .low_is_good = true};
    struct made m;
    (void)state;
    begin(&m, DOC_HTML);
    doc_bars(&m.d, &c);
    const char *html = end(&m);
    assert_non_null(strstr(html, "<rect class=\"gain\""));
    assert_non_null(strstr(html, "<rect class=\"loss\""));
    assert_null(strstr(strstr(html, "<svg"), "nan"));
    assert_null(strstr(html, "<script"));
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_runs_nothing),
        cmocka_unit_test(test_markdown_keeps_its_form),
        cmocka_unit_test(test_text_is_broken),
        cmocka_unit_test(test_lines_of_anything),
        cmocka_unit_test(test_bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
