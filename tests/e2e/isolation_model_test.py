#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one team has asked costs another no less: cached_tokens across teams is 0, in the KV, in RAM and from disk.

bench/isolation.py looks at the same by the clock.
"""
import sys
import unittest

import e2e

LONG = ("The customer of the northern branch writes that the third delivery of the blue garden chairs was left at the "
        "neighbour's door, that two of the six legs are bent, that the receipt shows a price which was never agreed, and "
        "asks who will collect the broken ones, when the new ones arrive, and whether the voucher of last year still holds.")
WORKFLOW = """name: chairs
fields:
  - name: topic
    type: choice
    labels: [delivery, price, voucher]
prompt:
  system: "%s Decide which of the topics is the first that must be answered."
  prefix: "Message: "
  suffix: ""
""" % LONG


class Isolation(unittest.TestCase):
    def asker(self, s, name, team):
        made = s.call("POST", "/api/v1/keys", {"name": name, **({"team": team} if team else {}), "role": "member"})[1]
        return {"Authorization": "Bearer " + made["key"]}

    def cached(self, s, who, messages):
        messages = messages if isinstance(messages, list) else [messages]
        body = {"model": "light", "max_tokens": 4, "messages": [
            {"role": "user" if i % 2 == 0 else "assistant", "content": m} for i, m in enumerate(messages)]}
        status, answer = s.call("POST", "/v1/chat/completions", body, headers=who, local=who is None)
        self.assertEqual(status, 200, answer)
        usage = answer["usage"]
        self.text = answer["choices"][0]["message"]["content"]
        return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]

    def test_teams_share_nothing_and_a_team_everything(self):
        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
        config = "engine: {threads: 1}\nmodels: {n_ctx_light: 4096}\n"
        with e2e.House(options=["--engine", "llama"], config=config, prepare=prepare) as s:
            a, mate = self.asker(s, "a", "team-a"), self.asker(s, "mate", "team-a")
            b, late = self.asker(s, "b", "team-b"), self.asker(s, "late", "team-late")
            same = self.asker(s, "same", None)
            one, two = self.asker(s, "one", "x" * 52 + "-one"), self.asker(s, "two", "x" * 52 + "-two")
            first, tokens = self.cached(s, a, LONG)
            self.assertEqual(first, 0)
            said = self.text
            self.assertGreater(tokens, 70)
            self.assertEqual(self.cached(s, mate, LONG)[0], tokens - 1)  # the last one's logits are wanted
            for who in (b, None, one, two):  # None: the local administrator, of the team "default"
                self.assertEqual(self.cached(s, who, LONG)[0], 0)
            self.assertEqual(self.cached(s, same, LONG)[0], tokens - 1)
            # the next turn goes on from all of the last
            self.assertGreaterEqual(self.cached(s, a, [LONG, said, "And then?"])[0], tokens - 1)
            # out of the KV, into RAM
            for i in range(30):
                self.cached(s, b, "%d %s %s" % (i * 7919, LONG[i:], LONG[:i]))
            self.assertGreaterEqual(self.cached(s, a, LONG)[0], tokens - 1)
            self.assertEqual(self.cached(s, late, LONG)[0], 0)

    def climb(self, s, text, who=None):
        body = {"workflow": "chairs", "input": {"text": text}, "artifact": False, "draft": False, "rungs": ["light"]}
        status, answer = s.call("POST", "/api/v1/tasks", body, headers=who, local=who is None)
        self.assertEqual(status, 200, answer)
        return answer["fields"][0]["value"], [c for c in answer["climb"] if c["rung"] == "light"][0]

    def test_a_warm_workflow_is_its_own_team_s(self):
        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
        with e2e.House(options=["--engine", "llama"], config="engine: {threads: 1}\n", prepare=prepare) as s:
            self.assertEqual(s.call("PUT", "/api/v1/workflows/chairs", WORKFLOW)[0], 200)
            b = self.asker(s, "b", "team-b")
            before, step = self.climb(s, "Where are my chairs? They have not been delivered.")
            tokens = step["tokens_in"]
            s.wait(lambda g: list((s.home / "states").glob("*.state")), 20, "a state on disk")
            self.assertEqual(s.stop(), 0)
            s.start()
            light = s.wait(lambda g: g["roles"]["light"]["state"] == "ready", 60)["roles"]["light"]
            self.assertEqual(light["warmed"], 1)
            # Had it been decoded here, its null run would have been the first to use it: the scores came too.
            after, step = self.climb(s, "Where are my chairs? They have not been delivered.")
            self.assertGreater(step["tokens_cached"], tokens // 2)
            self.assertEqual(after, before)
            # a chat of another team with the same words begins at nothing
            self.assertEqual(self.cached(s, b, LONG)[0], 0)


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
