#include "core/protocol/manifest.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/protocol/messages_rows.h"

const char *const manifest_layout_words[] = {"safetensors", "hf", "gguf", NULL};

static const struct field shape_fields[] = {
    U64(shape, vocab, MUST, 1, 1u << 20, "V: pieces of the tokenizer"),
    U64(shape, seq, MUST, 2, 1u << 16, "S: the longest sequence it was trained on"),
    U64(shape, hidden, MUST, 2, 1u << 15, "H"),
    U64(shape, layers, MUST, 1, 512, "L"),
    U64(shape, heads, MUST, 1, 512, "A"),
    U64(shape, ffn, MUST, 1, 1u << 17, "width of the feed-forward part"),
};
MESSAGE(shape);

static const struct field exported_fields[] = {
    WORD(exported, target, MUST, job_target_words, "router, expert, dense or dense-flops"),
    U64(exported, index, MUST, 0, EXPERTS_MAX - 1, "which router or expert; 0 of others"),
    U64(exported, step, MUST, 0, 0, "optimizer steps it was trained"),
    DIGEST(exported, content, MUST, "of its checkpoint's content, as lineage names it"),
    STRING(exported, file, MUST, 128, "its file, below the folder"),
    U64(exported, bytes, MUST, 0, 0, "of the file"),
    DIGEST(exported, digest, MUST, "BLAKE2b-256 of the file"),
};
MESSAGE(exported);

static const struct field manifest_fields[] = {
    STRING(manifest, format, MUST, 32, "always tacit-mixture"),
    U64(manifest, version, MUST, 1, 0, "of this format"),
    WORD(manifest, layout, MUST, manifest_layout_words, "of the models' files"),
    WORD(manifest, type, MUST, export_type_words, "of the numbers in them"),
    STRING(manifest, run, MUST, NAME_MAX_BYTES, "that trained them"),
    STRING(manifest, dataset, MUST, NAME_MAX_BYTES, "that it was trained on"),
    DIGEST(manifest, spec, MUST, "of spec.ini"),
    U64(manifest, experts, MUST, 1, EXPERTS_MAX, "E"),
    U64(manifest, prefix, MUST, 1, 1u << 16, "M: tokens that routers were trained to judge"),
    STRING(manifest, routing, MUST, 16, "em, or random (a control)"),
    U64(manifest, seed, MUST, 0, 0, "of the run; routing at random needs it"),
    DIGEST(manifest, tokenizer, MUST, "of tokenizer.model"),
    U64(manifest, end, MUST, 0, 1u << 20, "token that ends documents"),
    OBJECT(manifest, expert_model, MUST, shape, "of experts and dense models"),
    OBJECT(manifest, router_model, MUST, shape, "of routers"),
    ARRAY(manifest, models, model_count, MUST, exported, MODELS_MAX, "that were exported"),
};
MESSAGE(manifest);

/* --- checks ----------------------------------------------------------------------------------- */

/* A file below the folder: nothing that leads out of it. */
static bool name_is_below(const char *name)
{
    if (!*name || *name == '/' || strchr(name, '\\'))
        return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (*part == '/' || *part == '.' || !*part)
            return false;
    }
    return true;
}

static void config_of(const struct msg_shape *s, struct model_config *out)
{
    *out = (struct model_config){.vocab = (uint32_t)s->vocab,
                                 .seq = (uint32_t)s->seq,
                                 .hidden = (uint32_t)s->hidden,
                                 .layers = (uint32_t)s->layers,
                                 .heads = (uint32_t)s->heads,
                                 .ffn = (uint32_t)s->ffn};
}

static int shapes_check(const struct msg_manifest *m, struct err *e)
{
    struct model_config expert, router;
    config_of(m->expert_model, &expert);
    config_of(m->router_model, &router);
    int rc = model_config_check(&expert, e);
    if (rc)
        return err_prefix(e, "expert_model");
    rc = model_config_check(&router, e);
    if (rc)
        return err_prefix(e, "router_model");
    if (expert.vocab != router.vocab || expert.seq != router.seq)
        return err_set(e, ERR_FORMAT, "experts and routers differ in vocab or seq");
    if (m->end >= expert.vocab || m->prefix > expert.seq)
        return err_set(e, ERR_FORMAT, "end or prefix is beyond the models' shape");
    return 0;
}

