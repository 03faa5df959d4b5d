#include "core/env/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int env_child_start(struct env_child *c, const char *command, struct err *e)
{
    char *const arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                               (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t restored, none;
    pid_t pid = 0;

    c->pid = 0;
    sigemptyset(&none);
    sigemptyset(&restored); /* what this process ignores, a child would ignore too */
    sigaddset(&restored, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                       POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigdefault(&how, &restored);
    posix_spawnattr_setsigmask(&how, &none);
    errno = posix_spawn(&pid, "/bin/sh", &files, &how, arguments, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    if (errno != 0)
        return err_set_errno(e, "cannot run '%s'", command);
    c->pid = pid;
    return 0;
}

int env_exec_beside(const char *name, char *const *arguments, struct err *e)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    path[len > 0 ? len : 0] = 0;
    slash = strrchr(path, '/');
    if (slash && (size_t)(slash + 1 - path) + strlen(name) < sizeof path) {
        memcpy(slash + 1, name, strlen(name) + 1);
        execv(path, arguments);
    }
    execvp(name, arguments);
    return err_set_errno(e, "cannot run %s: neither beside this program nor on the PATH", name);
}

bool env_child_ended(struct env_child *c, int *code)
{
    int status;

    if (c->pid == 0 || waitpid((pid_t)c->pid, &status, WNOHANG) != (pid_t)c->pid)
        return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    c->pid = 0;
    return true;
}

void env_child_stop(struct env_child *c)
{
    int status;

    if (c->pid == 0)
        return;
    kill(-(pid_t)c->pid, SIGTERM);
    (void)waitpid((pid_t)c->pid, &status, WNOHANG);
    c->pid = 0;
}
