#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many models under one budget of memory: loading on demand, room by least recent use, pins, orders and their records;
and that a swap never cuts a running request. The fake engine: the roles take 336 MiB, fake-a, -b and -c 100 each."""
import os
import signal
import threading
import time
import unittest

import e2e

CONFIG = "models: {memory_mb: 586}\n"  # the roles and two more
IDLE = 0.8  # seconds after its last use before a model may make room


def models(s):
    got = s.call("GET", "/api/v1/models")[1]
    return {m["name"]: m for m in got["models"]}, got["memory"]


def states(s):
    return {name: m["state"] for name, m in models(s)[0].items()}


class ManyModels(unittest.TestCase):
    def order(self, s, name, what, status=200, body=None):
        got = s.call("POST", f"/api/v1/models/{name}/{what}", body or {})
        self.assertEqual(got[0], status, got)
        return got[1]

    def test_a_request_loads_what_it_names(self):
        with e2e.House(config=CONFIG) as s:
            ids = [m["id"] for m in s.call("GET", "/v1/models")[1]["data"]]
            self.assertIn("fake-a", ids)
            self.assertEqual(states(s)["fake-a"], "stored")
            status, answer = s.chat("hello", model="fake-a")
            self.assertEqual((status, answer["model"]), (200, "fake-a"), answer)
            self.assertEqual(states(s)["fake-a"], "ready")
            self.assertEqual(s.chat("hello", model="no-such")[0], 404)
            self.assertEqual(s.chat("hello", model="fake-embed")[0], 400)
            status, answer = s.call("POST", "/v1/embeddings", {"model": "fake-a", "input": "x"})
            self.assertEqual((status, answer["error"]["param"]), (400, "model"), answer)
            got = e2e.at_once(lambda m: s.chat("hello", model=m), ["fake-a", "fake-b", "light", "heavy"] * 6, threads=12)
            self.assertEqual({g[0] for g in got}, {200}, got)
            self.assertEqual({g[1]["model"] for g in got}, {"fake-a", "fake-b", "fake-light", "fake-heavy"})
            rungs = {r["rung"] for r in (r.get("leaf", r) for r in s.records()) if r["kind"] == "answered"}
            self.assertEqual(rungs, {"local", "light", "heavy"})

    def test_rerank_beside_chats_and_embeddings(self):
        with e2e.House(config=CONFIG) as s:
            documents = ["the red lamp is broken", "nothing of the sort", "a lamp, red, and broken too"]
            ask = {"query": "the red lamp is broken", "documents": documents, "return_documents": True}
            status, answer = s.call("POST", "/v1/rerank", ask)
            self.assertEqual((status, answer["method"], answer["model"]), (200, "cosine", "fake-embed"), answer)
            results = answer["results"]
            self.assertEqual(results[0]["index"], 0)
            self.assertAlmostEqual(results[0]["relevance_score"], 1.0, places=4)
            self.assertEqual([documents[r["index"]] for r in results], [r["document"]["text"] for r in results])
            self.assertEqual(sorted((r["relevance_score"] for r in results), reverse=True), [r["relevance_score"] for r in results])
            self.assertGreater(answer["usage"]["total_tokens"], 0)
            self.assertEqual(len(s.call("POST", "/v1/rerank", {**ask, "top_n": 2})[1]["results"]), 2)
            self.assertEqual(s.call("POST", "/v1/rerank", {**ask, "model": "light"})[0], 400)
            work = [lambda: s.call("POST", "/v1/rerank", ask), lambda: s.chat("hello"), lambda: s.chat("hello", model="fake-a"),
                    lambda: s.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"})]
            got = e2e.at_once(lambda f: f(), work * 8, threads=8)
            self.assertEqual({g[0] for g in got}, {200}, got)

    def test_adapters_show_and_go_with_their_model(self):
        with e2e.House(config=CONFIG) as s:
            status, answer = s.chat("hello", model="fake-light:fake-tone")
            self.assertEqual((status, answer["model"]), (200, "fake-tone"), answer)
            self.assertRegex(answer["choices"][0]["message"]["content"], r"^\[[0-9a-f]{8}\] You said: hello")
            self.assertEqual(s.chat("hello", model="light")[1]["choices"][0]["message"]["content"], "You said: hello")
            status, answer = s.chat("hello", model="fake-bad")
            self.assertEqual((status, answer["error"]["code"]), (503, "model_unavailable"), answer)
            self.assertEqual(s.chat("hello", model="fake-heavy:fake-tone")[0], 404)
            pid = s.worker()
            os.kill(pid, signal.SIGKILL)  # the new one is given its adapters again
            s.wait(lambda g: g["roles"]["light"]["state"] == "ready" and g["roles"]["light"]["pid"] != pid, 20, "a new worker")
            self.assertIn("] You said", s.chat("hello", model="fake-tone")[1]["choices"][0]["message"]["content"])
            self.order(s, "fake-light", "unload")
            self.assertEqual(s.chat("hello", model="fake-tone")[0], 200)

    def test_on_demand_may_be_switched_off(self):
        with e2e.House(config="models: {on_demand: false}\n") as s:
            self.assertEqual(s.chat("hello", model="fake-a")[0], 404)
            self.assertNotIn("fake-a", [m["id"] for m in s.call("GET", "/v1/models")[1]["data"]])
            self.order(s, "fake-a", "load")
            self.assertEqual(s.chat("hello", model="fake-a")[0], 200)

    def test_the_least_recently_used_makes_room_and_pins_hold(self):
        with e2e.House(config=CONFIG) as s:
            for m in ("fake-a", "fake-b"):
                self.assertEqual(s.chat("hello", model=m)[0], 200)
            time.sleep(IDLE)
            self.assertEqual(s.chat("hello", model="fake-a")[0], 200)  # b was used before
            time.sleep(IDLE)
            self.assertEqual(s.chat("hello", model="fake-c")[0], 200)
            got, memory = models(s)
            self.assertEqual([got[f"fake-{x}"]["state"] for x in "abc"], ["ready", "stored", "ready"])
            self.assertLessEqual(memory["used_bytes"], memory["budget_bytes"])
            self.order(s, "fake-a", "pin")
            time.sleep(IDLE)
            self.assertEqual(s.chat("hello", model="fake-b")[0], 200)
            got = models(s)[0]
            self.assertEqual([got[f"fake-{x}"]["state"] for x in "abc"], ["ready", "ready", "stored"], "a is pinned")
            self.order(s, "fake-b", "pin")
            status, answer = s.chat("hello", model="fake-c")
            self.assertEqual((status, answer["error"]["code"]), (503, "model_unavailable"), answer)
            for part in ("fake-c needs 100 MiB", "586 MiB", "fake-a 100 pinned", "fake-b 100 pinned"):
                self.assertIn(part, answer["error"]["message"])
            self.assertTrue(answer["error"]["hint"])
            self.order(s, "fake-b", "unpin")
            time.sleep(IDLE)
            self.assertEqual(s.chat("hello", model="fake-c")[0], 200)
            self.assertEqual(states(s)["fake-light"], "ready", "roles stay")

    def test_a_swap_never_cuts_a_request(self):
        with e2e.House(config=CONFIG) as s:
            stop = time.monotonic() + 12
            codes, lock = [], threading.Lock()

            def client(i):
                while time.monotonic() < stop:
                    got = s.chat(f"%%slow:{100 + 50 * (i % 4)}%%", model="fake-" + "abc"[i % 3])
                    with lock:
                        codes.append((got[0], got[1]["model"] if got[0] == 200 else got[1]))
                    time.sleep(0.02 if i % 2 else 1.5)  # some models fall idle at times
            threads = [threading.Thread(target=client, args=(i,)) for i in range(6)]
            for t in threads:
                t.start()
            seen = set()
            while any(t.is_alive() for t in threads):
                got, memory = models(s)
                self.assertLessEqual(memory["used_bytes"], memory["budget_bytes"])
                seen |= {n for n, m in got.items() if m["state"] == "ready"}
                time.sleep(0.1)
            for t in threads:
                t.join()
            self.assertEqual({c for c, _ in codes}, {200}, [c for c in codes if c[0] != 200])
            self.assertTrue({"fake-a", "fake-b", "fake-c"} <= seen, "all three had their turn")
            self.assertEqual({r["deaths"] for r in s.status()["roles"].values()}, {0})
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])

    def test_an_unload_answers_what_it_has(self):
        with e2e.House(config=CONFIG) as s:
            self.order(s, "fake-a", "load")
            got = []
            asks = [threading.Thread(target=lambda: got.append(s.chat("%%slow:900%%", model="fake-a"))) for _ in range(12)]
            for t in asks:
                t.start()
            time.sleep(0.4)
            self.assertIn(self.order(s, "fake-a", "unload")["state"], ("unloading", "stored"))
            for t in asks:
                t.join()
            self.assertEqual({g[0] for g in got}, {200}, got)

    def test_orders_need_a_scope_and_leave_a_record(self):
        with e2e.House(config=CONFIG) as s:
            for what in ("load", "pin", "unpin", "unload"):
                self.order(s, "fake-b", what)
            self.order(s, "fake-b", "unload", status=409)
            self.order(s, "no-such", "load", status=404)
            self.order(s, "fake-b", "load", status=400, body={"whait": True})
            told = [r.get("leaf", r) for r in s.records()]
            told = [r["verdict"] for r in told if r["kind"] == "model_changed"]
            self.assertEqual(told, ["loaded", "pinned", "unpinned", "unloaded"])
            secret = s.call("POST", "/api/v1/keys", {"name": "narrow", "scopes": "infer"})[1]["key"]
            headers = {"Authorization": f"Bearer {secret}"}
            for what in ("load", "unload", "pin", "unpin"):
                got = s.call("POST", f"/api/v1/models/fake-a/{what}", {}, headers=headers, local=False)
                self.assertEqual((got[0], got[1]["error"]["code"]), (403, "forbidden"), got)

    def test_the_command_line(self):
        with e2e.House(config=CONFIG) as s:
            def say(*words, code=0):
                done = e2e.inhouse(*words, home=s.home)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                return done.stdout + done.stderr
            self.assertIn("fake-c: ready", say("models", "load", "fake-c"))
            self.assertIn("pinned", say("models", "pin", "fake-c"))
            listed = say("models", "list")
            line = next(x for x in listed.splitlines() if "fake-c" in x)
            self.assertIn("ready", line)
            self.assertIn("yes", line)
            self.assertIn("for models", listed)
            say("models", "unpin", "fake-c")
            say("models", "unload", "fake-c")
            done = e2e.inhouse("models", "load", "no-such", home=s.home)
            self.assertIn("there is no model", done.stderr)
            self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    e2e.main()
