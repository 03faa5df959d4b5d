/* Local saves of a model in training: two files a save in the job's folder, save-STEP.model and
 * save-STEP.state. The state is written last and names the model's content, so a crash in between
 * leaves the save before as the newest whole one. */
#ifndef TACIT_CORE_RUNNERS_SAVES_H
#define TACIT_CORE_RUNNERS_SAVES_H

#include <stdbool.h>
#include "core/runners/kept.h"
#include "core/checkpoint/checkpoint.h"

/* Saves w at p->step, then removes older saves. Fills w's digests, *model and *state. */
TACIT_MUST_CHECK int saves_write(const char *dir, struct weights *w,
                                 const struct checkpoint_position *p,
                                 struct checkpoint_digests *model, struct checkpoint_digests *state,
                                 struct err *e);
/* Loads the newest whole save of this stream and spec whose step is above `after` and at most
 * `last`; *found false where there is none (w is then undefined). Damaged ones are passed over. */
TACIT_MUST_CHECK int saves_load(const char *dir, const struct checkpoint_position *like,
                                uint64_t after, uint64_t last, struct weights *w,
                                struct checkpoint_position *p, bool *found, struct err *e);

/* Heap string: the file of a save; what: "model" or "state". */
TACIT_MUST_CHECK int saves_path(const char *dir, uint64_t step, const char *what, char **path,
                                struct err *e);
/* Digest and size of a save's file. */
TACIT_MUST_CHECK int saves_digest(const char *path, struct digest *d, uint64_t *bytes,
                                  struct err *e);
/* Step of the newest save whose files are there; 0: there is none. */
uint64_t saves_newest(const char *dir);

#endif
