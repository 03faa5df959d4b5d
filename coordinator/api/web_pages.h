/* The dashboard: GET / and /assets/NAME. */
#ifndef TACIT_COORDINATOR_API_WEB_PAGES_H
#define TACIT_COORDINATOR_API_WEB_PAGES_H

#include "coordinator/api/exchange.h"

/* API_REPLY where the path is a page's. */
enum api_step pages_serve(struct exchange *x);

#endif
