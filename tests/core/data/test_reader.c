/* Every way in must give the same records, in the same order, and what is broken must be named
 * rather than half read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/base/buf.h"
#include "core/data/reader.h"
#include "tests/core/data/data_files.h"

#define DOCUMENT_MAX 100000

struct seen {
    struct buf all; /* "name|kind|stem|place|input|data\n" of each record */
    int stop_after;
    uint64_t bytes;
};

static int on_record(void *arg, const struct reader_file *f, const struct reader_record *r,
                     struct err *e)
{
    struct seen *s = arg;
    if (s->stop_after && --s->stop_after == 0)
        return err_set(e, ERR_STOPPED, "enough");
    const char *base = strrchr(f->name, '/');
    char data[64] = "(too long)";
    size_t n = r->len < 60 ? r->len : 60;
    if (r->data)
        snprintf(data, sizeof data, "%.*s", (int)n, r->data);
    data[strcspn(data, "\n")] = 0;
    return buf_printf(&s->all, e, "%s|%s|%s|%s|%s|%s\n", base ? base + 1 : f->name,
                      f->json ? "json" : "text", f->stem, f->place, f->input, data);
}

static int on_file_end(void *arg, const struct reader_file *f, struct err *e)
{
    (void)arg, (void)f, (void)e;
    return 0;
}

static int on_tick(void *arg, size_t bytes, struct err *e)
{
    (void)e;
    ((struct seen *)arg)->bytes += bytes;
    return 0;
}

static int walk(const char *path, struct seen *s, struct err *e)
{
    const struct document_rules rules = {"text", "source", DOCUMENT_MAX, 0};
    const struct reader_sink sink = {s, on_record, on_file_end, on_tick};
    memset(e, 0, sizeof *e);
    buf_init(&s->all, 1u << 24);
    return reader_walk(path, NULL, &rules, &sink, e);
}

static void expect(const char *name, const char *records)
{
    struct seen s = {.stop_after = 0};
    struct err e;
    int rc = walk(files_path(name), &s, &e);
    if (rc)
        fail_msg("%s: %s", name, e.message);
    assert_string_equal(s.all.data ? s.all.data : "", records);
    buf_free(&s.all);
}

static void expect_error(const char *name, int code, const char *says)
{
    struct seen s = {.stop_after = 0};
    struct err e;
    assert_int_equal(walk(files_path(name), &s, &e), code);
    if (!strstr(e.message, says) || !strstr(e.message, name))
        fail_msg("'%s' names not both '%s' and '%s'", e.message, name, says);
    buf_free(&s.all);
}

static void one_file(void **state)
{
    (void)state;
    files_text("plain.txt", "one\ntwo\n");
    expect("plain.txt", "plain.txt|text|plain|plain|plain|one\n");
    files_text("lines.jsonl", "{\"text\":\"a\"}\n\n  {\"text\":\"b\"}\r\n{\"text\":\"c\"}");
    expect("lines.jsonl", "lines.jsonl|json|lines|lines|lines|{\"text\":\"a\"}\n"
                          "lines.jsonl|json|lines|lines|lines|  {\"text\":\"b\"}\r\n"
                          "lines.jsonl|json|lines|lines|lines|{\"text\":\"c\"}\n");
    /* JSONL by its content, whatever its name; a program that starts with a brace is text. */
    files_text("data.txt", "\n{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    expect("data.txt", "data.txt|json|data|data|data|\n" /* the blank line goes with the first */
                       "data.txt|json|data|data|data|{\"text\":\"b\"}\n");
    files_text("program.c", "{ int x; }\n");
    expect("program.c", "program.c|text|program|program|program|{ int x; }\n");
    files_text("other.json", "{\"name\": \"no text field\"}\n");
    expect("other.json", "other.json|text|other|other|other|{\"name\": \"no text field\"}\n");
    files_text("bom.txt", "\xef\xbb\xbfmarked");
    expect("bom.txt", "bom.txt|text|bom|bom|bom|marked\n");
}

