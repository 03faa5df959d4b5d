/* A spec that the user names: read, and checked as far as that goes without a coordinator. */
#ifndef TACIT_OPS_CLI_SPEC_FILE_H
#define TACIT_OPS_CLI_SPEC_FILE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/protocol/spec.h"

/* path "-": standard input. text is initialised here; free with buf_free. */
TACIT_MUST_CHECK int spec_file_read(const char *path, struct buf *text, struct run_spec *spec,
                                    struct err *e);

#endif
