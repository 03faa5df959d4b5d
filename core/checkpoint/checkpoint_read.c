/* Reading checkpoints: one pass over the stream, every check before what it protects. */
#include "core/checkpoint/checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/checkpoint/meta.h"
#include "core/checkpoint/stream.h"
#include "core/checkpoint/tensors.h"
#include "core/env/file.h"

#define CHUNK_FLOATS 16384u

struct reader {
    struct tensors tensors;
    struct stream *stream;
    struct digest_state content;
    uint64_t header_max; /* with its length field */
    uint8_t chunk[CHUNK_FLOATS * 4];
};

static int meta_read(struct reader *r, const struct model_config *c, struct err *e)
{
    char text[META_BYTES_MAX];
    uint64_t size;
    int rc = stream_entry(r->stream, "meta.json", &size, e);
    if (rc != 0)
        return rc;
    if (size > sizeof text)
        return err_set(e, ERR_TOO_LARGE, "checkpoint: meta.json of %llu bytes, at most %zu",
                       (unsigned long long)size, sizeof text);
    rc = stream_read(r->stream, text, size, e);
    return rc ? rc : meta_check(text, size, r->tensors.kind, c, r->tensors.optimizer, e);
}

/* The header's length follows from the entry's size and the data that the config implies: anything
 * else is refused before memory is taken for it. */
static int header_read(struct reader *r, struct tensors_extra *extra, struct err *e)
{
    uint64_t size;
    int rc = stream_entry(r->stream, tensors_file(r->tensors.kind), &size, e);
    if (rc != 0)
        return rc;
    if (size < r->tensors.bytes + 16 || size > r->tensors.bytes + r->header_max)
        return err_set(e, ERR_FORMAT, "checkpoint: %s of %llu bytes, its model has %llu of data",
                       tensors_file(r->tensors.kind), (unsigned long long)size,
                       (unsigned long long)r->tensors.bytes);
    uint8_t length[8];
    rc = stream_read(r->stream, length, sizeof length, e);
    if (rc != 0)
        return rc;
    uint64_t len = size - r->tensors.bytes - sizeof length;
    if (le64_get(length) != len)
        return err_set(e, ERR_FORMAT, "checkpoint: header of %llu bytes, expected are %llu",
                       (unsigned long long)le64_get(length), (unsigned long long)len);
    char *header = malloc(len);
    if (header == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory for a header of %llu bytes",
                       (unsigned long long)len);
    rc = stream_read(r->stream, header, len, e);
    if (rc == 0)
        rc = tensors_header_read(&r->tensors, header, len, extra, e);
    digest_update(&r->content, length, sizeof length);
    digest_update(&r->content, header, len);
    free(header);
    return rc;
}

static int value_check(const struct tensors_entry *entry, float value, uint64_t at, struct err *e)
{
    if (!isfinite(value))
        return err_set(e, ERR_NOT_FINITE, "checkpoint: value %llu of \"%s\" is not finite",
                       (unsigned long long)at, entry->name);
    if (entry->array == 1 && value < 0) /* a mean of squares */
        return err_set(e, ERR_FORMAT, "checkpoint: value %llu of \"%s\" is negative",
                       (unsigned long long)at, entry->name);
    return 0;
}

static int tensor_read(struct reader *r, const struct tensors_entry *entry, float *values,
                       struct err *e)
{
    for (uint64_t done = 0; done < entry->floats;) {
        uint64_t left = entry->floats - done;
        uint32_t n = left < CHUNK_FLOATS ? (uint32_t)left : CHUNK_FLOATS;
        int rc = stream_read(r->stream, r->chunk, 4ull * n, e);
        for (uint32_t i = 0; rc == 0 && i < n; i++) {
            float value = lef32_get(r->chunk + 4 * i);
            rc = value_check(entry, value, done + i, e);
            if (values != NULL)
                values[done + i] = value;
        }
        if (rc != 0)
            return rc;
        digest_update(&r->content, r->chunk, 4ull * n);
        done += n;
    }
    return 0;
}

