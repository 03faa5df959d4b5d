/* Documents: the first byte says whether the rest is a line of JSON or plain text, or a whole file
 * that is read as ingest reads it: lines or text, packed or not. */
#include <unistd.h>
#include "core/base/text.h"
#include "core/data/reader.h"
#include "tests/fuzz/fuzz.h"

static const struct document_rules rules = {
    .field_text = "text", .field_source = "source", .bytes_max = 4096, .holdout = 0.1};

static void check_document(const char *data, size_t size, bool json)
{
    struct document d;
    struct err why = {0};

    if (document_read(&d, &rules, data, size, json, &why) != DOCUMENT_OK)
        return;
    FUZZ_CHECK(d.len > 0 && d.len <= rules.bytes_max && text_is_utf8(d.text, d.len));
    FUZZ_CHECK(!d.source || text_is_utf8(d.source, d.source_len));
    document_free(&d);
}

static int on_record(void *arg, const struct reader_file *f, const struct reader_record *r,
                     struct err *e)
{
    (void)arg, (void)e;
    FUZZ_CHECK(text_is_utf8(f->stem, strlen(f->stem)) && text_is_utf8(f->place, strlen(f->place)));
    if (r->data)
        check_document(r->data, r->len, f->json);
    return 0;
}

static int on_file_end(void *arg, const struct reader_file *f, struct err *e)
{
    (void)arg, (void)f, (void)e;
    return 0;
}

static int on_tick(void *arg, size_t bytes, struct err *e)
{
    uint64_t *total = arg;

    (void)e;
    *total += bytes;
    return 0;
}

static const char *input_path(void)
{
    static char path[] = "/tmp/tacit-fuzz-XXXXXX";
    static int fd = -1;

    if (fd < 0) {
        fd = mkstemp(path);
        FUZZ_CHECK(fd >= 0);
    }
    return path;
}

static void remove_input(void)
{
    unlink(input_path());
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    input_path();
    atexit(remove_input);
    return 0;
}

static void check_file(const uint8_t *data, size_t size)
{
    uint64_t total = 0;
    const struct reader_sink sink = {
        .arg = &total, .record = on_record, .file_end = on_file_end, .tick = on_tick};
    struct err e = {0};
    FILE *f = fopen(input_path(), "wb");

    FUZZ_CHECK(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
    int rc = reader_walk(input_path(), "input", &rules, &sink, &e);
    if (rc)
        fuzz_refused(rc, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return -1;
    if (data[0] == 'f') {
        check_file(data + 1, size - 1);
        return 0;
    }
    char *text = fuzz_text(data + 1, size - 1);
    check_document(text, size - 1, data[0] == 'j');
    free(text);
    return 0;
}
