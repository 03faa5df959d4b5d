/* Figures as people read them. All strings are in the arena; "–" where there is nothing to show or
 * no memory. */
#ifndef TACIT_OPS_CLI_FORMAT_H
#define TACIT_OPS_CLI_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"

/* Columns that UTF-8 text takes: characters, not bytes. */
size_t format_width(const char *s);
/* At most `columns` characters of s, the last one "…" where it was cut. */
const char *format_cut(struct arena *a, const char *s, size_t columns);

/* s with control characters as blanks: what agents call themselves and say must not steer a
 * terminal or break a line. */
const char *format_plain(struct arena *a, const char *s);

const char *format_count(struct arena *a, uint64_t n);
const char *format_bytes(struct arena *a, double bytes);
/* "1.23 T", by thousands: of parameters, tokens; "1.23 TFLOP". */
const char *format_si(struct arena *a, double x);
const char *format_flops(struct arena *a, double flops);
/* digits after the point; NaN is "–". */
const char *format_number(struct arena *a, double x, int digits);
/* A share as percent: 0.1234 → "12.3 %". */
const char *format_percent(struct arena *a, double share);
/* (x − base)/base as percent with its sign: how far x lies above base. */
const char *format_gap(struct arena *a, double x, double base);
const char *format_duration(struct arena *a, double seconds);
/* Time left, an estimate: "7 s", "3m 05s"; "" below one second or where it is not known. */
char *format_left(double seconds, char out[24]);
/* A range of time left: "12–15 min", "3.5 h" where both are the same; NaN: "–". */
const char *format_range(struct arena *a, double least_s, double most_s);
/* "3m 05s ago", of milliseconds since 1970; 0: "–". */
const char *format_ago(struct arena *a, uint64_t at_ms, int64_t now_ms);
/* "step 1,200 of 4,000" without the words: "1,200/4,000". */
const char *format_part(struct arena *a, uint64_t done, uint64_t total);

#endif
