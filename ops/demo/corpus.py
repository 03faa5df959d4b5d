#!/usr/bin/env python3
"""Corpora of real text from Debian packages, one JSONL file a domain: twelve for the demo, and
eight others (--set other) that nothing was tuned on.

Packages are downloaded with apt-get and unpacked with dpkg-deb, neither of which needs root. Where
a package's name holds a version, it is found through the package that depends on it. A domain's
documents are taken in an order by hashes of their names, so that the text is of all of the
package, until there is enough; the same packages give the same files. A domain that is finished is
kept; one that is not is made again.

usage: corpus.py [--set demo|other|all] [--megabytes N] FOLDER
"""
import argparse
import concurrent.futures
import glob
import gzip
import hashlib
import heapq
import html.parser
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time

PIECE = 8000  # characters of a document: long files are cut at line ends into so much
RAW_PER_TEXT = 15  # bytes read for one of text: pages of help are mostly tags
PIECES = 6  # of one file at most: big tables and generated files must not be a domain
HASH = hashlib.sha256


# -- From files to plain text -----------------------------------------------------------------------

BLOCKS = set("address article aside blockquote br caption dd details div dl dt figure footer form h1 "
             "h2 h3 h4 h5 h6 header hr li main nav ol option p pre section summary table tbody td tfoot "
             "th thead title tr ul".split())
SKIPPED = set("script style head nav footer header aside noscript button select svg math".split())
SKIPPED_CLASSES = {"navheader", "navfooter", "breadcrumb", "noicon", "noteicon", "debug", "toc",
                   "related", "sphinxsidebar", "headerlink", "titlepage-date"}
VOID = set("area base br col embed hr img input link meta source track wbr".split())


