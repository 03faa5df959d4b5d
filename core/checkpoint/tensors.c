#include "core/checkpoint/tensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/le.h"
#include "core/base/text.h"

/* Room for what does not belong into a header, so that an error can name it. */
#define HEADER_SLACK 1024

const char *tensors_file(enum tensors_kind kind)
{
    return kind == TENSORS_MODEL ? "model.safetensors" : "state.safetensors";
}

static int entry_compare(const void *a, const void *b)
{
    const struct tensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void entry_fill(struct tensors_entry *out, const struct model_tensor *t,
                       enum tensors_kind kind, uint32_t array)
{
    if (kind == TENSORS_MODEL)
        snprintf(out->name, sizeof out->name, "%s", t->name);
    else
        snprintf(out->name, sizeof out->name, "moment%u.%s", array + 1, t->name);
    out->rank = t->rank;
    out->shape[0] = t->shape[0];
    out->shape[1] = t->rank == 1 ? 1 : t->shape[1];
    out->floats = out->shape[0] * out->shape[1];
    out->array = array;
    out->offset = t->offset;
}

int tensors_init(struct tensors *t, enum tensors_kind kind, const struct model_config *c,
                 enum optimizer optimizer, struct err *e)
{
    memset(t, 0, sizeof *t);
    int rc = model_config_check(c, e);
    if (rc != 0)
        return rc;
    uint32_t arrays = kind == TENSORS_MODEL ? 1 : 2, count = model_tensor_count(c);
    t->kind = kind;
    t->optimizer = optimizer;
    t->entries = calloc((size_t)arrays * count, sizeof *t->entries);
    if (t->entries == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory for %u tensors", arrays * count);
    for (uint32_t a = 0; a < arrays; a++)
        for (uint32_t i = 0; i < count; i++) {
            struct model_tensor tensor;
            model_tensor_at(c, i, &tensor);
            if (a == 0 || !optimizer_is_muons(optimizer, &tensor))
                entry_fill(&t->entries[t->count++], &tensor, kind, a);
        }
    qsort(t->entries, t->count, sizeof *t->entries, entry_compare);
    for (uint32_t i = 0; i < t->count; i++) {
        t->entries[i].begin = t->bytes;
        t->bytes += t->entries[i].floats * 4;
    }
    return 0;
}

void tensors_free(struct tensors *t)
{
    free(t->entries);
    memset(t, 0, sizeof *t);
}

static int metadata_write(const struct tensors *t, const struct tensors_extra *extra,
                          struct buf *out, struct err *e)
{
    if (t->kind == TENSORS_MODEL)
        return buf_printf(out, e, "{\"__metadata__\":{\"format\":\"pt\",\"kind\":\"model\"}");
    char model[DIGEST_HEX + 1], spec[DIGEST_HEX + 1];
    const struct checkpoint_position *p = &extra->position;
    return buf_printf(out, e,
                      "{\"__metadata__\":{\"format\":\"pt\",\"kind\":\"state\",\"model\":\"%s\","
                      "\"round_step\":\"%llu\",\"spec\":\"%s\",\"step\":\"%llu\","
                      "\"stream\":\"%llu\"}",
                      digest_to_hex(&extra->model, model), (unsigned long long)p->round_step,
                      digest_to_hex(&p->spec, spec), (unsigned long long)p->step,
                      (unsigned long long)p->stream);
}

static int entry_write(const struct tensors_entry *entry, struct buf *out, struct err *e)
{
    char shape[48];
    if (entry->rank == 1)
        snprintf(shape, sizeof shape, "%llu", (unsigned long long)entry->shape[0]);
    else
        snprintf(shape, sizeof shape, "%llu,%llu", (unsigned long long)entry->shape[0],
                 (unsigned long long)entry->shape[1]);
    return buf_printf(out, e,
                      ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}",
                      entry->name, shape, (unsigned long long)entry->begin,
                      (unsigned long long)(entry->begin + entry->floats * 4));
}

int tensors_header_write(const struct tensors *t, const struct tensors_extra *extra,
                         struct buf *out, struct err *e)
{
    static const char spaces[8] = "        ";
    uint8_t length[8] = {0};
    size_t start = out->len;
    int rc = buf_append(out, length, sizeof length, e);
    if (rc == 0)
        rc = metadata_write(t, extra, out, e);
    for (uint32_t i = 0; rc == 0 && i < t->count; i++)
        rc = entry_write(&t->entries[i], out, e);
    if (rc == 0)
        rc = buf_append(out, "}", 1, e);
    if (rc == 0)
        rc = buf_append(out, spaces, -(out->len - start) & 7, e);
    if (rc == 0)
        le64_put((uint8_t *)out->data + start, out->len - start - sizeof length);
    return rc;
}

int tensors_header_max(const struct tensors *t, uint64_t *bytes, struct err *e)
{
    struct tensors_extra longest;
    memset(&longest, 0xff, sizeof longest);
    struct buf header;
    buf_init(&header, TENSORS_HEADER_MAX);
    int rc = tensors_header_write(t, &longest, &header, e);
    *bytes = header.len + HEADER_SLACK;
    buf_free(&header);
    return rc;
}

static bool numbers_equal(const json_t *array, const uint64_t *expected, size_t count)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(array, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0 ||
            (uint64_t)json_integer_value(number) != expected[i])
            return false;
    }
    return true;
}

