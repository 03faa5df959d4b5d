/* Errors as RFC 9457 problem documents. */
#ifndef TACIT_COORDINATOR_API_PROBLEM_H
#define TACIT_COORDINATOR_API_PROBLEM_H

#include "coordinator/api/api.h"

/* The HTTP status of an error code. */
int problem_status(int code);
/* Fills the exchange's reply: status 0 takes problem_status(e->code). arena: the exchange's. */
void problem_reply(struct api_reply *r, struct arena *a, int status, const struct err *e,
                   const char *request);
/* A refusal says when to come back. */
void problem_retry_after(struct api_reply *r, struct arena *a, uint64_t seconds);
void reply_add_header(struct api_reply *r, const char *name, const char *value);

#endif
