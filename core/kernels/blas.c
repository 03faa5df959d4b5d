#include "core/kernels/blas.h"

#include <string.h>

#ifndef KERN_NO_BLAS /* static programs cannot load libraries */
#include <dlfcn.h>

/* cblas.h's numbers. */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

/* The build with threads first, which is the one that several threads may call; told to use one a
 * call, it leaves the dividing to our pool. */
static void *library_open(void)
{
#if defined(__x86_64__)
    void *first = dlopen("/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", RTLD_NOW);
#elif defined(__aarch64__)
    void *first = dlopen("/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0", RTLD_NOW);
#else
    void *first = NULL;
#endif
    return first != NULL ? first : dlopen("libopenblas.so.0", RTLD_NOW);
}

/* ISO C converts no object pointer to a function. */
static bool find(void *library, const char *name, void *function)
{
    void *f = dlsym(library, name);

    memcpy(function, &f, sizeof f);
    return f != NULL;
}

int blas_open(struct blas *b, struct err *e)
{
    void (*set_threads)(int);
    int (*parallel)(void); /* 0 where the build has no threads, and so no locks */

    b->library = library_open();
    if (b->library == NULL)
        return err_set(e, ERR_UNAVAILABLE,
                       "arithmetic = blas needs OpenBLAS: install libopenblas0-pthread, or choose "
                       "arithmetic = exact");
    if (!find(b->library, "cblas_sgemm", &b->sgemm) ||
        !find(b->library, "openblas_set_num_threads", &set_threads) ||
        !find(b->library, "openblas_get_parallel", &parallel)) {
        blas_close(b);
        return err_set(e, ERR_UNAVAILABLE,
                       "libopenblas.so.0 lacks what OpenBLAS has: install libopenblas0-pthread, or "
                       "choose arithmetic = exact");
    }
    set_threads(1);
    b->one_caller = parallel() == 0;
    return 0;
}

void blas_close(struct blas *b)
{
    if (b->library != NULL)
        dlclose(b->library);
    *b = (struct blas){0};
}

static int larger(size_t a, size_t b)
{
    return (int)(a > b ? a : b);
}

void blas_product(const struct blas *b, const struct kern_product *p, size_t m0, size_t m1,
                  size_t n0, size_t n1)
{
    size_t M = m1 - m0, N = n1 - n0;
    bool a_rows = p->a_col == 1 && (p->a_row >= p->K || M == 1);
    bool a_columns = p->a_row == 1 && (p->a_col >= M || p->K == 1);
    bool b_rows = p->b_col == 1 && (p->b_row >= N || p->K == 1);
    bool b_columns = p->b_row == 1 && (p->b_col >= p->K || N == 1);

    /* What no leading dimension describes has no product in BLAS. */
    if (p->K == 0 || !(a_rows || a_columns) || !(b_rows || b_columns)) {
        kern_lanes_definition.product(p, m0, m1, n0, n1, NULL);
        return;
    }
    b->sgemm(ROW_MAJOR, a_rows ? NO_TRANSPOSE : TRANSPOSE, b_rows ? NO_TRANSPOSE : TRANSPOSE,
             (int)M, (int)N, (int)p->K, 1.0f, p->A + m0 * p->a_row,
             a_rows ? larger(p->a_row, p->K) : larger(p->a_col, M), p->B + n0 * p->b_col,
             b_rows ? larger(p->b_row, N) : larger(p->b_col, p->K), p->accumulate ? 1.0f : 0.0f,
             p->C + m0 * p->c_row + n0, larger(p->c_row, N));
}

#else

int blas_open(struct blas *b, struct err *e)
{
    *b = (struct blas){0};
    return err_set(e, ERR_UNAVAILABLE,
                   "arithmetic = blas: this program was built without OpenBLAS");
}

void blas_close(struct blas *b)
{
    *b = (struct blas){0};
}

void blas_product(const struct blas *b, const struct kern_product *p, size_t m0, size_t m1,
                  size_t n0, size_t n1)
{
    (void)b;
    kern_lanes_definition.product(p, m0, m1, n0, n1, NULL);
}

#endif
