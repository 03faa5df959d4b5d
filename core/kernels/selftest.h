/* Whether this machine's kernels are what the definition says: a processor, hypervisor or compiler
 * that computes otherwise must not train. A few milliseconds a set. */
#ifndef TACIT_KERNELS_SELFTEST_H
#define TACIT_KERNELS_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include "core/base/err.h"

#define SELFTEST_SETS_MAX 6

struct selftest_set {
    const char *isa; /* "avx512", …; static storage */
    bool pairs;      /* multiplies pairs of bfloat16 at once */
    bool works;
    char failed[96]; /* the first kernel with other bytes than the definition's; "" where works */
};

struct selftest {
    struct selftest_set sets[SELFTEST_SETS_MAX]; /* of this machine, best first */
    size_t count;
    const char *wanted; /* what TACIT_ISA names; else the best */
    const char *isa; /* what may be used: wanted if it works, else the next that does; "definition"
                        where none does: right, and very slow */
};

/* Runs every kernel of every set, in float32 and bf16, on small shapes. ERR_INVALID where TACIT_ISA
 * names no set of this machine. */
TACIT_MUST_CHECK int selftest_run(struct selftest *out, struct err *e);

#endif
