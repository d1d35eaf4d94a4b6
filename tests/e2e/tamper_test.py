#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The record is tampered with in every way that design knows, at every position of a log of TAMPER_RECORDS records (default 90;
1000 is the release's count), and both verifiers - the server's own and tools/verify.py, which shares no code with it - must
find each, and name it. Also: proofs, exports in every format, search, all through the command line on a real server's record."""
import base64
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import unittest
from contextlib import closing
from pathlib import Path

import e2e

sys.path.insert(0, str(e2e.SOURCE / "tools"))
import verify  # noqa: E402

RECORDS = int(os.environ.get("TAMPER_RECORDS", "90"))
VERIFY = e2e.SOURCE / "tools" / "verify.py"


def leaf_hash(body):
    return hashlib.sha256(b"\0" + body).digest()


class Tamper(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        try:
            for i in range(RECORDS - 20):
                status, answer = cls.s.call("POST", "/api/v1/tasks", {
                    "workflow": "colours", "input": {"text": f"number {i} is red"}, "rungs": ["rule", "light"]})
                assert status == 200, answer
            cls.s.call("PUT", "/api/v1/workflows/colours", e2e.FORM.replace("yellow", "black"))
            assert cls.s.stop() == 0
            cls.home = cls.s.home
            with closing(sqlite3.connect(cls.home / "data.db")) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cls.size = db.execute("SELECT count(*) FROM leaf").fetchone()[0]
                cls.marks = [r[0] for r in db.execute("SELECT size FROM checkpoint ORDER BY size")]
            cls.clean = (cls.home / "data.db").read_bytes()
            cls.note = cls.s.folder / "kept.note"
            cls.note.write_text(cls.cli("audit", "checkpoint"))
            cls.key = json.loads(cls.cli("audit", "verify", "--json"))["key"]
        except BaseException:
            cls.s.__exit__()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()

    @classmethod
    def cli(cls, *words, code=0):
        done = e2e.inhouse(*words, home=cls.home)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def second(self, *words, code=None):
        done = subprocess.run([sys.executable, VERIFY, *map(str, words), "--json"], capture_output=True, text=True, timeout=120)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout) if done.stdout else None

    def put(self, *statements):
        """The data folder with a database that somebody changed."""
        for end in ("-wal", "-shm"):
            (self.home / f"data.db{end}").unlink(missing_ok=True)
        (self.home / "data.db").write_bytes(self.clean)
        with closing(sqlite3.connect(self.home / "data.db", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=OFF")
            for sql, values in statements:
                db.execute(sql, values)

    def both(self, what, first, last, *more):
        """Both must see it, and their first finding must be of [first, last] or inside it (None: no position to name)."""
        done = e2e.inhouse("audit", "verify", "--json", *more, home=self.home)
        self.assertEqual(done.returncode, 1, f"{what}: the first verifier saw nothing")
        ours = json.loads(done.stdout)["findings"][0]
        key = verify.Key(more[1]) if "--vkey" in more else None
        known = [verify.Checkpoint(Path(more[1]).read_bytes())] if "--known" in more else []
        seen = verify.verify_log(self.home, key, known).findings
        self.assertTrue(seen, f"{what}: the second verifier saw nothing")
        theirs = seen[0]
        for name, got in (("inhouse audit verify", ours), ("tools/verify.py", theirs)):
            if first is not None:
                self.assertTrue(first <= got["first"] and got["last"] <= last and got["first"] <= got["last"],
                                f"{what}: {name} names {got}, it was {first} to {last}")
        self.tried = getattr(self, "tried", 0) + 1

    def stride(self, seq):
        """The leaves between the checkpoints around one: as exactly as a rewritten leaf can be named."""
        before = max([0] + [m for m in self.marks if m <= seq])
        return before, min(m for m in self.marks if m > seq) - 1

    def test_every_kind_at_every_position(self):
        rng = random.Random(1)
        self.put()
        self.cli("audit", "verify")
        self.second("log", self.home, code=0)
        with closing(sqlite3.connect(self.home / "data.db")) as db:
            bodies = [bytes(r[0]) for r in db.execute("SELECT body FROM leaf ORDER BY seq")]
        n = self.size
        for seq in range(n):
            body = bytearray(bodies[seq])
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
            self.put(("UPDATE leaf SET body = ? WHERE seq = ?", (bytes(body), seq)))
            self.both("a flipped bit of a body", seq, seq)
            rewritten = bodies[seq].replace(b'"cost":0', b'"cost":1')
            self.put(("UPDATE leaf SET body = ?, hash = ? WHERE seq = ?", (rewritten, leaf_hash(rewritten), seq)))
            self.both("a body rewritten with its hash", *self.stride(seq))
            if seq % 3 == 0:
                self.put(("UPDATE leaf SET hash = ? WHERE seq = ?", (bytes(32), seq)))
                self.both("a changed hash", seq, seq)
                self.put(("DELETE FROM leaf WHERE seq = ?", (seq,)))
                self.both("a deleted record", seq, seq if seq < n - 1 else n - 1)
            if seq % 3 == 1 and seq + 1 < n:
                a, b = bodies[seq], bodies[seq + 1]
                self.put(("UPDATE leaf SET body = ?, hash = ? WHERE seq = ?", (b, leaf_hash(b), seq)),
                         ("UPDATE leaf SET body = ?, hash = ? WHERE seq = ?", (a, leaf_hash(a), seq + 1)))
                self.both("two records swapped", seq, seq + 1)
                self.put(("UPDATE leaf SET body = ?, hash = ? WHERE seq = ?", (a, leaf_hash(a), seq + 1)))
                self.both("a record twice", seq + 1, seq + 1)
            if seq % 3 == 2:
                self.put(("UPDATE leaf SET seq = -seq - 1 WHERE seq >= ?", (seq,)),
                         ("UPDATE leaf SET seq = -seq WHERE seq < 0", ()),
                         ("INSERT INTO leaf VALUES (?, ?, ?)", (seq, bodies[seq], leaf_hash(bodies[seq]))))
                self.both("a record put in between", seq, seq + 1)
                self.put(("DELETE FROM leaf WHERE seq >= ?", (seq,)))
                self.both("the tail cut off", seq, n - 1)
        for mark in self.marks:
            for column, value in (("root", bytes(32)), ("size", mark + n), ("note", "x\n1\nAA==\n\n\u2014 x AAAA\n")):
                self.put((f"UPDATE checkpoint SET {column} = ? WHERE size = ?", (value, mark)))
                self.both(f"a checkpoint's {column}", None, None)
        self.put(("UPDATE tree_edge SET hashes = zeroblob(length(hashes))", ()))
        self.both("the tree's edge", None, None)
        self.put(("DELETE FROM checkpoint", ()))
        self.both("no checkpoint left", None, None)
        print(f"{self.tried} changes of a log of {n} records, each found and named by both verifiers", flush=True)

    def test_what_only_a_checkpoint_kept_outside_shows(self):
        """The key's holder cuts the tail with its checkpoints, rolls the database back, or keeps two logs."""
        kept = ["--known", str(self.note)]
        with closing(sqlite3.connect(self.home / "data.db")) as db:
            edge = None
            old = self.marks[0]
            hashes = [bytes(r[0]) for r in db.execute("SELECT hash FROM leaf WHERE seq < ? ORDER BY seq", (old,))]
        nodes = []
        for h in hashes:
            height = 0
            while nodes and nodes[-1][0] == height:
                h, height = hashlib.sha256(b"\1" + nodes.pop()[1] + h).digest(), height + 1
            nodes.append((height, h))
        edge = b"".join(h for _, h in nodes)
        self.put(("DELETE FROM leaf WHERE seq >= ?", (old,)), ("DELETE FROM checkpoint WHERE size > ?", (old,)),
                 ("UPDATE tree_edge SET size = ?, hashes = ?", (old, edge)))
        self.cli("audit", "verify")  # all is signed: nothing inside the folder shows it
        self.second("log", self.home, code=0)
        self.both("the database rolled back", old, self.size - 1, *kept)
        # the same key signs another history: a second server over a copy of the folder
        copy = self.s.folder / "fork"
        self.put()
        shutil.copytree(self.home, copy, ignore=shutil.ignore_patterns("sock", "lock", "*-lock"))
        for folder in (self.home, copy):
            done = e2e.inhouse("keys", "add", f"at-{folder.name}", home=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            e2e.inhouse("stop", home=folder)
        other = self.s.folder / "fork.note"
        other.write_text(e2e.inhouse("audit", "checkpoint", home=copy).stdout)
        self.both("two heads of one log", 0, 10**9, "--known", str(other))

    def test_a_foreign_key_is_not_the_logs(self):
        self.put()
        origin, _, rest = self.key.partition("+")
        data = b"\1" + bytes(31) + b"\2"
        number = hashlib.sha256(origin.encode() + b"\n" + data).digest()[:4].hex()
        self.both("a foreign key", None, None, "--vkey", f"{origin}+{number}+{base64.b64encode(data).decode()}")

    def test_a_proof_stands_alone(self):
        self.put()
        for seq in (0, 1, self.size // 2, self.size - 1):
            file = self.s.folder / f"p{seq}.tlog-proof"
            self.cli("audit", "prove", seq, "--out", file)
            self.second("proof", file, "--key", self.key, code=0)
            data = file.read_bytes()
            for at in range(0, len(data), 7):
                file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
                done = subprocess.run([sys.executable, VERIFY, "proof", str(file), "--key", self.key], capture_output=True)
                self.assertIn(done.returncode, (1, 3), f"byte {at} of the proof of {seq}")
        self.cli("audit", "prove", self.size, code=5)
        file, early = self.s.folder / "grew", self.s.folder / "early.note"
        with closing(sqlite3.connect(self.home / "data.db")) as db:
            for mark in self.marks:
                early.write_text(db.execute("SELECT note FROM checkpoint WHERE size = ?", (mark,)).fetchone()[0])
                self.cli("audit", "prove", "--since", early, "--out", file)
                self.second("extends", early, file, "--key", self.key, code=0)
        data = file.read_bytes()
        file.write_bytes(data.replace(b"old", b"olD", 1))
        self.second("extends", early, file, "--key", self.key, code=3)
        early.write_text(early.read_text().replace("\n\n", "\nx\n\n"))
        self.cli("audit", "prove", "--since", early, code=3)

    def test_an_export_is_verified_alone_and_goes_on(self):
        self.put()
        out = self.s.folder / "all.jsonl"
        self.cli("audit", "export", "--out", out, "--limit", 17)
        self.second("export", out, "--key", self.key, code=0)
        self.cli("audit", "export", "--out", out, code=5)
        for _ in range(3):
            self.cli("audit", "export", "--out", out, "--limit", 20, "--resume")
            self.second("export", out, "--key", self.key, code=0)
        self.cli("audit", "export", "--out", out, "--resume")
        got = self.second("export", out, "--key", self.key, "--known", self.note, code=0)
        self.assertEqual(got["records"], self.size)
        lines = out.read_bytes().splitlines(keepends=True)
        records = [i for i, x in enumerate(lines) if x.startswith(b'{"actor"')]
        for k, i in enumerate(records):
            changed = lines[i].replace(b'"cost":0', b'"cost":9')
            for what, text in (("changed", lines[:i] + [changed] + lines[i + 1:]), ("gone", lines[:i] + lines[i + 1:]),
                               ("twice", lines[:i + 1] + [lines[i]] + lines[i + 1:]), ("cut", lines[:i])):
                out.write_bytes(b"".join(text))
                first = verify.verify_export(out, verify.Key(self.key), []).findings[0]
                low, high = (self.stride(k) if what == "changed" else (k, k + 1))
                self.assertTrue(low <= first["first"] <= high, f"record {k} {what}: {first}")
        part = self.s.folder / "part.jsonl"
        self.cli("audit", "export", "--out", part, "--from", 30, "--limit", 40)
        self.assertEqual(self.second("export", part, "--key", self.key, code=0)["records"], 40)
        some = self.s.folder / "some.jsonl"
        self.cli("audit", "export", "--out", some, "--kind", "answered", "--workflow", "colours")
        self.assertEqual(self.second("export", some, "--key", self.key, code=0)["records"], RECORDS - 20)
        text = some.read_text()
        some.write_text(text.replace('"cost":0', '"cost":7', 1))
        self.second("export", some, "--key", self.key, code=1)

    def test_the_lines_for_a_siem(self):
        self.put()
        for kind in ("cef", "syslog", "otlp"):
            out = self.s.folder / f"all.{kind}"
            self.cli("audit", "export", "--out", out, "--format", kind, "--limit", 30)
            self.cli("audit", "export", "--out", out, "--format", kind, "--resume")
            lines = out.read_text().splitlines()
            self.assertEqual(len(lines), self.size)
            self.second("checkpoint", f"{out}.checkpoint", "--key", self.key, code=0)
            for seq, line in enumerate(lines):
                if kind == "otlp":
                    record = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
                    self.assertEqual(json.loads(record["body"]["stringValue"])["seq"], seq)
                    told = {a["key"]: a["value"]["stringValue"] for a in record["attributes"]}
                    self.assertEqual(told["inhouse.audit.leaf_hash"],
                                     leaf_hash(record["body"]["stringValue"].encode()).hex())
                else:
                    self.assertIn(f" externalId={seq} ", line)
                    self.assertTrue(line.startswith("CEF:0|inhouse|" if kind == "cef" else "<110>1 2"), line[:40])

    def test_search_finds_by_each_member(self):
        self.put()
        def seqs(*words):
            return [json.loads(x)["seq"] for x in self.cli("audit", "search", "--json", "--limit", 10000, *words).splitlines()]
        with closing(sqlite3.connect(self.home / "data.db")) as db:
            leaves = [json.loads(r[0]) for r in db.execute("SELECT body FROM leaf ORDER BY seq")]
        one = next(x for x in leaves if x["kind"] == "answered")
        for member in ("kind", "team", "actor", "rung", "verdict", "task"):
            self.assertEqual(seqs(f"--{member}", one[member]), [x["seq"] for x in leaves if x[member] == one[member]])
        self.assertEqual(seqs("--workflow", "colours"),
                         [x["seq"] for x in leaves if x["kind"] in ("answered", "release_changed")])
        self.assertEqual(seqs("--since", "2020-01-01", "--until", "2020-01-02"), [])
        self.assertEqual(len(seqs("--since", "2020-01-01")), self.size)
        self.cli("audit", "search", "--workflow", "nothing", code=5)
        self.cli("audit", "search", "--since", "yesterday", code=2)
        self.assertIn("answered", self.cli("audit", "search", "--kind", "answered", "--limit", 2))


if __name__ == "__main__":
    e2e.main()
