/* What an agent may send instead of a checkpoint: each is refused, with an error that says why, and
 * at no cost in memory. */
#include "core/checkpoint/checkpoint.h"

#include "tests/core/checkpoint/forge.h"
#include "core/base/le.h"
#include "core/env/file.h"

/* A good checkpoint taken apart, to be spoiled. */
static struct forge model_entries, state_entries;
static struct buf model_archive;

static int setup(void **state)
{
    char path[128];
    struct checkpoint_digests d;
    if (forge_folder_make(state) != 0)
        return 1;
    forge_write_state(forge_path("state", path), &d);
    forge_open(&state_entries, path);
    forge_write_model(forge_path("model", path), &d);
    forge_open(&model_entries, path);
    return env_file_read(path, FORGE_MAX, &model_archive, NULL);
}

static int teardown(void **state)
{
    forge_free(&model_entries);
    forge_free(&state_entries);
    buf_free(&model_archive);
    return forge_folder_remove(state);
}

static void entry_copy(struct forge_entry *to, const struct forge_entry *from)
{
    *to = *from;
    buf_init(&to->data, FORGE_MAX);
    forge_bytes(&to->data, from->data.data, from->data.len);
}

static void forge_copy(struct forge *to, const struct forge *from)
{
    *to = *from;
    for (int i = 0; i < from->count; i++)
        entry_copy(&to->entries[i], &from->entries[i]);
}

/* Packs f, which is freed, and reads it: the error's code, its message holding `why`. */
static void refused(struct forge *f, bool state, int code, const char *why)
{
    struct buf archive;
    struct err e = {0};
    buf_init(&archive, FORGE_MAX);
    forge_archive(f, &archive);
    int rc = state ? forge_read_state(&archive, &e) : forge_read_model(&archive, 0, NULL, NULL, &e);
    if (rc != code || e.code != code || strstr(e.message, why) == NULL)
        fail_msg("got %s \"%s\", expected %s with \"%s\"", err_name(rc), e.message, err_name(code),
                 why);
    buf_free(&archive);
    forge_free(f);
}

static void test_untouched_is_accepted(void **state)
{
    (void)state;
    struct buf archive;
    buf_init(&archive, FORGE_MAX);
    forge_archive(&model_entries, &archive);
    assert_int_equal(forge_read_model(&archive, 0, NULL, NULL, NULL), 0);
    buf_reset(&archive);
    forge_archive(&state_entries, &archive);
    assert_int_equal(forge_read_state(&archive, NULL), 0);
    buf_free(&archive);
}

static void test_entries(void **state)
{
    (void)state;
    struct forge f;
    struct forge_entry swap;

    forge_copy(&f, &model_entries);
    swap = f.entries[0], f.entries[0] = f.entries[1], f.entries[1] = swap;
    refused(&f, false, ERR_FORMAT, "\"model.safetensors\" where \"meta.json\"");

    const char *const names[] = {"./meta.json", "/meta.json", "META.JSON", "meta.json/", "../x"};
    for (int i = 0; i < 5; i++) {
        forge_copy(&f, &model_entries);
        strcpy(f.entries[0].name, names[i]);
        refused(&f, false, ERR_FORMAT, "where \"meta.json\" belongs");
    }
    forge_copy(&f, &model_entries);
    strcpy(f.entries[1].name, "state.safetensors");
    refused(&f, false, ERR_FORMAT, "where \"model.safetensors\" belongs");

    forge_copy(&f, &model_entries);
    buf_free(&f.entries[--f.count].data);
    refused(&f, false, ERR_FORMAT, "ends before");

    forge_copy(&f, &model_entries);
    entry_copy(&f.entries[f.count++], &model_entries.entries[0]);
    refused(&f, false, ERR_FORMAT, "unexpected archive entry \"meta.json\"");

    const int types[] = {AE_IFDIR, AE_IFLNK, AE_IFIFO};
    for (int i = 0; i < 3; i++) {
        forge_copy(&f, &model_entries);
        f.entries[1].type = types[i];
        refused(&f, false, ERR_FORMAT, types[i] == AE_IFDIR ? "belongs" : "not a plain file");
    }
}

