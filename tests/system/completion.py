#!/usr/bin/env python3
"""Types at a real shell on a pseudo-terminal: completion.py SHELL FOLDER."""
import os
import pty
import select
import sys
import time

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(tacit completion bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit && compinit -u -D && source <(tacit completion zsh)"),
    "fish": (["fish", "--no-config", "-i"], "tacit completion fish | source"),
}
# What is typed, and what must then be printed.
LINES = [
    ("tacit run cr\t--help\n", "Starts a run from a spec"),
    ("tacit jobs --sta\tquar\t--help\n", "What waits, is being worked on"),
    ("tacit datasets delete SHELL-\t\n", "data set SHELL-texts is deleted"),
]


def main():
    shell, folder = sys.argv[1:]
    command, setup = SHELLS[shell]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME=folder, PS1="ready> ")
        os.chdir(folder)
        os.execvp(command[0], command)
    said = b""

    def wait_for(text, seconds=60):
        nonlocal said
        end = time.monotonic() + seconds
        while text.encode() not in said:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                sys.exit(f"{shell}: '{text}' does not come; it said:\n{said.decode(errors='replace')}")
            said += os.read(terminal, 65536)
        said = b""

    os.write(terminal, (setup + " && echo set''up\n").encode())
    wait_for("setup")
    for typed, wanted in LINES:
        # The shell reads the line after the tabulator only once it has completed.
        os.write(terminal, typed.replace("SHELL", shell).encode())
        wait_for(wanted.replace("SHELL", shell))
    os.write(terminal, b"exit\n")
    os.close(terminal)
    os.waitpid(pid, 0)


main()