class HtmlText(html.parser.HTMLParser):
    """The text of a page: blocks on lines of their own, spaces folded but in <pre>."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out, self.stack, self.pre, self.skip = [], [], 0, 0

    def handle_starttag(self, tag, attrs):
        if tag in BLOCKS:
            self.out.append("\n\n" if tag in ("p", "h1", "h2", "h3", "h4", "pre", "table") else "\n")
        if tag in ("td", "th"):
            self.out.append(" ")
        if tag in VOID:
            return
        classes = set((dict(attrs).get("class") or "").split())
        skip = tag in SKIPPED or bool(classes & SKIPPED_CLASSES)
        self.stack.append((tag, skip))
        self.skip += skip
        self.pre += tag == "pre"

    def handle_endtag(self, tag):
        if not any(t == tag for t, _ in self.stack):
            return
        while self.stack:  # tags left open end with the one around them
            t, skip = self.stack.pop()
            self.skip -= skip
            self.pre -= t == "pre"
            if t == tag:
                break
        if tag in BLOCKS:
            self.out.append("\n")

    def handle_data(self, data):
        if not self.skip:
            self.out.append(data if self.pre else re.sub(r"\s+", " ", data))


def html_text(raw):
    parser = HtmlText()
    parser.feed(raw)
    text = "".join(parser.out)
    text = re.sub(r"[ \t\xa0]+\n", "\n", text)
    text = re.sub(r"\n[ \xa0](?=\S)", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


ROFF_CHARS = {"aq": "'", "cq": "'", "oq": "`", "dq": '"', "lq": '"', "rq": '"', "em": "—", "en": "–",
              "hy": "-", "mi": "-", "bu": "•", "co": "©", "ha": "^", "ti": "~", "rs": "\\", "ga": "`",
              "->": "→", "<-": "←", "mu": "×", "+-": "±", ">=": "≥", "<=": "≤", "Fo": "«", "Fc": "»",
              "ss": "ß", "de": "°", "sc": "§", "at": "@", "sh": "#", "Do": "$", "or": "|", "ba": "|",
              "lB": "[", "rB": "]", "lC": "{", "rC": "}", "la": "<", "ra": ">", "mc": "µ", "!=": "≠",
              "if": "∞", "Eu": "€", ":a": "ä", ":o": "ö", ":u": "ü", "'e": "é", "`e": "è"}
ROFF_SKIPPED_SECTIONS = re.compile(
    "^(AUTHORS?|COPYRIGHT|COLOPHON|KOLOPHON|AUTOR(EN)?|ÜBERSETZUNG|TŁUMACZENIE|AUTOR|AUTORZY|"
    "TRADUCTION|TRADUCCIÓN|PRAWA AUTORSKIE|DERECHOS DE AUTOR|REPORTING BUGS|FEHLER MELDEN|"
    "ZGŁASZANIE BŁĘDÓW|LICENSE|LIZENZ|ПЕРЕВОД|АВТОР(Ы)?|АВТОРСКИЕ ПРАВА|TRADUZIONE)$")


def roff_inline(s):
    s = re.sub(r"\\f(\[[^]]*\]|\(..|.)", "", s)
    s = re.sub(r"\\s[-+]?\d", "", s)
    s = re.sub(r"\\[hvw]'[^']*'", "", s)
    s = re.sub(r"\\\((..)", lambda m: ROFF_CHARS.get(m[1], ""), s)
    s = re.sub(r"\\\[u([0-9A-F]{4,5})\]", lambda m: chr(int(m[1], 16)), s)
    s = re.sub(r"\\\[([^]]*)\]", lambda m: ROFF_CHARS.get(m[1], ""), s)
    s = re.sub(r"\\\*(\[[^]]*\]|\(..|.)", lambda m: {"R": "®", "(Tm": "™", "(lq": '"',
                                                     "(rq": '"'}.get(m[1], ""), s)
    s = s.replace("\\-", "-").replace("\\e", "\\\0").replace("\\ ", " ").replace("\\~", " ")
    s = re.sub(r"\\\".*", "", s)
    s = re.sub(r"\\[&/,|^%:c{}0)zdu]", "", s)
    return s.replace("\\'", "'").replace("\\`", "`").replace("\\.", ".").replace("\\\0", "\\")


def roff_arguments(rest):
    return [a[1:-1].replace('""', '"') if a.startswith('"') and a.endswith('"') and len(a) > 1 else
            a.lstrip('"') for a in re.findall(r'"(?:[^"]|"")*"?|(?:\\ |\S)+', rest)]


class RoffText:
    """A manual page of the man macros as plain text, a paragraph a line."""

    def __init__(self):
        self.out, self.line, self.fill, self.skip, self.tag = [], [], True, False, False

    def end(self, blank=False):
        if self.line:
            self.out.append(" ".join(self.line))
        self.line = []
        if blank and self.out and self.out[-1]:
            self.out.append("")

    def put(self, text):
        if self.skip:
            return
        text = roff_inline(text)
        if self.tag:  # the line after .TP is the term; what it means goes below
            self.out.append(text.strip())
            self.tag = False
            self.line = ["   "]
        elif self.fill:
            if text.strip():
                self.line.append(text.strip())
        else:
            self.end()
            self.out.append(text.rstrip())

    def macro(self, name, rest):
        args = roff_arguments(rest)
        if name in ("SH", "SS", "Sh"):
            self.end(True)
            title = roff_inline(" ".join(args)).strip()
            if name != "SS":
                self.skip = bool(ROFF_SKIPPED_SECTIONS.match(title.upper()))
            if title and not self.skip:
                self.out.append(title)
        elif name in ("PP", "P", "LP", "sp", "HP"):
            self.end(True)
        elif name in ("TP", "TQ"):
            self.end(name == "TP")
            self.tag = True
        elif name == "IP":
            self.end(True)
            if args and args[0] and not self.skip:
                self.line = [roff_inline(args[0])]
        elif name in ("nf", "EX"):
            self.end()
            self.fill = False
        elif name in ("fi", "EE"):
            self.end()
            self.fill = True
        elif name == "br":
            self.end()
        elif name in ("B", "I", "SM", "SB", "UR", "MT"):
            if args:
                self.put(" ".join(args))
        elif name in ("BR", "BI", "RB", "RI", "IR", "IB"):
            self.put("".join(args))

    def page(self, raw):
        skip_until = None
        for line in raw.replace("\\\n", "").split("\n"):
            if skip_until is not None:
                if line.startswith(skip_until):
                    skip_until = None
                continue
            m = re.match(r"[.']\s*([A-Za-z0-9]+|\\\")?\s*(.*)", line)
            if not m:
                if line.strip() or not self.fill:
                    self.put(line)
                elif self.line:
                    self.end(True)
                continue
            name = m[1] or ""
            if name in ("de", "am", "ig", "de1"):
                skip_until = ".."
            elif name == "TS":
                skip_until = ".TE"
            elif name == "EQ":
                skip_until = ".EN"
            elif name != '\\"':
                self.macro(name, re.sub(r'\s*\\".*', "", m[2]))
        self.end()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self.out)).strip()


def roff_text(raw):
    if re.match(r"\.so ", raw) or re.search(r"^\.Dd ", raw, re.M):  # an alias; other macros
        return ""
    return RoffText().page(raw)


def code_text(raw):
    """A source file without the comment on top where that is about rights: it is in every file."""
    lines = raw.split("\n")
    top, in_block = 0, False
    for line in lines:
        s = line.strip()
        starts = s.startswith(("/*", "(*", "#|"))
        in_block = (in_block or starts) and not (s.endswith(("*/", "*)", "|#")))
        if s and not (in_block or starts or s.endswith(("*/", "*)", "|#")) or
                      s.startswith(("//", "#", ";", "--", "*", "%"))):
            break
        if s.startswith(("#include", "#define", "#if", "#pragma", "#!", "#[", "#lang")):
            break
        top += 1
    if re.search(r"copyright|licen[cs]e|warranty", "\n".join(lines[:top]), re.I):
        lines = lines[top:]
    if any(len(line) > 1000 for line in lines):  # generated
        return ""
    return "\n".join(lines).strip("\n")


def plain_text(raw):
    return raw


# -- Domains ----------------------------------------------------------------------------------------


class Domain:
    """packages: names, or (name, pattern) for what a package depends on. files: a pattern of paths
    in them; without: one of paths to leave out. text: how to read a file. script: letters that at
    least two thirds of a document's letters must be, where translations are not complete."""

    def __init__(self, name, packages, files, text, without=None, script=None):
        self.name, self.packages, self.text = name, packages, text
        self.files = re.compile(files)
        self.without = re.compile(without or r"(?!)")
        self.script = re.compile(script) if script else None

    def wants(self, path):
        return self.files.search(path) and not self.without.search(path)

    def is_good(self, text):
        if len(text) < 200:
            return False
        letters = len(re.findall(r"[^\W\d_]", text))
        return not self.script or len(self.script.findall(text)) * 3 >= letters * 2


