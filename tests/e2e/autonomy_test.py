#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far a field goes without a person: it starts where its definition says, is raised by two people under a
certificate, lowered by one at once, and falls back with its certificate."""
import json
import unittest

import e2e

SHADES = """name: shades
autonomy: propose
fields:
  - name: shade
    type: choice
    labels: [light, dark]
    target_error: 0.05
prompt:
  system: You sort texts.
  prefix: "Text: "
  suffix: "\\nFill in the form."
"""
LINES = "\n".join(json.dumps({"id": str(i), "text": f"{w} {w} {w} number {i} of them", "expected": {"shade": w}})
                  for i in range(400) for w in ("light", "dark"))


class Autonomy(unittest.TestCase):
    def ask(self, key, method, path, body=None):
        return self.s.call(method, path, body, {"Authorization": f"Bearer {key}"}, local=False)

    def key(self, name, role):
        status, made = self.s.call("POST", "/api/v1/keys", {"name": name, "team": "red", "role": role})
        self.assertEqual(status, 201, made)
        return made["key"]

    def learn(self):
        status, job = self.s.call("POST", "/api/v1/workflows/shades/learn?measure=0", LINES)
        self.assertEqual(status, 202, job)
        self.assertEqual(self.s.wait_job(job["job"])["state"], "done")

    def shade(self):
        """What became of a new text: the rung of its field, and its artifact's state."""
        self.n += 1
        status, answer = self.s.call("POST", "/api/v1/tasks", {"workflow": "shades", "rungs": ["learned"], "input": {
            "text": f"dark dark dark number {5000 + self.n} of them"}})
        self.assertEqual(status, 200, answer)
        state = self.s.call("GET", f"/api/v1/artifacts/{answer['artifact']}?open=0")[1]["state"]
        return answer["fields"][0]["rung"], state

    def level(self):
        return self.s.call("GET", "/api/v1/workflows/shades/autonomy")[1]["fields"][0]["level"]

    def raise_to(self, level, one, other):
        path = "/api/v1/workflows/shades/autonomy"
        status, made = self.ask(one, "POST", path, {"field": "shade", "level": level})
        self.assertEqual((status, made.get("state")), (201, "candidate"), made)
        before = self.level()
        status, answer = self.ask(one, "POST", f"{path}/{made['release']}/approve", {})
        self.assertEqual((status, self.level()), (403, before), answer)
        status, answer = self.ask(other, "POST", f"{path}/{made['release']}/approve", {})
        self.assertEqual((status, self.level()), (200, level), answer)

    def test_up_by_two_down_by_one_and_back_by_itself(self):
        with e2e.House() as self.s:
            self.n = 0
            path = "/api/v1/workflows/shades/autonomy"
            status, answer = self.s.call("PUT", "/api/v1/workflows/shades", SHADES)
            self.assertEqual(status, 200, answer)
            ann, bob = self.key("ann", "approver"), self.key("bob", "approver")
            cat, dan = self.key("cat", "reviewer"), self.key("dan", "member")
            status, answer = self.ask(ann, "POST", path, {"field": "shade", "level": "assist"})
            self.assertEqual((status, "certificate" in answer["error"]["message"]), (409, True), answer)
            self.learn()
            self.assertTrue(self.s.call("GET", "/api/v1/certificates?workflow=shades")[1]["certificates"])
            self.assertEqual(self.shade(), ("person", "in_review"), "certified, and still a person decides")
            self.raise_to("assist", ann, bob)
            self.assertEqual(self.shade()[0], "learned")
            self.assertEqual(self.ask(ann, "POST", path, {"field": "shade", "level": "auto"})[0], 409,
                             "history is not reviewed")
            self.assertEqual(self.ask(dan, "POST", path, {"field": "shade", "level": "propose"})[0], 403)
            self.assertEqual(self.ask(cat, "POST", path, {"field": "shade", "level": "propose"})[0], 200)
            self.assertEqual(self.shade()[0], "person")
            self.raise_to("assist", bob, ann)
            self.assertEqual(self.shade()[0], "learned")
            self.learn()  # another head: its certificate is another one
            self.assertEqual((self.level(), self.shade()[0]), ("propose", "person"))
            self.raise_to("assist", ann, bob)
            kinds = [r["verdict"] for r in self.s.records() if r["task"] == "autonomy:shades"]
            self.assertEqual(kinds[:3], ["candidate", "active", "lowered"])
            self.assertEqual(self.s.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
