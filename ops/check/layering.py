#!/usr/bin/env python3
"""Checks the directions and edges of the source tree: who may include whom, who may use which
library, who may call the outside, where SQL may stand. Prints every offender, exits 1 on any.

usage: layering.py [ROOT]
"""
import os
import re
import sys

BASE = {"core/base"}
ENV = BASE | {"core/env"}
KERNELS = ENV | {"core/kernels"}
MODEL = KERNELS | {"core/model"}
DATA = KERNELS | {"core/data"}
SERVICE = {"coordinator/service.h", "coordinator/log.h"}  # what all parts of tacitd share
PURE = {"core/base", "core/mixture", "core/protocol"}

# Folder or file → folders and files that it may include besides itself. The longest match counts.
MAY_INCLUDE = {
    "core/base": set(),
    "core/base/manual.c": {"core/base", "core/version.h"},
    "core/env": BASE,
    "core/kernels": ENV,
    "core/model": KERNELS,
    "core/data": KERNELS,
    "core/mixture": MODEL | DATA,
    "core/checkpoint": MODEL | DATA,
    "core/protocol": MODEL | DATA | {"core/mixture", "core/checkpoint"},
    "core/runners": MODEL | DATA | {"core/mixture", "core/checkpoint", "core/protocol"},
    "core/backup": ENV | {"core/protocol"},
    "core/client": ENV | {"core/protocol"},
    "core/doctor": MODEL | {"core/client", "core/protocol", "core/version.h"},
    "coordinator": {"core"},
    "coordinator/store": {"core"} | SERVICE,
    "coordinator/run": {"core", "coordinator/store", "coordinator/lease"} | SERVICE,
    "coordinator/lease": {"core", "coordinator/store", "coordinator/run"} | SERVICE,
    # Which jobs are due is a function of a run's facts: nothing that knows a clock or a file.
    "coordinator/run/due.h": PURE | {"coordinator/store/ops.h"},
    "coordinator/run/due.c": PURE | {"coordinator/run/due.h", "coordinator/store/ops.h"},
    "agent": {"core"},
    "ops": {"core"},
    "tests/core": {"core", "tests/core"},
    "tests/coordinator": {"core", "coordinator", "tests/core"},
    "tests/agent": {"core", "agent", "tests/core"},
    "tests/ops": {"core", "ops", "tests/core"},
    "tests": {"core", "coordinator", "agent", "ops"},
}

# Header of a library → the only places that know it.
LIBRARIES = [
    (r"microhttpd\.h", ["ops/serve", "coordinator/api"]),
    (r"curl/.*", ["core/client"]),
    (r"gnutls/.*", ["coordinator/tls"]),
    (r"sqlite3\.h", ["coordinator/store"]),
    (r"sodium.*", ["core/base/digest.c"]),
    (r"sentencepiece.*", ["core/data"]),
    (r"archive(_entry)?\.h", ["core/data", "core/checkpoint", "core/backup"]),
    (r"ini\.h", ["core/base/ini_text.c"]),
    (r"cblas.*", ["core/kernels", "ops/bench"]),
]

# Functions that reach outside, with errors that matter: core/env alone calls them.
OUTSIDE = """
    clock clock_gettime clock_nanosleep gettimeofday nanosleep sleep time timespec_get usleep
    access chdir chmod close closedir creat dup dup2 fchmod fclose fcntl fdatasync fdopen fdopendir
    flock fopen freopen fstat fsync ftruncate ftw link lstat mkdir mkdtemp mkostemp mkstemp mmap
    munmap nftw open openat opendir pread pwrite read readdir readlink realpath remove rename
    renameat rmdir scandir stat statvfs symlink tmpfile truncate umask unlink unlinkat write
    accept accept4 bind connect epoll_create1 epoll_ctl epoll_wait getaddrinfo gethostbyname listen
    poll recv recvfrom recvmsg select send sendfile sendmsg sendto setsockopt shutdown socket
    socketpair
    arc4random getentropy getrandom rand random rand_r srand srandom
    randombytes_buf
    execl execlp execv execve execvp fork gethostname getenv getpid getrusage kill pipe pipe2 popen
    posix_spawn prctl sched_getaffinity setenv sigaction signal sysconf system uname vfork waitpid
""".split()
PRINTS = "fprintf fputs perror printf putc putchar puts syslog vfprintf vprintf".split()
EXITS = "_exit exit quick_exit".split()

