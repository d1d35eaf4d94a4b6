#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-orchestration: smaller models and better orchestration against one larger model. The ladder (reuse off;
heads, composed replies, SmolLM2 135M, Qwen2.5 1.5B where evidence asks for it) against the 1.5B model alone on every
task: one server, the same messages, articles, fields and checks, in turn.

Four sets, each learned from its own past and asked what was kept out of it:
  banking      Banking77: one of 12 queues            clinc     CLINC150: one of the 15 intents of a domain
  thunderbird  Thunderbird's forum: topic, summary    helpdesk  examples/helpdesk: queue, priority, a reply from its articles
The larger model fills the same form. Its prompt has the labels (with what the company says of each, where it does) and as
many of the past's examples as fit in SHOT_BYTES, spread over the labels: decoded once and shared by all its tasks. It writes
the reply from the two articles that the search found nearest, the same that ours is composed from. Nothing in the prompts was tuned
on the messages asked.

Printed for each set and side, each with a 95 % interval: wrong fields of all offered (exact binomial); unsupported sentences
(/api/v1/check: replies against the articles, summaries against the ticket; bootstrap over tickets) beside how many were
offered and how many pass the check whole; tokens decoded anew a task (bootstrap); tasks/h (bootstrap over blocks of
8); what could be left alone at the fields' error budget with each side's own confidence and the threshold that is best in
hindsight, which is kind to both alike; and the cost a task that follows from it: this machine's time, and a person for the
rest (cost.* defaults; bootstrap, the threshold chosen anew in each sample).

