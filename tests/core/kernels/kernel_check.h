/* What the tests of kernels share: random arrays, and a context for each instruction set of this
 * machine and for 1, 2 and 3 threads, to be compared byte for byte with the definition. */
#ifndef TACIT_TESTS_KERNEL_CHECK_H
#define TACIT_TESTS_KERNEL_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/pool.h"
#include "core/base/rng.h"
#include "core/kernels/kernels.h"

#define CHECK_SETS 12

struct check {
    struct pool *pools[3];
    struct kern *definition;
    struct kern *sets[CHECK_SETS];
    char names[CHECK_SETS][32];
    size_t count;
};

static uint64_t check_stream;

static inline float check_uniform(void)
{
    return rng_uniform(7, RNG_TEST, 0, check_stream++);
}

/* Mostly around 1; one in eight has a wide exponent, so that rounding is felt. */
static inline float check_number(void)
{
    float x = 2.0f * check_uniform() - 1.0f;
    return check_uniform() < 0.125f ? ldexpf(x, (int)(24.0f * check_uniform()) - 12) : x;
}

static inline float *check_array(size_t n)
{
    float *x = malloc((n ? n : 1) * sizeof *x); /* exactly n: sanitizers see a step beyond */
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = check_number();
    return x;
}

static inline float *check_copy(const float *x, size_t n)
{
    float *y = malloc((n ? n : 1) * sizeof *y);
    assert_non_null(y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static inline void check_same(const float *want, const float *got, size_t n, const char *what,
                              const char *set)
{
    if (memcmp(want, got, n * sizeof *want) == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(want + i, got + i, sizeof *want) != 0)
            fail_msg("%s, %s: element %zu of %zu is %a, the definition has %a", what, set, i, n,
                     (double)got[i], (double)want[i]);
    }
}

static inline int check_setup_as(void **state, enum kern_arithmetic arithmetic)
{
    static const char *const isas[] = {"plain", "avx2", "avx512", "avx512bf16", "neon"};
    struct check *c = calloc(1, sizeof *c);
    struct kern_options o = {.arithmetic = arithmetic, .seq = 128, .head = 64};
    struct err e = {0};

    for (int t = 0; t < 3; t++)
        assert_non_null(c->pools[t] = pool_create(t + 1, &e));
    o.isa = "definition";
    assert_int_equal(kern_create(&c->definition, c->pools[0], &o, &e), 0);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        o.isa = isas[i];
        for (int t = 0; t < 3; t++) {
            struct kern *k;
            if (kern_create(&k, c->pools[t], &o, &e) != 0)
                continue;
            snprintf(c->names[c->count], sizeof *c->names, "%s, %d threads", isas[i], t + 1);
            c->sets[c->count++] = k;
        }
    }
    *state = c;
    return 0;
}

static inline int check_setup(void **state)
{
    return check_setup_as(state, KERN_EXACT);
}

static inline int check_setup_bf16(void **state)
{
    return check_setup_as(state, KERN_BF16);
}

static inline int check_teardown(void **state)
{
    struct check *c = *state;
    kern_destroy(c->definition);
    for (size_t i = 0; i < c->count; i++)
        kern_destroy(c->sets[i]);
    for (int t = 0; t < 3; t++)
        pool_destroy(c->pools[t]);
    free(c);
    return 0;
}

#endif
