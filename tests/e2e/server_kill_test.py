#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server in the middle of a run, ten times: every answer that was acknowledged has its record, a key
sent again gives the same answer and no second effect, and what the dead server left lying does not stop the next."""
import os
import random
import sqlite3
import threading
import time
import unittest

import e2e

CLIENTS = 32
ROUNDS = int(os.environ.get("INHOUSE_E2E_ROUNDS", "10"))


class Clients:
    """So many clients that send task after task, each under a key of its own, until the server is gone."""

    def __init__(self, house, label):
        self.house = house
        self.label = label
        self.answers = {}  # key: the answer that was acknowledged
        self.open = set()  # keys sent and not acknowledged
        self.chats = []    # tasks of chats that were acknowledged
        self.wrong = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.one, args=(i,)) for i in range(CLIENTS)]

    def text(self, key):
        return f"%%slow:5%% the red one, {key}"

    def one(self, i):
        for n in range(100000):
            key = f"{self.label}-{i}-{n}"
            try:
                if i % 8 == 7:
                    self.chat(key)
                    continue
                with self.lock:
                    self.open.add(key)
                status, answer = self.house.task(self.text(key), key=key)
                with self.lock:
                    self.open.discard(key)
                    if status == 200:
                        self.answers[key] = answer
                    else:
                        self.wrong.append((key, status, answer))
                        return
            except (*e2e.CONNECTION_ERRORS, ValueError):
                return

    def chat(self, key):
        c = e2e.server.Local(self.house.home / "sock")
        try:
            c.request("POST", "/v1/chat/completions",
                      f'{{"model":"light","messages":[{{"role":"user","content":"{key}"}}]}}')
            r = c.getresponse()
            r.read()
            if r.status == 200:
                with self.lock:
                    self.chats.append(r.headers["x-inhouse-task"])
        finally:
            c.close()

    def start(self):
        for t in self.threads:
            t.start()

    def join(self):
        for t in self.threads:
            t.join()


class ServerKill(unittest.TestCase):
    def test_no_acknowledged_record_is_lost(self):
        rng = random.Random(7)
        acknowledged = unsure = 0
        sent = {}
        with e2e.House() as s:
            for n in range(ROUNDS):
                clients = Clients(s, f"r{n}")
                clients.start()
                time.sleep(rng.uniform(0.1, 0.5))
                s.kill()
                clients.join()
                self.assertEqual(clients.wrong, [])
                self.assertTrue((s.home / "sock").exists(), "the leftovers this test is about")
                s.start()
                acknowledged += len(clients.answers) + len(clients.chats)
                unsure += len(clients.open)
                sent.update({k: a["id"] for k, a in clients.answers.items()})
                self.check_round(s, clients, sent)
            self.assertGreater(acknowledged, ROUNDS * 5, "too little was answered for this to mean anything")
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])
            self.check_effects(s, sent)
        print(f"{ROUNDS} kills: {acknowledged} answers acknowledged, {unsure} unsure and sent again, 0 lost")

    def check_round(self, s, clients, sent):
        self.assertEqual(s.verify()["findings_total"], 0)
        answered = {}
        for leaf in s.records():
            if leaf["kind"] == "answered":
                self.assertNotIn(leaf["task"], answered, "two answers of one task")
                answered[leaf["task"]] = leaf
        for key, answer in clients.answers.items():
            self.assertEqual(s.call("GET", f"/api/v1/tasks/{answer['id']}"), (200, answer), key)
            self.assertIn(answer["id"], answered)
        for task in clients.chats:
            self.assertIn(task, answered)
        again = list(clients.answers)[:20] + list(clients.open)
        for key, result in zip(again, e2e.at_once(lambda k: s.task(clients.text(k), key=k), again, threads=8)):
            self.assertEqual(result[0], 200, result)
            if key in clients.answers:
                self.assertEqual(result[1], clients.answers[key])
            sent[key] = result[1]["id"]

    def check_effects(self, s, sent):
        """One row of one task for each key that was ever sent: no more, no fewer."""
        db = sqlite3.connect(f"file:{s.home}/data.db?mode=ro", uri=True)
        try:
            rows = db.execute("SELECT count(*), count(DISTINCT idem_key) FROM task WHERE kind = 'form'").fetchone()
        finally:
            db.close()
        self.assertEqual(rows, (len(sent), len(sent)))


class Tampered(unittest.TestCase):
    def test_a_record_that_was_changed_is_named(self):
        """So that `ok` above means something: one character of one leaf, and the verification says which."""
        with e2e.House() as s:
            for i in range(20):
                self.assertEqual(s.task(f"the red one {i}")[0], 200)
            s.kill()
            self.assertTrue(s.verify()["ok"])
            db = sqlite3.connect(s.home / "data.db")
            try:
                seq, body = db.execute("SELECT seq, body FROM leaf ORDER BY seq DESC LIMIT 1 OFFSET 5").fetchone()
                text = bytes(body) if isinstance(body, bytes) else body.encode()
                changed = text.replace(b"answered", b"answereb")
                self.assertNotEqual(text, changed)
                db.execute("UPDATE leaf SET body = ? WHERE seq = ?",
                           (changed if isinstance(body, bytes) else changed.decode(), seq))
                db.commit()
            finally:
                db.close()
            done = e2e.inhouse("audit", "verify", "--json", home=s.home)
            self.assertNotEqual(done.returncode, 0)
            report = e2e.json.loads(done.stdout)
            self.assertFalse(report["ok"])
            self.assertTrue(any(f["first"] <= seq <= f["last"] for f in report["findings"]), report)
            s.start()


class Leftovers(unittest.TestCase):
    def test_a_home_full_of_leftovers_starts(self):
        with e2e.House() as s:
            s.task("the red one", key="k")
            s.kill()
            (s.home / "sock").unlink()
            (s.home / "sock").write_text("no socket")
            (s.home / "lock").write_text("999999\n")
            s.start()
            self.assertEqual(s.task("the red one", key="k")[0], 200)
            self.assertEqual(s.stop(), 0)

    def test_a_server_killed_while_it_starts_comes_up_the_next_time(self):
        with e2e.House() as s:
            for pause in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04):
                s.stop()
                s.log = open(s.folder / "log", "ab")
                s.process = e2e.subprocess.Popen(
                    [str(e2e.server.INHOUSED), "--home", str(s.home), "--engine", "fake", "--listen", "127.0.0.1:0"],
                    stdin=e2e.subprocess.DEVNULL, stdout=s.log, stderr=s.log)
                time.sleep(pause)
                s.kill_now()
                s.start()
            self.assertEqual(s.task("the red one")[0], 200)
            self.assertTrue(s.verify()["ok"])


if __name__ == "__main__":
    e2e.main()
