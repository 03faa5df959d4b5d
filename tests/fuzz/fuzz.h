/* What the fuzz targets share. A target reads one input as some reader of the project would, and
 * holds the reader to its promise: nothing outside of memory, and what is accepted means the same
 * once written out and read again. libFuzzer calls LLVMFuzzerTestOneInput again and again; its
 * seeds are the files of tests/fuzz/corpus/TARGET. */
#ifndef TACIT_TESTS_FUZZ_FUZZ_H
#define TACIT_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A broken promise: libFuzzer keeps the input. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define FUZZ_OK(call, e)                                                                           \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, (e)->message);           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* An error says what is wrong. */
static inline void fuzz_refused(int rc, const struct err *e)
{
    FUZZ_CHECK(rc < 0 && e->code == rc && e->message[0] != 0);
}

/* The bytes as a string of their own: what lies beyond its end is found. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *s = malloc(size + 1);
    FUZZ_CHECK(s);
    if (size > 0)
        memcpy(s, data, size);
    s[size] = 0;
    return s;
}

/* Takes the first line off: up to '\n', which is left out; everything where there is none. */
static inline char *fuzz_line(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size > 0 ? memchr(*data, '\n', *size) : NULL;
    size_t len = end ? (size_t)(end - *data) : *size;
    char *line = fuzz_text(*data, len);
    len += end != NULL;
    *data += len;
    *size -= len;
    return line;
}

#endif
