/* tacit.json: what an exported folder holds (`tacit export`), for `tacit serve`, `sample`, `eval`,
 * `[run] init` and others' tools. Written last, so a folder with one is whole.
 *
 *     tacit.json        this
 *     spec.ini          the run's canonical spec
 *     tokenizer.model   SentencePiece's, as ingested
 *     experts/0.safetensors, routers/0.safetensors, dense.safetensors, …        layout safetensors
 *     expert-0/model.safetensors with config.json, tokenizer.json, …            layout hf
 *     expert-0.gguf, …                                                          layout gguf
 *     README.md, route.py */
#ifndef TACIT_PROTOCOL_MANIFEST_H
#define TACIT_PROTOCOL_MANIFEST_H

#include "core/base/arena.h"
#include "core/checkpoint/export.h"
#include "core/protocol/messages.h"

#define MANIFEST_FILE "tacit.json"
#define MANIFEST_FORMAT "tacit-mixture"
#define MANIFEST_VERSION 1
#define MANIFEST_BYTES_MAX (4u << 20)

enum manifest_layout { LAYOUT_SAFETENSORS, LAYOUT_HF, LAYOUT_GGUF };
extern const char *const manifest_layout_words[];

struct msg_shape { /* struct model_config */
    uint64_t vocab, seq, hidden, layers, heads, ffn;
};

struct msg_exported {
    int target;
    uint64_t index, step;  /* step: how many it was trained */
    struct digest content; /* of its checkpoint, as lineage names it */
    const char *file;      /* below the folder */
    uint64_t bytes;
    struct digest digest; /* of the file; equal to content in the layout safetensors */
};

struct msg_manifest {
    const char *format;
    uint64_t version;
    int layout, type; /* enum manifest_layout, enum export_type */
    const char *run, *dataset;
    struct digest spec;       /* of spec.ini */
    uint64_t experts, prefix; /* E and M of the run, exported or not */
    const char *routing;      /* "em", "random" */
    uint64_t seed;
    struct digest tokenizer; /* of tokenizer.model */
    uint64_t end;            /* the token that ends documents */
    const struct msg_shape *expert_model, *router_model;
    struct msg_exported *models;
    uint32_t model_count;
};
extern const struct message message_shape, message_exported, message_manifest;

/* Reads a folder's tacit.json and checks what it says: format, version, shapes, names of files,
 * each model once. Strings and arrays go to the arena. ERR_NOT_FOUND where there is none. */
TACIT_MUST_CHECK int manifest_read(const char *folder, struct arena *a, struct msg_manifest *out,
                                   struct err *e);
/* The same of its text. */
TACIT_MUST_CHECK int manifest_decode(const char *text, size_t len, struct arena *a,
                                     struct msg_manifest *out, struct err *e);
/* A model of the manifest, or NULL. */
const struct msg_exported *manifest_find(const struct msg_manifest *m, int target, uint64_t index);
void manifest_shape(const struct msg_manifest *m, int target, struct model_config *out);
/* Reads a model of a folder of the layout safetensors, and checks its digest. ERR_NOT_FOUND where
 * it was not exported, ERR_INVALID where the layout is another. */
TACIT_MUST_CHECK int manifest_model(const char *folder, const struct msg_manifest *m, int target,
                                    uint64_t index, float *parameters, struct err *e);
/* A file of the folder (spec.ini, tokenizer.model) of at most max bytes, which must have this
 * digest; free with buf_free. */
TACIT_MUST_CHECK int manifest_file(const char *folder, const char *name, const struct digest *d,
                                   size_t max, struct buf *out, struct err *e);

#endif
