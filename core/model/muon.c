/* Muon's step of one matrix; optimizer.h has the formulas. */
#include "core/model/engine_parts.h"

#include <math.h>

#define MOMENTUM 0.95f
#define NORM_EPSILON 1e-7
#define UPDATE_SIZE 0.2

/* Newton–Schulz's polynomial: as steep at zero as it can be while values near one stay there. */
#define NS_A 3.4445f
#define NS_B (-4.7750f)
#define NS_C 2.0315f

/* y ← a·x + (b·A + c·A·A) x, or from the right where the columns are the smaller side. */
static void round_of(struct engine *g, float *y, const float *x, size_t rows, size_t columns)
{
    struct kern *k = g->kern;
    float *square = g->muon_square, *poly = g->muon_poly;
    const size_t n = rows < columns ? rows : columns;

    if (rows <= columns)
        kern_matmul(k, n, n, columns, x, columns, 1, x, 1, columns, square, n, false);
    else
        kern_matmul(k, n, n, rows, x, 1, columns, x, columns, 1, square, n, false);
    kern_matmul(k, n, n, n, square, n, 1, square, n, 1, poly, n, false);
    kern_mix(k, poly, NS_C, poly, NS_B, square, n * n);
    kern_scale(k, y, x, NS_A, rows * columns);
    if (rows <= columns)
        kern_matmul(k, rows, columns, n, poly, n, 1, x, columns, 1, y, columns, true);
    else
        kern_matmul(k, rows, columns, n, x, columns, 1, poly, n, 1, y, columns, true);
}

void engine__muon(struct engine *g, float *p, float *moment, float *gradient, size_t rows,
                  size_t columns, const struct engine_step *o, float grad_scale)
{
    const size_t n = rows * columns, longer = rows > columns ? rows : columns;
    const double rate = o->learning_rate * UPDATE_SIZE * sqrt((double)longer);
    float *x = gradient, *y = g->muon_turned;
    struct kern *k = g->kern;

    kern_mix(k, moment, grad_scale, gradient, MOMENTUM, moment, n);
    kern_mix(k, x, MOMENTUM, moment, grad_scale, gradient, n);
    const double norm = sqrt(kern_sum_squares(k, x, n));
    kern_scale(k, x, x, (float)(1.0 / (norm + NORM_EPSILON)), n);
    for (int i = 0; i < OPTIMIZER_ROUNDS; i++) {
        round_of(g, y, x, rows, columns);
        float *last = x;
        x = y;
        y = last;
    }
    kern_mix(k, p, (float)-rate, x, (float)(1.0 - o->learning_rate * o->weight_decay), p, n);
}
