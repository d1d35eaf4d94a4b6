#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that leave, dawdle, or ask again; and what the log says of each stream before its bytes."""
import json
import re
import time
import unittest
from pathlib import Path

import e2e


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def idle(self, seconds=10):
        return self.s.wait(lambda g: g["tasks"]["running"] == 0 and g["roles"]["light"]["running"] == 0, seconds,
                           "the end of the work")

    def kinds_since(self, at):
        return [(r["kind"], r["verdict"]) for r in self.s.records()[at:]]

    def test_a_stream_that_is_left_is_cancelled_and_recorded_as_cut(self):
        at = len(self.s.records())
        start = time.monotonic()
        streams = [self.s.stream(f"%%slow:20000%% long one {i}") for i in range(8)]
        self.s.wait(lambda g: g["roles"]["light"]["running"] == 8, what="8 streams in the worker")
        self.assertEqual(self.kinds_since(at).count(("accepted", "accepted")), 8)
        for st in streams:
            st.close()
        self.idle()
        self.assertLess(time.monotonic() - start, 10, "the worker went on for nobody")
        self.assertEqual([k for k, _ in self.kinds_since(at)].count("cut"), 8, self.kinds_since(at))

    def test_a_whole_answer_nobody_waits_for_is_cancelled(self):
        at = len(self.s.records())
        body = json.dumps({"model": "light", "messages": [{"role": "user", "content": "%%slow:20000%% x"}]}).encode()
        with e2e.socket.create_connection(("127.0.0.1", self.s.port)) as c:
            c.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.s.key}\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
            self.s.wait(lambda g: g["roles"]["light"]["running"] == 1, what="the task")
        self.idle()
        self.assertIn("failed", [k for k, _ in self.kinds_since(at)])

    def test_a_key_whose_client_left_may_be_sent_again(self):
        """The client left in the middle, so the task failed: the same key again is answered, not an empty page."""
        body = json.dumps({"workflow": "colours", "input": {"text": "%%slow:1500%% red"}, "artifact": False,
                           "rungs": ["light"]}).encode()
        with e2e.socket.create_connection(("127.0.0.1", self.s.port)) as c:
            c.sendall((f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.s.key}\r\n"
                       f"Idempotency-Key: left\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
            self.s.wait(lambda g: g["tasks"]["running"] == 1, what="the task")
        self.idle()
        status, answer = self.s.call("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "left"}, local=False)
        self.assertEqual(status, 200, answer)
        self.assertTrue(answer["fields"], answer)
        again = self.s.call("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "left"}, local=False)
        self.assertEqual(again, (200, answer))

    def test_one_key_twenty_times_at_once_is_one_task(self):
        at = len(self.s.records())
        got = e2e.at_once(lambda i: self.s.task("%%slow:300%% red", key="same", rungs=["light"]), list(range(20)), threads=20)
        self.assertEqual({g[0] for g in got}, {200}, got[:2])
        self.assertEqual(len({g[1]["id"] for g in got}), 1, "two answers under one key")
        self.assertEqual([k for k, _ in self.kinds_since(at)].count("answered"), 1)

    def test_the_first_of_two_under_one_key_leaves(self):
        """The other is answered all the same."""
        body = json.dumps({"workflow": "colours", "input": {"text": "%%slow:800%% red"}, "artifact": False,
                           "rungs": ["light"]}).encode()
        first = e2e.socket.create_connection(("127.0.0.1", self.s.port))
        first.sendall((f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.s.key}\r\n"
                       f"Idempotency-Key: two\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body)
        self.s.wait(lambda g: g["tasks"]["running"] == 1, what="the first")
        leaver = e2e.threading.Timer(0.3, first.close)
        leaver.start()
        status, answer = self.s.call("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "two"}, local=False)
        leaver.join()
        self.assertEqual(status, 200, answer)
        self.assertTrue(answer["fields"])

    def test_a_task_that_failed_has_no_answer_to_show(self):
        at = len(self.s.records())
        status, answer = self.s.call("POST", "/api/v1/tasks", {"workflow": "none-such", "input": {"text": "x"}})
        self.assertEqual(status, 404)
        leaf = [r for r in self.s.records()[at:] if r["kind"] == "failed"]
        if leaf:
            self.assertEqual(self.s.call("GET", f"/api/v1/tasks/{leaf[0]['task']}")[0], 404)

    def test_the_log_says_accepted_before_the_first_byte_and_answered_before_the_last(self):
        for i in range(5):
            at = len(self.s.records())
            st = self.s.stream(f"%%slow:200%% stream {i} of many words to say one after the other")
            self.assertTrue(st.read_until(b"data: "))
            first = self.kinds_since(at)
            self.assertEqual(first[0], ("accepted", "accepted"), first)
            self.assertTrue(st.read_until(b"data: [DONE]"), st.got)
            last = self.kinds_since(at)
            self.assertEqual([k for k, _ in last], ["accepted", "answered"])
            tasks = {r["task"] for r in self.s.records()[at:]}
            self.assertEqual(len(tasks), 1)
            st.close()

    def test_a_slow_reader_costs_little_memory(self):
        """64 clients that ask for long streams and read nothing: bounded memory, and others are served."""
        pid = self.s.process.pid
        self.idle()
        before = rss(pid)
        text = "a long text to be said back " * 14
        slow = [e2e.Stream(self.s, {"model": "light", "stream": True, "max_tokens": 512,
                                    "messages": [{"role": "user", "content": text}]}, receive=2048)
                for _ in range(64)]
        time.sleep(1.5)
        self.assertEqual(self.s.chat("and me?")[0], 200)
        grown = rss(pid) - before
        self.assertLess(grown, 64 * 512 * 1024, f"{grown >> 20} MiB for 64 slow readers")
        for st in slow[:32]:
            st.close()
        # All at once: the kernel asks a full receiver less and less often, so one after the other each waits longer.
        for whole in e2e.at_once(lambda st: st.read_all(), slow[32:], threads=32):
            self.assertIn(b"data: [DONE]", whole)
        for st in slow[32:]:
            st.close()
        self.idle()

    def test_a_flood_is_refused_by_name_and_ends(self):
        """More at once than may run and wait: queue_full with retry-after for the rest, answers for the others."""
        with e2e.House(config="limits: {tasks_running: 4, tasks_waiting: 8}\n") as s:
            got = e2e.at_once(lambda i: s.chat(f"%%slow:300%% {i}"), list(range(40)), threads=40)
            codes = [r[0] for r in got]
            self.assertEqual(set(codes), {200, 429}, codes)
            self.assertGreaterEqual(codes.count(200), 4 + 6)  # one team has three quarters of the places
            full = [r[1]["error"] for r in got if r[0] == 429]
            self.assertEqual({e["code"] for e in full}, {"queue_full"})
            self.assertTrue(all(e["hint"] for e in full))


if __name__ == "__main__":
    e2e.main()
