#include "ops/cli/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Units of the picture, which is scaled to the page's width. */
#define WIDTH 720
#define HEIGHT 320
#define LEFT 62
#define RIGHT 14
#define TOP 12
#define BOTTOM 44
#define TICKS_WANTED 6
#define TICKS_MAX 16
#define BAR_HEIGHT 22
#define BAR_NAMES 150 /* room for names, left */
#define BAR_VALUES 70 /* room for values, at both ends of the bars */

int chart_escape(struct buf *out, const char *text, struct err *e)
{
    int rc = 0;
    while (!rc && *text) {
        size_t plain = strcspn(text, "&<>\"'");
        rc = buf_append(out, text, plain, e);
        text += plain;
        const char *as = *text == '&'   ? "&amp;"
                         : *text == '<' ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '"' ? "&quot;"
                                        : "&#39;";
        if (!rc && *text) {
            rc = buf_append(out, as, strlen(as), e);
            text++;
        }
    }
    return rc;
}

/* --- axes ------------------------------------------------------------------------------------- */

struct axis {
    double low, high; /* in what is drawn: logarithms where log */
    bool log;
    int from, to; /* where low and high are in the picture */
    double ticks[TICKS_MAX];
    unsigned tick_count;
};

static double drawn(const struct axis *a, double v)
{
    return a->log ? log10(v) : v;
}

static double place(const struct axis *a, double v)
{
    return a->from + (drawn(a, v) - a->low) / (a->high - a->low) * (a->to - a->from);
}

static bool can_draw(const struct axis *a, double v)
{
    return isfinite(v) && (!a->log || v > 0);
}