static int entries_read(struct reader *r, const struct model_config *c, struct tensors_extra *extra,
                        float *const arrays[2], struct err *e)
{
    int rc = meta_read(r, c, e);
    if (rc == 0)
        rc = header_read(r, extra, e);
    for (uint32_t i = 0; rc == 0 && i < r->tensors.count; i++) {
        const struct tensors_entry *entry = &r->tensors.entries[i];
        float *array = arrays[entry->array];
        rc = tensor_read(r, entry, array ? array + entry->offset : NULL, e);
    }
    return rc ? rc : stream_end(r->stream, e);
}

/* Most compressed bytes that make sense: zstd's worst case is 1/256 more than what goes in. */
static uint64_t compressed_max(const struct reader *r)
{
    uint64_t plain = META_BYTES_MAX + r->header_max + r->tensors.bytes;
    return plain + plain / 128 + (64u << 10);
}

static int checkpoint_read(checkpoint_read_fn *read, void *arg, enum tensors_kind kind,
                           const struct model_config *c, enum optimizer optimizer,
                           struct tensors_extra *extra, float *const arrays[2],
                           struct digest *content, struct err *e)
{
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory to read it");
    digest_init(&r->content);
    int rc = tensors_init(&r->tensors, kind, c, optimizer, e);
    if (rc == 0)
        rc = tensors_header_max(&r->tensors, &r->header_max, e);
    if (rc == 0)
        rc = stream_create(&r->stream, read, arg, compressed_max(r), e);
    if (rc == 0)
        rc = entries_read(r, c, extra, arrays, e);
    if (rc == 0 && content != NULL)
        digest_final(&r->content, content);
    stream_destroy(r->stream);
    tensors_free(&r->tensors);
    free(r);
    return rc;
}

int checkpoint_model_read(checkpoint_read_fn *read, void *arg, const struct model_config *c,
                          float *parameters, struct digest *content, struct err *e)
{
    float *const arrays[2] = {parameters, NULL};
    return checkpoint_read(read, arg, TENSORS_MODEL, c, OPTIMIZER_ADAMW, NULL, arrays, content, e);
}

int checkpoint_state_read(checkpoint_read_fn *read, void *arg, const struct model_config *c,
                          enum optimizer optimizer, float *moment1, float *moment2,
                          struct checkpoint_position *p, struct digest *model_content,
                          struct digest *content, struct err *e)
{
    float *const arrays[2] = {moment1, moment2};
    struct tensors_extra extra;
    int rc = checkpoint_read(read, arg, TENSORS_STATE, c, optimizer, &extra, arrays, content, e);
    if (rc != 0)
        return rc;
    if (p != NULL)
        *p = extra.position;
    if (model_content != NULL)
        *model_content = extra.model;
    return 0;
}

struct mapped {
    struct env_map map;
    size_t at;
};

static long mapped_read(void *arg, void *out, size_t cap, struct err *e)
{
    (void)e;
    struct mapped *m = arg;
    size_t n = m->map.size - m->at < cap ? m->map.size - m->at : cap;
    if (n > 0)
        memcpy(out, (const uint8_t *)m->map.data + m->at, n);
    m->at += n;
    return (long)n;
}

int checkpoint_model_load(const char *path, const struct model_config *c, float *parameters,
                          struct digest *content, struct err *e)
{
    struct mapped m = {.at = 0};
    int rc = env_file_map(path, &m.map, e);
    if (rc != 0)
        return rc;
    rc = checkpoint_model_read(mapped_read, &m, c, parameters, content, e);
    env_file_unmap(&m.map);
    return rc ? err_prefix(e, "%s", path), rc : 0;
}

int checkpoint_state_load(const char *path, const struct model_config *c, enum optimizer optimizer,
                          float *moment1, float *moment2, struct checkpoint_position *p,
                          struct digest *model_content, struct digest *content, struct err *e)
{
    struct mapped m = {.at = 0};
    int rc = env_file_map(path, &m.map, e);
    if (rc != 0)
        return rc;
    rc = checkpoint_state_read(mapped_read, &m, c, optimizer, moment1, moment2, p, model_content,
                               content, e);
    env_file_unmap(&m.map);
    return rc ? err_prefix(e, "%s", path), rc : 0;
}
