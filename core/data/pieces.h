/* What a SentencePiece model file says of itself: its pieces with scores and kinds, and how it
 * treats text before it. Read from the bytes of the file (protocol buffers,
 * sentencepiece_model.proto), since the library does not tell all of it. For converting tokenizers;
 * encoding is tokenizer.h. */
#ifndef TACIT_DATA_PIECES_H
#define TACIT_DATA_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

/* The numbers are those of the file, and of GGUF's tokenizer.ggml.token_type. */
enum piece_kind {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER_DEFINED = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6,
};

enum pieces_model { PIECES_UNIGRAM = 1, PIECES_BPE = 2, PIECES_WORD = 3, PIECES_CHAR = 4 };

struct piece {
    const char *text; /* UTF-8, ends in NUL; U+2581 stands for a space */
    float score;
    enum piece_kind kind;
};

struct pieces {
    struct piece *list; /* by id; owned */
    uint32_t count;
    enum pieces_model model;
    bool byte_fallback;
    bool dummy_prefix, remove_extra_spaces, escape_spaces;
    uint32_t unknown, end; /* ids; end: </s> */
    const void *charsmap;  /* the normalizer's compiled rules; owned, NULL: identity */
    size_t charsmap_bytes;
    char *texts; /* owned: all texts, one after another */
};

/* ERR_FORMAT for what is no such file; ERR_NOT_FOUND without <unk> or the end piece. */
TACIT_MUST_CHECK int pieces_read(struct pieces *out, const void *model, size_t size, struct err *e);
void pieces_free(struct pieces *p); /* also after an error, and of zeros */

#endif
