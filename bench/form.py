#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-form: Banking77 messages into a form (queue of 12, priority of 4, summary of at most 80 characters) on one
model, learned rung off (code may copy a line where the written one is refused): inhouse against llama-server with 8
slots and a JSON schema, same model file, same prompt. Row form-small: SmolLM2 135M, 128 messages, target 4; row
form-large: Qwen2.5 1.5B, 64 messages, target 2.5.

Both are started by this script on loopback or a socket file, run in turn, ROUNDS times each; a row has the medians of
tasks per hour. Both answers are checked: a task counts only if its fields are legal. INHOUSE_BENCH_PEER=self puts ours
in the peer's place. Exit 0: the rows hold; 1: short; 77: something needed is missing.
Usage: bench/form.py [--rounds N] [--only form-small|form-large] [--model FILE]
"""
import argparse
import concurrent.futures
import csv
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("INHOUSE_BUILD", ROOT / "build"))
FETCHED = Path(os.environ.get("INHOUSE_FETCHED", ROOT / "third_party/.fetched"))
DATA = Path(os.environ.get("INHOUSE_DATA", ROOT / "../shared/data"))
SUMMARY = 80
PRIORITIES = ["urgent", "high", "normal", "low"]
SYSTEM = "You sort support tickets for a bank's help desk. Answer with the form and nothing else."
ABOUT = ("queue: the team that should handle the message\npriority: how soon it must be answered\n"
         "summary: what the customer wants, in one short line\n")
BEFORE = "Fill in the form for this message.\n\nMessage:\n"  # what differs comes last


def messages(tasks):
    """Messages of the 12 most frequent intents, spread over the file."""
    with open(DATA / "banking77/train.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    counts = {}
    for r in rows:
        counts[r["category"]] = counts.get(r["category"], 0) + 1
    queues = sorted(sorted(counts, key=lambda c: (-counts[c], c))[:12])
    mine = [r for r in rows if r["category"] in queues]
    return [mine[i * len(mine) // tasks] for i in range(tasks)], queues


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(600)
        self.sock.connect(self.path)


def call(connection, method, path, body=None, kind="application/json"):
    connection.request(method, path, body, {"Content-Type": kind} if body else {})
    reply = connection.getresponse()
    data = reply.read()
    if reply.status >= 300:
        raise RuntimeError("%s %s: %d %s" % (method, path, reply.status, data[:300]))
    return json.loads(data) if data else None


def wait_for(ready, process, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("the server ended with status %d" % process.returncode)
        try:
            if ready():
                return
        except (OSError, RuntimeError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise RuntimeError("the server was not ready in %d s" % seconds)


def drive(ask, items, parallel):
    """Asks all items, `parallel` at a time; returns seconds and the answers."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        answers = list(pool.map(ask, items))
    return time.monotonic() - start, answers


def legal(a, queues):
    return (a.get("queue") in queues and a.get("priority") in PRIORITIES
            and isinstance(a.get("summary"), str) and len(a["summary"]) <= SUMMARY)


class Ours:
    name = "inhouse"

    def __init__(self, model, queues, home):
        self.socket = str(home / "sock")
        self.log = open(home / "log", "ab")
        inhouse = str(BUILD / "bin/inhouse")
        env = dict(os.environ, INHOUSE_HOME=str(home))
        subprocess.run([inhouse, "models", "add", str(model), "--role", "light"], env=env, check=True,
                       stdout=self.log, stderr=self.log)
        self.process = subprocess.Popen([str(BUILD / "bin/inhoused"), "--home", str(home), "--listen", "127.0.0.1:0"], env=env,
                                        stdout=self.log, stderr=self.log)
        wait_for(lambda: self.call("GET", "/health/ready") is not None and self.light(), self.process)
        self.call("PUT", "/api/v1/workflows/bench", self.workflow(queues), "application/yaml")

    def light(self):
        return self.call("GET", "/api/v1/status")["roles"]["light"]["state"] == "ready"

    def call(self, *args):
        connection = Unix(self.socket)
        try:
            return call(connection, *args)
        finally:
            connection.close()

    @staticmethod
    def workflow(queues):
        lines = ["name: bench", "fields:", "  - name: queue", "    type: choice",
                 "    instruct: the team that should handle the message", "    labels:"]
        lines += ["      - " + q for q in queues]
        lines += ["  - name: priority", "    type: choice", "    instruct: how soon it must be answered",
                  "    labels: [%s]" % ", ".join(PRIORITIES), "  - name: summary", "    type: line",
                  "    max_chars: %d" % SUMMARY, "    instruct: what the customer wants, in one short line",
                  "prompt:", "  system: %s" % json.dumps(SYSTEM), "  prefix: %s" % json.dumps(BEFORE)]
        return "\n".join(lines) + "\n"

    def ask(self, row):
        body = json.dumps({"workflow": "bench", "input": {"text": row["text"]}, "rungs": ["rule", "light"],
                           "draft": False, "artifact": False, "class": "workflow"})
        answer = self.call("POST", "/api/v1/tasks", body)
        return {f["name"]: f["value"] for f in answer["fields"]}

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