DEMO = [
    Domain("manuals-english", ["manpages", "manpages-dev"], r"/man/man./.*\.gz$", roff_text),
    Domain("manuals-german", ["manpages-de", "manpages-de-dev"], r"/man/de/man./.*\.gz$", roff_text),
    Domain("help-french", ["libreoffice-help-fr"], r"/help/fr/text/.*\.html$", html_text),
    Domain("help-russian", ["libreoffice-help-ru"], r"/help/ru/text/.*\.html$", html_text,
           script="[а-яёА-ЯЁ]"),
    Domain("code-go", [("golang-src", r"golang-[\d.]+-src")], r"\.go$", code_text,
           r"/testdata/|/vendor/|/zsyscall|/zerrors|/ztypes|tables|rewrite[A-Z]|/opGen"),
    Domain("code-cpp", [("libboost-dev", r"libboost[\d.]+-dev")], r"\.hpp$", code_text,
           r"preprocess|/mpl/|/typeof/|/vmd/"),
    Domain("code-python", ["python3-sympy", "python3-django"], r"/dist-packages/.*\.py$", code_text,
           r"/locale/|/rubi/|parsetab|_lalr"),
    Domain("code-perl", [("perl", r"perl-modules-[\d.]+"), ("perl", r"libperl[\d.]+")], r"\.p[ml]$",
           code_text, r"unicore|/Unicode/Collate/|/CharName|_charnames"),
    Domain("documentation-sql", [("postgresql-doc", r"postgresql-doc-\d+")], r"\.html$", html_text,
           r"/release-|bookindex|/features|sql-keywords|/biblio"),
    Domain("essays-political", ["anarchism"], r"/anarchism/html/.*\.html$", html_text,
           r"con\.html$|links|index"),
    Domain("dictionary", ["dict-gcide"], r"/gcide\.dict\.dz$", plain_text),
    Domain("code-lisp", ["sbcl-source"], r"\.lisp$", code_text,
           r"/tests/.*data|ucd|external-formats"),
]
OTHER = [
    Domain("manuals-polish", ["manpages-pl", "manpages-pl-dev"], r"/man/pl/man./.*\.gz$", roff_text),
    Domain("help-spanish", ["libreoffice-help-es"], r"/help/es/text/.*\.html$", html_text),
    Domain("help-greek", ["libreoffice-help-el"], r"/help/el/text/.*\.html$", html_text,
           script="[α-ωάέήίόύώϊϋΐΰςΑ-ΩΆΈΉΊΌΎΏ]"),
    Domain("code-erlang", ["erlang-src"], r"/lib/.*\.erl$", code_text, r"/gen/|unicode_util|_names"),
    Domain("code-ocaml", ["ocaml-source"], r"\.tar(\.gz)?$|\.mli?$", code_text,
           r"/boot/|/testsuite/"),
    Domain("code-tcl", ["tcllib"], r"\.tcl$", code_text, r"/mime/|msgs|tables"),
    Domain("code-ruby", [("libruby", r"libruby[\d.]+")], r"\.rb$", code_text,
           r"unicode_normalize/tables|enc/|cp\d"),
    Domain("dictionary-computing", ["dict-foldoc"], r"/foldoc\.dict\.dz$", plain_text),
]
SETS = {"demo": DEMO, "other": OTHER, "all": DEMO + OTHER}


