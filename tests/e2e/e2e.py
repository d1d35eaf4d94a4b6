# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a server that can be killed, many clients at once, the record, the command line.

The server itself is tests/http/server.py. Everything listens on loopback or a Unix socket; only processes that were
started here, or are children of one, are ever killed, by their number.
"""
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))
import server  # noqa: E402

BUILD = server.BUILD
SOURCE = server.SOURCE
INHOUSE = BUILD / "bin" / "inhouse"
FETCHED = Path(os.environ.get("INHOUSE_FETCHED") or SOURCE / "third_party" / ".fetched")
LIGHT = FETCHED / "models" / "smollm2-135m-instruct-q4_1.gguf"
FORM = """name: colours
title: Sort by colour
fields:
  - name: colour
    type: choice
    labels: [red, green, blue, yellow]
  - name: mood
    type: choice
    labels: [calm, angry]
"""


class House(server.Server):
    """A server with the form `colours`, that may be killed and started again."""

    def __enter__(self):
        super().__enter__()
        try:
            status, answer = self.call("PUT", "/api/v1/workflows/colours", FORM)
            assert status == 200, answer
        except BaseException:
            self.__exit__()
            raise
        return self

    def status(self):
        return self.call("GET", "/api/v1/status")[1]

    def worker(self, role="light"):
        return self.status()["roles"][role]["pid"]

    def wait(self, true, seconds=20, what="it"):
        """Asks the status until `true` holds of it; returns that status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = self.status()
            if true(got):
                return got
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen within {seconds} s: {json.dumps(got)}\n{self.said()}")

    def kill(self):
        """kill -9 of the server; its workers must end by themselves."""
        pids = [r["pid"] for r in self.status()["roles"].values() if r["pid"]]
        self.kill_now()
        end = time.monotonic() + 10
        while time.monotonic() < end and any(alive(p) for p in pids):
            time.sleep(0.02)
        assert not any(alive(p) for p in pids), f"workers outlive their server: {pids}"

    def kill_now(self):
        self.process.kill()
        self.process.wait()
        self.process = None
        self.log.close()

    def chat(self, text, model="light", local=True, **more):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.call("POST", "/v1/chat/completions", body, local=local)

    def task(self, text, key=None, **more):
        body = {"workflow": "colours", "input": {"text": text}, "artifact": False, **more}
        return self.call("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": key} if key else None)

    def records(self, task=None):
        """All leaves of the log, or those of one task."""
        leaves, at = [], 0
        while at is not None:
            about = f"task={task}&" if task else ""
            got = self.call("GET", f"/api/v1/audit/records?{about}from={at}&limit=100")[1]
            leaves += got["records"]
            at = got["next"]
        return leaves

    def verify(self):
        """`inhouse audit verify --json` on the data folder: needs no server."""
        done = inhouse("audit", "verify", "--json", home=self.home)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def stream(self, text, **more):
        return Stream(self, {"model": "light", "stream": True, "messages": [{"role": "user", "content": text}], **more})


class Stream:
    """A streamed chat on a socket of its own, read as slowly as the test likes."""

    def __init__(self, house, body, receive=None):
        data = json.dumps(body).encode()
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", house.port))
        self.socket.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\n"
                             f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data)
        self.got = b""

    def read_until(self, mark):
        while mark not in self.got:
            part = self.socket.recv(65536)
            if not part:
                return False
            self.got += part
        return True

    def read_all(self):
        while part := self.socket.recv(65536):
            self.got += part
        return self.got

    def close(self):
        self.socket.close()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def inhouse(*arguments, home, timeout=120, env=None, stdin=None):
    """Runs the command line on a data folder."""
    told = {k: v for k, v in os.environ.items() if k not in ("INHOUSE_URL", "INHOUSE_API_KEY")}
    told.update({"INHOUSE_HOME": str(home)}, **(env or {}))
    return subprocess.run([str(INHOUSE), *map(str, arguments)], env=told, capture_output=True, text=True,
                          errors="replace", timeout=timeout, input=stdin)


def at_once(work, items, threads=32):
    """work(item) of every item, by so many threads; returns the results in order, exceptions as such."""
    results = [None] * len(items)
    left = list(enumerate(items))[::-1]
    lock = threading.Lock()

    def one():
        while True:
            with lock:
                if not left:
                    return
                i, item = left.pop()
            try:
                results[i] = work(item)
            except Exception as e:  # a broken connection is a result here
                results[i] = e
    workers = [threading.Thread(target=one) for _ in range(min(threads, len(items)))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return results


def main():
    server.need_programs()
    sys.exit(0 if unittest.main(module="__main__", verbosity=2, exit=False).result.wasSuccessful() else 1)


CONNECTION_ERRORS = (OSError, http.client.HTTPException)
