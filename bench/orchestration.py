#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-orchestration: smaller models and better orchestration against one larger model. The ladder (reuse off;
heads, composed replies, SmolLM2 135M, Qwen2.5 1.5B where evidence asks for it) against the 1.5B model alone on every
task: the same tickets, articles, form and checks, one server, run in turn.

Two sets: the helpdesk example (queue, priority, a reply from its articles; learned from past.jsonl, asked new.jsonl), and
Banking77 (queue of 12; learned from the other messages). The larger model fills the same form, and writes the reply from
the articles that the search found, told to use nothing else. Sentences of both replies are held to the articles by
/api/v1/check. Both sides are under the same rule of what may go out without a person: a certificate.

Printed with 95 % intervals (exact binomial for shares, bootstrap over tickets for means): wrong fields, unsupported sentences
among those of all replies, replies offered, tokens decoded anew a task, tasks/h, cost a task (machine, and a person for what may
not go out alone; cost.* defaults). Rows: ratio is how many times the larger model's figure ours is better.
INHOUSE_BENCH_PEER=self puts ours in the peer's place. Exit 0: the rows hold; 1: short; 77: something needed is missing.
Usage: bench/orchestration.py [--tickets N] [--messages N]
"""
import argparse
import json
import math
import random
import re
import sys
import time
from pathlib import Path

import common
import form
import learned

EXAMPLE = common.ROOT / "examples/helpdesk"
MACHINE_HOUR = 0.065 * 0.30
PERSON_TASK = 0.50
REPLY_TOKENS = 220


def binomial_bounds(k, n):
    """Clopper-Pearson, 95 %, by bisection on the exact tail."""
    def tail(p, upto):
        return sum(math.comb(n, i) * p ** i * (1 - p) ** (n - i) for i in range(upto + 1))

    def find(good):
        low, high = 0.0, 1.0
        for _ in range(50):
            mid = (low + high) / 2
            low, high = (mid, high) if good(mid) else (low, mid)
        return low
    if n == 0:
        return 0.0, 1.0
    return (0.0 if k == 0 else find(lambda p: 1 - tail(p, k - 1) < 0.025),
            1.0 if k == n else find(lambda p: tail(p, k) > 0.025))


def bootstrap(values, of=lambda v: sum(v) / len(v)):
    rng = random.Random(5)
    all_ = sorted(of([values[rng.randrange(len(values))] for _ in values]) for _ in range(2000))
    return of(values), all_[50], all_[1949]


def fresh_tokens(answer):
    return answer["tokens_in"] - answer["tokens_cached"] + answer["tokens_out"]


class Side:
    """What one way of working made of the tickets of a set."""

    def __init__(self, name):
        self.name = name
        self.fields, self.wrong, self.claims, self.tokens, self.alone, self.offered = 0, 0, [], [], [], 0
        self.seconds = 0

    def score(self, answer, expected):
        values = {f["name"]: f["value"] for f in answer["fields"]}
        for name, value in expected.items():
            self.fields += 1
            self.wrong += values.get(name) != value
        self.tokens.append(fresh_tokens(answer))
        self.alone.append(answer["state"] == "done")

    def costs(self):
        machine = self.seconds / len(self.alone) / 3600 * MACHINE_HOUR
        return [machine + (0 if alone else PERSON_TASK) for alone in self.alone]

    def show(self, what):
        low, high = binomial_bounds(self.wrong, self.fields)
        print("%-9s %-14s wrong fields %d of %d (%.1f..%.1f %%)" % (what, self.name, self.wrong, self.fields, 100 * low, 100 * high))
        if self.claims:
            bad, total = sum(c[0] for c in self.claims), sum(c[1] for c in self.claims)
            is_, low, high = bootstrap(self.claims, lambda v: sum(c[0] for c in v) / max(1, sum(c[1] for c in v)))
            print("%-9s %-14s replies %d, unsupported sentences %d of %d, %.1f %% (%.1f..%.1f)"
                  % (what, self.name, self.offered, bad, total, 100 * is_, 100 * low, 100 * high))
        n = len(self.alone)
        rate = n / self.seconds * 3600
        low, high = binomial_bounds(sum(self.alone), n)
        print("%-9s %-14s tokens %.0f a task (%.0f..%.0f)  %.0f tasks/h  alone %d of %d (%.0f..%.0f %%)  cost %.4f (%.4f..%.4f)"
              % ((what, self.name) + bootstrap(self.tokens) + (rate, sum(self.alone), n, 100 * low, 100 * high)
                 + bootstrap(self.costs())), flush=True)


class Bench:
    def __init__(self, house):
        self.house = house

    def task(self, workflow, ticket, rungs, draft):
        body = {"workflow": workflow, "input": {k: ticket[k] for k in ("subject", "text") if k in ticket},
                "artifact": False, "draft": draft, "class": "workflow", "rungs": rungs, "deadline_ms": 600000}
        return self.house.call("POST", "/api/v1/tasks", json.dumps(body))

    def check(self, reply, ticket, sources, language):
        body = {"reply": reply, "ticket": ticket.get("subject", "") + "\n" + ticket["text"], "sources": sources,
                "language": language}
        claims = self.house.call("POST", "/api/v1/check", json.dumps(body))["claims"]
        return sum(c["verdict"] == "unsupported" for c in claims), len(claims)

    def reply(self, ticket, articles):
        """The larger model's own first reply."""
        system = ("You answer customers of a help desk. Write the first reply to the ticket, in its language, in at most eight "
                  "sentences. Use only what these articles say; where they do not answer it, say that a colleague will.\n\n"
                  + "\n\n".join(articles))
        body = {"model": "heavy", "messages": [{"role": "system", "content": system},
                                               {"role": "user", "content": ticket.get("subject", "") + "\n\n" + ticket["text"]}],
                "temperature": 0, "max_tokens": REPLY_TOKENS}
        answer = self.house.call("POST", "/v1/chat/completions", json.dumps(body))
        usage = answer["usage"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return (answer["choices"][0]["message"]["content"],
                usage["prompt_tokens"] - cached + usage["completion_tokens"])


LADDER = ["rule", "learned", "light", "heavy", "person"]
ALONE = ["rule", "heavy", "person"]


def articles_of(draft):
    """Texts and sentences of the two nearest articles."""
    texts, sentences = [], []
    for near in (draft or {}).get("near", [])[:2]:
        text = (EXAMPLE / "articles" / (near["article"] + ".md")).read_text(encoding="utf-8").split("---\n", 2)[2]
        text = re.sub(r"\*\*", "", text).strip()
        texts.append(text)
        sentences += [s for s in re.split(r"(?<=[.!?:])\s+", text) if s]
    return texts, sentences


FRAME = ["Thank you for writing to us.", "If anything is still unclear, just reply to this e-mail.", "Kind regards Support",
         "vielen Dank für Ihre Nachricht.", "Wenn noch etwas offen ist, antworten Sie einfach auf diese E-Mail.",
         "Freundliche Grüße Support"]


def helpdesk(bench, tickets):
    ours, theirs = Side("ladder"), Side("larger alone")
    drafts = []
    start = time.monotonic()
    _, answers = common.drive(lambda t: bench.task("ticket-triage", t, LADDER, True), tickets, 8)
    ours.seconds = time.monotonic() - start
    for t, a in zip(tickets, answers):
        expected = {k: t["expected"][k] for k in ("queue", "priority")}
        ours.score(a, expected)
        drafts.append(a["draft"])
    if common.SELF:
        return ours, ours
    start = time.monotonic()
    _, answers = common.drive(lambda t: bench.task("ticket-triage", t, ALONE, False), tickets, 8)
    _, replies = common.drive(lambda p: bench.reply(*p), [(t, articles_of(d)[0]) for t, d in zip(tickets, drafts)], 8)
    theirs.seconds = time.monotonic() - start
    for i, (t, a) in enumerate(zip(tickets, answers)):
        theirs.score(a, {k: t["expected"][k] for k in ("queue", "priority")})
        theirs.tokens[-1] += replies[i][1]
        sources = articles_of(drafts[i])[1] + [s["text"] for s in (drafts[i] or {}).get("sentences", [])] + FRAME
        language = t["expected"].get("language", "en")
        for side, text in ((ours, (drafts[i] or {}).get("text")), (theirs, replies[i][0])):
            if text:
                side.offered += 1
                side.claims.append(bench.check(text, t, sources[:200], language))
    return ours, theirs


def banking(bench, rows, queues):
    ours, theirs = Side("ladder"), Side("larger alone")
    for side, rungs in ((ours, LADDER), (theirs, LADDER if common.SELF else ALONE)):
        start = time.monotonic()
        _, answers = common.drive(lambda r: bench.task("banking", r, rungs, False), rows, 8)
        side.seconds = time.monotonic() - start
        for r, a in zip(rows, answers):
            side.score(a, {"queue": r["category"]})
    return ours, theirs


def rows_of(what, ours, theirs):
    def better(a, b):
        return 1.0 if a == b else b / a if a > 0 else 99.0
    held = []

    def row(name, a, b, shown, target=1):
        ratio = better(a, b)
        held.append(common.row("orchestration-%s-%s" % (what, name), shown % a, shown % b, ratio, target, ratio >= target))
    row("error", ours.wrong / ours.fields, theirs.wrong / theirs.fields, "%.3f")
    if ours.claims and theirs.claims:
        share = [sum(c[0] for c in s.claims) / max(1, sum(c[1] for c in s.claims)) for s in (ours, theirs)]
        row("unsupported", share[0], share[1], "%.3f")
    row("tokens", sum(ours.tokens) / len(ours.tokens), sum(theirs.tokens) / len(theirs.tokens), "%.0f")
    row("seconds", ours.seconds / len(ours.alone), theirs.seconds / len(theirs.alone), "%.3f")
    row("cost", sum(ours.costs()) / len(ours.alone), sum(theirs.costs()) / len(theirs.alone), "%.4f")
    return all(held)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", type=int, default=12, help="of the helpdesk example")
    parser.add_argument("--messages", type=int, default=48, help="of Banking77")
    args = parser.parse_args()
    common.need(common.BUILD / "bin/inhoused", common.EMBED, common.LIGHT, common.HEAVY, common.DATA / "banking77/train.csv")
    new = [json.loads(line) for line in (EXAMPLE / "new.jsonl").read_text(encoding="utf-8").splitlines()]
    tickets = [new[i * len(new) // args.tickets] for i in range(args.tickets)]
    rows, past, queues = learned.split(args.messages)
    with common.House() as house:
        house.command("models", "import", common.EMBED)
        house.command("models", "add", common.LIGHT, "--role", "light")
        house.command("models", "add", common.HEAVY, "--role", "heavy")
        house.start(["embed", "light", "heavy"])
        house.call("POST", "/api/v1/rewrite", json.dumps({"paused": True}))
        house.command("datasets", "add", "helpdesk", EXAMPLE / "articles")
        print(house.command("learn", "ticket-triage", EXAMPLE / "past.jsonl"), flush=True)
        house.call("PUT", "/api/v1/workflows/banking", "\n".join(
            ["name: banking", "fields:", "  - name: queue", "    type: choice", "    instruct: the team that should handle the message",
             "    labels:"] + ["      - %s" % json.dumps(q) for q in queues]
            + ["prompt:", "  system: %s" % json.dumps(form.SYSTEM), "  prefix: %s" % json.dumps(form.BEFORE)]) + "\n", "application/yaml")
        file = Path(house.home) / "banking.jsonl"
        file.write_text("".join(json.dumps({"id": "p%d" % i, "text": r["text"], "expected": {"queue": r["category"]}}) + "\n"
                                for i, r in enumerate(past)))
        print(house.command("learn", "banking", file), flush=True)
        bench = Bench(house)
        held = []
        for what, pair in (("helpdesk", lambda: helpdesk(bench, tickets)), ("banking", lambda: banking(bench, rows, queues))):
            ours, theirs = pair()
            ours.show(what)
            theirs.show(what)
            held.append(rows_of(what, ours, theirs))
    return 0 if all(held) or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