# -- Packages ---------------------------------------------------------------------------------------

ROOT = os.geteuid() == 0


def run(command, **options):
    try:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              **options)
    except FileNotFoundError:
        return 127, f"there is no {command[0]} here; the corpora come from Debian's packages"
    return done.returncode, done.stdout


def update_lists():
    print("corpus: apt-get update (the package lists are missing or old)", flush=True)
    code, out = run(([] if ROOT else ["sudo", "-n"]) + ["apt-get", "-q", "update"])
    if code:
        sys.exit(f"corpus: apt-get update failed; as root, run it yourself:\n{out}")


def find_packages(domains):
    """The real names of each domain's packages."""
    behind = sorted({p[0] for d in domains for p in d.packages if not isinstance(p, str)})
    for attempt in range(2):
        depends = {}
        for part in re.split(r"^(?=\S)", run(["apt-cache", "depends"] + behind)[1] if behind else "",
                             flags=re.M):
            depends[part.split("\n", 1)[0]] = part + "\n"
        names, missing = {}, []
        for d in domains:
            names[d.name] = []
            for p in d.packages:
                found = [p] if isinstance(p, str) else re.findall(
                    rf"Depends: ({p[1]})\s", depends.get(p[0], ""))
                names[d.name] += found[:1]
                missing += [] if found else [p[0]]
        if not missing:
            return names
        if attempt == 0:
            update_lists()
    sys.exit(f"corpus: apt knows no package {', '.join(missing)}; is main among its sources?")


def download(names, folder):
    command = ["apt-get", "-q", "download"] + (["-o", "APT::Sandbox::User=root"] if ROOT else [])
    for attempt in range(2):
        code, out = run(command + sorted(set(names)), cwd=folder)
        if code == 0:
            return
        if attempt == 0:
            update_lists()
    sys.exit(f"corpus: the packages could not be downloaded:\n{out}")


# -- Making a domain --------------------------------------------------------------------------------


def decode(path, data):
    if path.endswith((".gz", ".dz")):
        data = gzip.decompress(data)
    try:
        # A dictionary is one big file, and one bad byte in it is not the end of it.
        text = data.decode("utf-8", "ignore" if path.endswith(".dz") else "strict")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text.replace("\r\n", "\n")


def members(domain, tar):
    """(path, bytes) of the files that a domain wants, those of archives in it too."""
    for member in tar:
        if not member.isfile() or not domain.wants("/" + member.name):
            continue
        data = tar.extractfile(member).read()
        if re.search(r"\.tar(\.\w+)?$", member.name):
            with tarfile.open(fileobj=io.BytesIO(data)) as inner:
                yield from members(domain, inner)
        else:
            yield member.name, data


