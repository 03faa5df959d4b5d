/* Small helpers on text that people type: numbers with checks, and the nearest known word. */
#ifndef TACIT_BASE_TEXT_H
#define TACIT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True where all of s is one decimal number that fits; nothing else is accepted (no spaces, no
 * "inf"/"nan", no hexadecimal). text_to_double reads with the C locale's point. */
bool text_to_i64(const char *s, int64_t *out);
bool text_to_u64(const char *s, uint64_t *out);
bool text_to_double(const char *s, double *out);

/* The word of list[0…count) nearest to s by edit distance, or NULL where none is near enough to
 * suggest (distance more than a third of the longer word, at least 1). Borrowed from list. */
const char *text_nearest(const char *s, const char *const *list, size_t count);

/* True where the len bytes at s are valid UTF-8 without NUL. */
bool text_is_utf8(const char *s, size_t len);

/* Makes s valid UTF-8 in place: a character that was cut at its end goes; where more is wrong, each
 * byte beyond ASCII becomes '?'. */
void text_make_utf8(char *s);

/* A name that people give to runs, data sets and agents: 1–64 of [A-Za-z0-9._-], not starting with
 * '.' or '-'. */
bool text_is_name(const char *s);

/* "1.23 GB", "456 kB": decimal units, three digits. Returns out. */
char *text_bytes(uint64_t n, char out[16]);
/* "1h 02m", "3m 05s", "12.3 s", "45 ms". Returns out. */
char *text_duration(double seconds, char out[24]);
/* "1,234,567". Returns out. */
char *text_count(uint64_t n, char out[28]);

#endif
