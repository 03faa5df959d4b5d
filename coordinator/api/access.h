/* Who asks, by which right, and whether from where he may. */
#ifndef TACIT_COORDINATOR_API_ACCESS_H
#define TACIT_COORDINATOR_API_ACCESS_H

#include "coordinator/api/exchange.h"

/* Fills the call's caller; x->route is the one found, or NULL. API_REPLY where it is refused. */
enum api_step access_check(struct exchange *x);
/* Requests without a token are taken from pages of this machine alone: not from one whose name was
 * made to lead here (DNS rebinding). API_REPLY where it is refused. */
enum api_step access_check_host(struct exchange *x);

/* GET, POST, DELETE /v1/session; the body is decoded. API_BODY: its answer is x->out. */
enum api_step access_session(struct exchange *x);

#endif
