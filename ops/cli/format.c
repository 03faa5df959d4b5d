#include "ops/cli/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"

#define NOTHING "–"
#define YEAR (365.25 * 86400)

static const char *or_nothing(const char *s)
{
    return s ? s : NOTHING;
}

size_t format_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80; /* continuation bytes take no column */
    return n;
}

const char *format_cut(struct arena *a, const char *s, size_t columns)
{
    if (format_width(s) <= columns || columns == 0)
        return s;
    size_t seen = 0, i = 0;
    for (; s[i]; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80 && seen++ == columns - 1)
            break;
    return or_nothing(arena_printf(a, "%.*s…", (int)i, s));
}

const char *format_plain(struct arena *a, const char *s)
{
    size_t len = strlen(s), i = 0;
    while (i < len && (unsigned char)s[i] >= ' ' && s[i] != 0x7F)
        i++;
    if (i == len)
        return s;
    char *out = arena_strndup(a, s, len);
    for (; out && i < len; i++)
        if ((unsigned char)out[i] < ' ' || out[i] == 0x7F)
            out[i] = ' ';
    return or_nothing(out);
}

const char *format_count(struct arena *a, uint64_t n)
{
    char out[28];
    return or_nothing(arena_printf(a, "%s", text_count(n, out)));
}

const char *format_bytes(struct arena *a, double bytes)
{
    char out[16];
    if (!(bytes >= 0))
        return NOTHING;
    if (bytes >= 1e18)
        return or_nothing(arena_printf(a, "%.3g EB", bytes / 1e18));
    return or_nothing(arena_printf(a, "%s", text_bytes((uint64_t)bytes, out)));
}

static const char *by_thousands(struct arena *a, double x, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E", "Z", "Y"};
    size_t p = 0;
    if (!isfinite(x))
        return NOTHING;
    while (fabs(x) >= 999.5 && p + 1 < sizeof prefixes / sizeof prefixes[0]) {
        x /= 1000;
        p++;
    }
    int digits = fabs(x) >= 99.95 || (p == 0 && x == floor(x)) ? 0 : fabs(x) >= 9.995 ? 1 : 2;
    const char *space = *prefixes[p] || *unit ? " " : "";
    return or_nothing(arena_printf(a, "%.*f%s%s%s", digits, x, space, prefixes[p], unit));
}

const char *format_si(struct arena *a, double x)
{
    return by_thousands(a, x, "");
}

const char *format_flops(struct arena *a, double flops)
{
    return by_thousands(a, flops, "FLOP");
}

const char *format_number(struct arena *a, double x, int digits)
{
    return isnan(x) ? NOTHING : or_nothing(arena_printf(a, "%.*f", digits, x));
}

const char *format_percent(struct arena *a, double share)
{
    if (isnan(share))
        return NOTHING;
    double percent = 100 * share;
    int digits = fabs(percent) >= 0.095 || percent == 0 ? 1 : 3;
    return or_nothing(arena_printf(a, "%.*f %%", digits, percent));
}

const char *format_gap(struct arena *a, double x, double base)
{
    if (isnan(x) || isnan(base) || base == 0)
        return NOTHING;
    return or_nothing(arena_printf(a, "%+.1f %%", 100 * (x - base) / base));
}

const char *format_duration(struct arena *a, double seconds)
{
    char out[24];
    if (!(seconds >= 0) || !isfinite(seconds))
        return NOTHING;
    if (seconds >= 2 * YEAR)
        return or_nothing(arena_printf(a, "%s years", format_count(a, (uint64_t)(seconds / YEAR))));
    if (seconds >= 48 * 3600.0)
        return or_nothing(arena_printf(a, "%.1f days", seconds / 86400));
    return or_nothing(arena_printf(a, "%s", text_duration(seconds, out)));
}

char *format_left(double seconds, char out[24])
{
    out[0] = 0;
    if (seconds >= 59.5) /* not NaN */
        return text_duration(seconds < 60 ? 60 : seconds, out);
    if (seconds >= 1)
        snprintf(out, 24, "%.0f s", seconds);
    return out;
}

const char *format_range(struct arena *a, double least_s, double most_s)
{
    static const struct {
        double most_s, unit_s;
        const char *unit;
    } units[] = {
        {120, 1, "s"}, {120 * 60, 60, "min"}, {48 * 3600, 3600, "h"}, {1e300, 86400, "days"}};
    char least[32], most[32];
    size_t u = 0;
    if (!(least_s >= 0) || !(most_s > 0) || !isfinite(most_s))
        return NOTHING;
    while (most_s >= units[u].most_s)
        u++;
    double x = least_s / units[u].unit_s, y = most_s / units[u].unit_s;
    int digits = u >= 2 && y < 9.95 ? 1 : 0; /* seconds and minutes are whole */
    snprintf(least, sizeof least, "%.*f", digits, x);
    snprintf(most, sizeof most, "%.*f", digits, y < 1 && !digits ? 1 : y);
    if (strcmp(least, most) == 0)
        return or_nothing(arena_printf(a, "%s %s", most, units[u].unit));
    return or_nothing(arena_printf(a, "%s–%s %s", least, most, units[u].unit));
}

const char *format_ago(struct arena *a, uint64_t at_ms, int64_t now_ms)
{
    if (at_ms == 0)
        return NOTHING;
    double seconds = (double)(now_ms - (int64_t)at_ms) / 1000;
    if (seconds < 1) /* clocks of two machines differ */
        return "now";
    if (seconds < 60)
        return or_nothing(arena_printf(a, "%.0f s ago", floor(seconds)));
    return or_nothing(arena_printf(a, "%s ago", format_duration(a, floor(seconds))));
}

const char *format_part(struct arena *a, uint64_t done, uint64_t total)
{
    char x[28], y[28];
    return or_nothing(arena_printf(a, "%s/%s", text_count(done, x), text_count(total, y)));
}
