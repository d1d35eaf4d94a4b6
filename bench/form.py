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
import csv
import json
import statistics
import sys
from pathlib import Path

import common

SUMMARY = 80
PRIORITIES = ["urgent", "high", "normal", "low"]
SYSTEM = "You sort support tickets for a bank's help desk. Answer with the form and nothing else."
ABOUT = ("queue: the team that should handle the message\npriority: how soon it must be answered\n"
         "summary: what the customer wants, in one short line\n")
BEFORE = "Fill in the form for this message.\n\nMessage:\n"  # what differs comes last


def messages(tasks):
    """Messages of the 12 most frequent intents, spread over the file."""
    with open(common.DATA / "banking77/train.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    counts = {}
    for r in rows:
        counts[r["category"]] = counts.get(r["category"], 0) + 1
    queues = sorted(sorted(counts, key=lambda c: (-counts[c], c))[:12])
    mine = [r for r in rows if r["category"] in queues]
    return [mine[i * len(mine) // tasks] for i in range(tasks)], queues


def legal(a, queues):
    return (a.get("queue") in queues and a.get("priority") in PRIORITIES
            and isinstance(a.get("summary"), str) and len(a["summary"]) <= SUMMARY)


class Ours:
    name = "inhouse"

    def __init__(self, model, queues):
        self.house = common.House()
        self.model = model
        self.queues = queues

    def __enter__(self):
        self.house.__enter__()
        self.house.command("models", "add", self.model, "--role", "light")
        self.house.start(["light"])
        self.house.call("PUT", "/api/v1/workflows/bench", self.workflow(self.queues), "application/yaml")
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

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
        answer = self.house.call("POST", "/api/v1/tasks", body)
        return {f["name"]: f["value"] for f in answer["fields"]}


class Peer:
    name = "llama-server"

    def __init__(self, model, queues):
        self.server = common.LlamaServer(model, 8, 8192)
        self.schema = {"type": "object", "additionalProperties": False,
                       "required": ["queue", "priority", "summary"],
                       "properties": {"queue": {"enum": queues}, "priority": {"enum": PRIORITIES},
                                      "summary": {"type": "string", "maxLength": SUMMARY}}}

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def ask(self, row):
        body = json.dumps({
            "messages": [{"role": "system", "content": SYSTEM},
                         {"role": "user", "content": ABOUT + "\n" + BEFORE + row["text"]}],
            "temperature": 0, "max_tokens": 160,
            "response_format": {"type": "json_schema", "json_schema": {"name": "form", "strict": True,
                                                                       "schema": self.schema}}})
        text = self.server.call("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"]
        try:
            return json.loads(text)
        except ValueError:
            return {}


def measure(kind, model, rows, queues):
    with kind(model, queues) as server:
        common.drive(server.ask, rows[:2], 2)  # warm
        seconds, answers = common.drive(server.ask, rows, 8 if kind is Peer else 32)
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
    return common.row(name, "%.0f" % a, "%.0f" % b, a / b, target, a / b >= target)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(ROWS))
    parser.add_argument("--model", type=Path, help="instead of the row's own")
    args = parser.parse_args()
    peer = Ours if common.SELF else Peer
    chosen = {n: r for n, r in ROWS.items() if args.only in (None, n)}
    common.need(common.DATA / "banking77/train.csv", common.BUILD / "bin/inhoused",
                *(args.model or common.FETCHED / r[0] for r in chosen.values()),
                *([] if common.SELF else [common.FETCHED / "peers/llama-server"]))
    held = [row(n, args.model or common.FETCHED / r[0], r[1], r[2], peer, args.rounds) for n, r in chosen.items()]
    return 0 if all(held) or peer is Ours else 1


if __name__ == "__main__":
    sys.exit(main())
