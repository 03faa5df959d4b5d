#include "core/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64 /* longer words are nobody's typing mistake */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *s)
{
    while (digit(*s))
        s++;
    return s;
}

bool text_to_i64(const char *s, int64_t *out)
{
    const char *first = s + (*s == '-');

    if (!digit(*first) || *skip_digits(first) != '\0')
        return false;
    errno = 0;
    intmax_t value = strtoimax(s, NULL, 10);
    if (errno != 0)
        return false;
    *out = value;
    return true;
}

bool text_to_u64(const char *s, uint64_t *out)
{
    if (!digit(*s) || *skip_digits(s) != '\0')
        return false;
    errno = 0;
    uintmax_t value = strtoumax(s, NULL, 10);
    if (errno != 0)
        return false;
    *out = value;
    return true;
}

/* -?digits[.digits][(e|E)[+-]digits], digits on one side of the point at least. */
static bool decimal(const char *s)
{
    const char *whole = s + (*s == '-');
    const char *end = skip_digits(whole);
    bool any = end > whole;

    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        any = any || end > fraction;
    }
    if (!any)
        return false;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1;
        exponent += *exponent == '+' || *exponent == '-';
        end = skip_digits(exponent);
        if (end == exponent)
            return false;
    }
    return *end == '\0';
}

bool text_to_double(const char *s, double *out)
{
    if (!decimal(s))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return false;
    double value = strtod_l(s, NULL, c);
    freelocale(c);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
static size_t edit_distance(const char *a, size_t la, const char *b, size_t lb)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= lb; j++)
        last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[lb];
}

const char *text_nearest(const char *s, const char *const *list, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX, len = strlen(s);

    if (len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(list[i]);
        if (other > WORD_MAX)
            continue;
        size_t longer = len > other ? len : other;
        size_t near = longer / 3 > 1 ? longer / 3 : 1;
        size_t distance = edit_distance(s, len, list[i], other);
        /* A distance of the whole length shares nothing. */
        if (distance <= near && distance < longer && distance < best_distance) {
            best = list[i];
            best_distance = distance;
        }
    }
    return best;
}

/* Length of the valid sequence at s (RFC 3629, section 4), 0 where there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    size_t n;

    if (s[0] >= 0x01 && s[0] <= 0x7F)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        n = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        n = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        n = 4;
    else
        return 0;
    if (s[0] == 0xE0)
        low = 0xA0; /* no overlong forms */
    else if (s[0] == 0xED)
        high = 0x9F; /* no surrogates */
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F; /* nothing above U+10FFFF */
    if (len < n || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

bool text_is_utf8(const char *s, size_t len)
{
    const unsigned char *at = (const unsigned char *)s;

    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(at + i, len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Whether the n bytes at s may be a character's first ones. */
static bool utf8_begins(const char *s, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return false;
    return n == 0 || (unsigned char)s[0] >= 0xC2;
}

void text_make_utf8(char *s)
{
    size_t len = strlen(s);

    for (size_t cut = 0; cut < 4 && cut <= len; cut++) {
        if (utf8_begins(s + len - cut, cut) && text_is_utf8(s, len - cut)) {
            s[len - cut] = 0;
            return;
        }
    }
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            *s = '?';
}

bool text_is_name(const char *s)
{
    size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return len >= 1 && len <= 64 && s[len] == '\0' && s[0] != '.' && s[0] != '-';
}

char *text_bytes(uint64_t n, char out[16])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)n / 1000;
    size_t unit = 0;

    if (n < 1000) {
        snprintf(out, 16, "%" PRIu64 " B", n);
        return out;
    }
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 16, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
    return out;
}

char *text_duration(double seconds, char out[24])
{
    if (!(seconds > 0))
        seconds = 0;
    if (seconds > 1e12)
        seconds = 1e12;
    if (seconds < 0.9995) {
        snprintf(out, 24, "%.0f ms", seconds * 1000);
    } else if (seconds < 59.95) {
        snprintf(out, 24, "%.1f s", seconds);
    } else {
        uint64_t whole = (uint64_t)(seconds + 0.5);
        if (whole < 3600)
            snprintf(out, 24, "%" PRIu64 "m %02" PRIu64 "s", whole / 60, whole % 60);
        else
            snprintf(out, 24, "%" PRIu64 "h %02" PRIu64 "m", whole / 3600, whole / 60 % 60);
    }
    return out;
}

char *text_count(uint64_t n, char out[28])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
