#!/usr/bin/env python3
"""Runs the marked blocks of a page: docs.py PAGE FOLDER PORT; checks links: docs.py --links PAGE…"""
import os
import re
import signal
import subprocess
import sys

END = "-- end of a block --"
BLOCK = re.compile(r"^<!-- (run|prints) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def plain(text):
    return re.sub(r"[0-9][0-9,.]*", "0", " ".join(text.split()))


def run(page, folder, port):
    text = open(page, encoding="utf-8").read().replace("8420", port)
    os.mkdir(folder)
    env = dict(os.environ, HOME=folder)
    shell = subprocess.Popen(["bash", "-euo", "pipefail"], stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=env,
                             start_new_session=True)
    said = ""
    try:
        for kind, body in BLOCK.findall(text):
            if kind == "prints":
                for line in filter(None, map(plain, body.splitlines())):
                    pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
                    if not re.search(pattern, plain(said)):
                        sys.exit(f"{page}: '{line}' is not in what it prints:\n{said}")
                continue
            shell.stdin.write(f"{body}\necho '{END}'\n")
            shell.stdin.flush()
            said = ""
            for line in shell.stdout:
                if line.strip() == END:
                    break
                said += line
            else:
                sys.exit(f"{page}: this block fails:\n{body}\nIt said:\n{said}")
    finally:
        os.killpg(shell.pid, signal.SIGKILL)


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(pages):
    bad = []
    for page in pages:
        for link in LINK.findall(open(page, encoding="utf-8").read()):
            if re.match(r"https?:", link):
                continue
            path, _, part = link.partition("#")
            target = os.path.join(os.path.dirname(page), path) if path else page
            if not os.path.exists(target):
                bad.append(f"{page}: {link}: no such file")
            elif part and part not in map(anchor, HEADING.findall(open(target, encoding="utf-8").read())):
                bad.append(f"{page}: {link}: no such heading")
    if bad:
        sys.exit("\n".join(bad))


if sys.argv[1] == "--links":
    links(sys.argv[2:])
else:
    run(*sys.argv[1:])
