/* JSON Schema (2020-12) of messages, made from the tables that encode and decode them. */
#ifndef TACIT_PROTOCOL_SCHEMA_H
#define TACIT_PROTOCOL_SCHEMA_H

#include <jansson.h>
#include "core/base/err.h"
#include "core/protocol/field.h"

/* What a reader accepts, or what a writer gives: numbers, booleans and arrays always stand in what
 * is written. */
enum schema_way { SCHEMA_READ, SCHEMA_WRITTEN };

#define SCHEMA_NAME_MAX 64

/* "ModelProgress" of what is written, "RunCreateInput" of what is read. */
const char *schema_name(const struct message *m, enum schema_way way, char out[SCHEMA_NAME_MAX]);
/* {"$ref": "#/components/schemas/NAME"}; NULL without memory. */
json_t *schema_ref(const struct message *m, enum schema_way way);
/* Adds the message, and those within it, to the object of schemas, unless they are there. */
TACIT_MUST_CHECK int schema_add(json_t *schemas, const struct message *m, enum schema_way way,
                                struct err *e);

#endif
