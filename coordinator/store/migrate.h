/* The migrations of schema/, embedded by ops/embed_schema.sh. */
#ifndef TACIT_COORDINATOR_STORE_MIGRATE_H
#define TACIT_COORDINATOR_STORE_MIGRATE_H

#include <sqlite3.h>
#include "core/base/err.h"

struct store_migration {
    const char *database; /* "tacit", "blobs" */
    int number;           /* 1, 2, …: user_version once applied */
    const char *name;
    const char *sql; /* its last statement sets user_version */
};
/* Sorted by number within a database; ended by a zero. */
extern const struct store_migration store_migrations[];

/* ERR_VERSION where the file's schema is newer than the list's last. Changes nothing. */
TACIT_MUST_CHECK int store_migrate_check(sqlite3 *db, const struct store_migration *list,
                                         const char *database, struct err *e);
/* Applies what the file lacks, each in a transaction of its own under an exclusive lock. Foreign
 * keys are not held to while it runs, but checked before its COMMIT: ERR_FORMAT. */
TACIT_MUST_CHECK int store_migrate(sqlite3 *db, const struct store_migration *list,
                                   const char *database, struct err *e);

#endif
