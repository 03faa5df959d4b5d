/* What the kernel's control groups allow this process, versions 1 and 2. Private to core/env; the
 * two paths are arguments so that tests can lay out a tree. */
#ifndef TACIT_ENV_CGROUP_H
#define TACIT_ENV_CGROUP_H

#include <stdint.h>

#define CGROUP_SELF "/proc/self/cgroup"
#define CGROUP_ROOT "/sys/fs/cgroup"

/* Processors by quota, rounded up; 0 where there is no limit. */
int cgroup__cpus(const char *self, const char *root);
/* Bytes; UINT64_MAX where there is no limit. */
uint64_t cgroup__memory(const char *self, const char *root);

#endif