SQL = re.compile(
    r"\b(SELECT\s+[\w*(?]|INSERT\s+(OR\s+\w+\s+)?INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b"
    r"|CREATE\s+(TABLE|INDEX|UNIQUE|TRIGGER|VIEW)\b|PRAGMA\s+\w|BEGIN\s+(IMMEDIATE|EXCLUSIVE)\b"
    r"|SAVEPOINT\s+\w)"
)
TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


CALL_OUTSIDE = re.compile(
    r"(?<![\w.])(?<!->)(?<!\w::)(?:::)?(" + "|".join(OUTSIDE) + r")\s*\("
    r"|\bstd::(ifstream|ofstream|fstream|random_device|rand|srand)\b"
    r"|\b(\w+_clock::now)\b|\b(SYS_\w+)\b"
)
CALL_PRINT = re.compile(
    r"(?<![\w.])(?<!->)(" + "|".join(PRINTS) + r")\s*\(|\bstd::(cout|cerr|clog)\b"
)
CALL_EXIT = re.compile(r"(?<![\w.])(?<!->)(" + "|".join(EXITS) + r")\s*\(")
# "int read(" and "void *open(" in a prototype name a function of that name, they don't call it.
DEFINITION_BEFORE = re.compile(r"\b(?!return\b|else\b|do\b|case\b)\w+[ \t*]+$")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def split(text):
    """The text without comments; and without comments and what literals say."""
    no_comments = TOKEN.sub(lambda m: blank(m) if m.group(0)[0] == "/" else m.group(0), text)
    code = TOKEN.sub(
        lambda m: blank(m) if m.group(0)[0] == "/" else '"' + blank(m)[1:-1] + '"', text
    )
    return no_comments, code


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def rule_of(path):
    fitting = [f for f in MAY_INCLUDE if inside(path, f)]
    return max(fitting, key=len) if fitting else None


def check_includes(path, text):
    rule = rule_of(path)
    for m in INCLUDE.finditer(text):
        line = text.count("\n", 0, m.start()) + 1
        system, name = m.group(1) == "<", m.group(2)
        if not system and "/" not in name:
            yield line, f'includes "{name}" without its folder'
        elif not system and rule is not None:
            allowed = MAY_INCLUDE[rule] | {rule}
            if not any(inside(name, a) for a in allowed) and not name.startswith("gen/"):
                yield line, f'{rule} must not include "{name}"'
        if not path.startswith("tests/"):
            for pattern, places in LIBRARIES:
                if re.fullmatch(pattern, name) and not any(inside(path, p) for p in places):
                    yield line, f"only {', '.join(places)} may include <{name}>"


def check_calls(path, code):
    # Benches measure the machine itself, and run alone.
    if path.startswith("tests/") or inside(path, "core/env") or inside(path, "ops/bench"):
        return
    for m in CALL_OUTSIDE.finditer(code):
        name = next(g for g in m.groups() if g)
        before = code[code.rfind("\n", 0, m.start()) + 1 : m.start()]
        if m.group(1) and DEFINITION_BEFORE.search(before):
            continue
        yield code.count("\n", 0, m.start()) + 1, f"calls {name}: only core/env may"
    if inside(path, "core"):
        for m in CALL_PRINT.finditer(code):
            name = m.group(1) or m.group(2)
            yield code.count("\n", 0, m.start()) + 1, f"calls {name}: core never prints"
    if not inside(path, "ops") and path != "core/env/last_words.c" and (
        os.path.basename(path) != "main.c"
    ):
        for m in CALL_EXIT.finditer(code):
            yield code.count("\n", 0, m.start()) + 1, f"calls {m.group(1)}: only main exits"


def check_sql(path, text):
    if path.startswith("tests/") or inside(path, "coordinator/store"):
        return
    for m in TOKEN.finditer(text):
        if m.group(0)[0] == '"' and SQL.search(m.group(0)):
            yield text.count("\n", 0, m.start()) + 1, "contains SQL: only coordinator/store may"


def sources(root):
    for top in ("core", "coordinator", "agent", "ops", "tests"):
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(files):
                if name.endswith((".c", ".h", ".cc", ".cpp", ".hpp")):
                    yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    files = offences = 0
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            text, code = split(f.read())
        files += 1
        found = [*check_includes(path, text), *check_calls(path, code), *check_sql(path, text)]
        for line, what in sorted(set(found)):
            print(f"{path}:{line}: {what}")
            offences += 1
    if files == 0:
        print(f"layering: no source below '{root}'")
        return 1
    print(f"layering: {files} files, {offences} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
