/* Local saves of a model in training: two files a save in the job's folder, save-STEP.model and
 * save-STEP.state. The state is written last and names the model's content, so a crash in between
 * leaves the save before as the newest whole one. */
#ifndef TACIT_CORE_RUNNERS_SAVES_H
#define TACIT_CORE_RUNNERS_SAVES_H

#include <stdbool.h>
#include "core/runners/kept.h"
#include "core/checkpoint/checkpoint.h"

/* Saves w at p->step, then removes older saves. Fills w's digests. */
TACIT_MUST_CHECK int saves_write(const char *dir, struct weights *w,
                                 const struct checkpoint_position *p, struct err *e);
/* Loads the newest whole save of this stream and spec whose step is above `after` and at most
 * `last`; *found false where there is none (w is then undefined). Damaged ones are passed over. */
TACIT_MUST_CHECK int saves_load(const char *dir, const struct checkpoint_position *like,
                                uint64_t after, uint64_t last, struct weights *w,
                                struct checkpoint_position *p, bool *found, struct err *e);

#endif
