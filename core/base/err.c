#include "core/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* The text may quote e's own old message, so it is built aside first. */
static int err_fill(struct err *e, int code, const char *origin, const char *message)
{
    if (e == NULL)
        return code;
    e->code = code;
    e->origin = origin;
    snprintf(e->message, sizeof e->message, "%s", message);
    return code;
}

int err__set(struct err *e, int code, const char *origin, const char *fmt, ...)
{
    char message[sizeof e->message];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return err_fill(e, code, origin, message);
}

static int code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EFBIG:
        return ERR_TOO_LARGE;
    default:
        return ERR_IO;
    }
}

int err__set_errno(struct err *e, const char *origin, const char *fmt, ...)
{
    int number = errno;
    char message[sizeof e->message], system[128];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (len >= 0 && (size_t)len < sizeof message)
        snprintf(message + len, sizeof message - (size_t)len, ": %s",
                 strerror_r(number, system, sizeof system));
    return err_fill(e, code_of_errno(number), origin, message);
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char message[2 * sizeof e->message];
    va_list ap;

    if (e == NULL)
        return ERR_INTERNAL;
    va_start(ap, fmt);
    int len = vsnprintf(message, sizeof e->message, fmt, ap);
    va_end(ap);
    if (len < 0)
        len = 0;
    if ((size_t)len >= sizeof e->message)
        len = sizeof e->message - 1;
    snprintf(message + len, sizeof message - (size_t)len, ": %s", e->message);
    message[sizeof e->message - 1] = '\0';
    memcpy(e->message, message, sizeof e->message);
    return e->code;
}

const char *err_name(int code)
{
    switch (code) {
    case ERR_OK:
        return "ERR_OK";
#define ERR_NAME_(name, number, text)                                                              \
    case name:                                                                                     \
        return #name;
        ERR_LIST(ERR_NAME_)
#undef ERR_NAME_
    default:
        return "ERR_UNKNOWN";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case ERR_OK:
        return "success";
#define ERR_TEXT_(name, number, text)                                                              \
    case name:                                                                                     \
        return text;
        ERR_LIST(ERR_TEXT_)
#undef ERR_TEXT_
    default:
        return "unknown error";
    }
}

bool err_is_passing(int code)
{
    switch (code) {
    case ERR_NO_MEMORY:
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return true;
    default:
        return false;
    }
}

int err_exit_code(int code)
{
    switch (code) {
    case ERR_OK:
        return EX_OK;
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_EXISTS:
    case ERR_CONFLICT:
        return EX_USAGE;
    case ERR_FORMAT:
    case ERR_DIGEST:
    case ERR_TOO_LARGE:
    case ERR_NOT_FINITE:
        return EX_DATAERR;
    case ERR_NOT_FOUND:
        return EX_NOINPUT;
    case ERR_DENIED:
    case ERR_BENCHED:
    case ERR_DRAINED:
        return EX_NOPERM;
    case ERR_NO_MEMORY:
        return EX_OSERR;
    case ERR_IO:
    case ERR_NO_SPACE:
        return EX_IOERR;
    case ERR_UNAVAILABLE:
        return EX_UNAVAILABLE;
    case ERR_FENCED:
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_STOPPED:
        return EX_TEMPFAIL;
    case ERR_PROTOCOL:
    case ERR_VERSION:
        return EX_PROTOCOL;
    case ERR_CONFIG:
        return EX_CONFIG;
    default:
        return EX_SOFTWARE;
    }
}
