/* A join file: all that a program needs to reach a coordinator and to know that it is the right
 * one.
 *
 *     # comment
 *     url: https://train.example.org:8420
 *     token: …                               a secret: the file is for its owner's eyes
 *     -----BEGIN CERTIFICATE-----            the authorities to trust, and no others; may be
 * missing
 *
 * Libraries of TLS skip what stands around certificates, so the file itself serves as their file of
 * authorities. */
#ifndef TACIT_CLIENT_JOIN_FILE_H
#define TACIT_CLIENT_JOIN_FILE_H

#include <stdbool.h>
#include "core/base/err.h"
#include "core/protocol/messages.h"

#define JOIN_URL_MAX 512
#define JOIN_FILE_MAX (64u << 10)

struct join_file {
    char url[JOIN_URL_MAX + 1];
    char token[PROTOCOL_TOKEN_MAX + 1]; /* "": none */
    bool authority;                     /* it has certificates: it is its own ca_file */
};

TACIT_MUST_CHECK int join_file_read(const char *path, struct join_file *out, struct err *e);
/* Durable, mode 0600. about: one line that says for whom it is. certificates: PEM text, of which
 * the certificates are taken; NULL: none. */
TACIT_MUST_CHECK int join_file_write(const char *path, const char *about, const char *url,
                                     const char *token, const char *certificates, struct err *e);

#endif
