/* What `tacit verify` keeps in its folder from one time to the next: blobs, named by the digest of
 * their bytes and checked as they come, or at their first use by a later process; which blob holds
 * which content; and what replays of jobs have given, so that the same job need not be replayed
 * again. One process a folder. */
#ifndef TACIT_OPS_CLI_VERIFY_STORE_H
#define TACIT_OPS_CLI_VERIFY_STORE_H

#include "core/protocol/messages.h"
#include "ops/cli/command.h"

struct verify_store;

/* dir: made where absent. ERR_BUSY where another process works in it. */
TACIT_MUST_CHECK int verify_store_open(struct verify_store **out, struct cli *cli, const char *dir,
                                       struct err *e);
void verify_store_close(struct verify_store *s); /* accepts NULL */

/* The file of blob d, downloaded where it is not here (path in the arena): ERR_NOT_FOUND where the
 * coordinator has it no more, ERR_DIGEST where what it has is something else. */
TACIT_MUST_CHECK int verify_store_blob(struct verify_store *s, const struct digest *d,
                                       struct arena *a, const char **path, struct err *e);
/* The file of some archive with this content, of a replay: ERR_NOT_FOUND. */
TACIT_MUST_CHECK int verify_store_content(struct verify_store *s, const struct digest *content,
                                          struct arena *a, const char **path, struct err *e);
/* Takes the file at path, an output of a replay. */
TACIT_MUST_CHECK int verify_store_keep(struct verify_store *s, const struct msg_blob *b,
                                       const char *path, struct err *e);

/* What a replay under this key gave: outputs of out alone; ERR_NOT_FOUND. */
TACIT_MUST_CHECK int verify_store_recall(struct verify_store *s, const struct digest *key,
                                         struct arena *a, struct msg_made *out, struct err *e);
TACIT_MUST_CHECK int verify_store_remember(struct verify_store *s, const struct digest *key,
                                           const struct msg_made *m, struct err *e);
/* The folder of the job with this key, which a replay that was interrupted finds as it left it;
 * folders of other jobs go. In the arena. */
TACIT_MUST_CHECK int verify_store_job(struct verify_store *s, const struct digest *key,
                                      struct arena *a, const char **path, struct err *e);
/* Between jobs: what was not used for longest goes while there is too much. */
TACIT_MUST_CHECK int verify_store_trim(struct verify_store *s, struct err *e);

#endif
