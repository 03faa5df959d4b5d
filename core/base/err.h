/* Errors: every function that can fail returns 0 or one of these negative codes, and fills the
 * caller's struct err once, where the failure starts. Names and texts come from one list. */
#ifndef TACIT_BASE_ERR_H
#define TACIT_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Numbers are pinned with gaps: they appear in logs and must not move. */
#define ERR_LIST(X)                                                                                \
    X(ERR_INVALID, -10, "invalid input")                                                           \
    X(ERR_FORMAT, -11, "malformed data")                                                           \
    X(ERR_DIGEST, -12, "digest mismatch")                                                          \
    X(ERR_RANGE, -13, "value out of range")                                                        \
    X(ERR_NOT_FOUND, -20, "not found")                                                             \
    X(ERR_EXISTS, -21, "exists already")                                                           \
    X(ERR_CONFLICT, -22, "conflict")                                                               \
    X(ERR_FENCED, -23, "lease superseded")                                                         \
    X(ERR_DENIED, -24, "not permitted")                                                            \
    X(ERR_TOO_LARGE, -25, "too large")                                                             \
    X(ERR_BENCHED, -26, "benched")                                                                 \
    X(ERR_DRAINED, -27, "drained")                                                                 \
    X(ERR_NO_MEMORY, -30, "out of memory")                                                         \
    X(ERR_IO, -31, "input/output error")                                                           \
    X(ERR_NO_SPACE, -32, "no space left")                                                          \
    X(ERR_BUSY, -33, "busy")                                                                       \
    X(ERR_UNAVAILABLE, -34, "unavailable")                                                         \
    X(ERR_TIMEOUT, -35, "timed out")                                                               \
    X(ERR_PROTOCOL, -36, "protocol error")                                                         \
    X(ERR_VERSION, -37, "version mismatch")                                                        \
    X(ERR_CONFIG, -38, "set up wrongly")                                                           \
    X(ERR_STOPPED, -40, "stopped on request")                                                      \
    X(ERR_NOT_FINITE, -41, "not a finite number")                                                  \
    X(ERR_INTERNAL, -50, "internal error")

enum err_code {
    ERR_OK = 0,
#define ERR_ENUM_(name, number, text) name = number,
    ERR_LIST(ERR_ENUM_)
#undef ERR_ENUM_
};

#define TACIT_MUST_CHECK __attribute__((warn_unused_result))

struct err {
    int code;           /* ERR_OK until filled */
    char message[512];  /* what was wrong, where, and what to do; no trailing newline */
    const char *origin; /* "file.c:line" of the failure, static storage */
};

/* Fills *e (which may be NULL) and returns code, so that `return err_set(e, ERR_…, "…")` reads
 * well. */
#define err_set(e, code, ...) err__set((e), (code), ERR_ORIGIN_, __VA_ARGS__)
/* The same with ": strerror(errno)" appended; ENOSPC and EDQUOT become ERR_NO_SPACE. */
#define err_set_errno(e, ...) err__set_errno((e), ERR_ORIGIN_, __VA_ARGS__)

#define ERR_STR2_(x) #x
#define ERR_STR_(x) ERR_STR2_(x)
#define ERR_ORIGIN_ (__FILE__ ":" ERR_STR_(__LINE__))

int err__set(struct err *e, int code, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int err__set_errno(struct err *e, const char *origin, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of a filled error's message (cut at the end where too long); returns
 * e->code. e may be NULL. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "ERR_INVALID" and "invalid input"; "ERR_UNKNOWN" for a number that is not in the list. */
const char *err_name(int code);
const char *err_text(int code);

/* Whether it is a machine, its disk or the way to it that fails, so that the same may succeed
 * later, rather than what was asked for. */
bool err_is_passing(int code);

/* The sysexits(3) code that a program ends with for this error. */
int err_exit_code(int code);

#endif
