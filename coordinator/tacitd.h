/* The coordinator's life, from opening its folder to the last reply: all of tacitd but its command
 * line. */
#ifndef TACIT_COORDINATOR_TACITD_H
#define TACIT_COORDINATOR_TACITD_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"

struct listen_address;

struct tacitd_options {
    const char *dir; /* of the databases and tokens */
    const struct listen_address *address;
    const char *certificate, *key; /* PEM files, or NULL: without TLS; key NULL: it is with the
                                      certificate */
    int64_t gc_grace_ms;           /* of blobs that nobody names; 0: GC_GRACE_MS (store/gc.h) */
    bool no_duplicates;            /* service.h */
    void (*ready)(void *arg, uint16_t port); /* requests are answered from now on; may be NULL */
    void *ready_arg;
};

/* Runs until a stop is requested. An error where it can't start. */
TACIT_MUST_CHECK int tacitd_run(const struct tacitd_options *o, struct err *e);

#endif
