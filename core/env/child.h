/* A command that runs beside this process. */
#ifndef TACIT_ENV_CHILD_H
#define TACIT_ENV_CHILD_H

#include <stdbool.h>
#include "core/base/err.h"

struct env_child {
    long pid; /* 0: none, or it has ended */
};

/* Runs command through /bin/sh, in a process group of its own, with no input; what it prints goes
 * where this process's output goes. */
TACIT_MUST_CHECK int env_child_start(struct env_child *c, const char *command, struct err *e);
/* Whether it has ended; then *code is its exit code, or 128 + the signal that ended it. Does not
 * wait. True once. */
bool env_child_ended(struct env_child *c, int *code);
/* Ends it and all it has started (SIGTERM), and forgets it. */
void env_child_stop(struct env_child *c);

/* Becomes another program of this installation: `name` in the folder of this one, or else on the
 * PATH; arguments: its own first, ended by NULL. Returns only where it can't. */
int env_exec_beside(const char *name, char *const *arguments, struct err *e);

#endif