/* 1, 2 or 5 times a power of ten. */
static double nice_step(double span)
{
    double raw = span / TICKS_WANTED, power = pow(10, floor(log10(raw))), lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static void add_tick(struct axis *a, double v)
{
    double at = drawn(a, v), slack = 1e-9 * (a->high - a->low);
    if (at >= a->low - slack && at <= a->high + slack && a->tick_count < TICKS_MAX)
        a->ticks[a->tick_count++] = v;
}

/* Within less than a decade, steps of a plain axis read better than 1, 2, 5. */
static void make_ticks(struct axis *a)
{
    double low = a->log ? pow(10, a->low) : a->low, high = a->log ? pow(10, a->high) : a->high;
    if (a->log && a->high - a->low > 1) {
        static const double leads[] = {1, 2, 5};
        for (double p = floor(a->low); p <= a->high; p++)
            for (int i = 0; i < 3; i++)
                add_tick(a, leads[i] * pow(10, p));
        return;
    }
    double step = nice_step(high - low);
    for (double v = ceil(low / step) * step; v <= high + step * 1e-6; v += step)
        add_tick(a, fabs(v) < step * 1e-6 ? 0 : v);
}

static void axis_close(struct axis *a)
{
    if (!(a->high >= a->low))
        a->low = 0, a->high = 1;
    double room = a->high > a->low ? 0.04 * (a->high - a->low) : fabs(a->high) * 0.1 + 0.5;
    if (a->low != 0) /* nothing is where an axis begins */
        a->low -= room;
    a->high += room;
    make_ticks(a);
}

static void axis_take(struct axis *a, double v)
{
    if (!can_draw(a, v))
        return;
    v = drawn(a, v);
    a->low = v < a->low ? v : a->low;
    a->high = v > a->high ? v : a->high;
}

/* "1,200" would be read as a fraction in half of the world: 1.2 k. */
static const char *tick_words(double v, char out[32])
{
    static const struct {
        double unit;
        const char *name;
    } units[] = {{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (fabs(v) >= units[i].unit * 0.9995) {
            snprintf(out, 32, "%.4g%s", v / units[i].unit, units[i].name);
            return out;
        }
    snprintf(out, 32, "%.4g", v);
    return out;
}

static int begin(struct buf *out, int height, const char *title, const char *about, struct err *e)
{
    int rc = buf_printf(out, e, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH, height);
    if (!rc)
        rc = chart_escape(out, title, e);
    if (!rc)
        rc = buf_printf(out, e, "</title><desc>");
    if (!rc)
        rc = chart_escape(out, about, e);
    return rc ? rc : buf_printf(out, e, "</desc>\n");
}

static int text_at(struct buf *out, double x, double y, const char *anchor, const char *more,
                   const char *text, struct err *e)
{
    int rc =
        buf_printf(out, e, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, more);
    if (!rc)
        rc = chart_escape(out, text, e);
    return rc ? rc : buf_printf(out, e, "</text>\n");
}

static int draw_axes(struct buf *out, const struct chart_lines *c, const struct axis *x,
                     const struct axis *y, struct err *e)
{
    char words[32];
    int rc = 0;
    for (unsigned i = 0; !rc && i < y->tick_count; i++) {
        double at = place(y, y->ticks[i]);
        rc =
            buf_printf(out, e, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, at, WIDTH - RIGHT);
        if (!rc)
            rc = text_at(out, LEFT - 6, at + 4, "end", "", tick_words(y->ticks[i], words), e);
    }
    for (unsigned i = 0; !rc && i < x->tick_count; i++) {
        double at = place(x, x->ticks[i]);
        rc = buf_printf(out, e, "<path class=\"axis\" d=\"M%.1f %dv5\"/>", at, HEIGHT - BOTTOM);
        if (!rc)
            rc = text_at(out, at, HEIGHT - BOTTOM + 18, "middle", "",
                         tick_words(x->ticks[i], words), e);
    }
    if (!rc)
        rc = buf_printf(out, e, "<path class=\"axis\" d=\"M%d %dV%dH%d\" fill=\"none\"/>\n", LEFT,
                        TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
    if (!rc)
        rc = text_at(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "middle", " class=\"name\"",
                     c->x_name, e);
    if (rc)
        return rc;
    char turned[64];
    double middle = (TOP + HEIGHT - BOTTOM) / 2.0;
    snprintf(turned, sizeof turned, " class=\"name\" transform=\"rotate(-90 14 %.1f)\"", middle);
    return text_at(out, 14, middle, "middle", turned, c->y_name, e);
}

static int draw_line(struct buf *out, const struct chart_line *l, const struct axis *x,
                     const struct axis *y, struct err *e)
{
    int rc =
        buf_printf(out, e, "<path class=\"line c%u%s\" d=\"", l->color, l->thin ? " thin" : "");
    bool pen = false;
    for (uint32_t i = 0; !rc && i < l->count; i++) {
        bool there = can_draw(x, l->x[i]) && can_draw(y, l->y[i]);
        if (there)
            rc = buf_printf(out, e, "%c%.1f %.1f", pen ? 'L' : 'M', place(x, l->x[i]),
                            place(y, l->y[i]));
        pen = there;
    }
    return rc ? rc : buf_printf(out, e, "\"/>\n");
}

static int draw_legend(struct buf *out, const struct chart_lines *c, struct err *e)
{
    int rc = buf_printf(out, e, "<p class=\"legend\">");
    for (uint32_t i = 0; !rc && i < c->count; i++) {
        if (!c->lines[i].name)
            continue;
        rc = buf_printf(out, e, "<span class=\"key k%u\"></span>", c->lines[i].color);
        if (!rc)
            rc = chart_escape(out, c->lines[i].name, e);
        if (!rc)
            rc = buf_printf(out, e, " ");
    }
    return rc ? rc : buf_printf(out, e, "</p>\n");
}

int chart_lines(struct buf *out, const struct chart_lines *c, struct err *e)
{
    struct axis x = {.low = 0, .high = -INFINITY, .from = LEFT, .to = WIDTH - RIGHT};
    struct axis y = {
        .low = INFINITY, .high = -INFINITY, .log = c->log_y, .from = HEIGHT - BOTTOM, .to = TOP};
    for (uint32_t i = 0; i < c->count; i++)
        for (uint32_t k = 0; k < c->lines[i].count; k++) {
            axis_take(&x, c->lines[i].x[k]);
            axis_take(&y, c->lines[i].y[k]);
        }
    axis_close(&x);
    axis_close(&y);
    int rc = begin(out, HEIGHT, c->title, c->about, e);
    if (!rc)
        rc = draw_axes(out, c, &x, &y, e);
    for (uint32_t i = 0; !rc && i < c->count; i++)
        rc = draw_line(out, &c->lines[i], &x, &y, e);
    if (!rc)
        rc = buf_printf(out, e, "</svg>\n");
    return rc ? rc : draw_legend(out, c, e);
}

/* --- bars ------------------------------------------------------------------------------------- */

static int draw_bar(struct buf *out, const struct chart_bars *c, uint32_t i, const struct axis *x,
                    struct err *e)
{
    const struct chart_bar *b = &c->bars[i];
    double y = TOP + i * BAR_HEIGHT, text = y + BAR_HEIGHT * 0.65, zero = place(x, 0);
    int rc = text_at(out, BAR_NAMES - 8, text, "end", "", b->name, e);
    if (rc || !isfinite(b->value))
        return rc;
    double end = place(x, b->value), low = end < zero ? end : zero;
    bool good = c->low_is_good ? b->value <= 0 : b->value >= 0;
    rc = buf_printf(out, e,
                    "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>",
                    good ? "gain" : "loss", low, y + 3, fabs(end - zero), BAR_HEIGHT - 6);
    bool left = b->value < 0;
    return rc ? rc
              : text_at(out, left ? end - 5 : end + 5, text, left ? "end" : "start", "",
                        b->value_words, e);
}

int chart_bars(struct buf *out, const struct chart_bars *c, struct err *e)
{
    struct axis x = {.from = BAR_NAMES + BAR_VALUES, .to = WIDTH - BAR_VALUES};
    int height = (int)(2 * TOP + c->count * BAR_HEIGHT);
    for (uint32_t i = 0; i < c->count; i++)
        axis_take(&x, c->bars[i].value);
    if (x.high <= x.low)
        x.high = x.low + 1;
    int rc = begin(out, height, c->title, c->about, e);
    if (!rc)
        rc = buf_printf(out, e, "<path class=\"axis\" d=\"M%.1f %dV%d\"/>\n", place(&x, 0), TOP,
                        height - TOP);
    for (uint32_t i = 0; !rc && i < c->count; i++)
        rc = draw_bar(out, c, i, &x, e);
    return rc ? rc : buf_printf(out, e, "</svg>\n");
}