static void folders_in_order_of_bytes(void **state)
{
    (void)state;
    files_make_folder("corpus");
    files_make_folder("corpus/b");
    files_make_folder("corpus/b/deep");
    files_make_folder("corpus/.git");
    files_text("corpus/.git/config", "hidden");
    files_text("corpus/Z.txt", "upper first");
    files_text("corpus/a.txt", "then a");
    files_text("corpus/b/deep/x.txt", "then x");
    files_text("corpus/b/y.jsonl", "{\"text\":\"y\"}\n");
    files_text("corpus/\xc3\xa9.txt", "last");
    const char *all = "Z.txt|text|Z|Z|corpus|upper first\n"
                      "a.txt|text|a|a|corpus|then a\n"
                      "x.txt|text|x|b|corpus|then x\n"
                      "y.jsonl|json|y|b|corpus|{\"text\":\"y\"}\n"
                      "\xc3\xa9.txt|text|\xc3\xa9|\xc3\xa9|corpus|last\n";
    expect("corpus", all);
    expect("corpus/", all);
}

static void compressed_and_archived(void **state)
{
    (void)state;
    files_text("c.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    files_text("t.txt", "plain text");
    files_shell("gzip -k c.jsonl && xz -k c.jsonl && zstd -q c.jsonl && gzip -k t.txt");
    const char *const names[] = {"c.jsonl.gz", "c.jsonl.xz", "c.jsonl.zst"};
    for (int i = 0; i < 3; i++) {
        char want[256];
        snprintf(want, sizeof want,
                 "%s|json|c|c|c|{\"text\":\"a\"}\n%s|json|c|c|c|{\"text\":\"b\"}\n", names[i],
                 names[i]);
        expect(names[i], want);
    }
    expect("t.txt.gz", "t.txt.gz|text|t|t|t|plain text\n");

    files_shell("mkdir -p pack/fr pack/de && echo bonjour > pack/fr/1 && echo tag > pack/de/2 && "
                "cp c.jsonl.gz pack/ && tar cf pack.tar -C pack ./fr de c.jsonl.gz && "
                "gzip -k pack.tar && xz -k pack.tar && zstd -q pack.tar");
    const char *const packs[] = {"pack.tar", "pack.tar.gz", "pack.tar.xz", "pack.tar.zst"};
    for (int i = 0; i < 4; i++) {
        char want[512];
        snprintf(want, sizeof want,
                 "1|text|1|fr|pack|bonjour\n"
                 "2|text|2|de|pack|tag\n"
                 "%s: c.jsonl.gz|json|c|c|pack|{\"text\":\"a\"}\n"
                 "%s: c.jsonl.gz|json|c|c|pack|{\"text\":\"b\"}\n",
                 packs[i], packs[i]);
        expect(packs[i], want);
    }
    /* In a folder, an archive is a folder of its own name. */
    files_shell("mkdir holder && cp pack.tar.gz holder/");
    expect("holder", "1|text|1|pack|holder|bonjour\n"
                     "2|text|2|pack|holder|tag\n"
                     "pack.tar.gz: c.jsonl.gz|json|c|pack|holder|{\"text\":\"a\"}\n"
                     "pack.tar.gz: c.jsonl.gz|json|c|pack|holder|{\"text\":\"b\"}\n");
}

static void broken_input_is_named(void **state)
{
    (void)state;
    struct err e;
    struct seen s = {.stop_after = 0};
    assert_int_equal(walk(files_path("absent"), &s, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.message, "absent"));
    files_text("empty.txt", "");
    expect_error("empty.txt", ERR_INVALID, "empty");
    files_shell("gzip -k empty.txt");
    expect_error("empty.txt.gz", ERR_INVALID, "empty");
    files_make_folder("nothing");
    expect_error("nothing", ERR_INVALID, "no file");
    files_shell("tar cf hollow.tar nothing");
    expect_error("hollow.tar", ERR_INVALID, "no file");
    files_write("binary",
                "\x7f"
                "ELF\0\0\1",
                7);
    expect_error("binary", ERR_FORMAT, "binary");
    files_write("wide.txt", "\xff\xfeh\0i\0", 6);
    expect_error("wide.txt", ERR_FORMAT, "UTF-16");
    files_text("koi8.txt", "\xf0\xd2\xc9\xd7\xc5\xd4 \xcd\xc9\xd2");
    expect_error("koi8.txt", ERR_FORMAT, "iconv");
    files_text("bad.jsonl", "\nnot json\n{\"text\":\"a\"}\n");
    expect_error("bad.jsonl", ERR_FORMAT, ":2: not JSON");
    files_text("field.jsonl", "{\"body\":\"a\"}\n");
    expect_error("field.jsonl", ERR_FORMAT, "no field \"text\"");
}

static void truncated_archives_are_errors(void **state)
{
    (void)state;
    /* Digits that do not compress to nothing, so that a half is in the middle of the data. */
    files_shell("seq 1 40000 > long.txt && "
                "gzip -k long.txt && xz -k long.txt && zstd -q long.txt && bzip2 -k long.txt && "
                "tar cf long.tar long.txt && "
                "for f in long.txt.gz long.txt.xz long.txt.zst long.txt.bz2 long.tar; do "
                "head -c $(($(stat -c %s $f) / 2)) $f > cut-$f; done");
    const char *const names[] = {"cut-long.txt.gz", "cut-long.txt.xz", "cut-long.txt.zst",
                                 "cut-long.txt.bz2", "cut-long.tar"};
    for (int i = 0; i < 5; i++)
        expect_error(names[i], ERR_FORMAT, "cut off or damaged");
}

static void too_long_is_told_and_passed_over(void **state)
{
    (void)state;
    char *big = malloc(8 * DOCUMENT_MAX + (2u << 20));
    memset(big, 'x', DOCUMENT_MAX + 1);
    files_write("big.txt", big, DOCUMENT_MAX);
    struct seen s = {.stop_after = 0};
    struct err e;
    assert_int_equal(walk(files_path("big.txt"), &s, &e), 0);
    assert_null(strstr(s.all.data, "(too long)"));
    buf_free(&s.all);
    files_write("big.txt", big, DOCUMENT_MAX + 1);
    expect("big.txt", "big.txt|text|big|big|big|(too long)\n");
    /* A line that no document can have: dropped as it streams by, and what follows is read. */
    size_t line = 7 * DOCUMENT_MAX + (1u << 20);
    memset(big, 'x', line);
    memcpy(big, "{\"text\":\"a\"}\n", 13);
    memcpy(big + line, "\n{\"text\":\"b\"}\n", 14);
    files_write("big.jsonl", big, line + 14);
    expect("big.jsonl", "big.jsonl|json|big|big|big|{\"text\":\"a\"}\n"
                        "big.jsonl|json|big|big|big|(too long)\n"
                        "big.jsonl|json|big|big|big|{\"text\":\"b\"}\n");
    free(big);
}

static void a_stop_ends_it_with_its_own_error(void **state)
{
    (void)state;
    struct seen s = {.stop_after = 2};
    struct err e;
    files_text("s.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    files_shell("gzip -k s.jsonl");
    assert_int_equal(walk(files_path("s.jsonl.gz"), &s, &e), ERR_STOPPED);
    assert_string_equal(e.message, "enough");
    buf_free(&s.all);
}

static void totals_are_what_is_read(void **state)
{
    (void)state;
    files_shell(
        "mkdir sizes sizes/in && seq 1 9000 > sizes/in/a && seq 1 70000 | gzip > sizes/b.gz");
    struct seen s = {.stop_after = 0};
    struct err e;
    uint64_t total = 0;
    assert_int_equal(reader_total(files_path("sizes"), &total, &e), 0);
    assert_int_equal(walk(files_path("sizes"), &s, &e), 0);
    assert_int_equal(total, s.bytes);
    assert_true(total > 40000);
    buf_free(&s.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(folders_in_order_of_bytes),
        cmocka_unit_test(compressed_and_archived),
        cmocka_unit_test(broken_input_is_named),
        cmocka_unit_test(truncated_archives_are_errors),
        cmocka_unit_test(too_long_is_told_and_passed_over),
        cmocka_unit_test(a_stop_ends_it_with_its_own_error),
        cmocka_unit_test(totals_are_what_is_read),
    };
    return cmocka_run_group_tests(tests, files_begin, files_end);
}
