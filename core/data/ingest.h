/* From files of text to shards, as METHOD's "Packing" and "Held-out" settle: read, split, tokenize
 * on all cores, pack, shuffle, write; one pass over the input for the tokenizer's sample where none
 * is given, one for the shards. Memory does not grow with the input. Same input, same shards. */
#ifndef TACIT_DATA_INGEST_H
#define TACIT_DATA_INGEST_H

#include <stdint.h>
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/data/shard.h"

struct ingest_options {
    const char *const *inputs; /* files, folders, or "-" for standard input */
    uint32_t input_count;
    uint32_t vocab, seq;
    const char *tokenizer_path;            /* a .model file, or NULL: train one of vocab pieces */
    double holdout;                        /* share of documents held out, [0,1) */
    const char *field_text, *field_source; /* JSONL field names; NULL: "text", "source" */
    uint64_t document_bytes_max;           /* longer ones are skipped; 0: 16 MiB */
    int threads;                           /* 0: all processors */
    const char *work_dir;                  /* made; shard files and temporary files go there */
    uint64_t shards_max;                   /* of both splits together; 0: any number */
    /* Called now and then from the calling thread; phase is "sample", "tokenizer", "tokens",
     * "shards"; total may be 0: unknown. Non-zero stops: ERR_STOPPED. May be NULL. */
    int (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit);
    void *progress_arg;
};

enum ingest_split { INGEST_TRAIN = 0, INGEST_HELDOUT = 1 };

struct ingest_shard {
    char *path; /* owned */
    struct digest digest;
    uint64_t bytes;
    uint32_t sequences;
};

struct ingest_result {
    char *tokenizer_path; /* owned */
    struct digest tokenizer;
    uint64_t tokenizer_bytes;
    struct ingest_shard *shards[2]; /* by enum ingest_split, in order; owned */
    uint32_t shard_count[2];
    /* tokens: of all documents with their end tokens, the dropped tail included; text_bytes: of the
     * documents' text. */
    uint64_t sequences[2], tokens[2], text_bytes[2], documents[2];
    uint64_t skipped_empty, skipped_utf8, skipped_long, skipped_json; /* documents (JSONL: lines) */
    char *labels[SHARD_LABELS_MAX]; /* names, owned; sequences' labels index it */
    uint32_t label_count;
};

/* Errors name the file (and line) and what to do: binary or truncated input, no document at all, a
 * tokenizer that does not fit vocab, fewer tokens than one sequence a split. ERR_TOO_LARGE where
 * the text gives more than shards_max: before anything is tokenized where the tokenizer is trained
 * here and the text is clearly too long, else as soon as so many tokens are there. */
TACIT_MUST_CHECK int ingest_run(const struct ingest_options *o, struct ingest_result *r,
                                struct err *e);
void ingest_result_free(struct ingest_result *r);

#endif
