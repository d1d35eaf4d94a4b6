#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backups of a running server, restored and verified; a person erased in between stays erased, in the copies of the keys too. The
master key changes, is cut off at each step, and comes back from the printed key."""
import json
import shutil
import sqlite3
import unittest
from contextlib import closing

import e2e


def rows(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def living(folder):
    return rows(folder / "keys.db", "SELECT count(*) FROM subject_key WHERE wrapped IS NOT NULL")[0][0]


class Backup(unittest.TestCase):
    def cli(self, s, *words, code=0, text=None):
        done = e2e.inhouse(*words, home=s.home, stdin=text) if text else e2e.inhouse(*words, home=s.home)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def ask(self, s, key, text):
        status, answer = s.call("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": text}, "artifact": False},
                                headers={"Authorization": f"Bearer {key}"}, local=False)
        self.assertEqual(status, 200, answer)
        return answer["id"]

    def test_a_backup_is_restored_and_erasures_hold(self):
        with e2e.House() as s:
            people = {n: s.call("POST", "/api/v1/keys", {"name": n})[1]["key"] for n in ("anna", "bert")}
            for i in range(5):
                for key in people.values():
                    self.ask(s, key, f"number {i} is red")
            data, keys, far = s.folder / "data", s.folder / "keys", s.folder / "far"
            got = json.loads(self.cli(s, "backup", "--out", data, "--keys", keys, "--json").split("\n")[0])
            self.assertGreaterEqual(got["records"], 12)
            self.assertFalse((data / "keys.db").exists())
            self.assertFalse(any("master.key" in p.name for f in (data, keys) for p in f.iterdir()))
            self.cli(s, "backup", "--out", data, "--keys", keys, code=5)
            shutil.copytree(keys, far)  # a copy of the copy, that no erasure can reach
            self.ask(s, people["bert"], "one more")
            before = living(keys)
            self.assertEqual(living(s.home), before)
            size = s.verify()["records"]
            self.cli(s, "erase", "anna", "--yes")
            self.assertEqual(living(s.home), before - 1)
            self.assertEqual(living(keys), before - 1, "the copy of the keys still opens what was erased")
            self.assertEqual(living(far), before)
            self.assertGreater(s.verify()["records"], size)
            self.assertEqual(s.stop(), 0)

            # restored from the copy that nothing reached: erased again
            said = self.cli(s, "restore", data, "--keys", far, "--yes", "--json")
            self.assertEqual(json.loads(said.split("\n")[0])["erased_again"], 1)
            self.assertEqual(living(s.home), before - 1)
            contents = rows(s.home / "data.db", "SELECT DISTINCT subject FROM content")
            alive = rows(s.home / "keys.db", "SELECT id FROM subject_key WHERE wrapped IS NOT NULL")
            self.assertTrue(set(contents) <= set(alive), "content of an erased person is there")
            self.assertGreater(len(contents), 0)
            s.verify()
            s.start()
            self.ask(s, people["bert"], "after the restore")
            self.cli(s, "restore", data, "--keys", keys, "--yes", code=5)  # a server runs
            self.assertEqual(s.stop(), 0)
            # a copy that was changed is not put in place
            with closing(sqlite3.connect(data / "data.db")) as db:
                db.execute("UPDATE leaf SET hash = zeroblob(32) WHERE seq = 3")
                db.commit()
            self.assertIn("leaf 3", self.cli(s, "restore", data, "--keys", keys, "--yes", code=5))
            s.verify()

    def state(self, s, made, files):
        """The data folder with exactly these of the files that a change of the master key touches."""
        for name in ("master.key", "master.key.next", "master.box", "master.box.next", "master.recovery",
                     "master.recovery.next", "keys.db", "keys.db-wal", "keys.db-shm"):
            (s.home / name).unlink(missing_ok=True)
        for name, source in files.items():
            shutil.copy(made / source, s.home / name)

    def test_the_master_key_changes_and_comes_back(self):
        with e2e.House() as s:
            key = s.call("POST", "/api/v1/keys", {"name": "anna"})[1]["key"]
            self.ask(s, key, "red")
            self.cli(s, "keys", "master", "rotate", code=5)  # a server runs
            self.assertEqual(s.stop(), 0)
            printed = self.cli(s, "keys", "master", "print").split("\n")[0]
            self.assertRegex(printed, r"^([0-9A-Z]{4}-){13}[0-9A-Z]{4}$")
            old, new = s.folder / "old", s.folder / "new"
            keep = shutil.ignore_patterns("sock", "lock", "*-lock", "models")
            shutil.copytree(s.home, old, ignore=keep)
            self.assertIn("wraps", self.cli(s, "keys", "master", "rotate"))
            shutil.copytree(s.home, new, ignore=keep)
            self.assertNotEqual((old / "master.key").read_text(), (new / "master.key").read_text())
            self.assertNotEqual(rows(old / "keys.db", "SELECT wrapped FROM subject_key"),
                                rows(new / "keys.db", "SELECT wrapped FROM subject_key"))
            both = s.folder / "both"
            both.mkdir()
            for name, folder in (("old", old), ("new", new)):
                for file in ("master.key", "master.box", "master.recovery", "keys.db"):
                    if (folder / file).exists():
                        shutil.copy(folder / file, both / f"{name}-{file}")
            nexts = {"master.key.next": "new-master.key", "master.recovery.next": "new-master.recovery",
                     "master.box.next": "new-master.box"}
            base = {"master.key": "old-master.key", "master.recovery": "old-master.recovery"}
            cut = {"the key alone": {**base, "keys.db": "old-keys.db", "master.key.next": "new-master.key"},
                   "before the commit": {**base, **nexts, "keys.db": "old-keys.db"},
                   "after the commit": {**base, **nexts, "keys.db": "new-keys.db"},
                   "one rename": {**base, **nexts, "keys.db": "new-keys.db", "master.key": "new-master.key"},
                   "two renames": {"master.key": "new-master.key", "master.recovery": "new-master.recovery",
                                   "master.box.next": "new-master.box", "keys.db": "new-keys.db"},
                   "all": {"master.key": "new-master.key", "master.recovery": "new-master.recovery",
                           "master.box": "new-master.box", "keys.db": "new-keys.db"}}
            cut["one rename"].pop("master.key.next")
            for what, files in cut.items():
                with self.subTest(what):
                    self.state(s, both, files)
                    s.start()
                    self.ask(s, key, f"red {what}")
                    self.assertEqual(s.stop(), 0)
                    self.assertEqual([p.name for p in s.home.glob("*.next")], [])
                    s.verify()
            # the old master key opens nothing any more; the printed one brings the new one back
            (s.home / "master.key").write_bytes((old / "master.key").read_bytes())
            with self.assertRaises(RuntimeError):
                s.start()
            (s.home / "master.key").unlink()
            with self.assertRaisesRegex(RuntimeError, "recover"):
                s.start()
            wrong = ("0" if printed[0] != "0" else "1") + printed[1:]
            self.cli(s, "keys", "master", "recover", code=3, text=wrong + "\n")
            self.cli(s, "keys", "master", "recover", text=printed.lower() + "\n")
            self.assertEqual((s.home / "master.key").stat().st_mode & 0o777, 0o600)
            s.start()
            self.ask(s, key, "red again")


if __name__ == "__main__":
    e2e.main()
