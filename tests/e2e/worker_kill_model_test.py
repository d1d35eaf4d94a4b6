#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a worker that holds a real model, in the middle of a run: every task is answered, within one minute more."""
import os
import signal
import sys
import threading
import unittest

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


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
