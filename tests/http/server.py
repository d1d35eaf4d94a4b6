# SPDX-License-Identifier: Apache-2.0
"""inhoused on the fake engine for a test: a data folder of its own, a free port, an admin key. Always ends cleanly.

    with Server() as s:
        s.port, s.key, s.call("GET", "/api/v1/status"), s.raw(b"GET / HTTP/1.1...")
"""
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build")
SOURCE = Path(os.environ.get("INHOUSE_SOURCE") or Path(__file__).resolve().parents[2])
INHOUSED = BUILD / "bin" / "inhoused"


def need_programs():
    for name in ("inhoused", "inhouse-worker"):
        if not (BUILD / "bin" / name).is_file():
            print(f"skipped: {name} is not built in {BUILD}/bin")
            sys.exit(77)


class Local(http.client.HTTPConnection):
    """HTTP over the Unix socket of the data folder."""

    def __init__(self, path, timeout=60):
        super().__init__("local", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    def __init__(self, options=(), config=None, ready=True, prepare=None):
        """ready: wait for a model, else only for an answer. prepare(server): before the first start."""
        self.options = list(options)
        self.text = config
        self.ready = ready
        self.prepare = prepare
        self.process = None
        self.key = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ih-"))
        self.home = self.folder / "h"
        try:
            if self.prepare:
                self.prepare(self)
            self.start()
            status, made = self.call("POST", "/api/v1/keys", {"name": "test", "role": "admin"})
            assert status == 201, made
            self.key = made["key"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        command = [str(INHOUSED), "--home", str(self.home), "--engine", "fake", "--listen", "127.0.0.1:0"]
        if self.text is not None:
            config = self.folder / "inhouse.yaml"
            config.write_text(self.text)
            command += ["--config", str(config)]
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command + self.options, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.said()}")
            try:
                if self.call("GET", "/health/ready" if self.ready else "/health")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        else:
            raise RuntimeError(f"not ready within 30 s:\n{self.said()}")
        self.port = self.call("GET", "/api/v1/status")[1]["port"]

    def said(self):
        return (self.folder / "log").read_text(errors="replace")[-6000:]

    def call(self, method, path, body=None, headers=None, local=True):
        """One request; returns the status and the parsed answer. local: over the Unix socket, as administrator."""
        c = Local(self.home / "sock") if local else http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        sent = dict(headers or {})
        if not local and self.key and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {self.key}"
        try:
            c.request(method, path, data.encode() if isinstance(data, str) else data, sent)
            r = c.getresponse()
            text = r.read()
            self.headers = dict((k.lower(), v) for k, v in r.getheaders())
            return r.status, json.loads(text) if text else None
        finally:
            c.close()

    def raw(self, data, wait=1.0, close=False):
        """Sends bytes over TCP; returns what came back until it is quiet for `wait` seconds or closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            try:
                s.sendall(data)
                if close:
                    s.shutdown(socket.SHUT_WR)
                s.settimeout(wait)
                got = b""
                while True:
                    part = s.recv(65536)
                    if not part:
                        return got
                    got += part
            except (TimeoutError, ConnectionError):
                return locals().get("got", b"")

    def wait_job(self, job, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status, j = self.call("GET", f"/api/v1/jobs/{job}")
            assert status == 200, j
            if j["state"] != "running":
                return j
            time.sleep(0.1)
        raise RuntimeError(f"job {job} still runs")

    def stop(self, seconds=30):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server did not stop:\n{self.said()}")
        finally:
            self.process = None
            self.log.close()

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
