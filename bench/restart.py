#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-restart: the first answer of a warm workflow after a restart, with its decoded prompt on disk and without.

One workflow with a prompt of about 600 tokens and one choice field, on the small model. It is used once, so that its
prompt's state lies in HOME/states. Then the server is restarted again and again, in turn with that folder as it was
(ours) and with it emptied (peer: everything is decoded again). What is timed is one task, asked in the same moment as
the status first says that the model is ready: from sending the request to having read the whole answer, its durable
record included. The field is a choice and nothing follows it, so the answer is the first scored token and the message
is `--message` (a few words: in 50 ms hardly more than a dozen tokens can be decoded). INHOUSE_BENCH_PEER=self leaves
the folder in the peer's place too and must print about 1. Rows: restart (peer/ours, at least 10) and restart_ms (50 ms over
ours, at least 1). Exit 0: both hold; 1: short; 77: something needed is missing.
Usage: bench/restart.py [--rounds N] [--model FILE] [--message TEXT]
"""
import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import common

QUEUES = {
    "billing": "invoices, fees, statements, refunds, VAT, direct debits, wrong or double charges, payment methods",
    "cards": "a card that is lost, stolen, blocked, worn out, swallowed, not yet arrived, or refused in a shop",
    "login": "passwords, codes that do not come, a new phone, the app's lock, a name or address that has changed",
    "transfers": "money sent to a wrong account, transfers that wait, standing orders, exchange rates, limits",
    "shop": "orders, deliveries, returns, sizes, vouchers, goods that are broken or missing",
    "other": "everything that none of the teams above answers, thanks, praise, advertising",
}
RULES = [
    "Read the whole message before you decide; its last sentence often says what is really wanted.",
    "A message that names a card and a fee belongs to billing only if the fee itself is the question.",
    "A refund that has not arrived is for billing; goods that have not arrived are for the shop.",
    "If somebody cannot pay because they cannot log in, the login team comes first.",
    "Money that left the account without the customer's order is for the cards team, whatever else is said.",
    "Quoted older messages below a line of dashes are context; the newest text decides.",
    "Greetings, signatures, disclaimers and advertising in the footer never decide.",
    "A customer who writes to several teams at once gets the team of the first thing they ask for.",
    "Do not guess from the name of the sender or from the language of the message.",
    "A question about opening hours, branches or jobs goes to other.",
    "If two teams fit equally well, take the one that can act soonest: cards before transfers before billing.",
    "An attachment that you cannot see is described by the text around it, or not at all; never invent what it shows.",
    "Messages in another language than English follow the same rules; do not translate them first.",
    "A message with several topics goes to the team of the one that costs the customer money right now.",
    "What an automatic reply or an out-of-office note says never changes the team of the message that caused it.",
    "A customer who only answers an earlier question goes back to the team that asked it, if that can be seen.",
    "Threats, legal letters and questions of the press go to other; people there pass them on at once.",
]


def workflow():
    about = "\n".join("- %s: %s" % q for q in QUEUES.items())
    system = ("You sort the messages of a company's customers. Each goes to exactly one team.\nThe teams are:\n%s\n"
              "Rules:\n%s\nAnswer with the form and nothing else." % (about, "\n".join(RULES)))
    return "\n".join(["name: warm", "fields:", "  - name: queue", "    type: choice",
                      "    instruct: the team that should handle the message",
                      "    labels: [%s]" % ", ".join(QUEUES),
                      "prompt:", "  system: %s" % json.dumps(system), '  prefix: "Message: "', '  suffix: ""']) + "\n"


def ask(house, message):
    body = json.dumps({"workflow": "warm", "input": {"text": message}, "rungs": ["light"], "draft": False,
                       "artifact": False, "class": "interactive"})
    start = time.monotonic()
    answer = house.call("POST", "/api/v1/tasks", body)
    ms = (time.monotonic() - start) * 1000
    steps = [s for s in answer["climb"] if s["rung"] == "light"]
    return ms, answer["fields"][0]["value"], steps[0]


def restart(house, message):
    house.start(every=0.002)
    try:
        return ask(house, message)
    finally:
        house.stop()


def warm_up(house, message):
    """Uses the workflow until the state of its prompt is on disk."""
    house.start()
    house.call("PUT", "/api/v1/workflows/warm", workflow(), "application/yaml")
    ask(house, message)
    states = house.home / "states"
    end = time.monotonic() + 20
    while not list(states.glob("*.state")):
        if time.monotonic() > end:
            raise RuntimeError("no state was written to %s" % states)
        time.sleep(0.05)
    house.stop()
    return states


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, default=common.LIGHT)
    parser.add_argument("--message", default="My card is gone!")
    args = parser.parse_args()
    common.need(args.model, common.BUILD / "bin/inhoused")
    is_self = common.SELF
    with common.House() as house, tempfile.TemporaryDirectory(prefix="bench-restart-") as folder:
        house.command("models", "add", args.model, "--role", "light")
        kept = Path(folder) / "kept"
        ours, theirs = [], []
        states = warm_up(house, args.message)
        shutil.copytree(states, kept)
        size = sum(f.stat().st_size for f in kept.iterdir())
        for n in range(args.rounds):
            for name, out in (("warm", ours), ("cold", theirs)):
                shutil.rmtree(states)
                if name == "warm" or is_self:
                    shutil.copytree(kept, states)
                ms, value, step = restart(house, args.message)
                out.append(ms)
                print("round %d %s %8.1f ms (%.1f of them the model's)  queue %s  %d tokens in, %d of them there" %
                      (n + 1, name, ms, step["ms"], value, step["tokens_in"], step["tokens_cached"]), flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print("spread warm %.1f..%.1f cold %.1f..%.1f ms, %.1f MB on disk" %
          (min(ours), max(ours), min(theirs), max(theirs), size / 1e6))
    ok = common.row("restart", "%.1f" % a, "%.1f" % b, b / a, "10.0", b / a >= 10)
    ok = common.row("restart_ms", "%.1f" % a, "50.0", 50 / a, "1.0", a <= 50) and ok
    return 0 if ok or is_self else 1


if __name__ == "__main__":
    sys.exit(main())
