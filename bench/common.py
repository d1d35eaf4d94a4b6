# SPDX-License-Identifier: Apache-2.0
"""What the measurements share: where things lie, HTTP over the Unix socket, our server started and stopped.

Everything listens on loopback or a socket file; only processes started here are ended, by their number.
"""
import concurrent.futures
import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("INHOUSE_BUILD", ROOT / "build"))
FETCHED = Path(os.environ.get("INHOUSE_FETCHED", ROOT / "third_party/.fetched"))
DATA = Path(os.environ.get("INHOUSE_DATA", ROOT / "../shared/data"))
LIGHT = FETCHED / "models/smollm2-135m-instruct-q4_1.gguf"
HEAVY = FETCHED / "models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
EMBED = FETCHED / "models/all-MiniLM-L6-v2"
SELF = os.environ.get("INHOUSE_BENCH_PEER") == "self"


def need(*files):
    """Ends the program with 77 (skipped) when one of them is not there."""
    for file in files:
        if not Path(file).exists():
            print("%s is missing (make setup, make build, make bench-peers): skipped" % file)
            sys.exit(77)


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(600)
        self.sock.connect(self.path)


def call(connection, method, path, body=None, kind="application/json", headers=None):
    connection.request(method, path, body, {**({"Content-Type": kind} if body else {}), **(headers or {})})
    reply = connection.getresponse()
    data = reply.read()
    if reply.status >= 300:
        raise RuntimeError("%s %s: %d %s" % (method, path, reply.status, data[:300]))
    return json.loads(data) if data else None


def wait_for(ready, process, seconds=120, every=0.05):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("the server ended with status %d" % process.returncode)
        try:
            if ready():
                return
        except (OSError, RuntimeError, http.client.HTTPException):
            pass
        time.sleep(every)
    raise RuntimeError("the server was not ready in %d s" % seconds)


def drive(ask, items, parallel):
    """Asks all items, `parallel` at a time; returns seconds and the answers."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        answers = list(pool.map(ask, items))
    return time.monotonic() - start, answers


def row(name, ours, peer, ratio, target, ok):
    print("row %s ours %s peer %s ratio %.2f target %s %s" % (name, ours, peer, ratio, target, "ok" if ok else "short"),
          flush=True)
    return ok


def quantile(values, share):
    """The smallest value that `share` of them do not pass."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class House:
    """Our server on a free port with any models and keys of teams, in a folder of its own; gone after `with`."""

    def __init__(self, config=""):
        self.config = config
        self.process = None

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix="ih-bench-"))
        self.socket = str(self.home / "sock")
        self.log = open(self.home / "log", "ab")
        self.env = {k: v for k, v in os.environ.items() if k != "INHOUSE_URL"}
        self.env["INHOUSE_HOME"] = str(self.home)
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.stop()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def command(self, *words):
        done = subprocess.run([str(BUILD / "bin/inhouse"), *map(str, words)], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError("inhouse %s: %s" % (" ".join(map(str, words)), done.stdout[-2000:]))
        return done.stdout

    def start(self, roles=("light",), every=0.05):
        """Serves; returns when each of the roles is ready, for which it looks every so many seconds. Again after stop()."""
        (self.home / "inhouse.yaml").write_text(self.config)
        self.process = subprocess.Popen([str(BUILD / "bin/inhoused"), "--home", str(self.home), "--listen", "127.0.0.1:0",
                                         "--config", str(self.home / "inhouse.yaml")],
                                        env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.ready(roles), self.process, every=every)

    def ready(self, roles):
        status = self.status()
        self.port = status["port"]
        return all(status["roles"][r]["state"] == "ready" for r in roles)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def call(self, *args):
        """As the folder's owner."""
        connection = Unix(self.socket)
        try:
            return call(connection, *args)
        finally:
            connection.close()

    def status(self):
        return self.call("GET", "/api/v1/status")

    def key(self, team, name=None):
        body = json.dumps({"name": name or team, "team": team, "role": "member"})
        return self.call("POST", "/api/v1/keys", body)["key"]

    def open(self, key, path, body):
        """Sends a POST with a team's key over TCP; the connection, its answer not yet read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer " + key,
                                                            "Content-Type": "application/json"})
        return connection

    def post(self, key, path, body):
        """Milliseconds and the JSON of a 2xx."""
        start = time.monotonic()
        connection = self.open(key, path, body)
        try:
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        if reply.status >= 300:
            raise RuntimeError("POST %s: %d %s" % (path, reply.status, data[:300]))
        return (time.monotonic() - start) * 1000, json.loads(data)


class LlamaServer:
    """The peer on a free port with its slots; gone after `with`."""

    def __init__(self, model, slots, context):
        self.options = ["-m", str(model), "-np", str(slots), "-c", str(context), "-t", str(os.cpu_count()), "--no-webui"]

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([str(FETCHED / "peers/llama-server"), "--host", "127.0.0.1", "--port", str(self.port),
                                         *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.call("GET", "/health") is not None, self.process)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def call(self, *args):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            return call(connection, *args)
        finally:
            connection.close()
