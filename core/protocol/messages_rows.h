/* Private to core/protocol: how the tables of messages are written. A row: field, whether it must
 * be there, range or length, and what it says, for who reads the description of the API. */
#ifndef TACIT_PROTOCOL_MESSAGES_ROWS_H
#define TACIT_PROTOCOL_MESSAGES_ROWS_H

#include <stddef.h>
#include "core/protocol/messages.h"

#define EXPERTS_MAX 1024
#define OUTPUTS_MAX (EXPERTS_MAX + 8) /* a segment job's pieces */
#define LABELS_MAX 64                 /* shard.h */
#define MODELS_MAX (2 * EXPERTS_MAX + 2)
#define ROUNDS_MAX 4096
#define CURVE_MAX 65536
#define BAD_MAX 65536
#define GC_ROWS_MAX 65536
#define NAME_MAX_BYTES 64
#define SPEC_MAX_BYTES 65536
#define TAGS_MAX 64
#define TAGS_MAX_BYTES 512 /* "gpu=no,site=lab" of a spec */

#define MUST true
#define MAY false

#define U64(m, f, must, lo, hi, ...)                                                               \
    {                                                                                              \
        .name = #f, .type = FIELD_U64, .required = must, .offset = offsetof(struct msg_##m, f),    \
        .min = lo, .max = hi, .about = "" __VA_ARGS__                                              \
    }
#define NUMBER(m, f, must, ...)                                                                    \
    {                                                                                              \
        .name = #f, .type = FIELD_DOUBLE, .required = must, .offset = offsetof(struct msg_##m, f), \
        .about = "" __VA_ARGS__                                                                    \
    }
#define BOOL(m, f, must, ...)                                                                      \
    {                                                                                              \
        .name = #f, .type = FIELD_BOOL, .required = must, .offset = offsetof(struct msg_##m, f),   \
        .about = "" __VA_ARGS__                                                                    \
    }
#define STRING(m, f, must, most, ...)                                                              \
    {                                                                                              \
        .name = #f, .type = FIELD_STRING, .required = must, .offset = offsetof(struct msg_##m, f), \
        .length_max = most, .about = "" __VA_ARGS__                                                \
    }
#define WORD(m, f, must, list, ...)                                                                \
    {                                                                                              \
        .name = #f, .type = FIELD_WORD, .required = must, .offset = offsetof(struct msg_##m, f),   \
        .words = list, .about = "" __VA_ARGS__                                                     \
    }
#define DIGEST(m, f, must, ...)                                                                    \
    {                                                                                              \
        .name = #f, .type = FIELD_DIGEST, .required = must, .offset = offsetof(struct msg_##m, f), \
        .about = "" __VA_ARGS__                                                                    \
    }
#define OBJECT(m, f, must, inner, ...)                                                             \
    {                                                                                              \
        .name = #f, .type = FIELD_OBJECT, .required = must, .offset = offsetof(struct msg_##m, f), \
        .of = &message_##inner, .about = "" __VA_ARGS__                                            \
    }
#define OBJECT_OR_NULL(m, f, inner, ...)                                                           \
    {                                                                                              \
        .name = #f, .type = FIELD_OBJECT, .offset = offsetof(struct msg_##m, f),                   \
        .of = &message_##inner, .absent_null = true, .about = "" __VA_ARGS__                       \
    }
#define ARRAY_AS(m, as, f, count, must, inner, most, ...)                                          \
    {                                                                                              \
        .name = as, .type = FIELD_ARRAY, .required = must, .offset = offsetof(struct msg_##m, f),  \
        .count_offset = offsetof(struct msg_##m, count), .of = &message_##inner,                   \
        .length_max = most, .about = "" __VA_ARGS__                                                \
    }
#define ARRAY(m, f, count, must, inner, most, ...)                                                 \
    ARRAY_AS(m, #f, f, count, must, inner, most, "" __VA_ARGS__)
#define DOUBLES(m, f, count, most, ...)                                                            \
    {                                                                                              \
        .name = #f, .type = FIELD_DOUBLES, .offset = offsetof(struct msg_##m, f),                  \
        .count_offset = offsetof(struct msg_##m, count), .length_max = most,                       \
        .about = "" __VA_ARGS__                                                                    \
    }

#define MESSAGE(m)                                                                                 \
    const struct message message_##m = {                                                           \
        .name = #m,                                                                                \
        .size = sizeof(struct msg_##m),                                                            \
        .fields = m##_fields,                                                                      \
        .field_count = sizeof m##_fields / sizeof m##_fields[0],                                   \
    }

#endif