def cut(text, size):
    """Pieces of about size characters, cut at an empty line or at least at a line's end."""
    at = 0
    while at < len(text):
        end = at + size
        if end + size // 2 >= len(text):
            end = len(text)
        else:
            near = text.rfind("\n\n", at + size // 2, end)
            if near < 0:
                near = text.find("\n", end)
            end = near + 1 if near >= 0 else len(text)
        piece = text[at:end].strip("\n")
        if piece.strip():
            yield piece
        at = end


def sources(domain, debs, budget):
    """The texts of a domain's files in the order of the hash of their paths: as many of the first
    as raw bytes allow, so that a package of hundreds of megabytes takes no such memory."""
    kept, total = [], 0  # a heap, the last in order on top
    for deb in debs:
        unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        with unpack.stdout, tarfile.open(fileobj=unpack.stdout, mode="r|", bufsize=1 << 20) as tar:
            for path, data in members(domain, tar):
                order = -int.from_bytes(HASH(path.encode()).digest(), "big")
                if total >= budget and order < kept[0][0]:
                    continue
                heapq.heappush(kept, (order, path, data))
                total += len(data)
                while total - len(kept[0][2]) >= budget:
                    total -= len(heapq.heappop(kept)[2])
        if unpack.wait():
            raise RuntimeError(f"dpkg-deb cannot read {deb}")
    for _, path, data in sorted(kept, reverse=True):
        text = decode(path, data)
        if path.endswith(".dz"):
            blocks = list(cut(text, PIECE))
            blocks.sort(key=lambda block: HASH(block.encode()).digest())
            yield from blocks
        else:
            yield text


def make(domain, debs, out, megabytes):
    size, documents, limit, seen = 0, 0, int(megabytes * 1e6), set()
    part = os.path.join(out, f".{domain.name}.part")
    with open(part, "w", encoding="utf-8") as f:
        for raw in sources(domain, debs, limit * RAW_PER_TEXT):
            for number, text in enumerate(cut(domain.text(raw), PIECE)):
                digest = HASH(text.encode()).digest()
                if number == PIECES:
                    break
                if not domain.is_good(text) or digest in seen:
                    continue
                seen.add(digest)
                f.write(json.dumps({"text": text, "source": domain.name}, ensure_ascii=False) + "\n")
                size += len(text.encode())
                documents += 1
            if size >= limit:
                break
    if not documents:
        raise RuntimeError(f"{domain.name}: {', '.join(debs)} hold no such files any more")
    os.replace(part, os.path.join(out, domain.name + ".jsonl"))
    return domain.name, size, documents


def main():
    p = argparse.ArgumentParser(description="Corpora of real text from Debian packages.")
    p.add_argument("folder")
    p.add_argument("--set", choices=sorted(SETS), default="demo")
    p.add_argument("--megabytes", type=float, default=3, help="of text a domain, at most (default 3)")
    args = p.parse_args()
    began = time.monotonic()
    os.makedirs(args.folder, exist_ok=True)
    stamps_path = os.path.join(args.folder, ".finished.json")
    with open(__file__, "rb") as f:
        stamp = f"{args.megabytes:g} MB, {HASH(f.read()).hexdigest()[:16]}"
    try:
        with open(stamps_path) as f:
            stamps = json.load(f)
    except (OSError, ValueError):
        stamps = {}
    todo = [d for d in SETS[args.set] if stamps.get(d.name) != stamp or
            not os.path.exists(os.path.join(args.folder, d.name + ".jsonl"))]
    if not todo:
        print(f"corpus: {len(SETS[args.set])} domains are there")
        return
    with tempfile.TemporaryDirectory(prefix=".work-", dir=args.folder) as work:
        packages = find_packages(todo)
        names = sorted({n for d in todo for n in packages[d.name]})
        print(f"corpus: downloading {len(names)} packages", flush=True)
        download(names, work)
        debs = {n: glob.glob(os.path.join(glob.escape(work), n + "_*.deb")) for n in names}
        print(f"corpus: {time.monotonic() - began:.1f} s, reading", flush=True)
        with concurrent.futures.ProcessPoolExecutor() as pool:
            jobs = [pool.submit(make, d, [deb for n in packages[d.name] for deb in debs[n]],
                                args.folder, args.megabytes) for d in todo]
            for number, job in enumerate(concurrent.futures.as_completed(jobs), 1):
                name, size, documents = job.result()
                stamps[name] = stamp
                with open(stamps_path + ".new", "w") as f:
                    json.dump(stamps, f, indent=1, sort_keys=True)
                os.replace(stamps_path + ".new", stamps_path)
                print(f"corpus: {number:2}/{len(todo)} {name:22} {size / 1e6:5.2f} MB in {documents:4} "
                      f"documents", flush=True)
                if size < args.megabytes * 1e6 * 0.9:
                    print(f"corpus: {name} has no more text than that", flush=True)
    print(f"corpus: done in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