Rows orchestration-SET-WHAT: ratio is how many times the larger model's figure ours is better, its interval in the line above
(paired bootstrap). INHOUSE_BENCH_PEER=self runs ours in the peer's place. INHOUSE_BENCH_SIZE=0.25 asks a quarter of the
messages. Exit 0: the rows hold; 1: short; 77: something needed is missing.
Usage: bench/orchestration.py [--only SET] [--size SHARE] [--shots BYTES]
"""
import argparse
import csv
import html
import json
import math
import os
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
REPLY_TOKENS = 160
SHOT_BYTES = 3000
SHOT_TEXT = 300  # bytes of one example's message
BLOCK = 8
SAMPLES = 1000
LADDER = ["rule", "learned", "light", "heavy", "person"]
ALONE = ["heavy", "person"]
SIZES = {"banking": 40, "clinc": 40, "thunderbird": 24, "helpdesk": 16}
CLINC_DOMAIN = "travel"
FRAME = ["Thank you for writing to us.", "If anything is still unclear, just reply to this e-mail.", "Kind regards Support",
         "vielen Dank für Ihre Nachricht.", "Wenn noch etwas offen ist, antworten Sie einfach auf diese E-Mail.",
         "Freundliche Grüße Support"]


# ---- intervals ----

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


def bootstrap(n, of):
    """of(indices), and its 95 % interval over samples of n indices with replacement; always the same samples of n."""
    rng = random.Random(5)
    all_ = sorted(of([rng.randrange(n) for _ in range(n)]) for _ in range(SAMPLES))
    return of(range(n)), all_[int(0.025 * SAMPLES)], all_[int(0.975 * SAMPLES) - 1]


def better(ours, theirs):
    return 1.0 if ours == theirs else min(99.0, theirs / ours) if ours > 0 else 99.0  # 99: that, or more


# ---- one way of working, on one set ----

class Side:
    def __init__(self, name, budgets):
        self.name, self.budgets = name, budgets
        self.right = []     # a task: {field: right?}
        self.sure = []      # a task: {field: its own confidence}
        self.stake = []     # a task: a person's, whatever the confidence
        self.tokens = []    # a task: decoded anew
        self.claims = []    # a task: (unsupported, sentences) of what was written, None: nothing was
        self.block_s = []   # a block: seconds
        self.block_n = []

    def take(self, answer, expected, extra_tokens=0):
        fields = {f["name"]: f for f in answer["fields"]}
        self.right.append({k: fields[k]["value"] == v for k, v in expected.items()})
        self.sure.append({k: confidence(fields[k]) for k in expected})
        self.stake.append(bool(answer.get("stake")))
        self.tokens.append(answer["tokens_in"] - answer["tokens_cached"] + answer["tokens_out"] + extra_tokens)

    def wrong(self, at):
        fields = sum(len(self.right[i]) for i in at)
        return sum(not ok for i in at for ok in self.right[i].values()) / fields

    def unsupported(self, at):
        some = [self.claims[i] for i in at if self.claims[i]]
        return sum(c[0] for c in some) / max(1, sum(c[1] for c in some))

    def tokens_mean(self, at):
        return sum(self.tokens[i] for i in at) / len(at)

    def rate(self, blocks):
        return sum(self.block_n[b] for b in blocks) / sum(self.block_s[b] for b in blocks) * 3600

    def alone(self, at):
        """How many tasks could go out without a person: each field from the least confidence on at which the share of
        wrong ones is within its budget."""
        least = {}
        for k, budget in self.budgets.items():
            pairs = sorted(((self.sure[i][k], self.right[i][k]) for i in at if k in self.right[i]), reverse=True)
            least[k], bad = math.inf, 0
            for n, (sure, ok) in enumerate(pairs):
                bad += not ok
                last = n + 1 == len(pairs) or pairs[n + 1][0] < sure
                if last and bad <= budget * (n + 1):
                    least[k] = sure
        return sum(not self.stake[i] and all(s >= least[k] for k, s in self.sure[i].items()) for i in at)

    def cost(self, at):
        machine = sum(self.block_s) / len(self.right) / 3600 * MACHINE_HOUR
        return machine + (1 - self.alone(at) / len(at)) * PERSON_TASK

    def show(self, what):
        n, head = len(self.right), "%-11s %-12s" % (what, self.name)
        fields, wrong = sum(map(len, self.right)), sum(not ok for r in self.right for ok in r.values())
        low, high = binomial_bounds(wrong, fields)
        print(head, "wrong %d of %d fields offered, %.1f %% (%.1f..%.1f)"
              % (wrong, fields, 100 * wrong / fields, 100 * low, 100 * high))
        wrote = [c for c in self.claims if c]
        if wrote:
            clean = sum(c[0] == 0 for c in wrote)
            print(head, "wrote for %d of %d tasks, %d of them pass the check whole; unsupported sentences %d of %d, %.1f %% (%.1f..%.1f)"
                  % ((len(wrote), n, clean, sum(c[0] for c in wrote), sum(c[1] for c in wrote))
                     + tuple(100 * x for x in bootstrap(n, self.unsupported))))
        print(head, "tokens a task %.0f (%.0f..%.0f)" % bootstrap(n, self.tokens_mean),
              " tasks/h %.0f (%.0f..%.0f)" % bootstrap(len(self.block_s), self.rate))
        low, high = binomial_bounds(self.alone(range(n)), n)
        print(head, "alone at the error budget %d of %d, %.0f %% (%.0f..%.0f)"
              % (self.alone(range(n)), n, 100 * self.alone(range(n)) / n, 100 * low, 100 * high),
              " cost a task %.4f (%.4f..%.4f)" % bootstrap(n, self.cost), flush=True)


def confidence(field):
    """What the side itself thinks of it: calibrated where it has evidence, else the model's own probability."""
    candidates = field.get("candidates") or []
    if field["rung"] in ("light", "heavy") and candidates:
        return candidates[0]["p"]
    return field["confidence"]


# ---- the sets ----

