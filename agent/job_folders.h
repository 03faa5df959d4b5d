/* WORK/jobs/KEY: a folder a job, named by what it computes (hold_key), with its local saves and
 * outputs. One that is done or failed is removed; one that was given back or lost stays for the
 * day the same work is granted again, within limits, which do not count for results that are still
 * to be delivered. */
#ifndef TACIT_AGENT_JOB_FOLDERS_H
#define TACIT_AGENT_JOB_FOLDERS_H

#include <stdint.h>

/* Removes a folder and the files in it. What can't be removed stays: it costs room alone. */
void job_folder_remove(const char *path);

/* Of the folders in jobs other than key's, keeps those written last, as far as they are few and
 * fit bytes_max together; removes the others and empty ones. Returns the bytes of those kept. */
uint64_t job_folders_trim(const char *jobs, const char *key, uint64_t bytes_max);

#endif
