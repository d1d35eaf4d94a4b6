#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the example company: that its files agree with each other and read like real tickets.

Standard library only. Prints a table; exit status 1 and one line per violation if something is
wrong. Run from anywhere: python3 examples/helpdesk/check.py
"""

import collections
import datetime
import json
import pathlib
import re
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
PAST_COUNT = 400
NEW_COUNT = 60
ARTICLES_MIN = 44
ARTICLES_DE_MIN = 8
OVERLAP_MAX = 0.02
GRAM = 8
# One customer who wrote twice within minutes, on purpose.
NEAR_DUPLICATES = {frozenset(("N-2015", "N-2016"))}
ORDER = re.compile(r"VM-\d{6}")
MAIL = re.compile(r"[\w.+-]+@([\w.-]+\w)")
PHONE = re.compile(r"(?<![\w-])\+?\d{2,4}[ -]\d{3}[ -]\d{4}(?![\w-])")
GREETING = re.compile(
    r"^\W*(hi|hello|hey|dear|good (morning|afternoon|day|evening)|guten (tag|morgen)|hallo|liebes?|"
    r"sehr geehrte|kind|best|many|thank|thanks|regards|cheers|yours|mit |viele|freundliche|"
    r"herzliche|liebe|grüße|gruß|danke)\b[^.?!]{0,60}$",
    re.IGNORECASE,
)
GERMAN = set(
    "der das und ist nicht ich wir sie mit für auf ein eine den dem zu von haben habe kann mein "
    "meine bitte aber noch es im bei wie gibt oder nach dann könnten lässt sich möchte seit hat selbst etwas sind".split()
)

problems = []


def bad(where, what):
    problems.append(f"{where}: {what}")


def read_company():
    """Queues and priorities. The YAML subset this file uses is read line by line."""
    section, ids = None, collections.defaultdict(list)
    for line in (HERE / "company.yaml").read_text(encoding="utf-8").splitlines():
        if re.match(r"^[a-z_]+:", line):
            section = line.split(":")[0]
        match = re.match(r"^  - id: ([a-z]+)$", line)
        if match:
            ids[section].append(match.group(1))
    return ids["queues"], ids["priorities"]


def read_articles(queues):
    articles = {}
    for path in sorted((HERE / "articles").glob("*.md")):
        parts = path.read_text(encoding="utf-8").split("---\n", 2)
        if len(parts) != 3:
            bad(path.name, "no front matter between two lines of ---")
            continue
        meta = dict(line.split(": ", 1) for line in parts[1].splitlines() if line)
        for key in ("id", "title", "lang", "queue", "updated"):
            if key not in meta:
                bad(path.name, f"front matter has no {key}")
        if meta.get("id") != path.stem:
            bad(path.name, "id is not the file's name")
        if meta.get("queue") not in queues:
            bad(path.name, f"unknown queue {meta.get('queue')}")
        if meta.get("lang") not in ("en", "de"):
            bad(path.name, f"unknown language {meta.get('lang')}")
        words = len(parts[2].split())
        if not 90 <= words <= 220:
            bad(path.name, f"{words} words, should be 90 to 220")
        articles[path.stem] = meta
    if len(articles) < ARTICLES_MIN:
        bad("articles", f"{len(articles)}, should be at least {ARTICLES_MIN}")
    if sum(meta["lang"] == "de" for meta in articles.values()) < ARTICLES_DE_MIN:
        bad("articles", f"fewer than {ARTICLES_DE_MIN} in German")
    return articles


def read_tickets(name, count):
    tickets = []
    for number, line in enumerate((HERE / name).read_text(encoding="utf-8").splitlines(), 1):
        try:
            tickets.append(json.loads(line))
        except ValueError as error:
            bad(f"{name}:{number}", str(error))
    if len(tickets) != count:
        bad(name, f"{len(tickets)} tickets, should be {count}")
    return tickets


def check_private(ident, text):
    for domain in MAIL.findall(text):
        if not re.search(r"(^|\.)example(\.(com|org|net))?$", domain):
            bad(ident, f"e-mail address at {domain}")
    for phone in PHONE.findall(text):
        if not phone.startswith("000-555-"):
            bad(ident, f"telephone number {phone}")


def check_language(ident, text, language):
    words = re.findall(r"\w+", text.lower())
    if len(words) >= 12:
        share = sum(word in GERMAN for word in words) / len(words)
        if (share > 0.08) != (language == "de"):
            bad(ident, f"says {language}, but {share:.0%} of its words are German function words")


def check_ticket(ticket, is_new, queues, priorities, articles):
    ident = ticket.get("id", "?")
    keys = {"id", "at", "subject", "text", "expected"} | (set() if is_new else {"reply"})
    if set(ticket) != keys:
        bad(ident, f"keys {sorted(ticket)}")
        return
    want = ticket["expected"]
    keys = {"queue", "priority", "language", "article"} | ({"answerable"} if is_new else set())
    if set(want) != keys:
        bad(ident, f"keys of expected {sorted(want)}")
        return
    if want["queue"] not in queues:
        bad(ident, f"unknown queue {want['queue']}")
    if want["priority"] not in priorities:
        bad(ident, f"unknown priority {want['priority']}")
    if want["language"] not in ("en", "de"):
        bad(ident, f"unknown language {want['language']}")
    article = want["article"]
    if article is not None and article not in articles:
        bad(ident, f"unknown article {article}")
    elif article is not None and want["language"] == "en" and articles[article]["lang"] == "de":
        bad(ident, "English ticket, German article")
    elif article is not None and want["language"] == "de" and f"{article}-de" in articles:
        bad(ident, f"German ticket, but the article exists as {article}-de")
    if is_new and want["answerable"] != (article is not None):
        bad(ident, "answerable and article disagree")
    both = ticket["subject"] + "\n" + ticket["text"] + "\n" + (ticket.get("reply") or "")
    check_private(ident, both)
    check_language(ident, ticket["text"], want["language"])
    if len(ticket["text"].split()) > 260:
        bad(ident, "longer than 260 words")
    reply = ticket.get("reply")
    if reply is not None:
        known = set(ORDER.findall(ticket["subject"] + ticket["text"]))
        for order in set(ORDER.findall(reply)) - known:
            bad(ident, f"the reply names {order}, the ticket does not")
        check_language(ident + " reply", reply, want["language"])


def grams(ticket):
    """Runs of GRAM words, each within one line; greetings, sign-offs and quotes are left out."""
    found = set()
    for line in ticket["text"].splitlines():
        if line.startswith(">") or GREETING.match(line):
            continue
        words = re.findall(r"\w+", line.lower())
        found.update(tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))
    return found


def check_overlap(tickets):
    owners = collections.defaultdict(set)
    for ticket in tickets:
        for gram in grams(ticket):
            owners[gram].add(ticket["id"])
    shared = {
        gram: who
        for gram, who in owners.items()
        if len(who) > 1 and frozenset(who) not in NEAR_DUPLICATES
    }
    share = len(shared) / max(1, len(owners))
    if share >= OVERLAP_MAX:
        for gram, who in list(shared.items())[:10]:
            bad(" ".join(sorted(who)), "share: " + " ".join(gram))
        bad("tickets", f"{share:.2%} of {GRAM}-grams occur in more than one ticket")
    return share, len(shared)


def check_set(name, tickets, first):
    texts = collections.Counter(ticket["text"].strip().lower() for ticket in tickets)
    for text, times in texts.items():
        if times > 1:
            bad(name, f"{times} tickets with the text {text[:40]!r}")
    ids = [ticket["id"] for ticket in tickets]
    if len(set(ids)) != len(ids):
        bad(name, "an id occurs twice")
    before = first
    for ticket in tickets:
        at = datetime.datetime.strptime(ticket["at"], "%Y-%m-%dT%H:%M:%SZ")
        if before is not None and at < before:
            bad(ticket["id"], "earlier than the ticket before it")
        before = at
    return before


def print_table(past, new, articles):
    print(f"{'queue':<14}{'past':>6}{'share':>8}{'new':>6}{'articles':>10}")
    past_queues = collections.Counter(ticket["expected"]["queue"] for ticket in past)
    new_queues = collections.Counter(ticket["expected"]["queue"] for ticket in new)
    article_queues = collections.Counter(meta["queue"] for meta in articles.values())
    for queue, count in past_queues.most_common():
        print(
            f"{queue:<14}{count:>6}{count / len(past):>8.1%}{new_queues[queue]:>6}"
            f"{article_queues[queue]:>10}"
        )
    for field in ("priority", "language"):
        print()
        old = collections.Counter(ticket["expected"][field] for ticket in past)
        fresh = collections.Counter(ticket["expected"][field] for ticket in new)
        for value, count in old.most_common():
            print(f"{value:<14}{count:>6}{count / len(past):>8.1%}{fresh[value]:>6}")


def main():
    queues, priorities = read_company()
    articles = read_articles(queues)
    past = read_tickets("past.jsonl", PAST_COUNT)
    new = read_tickets("new.jsonl", NEW_COUNT)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    for is_new, tickets in ((False, past), (True, new)):
        for ticket in tickets:
            check_ticket(ticket, is_new, queues, priorities, articles)
    last = check_set("past.jsonl", past, None)
    check_set("new.jsonl", new, last)
    days = (last - datetime.datetime.strptime(past[0]["at"], "%Y-%m-%dT%H:%M:%SZ")).days
    if days < 330:
        bad("past.jsonl", f"covers {days} days, should be about a year")
    counts = collections.Counter(ticket["expected"]["queue"] for ticket in past)
    for queue in queues:
        if not 0.035 <= counts[queue] / len(past) <= 0.25:
            bad("past.jsonl", f"{queue} has {counts[queue]} tickets")
    german = sum(ticket["expected"]["language"] == "de" for ticket in past) / len(past)
    if not 0.12 <= german <= 0.18:
        bad("past.jsonl", f"{german:.1%} German, should be about 15 %")
    replies = sum(ticket["reply"] is not None for ticket in past)
    if replies < 150:
        bad("past.jsonl", f"only {replies} replies")
    share, shared = check_overlap(past + new)
    lengths = sorted(len(ticket["text"].split()) for ticket in past)
    used = {ticket["expected"]["article"] for ticket in past + new} - {None}

    print_table(past, new, articles)
    print(f"\nreplies {replies} · words per ticket {lengths[0]} to {lengths[-1]}, ", end="")
    print(f"median {statistics.median(lengths):.0f} · {days} days")
    print(f"articles {len(articles)}, used by a ticket {len(used)}: not {sorted(set(articles) - used)}")
    print(f"{GRAM}-grams in more than one ticket: {shared} ({share:.2%})")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        print(f"{len(problems)} problems", file=sys.stderr)
        return 1
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
