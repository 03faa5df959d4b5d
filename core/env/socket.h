/* What a library that has the sockets does not tell. */
#ifndef TACIT_ENV_SOCKET_H
#define TACIT_ENV_SOCKET_H

#include <stdbool.h>

/* Whether the other side of a connection has gone, or will send no more. Asks; never waits. */
bool env_socket_hung_up(int fd);

#endif
