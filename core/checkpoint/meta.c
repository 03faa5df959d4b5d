#include "core/checkpoint/meta.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define META_FORMAT "tacit-checkpoint"
#define META_VERSION 1

static const char *kind_word(enum tensors_kind kind)
{
    return kind == TENSORS_MODEL ? "model" : "state";
}

int meta_write(enum tensors_kind kind, const struct model_config *c, enum optimizer optimizer,
               struct buf *out, struct err *e)
{
    const char *other = optimizer == OPTIMIZER_ADAMW ? NULL : optimizer_word(optimizer);
    json_t *root = json_pack("{s:{s:I,s:I,s:I,s:I,s:I,s:I},s:s,s:s,s:s*,s:i}", "config", "vocab",
                             (json_int_t)c->vocab, "seq", (json_int_t)c->seq, "hidden",
                             (json_int_t)c->hidden, "layers", (json_int_t)c->layers, "heads",
                             (json_int_t)c->heads, "ffn", (json_int_t)c->ffn, "format", META_FORMAT,
                             "kind", kind_word(kind), "optimizer", other, "version", META_VERSION);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    if (text == NULL)
        return err_set(e, ERR_NO_MEMORY, "checkpoint: no memory for meta.json");
    int rc = buf_append(out, text, strlen(text), e);
    if (rc == 0)
        rc = buf_append(out, "\n", 1, e);
    free(text);
    return rc;
}

static int size_check(const char *name, json_int_t got, uint32_t expected, struct err *e)
{
    if (got == (json_int_t)expected)
        return 0;
    return err_set(e, ERR_INVALID, "checkpoint: its model has %s = %lld, expected is %u", name,
                   (long long)got, expected);
}

static int config_check(json_t *root, const struct model_config *c, struct err *e)
{
    json_int_t vocab, seq, hidden, layers, heads, ffn;
    json_error_t fault;
    if (json_unpack_ex(root, &fault, 0, "{s:{s:I,s:I,s:I,s:I,s:I,s:I!}}", "config", "vocab", &vocab,
                       "seq", &seq, "hidden", &hidden, "layers", &layers, "heads", &heads, "ffn",
                       &ffn) != 0)
        return err_set(e, ERR_FORMAT, "checkpoint: meta.json: config: %s", fault.text);
    int rc = size_check("vocab", vocab, c->vocab, e);
    rc = rc ? rc : size_check("seq", seq, c->seq, e);
    rc = rc ? rc : size_check("hidden", hidden, c->hidden, e);
    rc = rc ? rc : size_check("layers", layers, c->layers, e);
    rc = rc ? rc : size_check("heads", heads, c->heads, e);
    return rc ? rc : size_check("ffn", ffn, c->ffn, e);
}

/* Before sizes are: that tensors are missing would not say why. */
static int optimizer_check(const char *word, enum optimizer optimizer, struct err *e)
{
    const char *expected = optimizer_word(optimizer);
    word = word ? word : optimizer_word(OPTIMIZER_ADAMW);
    if (strcmp(word, expected) == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "checkpoint: a state of the optimizer %.32s, which %s cannot go on from", word,
                   expected);
}

int meta_check(const char *text, size_t len, enum tensors_kind kind, const struct model_config *c,
               enum optimizer optimizer, struct err *e)
{
    json_error_t fault;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL)
        return err_set(e, ERR_FORMAT, "checkpoint: meta.json: %s", fault.text);
    const char *format, *word, *other = NULL;
    json_t *config;
    json_int_t version;
    int rc = 0;
    if (json_unpack_ex(root, &fault, 0, "{s:o,s:s,s:s,s?s,s:I!}", "config", &config, "format",
                       &format, "kind", &word, "optimizer", &other, "version", &version) != 0)
        rc = err_set(e, ERR_FORMAT, "checkpoint: meta.json: %s", fault.text);
    else if (strcmp(format, META_FORMAT) != 0 || strcmp(word, kind_word(kind)) != 0)
        rc =
            err_set(e, ERR_FORMAT, "checkpoint: meta.json is of a %.32s \"%.32s\", not of a \"%s\"",
                    format, word, kind_word(kind));
    else if (version != META_VERSION)
        rc = err_set(e, ERR_VERSION, "checkpoint: version %lld; this program reads version %d",
                     (long long)version, META_VERSION);
    else
        rc = config_check(root, c, e);
    if (rc == 0)
        rc = optimizer_check(other, optimizer, e);
    json_decref(root);
    return rc;
}
