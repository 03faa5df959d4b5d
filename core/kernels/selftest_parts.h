/* Private to core/kernels and its tests: the self-test of one table of kernels. */
#ifndef TACIT_KERNELS_SELFTEST_PARTS_H
#define TACIT_KERNELS_SELFTEST_PARTS_H

#include "core/kernels/lanes_table.h"
#include "core/kernels/selftest.h"

/* NULL where all kernels give the definition's bytes; else what does not, static storage. */
const char *selftest__failure(const struct kern_lanes *lanes);
/* Tests n sets, best first, and chooses: selftest_run on any tables. wanted: index, n for the
 * definition. */
void selftest__choose(const struct kern_lanes *const *sets, size_t n, size_t wanted,
                      struct selftest *out);

#endif
