/* What sequences are called in reports. A document has three candidate names, from fine to coarse:
 *
 *   source  JSONL: its `source` field; without one, as file
 *   file    JSONL: the file's stem; plain text: the folder or archive that it lies in just below
 *           the input, or the file's own stem where it lies in none
 *   input   the stem of the input that the user named
 *
 * All three are kept while reading; at the end the finest level with at most SHARD_LABELS_MAX
 * distinct names is taken, and where none is, everything is called "all". So one pass over the
 * documents is enough, and memory stays bounded. */
#ifndef TACIT_DATA_LABELS_H
#define TACIT_DATA_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/data/shard.h"

#define LABEL_BYTES 64 /* longer names are cut */

enum label_level { LABEL_SOURCE, LABEL_FILE, LABEL_INPUT, LABEL_LEVELS };

struct label_table {
    char names[SHARD_LABELS_MAX][LABEL_BYTES + 1];
    uint32_t count, last;
    bool over; /* more names than fit */
};

struct labels {
    struct label_table level[LABEL_LEVELS];
};

/* Copies a name so that it fits a label: cut between characters, control characters and what is not
 * UTF-8 replaced. */
void label_clean(char out[LABEL_BYTES + 1], const char *name, size_t len);

/* The number of a cleaned name in its level's table, in order of first appearance; of a name too
 * many, 0 (its level will not be taken). */
uint8_t labels_number(struct labels *l, enum label_level level, const char *name);

/* The level taken, or LABEL_LEVELS: one label "all". */
enum label_level labels_choose(const struct labels *l);

#endif
