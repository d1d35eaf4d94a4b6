#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-fairness: what one team feels of another's flood, on one small model.

In each round team B asks short chats one after the other (an ask every INTERVAL s), first with the server to itself,
then while team A has 200 long batch chats (service_tier flex) open at once. Ours is B's p95 under the flood, the peer's
place has its p95 in quiet, both over all rounds of one server. The row also needs batch jobs to have finished meanwhile:
fairness by starving one side is none. INHOUSE_BENCH_PEER=self leaves the flood out: the ratio must be about 1.
Exit 0: the row holds; 1: short; 77: something needed is missing.
Usage: bench/fairness.py [--rounds N] [--asks N] [--target R]
"""
import argparse
import sys
import threading
import time

import common

JOBS = 200
JOB_TOKENS = 128
ASK_TOKENS = 32
INTERVAL = 1.2
CHAT = "/v1/chat/completions"
TOPICS = ["a parcel that is late", "a broken grinder", "a double charge", "a lost password", "a changed address"]


def chat(text, tokens, **more):
    return {"model": "light", "max_tokens": tokens, "temperature": 0.7, "messages": [{"role": "user", "content": text}],
            **more}


class Flood:
    """JOBS batch chats, each on a connection of its own; `done` counts those that were answered."""

    def __init__(self, house, key):
        self.done = 0
        self.failed = 0
        self.lock = threading.Lock()
        self.connections = [
            house.open(key, CHAT, chat("Write a long story, number %d, about %s." % (i, TOPICS[i % 5]), JOB_TOKENS,
                                       service_tier="flex")) for i in range(JOBS)]
        self.threads = [threading.Thread(target=self.read, args=(c,), daemon=True) for c in self.connections]
        for t in self.threads:
            t.start()

    def read(self, connection):
        try:
            good = connection.getresponse().status == 200
        except OSError:
            return  # ended with the flood
        with self.lock:
            self.done += good
            self.failed += not good

    def end(self):
        with self.lock:
            counts = self.done, self.failed
        for c in self.connections:
            if c.sock is not None:
                c.sock.shutdown(2)
        for t in self.threads:
            t.join(30)
        return counts


def busy(house):
    tasks = house.status()["tasks"]
    return tasks["running"] + tasks["waiting"]


def asks(house, key, n):
    """n asks, one begun every INTERVAL s at most; their milliseconds."""
    times = []
    for i in range(n):
        start = time.monotonic()
        text = "In one sentence: what would you tell a customer about %s?" % TOPICS[i % 5]
        times.append(house.post(key, CHAT, chat(text, ASK_TOKENS))[0])
        time.sleep(max(0.0, INTERVAL - (time.monotonic() - start)))
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asks", type=int, default=20)
    parser.add_argument("--target", type=float, default=1.5)
    args = parser.parse_args()
    common.need(common.LIGHT, common.BUILD / "bin/inhoused")
    quiet, flooded, done, failed = [], [], 0, 0
    with common.House() as house:
        house.command("models", "add", common.LIGHT, "--role", "light")
        house.start(["light"])
        a, b = house.key("a"), house.key("b")
        asks(house, b, 3)  # warm
        for n in range(args.rounds):
            quiet.append(asks(house, b, args.asks))
            flood = None if common.SELF else Flood(house, a)
            if flood is not None:
                common.wait_for(lambda: busy(house) >= JOBS // 2, house.process)
            flooded.append(asks(house, b, args.asks))
            if flood is not None:
                good, bad = flood.end()
                done, failed = done + good, failed + bad
                common.wait_for(lambda: busy(house) == 0, house.process)
            print("round %d quiet p95 %.0f ms  flood p95 %.0f ms" %
                  (n + 1, common.quantile(quiet[-1], 0.95), common.quantile(flooded[-1], 0.95)), flush=True)
    ours = common.quantile(sum(flooded, []), 0.95)
    peer = common.quantile(sum(quiet, []), 0.95)
    print("p50 quiet %.0f ms flood %.0f ms; batch jobs finished during the flood %d, refused %d" %
          (common.quantile(sum(quiet, []), 0.5), common.quantile(sum(flooded, []), 0.5), done, failed))
    moved = common.SELF or (done > 0 and failed == 0)
    ok = ours / peer <= args.target and moved
    common.row("fairness", "%.0f" % ours, "%.0f" % peer, ours / peer, "%.1f" % args.target, ok)
    return 0 if ok or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
