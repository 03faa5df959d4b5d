/* tacit: the operator's command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "core/env/process.h"
#include "ops/cli/command.h"

/* More than the largest answers take. */
#define ARENA_MAX (1u << 30)

int main(int argc, char **argv)
{
    struct cli cli = {.command = "tacit"};
    const char *no_color = env_get("NO_COLOR");
    cli.color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    arena_init(&cli.arena, ARENA_MAX);
    env_stop_on_signals();
    int code = command_dispatch(&cli, argc, argv);
    client_close(cli.client);
    arena_free(&cli.arena);
    /* A reader that has seen enough (`tacit jobs | head`) is no failure worth a word. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE) {
        fprintf(stderr, "tacit: can't write the output: %s\n", strerror(errno));
        code = code ? code : EX_IOERR;
    }
    return code;
}
