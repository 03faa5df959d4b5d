#include "core/checkpoint/checkpoint.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "tests/core/checkpoint/forge.h"
#include "core/env/file.h"

static void file_bytes(const char *path, struct buf *out)
{
    assert_int_equal(env_file_read(path, FORGE_MAX, out, NULL), 0);
}

/* What comes back is what was saved, bit for bit, and the digests are those of the bytes. */
static void test_model(void **state)
{
    (void)state;
    char path[128];
    struct checkpoint_digests d;
    forge_write_model(forge_path("model", path), &d);
    uint64_t n = model_parameters(&CONFIG);
    float *saved = forge_values(1, 0), *loaded = calloc(n, sizeof *loaded);
    struct digest content, expected;
    struct err e = {0};
    assert_int_equal(checkpoint_model_load(path, &CONFIG, loaded, &content, &e), 0);
    assert_memory_equal(saved, loaded, n * sizeof *loaded);
    assert_true(digest_equal(&content, &d.content));

    struct buf bytes;
    file_bytes(path, &bytes);
    digest_of(bytes.data, bytes.len, &expected);
    assert_true(digest_equal(&expected, &d.blob));
    assert_int_equal(bytes.len, d.bytes);

    struct forge f;
    forge_open(&f, path);
    assert_int_equal(f.count, 2);
    assert_string_equal(f.entries[0].name, "meta.json");
    assert_string_equal(f.entries[1].name, "model.safetensors");
    assert_string_equal(f.entries[0].data.data,
                        "{\"config\":{\"ffn\":24,\"heads\":2,\"hidden\":8,\"layers\":11,\"seq\":16,"
                        "\"vocab\":37},\"format\":\"tacit-checkpoint\",\"kind\":\"model\","
                        "\"version\":1}\n");
    digest_of(f.entries[1].data.data, f.entries[1].data.len, &expected);
    assert_true(digest_equal(&expected, &d.content));
    forge_free(&f);
    buf_free(&bytes);
    free(saved);
    free(loaded);
}

/* A state of Muon has no second moments of the matrices, comes back as it was, and neither
 * optimizer takes the other's: training on from it would be training of nobody's. */
static void test_state_of_muon(void **state)
{
    (void)state;
    char path[128], adamw[128];
    struct checkpoint_digests d, both;
    struct err e = {0};
    const struct digest model = {{9, 8, 7}};
    uint64_t n = model_parameters(&CONFIG);
    float *m1 = forge_values(2, 0), *m2 = forge_values(3, 1);
    float *got1 = calloc(n, sizeof *got1), *got2 = calloc(n, sizeof *got2);
    forge_write_state(forge_path("adamw", adamw), &both);
    assert_int_equal(checkpoint_state_write(forge_path("muon", path), true, &CONFIG, OPTIMIZER_MUON,
                                            m1, m2, &POSITION, &model, &d, &e),
                     0);
    assert_true(d.bytes < both.bytes - 2 * (2 * n - optimizer_moments(OPTIMIZER_MUON, &CONFIG)));
    assert_int_equal(
        checkpoint_state_load(path, &CONFIG, OPTIMIZER_MUON, got1, got2, NULL, NULL, NULL, &e), 0);
    assert_memory_equal(m1, got1, n * sizeof *m1);
    for (uint32_t i = 0; i < model_tensor_count(&CONFIG); i++) {
        struct model_tensor t;
        model_tensor_at(&CONFIG, i, &t);
        for (uint64_t j = t.offset; j < t.offset + t.shape[0] * t.shape[1]; j++)
            assert_true(got2[j] == (optimizer_is_muons(OPTIMIZER_MUON, &t) ? 0.0f : m2[j]));
    }
    assert_int_equal(
        checkpoint_state_load(path, &CONFIG, OPTIMIZER_ADAMW, NULL, NULL, NULL, NULL, NULL, &e),
        ERR_INVALID);
    assert_non_null(strstr(e.message, "a state of the optimizer muon, which adamw cannot"));
    assert_int_equal(
        checkpoint_state_load(adamw, &CONFIG, OPTIMIZER_MUON, NULL, NULL, NULL, NULL, NULL, &e),
        ERR_INVALID);
    assert_non_null(strstr(e.message, "a state of the optimizer adamw, which muon cannot"));
    free(m1), free(m2), free(got1), free(got2);
}

