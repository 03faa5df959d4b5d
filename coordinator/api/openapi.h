/* The description of the API, OpenAPI 3.1, made from the table of routes and the tables of
 * messages: what it says is what decodes, checks and encodes. */
#ifndef TACIT_COORDINATOR_API_OPENAPI_H
#define TACIT_COORDINATOR_API_OPENAPI_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "coordinator/service.h"

#define OPENAPI_BYTES_MAX (4u << 20)

/* Appends the document, JSON in lines. */
TACIT_MUST_CHECK int openapi_write(struct buf *out, struct err *e);
call_fn openapi_show; /* → raw */

#endif
