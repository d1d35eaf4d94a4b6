# SPDX-License-Identifier: Apache-2.0
"""A real server for a test: a data folder of its own, a free port, a key, and an end that is always clean.

    with House("fake") as house:
        house.url, house.key, house.command("keys", "list")

Owns its data folder and its server process; both are gone afterwards. The server's log is shown if it does not start
or does not stop. Threads: none.
"""
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BUILD = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build")
FETCHED = Path(os.environ.get("INHOUSE_FETCHED") or Path(__file__).resolve().parents[2] / "third_party" / ".fetched")
LIGHT = FETCHED / "models" / "smollm2-135m-instruct-q4_1.gguf"
EMBED = FETCHED / "models" / "all-MiniLM-L6-v2"
START_SECONDS = 60
STOP_SECONDS = 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class House:
    def __init__(self, engine):
        self.engine = engine
        self.home = None
        self.server = None
        self.log = None

    def __enter__(self):
        self.home = Path(tempfile.mkdtemp(prefix="inhouse-test-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = self.home / "inhouse.yaml"
        self.config.write_text(f"listen:\n  port: {self.port}\nengine:\n  kind: {self.engine}\n  threads: 1\n"
                               "models:\n  n_ctx_light: 1024\n")
        self.data = self.home / "data"
        self.env = {k: v for k, v in os.environ.items() if k != "INHOUSE_URL"}
        self.env["INHOUSE_HOME"] = str(self.data)
        try:
            if self.engine == "llama":
                self.command("models", "add", str(LIGHT))
                self.command("models", "import", str(EMBED))
            self.start()
            self.key = self.local("POST", "/api/v1/keys", {"name": "openai-test"})["key"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def local(self, method, path, body=None):
        """Asks over the data folder's own socket, as its owner; returns the JSON of a 2xx."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.data / "sock"))
        connection.request(method, path, body=json.dumps(body) if body is not None else None,
                           headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]}")
        return json.loads(text)

    def command(self, *arguments):
        """Runs the command line against this data folder; returns what it printed."""
        done = subprocess.run([str(BUILD / "bin" / "inhouse"), *arguments], env=self.env, capture_output=True,
                              text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"inhouse {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        self.log = open(self.home / "log", "wb")
        self.server = subprocess.Popen([str(BUILD / "bin" / "inhoused"), "--config", str(self.config)],
                                       env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.server.poll() is not None:
                raise RuntimeError(f"the server ended with {self.server.returncode}:\n{self.said()}")
            try:
                urllib.request.urlopen(self.url + "/health/ready", timeout=2).close()
                return
            except urllib.error.HTTPError as e:
                e.close()
                if e.code != 503:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the server did not answer within {START_SECONDS} s:\n{self.said()}")

    def said(self):
        return (self.home / "log").read_text(errors="replace")[-4000:]

    def stop(self):
        """Ends the server as an operator does; returns its exit code."""
        if self.server is None:
            return None
        if self.server.poll() is None:
            self.server.terminate()
        try:
            code = self.server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS} s of SIGTERM:\n{self.said()}")
        finally:
            self.log.close()
            self.server = None
        return code

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)