static int entry_check(const struct tensors_entry *entry, const json_t *root, struct err *e)
{
    const json_t *tensor = json_object_get(root, entry->name);
    if (!json_is_object(tensor))
        return err_set(e, ERR_FORMAT, "checkpoint: tensor \"%s\" is missing", entry->name);
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    if (dtype == NULL || strcmp(dtype, "F32") != 0)
        return err_set(e, ERR_FORMAT, "checkpoint: tensor \"%s\" is not F32", entry->name);
    if (!numbers_equal(json_object_get(tensor, "shape"), entry->shape, entry->rank))
        return err_set(e, ERR_FORMAT,
                       "checkpoint: tensor \"%s\" does not have the shape %llu × %llu", entry->name,
                       (unsigned long long)entry->shape[0], (unsigned long long)entry->shape[1]);
    const uint64_t offsets[2] = {entry->begin, entry->begin + entry->floats * 4};
    if (!numbers_equal(json_object_get(tensor, "data_offsets"), offsets, 2))
        return err_set(e, ERR_FORMAT, "checkpoint: tensor \"%s\" is not at bytes %llu to %llu",
                       entry->name, (unsigned long long)offsets[0], (unsigned long long)offsets[1]);
    return 0;
}

/* Names the first key that no tensor has. */
static int unexpected_check(const struct tensors *t, json_t *root, struct err *e)
{
    if (json_object_size(root) == t->count + 1u)
        return 0;
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        struct tensors_entry key;
        snprintf(key.name, sizeof key.name, "%s", name);
        if (strcmp(name, "__metadata__") != 0 &&
            bsearch(&key, t->entries, t->count, sizeof key, entry_compare) == NULL)
            return err_set(e, ERR_FORMAT, "checkpoint: unexpected tensor \"%.64s\"", name);
    }
    return err_set(e, ERR_FORMAT, "checkpoint: header without __metadata__");
}

static bool metadata_u64(const json_t *metadata, const char *name, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(metadata, name));
    return text != NULL && text_to_u64(text, out);
}

static bool metadata_digest(const json_t *metadata, const char *name, struct digest *out)
{
    const char *text = json_string_value(json_object_get(metadata, name));
    return text != NULL && digest_from_hex(out, text, strlen(text));
}

static int metadata_read(const struct tensors *t, const json_t *root, struct tensors_extra *extra,
                         struct err *e)
{
    const json_t *metadata = json_object_get(root, "__metadata__");
    const char *kind = json_string_value(json_object_get(metadata, "kind"));
    const char *expected = t->kind == TENSORS_MODEL ? "model" : "state";
    if (kind == NULL || strcmp(kind, expected) != 0)
        return err_set(e, ERR_FORMAT, "checkpoint: header is not of kind \"%s\"", expected);
    if (t->kind == TENSORS_MODEL)
        return 0;
    struct checkpoint_position *p = &extra->position;
    if (!metadata_u64(metadata, "step", &p->step) ||
        !metadata_u64(metadata, "round_step", &p->round_step) ||
        !metadata_u64(metadata, "stream", &p->stream) ||
        !metadata_digest(metadata, "spec", &p->spec) ||
        !metadata_digest(metadata, "model", &extra->model))
        return err_set(e, ERR_FORMAT,
                       "checkpoint: state without a valid step, round_step, stream, "
                       "spec or model");
    return 0;
}

/* Equal content must have equal bytes, or its digest would name nothing. */
static int canonical_check(const struct tensors *t, const char *header, size_t len,
                           const struct tensors_extra *extra, struct err *e)
{
    struct buf canonical;
    buf_init(&canonical, TENSORS_HEADER_MAX);
    int rc = tensors_header_write(t, extra, &canonical, e);
    if (rc == 0 && (canonical.len != len + 8 || memcmp(canonical.data + 8, header, len) != 0))
        rc = err_set(e, ERR_FORMAT, "checkpoint: header is not in canonical form");
    buf_free(&canonical);
    return rc;
}

int tensors_header_read(const struct tensors *t, const char *header, size_t len,
                        struct tensors_extra *extra, struct err *e)
{
    json_error_t fault;
    json_t *root = json_loadb(header, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL)
        return err_set(e, ERR_FORMAT, "checkpoint: header: %s", fault.text);
    int rc = metadata_read(t, root, extra, e);
    for (uint32_t i = 0; rc == 0 && i < t->count; i++)
        rc = entry_check(&t->entries[i], root, e);
    if (rc == 0)
        rc = unexpected_check(t, root, e);
    if (rc == 0)
        rc = canonical_check(t, header, len, extra, e);
    json_decref(root);
    return rc;
}
