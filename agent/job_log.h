/* What was said of the job in hand: its last lines in memory, for the coordinator, and all of it in
 * the job's folder (DIR/log), for whoever comes after a process that died. Any thread. */
#ifndef TACIT_AGENT_JOB_LOG_H
#define TACIT_AGENT_JOB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/env/thread.h"
#include "core/protocol/messages.h"

#define JOB_LOG_FILE "log"

struct job_log {
    struct env_mutex lock; /* guards the rest */
    char ring[PROTOCOL_LOG_MAX];
    uint64_t end; /* bytes said in all */
    int file;     /* −1: none */
};

void job_log_init(struct job_log *l);
void job_log_free(struct job_log *l);
/* A new job: forgets the lines of the one before. */
void job_log_begin(struct job_log *l);
/* Its folder is there: from now on lines go to its log, too. What can't be written there is lost.
 */
void job_log_keep(struct job_log *l, const char *dir);
/* A line to standard error (agent_log.h, whose levels these are) and to the job's log, which has
 * them all. */
void job_log_say(struct job_log *l, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The lines after *mark (0: all) that are still there, whole ones; *mark moves to the end. False
 * where there are none. */
bool job_log_since(struct job_log *l, uint64_t *mark, char out[PROTOCOL_LOG_MAX + 1]);

/* The last lines of the log in a folder, of an earlier process. False where there are none. */
bool job_log_read(const char *dir, char out[PROTOCOL_LOG_MAX + 1]);

#endif
