/* One HTTP exchange, streamed both ways. Implemented over libcurl by core/client (the one place
 * that knows it); a simulation links another implementation. */
#ifndef TACIT_ENV_HTTP_H
#define TACIT_ENV_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

/* Connection-keeping handle. One thread at a time. */
struct env_http;

struct env_http_options {
    const char *base_url; /* "https://host:port"; http:// too */
    const char *ca_file;  /* these are trusted, and no others; NULL: the system's authorities */
    const char *bearer;   /* token, or NULL; copied */
    long connect_ms;      /* 0: 10 s */
};

struct env_http_request {
    const char *method;         /* "GET", "PUT", … */
    const char *path;           /* with query; starts with '/' */
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    long timeout_ms;            /* for the whole exchange; 0: none, but a stall ends it */
    long stall_s;               /* a stall is no byte either way in so long; 0: 60 s */
    uint64_t body_size;         /* exact; sent as Content-Length */
    /* Fills at most cap bytes of the body; returns the count, or -1 to abort. NULL: no body. */
    long (*read_body)(void *arg, char *out, size_t cap);
    /* Goes back to the body's start, where a kept connection turned out to be dead: 0, or -1. NULL:
     * such an exchange fails. */
    int (*rewind_body)(void *arg);
    /* Takes len bytes of the answer's body; non-zero aborts. Called for any status. */
    int (*write_body)(void *arg, int status, const char *data, size_t len);
    /* Each answer header, lower-cased name; may be NULL. */
    void (*on_header)(void *arg, const char *name, const char *value);
    /* Asked about once a second and when bytes move; non-zero ends the exchange. May be NULL. */
    int (*poll)(void *arg);
    void *arg;
    bool through_stop; /* goes on though a stop was requested: a stopping program's last words */
};

TACIT_MUST_CHECK int env_http_open(struct env_http **h, const struct env_http_options *o,
                                   struct err *e);
void env_http_close(struct env_http *h);
/* Replaces the token of later exchanges. */
TACIT_MUST_CHECK int env_http_set_bearer(struct env_http *h, const char *bearer, struct err *e);
/* 0 with *status where an answer came, whatever its status; ERR_UNAVAILABLE where none came whole
 * (refused, reset, timed out), ERR_CONFIG where none can come before somebody changes a setting
 * (https is spoken there and not http, or the reverse; its certificate is not trusted),
 * ERR_STOPPED where a callback or env_stop_requested ended it. */
TACIT_MUST_CHECK int env_http_exchange(struct env_http *h, const struct env_http_request *r,
                                       int *status, struct err *e);

/* What the other side shows who it is with, whether it is trusted or not: no token goes there. */
struct env_http_certificate {
    bool
        trusted; /* by an authority that is trusted here, and in its time; names are not compared */
    char subject[256], issuer[256]; /* "CN = train.example.org" */
    int64_t from_ms, until_ms;      /* since 1970, when it is valid */
};
/* ERR_UNAVAILABLE where nobody answers, ERR_INVALID where the URL is not https. */
TACIT_MUST_CHECK int env_http_certificate(struct env_http *h, struct env_http_certificate *out,
                                          struct err *e);

#endif
