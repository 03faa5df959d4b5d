/* Having the coordinator compare stored blobs with their names, and following it. */
#ifndef TACIT_OPS_CLI_SCRUB_WAIT_H
#define TACIT_OPS_CLI_SCRUB_WAIT_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"

/* Of a run, or NULL: of all that is stored. Begins one, or joins the one that runs where it is of
 * the same; another one is waited for first. *out is the arena's, which is reset meanwhile. */
TACIT_MUST_CHECK int scrub_follow(struct cli *cli, const char *run, struct arena *a,
                                  struct msg_scrub *out, struct err *e);

#endif
