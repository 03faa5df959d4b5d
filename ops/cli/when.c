#include "ops/cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS (24 * 3600 * (int64_t)1000)
#define MS_MAX (3650 * DAY_MS) /* ten years: more is a slip */

static int64_t unit_ms(char unit)
{
    switch (unit) {
    case 's':
        return 1000;
    case 'm':
        return 60 * 1000;
    case 'h':
        return 3600 * 1000;
    case 'd':
        return DAY_MS;
    default:
        return 0;
    }
}

static bool duration(const char *text, int64_t *ms)
{
    *ms = 0;
    if (!*text)
        return false;
    while (*text) {
        size_t digits = strspn(text, "0123456789");
        int64_t unit = unit_ms(text[digits]);
        if (digits == 0 || digits > 9 || unit == 0)
            return false;
        *ms += strtoll(text, NULL, 10) * unit;
        if (*ms > MS_MAX)
            return false;
        text += digits + 1;
    }
    return *ms > 0;
}

int when_duration(const char *what, const char *text, int64_t *ms, struct err *e)
{
    if (duration(text, ms))
        return 0;
    return err_set(e, ERR_INVALID,
                   "%s %s: a duration is wanted, such as 90s, 20m, 2h, 7d or 1h30m (ten years at "
                   "most)",
                   what, text);
}

/* The first of the formats that takes all of text. */
static bool broken_down(const char *text, struct tm *tm, bool *utc)
{
    static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
                                          "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        *tm = (struct tm){.tm_isdst = -1};
        const char *end = strptime(text, formats[i], tm);
        *utc = end && strcmp(end, "Z") == 0;
        if (end && (*end == 0 || *utc))
            return true;
    }
    return false;
}

/* The next time that a clock on the wall shows this. */
static bool next_of_day(const char *text, int64_t now_ms, int64_t *at_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    int hour, minute, end = 0;
    if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || text[end] != 0 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || !localtime_r(&now, &tm))
        return false;
    tm.tm_hour = hour;
    tm.tm_min = minute;
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    *at_ms = (int64_t)mktime(&tm) * 1000;
    if (*at_ms <= now_ms) {
        tm.tm_mday++;
        tm.tm_isdst = -1;
        *at_ms = (int64_t)mktime(&tm) * 1000;
    }
    return true;
}

int when_time(const char *what, const char *text, int64_t now_ms, int64_t *at_ms, struct err *e)
{
    int64_t ms;
    struct tm tm;
    bool utc;
    if (duration(text, &ms)) {
        *at_ms = now_ms + ms;
        return 0;
    }
    if (next_of_day(text, now_ms, at_ms))
        return 0;
    if (broken_down(text, &tm, &utc)) {
        *at_ms = (int64_t)(utc ? timegm(&tm) : mktime(&tm)) * 1000;
        return 0;
    }
    return err_set(
        e, ERR_INVALID,
        "%s %s: a duration (90s, 20m, 2h, 7d) or a time (18:30, \"2026-03-01 18:30\") is "
        "wanted",
        what, text);
}
