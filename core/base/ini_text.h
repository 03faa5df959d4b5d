/* Files of "[section]" and "key = value" lines, read by libinih; what is wrong is named with file
 * and line. Comments stand on lines of their own, behind '#' or ';'. */
#ifndef TACIT_BASE_INI_TEXT_H
#define TACIT_BASE_INI_TEXT_H

#include <stddef.h>
#include "core/base/err.h"

/* One setting; section is "" before the first. Non-zero ends the reading: an error that is filled.
 */
typedef int ini_text_fn(void *arg, const char *section, const char *name, const char *value,
                        int line, struct err *e);

/* file: for messages. Returns fn's error as it is, or ERR_INVALID "FILE:LINE: …" for a line that is
 * neither of the two or too long. */
TACIT_MUST_CHECK int ini_text_read(const char *text, size_t len, const char *file, ini_text_fn *fn,
                                   void *arg, struct err *e);

#endif
