#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-learned: closed decisions once they are learned. Banking77 messages of the 12 most frequent intents into two
choices, queue (12) and priority (4), on inhouse with heads trained on the other messages, and on llama-server with 8
slots and a JSON schema of the same two fields (SmolLM2 135M, prompt and settings as in bench/form.py).

Ours goes through the whole server: one API request a task, identity, limits, the embedding model, the heads, and a
durable record each; reuse is off. The share whose embedding was needed is printed: heads answer from n-grams alone where
that loses nothing (docs/decisions/0168). The messages of the run are in no head: every k-th one is kept out of learning. Banking77
has no priorities: each intent is given one (PRIORITY), told to the peer in its prompt and learned by ours.
Both are started by this script on loopback or a socket file, run in turn, ROUNDS times each; the row has the medians of
tasks per hour. Accuracy of both is printed beside it, and how many of ours waited for a person.
INHOUSE_BENCH_PEER=self puts ours in the peer's place. Exit 0: the row holds; 1: short; 77: something needed is missing.
Usage: bench/learned.py [--rounds N] [--tasks N] [--repeat N]
"""
import argparse
import csv
import json
import statistics
import sys
import threading
from pathlib import Path

import common
import form

PRIORITY = {"activate_my_card": "low", "balance_not_updated_after_bank_transfer": "normal",
            "balance_not_updated_after_cheque_or_cash_deposit": "normal", "card_arrival": "normal",
            "card_payment_fee_charged": "normal", "card_payment_not_recognised": "urgent", "card_payment_wrong_exchange_rate": "high",
            "cash_withdrawal_charge": "normal", "cash_withdrawal_not_recognised": "urgent", "declined_cash_withdrawal": "high",
            "declined_card_payment": "high", "direct_debit_payment_not_recognised": "urgent", "extra_charge_on_statement": "high",
            "pending_cash_withdrawal": "normal", "reverted_card_payment?": "high", "Refund_not_showing_up": "high",
            "request_refund": "high", "transaction_charged_twice": "urgent", "transfer_fee_charged": "normal",
            "transfer_not_received_by_recipient": "high", "transfer_timing": "low", "wrong_amount_of_cash_received": "high",
            "wrong_exchange_rate_for_cash_withdrawal": "high", "exchange_charge": "low", "compromised_card": "urgent"}
PARALLEL = 64
EMBED = common.EMBED


def split(tasks):
    """Messages of the run, those to learn from, and the queues."""
    with open(common.DATA / "banking77/train.csv", encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    _, queues = form.messages(1)
    mine = [r for r in rows if r["category"] in queues]
    kept = {i * len(mine) // tasks for i in range(tasks)}
    return [mine[i] for i in sorted(kept)], [r for i, r in enumerate(mine) if i not in kept], queues


def priority(queue):
    return PRIORITY.get(queue, "normal")


class Ours:
    name = "inhouse"

    def __init__(self, past, queues, repeat):
        self.past, self.queues, self.repeat = past, queues, repeat
        self.house = common.House()
        self.local = threading.local()

    def __enter__(self):
        self.house.__enter__()
        if EMBED.is_dir():
            self.house.command("models", "import", EMBED, "--type", "q8_0")
        else:
            self.house.command("models", "add", EMBED, "--role", "embed")
        self.house.start(["embed"])
        lines = ["name: bench", "fields:", "  - name: queue", "    type: choice",
                 "    instruct: the team that should handle the message", "    labels:"]
        lines += ["      - %s" % json.dumps(q) for q in self.queues]
        lines += ["  - name: priority", "    type: choice", "    labels: [%s]" % ", ".join(form.PRIORITIES)]
        self.house.call("PUT", "/api/v1/workflows/bench", "\n".join(lines) + "\n", "application/yaml")
        file = self.house.home / "past.jsonl"
        file.write_text("".join(json.dumps({"id": "p%d" % i, "text": r["text"],
                                            "expected": {"queue": r["category"], "priority": priority(r["category"])}}) + "\n"
                                for i, r in enumerate(self.past)))
        self.house.command("learn", "bench", file)
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

    def ask(self, row):
        """Over a connection that each of our threads keeps."""
        if not hasattr(self.local, "connection"):
            self.local.connection = common.Unix(self.house.socket)
        body = json.dumps({"workflow": "bench", "input": {"text": row["text"]}, "rungs": ["learned"],
                           "draft": False, "artifact": False, "class": "workflow"})
        answer = common.call(self.local.connection, "POST", "/api/v1/tasks", body)
        return {**{f["name"]: f["value"] for f in answer["fields"]}, "_alone": answer["state"] == "done",
                "_embedded": answer["tokens_in"] > 0}

    def drive(self, rows):
        return common.drive(self.ask, rows * self.repeat, PARALLEL)


class Peer:
    name = "llama-server"

    def __init__(self, past, queues, repeat):
        self.queues = queues
        self.server = common.LlamaServer(common.LIGHT, 8, 8192)
        self.schema = {"type": "object", "additionalProperties": False, "required": ["queue", "priority"],
                       "properties": {"queue": {"enum": queues}, "priority": {"enum": form.PRIORITIES}}}
        about = "".join("- %s: %s\n" % (q, priority(q)) for q in queues)
        self.before = ("queue: the team that should handle the message\npriority: how soon it must be answered, by queue:\n%s\n%s"
                       % (about, form.BEFORE))

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def ask(self, row):
        body = json.dumps({
            "messages": [{"role": "system", "content": form.SYSTEM}, {"role": "user", "content": self.before + row["text"]}],
            "temperature": 0, "max_tokens": 80,
            "response_format": {"type": "json_schema", "json_schema": {"name": "form", "strict": True,
                                                                       "schema": self.schema}}})
        text = self.server.call("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"]
        try:
            return json.loads(text)
        except ValueError:
            return {}

    def drive(self, rows):
        return common.drive(self.ask, rows, 8)


def measure(kind, rows, past, queues, repeat):
    with kind(past, queues, repeat) as server:
        common.drive(server.ask, rows[:16], 8)  # warm
        seconds, answers = server.drive(rows)
    legal = [a for a in answers if a.get("queue") in queues and a.get("priority") in form.PRIORITIES]
    pairs = list(zip(answers, rows * (len(answers) // len(rows))))
    right = sum(a.get("queue") == r["category"] for a, r in pairs)
    both = sum(a.get("queue") == r["category"] and a.get("priority") == priority(r["category"]) for a, r in pairs)
    alone = [(a, r) for a, r in pairs if a.get("_alone", True)]
    wrong = sum(a.get("queue") != r["category"] for a, r in alone)
    n = len(answers)
    print("  %-12s %9.0f tasks/h  %d of %d legal  queue right %.1f %%  both right %.1f %%  answered alone %.1f %%, of those the "
          "queue wrong %.2f %%" % (kind.name, len(legal) / seconds * 3600, len(legal), n, 100 * right / n, 100 * both / n,
                                   100 * len(alone) / n, 100 * wrong / max(1, len(alone))), flush=True)
    if kind is Ours:
        light = [(a, r) for a, r in pairs if not a["_embedded"]]
        wrong = sum(a.get("queue") != r["category"] for a, r in light)
        print("  %-12s %.1f %% needed no embedding, of those the queue wrong %.2f %%"
              % ("", 100 * len(light) / n, 100 * wrong / max(1, len(light))), flush=True)
    return len(legal) / seconds * 3600


def main():
    global EMBED
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=16, help="ours answers the messages so many times a round")
    parser.add_argument("--embed", type=Path, default=EMBED, help="folder or GGUF of the embedding model")
    args = parser.parse_args()
    EMBED = args.embed
    peer = Ours if common.SELF else Peer
    common.need(common.DATA / "banking77/train.csv", common.BUILD / "bin/inhoused", EMBED,
                *([] if common.SELF else [common.LIGHT, common.FETCHED / "peers/llama-server"]))
    rows, past, queues = split(args.tasks)
    print("%d messages, %d others to learn from, %d queues" % (len(rows), len(past), len(queues)), flush=True)
    ours, theirs = [], []
    for _ in range(args.rounds):
        for kind, out in ((Ours, ours), (peer, theirs)):
            out.append(measure(kind, rows, past, queues, args.repeat))
    a, b = statistics.median(ours), statistics.median(theirs)
    print("spread ours %.0f..%.0f peer %.0f..%.0f" % (min(ours), max(ours), min(theirs), max(theirs)))
    held = common.row("learned", "%.0f" % a, "%.0f" % b, a / b, 100, a / b >= 100)
    return 0 if held or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
