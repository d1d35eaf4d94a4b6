#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reproducible lane on a real model: chats, JSON schemas and forms are asked alone, again while eight other clients keep
the model busy, and again after a restart. Every answer must be the same, byte for byte, digits of probabilities included.
REPLAY_COUNT requests (default 24; 500 is the claim), REPLAY_TOKENS each; REPLAY_MODEL another model file."""
import json
import os
import sqlite3
import sys
import threading
import time
import unittest
from pathlib import Path

import e2e

COUNT = int(os.environ.get("REPLAY_COUNT", "24"))
TOKENS = int(os.environ.get("REPLAY_TOKENS", "10"))
MODEL = Path(os.environ.get("REPLAY_MODEL") or e2e.LIGHT)
CLIENTS = 8
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["colour", "count"],
          "properties": {"colour": {"enum": ["red", "green", "blue"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}}}
FORM = """name: tickets
fields:
  - name: team
    type: choice
    labels: [billing, card lost, card stolen, login]
  - name: priority
    type: choice
    labels: [urgent, normal, low]
  - name: summary
    type: line
    max_chars: 30
    instruct: what the customer wants
"""
THINGS = ["lamp", "card", "ship", "invoice", "password", "garden", "ticket"]


def request(i):
    """The i-th request: how to ask it, and its body."""
    text = f"{THINGS[i % 7].capitalize()} number {i}: it arrived broken and nobody answers."
    if i % 3 == 2:
        return "task", {"workflow": "tickets", "input": {"text": text}, "rungs": ["rule", "light"], "draft": False,
                        "artifact": False, "reproducible": True, "seed": i, "class": ["interactive", "workflow"][i % 2]}
    body = {"model": "light", "messages": [{"role": "user", "content": "Write about this. " + text}], "temperature": 0.8,
            "seed": 1000 + i, "reproducible": True, "max_tokens": TOKENS, "logprobs": True, "top_logprobs": 2}
    if i % 3 == 1:
        body.update(messages=[{"role": "user", "content": text + " Which colour, how many? Answer as JSON."}], max_tokens=40,
                    response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})
    return "chat", body


def ask(s, i):
    """What of the answer must not change, as text."""
    kind, body = request(i)
    status, answer = s.call("POST", "/api/v1/tasks" if kind == "task" else "/v1/chat/completions", body)
    assert status == 200, answer
    kept = ["choices", "usage", "system_fingerprint", "model"] if kind == "chat" else \
        ["fields", "reproducible", "releases", "tokens_in", "tokens_cached", "tokens_out", "state"]
    return json.dumps({k: answer[k] for k in kept}, sort_keys=True)


class Load:
    """Other clients, generating all the time."""

    def __init__(self, s):
        self.s = s
        self.over = threading.Event()
        self.asked = 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]

    def run(self, i):
        while not self.over.is_set():
            status, _ = self.s.chat(f"Client {i}: tell me about {THINGS[i % 7]} {self.asked}.", max_tokens=48, temperature=1)
            assert status == 200
            self.asked += 1

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join()


class Replay(unittest.TestCase):
    def timed(self, name, s, threads):
        start = time.monotonic()
        got = e2e.at_once(lambda i: ask(s, i), list(range(COUNT)), threads=threads)
        for one in got:
            if isinstance(one, Exception):
                raise one
        print(f"{name}: {COUNT} requests in {time.monotonic() - start:.1f} s", flush=True)
        return got

    def refused(self, s, path, body, status, param, code):
        got = s.call("POST", path, body)
        error = got[1]["error"]
        self.assertEqual((got[0], error["param"], error["code"]), (status, param, code), error)

    def test_the_same_bytes_at_any_load_and_after_a_restart(self):
        def prepare(s):
            done = e2e.inhouse("models", "add", MODEL, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
        config = "engine: {threads: 2}\nmodels: {n_ctx_light: 4096}\n"
        with e2e.House(options=["--engine", "llama"], config=config, prepare=prepare) as s:
            self.assertEqual(s.call("PUT", "/api/v1/workflows/tickets", FORM)[0], 200)
            alone = self.timed("alone", s, 1)
            with Load(s) as load:
                busy = self.timed("under load", s, 4)
            self.assertGreater(load.asked, 0)
            self.assertEqual(s.stop(), 0)
            s.start()
            after = self.timed("after a restart", s, 2)
            equal = sum(a == b == c for a, b, c in zip(alone, busy, after))
            print(f"{equal} of {COUNT} equal byte for byte, three times; {load.asked} other answers meanwhile", flush=True)
            for i, (a, b, c) in enumerate(zip(alone, busy, after)):
                self.assertEqual(a, b, f"request {i} under load")
                self.assertEqual(a, c, f"request {i} after the restart")
            self.assertGreater(len(set(alone)), COUNT * 0.9, "they must differ from each other")
            # another seed draws another answer
            _, body = request(0)
            other = [s.call("POST", "/v1/chat/completions", dict(body, seed=k))[1]["choices"] for k in range(4)]
            self.assertGreater(len({json.dumps(o) for o in other}), 2)
            self.recorded(s)
            self.command(s)
            self.not_supported(s)

    def command(self, s):
        """The command's own way over the record: what can be replayed is equal; JSON schemas are said to be beyond it."""
        done = e2e.inhouse("audit", "replay", "--json", "--limit", str(COUNT), home=s.home, timeout=3600)
        got = json.loads(done.stdout)
        print(f"inhouse audit replay: {got['equal']} of {got['equal'] + got['differ']} equal, {got['cannot']} cannot", flush=True)
        self.assertEqual((done.returncode, got["differ"], got["equal"] + got["cannot"]), (0, 0, COUNT), done.stderr)
        self.assertGreaterEqual(got["equal"], COUNT // 2)

    def recorded(self, s):
        """What a replay needs is in the record."""
        kind, body = request(2)
        status, task = s.call("POST", "/api/v1/tasks", body)
        print_ = task["reproducible"]["fingerprints"]["light"]
        self.assertRegex(print_, r"^fp_[0-9a-f]{16}$")
        self.assertEqual((task["reproducible"]["seed"], task["reproducible"]["now"]), (2, 1767225600))
        leaf = s.records(task["id"])[-1]
        leaf = leaf.get("leaf", leaf)
        self.assertIn(print_, leaf["releases"])
        self.assertIn(task["releases"]["model.light"], leaf["releases"])
        with sqlite3.connect(f"file:{s.home}/data.db?mode=ro", uri=True) as db:
            rows = [json.loads(r[0]) for r in db.execute("SELECT replay FROM task WHERE replay <> ''")]
            plain = db.execute("SELECT count(*) FROM task WHERE replay = ''").fetchone()[0]
        self.assertEqual({r["fingerprints"]["light"] for r in rows}, {print_})
        self.assertEqual(len({r["build"] for r in rows}), 1)
        self.assertGreaterEqual(len(rows), 3 * COUNT)
        self.assertGreater(plain, 0)

    def not_supported(self, s):
        _, task = request(2)
        _, chat = request(0)
        unseeded = {k: v for k, v in chat.items() if k != "seed"}
        self.refused(s, "/v1/chat/completions", unseeded, 400, "seed", "bad_request")
        self.refused(s, "/v1/chat/completions", dict(chat, now="today"), 400, "now", "bad_request")
        self.refused(s, "/v1/chat/completions", dict(chat, reproducible="yes"), 400, "reproducible", "bad_request")
        self.refused(s, "/api/v1/tasks", {k: v for k, v in task.items() if k != "seed"}, 400, "seed", "bad_request")
        self.refused(s, "/api/v1/tasks", {k: v for k, v in task.items() if k != "reproducible"}, 400, "seed", "bad_request")
        self.refused(s, "/api/v1/tasks", dict(task, rungs=["reuse", "light"]), 400, "rungs", "bad_request")
        self.refused(s, "/v1/embeddings", {"model": "embed", "input": "x", "reproducible": True}, 400, "reproducible",
                     "unsupported")


if __name__ == "__main__":
    if not MODEL.is_file():
        print(f"skipped: needs {MODEL.name}: make setup")
        sys.exit(77)
    e2e.main()
