/* Putting right a database file whose sync has failed. Private to store/. */
#ifndef TACIT_COORDINATOR_STORE_LOG_REWRITE_H
#define TACIT_COORDINATOR_STORE_LOG_REWRITE_H

#include <sqlite3.h>
#include <stdint.h>

/* Writes the first `pages` pages of the log into the database file once more, and syncs it. Linux
 * takes what a failed sync should have written for written; SQLite, which has counted these pages
 * as done, never writes them again; and once all of the log is done, it is overwritten. 0, or
 * SQLite's code: then again later, and nothing may write the log back before. The writer's
 * connection, outside a transaction. */
int log_rewrite(sqlite3 *db, uint32_t pages);

#endif
