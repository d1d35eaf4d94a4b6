#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`inhouse learn` and `inhouse run` on all of Banking77's training file, as a user would: 77 labels, 10,003 messages, a head of more
bytes than one value of the database may have. No model: n-grams alone. Nine tenths teach, one tenth asks."""
import csv
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

import e2e

TRAIN = Path(os.environ.get("INHOUSE_DATA") or e2e.SOURCE.parent / "shared" / "data") / "banking77" / "train.csv"


class Learn(unittest.TestCase):
    def test_a_large_set_is_learned_and_answered(self):
        rows = list(csv.DictReader(TRAIN.open(newline="")))
        items = [json.dumps({"id": f"m{i}", "text": r["text"], "expected": {"intent": r["category"]}}) for i, r in enumerate(rows)]
        with tempfile.TemporaryDirectory() as folder:
            home, known, new, out = (Path(folder) / n for n in ("home", "known.jsonl", "new.jsonl", "out.jsonl"))
            home.mkdir(mode=0o700)
            known.write_text("\n".join(x for i, x in enumerate(items) if i % 10))
            new.write_text("\n".join(items[::10]))
            try:
                learned = e2e.inhouse("learn", "intent", str(known), "--quiet", home=home)
                self.assertEqual(learned.returncode, 0, learned.stdout + learned.stderr)
                answered = e2e.inhouse("run", "intent", str(new), "--quiet", "--out", str(out), home=home)
                self.assertEqual(answered.returncode, 0, answered.stdout + answered.stderr)
                said = {r["id"]: r["intent"] for r in map(json.loads, out.read_text().splitlines())}
                right = sum(said[f"m{i}"] == rows[i]["category"] for i in range(0, len(rows), 10))
                print(f"right {right} of {len(said)}")
                self.assertGreaterEqual(right / len(said), 0.87)
                # the head is there after a restart
                e2e.inhouse("stop", "--quiet", home=home)
                again = e2e.inhouse("run", "intent", str(new), "--quiet", "--out", str(out), home=home)
                self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
                self.assertEqual({r["id"]: r["intent"] for r in map(json.loads, out.read_text().splitlines())}, said)
            finally:
                e2e.inhouse("stop", "--quiet", home=home)


if __name__ == "__main__":
    if not TRAIN.is_file():
        print(f"skipped: {TRAIN} is missing")
        sys.exit(77)
    e2e.main()