class Peer:
    name = "llama-server"

    def __init__(self, model, queues, home):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = open(home / "log", "ab")
        self.schema = {"type": "object", "additionalProperties": False,
                       "required": ["queue", "priority", "summary"],
                       "properties": {"queue": {"enum": queues}, "priority": {"enum": PRIORITIES},
                                      "summary": {"type": "string", "maxLength": SUMMARY}}}
        self.process = subprocess.Popen(
            [str(FETCHED / "peers/llama-server"), "-m", str(model), "--host", "127.0.0.1", "--port", str(self.port),
             "-np", "8", "-c", "8192", "-t", str(os.cpu_count()), "--no-webui"], stdout=self.log, stderr=self.log)
        wait_for(lambda: self.call("GET", "/health") is not None, self.process)

    def call(self, *args):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            return call(connection, *args)
        finally:
            connection.close()

    def ask(self, row):
        body = json.dumps({
            "messages": [{"role": "system", "content": SYSTEM},
                         {"role": "user", "content": ABOUT + "\n" + BEFORE + row["text"]}],
            "temperature": 0, "max_tokens": 160,
            "response_format": {"type": "json_schema", "json_schema": {"name": "form", "strict": True,
                                                                       "schema": self.schema}}})
        text = self.call("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"]
        try:
            return json.loads(text)
        except ValueError:
            return {}

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def measure(kind, model, rows, queues):
    with tempfile.TemporaryDirectory(prefix="bench-triage-") as home:
        server = kind(model, queues, Path(home))
        try:
            drive(server.ask, rows[:2], 2)  # warm
            seconds, answers = drive(server.ask, rows, 8 if kind is Peer else 32)
        finally:
            server.stop()
    good = sum(legal(a, queues) for a in answers)
    right = sum(a.get("queue") == r["category"] for a, r in zip(answers, rows))
    return good / seconds * 3600, good, right


ROWS = {"form-small": ("models/smollm2-135m-instruct-q4_1.gguf", 128, 4.0),
        "form-large": ("models/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 64, 2.5)}


def row(name, model, tasks, target, peer, rounds):
    rows, queues = messages(tasks)
    ours, theirs = [], []
    for n in range(rounds):
        for kind, out in ((Ours, ours), (peer, theirs)):
            rate, good, right = measure(kind, model, rows, queues)
            out.append(rate)
            print("%s round %d %-12s %8.0f tasks/h  %d of %d legal  %d with the right queue"
                  % (name, n + 1, kind.name, rate, good, tasks, right), flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print("spread ours %.0f..%.0f peer %.0f..%.0f" % (min(ours), max(ours), min(theirs), max(theirs)))
    ok = a / b >= target
    print("row %s ours %.0f peer %.0f ratio %.2f target %.1f %s"
          % (name, a, b, a / b, target, "ok" if ok else "short"), flush=True)
    return ok


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(ROWS))
    parser.add_argument("--model", type=Path, help="instead of the row's own")
    args = parser.parse_args()
    peer = Ours if os.environ.get("INHOUSE_BENCH_PEER") == "self" else Peer
    chosen = {n: r for n, r in ROWS.items() if args.only in (None, n)}
    needed = [args.model or FETCHED / r[0] for r in chosen.values()]
    needed += [DATA / "banking77/train.csv", BUILD / "bin/inhoused"]
    needed += [FETCHED / "peers/llama-server"] if peer is Peer else []
    for file in needed:
        if not file.exists():
            print("%s is missing (make setup, make build, make bench-peers): skipped" % file)
            return 77
    held = [row(n, args.model or FETCHED / r[0], r[1], r[2], peer, args.rounds) for n, r in chosen.items()]
    return 0 if all(held) or peer is Ours else 1


if __name__ == "__main__":
    sys.exit(main())