class Work:
    """Messages to be asked, the past to learn from, and the two definitions: ours, and with the larger model's prompt."""
    summary, draft, dataset = False, False, None

    def __init__(self, name, fields, past, new, about=None):
        self.name, self.fields, self.past, self.new, self.about = name, fields, past, new, about or {}
        self.budgets = {k: f.get("target", 0.05) for k, f in fields.items()}

    def shots(self, room):
        """Examples of the past, a label of the first field in turn, as many as fit."""
        first, by_label, out, used = next(iter(self.fields)), {}, [], 0
        for p in self.past:
            by_label.setdefault(p["expected"].get(first), []).append(p)
        queue = [by_label[k][n] for n in range(max(map(len, by_label.values()))) for k in sorted(by_label) if n < len(by_label[k])]
        for p in queue:
            text = (p.get("subject", "") + "\n" + p["text"]).strip().encode()[:SHOT_TEXT].decode(errors="ignore")
            shot = "Message:\n%s\n%s\n\n" % (text, "\n".join("%s: %s" % (k, p["expected"][k]) for k in self.fields))
            if used + len(shot.encode()) > room:
                break
            used += len(shot.encode())
            out.append(shot)
        return out

    def yaml(self, name, shots, describe):
        lines = ["name: " + name, "fields:"]
        for k, f in self.fields.items():
            lines += ["  - name: " + k, "    type: choice", "    target_error: %.2f" % self.budgets[k],
                      "    instruct: %s" % f["instruct"], "    labels:"]
            lines += ["      %s: %s" % (json.dumps(l), json.dumps(self.about[k][l])) if describe and k in self.about
                      else "      - " + json.dumps(l) for l in f["labels"]]
        if self.summary:
            lines += ["  - name: summary", "    type: line", "    max_chars: 80",
                      "    instruct: what the writer wants, in one short line"]
        before = ("Examples:\n\n%s" % "".join(shots) if shots else "") + form.BEFORE
        lines += ["prompt:", "  system: You sort messages for a help desk. Answer with the form and nothing else.",
                  "  prefix: " + json.dumps(before)]
        return "\n".join(lines) + "\n"


