#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of tickets as people send them: each bad row is one error that names the file and the line, the other tickets go
through, and nothing half-written stays."""
import json
import os
import signal
import subprocess
import threading
import time
import unittest

import e2e

GOOD = [json.dumps({"id": f"t{i}", "subject": f"number {i}", "text": f"the red one {i}"}).encode() for i in range(30)]
BAD = {
    "a cut line": (b'{"id":"x1","text":"the blue', "JSON"),
    "no JSON": (b"hello, is anybody there?", "JSON"),
    "a list": (b'["x2","text"]', ""),
    "no text at all": (b'{"id":"x3"}', "text"),
    "a number for a text": (b'{"id":"x4","text":5}', "text"),
    "a key twice": (b'{"id":"x6","text":"a","text":"b"}', "duplicate"),
    "invalid UTF-8": (b'{"id":"x7","text":"caf\xe9 cr\xe8me"}', "UTF-8"),
    "NUL": (b'{"id":"x8","text":"a\\u0000b"}', ""),
    "a raw NUL": (b'{"id":"x9","text":"a\0b"}', ""),
    "a lone surrogate": (b'{"id":"x10","text":"\\ud83d"}', ""),
    "depth 100": (b'{"id":"x11","text":"a","x":' + b"[" * 100 + b"]" * 100 + b"}", "deeper"),
    "10 MB": (json.dumps({"id": "x12", "text": "a" * (10 << 20)}).encode(), ""),
    "an id twice": (GOOD[0], "before"),
}


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        # for the server that the command line may start in its place
        (cls.s.home / "inhouse.yaml").write_text("engine: {kind: fake}\n")

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def setUp(self):
        self.dir = self.s.folder / self.id().rsplit(".", 1)[1]
        self.dir.mkdir()

    def file(self, data, name="tickets.jsonl"):
        path = self.dir / name
        path.write_bytes(data)
        return path

    def run_file(self, path, *options, code=None, stdin=None):
        out = self.dir / "out.jsonl"
        out.unlink(missing_ok=True)
        done = e2e.inhouse("run", "colours", path, "--out", out, *options, home=self.s.home, stdin=stdin)
        self.said = done.stdout + done.stderr
        self.assertGreaterEqual(done.returncode, 0, f"died of a signal: {self.said}")
        if code is not None:
            self.assertEqual(done.returncode, code, self.said)
        left = sorted(p.name for p in self.dir.iterdir() if p.name not in (path.name if hasattr(path, "name") else "",
                                                                           "out.jsonl"))
        self.assertEqual(left, [], "something half-written stayed")
        return [json.loads(line) for line in out.read_bytes().splitlines()] if out.exists() else None

    def test_each_bad_row_alone(self):
        for name, (line, word) in BAD.items():
            with self.subTest(name):
                lines = GOOD[:5] + [line] + GOOD[5:10]
                rows = self.run_file(self.file(b"\n".join(lines) + b"\n"), "--no-review")
                self.assertEqual([r["id"] for r in rows], [f"t{i}" for i in range(10)], self.said[:500])
                named = [x for x in self.said.splitlines() if "tickets.jsonl:6" in x or "line 6" in x]
                self.assertEqual(len(named), 1, f"one error that names file and line: {self.said[:700]}")
                self.assertIn(word, named[0])
                self.assertLess(len(self.said), 4000, "the error holds the ticket")

    def test_all_bad_rows_together(self):
        lines = list(GOOD)
        for i, (line, _) in enumerate(BAD.values()):
            lines.insert(3 + 2 * i, line)
        rows = self.run_file(self.file(b"\r\n".join(lines)), "--no-review")
        self.assertEqual([r["id"] for r in rows], [f"t{i}" for i in range(30)])
        for i in range(len(BAD)):
            self.assertRegex(self.said, rf"tickets\.jsonl:{4 + 2 * i}\b")

    def test_the_exit_code_says_that_some_were_skipped(self):
        all_good = e2e.inhouse("run", "colours", self.file(b"\n".join(GOOD[:3])), "--no-review", home=self.s.home)
        self.assertEqual(all_good.returncode, 0, all_good.stderr)
        some = e2e.inhouse("run", "colours", self.file(GOOD[0] + b"\n{bad\n"), "--no-review", home=self.s.home)
        self.assertNotEqual(some.returncode, 0)
        self.assertIn("skipped", some.stdout + some.stderr)

    def test_files_with_nothing_in_them(self):
        for name, data in {"empty": b"", "blank lines": b"\n\n  \n", "a byte order mark": b"\xef\xbb\xbf",
                           "only bad": b"{\n{\n"}.items():
            with self.subTest(name):
                rows = self.run_file(self.file(data), "--no-review")
                self.assertIn("tickets.jsonl", self.said)
                self.assertFalse(rows)

    def test_files_that_are_no_tickets(self):
        for name, data in {"a picture": b"\x89PNG\r\n\x1a\n" + os.urandom(20000), "UTF-16": "{}\n".encode("utf-16") * 50,
                           "one long line": b"a" * (20 << 20), "zeros": bytes(1 << 20)}.items():
            with self.subTest(name):
                start = time.monotonic()
                self.run_file(self.file(data), "--no-review")
                self.assertIn("tickets.jsonl", self.said)
                self.assertLess(len(self.said), 20000)
                self.assertLess(time.monotonic() - start, 20)
        for path in (self.dir / "none.jsonl", "/dev/null/x"):
            done = e2e.inhouse("run", "colours", path, home=self.s.home)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(path), done.stderr)

    def test_csv_as_a_spreadsheet_writes_it(self):
        data = (b'\xef\xbb\xbfid;subject;text\r\nt1;"a ""quoted"" one";"two\r\nlines"\r\nt2;x;caf\xe9\r\n'
                b't3;only two\r\nt4;x;fine\r\n')
        rows = self.run_file(self.file(data, "tickets.csv"), "--no-review")
        ids = [r["id"] for r in rows or []]
        self.assertIn("t1", ids, self.said)
        self.assertIn("t4", ids, self.said)
        self.assertNotIn("t2", ids, "invalid UTF-8 went through")
        self.assertIn("tickets.csv", self.said)

    def test_a_run_that_is_killed_leaves_nothing_half_written(self):
        lines = [json.dumps({"id": f"s{i}", "text": f"%%slow:100%% red {i}"}).encode() for i in range(200)]
        path = self.file(b"\n".join(lines))
        out = self.dir / "out.jsonl"
        env = {k: v for k, v in os.environ.items() if k not in ("INHOUSE_URL", "INHOUSE_API_KEY")}
        env["INHOUSE_HOME"] = str(self.s.home)
        done = subprocess.Popen([e2e.INHOUSE, "run", "colours", path, "--out", out, "--rungs", "light", "--no-review",
                                 "--jobs", "8"],
                                env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.s.wait(lambda g: g["tasks"]["running"] >= 4, what="the run")
        done.send_signal(signal.SIGKILL)
        done.wait()
        self.assertEqual([p.name for p in self.dir.iterdir()], ["tickets.jsonl"])
        self.s.wait(lambda g: g["tasks"]["running"] == 0, what="the end of its tasks")

    def test_a_worker_killed_during_a_run(self):
        lines = [json.dumps({"id": f"k{i}", "text": f"%%slow:50%% red {i}"}).encode() for i in range(100)]
        killed = []

        def kill():
            self.s.wait(lambda g: g["roles"]["light"]["running"] >= 4, what="the run")
            for _ in range(3):
                pid = self.s.wait(lambda g: g["roles"]["light"]["pid"] not in killed and g["roles"]["light"]["pid"],
                                  what="a worker")["roles"]["light"]["pid"]
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                time.sleep(0.1)
        killer = threading.Thread(target=kill)
        killer.start()
        rows = self.run_file(self.file(b"\n".join(lines)), "--rungs", "light", "--no-review", code=0)
        killer.join()
        self.assertEqual([r["id"] for r in rows], [f"k{i}" for i in range(100)])
        self.assertTrue(all(r["colour"] and "_error" not in r for r in rows))
        self.assertRegex(self.said, r"(?i)died|killed|ended", "the run says what happened")

    def test_the_servers_death_during_a_run(self):
        """kill -9 of the server: the run starts one of its own and finishes, and every answer has its record."""
        lines = [json.dumps({"id": f"d{i}", "text": f"%%slow:50%% red {i}"}).encode() for i in range(100)]

        def kill():
            self.s.wait(lambda g: g["tasks"]["running"] >= 4, what="the run")
            time.sleep(0.2)
            self.s.kill_now()
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            rows = self.run_file(self.file(b"\n".join(lines)), "--rungs", "light", "--no-review", code=0)
        finally:
            killer.join()
            self.start_again()
        self.assertEqual([r["id"] for r in rows], [f"d{i}" for i in range(100)], self.said)
        self.assertTrue(all("_error" not in r for r in rows))
        answered = [r["task"] for r in self.s.records() if r["kind"] == "answered"]
        self.assertEqual(len(answered), len(set(answered)))
        self.assertLessEqual({r["_meta"]["task"] for r in rows}, set(answered))

    def start_again(self):
        """After the server that the command line started was told to end."""
        self.s.call("POST", "/api/v1/stop", "")
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                self.s.call("GET", "/health")
                time.sleep(0.05)
        except e2e.CONNECTION_ERRORS:
            pass
        end = time.monotonic() + 20
        while True:
            try:
                self.s.start()
                return
            except RuntimeError:  # the lock goes a moment after the socket
                self.s.log.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


if __name__ == "__main__":
    e2e.main()
