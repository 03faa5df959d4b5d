/* The one client of the coordinator's API, used by agent and command line: calls with messages both
 * ways, blobs up and down with resumption. Built on env/http.h; http_curl.c beside this file is
 * that header's implementation. One thread a client. */
#ifndef TACIT_CLIENT_CLIENT_H
#define TACIT_CLIENT_CLIENT_H

#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/protocol/field.h"

struct client;

struct client_options {
    const char *url;        /* "http://host:port" or https; a path is refused */
    const char *token;      /* or NULL */
    const char *token_file; /* read where token is NULL; its one line, or that of a join file
                               (join_file.h); NULL: no token */
    const char *ca_file; /* these authorities are trusted, and no others; or NULL: the system's */
};

TACIT_MUST_CHECK int client_open(struct client **out, const struct client_options *o,
                                 struct err *e);
void client_close(struct client *c); /* accepts NULL */
TACIT_MUST_CHECK int client_set_token(struct client *c, const char *token, struct err *e);
/* Checks the URL alone, as client_open does. */
TACIT_MUST_CHECK int client_url_check(const char *url, struct err *e);
/* Once a stop is requested (env_stop_requested) every exchange ends with ERR_STOPPED, save those of
 * a client that was told to linger: they may go on for grace_ms after the call, so that a stopping
 * program can deliver what it holds. */
void client_linger(struct client *c, int64_t grace_ms);

/* How long the other side wished not to be asked again (Retry-After, in seconds) with the last
 * exchange's refusal: 429, 503, 507; 0: no wish. */
int64_t client_retry_after_ms(const struct client *c);

/* One call. in/in_value: the body, or NULL; out/out_value: the answer, or NULL. Returns 0, or 1 for
 * 204 No Content, or ERR_…: a problem's code where the server sent one, ERR_UNAVAILABLE where no
 * whole answer came, ERR_VERSION (in plain words) where the other side speaks another protocol.
 * timeout_ms 0: 60 s. */
TACIT_MUST_CHECK int client_call(struct client *c, const char *method, const char *path,
                                 const struct message *in, const void *in_value,
                                 const struct message *out, void *out_value, struct arena *a,
                                 long timeout_ms, struct err *e);
/* The answer's raw JSON (for --json), in the arena. */
TACIT_MUST_CHECK int client_get_raw(struct client *c, const char *path, const char **json,
                                    size_t *len, struct arena *a, struct err *e);
/* An array answer. */
TACIT_MUST_CHECK int client_get_array(struct client *c, const char *path, const struct message *of,
                                      void **items, uint32_t *count, struct arena *a,
                                      struct err *e);

/* Uploads from now on are of this job (0: of none): the coordinator refuses them, ERR_FENCED, once
 * it is cancelled. */
void client_set_job(struct client *c, uint64_t job);

/* What the coordinator shows who it is with, over https: also one that is not trusted, whose calls
 * fail with ERR_CONFIG, in words that tell why. */
struct client_certificate {
    bool trusted; /* by an authority trusted here, and in its time */
    char subject[256], issuer[256];
    int64_t from_ms, until_ms; /* since 1970 */
};
/* ERR_UNAVAILABLE where nobody answers, ERR_INVALID where the URL is not https. */
TACIT_MUST_CHECK int client_certificate(struct client *c, struct client_certificate *out,
                                        struct err *e);

/* Called with bytes done of total; non-zero ends the transfer with ERR_STOPPED. May be NULL. */
typedef int client_progress_fn(void *arg, uint64_t done, uint64_t total);

/* Uploads the file as blob d (its digest, size bytes): small ones are sent at once, for others it
 * asks first what the server has (HEAD) and goes on from there; call again after ERR_UNAVAILABLE
 * and at most one chunk is sent twice. Success where it is there already. *moved: bytes sent,
 * added. */
TACIT_MUST_CHECK int client_blob_put(struct client *c, const struct digest *d, const char *path,
                                     uint64_t size, client_progress_fn *progress, void *arg,
                                     uint64_t *moved, struct err *e);
/* Downloads blob d to path: into path + ".part", going on where one is left, the digest checked,
 * then renamed durably. ERR_DIGEST removes the part. */
TACIT_MUST_CHECK int client_blob_get(struct client *c, const struct digest *d, const char *path,
                                     client_progress_fn *progress, void *arg, uint64_t *moved,
                                     struct err *e);

#endif
