#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a worker in the middle of a run: every task is answered as if nothing had happened, and the server says
what happened. A request that kills its worker is refused by name, while the others live."""
import os
import signal
import threading
import time
import unittest

import e2e

COLOURS = ("red", "green", "blue", "yellow")


def tickets(n, ms):
    return [f"%%slow:{ms}%% ticket {i}: the {COLOURS[i % 4]} one, {'angry' if i % 3 else 'calm'}" for i in range(n)]


def answer_of(result):
    """What a task says, without its times and ids."""
    if isinstance(result, Exception) or result[0] != 200:
        return result
    return result[1]["state"], [(f["name"], f["value"], f["rung"], f["proposed_by"], f["confidence"])
                                for f in result[1]["fields"]]


class WorkerKill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def run_all(self, texts):
        # light alone, so that every answer needs the worker and none comes from reuse
        return [answer_of(r) for r in e2e.at_once(lambda t: self.s.task(t, rungs=["light"], deadline_ms=120000),
                                                  texts, threads=200)]

    def test_200_tasks_and_one_kill(self):
        texts = tickets(200, 60)
        want = self.run_all(texts)
        self.assertEqual({w[0] for w in want if isinstance(w, tuple)} - {"done", "waiting_person"}, set(), want[:2])
        before = self.s.status()["roles"]["light"]

        def kill():
            self.s.wait(lambda s: s["roles"]["light"]["running"] >= 12, what="a run in the middle")
            os.kill(before["pid"], signal.SIGKILL)
        killer = threading.Thread(target=kill)
        killer.start()
        got = self.run_all(texts)
        killer.join()
        wrong = [(t, w, g) for t, w, g in zip(texts, want, got) if w != g]
        self.assertEqual(wrong, [], f"{len(wrong)} of 200 differ, first: {wrong[:1]}")
        after = self.s.wait(lambda s: s["roles"]["light"]["state"] == "ready")["roles"]["light"]
        self.assertEqual(after["deaths"], before["deaths"] + 1)
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertIn("worker.died", self.s.said())

    def test_ten_kills_during_a_run(self):
        texts = tickets(200, 30)
        want = self.run_all(texts)
        before = self.s.status()["roles"]["light"]["deaths"]
        done = threading.Event()
        killed = []

        def kill():
            while len(killed) < 10 and not done.is_set():
                pid = self.s.worker()
                if pid and pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                time.sleep(0.1)
        killer = threading.Thread(target=kill)
        killer.start()
        rounds = 0
        while len(killed) < 10 and rounds < 30:
            got = self.run_all(texts)
            rounds += 1
            wrong = [(t, w, g) for t, w, g in zip(texts, want, got) if w != g]
            self.assertEqual(wrong, [], f"{len(wrong)} of 200 differ after {len(killed)} kills, first: {wrong[:1]}")
        done.set()
        killer.join()
        self.assertEqual(len(killed), 10)
        self.s.wait(lambda s: s["roles"]["light"]["deaths"] == before + 10, what="the count of ten deaths")

    def test_kills_while_it_loads_do_not_end_the_role(self):
        """Killed again and again as soon as it is there, also before it is ready: it comes back each time."""
        for _ in range(6):
            pid = self.s.wait(lambda s: s["roles"]["light"]["pid"], what="a new worker")["roles"]["light"]["pid"]
            os.kill(pid, signal.SIGKILL)
            self.s.wait(lambda s: s["roles"]["light"]["pid"] != pid, what="the end of the old worker")
        self.s.wait(lambda s: s["roles"]["light"]["state"] == "ready", what="the role")
        self.assertEqual(self.s.chat("still there?")[0], 200)

    def test_a_poison_prompt_is_refused_by_name_and_others_live(self):
        before = self.s.status()["roles"]["light"]["deaths"]
        asks = [f"%%slow:50%% innocent {i}" for i in range(30)]
        asks[10] = "%%crash%% me"
        got = e2e.at_once(lambda t: self.s.chat(t), asks, threads=30)
        for text, result in zip(asks, got):
            if text == asks[10]:
                self.assertEqual((result[0], result[1]["error"]["code"]), (422, "poison_request"), result)
                self.assertTrue(result[1]["error"]["hint"])
            else:
                self.assertEqual(result[0], 200, result)
                self.assertIn(text, result[1]["choices"][0]["message"]["content"])
        self.assertEqual(self.s.status()["roles"]["light"]["deaths"], before + 2)
        kinds = [(r["kind"], r["verdict"]) for r in self.s.records()]
        self.assertIn(("failed", "poison_request"), kinds)

    def test_a_poison_ticket_goes_to_a_person_and_others_are_answered(self):
        """It ends the light worker twice and then the heavy one twice: each says so in its climb, and a person decides."""
        texts = tickets(40, 30)
        texts[7] = "%%crash%% the red one"
        got = e2e.at_once(lambda t: self.s.task(t, rungs=["light", "heavy"], deadline_ms=60000), texts, threads=40)
        for text, result in zip(texts, got):
            self.assertEqual(result[0], 200, result)
            light = [c for c in result[1]["climb"] if c["rung"] == "light"]
            self.assertEqual(len(light), 1)
            if "crash" in text:
                self.assertEqual(result[1]["state"], "waiting_person")
                self.assertEqual(light[0]["verdict"], "failed")
                self.assertIn("ended 2 times with this request", light[0]["note"])
            else:
                self.assertIn(light[0]["verdict"], ("answered", "abstained"), light)

    def test_a_stream_that_has_begun_ends_with_worker_died(self):
        one = self.s.stream("word " * 80 + "%%slow:0%%")
        self.assertTrue(one.read_until(b"data: "))
        # the fake engine says one word a step: the kill may come late, so many streams are tried
        ended = []
        for _ in range(20):
            st = self.s.stream("word " * 80)
            st.read_until(b"data: ")
            os.kill(self.s.wait(lambda s: s["roles"]["light"]["pid"])["roles"]["light"]["pid"], signal.SIGKILL)
            ended.append(st.read_all())
            st.close()
            self.s.wait(lambda s: s["roles"]["light"]["state"] == "ready")
        one.close()
        for got in ended:
            self.assertTrue((b"data: [DONE]" in got) != (b"worker_died" in got), got[-600:])


if __name__ == "__main__":
    e2e.main()
