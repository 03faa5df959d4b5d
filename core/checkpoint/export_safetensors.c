/* Both layouts of safetensors: our canonical file, and the one that PyTorch's models have. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/base/le.h"
#include "core/checkpoint/export_parts.h"
#include "core/checkpoint/tensors.h"

#define CHUNK 4096u

/* --- ours ------------------------------------------------------------------------------------- */

static int canonical_tensor(struct export_out *o, const struct tensors_entry *t,
                            const float *parameters, struct err *e)
{
    struct export_tensor as = {.rank = t->rank,
                               .shape = {t->shape[0], t->shape[1]},
                               .offset = t->offset,
                               .type = EXPORT_F32};
    snprintf(as.name, sizeof as.name, "%s", t->name);
    return export_tensor_write(o, &as, parameters, e);
}

int export_safetensors(const char *path, const struct model_config *c, const float *parameters,
                       struct export_file *out, struct err *e)
{
    struct export_out o;
    struct tensors t;
    struct buf header;
    buf_init(&header, TENSORS_HEADER_MAX);
    int rc = tensors_init(&t, TENSORS_MODEL, c, OPTIMIZER_ADAMW, e);
    if (!rc)
        rc = tensors_header_write(&t, NULL, &header, e);
    if (!rc && (rc = export_out_open(&o, path, e)) == 0) {
        rc = export_out_write(&o, header.data, header.len, e);
        for (uint32_t i = 0; !rc && i < t.count; i++)
            rc = canonical_tensor(&o, &t.entries[i], parameters, e);
        rc = export_out_close(&o, rc, out, e);
    }
    buf_free(&header);
    tensors_free(&t);
    return rc ? err_prefix(e, "%s", path), rc : 0;
}

static int values_read(const struct tensors *t, const uint8_t *data, float *parameters,
                       struct err *e)
{
    for (uint32_t i = 0; i < t->count; i++)
        for (uint64_t j = 0; j < t->entries[i].floats; j++) {
            const float x = lef32_get(data + t->entries[i].begin + 4 * j);
            if (!isfinite(x))
                return err_set(e, ERR_NOT_FINITE, "value %llu of \"%s\" is not finite",
                               (unsigned long long)j, t->entries[i].name);
            if (parameters)
                parameters[t->entries[i].offset + j] = x;
        }
    return 0;
}

static int mapped_read(const struct env_map *m, const struct tensors *t, float *parameters,
                       struct err *e)
{
    const uint8_t *bytes = m->data;
    uint64_t most, len = m->size >= 8 ? le64_get(bytes) : 0;
    int rc = tensors_header_max(t, &most, e);
    if (rc)
        return rc;
    if (m->size < 8 || len > most || m->size != 8 + len + t->bytes)
        return err_set(e, ERR_FORMAT, "%zu bytes are no model of this shape, whose data takes %llu",
                       m->size, (unsigned long long)t->bytes);
    rc = tensors_header_read(t, (const char *)bytes + 8, (size_t)len, NULL, e);
    return rc ? rc : values_read(t, bytes + 8 + len, parameters, e);
}

int export_safetensors_read(const char *path, const struct model_config *c, float *parameters,
                            struct digest *content, struct err *e)
{
    struct env_map m;
    struct tensors t;
    int rc = tensors_init(&t, TENSORS_MODEL, c, OPTIMIZER_ADAMW, e);
    if (!rc && (rc = env_file_map(path, &m, e)) == 0) {
        rc = mapped_read(&m, &t, parameters, e);
        if (!rc && content)
            digest_of(m.data, m.size, content);
        env_file_unmap(&m);
        if (rc)
            err_prefix(e, "%s", path);
    }
    tensors_free(&t);
    return rc;
}

/* --- PyTorch's -------------------------------------------------------------------------------- */

static int header_write(const struct export_tensor *list, uint32_t count, struct buf *out,
                        struct err *e)
{
    static const uint8_t length[8];
    uint64_t begin = 0;
    int rc = buf_append(out, length, sizeof length, e);
    if (!rc)
        rc = buf_printf(out, e, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (uint32_t i = 0; !rc && i < count; i++) {
        const struct export_tensor *t = &list[i];
        const uint64_t end = begin + export_tensor_bytes(t);
        rc = buf_printf(out, e, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", t->name,
                        t->type == EXPORT_BF16 ? "BF16" : "F32", (unsigned long long)t->shape[0]);
        if (!rc && t->rank == 2)
            rc = buf_printf(out, e, ",%llu", (unsigned long long)t->shape[1]);
        if (!rc)
            rc = buf_printf(out, e, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                            (unsigned long long)end);
        begin = end;
    }
    if (!rc)
        rc = buf_append(out, "}", 1, e);
    if (!rc)
        rc = buf_append(out, "       ", -out->len & 7, e);
    if (!rc)
        le64_put((uint8_t *)out->data, out->len - 8);
    return rc;
}

int export_hf(const char *path, const struct model_config *c, const float *parameters,
              enum export_type type, struct export_file *out, struct err *e)
{
    struct export_tensor *list = NULL;
    struct export_out o;
    struct buf header;
    uint32_t count = 0;
    if (type == EXPORT_Q8_0)
        return err_set(e, ERR_INVALID, "the layout hf has no type q8_0: take f32 or bf16");
    buf_init(&header, TENSORS_HEADER_MAX);
    int rc = export_tensors(c, EXPORT_NAMES_HF, type, &list, &count, e);
    if (!rc)
        rc = header_write(list, count, &header, e);
    if (!rc && (rc = export_out_open(&o, path, e)) == 0) {
        rc = export_out_write(&o, header.data, header.len, e);
        for (uint32_t i = 0; !rc && i < count; i++)
            rc = export_tensor_write(&o, &list[i], parameters, e);
        rc = export_out_close(&o, rc, out, e);
    }
    buf_free(&header);
    free(list);
    return rc ? err_prefix(e, "%s", path), rc : 0;
}