static void test_state(void **state)
{
    (void)state;
    char path[128];
    struct checkpoint_digests d;
    forge_write_state(forge_path("state", path), &d);
    uint64_t n = model_parameters(&CONFIG);
    float *m1 = forge_values(2, 0), *m2 = forge_values(3, 1);
    float *got1 = calloc(n, sizeof *got1), *got2 = calloc(n, sizeof *got2);
    struct checkpoint_position p;
    struct digest model, content;
    const struct digest expected_model = {{9, 8, 7}};
    assert_int_equal(checkpoint_state_load(path, &CONFIG, OPTIMIZER_ADAMW, got1, got2, &p, &model,
                                           &content, NULL),
                     0);
    assert_memory_equal(m1, got1, n * sizeof *m1);
    assert_memory_equal(m2, got2, n * sizeof *m2);
    assert_int_equal(p.step, POSITION.step);
    assert_int_equal(p.round_step, POSITION.round_step);
    assert_int_equal(p.stream, POSITION.stream);
    assert_true(digest_equal(&p.spec, &POSITION.spec));
    assert_true(digest_equal(&model, &expected_model));
    assert_true(digest_equal(&content, &d.content));
    free(m1);
    free(m2);
    free(got1);
    free(got2);
}

/* Duplicates and resumed work are compared by bytes and by content: the same model gives both
 * again; another zstd level or library changes the archive, not the content. */
static void test_digests_are_stable(void **state)
{
    (void)state;
    char path[128], other[128];
    struct checkpoint_digests a, b;
    forge_write_model(forge_path("a", path), &a);
    forge_write_model(forge_path("b", other), &b);
    assert_true(digest_equal(&a.blob, &b.blob));
    assert_true(digest_equal(&a.content, &b.content));

    struct forge f;
    forge_open(&f, path);
    const char *const levels[] = {"1", "9", "19"};
    for (int i = 0; i < 3; i++) {
        struct buf archive;
        struct digest content, blob;
        struct err e = {0};
        buf_init(&archive, FORGE_MAX);
        f.level = levels[i];
        forge_archive(&f, &archive);
        digest_of(archive.data, archive.len, &blob);
        if (forge_read_model(&archive, 0, NULL, &content, &e) != 0)
            fail_msg("level %s: %s", levels[i], e.message);
        assert_true(digest_equal(&content, &a.content));
        assert_false(i == 2 && digest_equal(&blob, &a.blob)); /* another archive indeed */
        buf_free(&archive);
    }
    forge_free(&f);
}

/* Bytes arrive from a socket in any pieces. */
static void test_any_pieces(void **state)
{
    (void)state;
    char path[128];
    struct checkpoint_digests d;
    forge_write_model(forge_path("pieces", path), &d);
    struct buf bytes;
    file_bytes(path, &bytes);
    const size_t pieces[] = {1, 2, 3, 511, 65536};
    for (int i = 0; i < 5; i++) {
        struct digest content;
        assert_int_equal(forge_read_model(&bytes, pieces[i], NULL, &content, NULL), 0);
        assert_true(digest_equal(&content, &d.content));
    }
    buf_free(&bytes);
}

/* A diverged model is not published, and the last good save stays. */
static void test_write_refuses_nan(void **state)
{
    (void)state;
    char path[128];
    struct checkpoint_digests d, again;
    struct digest content;
    forge_write_model(forge_path("nan", path), &d);
    float *values = forge_values(1, 0);
    struct err e = {0};
    values[100] = NAN;
    assert_int_equal(checkpoint_model_write(path, true, &CONFIG, values, &again, &e),
                     ERR_NOT_FINITE);
    assert_non_null(strstr(e.message, "embed.weight"));
    values[100] = -INFINITY;
    assert_int_equal(checkpoint_model_write(path, true, &CONFIG, values, &again, NULL),
                     ERR_NOT_FINITE);
    assert_int_equal(checkpoint_model_load(path, &CONFIG, NULL, &content, NULL), 0);
    assert_true(digest_equal(&content, &d.content));
    free(values);
}

static void test_write_errors(void **state)
{
    (void)state;
    float *values = forge_values(1, 0);
    struct checkpoint_digests d;
    struct err e = {0};
    assert_true(checkpoint_model_write("/nonexistent/x", true, &CONFIG, values, &d, &e) < 0);
    assert_non_null(strstr(e.message, "/nonexistent/x"));
    assert_true(checkpoint_model_load("/nonexistent/x", &CONFIG, NULL, NULL, &e) < 0);
    free(values);
}

