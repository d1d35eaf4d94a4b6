#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a worker that holds a real model, in the middle of a run: every task is answered, within one minute more."""
import os
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

import e2e

TASKS = 24


class WorkerKillModel(unittest.TestCase):
    def test_a_run_survives_two_kills(self):
        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
        config = "engine: {threads: 1}\nmodels: {n_ctx_light: 2048}\n"
        with e2e.House(options=["--engine", "llama"], config=config, prepare=prepare) as s:
            texts = [f"Ticket {i}: the {'red' if i % 2 else 'blue'} lamp arrived broken and I am angry." for i in range(TASKS)]
            killed = []

            def kill():
                for _ in range(2):
                    pid = s.wait(lambda g: g["roles"]["light"]["running"] >= 4 and g["roles"]["light"]["state"] == "ready"
                                 and g["roles"]["light"]["pid"] not in killed, 60, "a run")["roles"]["light"]["pid"]
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
            killer = threading.Thread(target=kill)
            killer.start()
            got = e2e.at_once(lambda t: s.task(t, rungs=["light"], draft=False), texts, threads=TASKS)
            killer.join()
            self.assertEqual(len(killed), 2)
            for text, result in zip(texts, got):
                self.assertEqual(result[0], 200, result)
                light = [c for c in result[1]["climb"] if c["rung"] == "light"]
                self.assertIn(light[0]["verdict"], ("answered", "abstained"), light)
                self.assertTrue(all(f["value"] for f in result[1]["fields"]), (text, result))
            # undisturbed, the same tickets have the same answers; one at a time, so a near tie may fall otherwise
            again = e2e.at_once(lambda t: s.task(t, rungs=["light"], draft=False), texts[:8], threads=1)
            same = [a["value"] == b["value"] for one, two in zip(got, again)
                    for a, b in zip(one[1]["fields"], two[1]["fields"])]
            self.assertGreaterEqual(sum(same), len(same) - 2, same)
            status = s.status()["roles"]["light"]
            self.assertEqual((status["deaths"], status["state"]), (2, "ready"))
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])

    def test_a_request_that_killed_two_workers_is_refused_and_the_others_are_replayed(self):
        """The worker dies of a signal (not kill -9 from outside) whenever the poison runs in it. It is refused by name after the
        second time; what waited beside it is answered; the worker is back within 2 s and its load; nothing leaks."""
        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
        config = "engine: {threads: 1}\nmodels: {n_ctx_light: 2048}\n"
        with e2e.House(options=["--engine", "llama"], config=config, prepare=prepare) as s:
            self.assertEqual(s.chat("warm up", max_tokens=2)[0], 200)
            held = self.held_by(s)
            killed, stop = [], threading.Event()

            def kill():
                while not stop.is_set() and len(killed) < 2:
                    light = s.status()["roles"]["light"]
                    if light["running"] > 0 and light["state"] == "ready" and light["pid"] not in killed:
                        os.kill(light["pid"], signal.SIGSEGV)
                        killed.append(light["pid"])
                        gone = time.monotonic()
                        s.wait(lambda g: g["roles"]["light"]["state"] == "ready" and
                               g["roles"]["light"]["pid"] not in killed, 30, "the next worker")
                        back.append(time.monotonic() - gone)
                    time.sleep(0.01)
            back = []
            killer = threading.Thread(target=kill)
            poison = "Write a very long story about the sea."
            one = threading.Thread(target=lambda: got.append(s.chat(poison, max_tokens=400)))
            got = []
            one.start()
            s.wait(lambda g: g["roles"]["light"]["running"] > 0, 20, "the poison")
            killer.start()
            s.wait(lambda g: len(killed) > 0, 20, "its first death")
            others = e2e.at_once(lambda i: s.chat(f"Say {i}.", max_tokens=3), list(range(8)), threads=8)
            one.join()
            stop.set()
            killer.join()
            self.assertEqual((got[0][0], got[0][1]["error"]["code"]), (422, "poison_request"), got)
            self.assertIn("2 times", got[0][1]["error"]["message"])
            self.assertEqual({o[0] for o in others}, {200}, others)
            self.assertIn(("failed", "poison_request"), [(r["kind"], r["verdict"]) for r in s.records()])
            self.assertLess(max(back), 8, back)
            print(f"back after {', '.join(f'{b:.2f} s' for b in back)}")
            self.assertEqual(self.held_by(s), held, "descriptors or children of the server leaked")
            self.assertEqual(s.stop(), 0)

    def held_by(self, s):
        """Open descriptors and children of the server, when nobody is connected any more."""
        pid = s.process.pid
        s.wait(lambda g: g["tasks"]["running"] == 0, what="quiet")
        time.sleep(0.5)
        children = len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return len(os.listdir(f"/proc/{pid}/fd")), children


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
