#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of what may pass before they are switched on, and after: a dry run over past tasks shows what they would have done,
to each team its own; then a brand rule holds an answer."""
import json
import tempfile
import unittest
from pathlib import Path

import e2e

RULES = """name: ours
rules:
  - name: cards
    why: card numbers stay in the payment system
    side: in
    find: card
    verdict: block
  - name: late
    side: in
    pattern: '(?i)very late'
    verdict: review
"""
BRAND = """name: ours
rules:
  - name: brand
    side: out
    style:
      Words: {extends: existence, message: "not '%s'", tokens: ['\\w+']}
    verdict: block
"""


class Guard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        cls.keys = {}
        for team in ("red", "blue"):
            for role in ("member", "approver"):
                made = cls.s.call("POST", "/api/v1/keys", {"name": f"{team}-{role}", "team": team, "role": role})[1]
                cls.keys[team, role] = {"Authorization": "Bearer " + made["key"]}

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()

    def ask(self, who, method, path, body, want=200):
        status, answer = self.s.call(method, path, body, self.keys[who], local=False)
        self.assertEqual(status, want, answer)
        return answer

    def dry(self, who, **more):
        return self.ask(who, "POST", "/api/v1/guard/dry-run", {"rules": RULES, **more})

    def test_what_rules_would_have_done(self):
        red, blue = ("red", "member"), ("blue", "member")
        for i in range(6):
            self.ask(red, "POST", "/api/v1/tasks", {"workflow": "colours", "input": {"id": f"r{i}", "text": f"parcel {i} is very late"}})
        self.ask(red, "POST", "/v1/chat/completions", {"model": "light", "max_tokens": 8, "messages": [
            {"role": "user", "content": "charge my card 4111 1111 1111 1111"}]})
        self.ask(blue, "POST", "/api/v1/tasks", {"workflow": "colours", "input": {"id": "b", "text": "blue things are very late"}})
        before = len(self.s.records())
        seen = self.dry(red)
        self.assertEqual((seen["tasks"], seen["gone"]), (7, 0))
        by_name = {r["rule"]: r for r in seen["rules"]}
        self.assertEqual((by_name["late"]["texts"], by_name["late"]["verdict"], len(by_name["late"]["samples"])), (6, "review", 5))
        self.assertEqual((by_name["cards"]["texts"], by_name["cards"]["samples"][0]["text"]), (1, "4111 1111 1111 1111"))
        self.assertEqual((seen["review"], seen["block"]), (6, 1))
        self.assertTrue(all(s["task"].startswith("tsk_") and s["side"] == "in" for s in by_name["late"]["samples"]))
        self.assertNotIn("blue things", json.dumps(seen))
        other = self.dry(blue)
        self.assertEqual((other["tasks"], other["review"], other["block"]), (1, 1, 0))
        self.assertEqual(self.s.call("POST", "/api/v1/guard/dry-run", {"rules": RULES})[1]["tasks"], 8)  # an administrator
        self.assertEqual(self.dry(red, past=2)["tasks"], 2)
        self.assertEqual(self.dry(red, workflow="colours")["tasks"], 6)
        self.ask(red, "POST", "/api/v1/guard/dry-run", {"rules": "rules: 5"}, 400)
        self.ask(red, "POST", "/api/v1/guard/dry-run", {"past": 0}, 400)
        self.assertEqual(len(self.s.records()), before, "it changes nothing")
        self.ask(red, "POST", "/api/v1/tasks", {"workflow": "colours", "input": {"id": "x", "text": "card 4111 1111 1111 1111"}})
        # from the command line
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(RULES)
            f.flush()
            done = e2e.inhouse("guard", "test", f.name, "--past", "100", home=self.s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Nothing was changed", done.stdout)
            self.assertRegex(done.stdout, r"late +review +7 texts")
        # what is erased is not there for it
        status, answer = self.s.call("POST", "/api/v1/erase", {"subject": "blue-member", "team": "blue"})
        self.assertEqual(status, 200, answer)
        gone = self.dry(blue)
        self.assertEqual((gone["tasks"], gone["gone"], gone["rules"]), (0, 1, []))

    def test_z_a_brand_rule_holds_an_answer(self):
        chat = {"model": "light", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
        self.ask(("red", "member"), "POST", "/v1/chat/completions", chat)
        made = self.ask(("red", "approver"), "POST", "/api/v1/guard/rules", BRAND, 201)
        self.ask(("blue", "approver"), "POST", f"/api/v1/guard/rules/{made['release']}/approve", {})
        answer = self.ask(("red", "member"), "POST", "/v1/chat/completions", chat, 422)
        self.assertIn("brand.Words", answer["error"]["message"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
