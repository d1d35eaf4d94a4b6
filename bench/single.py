#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-single: one sequence on SmolLM2 135M through the whole server against llama-bench, which calls the library
alone: rows prefill and decode, tokens a second, target 0.98.

Prefill: a prompt of about 512 tokens that was never seen, one token asked for; its tokens over the time of the request.
Decode: the same request for 1 and for 129 tokens of a short prompt; 128 over the difference. llama-bench runs with the
same threads and the same lengths (-p 512 -n 128), between our rounds. Medians over ROUNDS. INHOUSE_BENCH_PEER=self puts
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
        return ms / 1000, answer["usage"]

    def measure(self):
        prefill, decode = [], []
        for _ in range(3):
            seconds, usage = self.ask(PROMPT - 45, 1)
            prefill.append((usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]) / seconds)
        while len(decode) < 3:
            short = self.ask(16, 1)[0]
            seconds, usage = self.ask(16, WRITTEN + 1)
            if usage["completion_tokens"] == WRITTEN + 1:
                decode.append(WRITTEN / (seconds - short))
        return statistics.median(prefill), statistics.median(decode)


def peer_measure(model):
    done = subprocess.run([str(common.FETCHED / "peers/llama-bench"), "-m", str(model), "-p", str(PROMPT), "-n", str(WRITTEN),
                           "-t", str(os.cpu_count()), "-r", "3", "-o", "json"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    rates = {}
    for r in json.loads(done.stdout):
        rates["decode" if r["n_gen"] else "prefill"] = statistics.median(r["samples_ts"])
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
            theirs.append(server.measure() if common.SELF else peer_measure(args.model))
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
