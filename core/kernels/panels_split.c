/* Products with weights in panels (kernels.h, lanes/panels.c), spread over the pool. */
#include "core/kernels/kern_parts.h"

/* Below these a second thread costs more to wake than it saves. */
#define ALONE_MULTIPLY_ADDS 200000

size_t kern_panels_floats(const struct kern *k, size_t in, size_t out)
{
    const size_t panels = (out + k->lanes->panel - 1) / k->lanes->panel;
    const size_t steps = k->bf16 && k->lanes->panel_halves ? (in + 1) / 2 : in;
    return panels * k->lanes->panel * steps;
}

void kern_panels_pack(const struct kern *k, float *panels, const float *W, size_t in, size_t out)
{
    k->lanes->panels_pack(panels, W, in, out, k->bf16);
}

void kern_panels_row(const struct kern *k, float *row, const float *panels, size_t in, size_t n)
{
    const size_t width = k->lanes->panel;
    panels += n / width * width * in + n % width;
    for (size_t i = 0; i < in; i++)
        row[i] = panels[i * width];
}

struct panels_job {
    struct kern *k;
    struct kern_panels p;
};

static void panels_part(void *arg, size_t begin, size_t end)
{
    const struct panels_job *j = arg;
    struct kern_slot *s = kern__slot_take(j->k);
    j->k->lanes->panels(&j->p, begin, end, s->scratch);
    kern__slot_give(s);
}

void kern_panels_linear(struct kern *k, float *Y, const float *X, const float *panels, size_t rows,
                        size_t in, size_t out, bool accumulate)
{
    struct panels_job j = {k, {rows, in, out, X, panels, Y, accumulate, k->bf16}};
    const size_t count = (out + k->lanes->panel - 1) / k->lanes->panel;
    const size_t parts = (size_t)k->threads * 2;

    if (k->threads == 1 || rows * in * out < ALONE_MULTIPLY_ADDS)
        panels_part(&j, 0, count);
    else /* fours: as many as one row meets at once */
        pool_for(k->pool, count, ((count + parts - 1) / parts + 3) / 4 * 4, panels_part, &j);
}
