#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`inhouse audit replay` over a record: what was made in the reproducible lane is asked again and is equal; a changed record is
told apart; what cannot be replayed is counted, and not hidden. On the fake engine; replay_model_test.py has a real model."""
import json
import sqlite3
import unittest
from contextlib import closing

import e2e


class Replay(unittest.TestCase):
    def replay(self, s, *words, code=0):
        done = e2e.inhouse("audit", "replay", "--json", *words, home=s.home)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_recorded_answers_are_asked_again(self):
        with e2e.House() as s:
            tasks = []
            for i in range(12):
                body = {"reproducible": True, "seed": i, "draft": False, "artifact": False, "rungs": ["rule", "light"]}
                status, answer = s.task(f"number {i} is red", **body)
                self.assertEqual(status, 200, answer)
                tasks.append(answer["id"])
                status, answer = s.chat(f"tell me about {i}", reproducible=True, seed=i, max_tokens=8)
                self.assertEqual(status, 200, answer)
            s.task("without the lane")
            got = self.replay(s)
            self.assertEqual((got["equal"], got["differ"], got["cannot"]), (24, 0, 0), got)
            self.assertEqual([t["task"] for t in self.replay(s, tasks[3])["tasks"]], [tasks[3]])
            # a replay is recorded like any other answer, and can itself be replayed
            self.assertEqual(self.replay(s, got["tasks"][0]["replayed"])["equal"], 1)
            self.assertIn("2 of 2 equal", e2e.inhouse("audit", "replay", *tasks[:2], home=s.home).stdout)
            # with another definition the recorded answers differ, and it says in what
            s.call("PUT", "/api/v1/workflows/colours", e2e.FORM.replace("yellow", "black"))
            changed = self.replay(s, tasks[0], code=1)
            self.assertEqual(changed["differ"], 1)
            self.assertIn("releases", changed["tasks"][0]["differences"])
            # not from the lane, not there
            plain = s.task("again without")[1]["id"]
            self.assertEqual(self.replay(s, plain)["cannot"], 1)
            self.assertEqual(self.replay(s, "tsk_00000000000000000000000001")["cannot"], 1)
            self.assertEqual(s.verify()["ok"], True)
            with closing(sqlite3.connect(f"file:{s.home}/data.db?mode=ro", uri=True)) as db:
                kept = json.loads(db.execute("SELECT replay FROM task WHERE replay <> '' LIMIT 1").fetchone()[0])
            self.assertLessEqual({"seed", "now", "rungs", "build", "fingerprints"}, set(kept))


if __name__ == "__main__":
    e2e.main()
