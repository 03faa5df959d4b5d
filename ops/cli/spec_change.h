/* Changes of a spec, "section.key=value". */
#ifndef TACIT_OPS_CLI_SPEC_CHANGE_H
#define TACIT_OPS_CLI_SPEC_CHANGE_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define SPEC_CHANGES_MAX 64
/* Writes the spec (canonical text) with the changes to out. Values that only follow from others (a
 * dense batch of all experts', a feed-forward width of four times hidden, saves at the default
 * interval) are left to follow from the new ones, unless they are changed. ERR_INVALID names a
 * change that is none; whether keys and values are good is for spec_parse. */
TACIT_MUST_CHECK int spec_change(const char *text, const char *const *changes, size_t count,
                                 struct buf *out, struct err *e);

#endif