/* A state where a model belongs, and the other way round. */
static void test_kinds(void **state)
{
    (void)state;
    struct forge f;
    forge_copy(&f, &state_entries);
    refused(&f, false, ERR_FORMAT, "not of a \"model\"");
    forge_copy(&f, &model_entries);
    refused(&f, true, ERR_FORMAT, "not of a \"state\"");
    forge_copy(&f, &state_entries);
    buf_free(&f.entries[0].data);
    entry_copy(&f.entries[0], &model_entries.entries[0]);
    strcpy(f.entries[1].name, "model.safetensors");
    refused(&f, false, ERR_FORMAT, "its model has"); /* size: two arrays instead of one */
}

static void meta_refused(const char *text, int code, const char *why)
{
    struct forge f;
    forge_copy(&f, &model_entries);
    buf_reset(&f.entries[0].data);
    forge_bytes(&f.entries[0].data, text, strlen(text));
    refused(&f, false, code, why);
}

#define CONFIG_TEXT                                                                                \
    "\"config\":{\"ffn\":24,\"heads\":2,\"hidden\":8,\"layers\":11,\"seq\":16,\"vocab\":37}"
#define REST_TEXT "\"format\":\"tacit-checkpoint\",\"kind\":\"model\""

static void test_meta(void **state)
{
    (void)state;
    meta_refused("", ERR_FORMAT, "meta.json");
    meta_refused("{", ERR_FORMAT, "meta.json");
    meta_refused("[]", ERR_FORMAT, "meta.json");
    meta_refused("{" CONFIG_TEXT "," REST_TEXT "}", ERR_FORMAT, "version");
    meta_refused("{" CONFIG_TEXT "," REST_TEXT ",\"version\":1,\"more\":1}", ERR_FORMAT, "more");
    meta_refused("{" CONFIG_TEXT "," CONFIG_TEXT "," REST_TEXT ",\"version\":1}", ERR_FORMAT,
                 "duplicate");
    meta_refused("{" CONFIG_TEXT "," REST_TEXT ",\"version\":2}", ERR_VERSION, "version 2");
    meta_refused("{" CONFIG_TEXT "," REST_TEXT ",\"version\":1.0}", ERR_FORMAT, "integer");
    meta_refused("{" CONFIG_TEXT "," REST_TEXT ",\"version\":1} x", ERR_FORMAT, "end of file");
    meta_refused("{\"config\":{\"ffn\":24,\"heads\":2,\"hidden\":16,\"layers\":11,\"seq\":16,"
                 "\"vocab\":37}," REST_TEXT ",\"version\":1}",
                 ERR_INVALID, "hidden = 16, expected is 8");
    char longer[5000];
    memset(longer, ' ', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    meta_refused(longer, ERR_TOO_LARGE, "meta.json");
}

/* Replaces text in the header of entry 1, whose length field and padding follow, so that only the
 * replacement itself is wrong. */
static void header_replace(struct forge *f, const char *from, const char *to)
{
    struct buf *data = &f->entries[1].data, out;
    uint64_t len = le64_get((uint8_t *)data->data);
    char *header = strndup(data->data + 8, len), *at = strstr(header, from);
    assert_non_null(at);
    *at = 0;
    while (len > 0 && header[len - 1] == ' ')
        header[--len] = 0;
    buf_init(&out, FORGE_MAX);
    assert_int_equal(buf_printf(&out, NULL, "12345678%s%s%s", header, to, at + strlen(from)), 0);
    while (out.len % 8 != 0)
        forge_bytes(&out, " ", 1);
    uint64_t data_at = 8 + le64_get((uint8_t *)data->data);
    le64_put((uint8_t *)out.data, out.len - 8);
    forge_bytes(&out, data->data + data_at, data->len - data_at);
    buf_free(data);
    *data = out;
    free(header);
}

static void header_refused(bool state, const char *from, const char *to, const char *why)
{
    struct forge f;
    forge_copy(&f, state ? &state_entries : &model_entries);
    header_replace(&f, from, to);
    refused(&f, state, ERR_FORMAT, why);
}

static void test_header(void **state)
{
    (void)state;
    header_refused(false, "\"F32\"", "\"F16\"", "\"embed.weight\" is not F32");
    header_refused(false, "\"F32\"", "0", "\"embed.weight\" is not F32");
    header_refused(false, "[37,8]", "[8,37]", "shape");
    header_refused(false, "[37,8]", "[296]", "shape");
    header_refused(false, "[37,8]", "[37,8,1]", "shape");
    header_refused(false, "[37,8]", "[-37,-8]", "shape");
    header_refused(false, "[37,8]", "[37.0,8]", "shape");
    header_refused(false, "[37,8]", "[18446744073709551653,8]", "header"); /* 37 modulo 2^64 */
    header_refused(false, "[0,1184]", "[0,1180]", "bytes 0 to 1184");
    header_refused(false, "[1184,", "[0,", "not at bytes 1184"); /* overlap */
    header_refused(false, "[0,1184]", "[1184,0]", "not at bytes");
    header_refused(false, "\"embed.weight\"", "\"embed.weighs\"", "\"embed.weight\" is missing");
    header_refused(false, "\"norm.weight\"", "\"embed.weight\"", "duplicate");
    header_refused(false, "\"__metadata__\"", "\"a\":0,\"__metadata__\"",
                   "unexpected tensor \"a\"");
    header_refused(false, "\"__metadata__\"", "\"_metadata_\"", "not of kind");
    header_refused(false, "\"format\":\"pt\",", "", "canonical");
    header_refused(false, "\"format\":\"pt\",", "\"format\":\"pt\",\"x\":\"y\",", "canonical");
    header_refused(false, ":{\"dtype\"", ": {\"dtype\"", "canonical");
    header_refused(false, "\"dtype\":\"F32\",\"shape\":[37,8]",
                   "\"shape\":[37,8],\"dtype\":\"F32\"", "canonical");
    header_refused(false, "embed", "em\\u0062ed", "canonical");
    header_refused(false, "{\"__", "[\"__", "header");
    header_refused(true, "\"step\":\"1200\"", "\"step\":\"1200x\"", "valid step");
    header_refused(true, "\"step\":\"1200\"", "\"step\":\"-1\"", "valid step");
    header_refused(true, "\"step\":\"1200\"", "\"step\":\"01200\"", "canonical");
    header_refused(true, "\"step\":\"1200\"", "\"step\":1200", "valid step");
    header_refused(true, "\"model\":\"09", "\"model\":\"0", "spec or model");
    header_refused(true, "\"model\":\"09", "\"model\":\"0G", "spec or model");
    header_refused(true, "moment2.embed", "moment3.embed", "is missing");
}

static void test_header_length(void **state)
{
    (void)state;
    const uint64_t right = le64_get((uint8_t *)model_entries.entries[1].data.data);
    const uint64_t lengths[] = {0, 7, right - 8, right + 8, 1ull << 32, 1ull << 63, UINT64_MAX};
    struct forge f;
    for (int i = 0; i < 7; i++) {
        forge_copy(&f, &model_entries);
        le64_put((uint8_t *)f.entries[1].data.data, lengths[i]);
        refused(&f, false, ERR_FORMAT, "header of");
    }
    /* A header longer than any that this model can have, honestly declared. */
    char spaces[4097];
    memset(spaces, ' ', 4096);
    spaces[4096] = 0;
    forge_copy(&f, &model_entries);
    header_replace(&f, "{\"__", strcat(strcpy((char[4101]){0}, spaces), "{\"__"));
    refused(&f, false, ERR_FORMAT, "its model has");
    /* Data too short and too long by one value. */
    forge_copy(&f, &model_entries);
    f.entries[1].data.len -= 4;
    refused(&f, false, ERR_FORMAT, "header of");
    forge_copy(&f, &model_entries);
    forge_bytes(&f.entries[1].data, "\0\0\0\0", 4);
    refused(&f, false, ERR_FORMAT, "header of");
}

static void value_refused(bool state, size_t from_end, uint32_t bits, int code, const char *why)
{
    struct forge f;
    forge_copy(&f, state ? &state_entries : &model_entries);
    struct buf *data = &f.entries[1].data;
    le32_put((uint8_t *)data->data + data->len - from_end, bits);
    refused(&f, state, code, why);
}

static void test_values(void **state)
{
    (void)state;
    value_refused(false, 4, 0x7fc00000, ERR_NOT_FINITE, "norm.weight"); /* NaN */
    value_refused(false, 4, 0x7f800001, ERR_NOT_FINITE, "value 7");     /* signalling NaN */
    value_refused(false, 8, 0x7f800000, ERR_NOT_FINITE, "value 6");     /* +∞ */
    value_refused(false, 4 * model_parameters(&CONFIG), 0xff800000, ERR_NOT_FINITE, "embed.weight");
    value_refused(true, 4, 0xbf800000, ERR_FORMAT, "negative"); /* a second moment of −1 */
}

static void archive_refused(const struct buf *archive, int code)
{
    struct err e = {0};
    int rc = forge_read_model(archive, 0, NULL, NULL, &e);
    if (rc != code || e.message[0] == 0)
        fail_msg("got %s \"%s\", expected %s", err_name(rc), e.message, err_name(code));
}

/* Uploads break off anywhere. */
static void test_truncated(void **state)
{
    (void)state;
    struct buf cut = model_archive;
    for (cut.len = 0; cut.len < model_archive.len; cut.len += 1 + cut.len / 200)
        archive_refused(&cut, ERR_FORMAT);
    for (cut.len = model_archive.len - 20; cut.len < model_archive.len; cut.len++)
        archive_refused(&cut, ERR_FORMAT);
}

static void after_refused(const void *bytes, size_t len)
{
    struct buf longer;
    buf_init(&longer, FORGE_MAX);
    forge_bytes(&longer, model_archive.data, model_archive.len);
    forge_bytes(&longer, bytes, len);
    archive_refused(&longer, ERR_FORMAT);
    buf_free(&longer);
}

/* Nothing rides along: behind the zstd frame, in a second or skippable frame, behind the tar's end.
 */
static void test_trailing(void **state)
{
    (void)state;
    const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
    after_refused("\0", 1);
    after_refused("x", 1);
    after_refused(skippable, sizeof skippable);
    after_refused(model_archive.data, model_archive.len);

    struct forge f;
    forge_copy(&f, &model_entries);
    f.text_after = "hidden";
    refused(&f, false, ERR_FORMAT, "after the archive's last entry");
    forge_copy(&f, &model_entries);
    f.zeros_after = 70000;
    f.text_after = "hidden";
    refused(&f, false, ERR_FORMAT, "after the archive's last entry");
}

static void test_bombs(void **state)
{
    (void)state;
    struct forge f;
    forge_copy(&f, &model_entries);
    f.zeros_after = 64 << 20; /* a few kilobytes of zstd */
    refused(&f, false, ERR_TOO_LARGE, "after its end");

    /* Entries of 8 GiB − 1 by their headers: found before any of it is read or taken memory for. */
    for (int i = 0; i < 2; i++) {
        struct buf tar, archive;
        struct forge plain = {.level = "3"};
        buf_init(&tar, FORGE_MAX);
        buf_init(&archive, FORGE_MAX);
        forge_copy(&f, &model_entries);
        forge_tar(&f, &tar);
        uint8_t *header = (uint8_t *)tar.data + (i == 0 ? 0 : 1024);
        memcpy(header + 124, "77777777777", 11);
        unsigned sum = 0;
        memset(header + 148, ' ', 8);
        for (int k = 0; k < 512; k++)
            sum += header[k];
        snprintf((char *)header + 148, 8, "%06o", sum);
        forge_compress(&plain, tar.data, tar.len, &archive);
        archive_refused(&archive, i == 0 ? ERR_TOO_LARGE : ERR_FORMAT);
        buf_free(&tar);
        buf_free(&archive);
        forge_free(&f);
    }
    /* A window that would take 128 MiB to decompress. */
    const uint8_t window[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00};
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    forge_bytes(&bytes, window, sizeof window);
    archive_refused(&bytes, ERR_TOO_LARGE);
    buf_free(&bytes);

    /* A stream without end of blocks without content. */
    const uint8_t start[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}, empty[] = {0, 0, 0};
    buf_init(&bytes, FORGE_MAX);
    forge_bytes(&bytes, start, sizeof start);
    for (int i = 0; i < 200000; i++)
        forge_bytes(&bytes, empty, sizeof empty);
    archive_refused(&bytes, ERR_TOO_LARGE);
    buf_free(&bytes);
}

/* Other compression, none, zstd within zstd. */
static void test_other_archives(void **state)
{
    (void)state;
    const char *const filters[] = {"gzip", "none"};
    struct forge f;
    for (int i = 0; i < 2; i++) {
        forge_copy(&f, &model_entries);
        f.filter = filters[i];
        refused(&f, false, ERR_FORMAT, "not a zstd stream");
    }
    struct buf twice;
    struct forge plain = {.level = "3"};
    buf_init(&twice, FORGE_MAX);
    forge_compress(&plain, model_archive.data, model_archive.len, &twice);
    archive_refused(&twice, ERR_FORMAT);
    buf_free(&twice);
}

/* Half of a good archive, then a failure. */
static long failing_read(void *arg, void *out, size_t cap, struct err *e)
{
    struct forge_source *s = arg;
    if (s->at > model_archive.len / 2)
        return err_set(e, ERR_IO, "the disk is gone");
    return forge_read(s, out, cap, e);
}

/* The source's own error reaches the user. */
static void test_source_error(void **state)
{
    (void)state;
    struct forge_source half = {.bytes = &model_archive, .piece = 100};
    struct err e = {0};
    assert_int_equal(checkpoint_model_read(failing_read, &half, &CONFIG, NULL, NULL, &e), ERR_IO);
    assert_string_equal(e.message, "the disk is gone");
}

/* One byte wrong anywhere: refused, or the content is another and its digest shows it. */
static void test_flipped(void **state)
{
    (void)state;
    struct digest good, content;
    struct buf bytes;
    uint64_t n = model_parameters(&CONFIG), harmless = 0, seen = 0;
    float *right = forge_values(1, 0), *got = malloc(n * sizeof *got);
    assert_int_equal(forge_read_model(&model_archive, 0, NULL, &good, NULL), 0);
    buf_init(&bytes, FORGE_MAX);
    forge_bytes(&bytes, model_archive.data, model_archive.len);
    for (size_t at = 0; at < bytes.len; at += at < 2000 ? 3 : 97) {
        bytes.data[at] ^= (char)(1 << at % 8);
        int rc = forge_read_model(&bytes, 0, got, &content, NULL);
        bytes.data[at] ^= (char)(1 << at % 8);
        seen++;
        if (rc == 0 && digest_equal(&good, &content)) {
            assert_memory_equal(right, got, n * sizeof *got);
            harmless++;
        }
    }
    assert_true(seen > 300 && harmless < seen / 20);
    buf_free(&bytes);
    free(right);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untouched_is_accepted),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_trailing),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_other_archives),
        cmocka_unit_test(test_source_error),
        cmocka_unit_test(test_flipped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
