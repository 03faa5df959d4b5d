/* Archives made and taken apart by the tests' own hand, to write what checkpoint_*_write never
 * would. */
#ifndef TACIT_TESTS_CHECKPOINT_FORGE_H
#define TACIT_TESTS_CHECKPOINT_FORGE_H

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/base/buf.h"
#include "core/base/rng.h"
#include "core/checkpoint/checkpoint.h"

#define FORGE_MAX (1u << 28)
#define UNUSED_FN __attribute__((unused))

/* 11 layers, so that "layers.10" comes before "layers.2" in the file. */
static const struct model_config CONFIG = {
    .vocab = 37, .seq = 16, .hidden = 8, .layers = 11, .heads = 2, .ffn = 24};

struct forge_entry {
    char name[64];
    struct buf data;
    int type; /* 0: plain file */
};

struct forge {
    struct forge_entry entries[4];
    int count;
    const char *level, *filter; /* zstd level; "zstd", "gzip", "none" */
    uint64_t zeros_after;       /* zero bytes of tar after its end */
    const char *text_after;     /* then these, in the tar stream */
};

static void forge_bytes(struct buf *out, const void *data, size_t len)
{
    assert_int_equal(buf_append(out, data, len, NULL), 0);
}

static la_ssize_t forge_on_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    (void)a;
    forge_bytes(arg, data, len);
    return (la_ssize_t)len;
}

static void forge_filter(struct archive *a, const struct forge *f)
{
    if (f->filter == NULL || strcmp(f->filter, "zstd") == 0) {
        assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
        archive_write_set_filter_option(a, "zstd", "compression-level", f->level ? f->level : "3");
    } else if (strcmp(f->filter, "gzip") == 0) {
        assert_int_equal(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    }
}

/* Bytes as one compressed stream, without tar. */
static void forge_compress(const struct forge *f, const void *data, size_t len, struct buf *out)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_raw(a);
    forge_filter(a, f);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open(a, out, NULL, forge_on_bytes, NULL), ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(a, entry);
    assert_int_equal(archive_write_data(a, data, len), (la_ssize_t)len);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(a);
}

static void forge_tar(const struct forge *f, struct buf *out)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open(a, out, NULL, forge_on_bytes, NULL), ARCHIVE_OK);
    for (int i = 0; i < f->count; i++) {
        const struct forge_entry *x = &f->entries[i];
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, x->name);
        archive_entry_set_filetype(entry, x->type ? (unsigned)x->type : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, x->type ? 0 : (la_int64_t)x->data.len);
        if (x->type == AE_IFLNK)
            archive_entry_set_symlink(entry, "/etc/passwd");
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        if (!x->type)
            archive_write_data(a, x->data.data, x->data.len);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static void forge_archive(const struct forge *f, struct buf *out)
{
    struct buf tar;
    buf_init(&tar, FORGE_MAX);
    forge_tar(f, &tar);
    if (f->zeros_after > 0) {
        char *zeros = calloc(1, f->zeros_after);
        forge_bytes(&tar, zeros, f->zeros_after);
        free(zeros);
    }
    if (f->text_after != NULL)
        forge_bytes(&tar, f->text_after, strlen(f->text_after));
    forge_compress(f, tar.data, tar.len, out);
    buf_free(&tar);
}

/* An archive's entries, by a reader that believes everything. */
static void forge_open(struct forge *f, const char *path)
{
    memset(f, 0, sizeof *f);
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    archive_read_support_filter_all(a);
    archive_read_support_format_all(a);
    assert_int_equal(archive_read_open_filename(a, path, 10240), ARCHIVE_OK);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        struct forge_entry *x = &f->entries[f->count++];
        snprintf(x->name, sizeof x->name, "%s", archive_entry_pathname(entry));
        buf_init(&x->data, FORGE_MAX);
        char part[4096];
        la_ssize_t n;
        while ((n = archive_read_data(a, part, sizeof part)) > 0)
            forge_bytes(&x->data, part, (size_t)n);
        assert_int_equal(n, 0);
    }
    archive_read_free(a);
}

static void forge_free(struct forge *f)
{
    for (int i = 0; i < f->count; i++)
        buf_free(&f->entries[i].data);
}

/* A reader's source: bytes in memory, handed out in pieces. */
struct forge_source {
    const struct buf *bytes;
    size_t at, piece;
};

static long forge_read(void *arg, void *out, size_t cap, struct err *e)
{
    (void)e;
    struct forge_source *s = arg;
    size_t n = s->bytes->len - s->at;
    n = n < cap ? n : cap;
    if (s->piece > 0 && n > s->piece)
        n = s->piece;
    if (n > 0)
        memcpy(out, s->bytes->data + s->at, n);
    s->at += n;
    return (long)n;
}

static UNUSED_FN int forge_read_model(const struct buf *b, size_t piece, float *parameters,
                                      struct digest *content, struct err *e)
{
    struct forge_source s = {.bytes = b, .piece = piece};
    return checkpoint_model_read(forge_read, &s, &CONFIG, parameters, content, e);
}

static UNUSED_FN int forge_read_state(const struct buf *b, struct err *e)
{
    struct forge_source s = {.bytes = b};
    return checkpoint_state_read(forge_read, &s, &CONFIG, OPTIMIZER_ADAMW, NULL, NULL, NULL, NULL,
                                 NULL, e);
}

static float *forge_values(uint64_t key, int positive)
{
    uint64_t n = model_parameters(&CONFIG);
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (uint64_t i = 0; i < n; i++)
        values[i] = rng_uniform(key, RNG_TEST, i, 0) - (positive ? 0.0f : 0.5f);
    return values;
}

/* A name of its own in a fresh folder under /tmp; forge_folder_remove at the end. */
static char forge_folder[] = "/tmp/tacit-checkpoint-XXXXXX";

static UNUSED_FN int forge_folder_make(void **state)
{
    (void)state;
    return mkdtemp(forge_folder) == NULL;
}

static UNUSED_FN int forge_folder_remove(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", forge_folder);
    return system(command);
}

static const char *forge_path(const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", forge_folder, name);
    return path;
}

static const struct checkpoint_position POSITION = {
    .step = 1200, .round_step = 17, .stream = MODEL_STREAM_EXPERT + 3, .spec = {{1, 2, 3}}};

static UNUSED_FN void forge_write_model(const char *path, struct checkpoint_digests *d)
{
    float *values = forge_values(1, 0);
    struct err e = {0};
    if (checkpoint_model_write(path, true, &CONFIG, values, d, &e) != 0)
        fail_msg("%s", e.message);
    free(values);
}

static UNUSED_FN void forge_write_state(const char *path, struct checkpoint_digests *d)
{
    float *m1 = forge_values(2, 0), *m2 = forge_values(3, 1);
    const struct digest model = {{9, 8, 7}};
    struct err e = {0};
    if (checkpoint_state_write(path, true, &CONFIG, OPTIMIZER_ADAMW, m1, m2, &POSITION, &model, d,
                               &e) != 0)
        fail_msg("%s", e.message);
    free(m1);
    free(m2);
}

#endif
