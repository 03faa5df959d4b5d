/* What may stand where somebody presses the tabulator, from the tree of commands and their options:
 * shells' scripts (cmd_completion.c) ask the program itself. */
#ifndef TACIT_OPS_CLI_COMPLETE_H
#define TACIT_OPS_CLI_COMPLETE_H

#include "core/base/buf.h"
#include "ops/cli/command.h"

/* What else than the candidates may stand there: a shell knows files, a coordinator the rest. */
enum complete_kind {
    COMPLETE_FILES = 1,
    COMPLETE_FOLDERS = 2,
    COMPLETE_RUNS = 4,
    COMPLETE_AGENTS = 8,
    COMPLETE_DATASETS = 16,
    COMPLETE_COORDINATORS = 32, /* of the configuration file */
};

/* words[0…count) are those behind "tacit", the last one being typed, maybe empty. Appends to out a
 * line "candidate\texplanation" each for those that begin like it, and sets *kinds. Options that
 * name a coordinator are put into cli. */
TACIT_MUST_CHECK int complete_words(struct cli *cli, int count, char **words, struct buf *out,
                                    unsigned *kinds, struct err *e);
/* Appends one candidate if it begins with typed. */
TACIT_MUST_CHECK int complete_add(struct buf *out, const char *typed, const char *candidate,
                                  const char *explanation, struct err *e);

#endif
