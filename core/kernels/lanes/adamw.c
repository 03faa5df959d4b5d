/* AdamW and the sum of squares: definition.c in 16 lanes. Bound by memory: 7 floats moved a
 * parameter. */
#include "core/kernels/simd.h"
#include "core/kernels/lanes_table.h"

#include "core/kernels/lanes/lanes.h"

struct adamw_v {
    v16 scale, beta1, rest1, beta2, rest2, unbias1, unbias2, rate, keep, epsilon;
};

INLINE void adamw_one(v16 *p, v16 *m, v16 *v, v16 g, const struct adamw_v *o)
{
    v16 d = v_mul(g, o->scale);
    *m = v_fma(o->beta1, *m, v_mul(o->rest1, d));
    *v = v_fma(o->beta2, *v, v_mul(o->rest2, v_mul(d, d)));
    v16 root = v_add(v_sqrt(v_mul(*v, o->unbias2)), o->epsilon);
    *p = v_fma(o->rate, v_div(v_mul(*m, o->unbias1), root), v_mul(*p, o->keep));
}

void LANES(lanes_adamw)(float *p, float *m, float *v, const float *g, size_t n,
                        const struct kern_adamw_f *f)
{
    struct adamw_v o = {v_set1(f->scale), v_set1(f->beta1),   v_set1(f->rest1),   v_set1(f->beta2),
                        v_set1(f->rest2), v_set1(f->unbias1), v_set1(f->unbias2), v_set1(-f->rate),
                        v_set1(f->keep),  v_set1(f->epsilon)};
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        v16 pv = v_load(p + i), mv = v_load(m + i), vv = v_load(v + i);
        adamw_one(&pv, &mv, &vv, v_load(g + i), &o);
        v_store(p + i, pv);
        v_store(m + i, mv);
        v_store(v + i, vv);
    }
    if (i < n) {
        size_t rest = n - i;
        v16 pv = v_load_n(p + i, rest), mv = v_load_n(m + i, rest), vv = v_load_n(v + i, rest);
        adamw_one(&pv, &mv, &vv, v_load_n(g + i, rest), &o);
        v_store_n(p + i, pv, rest);
        v_store_n(m + i, mv, rest);
        v_store_n(v + i, vv, rest);
    }
}

float LANES(lanes_squares)(const float *x, size_t n)
{
    v16 sum = v_zero();
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        v16 d = v_load(x + i);
        sum = v_fma(d, d, sum);
    }
    if (i < n) {
        v16 d = v_load_n(x + i, n - i);
        sum = v_fma(d, d, sum);
    }
    return v_sum(sum);
}
