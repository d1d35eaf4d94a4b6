#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `inhouse run` does with a server that fails in every way the API can: tests/cli/mock.py plays it."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from mock import Mock

INHOUSE = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build") / "bin" / "inhouse"


class RunAgainstMock(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="inhouse-cli-")
        self.dir = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def run_cli(self, mock, *words, text=None, code=0, env=None):
        environment = {**os.environ, "INHOUSE_URL": mock.url if mock else "", "INHOUSE_HOME": str(self.dir / "home"),
                       **(env or {})}
        done = subprocess.run([INHOUSE, *words], env=environment, input=text, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        return done.stdout.decode(), done.stderr.decode()

    def tickets(self, n, name="in.jsonl"):
        path = self.dir / name
        path.write_text("".join(json.dumps({"id": f"T{i}", "text": f"ticket {i}", "expected": {"queue": "billing"}}) + "\n"
                                for i in range(n)))
        return str(path)

    def lines(self, name="out.jsonl"):
        return [json.loads(x) for x in (self.dir / name).read_text().splitlines()]

    def test_answers_come_in_the_order_of_the_input(self):
        with Mock({"T0": [(503, "worker_died", ())], "T3": [(429, "queue_full", (("Retry-After", "1"),))]}) as mock:
            out, _ = self.run_cli(mock, "run", "w", self.tickets(40), "--out", str(self.dir / "out.jsonl"), "-j", "8")
            self.assertEqual([x["id"] for x in self.lines()], [f"T{i}" for i in range(40)])
            self.assertIn("100.0 %", out)
            self.assertIn("worker died 1 times", out)

    def test_retries_carry_the_same_idempotency_key(self):
        with Mock({"T1": [(503, "stopped", ()), (503, "worker_died", ())]}) as mock:
            self.run_cli(mock, "run", "w", self.tickets(3), "--out", str(self.dir / "out.jsonl"))
            self.assertEqual(len(mock.keys["T1"]), 1)
            self.assertEqual(len({k for keys in mock.keys.values() for k in keys}), 3)

    def test_failure_that_does_not_pass_is_one_line_and_the_others_go_on(self):
        with Mock({"T1": [(422, "blocked", ())]}) as mock:
            _, err = self.run_cli(mock, "run", "w", self.tickets(3), "--out", str(self.dir / "out.jsonl"), code=1)
            self.assertIn("T1: it failed with blocked", err)
            lines = self.lines()
            self.assertEqual(lines[1]["_error"]["code"], "blocked")
            self.assertEqual(lines[2]["queue"], "billing")

    def test_a_line_has_fields_and_meta(self):
        with Mock() as mock:
            self.run_cli(mock, "run", "w", self.tickets(1), "--out", str(self.dir / "out.jsonl"))
            line = self.lines()[0]
            self.assertEqual((line["id"], line["queue"]), ("T0", "billing"))
            meta = line["_meta"]
            self.assertEqual(meta["queue"], {"rung": "learned", "confidence": 0.9, "proposed_by": "learned", "checks": []})
            for key in ("tokens_in", "tokens_out", "ms", "cost", "releases", "artifact"):
                self.assertIn(key, meta)

    def test_options_reach_the_server(self):
        with Mock() as mock:
            self.run_cli(mock, "run", "w", self.tickets(1), "--rungs", "learned,light", "--no-draft", "--class", "batch",
                         "--json")
            self.assertEqual(mock.asked[0]["rungs"], ["learned", "light"])
            self.assertIs(mock.asked[0]["draft"], False)
            self.assertEqual(mock.asked[0]["class"], "batch")

    def test_bad_rows_are_named_and_the_others_answered(self):
        path = self.dir / "bad.jsonl"
        path.write_bytes(b'{"id":"a","text":"one"}\n{broken\n{"id":"b","text":"\xff"}\n{"id":"a","text":"again"}\n'
                         + b'{"id":"big","text":"' + b"x" * 300_000 + b'"}\n' + b'{"id":"huge","text":"'
                         + b"x" * 10_000_000 + b'"}\n' + b'{"id":"z","text":"last"}\n')
        with Mock() as mock:
            out, err = self.run_cli(mock, "run", "w", str(path), "--out", str(self.dir / "out.jsonl"), code=1)
            self.assertEqual([x["id"] for x in self.lines()], ["a", "z"])
            for line in (2, 3, 4, 5, 6):
                self.assertIn(f"bad.jsonl:{line}: ", err)
            self.assertIn("5 rows were skipped", out)

    def test_csv_from_standard_input(self):
        with Mock() as mock:
            out, _ = self.run_cli(mock, "run", "w", "-", "--json",
                                  text="\ufeffid,subject,text,expected_queue\nc1,\"a, b\",\"x\ny\",billing\n".encode())
            self.assertEqual(json.loads(out.splitlines()[0])["queue"], "billing")
            self.assertEqual(mock.asked[0]["input"], {"id": "c1", "subject": "a, b", "text": "x\ny"})

    def test_server_that_goes_away_for_good_keeps_the_finished_part(self):
        with Mock({"T5": ["drop"] * 50}) as mock:
            _, err = self.run_cli(mock, "run", "w", self.tickets(8), "--out", str(self.dir / "out.jsonl"), "-j", "1", code=4)
            self.assertIn("out.jsonl.partial", err)
            self.assertFalse((self.dir / "out.jsonl").exists())
            self.assertEqual(len(self.lines("out.jsonl.partial")), 5)

    def test_no_file_no_server_no_folder_are_one_error_each(self):
        with Mock() as mock:
            _, err = self.run_cli(mock, "run", "w", str(self.dir / "none.jsonl"), code=3)
            self.assertIn("none.jsonl", err)
            _, err = self.run_cli(mock, "run", "w", self.tickets(1), "--out", str(self.dir / "no" / "out.jsonl"), code=3)
            self.assertIn("--out", err)
        _, err = self.run_cli(None, "run", "w", self.tickets(1), env={"INHOUSE_URL": "http://127.0.0.1:1"}, code=4)
        self.assertIn("INHOUSE_URL", err)

    def test_output_that_cannot_be_written_is_one_error_and_leaves_nothing(self):
        with Mock() as mock:
            done = subprocess.run(["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$0" "$@"', str(INHOUSE), "run", "w",
                                   self.tickets(400), "--out", str(self.dir / "out.jsonl")],
                                  env={**os.environ, "INHOUSE_URL": mock.url, "INHOUSE_HOME": str(self.dir / "home")},
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
            self.assertIn("cannot write", done.stderr)
            self.assertEqual([p.name for p in self.dir.iterdir() if "out" in p.name], [])

    def test_workflow_that_is_not_there_is_one_error(self):
        with Mock() as mock:
            _, err = self.run_cli(mock, "run", "nosuch", self.tickets(9), "--out", str(self.dir / "out.jsonl"), code=5)
            self.assertEqual(err.count("\n"), 2, err)
            self.assertEqual(mock.asked, [])

    def test_a_form_takes_a_file(self):
        with Mock() as mock:
            _, err = self.run_cli(mock, "run", "w", code=2)
            self.assertIn("FILE", err)
            self.assertEqual(mock.asked, [])

    def test_wrong_use_says_what_is_right(self):
        for words in (["nothing"], ["run"], ["run", "w", "f", "--jobs", "many"], ["run", "w", "f", "--wrong"],
                      ["run", "w", "f", "--rungs", "learned,lite"], ["run", "w", "f", "--class", "fast"],
                      ["review", "reject", "x"]):
            done = subprocess.run([INHOUSE, *words], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn("inhouse", done.stderr)
        done = subprocess.run([INHOUSE, "help"], capture_output=True, text=True, timeout=20)
        for line in done.stdout.splitlines():
            self.assertLessEqual(len(line), 110)


if __name__ == "__main__":
    unittest.main(verbosity=2)
