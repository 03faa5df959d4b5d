/* What a job's folder (job_folders.h) remembers beside its saves, so that nothing that was computed
 * is lost or computed again:
 *
 *     DIR/result.json    what the job gave, once it has run: outputs by file name
 *     DIR/deliver.json   its grant, while the result is still to be delivered under that fence
 *     DIR/saved.json     number of the job and step of its newest save: what to ask for first
 *
 * A result is on the disk before its upload begins, and goes only when the coordinator has it. */
#ifndef TACIT_AGENT_SPOOL_H
#define TACIT_AGENT_SPOOL_H

#include <stdbool.h>
#include "core/base/arena.h"
#include "core/runners/job.h"

#define SPOOL_DELIVER "deliver.json"

/* The job has given r. What took no time to compute is not synced: to do it again costs no more. */
TACIT_MUST_CHECK int spool_write(const char *dir, const struct msg_grant *g,
                                 const struct job_result *r, struct err *e);
/* The result in a folder, each file held against its digest; false where there is none, or it is
 * damaged. r is initialised here. */
bool spool_read(const char *dir, struct job_result *r);
/* The first folder in jobs whose result is to be delivered (*dir: heap); false where there is none.
 * The grant has no inputs. */
bool spool_find(const char *jobs, char **dir, struct msg_grant *g, struct arena *a,
                struct job_result *r);
/* A result that the folder holds already is to be delivered under this grant's fence. */
void spool_owe(const char *dir, const struct msg_grant *g);
/* The job went to another: the result may still be of use, under a fence to come. */
void spool_keep(const char *dir);

/* The newest save of the job. */
void spool_saved(const char *dir, const struct msg_saved *s);
/* What the folders in jobs have saved of jobs that are not finished here; *count up to
 * PROTOCOL_SAVES_MAX. In the arena. */
struct msg_saved *spool_saves(const char *jobs, struct arena *a, uint32_t *count);

#endif
