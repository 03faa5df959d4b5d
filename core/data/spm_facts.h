/* What a SentencePiece .model file (a serialized ModelProto, sentencepiece_model.proto) says about
 * how its text is cut, which the library does not tell: read from the protocol buffer's wire form.
 *
 *     ModelProto       1: a piece (repeated), 2: trainer_spec, 3: normalizer_spec
 *     piece            3: type (4: defined by the user)
 *     trainer_spec     3: model_type (1 unigram, 2 BPE)
 *     normalizer_spec  2: precompiled_charsmap, 3: add_dummy_prefix, 4: remove_extra_whitespaces,
 *                      5: escape_whitespaces (the three last true where absent) */
#ifndef TACIT_DATA_SPM_FACTS_H
#define TACIT_DATA_SPM_FACTS_H

#include <stdbool.h>
#include <stddef.h>

struct spm_facts {
    bool bpe;
    bool user_pieces; /* pieces of the user's, which are found before any merging */
    bool verbatim;    /* text is encoded as it is, but for spaces written as U+2581 */
};

/* False where the bytes are no protocol buffer. */
bool spm_facts_read(const void *model, size_t size, struct spm_facts *out);

#endif
