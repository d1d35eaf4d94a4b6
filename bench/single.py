#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-single: one sequence on SmolLM2 135M through the whole server against llama-bench, which calls the library
alone: rows prefill and decode, tokens a second, target 0.98.

Prefill: a prompt of about 512 tokens that was never seen; decode: 128 tokens behind a short prompt. Both by the answer's
`timings`, the worker's own clock while the server runs whole around it, because llama-bench has neither HTTP nor a
tokeniser nor a record to write; the client's clock is printed beside. llama-bench runs with the same threads between our
rounds on the same shapes: as many prompt tokens as ours had to decode behind as many as were there already (-p -d), and
128 tokens behind as many as our short prompt had (-n 128 -d). Medians over ROUNDS. INHOUSE_BENCH_PEER=self puts
ours in the peer's place. Exit 0: both hold; 1: short; 77: something needed is missing.
Usage: bench/single.py [--rounds N] [--model FILE]
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import common

PROMPT, WRITTEN = 512, 128
WORDS = ("station bicycle invoice customer lock morning payment desk ticket refund light report street town note week team rule "
         "answer letter paper window table garden river cloud mountain").split()


class Ours:
    def __init__(self, model):
        self.house = common.House("models:\n  n_ctx_light: 4096\n")
        self.model = model
        self.random = random.Random(7)

    def __enter__(self):
        self.house.__enter__()
        self.house.command("models", "add", self.model, "--role", "light")
        self.house.start(["light"])
        self.key = self.house.key("desk")
        self.ask(PROMPT, 1)
        self.ask(16, 64)  # threads and speeds are known now
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

    def ask(self, words, tokens):
        text = " ".join(self.random.choice(WORDS) for _ in range(words)) + ". Tell a long story about all this."
        ms, answer = self.house.post(self.key, "/v1/chat/completions", {
            "model": "light", "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0})
        return ms / 1000, answer

    def measure(self):
        prefill, decode, clock = [], [], []
        for _ in range(3):
            seconds, answer = self.ask(PROMPT - 45, 1)
            timings = answer["timings"]
            self.tokens = timings["prompt_n"]
            self.cached = answer["usage"]["prompt_tokens"] - self.tokens
            prefill.append(self.tokens / timings["prompt_ms"] * 1000)
            clock.append(self.tokens / seconds)
        while len(decode) < 3:
            _, answer = self.ask(16, WRITTEN + 1)
            self.depth = answer["usage"]["prompt_tokens"]
            timings = answer["timings"]
            if timings["predicted_n"] == WRITTEN + 1:
                decode.append(WRITTEN / timings["predicted_ms"] * 1000)
        print("  prompt tokens a second by the client's clock: %.0f" % statistics.median(clock))
        return statistics.median(prefill), statistics.median(decode)


def peer_measure(model, tokens, cached, depth):
    rates = {}
    for name, lengths in (("prefill", ["-p", tokens, "-n", 0, "-d", cached]), ("decode", ["-p", 0, "-n", WRITTEN, "-d", depth])):
        done = subprocess.run([str(common.FETCHED / "peers/llama-bench"), "-m", str(model), *map(str, lengths), "-t", str(os.cpu_count()),
                               "-r", "3", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        rates[name] = statistics.median(json.loads(done.stdout)[0]["samples_ts"])
    return rates["prefill"], rates["decode"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, default=common.LIGHT)
    args = parser.parse_args()
    common.need(args.model, common.BUILD / "bin/inhoused", *([] if common.SELF else [common.FETCHED / "peers/llama-bench"]))
    ours, theirs = [], []
    with Ours(args.model) as server:
        for n in range(args.rounds):
            ours.append(server.measure())
            theirs.append(server.measure() if common.SELF else peer_measure(args.model, server.tokens, server.cached, server.depth))
            print("round %d prefill %.0f, peer %.0f; decode %.1f, peer %.1f tokens/s"
                  % (n + 1, ours[-1][0], theirs[-1][0], ours[-1][1], theirs[-1][1]), flush=True)
    held = True
    for i, name in enumerate(("prefill", "decode")):
        a, b = [x[i] for x in ours], [x[i] for x in theirs]
        print("%s spread ours %.1f..%.1f peer %.1f..%.1f" % (name, min(a), max(a), min(b), max(b)))
        ratio = statistics.median(a) / statistics.median(b)
        held &= common.row(name, "%.1f" % statistics.median(a), "%.1f" % statistics.median(b), ratio, 0.98, ratio >= 0.98)
    return 0 if held or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