/* Another program's view of the file: Python's, with nothing but its standard library. */
static const char READER[] =
    "import json, struct, sys\n"
    "raw = open(sys.argv[1], 'rb').read()\n"
    "n = struct.unpack('<Q', raw[:8])[0]\n"
    "header = json.loads(raw[8:8 + n])\n"
    "assert n % 8 == 0\n"
    "assert header.pop('__metadata__') == {'format': 'pt', 'kind': 'model'}\n"
    "assert list(header) == sorted(header)\n"
    "at, floats = 0, {}\n"
    "for name, t in header.items():\n"
    "    count = 1\n"
    "    for size in t['shape']: count *= size\n"
    "    assert t['dtype'] == 'F32' and t['data_offsets'] == [at, at + 4 * count]\n"
    "    floats[name] = struct.unpack('<%df' % count, raw[8 + n + at:8 + n + at + 4 * count])\n"
    "    at += 4 * count\n"
    "assert 8 + n + at == len(raw)\n"
    "assert header['embed.weight']['shape'] == [37, 8]\n"
    "print('%.9g' % floats['layers.10.ffn.down.weight'][5])\n";

static void test_python_reads_it(void **state)
{
    (void)state;
    if (system("python3 -c 'import json, struct' 2>/dev/null") != 0)
        skip();
    char path[128], tensors[128], script[128], command[400], line[64] = "";
    struct checkpoint_digests d;
    forge_write_model(forge_path("python", path), &d);
    struct forge f;
    forge_open(&f, path);
    forge_path("model.safetensors", tensors);
    forge_path("read.py", script);
    const struct buf *data = &f.entries[1].data;
    assert_int_equal(env_file_write_atomic(tensors, data->data, data->len, 0600, NULL), 0);
    assert_int_equal(env_file_write_atomic(script, READER, strlen(READER), 0600, NULL), 0);
    snprintf(command, sizeof command, "python3 %s %s", script, tensors);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof line, p));
    assert_int_equal(pclose(p), 0);

    struct model_tensor t;
    float *values = forge_values(1, 0);
    uint32_t i = 0;
    do
        model_tensor_at(&CONFIG, i++, &t);
    while (strcmp(t.name, "layers.10.ffn.down.weight") != 0);
    assert_true(strtof(line, NULL) == values[t.offset + 5]);
    free(values);
    forge_free(&f);
}

#ifndef __SANITIZE_ADDRESS__
static long file_read(void *arg, void *out, size_t cap, struct err *e)
{
    (void)e;
    return (long)fread(out, 1, cap, arg);
}

/* A coordinator checks results of any size in flat memory: 96 MB of weights in less than 24 MiB. */
static void test_flat_memory(void **state)
{
    (void)state;
    const struct model_config big = {
        .vocab = 8192, .seq = 16, .hidden = 1024, .layers = 1, .heads = 2, .ffn = 4096};
    char path[128];
    struct checkpoint_digests d;
    uint64_t n = model_parameters(&big);
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (uint64_t i = 0; i < n; i++)
        values[i] = (float)(i * 2654435761u % 1000003u);
    assert_int_equal(checkpoint_model_write(forge_path("big", path), true, &big, values, &d, NULL),
                     0);
    free(values);
    assert_true(n * sizeof *values > 80u << 20);

    pid_t child = fork();
    if (child == 0) {
        FILE *in = fopen(path, "rb");
        struct digest content;
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        int rc = checkpoint_model_read(file_read, in, &big, NULL, &content, NULL);
        getrusage(RUSAGE_SELF, &after);
        bool flat = after.ru_maxrss - before.ru_maxrss < 24 << 10;
        _exit(rc == 0 && digest_equal(&content, &d.content) && flat ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),         cmocka_unit_test(test_state),
        cmocka_unit_test(test_state_of_muon), cmocka_unit_test(test_digests_are_stable),
        cmocka_unit_test(test_any_pieces),    cmocka_unit_test(test_write_refuses_nan),
        cmocka_unit_test(test_write_errors),  cmocka_unit_test(test_python_reads_it),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_flat_memory),
#endif
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
