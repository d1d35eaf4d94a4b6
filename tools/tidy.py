#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules as a test: prints one line a violation, FILE:LINE: RULE: what is wrong; exit 1 if any.

  tools/tidy.py [--root DIR] [--build DIR] [--rules]

--root   the tree to check (default: the one this file lies in); files are git's, or all files where there is no git
--build  a build folder; the fetched headers are looked for beside the root either way
--rules  list the rules and stop

A rule is a function `rule_<name>(house)` that yields (file, line, message). A line may waive one rule with a reason:
/* tidy: RULE: reason */ on it or up to two lines above it (in other languages, after that language's comment sign).
The rules are explained in docs/STYLE.md; tests/tidy/tidy_test.py plants one violation of each and sees it found.
"""
import argparse
import ast
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path

FILE_LINES_MAX = 900
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
BLOB_BYTES_MAX = 1_000_000
MEMORY_HOME = "src/base/mem/"
ROOM_PATH = re.compile(r"^src/([a-z]+)/([a-z]+)/")
LAYER_LINE = re.compile(r"^([a-z]+/[a-z]+) +([s-]) ([w-]) ([c-])(?: ([r-]))?\s*$")
BANNED = {
    "strcpy": "text_copy or buf", "strcat": "buf", "sprintf": "snprintf or buf", "vsprintf": "vsnprintf or buf",
    "strtok": "text helpers", "atoi": "a checked parser", "atol": "a checked parser", "atof": "a checked parser",
    "strncpy": "text_copy or memcpy", "gets": "a bounded read", "system": "fork and exec", "popen": "fork and exec",
    "alloca": "an arena", "assert": "ASSERT", "tmpnam": "mkstemp", "mktemp": "mkstemp",
}
MEMORY = ("malloc", "calloc", "realloc", "free", "strdup", "strndup", "asprintf", "vasprintf", "reallocarray",
          "aligned_alloc", "posix_memalign")
REGISTRIES = re.compile(
    r"registry\.npmjs\.org|registry\.yarnpkg\.com|pypi\.org|files\.pythonhosted\.org|deb\.debian\.org|"
    r"security\.debian\.org|proxy\.golang\.org|static\.crates\.io|index\.crates\.io|rubygems\.org")  # tidy: address: the list itself
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]\w*|Users/\w+|tmp/(?:dl|build)[\w-]*)(?:/|\b)(?![\w-])")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # tidy: unfinished: the list itself
CODE_ENDS = (".c", ".h", ".cpp", ".def")
TEXT_ENDS = CODE_ENDS + (".py", ".sh", ".cmake", ".txt", ".sql", ".md", ".yaml", ".yml", ".json", ".lock", ".toml",
                         ".ts", ".tsx", ".css", ".html", ".service")
SPDX_ENDS = CODE_ENDS + (".py", ".sh", ".cmake", ".sql", ".ts", ".tsx", ".lock")
SPDX = "SPDX-License-Identifier: Apache-2.0"


# ---------------------------------------------------------------- reading the tree

class Source:
    """One file: its text, its lines, and for C the text with comments and strings blanked out."""

    def __init__(self, root, name):
        self.name = name
        self.path = root / name
        self.suffix = self.path.suffix

    @cached_property
    def text(self):
        return self.path.read_bytes().decode("utf-8", errors="replace")

    @cached_property
    def lines(self):
        return self.text.splitlines()

    @cached_property
    def code(self):
        return blank_c(self.text, strings=True)

    @cached_property
    def uncommented(self):
        return blank_c(self.text, strings=False)

    def waived(self, rule, line):
        near = self.lines[max(0, line - 3):line]
        return any(re.search(rf"tidy: {rule}: \w", x) for x in near)


C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank_c(text, strings):
    """The same text with comments (and the insides of strings) as spaces: positions and lines stay."""
    def blank(match):
        token = match.group()
        if token[0] in "\"'":
            if not strings:
                return token
            return token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)
    return C_TOKEN.sub(blank, text)


class House:
    """The tree under test: its files, its rooms in order, and which executables link them."""

    def __init__(self, root, build=None):
        self.root = root
        self.build = build
        self.sources = {n: Source(root, n) for n in self._names()}

    def _names(self):
        if (self.root / ".git").exists() and shutil.which("git"):
            done = subprocess.run(["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others",
                                   "--exclude-standard"], capture_output=True)
            names = [n.decode() for n in done.stdout.split(b"\0") if n]
        else:
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*")]
        return sorted(n for n in names if (self.root / n).is_file() and not (self.root / n).is_symlink())

    def under(self, *ends, folder=""):
        return [s for n, s in self.sources.items() if n.startswith(folder) and n.endswith(ends)]

    @cached_property
    def layers(self):
        """{room: (position, letters)} in the order of src/LAYERS."""
        rooms = {}
        if "src/LAYERS" in self.sources:
            for line in self.sources["src/LAYERS"].lines:
                if m := LAYER_LINE.match(line):
                    rooms[m.group(1)] = (len(rooms), {x for x in m.groups()[1:] if x not in (None, "-")})
        return rooms

    @cached_property
    def room_names(self):
        return {"_".join(r.split("/")): r for r in self.layers}


def room_of(name):
    m = ROOM_PATH.match(name)
    return f"{m.group(1)}/{m.group(2)}" if m else None


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def is_text(source):
    return source.name.endswith(TEXT_ENDS) or source.name in ("Makefile", ".ci/run", "src/LAYERS") \
        or ("." not in Path(source.name).name and source.name.startswith("tools/"))


def is_written_by_us(source):
    """Prose and code, not sample data: tickets may say what they like."""
    return is_text(source) and not re.match(r"(examples|tests/fuzz/corpus|bench/results)/.*\.(jsonl|csv|txt|md)$",
                                            source.name)


# ---------------------------------------------------------------- rooms and layers

def rule_layers(house):
    """A room includes only public headers of rooms above it in src/LAYERS."""
    for s in house.under(".c", ".h", ".cpp", folder="src/"):
        mine = room_of(s.name)
        for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', s.uncommented, re.M):
            wrong = include_wrong(house, s, mine, m.group(1))
            if wrong:
                yield s.name, line_of(s.text, m.start()), wrong


def include_wrong(house, s, mine, target):
    other = room_of("src/" + target)
    if not other or "src/" + target not in house.sources:
        beside = str(Path(s.name).parent / target)
        if beside in house.sources or "/" not in target or target.startswith("gen/"):
            return None
        return f'"{target}" is not a file of src/' if other else None
    if other == mine:
        return None
    name = Path(target).name
    if name != other.split("/")[1] + ".h" and not name.endswith(".def"):
        return f'"{target}" is private to {other}: include its public header'
    if mine is None:
        return None
    if other not in house.layers:
        return f"{other} is not in src/LAYERS"
    if mine in house.layers and house.layers[other][0] > house.layers[mine][0]:
        return f"{mine} may not include {other}: it stands below it in src/LAYERS"
    return None


def rule_rooms(house):
    """Every room is listed in src/LAYERS, has one public header, and builds each of its files."""
    rooms = {}
    for n in house.sources:
        if room := room_of(n):
            if not n.startswith("src/bin/"):
                rooms.setdefault(room, []).append(n)
    for room, names in rooms.items():
        where = f"src/{room}"
        short = room.split("/")[1]
        if room not in house.layers:
            yield where, 1, "this room is not in src/LAYERS"
        code = [n for n in names if n.endswith((".c", ".cpp"))]
        if code and f"{where}/{short}.h" not in house.sources:
            yield where, 1, f"the room has no public header {short}.h"
        for n in names:
            base = Path(n).name
            if n.endswith(".h") and base != f"{short}.h" and not base.endswith("_internal.h"):
                yield n, 1, f"a room has one public header, {short}.h; name a private one *_internal.h"
        listing = house.sources.get(f"{where}/CMakeLists.txt")
        for n in code:
            base = Path(n).name
            if listing and not re.search(rf"(?<![\w.-]){re.escape(base)}(?![\w.-])", listing.text):
                yield n, 1, "no CMakeLists.txt of its room names this file: dead"


def rule_tests(house):
    """Every test script is registered: one that no CMakeLists.txt names passes for ever."""
    for n in house.sources:
        if m := re.fullmatch(r"(tests/[\w-]+)/(\w+)_test\.py", n):
            listing = house.sources.get(f"{m[1]}/CMakeLists.txt")
            if not listing or not re.search(rf"(?<![\w-]){m[2]}(?![\w-])|{m[2]}_test\.py", listing.text):
                yield n, 1, "the CMakeLists.txt beside it does not name this test: it never runs"


def rule_links(house):
    """What a room depends on stands above it, and is linked wherever the room itself is."""
    for room, (place, letters) in house.layers.items():
        listing = house.sources.get(f"src/{room}/CMakeLists.txt")
        if not listing:
            continue
        for m in re.finditer(r"\bDEPS\b([^)]*)", listing.text):
            for word in m.group(1).split():
                if word.isupper():
                    break
                yield from dependency_wrong(house, listing, room, place, letters, word)


def dependency_wrong(house, listing, room, place, letters, word):
    other = house.room_names.get(word)
    if other is None:
        yield listing.name, 1, f"DEPS names {word}, which is no room of src/LAYERS"
        return
    other_place, other_letters = house.layers[other]
    if other_place > place:
        yield listing.name, 1, f"{room} may not depend on {other}: it stands below it in src/LAYERS"
    missing = letters - other_letters
    if missing:
        yield listing.name, 1, f"{other} is linked into {room}'s executables ({', '.join(sorted(missing))}) against src/LAYERS"


# ---------------------------------------------------------------- sizes and shape

def rule_file_length(house):
    """A file has at most 900 lines."""
    for s in house.under(*CODE_ENDS, ".py", ".cmake", ".ts", ".tsx", ".css"):
        if len(s.lines) > FILE_LINES_MAX and not s.waived("file-length", 3):
            yield s.name, len(s.lines), f"{len(s.lines)} lines; at most {FILE_LINES_MAX}"


def rule_function_length(house):
    """A function has at most 70 lines, counted from its opening brace (or def) to its end."""
    for s in house.under(".c", ".h", ".cpp"):
        for name, start, end in c_functions(s.code):
            if end - start + 1 > FUNCTION_LINES_MAX:
                yield s.name, start, f"{name} has {end - start + 1} lines; at most {FUNCTION_LINES_MAX}"
    for s in house.under(".py") + [x for x in house.sources.values() if x.text[:30].startswith("#!/usr/bin/env python3")
                                   and x.suffix != ".py"]:
        yield from python_functions_long(s)


def python_functions_long(s):
    try:
        tree = ast.parse(s.text)
    except SyntaxError as e:
        yield s.name, e.lineno or 1, f"does not parse: {e.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = node.end_lineno - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                yield s.name, node.lineno, f"{node.name} has {size} lines; at most {FUNCTION_LINES_MAX}"


def c_functions(code):
    """(name, first line, last line) of each function body at file scope; extern "C" and namespaces are looked into."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M)
    depth, begin, name, last = 0, 0, None, 0
    transparent = []
    for m in re.finditer(r"[{};]", code):
        sign = m.group()
        if sign == "{":
            before = code[last:m.start()].strip()
            if depth == 0 and re.search(r'(extern\s*"[^"]*"|namespace(\s+\w+)?)\s*$', before):
                transparent.append(m.start())
                last = m.end()
                continue
            if depth == 0:
                head = re.search(r"(\w+)\s*\([^{}]*\)[^(){}=]*$", before)
                name = head.group(1) if head else None
                begin = m.start()
            depth += 1
        elif sign == "}":
            if depth == 0 and transparent:
                transparent.pop()
            else:
                depth -= 1
                if depth == 0 and name:
                    yield name, line_of(code, begin), line_of(code, m.start())
                    name = None
        if depth == 0:
            last = m.end()


def rule_columns(house):
    """A line of code has at most 100 columns, no tabs and nothing at its end."""
    for s in house.under(*CODE_ENDS):
        for i, line in enumerate(s.lines, 1):
            if len(line) > COLUMNS_MAX:
                yield s.name, i, f"{len(line)} columns; at most {COLUMNS_MAX}"
            if "\t" in line:
                yield s.name, i, "a tab: indent with 4 spaces"
            if line != line.rstrip():
                yield s.name, i, "space at the end of the line"
        if s.text and not s.text.endswith("\n"):
            yield s.name, len(s.lines), "no newline at the end"


def rule_comments(house):
    """C comments are /* */ alone."""
    for s in house.under(*CODE_ENDS):
        for m in C_TOKEN.finditer(s.text):
            if m.group().startswith("//"):
                yield s.name, line_of(s.text, m.start()), "a // comment: write /* */"


def rule_spdx(house):
    """The first line of a source file names the licence (the second, after #!)."""
    for s in house.sources.values():
        script = s.text.startswith("#!") if s.path.stat().st_size < BLOB_BYTES_MAX else False
        wants = s.name.endswith(SPDX_ENDS) or Path(s.name).name in ("CMakeLists.txt", "Makefile") or script
        if wants and not s.name.startswith("tests/fuzz/corpus/"):
            line = s.lines[1 if script and len(s.lines) > 1 else 0] if s.lines else ""
            if SPDX not in line:
                yield s.name, 1, f"the first line is not {SPDX}"


def rule_header(house):
    """A header starts with #pragma once after its comment, and a C file says what it is for."""
    for s in house.under(".h"):
        if "#pragma once" not in s.text:
            yield s.name, 1, "no #pragma once"
    for s in house.under(".c", ".h", ".cpp", folder="src/"):
        head = "\n".join(s.lines[1:4])
        if "/*" not in head:
            yield s.name, 2, "the second line does not open the comment that says what the file is for"


# ---------------------------------------------------------------- what may not be written

def calls(code, names):
    return re.finditer(rf"(?<![\w.>])({'|'.join(names)})\s*\(", code)


def rule_banned(house):
    """Functions that overflow, lose errors or end the process are not called."""
    for s in house.under(".c", ".h", ".cpp"):
        for m in calls(s.code, BANNED):
            yield s.name, line_of(s.text, m.start()), f"{m.group(1)} is banned: use {BANNED[m.group(1)]}"
        if s.name.startswith("src/") and not s.name.startswith("src/bin/"):
            for m in calls(s.code, ["exit", "quick_exit"]):
                yield s.name, line_of(s.text, m.start()), f"{m.group(1)} outside src/bin: return a failure"


def rule_memory(house):
    """The malloc family is called in base/mem alone; memory of a foreign library is freed with a waiver that says so."""
    for s in house.under(".c", ".h", folder="src/"):
        if not s.name.startswith(MEMORY_HOME):
            for m in calls(s.code, MEMORY):
                yield s.name, line_of(s.text, m.start()), f"{m.group(1)} outside base/mem: use mem_alloc, an arena or buf"


def rule_unfinished(house):
    """Nothing is left for later in the text."""
    for s in house.sources.values():
        if is_written_by_us(s):
            for i, line in enumerate(s.lines, 1):
                if m := UNFINISHED.search(line):
                    yield s.name, i, f"{m.group()}: finish it or file an issue"


def rule_address(house):
    """No path of one machine and no address of a package registry is committed."""
    for s in house.sources.values():
        if not is_written_by_us(s):
            continue
        for i, line in enumerate(s.lines, 1):
            if m := MACHINE_PATHS.search(line):
                yield s.name, i, f"a path of one machine: {m.group()}"
            if m := REGISTRIES.search(line):
                yield s.name, i, f"the address of a package registry: {m.group()}"


def rule_blobs(house):
    """No file is larger than 1 MB."""
    for s in house.sources.values():
        size = s.path.stat().st_size
        if size > BLOB_BYTES_MAX:
            yield s.name, 1, f"{size} bytes; at most {BLOB_BYTES_MAX}: fetch or generate it"


# ---------------------------------------------------------------- SQL, documents, headers

TABLE = re.compile(r"\bCREATE\s+(?:VIRTUAL\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"'`]?(\w+)", re.I)


def table_owners(house):
    """({table: (room, file, line)}, violations): the owner is the room of the C file that creates the table, or what
    the SQL file says: `-- owner: floor/room` above the statement; failing that, the room its name ends in."""
    owners, wrong = {}, []
    for s in house.under(".sql", ".c"):
        for m in TABLE.finditer(s.text):
            line = line_of(s.text, m.start())
            room = room_of(s.name)
            if s.suffix == ".sql":
                said = re.findall(r"--\s*owner:\s*([a-z]+/[a-z]+)", s.text[:m.start()])
                tail = re.sub(r"^\d+-", "", Path(s.name).stem)
                named = [r for r in house.layers if r.split("/")[1] == tail]
                room = said[-1] if said else (named[0] if named else None)
            if room not in house.layers:
                wrong.append((s.name, line, f"table {m.group(1)} has no owner: write -- owner: floor/room above it"))
            elif m.group(1) in owners and owners[m.group(1)][0] != room:
                wrong.append((s.name, line, f"table {m.group(1)} has two owners: {room} and {owners[m.group(1)][0]}"))
            else:
                owners.setdefault(m.group(1), (room, s.name, line))
    return owners, wrong


def rule_tables(house):
    """A table has one owner room, and no other room's SQL names it."""
    owners, wrong = table_owners(house)
    yield from wrong
    if not owners:
        return
    use = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(" + "|".join(map(re.escape, owners)) + r")\b")
    for s in house.under(".c", folder="src/"):
        room = room_of(s.name)
        for literal in re.finditer(r'"(?:\\.|[^"\\\n])*"', s.uncommented):
            for m in use.finditer(literal.group()):
                owner = owners[m.group(1)][0]
                if room and owner != room and not s.name.endswith("_test.c"):
                    yield s.name, line_of(s.text, literal.start()), \
                        f"table {m.group(1)} belongs to {owner}: ask it through its header"


def rule_doc_links(house):
    """A relative link of a document leads to a file that is there."""
    for s in house.under(".md"):
        text = re.sub(r"```.*?```", lambda m: re.sub(r"[^\n]", " ", m.group()), s.text, flags=re.S)
        for m in re.finditer(r"\]\(([^)\s]+)\)", text):
            target = m.group(1).split("#")[0]
            if not target or re.match(r"[a-z]+:", target):
                continue
            base = house.root if target.startswith("/") else s.path.parent
            if not (base / target.lstrip("/")).exists():
                yield s.name, line_of(s.text, m.start()), f"the link leads nowhere: {target}"


def rule_changelog(house):
    """CHANGELOG.md has Unreleased on top."""
    s = house.sources.get("CHANGELOG.md")
    if s:
        first = next((x for x in s.lines if x.startswith("## ")), "")
        if first != "## Unreleased":
            yield s.name, 1, "the first section is not ## Unreleased"


def rule_headers_alone(house):
    """A public or internal header compiles alone."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    headers = house.under(".h", folder="src/")
    if not compiler or not headers:
        return
    fetched = Path(os.environ.get("INHOUSE_FETCHED") or house.root / "third_party" / ".fetched")
    flags = ["-x", "c", "-std=gnu17", "-fsyntax-only", "-D_GNU_SOURCE", "-I", str(house.root / "src")]
    for folder in ("sqlite", "microhttpd/include", "llama/include", "llama/ggml/include"):
        flags += ["-isystem", str(fetched / folder)]
    if house.build:
        flags += ["-I", str(house.build / "gen")]

    def compile_one(s):
        done = subprocess.run([compiler, *flags, "-include", str(s.path), "/dev/null"], capture_output=True, text=True)
        return s, done

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for s, done in pool.map(compile_one, headers):
            if done.returncode != 0:
                first = next((x for x in done.stderr.splitlines() if "error:" in x), done.stderr[:200])
                yield s.name, 1, f"does not compile alone: {first.split('error:')[-1].strip()}"


# ---------------------------------------------------------------- the command

RULES = {n[5:].replace("_", "-"): f for n, f in list(globals().items()) if n.startswith("rule_")}


def check(house):
    """All violations that are not waived, as (file, line, rule, message)."""
    found = []
    for rule, function in RULES.items():
        for name, line, message in function(house):
            source = house.sources.get(name)
            if not (source and source.waived(rule, line)):
                found.append((name, line, rule, message))
    return sorted(found)


def main():
    p = argparse.ArgumentParser(prog="tools/tidy.py", description=__doc__.split("\n")[0])
    p.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    p.add_argument("--build", type=Path)
    p.add_argument("--rules", action="store_true")
    options = p.parse_args()
    if options.rules:
        for rule, function in RULES.items():
            print(f"{rule:16} {function.__doc__}")
        return 0
    house = House(options.root.resolve(), options.build)
    found = check(house)
    for name, line, rule, message in found:
        print(f"{name}:{line}: {rule}: {message}")
    if not found:
        print(f"tidy: {len(house.sources)} files, {len(RULES)} rules: all hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
