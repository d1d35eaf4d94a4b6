#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM with work in flight: what was accepted is answered, what comes later is told why not, and the end is clean."""
import http.client
import json
import threading
import time
import unittest

import e2e


class Stop(unittest.TestCase):
    def test_fifty_in_flight_are_answered_and_later_ones_refused(self):
        with e2e.House() as s:
            # connections that are open before the end and ask after it began
            late = [http.client.HTTPConnection("127.0.0.1", s.port, timeout=30) for _ in range(4)]
            for c in late:
                c.request("GET", "/health")
                c.getresponse().read()
            asks = [("task" if i % 2 else "chat", f"%%slow:1500%% number {i}") for i in range(50)]
            results = []

            def run():
                results.extend(e2e.at_once(
                    lambda a: s.task(a[1], rungs=["light"]) if a[0] == "task" else s.chat(a[1]), asks, threads=50))
            runner = threading.Thread(target=run)
            runner.start()
            s.wait(lambda got: got["tasks"]["running"] == 50, what="50 tasks running")
            start = time.monotonic()
            s.process.terminate()
            time.sleep(0.3)
            refused = 0
            body = json.dumps({"model": "light", "messages": [{"role": "user", "content": "too late"}]})
            for c in late:
                try:
                    c.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {s.key}"})
                    r = c.getresponse()
                    answer = json.loads(r.read())
                    self.assertEqual((r.status, answer["error"]["code"]), (503, "stopped"))
                    self.assertTrue(answer["error"]["hint"] is None or answer["error"]["hint"])
                    self.assertTrue(int(r.headers["retry-after"]) >= 1)
                    refused += 1
                except e2e.CONNECTION_ERRORS:
                    pass
                finally:
                    c.close()
            code = s.process.wait(20)
            took = time.monotonic() - start
            runner.join()
            self.assertEqual(code, 0, s.said())
            self.assertLess(took, 15)
            for ask, r in zip(asks, results):
                self.assertNotIsInstance(r, Exception, f"{ask}: {r!r}")
                self.assertEqual(r[0], 200, (ask, r))
            self.assertGreaterEqual(refused, 1, "no request was told `stopped`")
            self.assertFalse((s.home / "sock").exists())
            s.process = None
            s.log.close()
            self.assertTrue(s.verify()["ok"])
            s.start()
            kinds = [r["kind"] for r in s.records()]
            self.assertEqual(kinds.count("answered"), 50)
            self.assertEqual([k for k in kinds if k != "user_changed"][-2:], ["stopped", "started"])  # beside: the token of the set-up

    def test_streams_in_flight_end_whole(self):
        with e2e.House() as s:
            streams = [s.stream(f"%%slow:{300 + 20 * i}%% stream {i}") for i in range(10)]
            s.wait(lambda got: got["tasks"]["running"] == 10, what="10 streams")
            s.process.terminate()
            for st in streams:
                self.assertIn(b"data: [DONE]", st.read_all())
                st.close()
            self.assertEqual(s.process.wait(15), 0, s.said())

    def test_work_that_never_ends_does_not_keep_the_server(self):
        """A worker that hangs: the server ends by itself all the same, and says so to the one who waits."""
        with e2e.House() as s:
            got = []
            t = threading.Thread(target=lambda: got.append(e2e.at_once(lambda x: s.chat(x), ["%%hang%%"])[0]))
            t.start()
            s.wait(lambda st: st["tasks"]["running"] == 1, what="the task")
            start = time.monotonic()
            s.process.terminate()
            self.assertEqual(s.process.wait(40), 0, s.said())
            t.join()
            self.assertLess(time.monotonic() - start, 35)
            self.assertTrue(isinstance(got[0], Exception) or got[0][0] == 503, got)


if __name__ == "__main__":
    e2e.main()
