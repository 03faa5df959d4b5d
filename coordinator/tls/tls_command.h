/* `tacitd tls init` and `tacitd tls renew`. */
#ifndef TACIT_COORDINATOR_TLS_TLS_COMMAND_H
#define TACIT_COORDINATOR_TLS_TLS_COMMAND_H

/* argv[0] is "tls". Returns the exit code. */
int tls_command(int argc, char **argv);

#endif
