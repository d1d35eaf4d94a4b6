#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is erased is gone from memory, too: a past ticket and its reply are near a new ticket, its writer is erased, and soon after, without a
restart, nothing of it is offered any more."""
import json
import time
import unittest

import e2e

HELPDESK = e2e.SOURCE / "examples" / "helpdesk"
TEXT = "The zorblatt display of my grinder shows a green snail since the update. What does it mean?"


class Forget(unittest.TestCase):
    def setUp(self):
        self.s = e2e.House().__enter__()

    def tearDown(self):
        self.s.__exit__()

    def run_command(self, *words):
        done = e2e.inhouse(*words, home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def near(self):
        """The tickets that a draft's answer points to, for a new ticket like the old one."""
        status, answer = self.s.call("POST", "/api/v1/tasks", {"workflow": "ticket-triage", "input": {"text": TEXT}, "artifact": False})
        self.assertEqual(status, 200, answer)
        return json.dumps(answer["draft"])

    def test_a_past_reply_is_gone_at_once(self):
        self.run_command("datasets", "add", "helpdesk", HELPDESK / "articles", "--quiet")
        status, mine = self.s.call("POST", "/api/v1/tasks", {"workflow": "ticket-triage", "input": {"id": "H-9999", "text": TEXT}}, local=False)
        self.assertEqual(status, 200, mine)
        lines = (HELPDESK / "past.jsonl").read_text(encoding="utf-8").splitlines()[:60]
        lines.append(json.dumps({"id": "H-9999", "subject": "zorblatt display", "text": TEXT, "approved": True,
                                 "expected": {"queue": "machines", "priority": "normal", "language": "en"},
                                 "reply": "Hello,\n\nHold the quixel button for nine seconds until the zorblatt display shows the clock.\n\nKind regards"}))
        past = self.s.home.parent / "past.jsonl"
        past.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.run_command("learn", "ticket-triage", past, "--quiet")
        self.assertIn("H-9999", self.near())
        who = self.s.records(mine["id"])[0]["actor"]
        self.run_command("erase", who, "--yes")
        end = time.monotonic() + 30
        while "H-9999" in (last := self.near()) and time.monotonic() < end:
            time.sleep(0.2)
        self.assertNotIn("H-9999", last)
        self.assertNotIn("quixel", last)


if __name__ == "__main__":
    e2e.main()