static int models_check(const struct msg_manifest *m, struct err *e)
{
    for (uint32_t i = 0; i < m->model_count; i++) {
        const struct msg_exported *x = &m->models[i];
        const bool indexed = x->target == TARGET_ROUTER || x->target == TARGET_EXPERT;
        if (x->target == TARGET_NONE || x->index >= (indexed ? m->experts : 1))
            return err_set(e, ERR_FORMAT, "models[%u] is of no model that a run has", i);
        if (!name_is_below(x->file))
            return err_set(e, ERR_FORMAT, "models[%u]: \"%s\" is no file of the folder", i,
                           x->file);
        if (manifest_find(m, x->target, x->index) != x)
            return err_set(e, ERR_FORMAT, "models[%u] is there twice", i);
    }
    return 0;
}

int manifest_decode(const char *text, size_t len, struct arena *a, struct msg_manifest *out,
                    struct err *e)
{
    int rc = message_decode(&message_manifest, text, len, out, a, e);
    if (rc)
        return rc;
    if (strcmp(out->format, MANIFEST_FORMAT) != 0)
        return err_set(e, ERR_FORMAT, "format is \"%s\", not \"" MANIFEST_FORMAT "\"", out->format);
    if (out->version != MANIFEST_VERSION)
        return err_set(e, ERR_VERSION, "version %llu; this program reads version %d",
                       (unsigned long long)out->version, MANIFEST_VERSION);
    rc = shapes_check(out, e);
    return rc ? rc : models_check(out, e);
}

/* --- folders ---------------------------------------------------------------------------------- */

int manifest_read(const char *folder, struct arena *a, struct msg_manifest *out, struct err *e)
{
    char *path = env_path_join(folder, MANIFEST_FILE);
    struct buf text;
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc;
    if (!env_file_exists(path)) {
        rc = err_set(e, ERR_NOT_FOUND,
                     "%s has no " MANIFEST_FILE ": it is no folder of `tacit export`, or one that "
                     "was not finished",
                     folder);
    } else if ((rc = env_file_read(path, MANIFEST_BYTES_MAX, &text, e)) == 0) {
        rc = manifest_decode(text.data, text.len, a, out, e);
        if (rc)
            err_prefix(e, "%s", path);
        buf_free(&text);
    }
    free(path);
    return rc;
}

const struct msg_exported *manifest_find(const struct msg_manifest *m, int target, uint64_t index)
{
    for (uint32_t i = 0; i < m->model_count; i++)
        if (m->models[i].target == target && m->models[i].index == index)
            return &m->models[i];
    return NULL;
}

void manifest_shape(const struct msg_manifest *m, int target, struct model_config *out)
{
    config_of(target == TARGET_ROUTER ? m->router_model : m->expert_model, out);
}

int manifest_model(const char *folder, const struct msg_manifest *m, int target, uint64_t index,
                   float *parameters, struct err *e)
{
    const struct msg_exported *x = manifest_find(m, target, index);
    struct model_config c;
    struct digest content;
    if (!x)
        return err_set(e, ERR_NOT_FOUND, "%s: %s %llu was not exported", folder,
                       job_target_words[target], (unsigned long long)index);
    if (m->layout != LAYOUT_SAFETENSORS)
        return err_set(e, ERR_INVALID,
                       "%s is of the layout %s; what is read back is that of `tacit export … "
                       "--format safetensors`",
                       folder, manifest_layout_words[m->layout]);
    char *path = env_path_join(folder, x->file);
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    manifest_shape(m, target, &c);
    int rc = export_safetensors_read(path, &c, parameters, &content, e);
    if (!rc && !digest_equal(&content, &x->digest))
        rc = err_set(e, ERR_DIGEST, "%s is not what " MANIFEST_FILE " says: it was changed", path);
    free(path);
    return rc;
}

int manifest_file(const char *folder, const char *name, const struct digest *d, size_t max,
                  struct buf *out, struct err *e)
{
    char *path = env_path_join(folder, name);
    struct digest found;
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    int rc = env_file_read(path, max, out, e);
    if (!rc) {
        digest_of(out->data, out->len, &found);
        if (!digest_equal(&found, d)) {
            rc = err_set(e, ERR_DIGEST, "%s is not what " MANIFEST_FILE " says: it was changed",
                         path);
            buf_free(out);
        }
    }
    free(path);
    return rc;
}
