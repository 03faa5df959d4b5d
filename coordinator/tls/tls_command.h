/* `tacitd tls init` and `tacitd tls renew`. */
#ifndef TACIT_COORDINATOR_TLS_TLS_COMMAND_H
#define TACIT_COORDINATOR_TLS_TLS_COMMAND_H

#include "core/base/manual.h"

/* argv[0] is "tls". Returns the exit code. */
int tls_command(int argc, char **argv);
/* Its part of the manual page. */
void tls_command_manual(struct manual *m);

#endif
