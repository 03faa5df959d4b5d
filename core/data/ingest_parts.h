/* Private to ingest: documents in bounded batches over all threads, the tokenizer's sample,
 * packing.
 *
 * A record of a pack, the temporary file that a split is packed to:
 *
 *     tokens  S·width (2 where V ≤ 65,536, else 4), little-endian
 *     bytes   4: text bytes of tokens 1…S−1
 *     labels  LABEL_LEVELS·1: the first token's document's number at each level
 *     zeros   to a multiple of 4 */
#ifndef TACIT_DATA_INGEST_PARTS_H
#define TACIT_DATA_INGEST_PARTS_H

#include <stdatomic.h>
#include "core/base/buf.h"
#include "core/base/pool.h"
#include "core/data/document.h"
#include "core/data/ingest.h"
#include "core/data/labels.h"
#include "core/data/reader.h"
#include "core/data/tokenizer.h"
#include "core/env/file.h"
#include "core/env/read.h"

/* -- Batches ---------------------------------------------------------------------------------- */

/* Enough work to share out, little enough that a thread's part is done in well under a second. */
#define BATCH_BYTES (2u << 20)
#define BATCH_RECORDS 2048

/* One record and what a thread made of it. */
struct batch_item {
    const char *data; /* into the batch's bytes once it runs; NULL: longer than allowed */
    size_t offset, len;
    bool json;
    uint32_t file; /* index in the batch's files */

    enum document_status status;
    bool heldout, has_source;
    char source[LABEL_BYTES + 1];
    uint64_t text_bytes;
    uint32_t *ids; /* kept from batch to batch; also the sample's lines, see sample_lines */
    size_t id_count, id_cap;
    struct buf lines;
};

struct batch {
    struct pool *pool; /* borrowed */
    struct document_rules rules;
    struct buf bytes;
    struct batch_item *items;
    struct reader_file *files; /* that the items come from; their names for errors are not kept */
    uint32_t count, file_count;
    uint64_t before;   /* items of this pass that were cleared */
    atomic_uint taken; /* the next item to be worked on */
    atomic_int failed; /* ERR_NO_MEMORY of any thread */
    /* One of two works: ids by tokenizer, or, where it is NULL, lines hashed at most threshold. */
    const struct tokenizer *tokenizer;
    uint64_t threshold;
};

TACIT_MUST_CHECK int batch_init(struct batch *b, struct pool *pool,
                                const struct document_rules *rules, struct err *e);
void batch_free(struct batch *b);
/* True where the record should wait for the batch to be run and emptied. */
bool batch_is_full(const struct batch *b, size_t len);
TACIT_MUST_CHECK int batch_add(struct batch *b, const struct reader_record *r,
                               const struct reader_file *f, struct err *e);
/* Works on all items, on all threads. */
TACIT_MUST_CHECK int batch_run(struct batch *b, struct err *e);
void batch_clear(struct batch *b);

/* -- The tokenizer's sample -------------------------------------------------------------------- */

/* Lines drawn from the whole input: a line's hash depends on its document's digest and place in the
 * input and on its number, and the lines with the smallest hashes are kept, in input order. */
struct sample {
    struct buf bytes; /* of entries: hash 8, length 4, text */
    uint64_t threshold, lines, text, text_max;
};

/* vocab: of the tokenizer to be trained. */
void sample_init(struct sample *s, uint32_t vocab);
void sample_free(struct sample *s);
/* Appends to out the entries of the place-th document's lines whose hash is at most threshold. */
TACIT_MUST_CHECK int sample_lines(struct buf *out, const struct document *d, uint64_t place,
                                  uint64_t threshold, struct err *e);
/* Takes entries, and lowers the threshold until they fit. */
TACIT_MUST_CHECK int sample_add(struct sample *s, const struct buf *entries, struct err *e);
/* Tokens that text bytes of the same text give, from those of the sample. */
TACIT_MUST_CHECK int sample_estimate(const struct sample *s, const struct tokenizer *t,
                                     uint64_t text, double *tokens, struct err *e);
/* Writes the lines, each ended by a newline. */
TACIT_MUST_CHECK int sample_write(const struct sample *s, const char *path, struct err *e);

/* -- Packs ------------------------------------------------------------------------------------- */

struct pack {
    struct env_file_new file; /* never committed: a temporary file */
    struct env_reader reader;
    struct buf out;
    uint32_t seq, width, record;
    const struct tokenizer *tokenizer;
    uint32_t *tokens; /* of the sequence being filled */
    uint32_t filled, bytes;
    uint8_t labels[LABEL_LEVELS]; /* of its first token */
    uint64_t sequences, total_tokens, text_bytes, documents;
};

TACIT_MUST_CHECK int pack_init(struct pack *p, const char *path, const struct tokenizer *t,
                               uint32_t vocab, uint32_t seq, struct err *e);
void pack_free(struct pack *p); /* removes the file; safe on a zeroed pack */
/* A document's ids; its end token is added here. */
TACIT_MUST_CHECK int pack_add(struct pack *p, const uint32_t *ids, size_t count,
                              uint64_t text_bytes, const uint8_t labels[LABEL_LEVELS],
                              struct err *e);
/* Drops the tail and makes pack_read possible. */
TACIT_MUST_CHECK int pack_finish(struct pack *p, struct err *e);
TACIT_MUST_CHECK int pack_read(struct pack *p, uint64_t i, uint32_t *tokens, uint32_t *bytes,
                               uint8_t labels[LABEL_LEVELS], struct err *e);

#endif
