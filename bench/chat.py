#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-chat: 8 clients hold conversations of 6 turns, 64 tokens an answer, behind one system prompt of about 600
tokens, on SmolLM2 135M: inhouse against llama-server with 8 slots, same model file, same messages, temperature 0.

Each round starts both servers anew, one after the other, and counts from the first request, so the first reading of the
shared prompt is in it. A figure is the tokens written divided by the seconds until the last answer; the row has the
medians over ROUNDS. Printed beside it: the 95th percentile of the time for one turn, which must not be worse.
INHOUSE_BENCH_PEER=self puts ours in the peer's place. Exit 0: the row holds; 1: short; 77: something needed is missing.
Usage: bench/chat.py [--rounds N] [--model FILE]
"""
import argparse
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import common

CLIENTS, TURNS, TOKENS = 8, 6, 64
SYSTEM = (
    "You answer questions of the employees of a company that rents out bicycles in forty towns. Be friendly, be exact and keep to "
    "the rules below. If a rule does not say something, say that you do not know and name the desk that does.\n"
    "Rentals. A rental starts when the lock opens and ends when it closes at a station. The first thirty minutes cost one euro, "
    "each further half hour costs two euros, a whole day never costs more than twelve. Electric bicycles cost twice as much. A "
    "rental that lasts longer than two days is looked at by the fleet desk, who call the customer before they block the account. "
    "Customers with a yearly card pay nothing for the first hour of each rental, however many rentals they make on a day.\n"
    "Payments. Invoices are sent on the first working day of the month. A customer may pay by card, by bank transfer or by direct "
    "debit. A payment that was refused is tried again after three days and then after seven; after the third refusal the account is "
    "closed until the money has come. Refunds go back the way the money came and take five working days. Refunds of more than fifty "
    "euros need the approval of a second person in the payments desk. Nobody may ask a customer for the number of a card by mail.\n"
    "Damage. A customer who reports damage before riding pays nothing for it. Damage that is found after a rental is compared with "
    "the photos of the last check. Flat tyres, worn brakes and broken lights are never charged. Stolen bicycles are reported to the "
    "police by the fleet desk, not by the customer, but the customer must say where and when it was last seen.\n"
    "Stations. A station that is full can still take a bicycle if its lock is closed within ten metres of the pole. A station "
    "without power keeps working for eight hours on its battery. The field team empties full stations twice a day, at six in the "
    "morning and at two in the afternoon, and more often on the days of big events, which the events desk announces a week before.\n"
    "Accounts. A customer may have one account with up to four bicycles at a time. Children under fourteen ride with an adult's "
    "account. An account that was not used for three years is deleted, with all that belongs to it, after two reminders by mail. "
    "Whoever asks what is stored about him or her gets it within thirty days from the data desk; the request is never answered by "
    "anybody else. Complaints about a person are passed to the head of the desk and are not discussed in writing.\n"
    "Hours. The payments desk works from eight to five, the fleet desk around the clock, the data desk on Tuesdays and Thursdays. "
    "Everything else goes to the help desk, which answers within one working day.")
QUESTIONS = [
    "A customer in town %d kept a bicycle for three days. What happens now?",
    "How do I explain to customer %d why the second payment was refused?",
    "Please write a short note about station %d, which has been full since noon.",
    "What should colleague %d know before the first day at the fleet desk?",
    "Customer %d found a broken light after the ride. What do we say?",
    "Sum up for team %d what we have talked about so far.",
]


class Ours:
    name = "inhouse"

    def __init__(self, model):
        self.house = common.House("models:\n  n_ctx_light: 16384\n")
        self.model = model

    def __enter__(self):
        self.house.__enter__()
        self.house.command("models", "add", self.model, "--role", "light")
        self.house.start(["light"])
        self.key = self.house.key("desk")
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

    def ask(self, messages):
        body = {"model": "light", "messages": messages, "max_tokens": TOKENS, "temperature": 0}
        return self.house.post(self.key, "/v1/chat/completions", body)[1]


class Peer:
    name = "llama-server"

    def __init__(self, model):
        self.server = common.LlamaServer(model, CLIENTS, 16384)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def ask(self, messages):
        body = {"messages": messages, "max_tokens": TOKENS, "temperature": 0}
        return self.server.call("POST", "/v1/chat/completions", json.dumps(body))


def talk(server, client, times, written, errors):
    messages = [{"role": "system", "content": SYSTEM}]
    try:
        for turn in range(TURNS):
            messages.append({"role": "user", "content": QUESTIONS[(turn + client) % len(QUESTIONS)] % (10 * turn + client)})
            start = time.monotonic()
            answer = server.ask(messages)
            times.append(time.monotonic() - start)
            written.append(answer["usage"]["completion_tokens"])
            messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        errors.append(e)


def measure(kind, model):
    times, written, errors = [], [], []
    with kind(model) as server:
        start = time.monotonic()
        threads = [threading.Thread(target=talk, args=(server, c, times, written, errors)) for c in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.monotonic() - start
    if errors:
        raise RuntimeError("%s: %s" % (kind.name, errors[0]))
    return sum(written) / seconds, common.quantile(times, 0.95), sum(written)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, default=common.LIGHT)
    args = parser.parse_args()
    peer = Ours if common.SELF else Peer
    common.need(args.model, common.BUILD / "bin/inhoused", *([] if common.SELF else [common.FETCHED / "peers/llama-server"]))
    rates, late = ([], []), ([], [])
    for n in range(args.rounds):
        for side, kind in enumerate((Ours, peer)):
            rate, p95, tokens = measure(kind, args.model)
            rates[side].append(rate)
            late[side].append(p95)
            print("round %d %-12s %6.1f tokens/s  %d tokens  p95 of a turn %.2f s" % (n + 1, kind.name, rate, tokens, p95), flush=True)
    ours, theirs = (statistics.median(r) for r in rates)
    mine, other = (statistics.median(p) for p in late)
    print("spread ours %.1f..%.1f peer %.1f..%.1f; p95 of a turn %.2f s, peer %.2f s"
          % (min(rates[0]), max(rates[0]), min(rates[1]), max(rates[1]), mine, other))
    held = common.row("chat", "%.1f" % ours, "%.1f" % theirs, ours / theirs, 1.3, ours / theirs >= 1.3 and mine <= other)
    return 0 if held or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