def spread(rows, n):
    """n of them to ask, evenly spread, and the rest."""
    kept = {i * len(rows) // n for i in range(n)}
    return [rows[i] for i in sorted(kept)], [r for i, r in enumerate(rows) if i not in kept]


def banking(n):
    new, past, queues = learned.split(n)
    def row(r):
        return {"text": r["text"], "expected": {"queue": r["category"]}}
    return Work("banking", {"queue": {"labels": queues, "instruct": "the team that should handle the message"}},
                list(map(row, past)), list(map(row, new)))


def clinc(n):
    intents = json.loads((common.DATA / "clinc150/domains.json").read_text(encoding="utf-8"))[CLINC_DOMAIN]
    with open(common.DATA / "clinc150/clinc150.csv", encoding="utf-8", newline="") as f:
        rows = [{"text": r["text"], "expected": {"intent": r["intent"]}} for r in csv.DictReader(f) if r["intent"] in intents]
    new, past = spread(rows, n)
    return Work("clinc", {"intent": {"labels": intents, "instruct": "what the message is about"}}, past, new)


def thunderbird(n):
    rows = []
    for file in ("android_2025", "desktop_2025-11_solved"):
        for line in (common.DATA / ("thunderbird_tickets/%s.jsonl" % file)).read_text(encoding="utf-8").splitlines():
            t = json.loads(line)
            text = html.unescape(re.sub(r"<[^>]+>", " ", t["content_html"])).strip()
            rows.append({"subject": t["title"], "text": text[:1500], "expected": {"topic": t["topic"]}})
    counts = {}
    for r in rows:
        counts[r["expected"]["topic"]] = counts.get(r["expected"]["topic"], 0) + 1
    topics = sorted(sorted(counts, key=lambda t: (-counts[t], t))[:8])
    new, past = spread([r for r in rows if r["expected"]["topic"] in topics], n)
    work = Work("thunderbird", {"topic": {"labels": topics, "instruct": "what the message is about", "target": 0.15}}, past, new)
    work.summary = True
    return work


def helpdesk(n):
    past, new = ([json.loads(line) for line in (EXAMPLE / (f + ".jsonl")).read_text(encoding="utf-8").splitlines()]
                 for f in ("past", "new"))
    company = (EXAMPLE / "company.yaml").read_text(encoding="utf-8")
    about = dict(re.findall(r"- id: (\w+)\n +about: (.+)", company))
    priorities = dict(re.findall(r"      (urgent|high|normal|low): (.+)",
                                 (common.ROOT / "workflows/ticket-triage.yaml").read_text(encoding="utf-8")))
    queues = sorted({p["expected"]["queue"] for p in past})
    work = Work("helpdesk", {"queue": {"labels": queues, "instruct": "the team that should handle the ticket"},
                             "priority": {"labels": list(priorities), "instruct": "how soon it must be answered", "target": 0.15}},
                past, [new[i * len(new) // n] for i in range(n)], {"queue": about, "priority": priorities})
    work.draft = True
    return work


def articles_of(draft):
    """Texts and sentences of the two nearest articles."""
    texts, sentences = [], []
    for near in (draft or {}).get("near", [])[:2]:
        text = (EXAMPLE / "articles" / (near["article"] + ".md")).read_text(encoding="utf-8").split("---\n", 2)[2]
        text = re.sub(r"\*\*", "", text).strip()
        texts.append(text)
        sentences += [s for s in re.split(r"(?<=[.!?:])\s+", text) if s]
    return texts, sentences


# ---- the run ----

class Bench:
    def __init__(self, house, shots):
        self.house, self.room = house, shots

    def prepare(self, work):
        ours = "ticket-triage" if work.draft else work.name
        shots = work.shots(self.room)
        if not work.draft:
            self.house.call("PUT", "/api/v1/workflows/" + work.name, work.yaml(work.name, [], False), "application/yaml")
        large = work.name + "-large"
        self.house.call("PUT", "/api/v1/workflows/" + large, work.yaml(large, shots, True), "application/yaml")
        file = EXAMPLE / "past.jsonl"
        if not work.draft:
            file = Path(self.house.home) / (work.name + ".jsonl")
            file.write_text("".join(json.dumps({"id": "p%d" % i, **p}) + "\n" for i, p in enumerate(work.past)))
        start = time.monotonic()
        self.house.command("learn", ours, file)
        print("%-11s learned from %d in %.0f s; %d of them are in the larger model's prompt"
              % (work.name, len(work.past), time.monotonic() - start, len(shots)), flush=True)
        return ours, large

    def task(self, workflow, row, rungs, draft):
        body = {"workflow": workflow, "input": {k: row[k] for k in ("subject", "text") if k in row}, "artifact": False,
                "draft": draft, "class": "workflow", "rungs": rungs, "deadline_ms": 600000}
        return self.house.call("POST", "/api/v1/tasks", json.dumps(body))

    def check(self, text, row, sources, language="en"):
        body = {"reply": text, "ticket": (row.get("subject", "") + "\n" + row["text"]).strip(), "sources": sources[:200],
                "language": language}
        claims = self.house.call("POST", "/api/v1/check", json.dumps(body))["claims"]
        return sum(c["verdict"] == "unsupported" for c in claims), len(claims)

    def reply(self, row, articles):
        """The larger model's own first reply, and the tokens it took."""
        system = ("You answer customers of a help desk. Write the first reply to the ticket, in its language, in at most six "
                  "sentences. Use only what these articles say; where they do not answer it, say that a colleague will.\n\n"
                  + "\n\n".join(articles))
        body = {"model": "heavy", "messages": [{"role": "system", "content": system},
                                               {"role": "user", "content": row.get("subject", "") + "\n\n" + row["text"]}],
                "temperature": 0, "max_tokens": REPLY_TOKENS}
        answer = self.house.call("POST", "/v1/chat/completions", json.dumps(body))
        usage = answer["usage"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        return answer["choices"][0]["message"]["content"], usage["prompt_tokens"] - cached + usage["completion_tokens"]

    def side(self, work, name, workflow, rungs, drafts=None):
        """drafts: None: composed here; else what the ladder found, whose articles the larger model writes from."""
        side = Side(name, work.budgets)
        self.task(workflow, work.past[0], rungs, work.draft and drafts is None)  # its prompt is decoded: a cost of the start
        wrote = []

        def one(job):
            i, row = job
            answer = self.task(workflow, row, rungs, work.draft and drafts is None)
            if not work.draft or drafts is None:
                return answer, None, 0
            return (answer,) + self.reply(row, articles_of(drafts[i])[0])
        for at in range(0, len(work.new), BLOCK):
            jobs = list(enumerate(work.new))[at:at + BLOCK]
            seconds, answers = common.drive(one, jobs, BLOCK)
            side.block_s.append(seconds)
            side.block_n.append(len(jobs))
            for (_, row), (answer, text, tokens) in zip(jobs, answers):
                side.take(answer, {k: row["expected"][k] for k in work.fields}, tokens)
                wrote.append((answer, text))
        self.judge(work, side, wrote, drafts)
        return side, [a.get("draft") for a, _ in wrote]

    def judge(self, work, side, wrote, drafts):
        """What was written, held to its sources; not timed."""
        for i, (row, (answer, text)) in enumerate(zip(work.new, wrote)):
            claims = None
            if work.draft:
                draft = answer.get("draft") if drafts is None else drafts[i]
                text = text if drafts is not None else (draft or {}).get("text")
                sources = articles_of(draft)[1] + [s["text"] for s in (draft or {}).get("sentences", [])] + FRAME
                claims = self.check(text, row, sources, row["expected"].get("language", "en")) if text else None
            elif work.summary:
                line = next((f for f in answer["fields"] if f["name"] == "summary" and f["value"]), None)
                if line is not None:
                    claims = (1, 1) if any(not c["ok"] for c in line["checks"]) else self.check(
                        line["value"], {"text": ""}, re.split(r"(?<=[.!?])\s+", row["subject"] + ". " + row["text"]))
            side.claims.append(claims)

    def run(self, work):
        ours_name, large = self.prepare(work)
        ours, drafts = self.side(work, "ladder", ours_name, LADDER)
        if common.SELF:
            theirs, _ = self.side(work, "ladder again", ours_name, LADDER)
        else:
            theirs, _ = self.side(work, "larger alone", large, ALONE, drafts)
        ours.show(work.name)
        theirs.show(work.name)
        return rows_of(work.name, ours, theirs)


def rows_of(what, ours, theirs):
    n, held = len(ours.right), []

    def row(name, shown, n, of_ours, of_theirs):
        ratio, low, high = bootstrap(n, lambda at: better(of_ours(at), of_theirs(at)))
        print("orchestration-%s-%s: %.2f times better, %.2f..%.2f" % (what, name, ratio, low, high))
        held.append(common.row("orchestration-%s-%s" % (what, name), shown % of_ours(range(n)), shown % of_theirs(range(n)), ratio,
                               1, ratio >= 1))
    row("error", "%.3f", n, ours.wrong, theirs.wrong)
    if any(ours.claims) and any(theirs.claims):
        row("unsupported", "%.3f", n, ours.unsupported, theirs.unsupported)
    row("tokens", "%.0f", n, ours.tokens_mean, theirs.tokens_mean)
    row("seconds", "%.4f", len(ours.block_s), lambda at: 3600 / ours.rate(at), lambda at: 3600 / theirs.rate(at))
    row("cost", "%.4f", n, ours.cost, theirs.cost)
    return all(held)


SETS = {"banking": banking, "clinc": clinc, "thunderbird": thunderbird, "helpdesk": helpdesk}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--size", type=float, default=float(os.environ.get("INHOUSE_BENCH_SIZE", 1)), help="share of the messages")
    parser.add_argument("--shots", type=int, default=SHOT_BYTES, help="bytes of examples in the larger model's prompt")
    args = parser.parse_args()
    common.need(common.BUILD / "bin/inhoused", common.EMBED, common.LIGHT, common.HEAVY, common.DATA / "banking77/train.csv",
                common.DATA / "clinc150/clinc150.csv", common.DATA / "thunderbird_tickets/android_2025.jsonl")
    start, held = time.monotonic(), []
    with common.House() as house:
        house.command("models", "import", common.EMBED, "--type", "q8_0")
        house.command("models", "add", common.LIGHT, "--role", "light")
        house.command("models", "add", common.HEAVY, "--role", "heavy")
        house.start(["embed", "light", "heavy"])
        house.call("POST", "/api/v1/rewrite", json.dumps({"paused": True}))
        house.command("datasets", "add", "helpdesk", EXAMPLE / "articles")
        bench = Bench(house, args.shots)
        for name, make in SETS.items():
            if args.only in (None, name):
                held.append(bench.run(make(max(2, round(SIZES[name] * args.size)))))
                print("%.0f s so far" % (time.monotonic() - start), flush=True)
    return 0 if all(held) or common.SELF else 1


if __name__ == "__main__":
    sys.exit(main())
