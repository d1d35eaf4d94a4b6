#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-speculate: n-gram guesses on (ours) against off (peer), same server, same model file, one client. First row: 20
pieces of work that copy much of their prompt; second row: free writing, where guesses must cost nothing.

Both servers are started by this script and asked in turn, each prompt of one by the other, ROUNDS times; a figure is tokens
per second over all prompts of a round, the row has the medians. Temperature 0. Of the texts of both sides it says how many are equal:
all, but where the last bits of a logit decide between two tokens. INHOUSE_BENCH_PEER=self puts ours in the peer's place.
Exit 0: both rows hold; 1: short; 77: something needed is missing.
Usage: bench/speculate.py [--rounds N] [--model FILE] [--tokens N] [--threads N] [--every N]
"""
import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import common

TARGETS = {"speculate": 1.2, "speculate-plain": 0.97}
TICKETS = [
    "Hello,\nthe invoice 2026-118 of 12 March names the wrong street. Our office moved to 14 Canal Street in January. Please send a "
    "corrected invoice to accounts before Friday, because the payment run is on Monday.\nBest regards\nMara Meier",
    "Good morning,\nsince the update of 3 May nobody on the second floor can print. The printer shows error 49.4C02 and restarts. "
    "We have tried the other cable and another driver. Could somebody come before noon?\nThanks\nJonas",
    "Hi team,\nmy card was charged twice on 21 April for order 88213, once 49.90 and once 52.40. The shop says that only one payment "
    "arrived. Please refund the second one and tell me how long it takes.\nKind regards\nPriya",
    "Dear support,\nthe lift in building C stops between floors two and three since Monday morning. Two people waited forty minutes on "
    "7 June. Please block it until it is repaired and put up a sign.\nYours\nOle Hansen",
]
RECORDS = [
    {"id": 4711, "status": "open", "owner": "mara", "queue": "billing", "tags": ["invoice", "address"], "opened": "2026-03-12",
     "title": "Invoice names the wrong street", "priority": "normal"},
    {"id": 4712, "status": "open", "owner": "jonas", "queue": "devices", "tags": ["printer", "error"], "opened": "2026-05-03",
     "title": "Nobody on the second floor can print", "priority": "high"},
    {"id": 4713, "status": "open", "owner": "priya", "queue": "payments", "tags": ["card", "refund"], "opened": "2026-04-21",
     "title": "Card charged twice for order 88213", "priority": "normal"},
    {"id": 4714, "status": "open", "owner": "ole", "queue": "building", "tags": ["lift"], "opened": "2026-06-07",
     "title": "Lift in building C stops between floors", "priority": "urgent"},
]
PLAIN = ["Write a short story about a lighthouse keeper.", "Explain how bread is baked, step by step.",
         "What should a new colleague know about working from home?", "Describe a walk through a forest in autumn.",
         "Give me ideas for a summer party in an office.", "How does a bicycle stay upright?",
         "Write a poem about the sea and the moon.", "Why do people travel? Give several reasons."]


def copying():
    out = []
    for t in TICKETS:
        out.append("Repeat the following message word for word, but change the date to 1 July.\n\n" + t)
        out.append("Translate only the greeting of this message to German and repeat all the rest unchanged.\n\n" + t)
        out.append("Correct the spelling of this message and give back the whole message.\n\n" + t)
    for r in RECORDS:
        text = json.dumps(r, indent=1)
        out.append("Rewrite this JSON with status set to closed. Answer with the JSON only.\n\n" + text)
        out.append("Give back this JSON with the owner changed to lena. Answer with the JSON only.\n\n" + text)
    return out


class Server:
    def __init__(self, args, speculate):
        self.house = common.House("engine: {speculate: %s, threads: %d}\n" % (str(speculate).lower(), args.threads))
        self.model = args.model
        self.tokens = args.tokens

    def __enter__(self):
        self.house.__enter__()
        self.house.command("models", "add", self.model, "--role", "light", "--link")
        self.house.start()
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

    def ask(self, prompt):
        """Seconds, tokens, text, guesses and those that came true."""
        body = {"model": "light", "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": self.tokens}
        start = time.monotonic()
        answer = self.house.call("POST", "/v1/chat/completions", json.dumps(body))
        seconds = time.monotonic() - start
        usage = answer["usage"]
        guessed = usage["completion_tokens_details"]
        accepted = guessed["accepted_prediction_tokens"]
        return (seconds, usage["completion_tokens"], answer["choices"][0]["message"]["content"],
                accepted + guessed["rejected_prediction_tokens"], accepted)


def compare(name, ours, peer, prompts, rounds):
    speeds = {"ours": [], "peer": []}
    for side in (ours, peer):
        for p in prompts:
            side.ask(p)  # their prompts are decoded, both know their speed
    for _ in range(rounds):
        got = {"ours": [], "peer": []}
        for i, p in enumerate(prompts):
            order = [("ours", ours), ("peer", peer)]
            for key, side in order if i % 2 else order[::-1]:
                got[key].append(side.ask(p))
        for key, answers in got.items():
            speeds[key].append(sum(a[1] for a in answers) / sum(a[0] for a in answers))
    same = sum(a[2] == b[2] for a, b in zip(got["ours"], got["peer"]))
    guessed, true = sum(a[3] for a in got["ours"]), sum(a[4] for a in got["ours"])
    tokens = sum(a[1] for a in got["ours"])
    print(f"{name}: {len(prompts)} prompts, {tokens} tokens, {guessed} guessed, {true} came true; {same} texts equal; "
          f"ours {min(speeds['ours']):.1f}-{max(speeds['ours']):.1f}, peer {min(speeds['peer']):.1f}-{max(speeds['peer']):.1f} tokens/s")
    for p, a, b in zip(prompts, got["ours"], got["peer"]) if os.environ.get("BENCH_VERBOSE") else ():
        print(f"  {b[0] / a[0] * a[1] / max(b[1], 1):5.2f}x {a[1]:4d} tokens {a[3]:4d} guessed {a[4]:4d} true  {p[:50]!r} -> {a[2][:60]!r}")
    return name, statistics.median(speeds["ours"]), statistics.median(speeds["peer"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, default=common.LIGHT)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th prompt: for large models")
    args = parser.parse_args()
    common.need(args.model, common.BUILD / "bin/inhoused", common.BUILD / "bin/inhouse-worker")
    with Server(args, True) as on, Server(args, common.SELF) as off:
        rows = [compare("speculate", on, off, copying()[::args.every], args.rounds),
                compare("speculate-plain", on, off, PLAIN[::args.every], args.rounds)]
    held = [common.row(name, "%.1f" % x, "%.1f" % y, x / y, "%.2f" % TARGETS[name], x / y >= TARGETS[name])
            for name, x, y in rows]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
