/* tacitd --doctor: what may keep the coordinator from its work, before it is started or beside it.
 */
#ifndef TACIT_COORDINATOR_TACITD_DOCTOR_H
#define TACIT_COORDINATOR_TACITD_DOCTOR_H

#include <stdbool.h>
#include "coordinator/tacitd.h"

/* Prints what is found; returns the exit code. */
int tacitd_doctor(const struct tacitd_options *o, bool json);

#endif
