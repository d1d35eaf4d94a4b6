#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits, budgets and stop switches of the real server: exact under many clients, told in headers, kept over a restart;
a switch holds within a second for what waits and runs, and a spent budget never stops local work."""
import json
import sys
import threading
import time
import unittest
from pathlib import Path

import e2e

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "upstream"))
import mock  # noqa: E402


class Team:
    """Asks with a key of its own, over TCP."""

    def __init__(self, s, name, team, **more):
        status, made = s.call("POST", "/api/v1/keys", {"name": name, "team": team, "role": "reviewer", **more})
        assert status == 201, made
        self.s, self.key = s, made["key"]

    def ask(self, method, path, body=None, **headers):
        return self.s.call(method, path, body, {"Authorization": f"Bearer {self.key}", **headers}, local=False)

    def chat(self, text="hello", **more):
        return self.ask("POST", "/v1/chat/completions",
                        {"model": "light", "messages": [{"role": "user", "content": text}], "max_tokens": 16, **more})


def limit(s, kind, name, **what):
    status, answer = s.call("POST", "/api/v1/limits", {"kind": kind, **({"name": name} if name else {}), **what})
    assert status == 200, answer
    return answer


def row(s, kind, name):
    rows = s.call("GET", "/api/v1/limits")[1]["limits"]
    return next((r for r in rows if (r["kind"], r["name"]) == (kind, name)), None)


def halt(s, kind, name=None, on=True, by=None):
    body = {"kind": kind, "on": on, **({"name": name} if name else {}), **({"reason": "a test"} if on else {})}
    return by.ask("POST", "/api/v1/halts", body) if by else s.call("POST", "/api/v1/halts", body)


class Limits(unittest.TestCase):
    def test_requests_are_exact_told_and_kept(self):
        with e2e.House() as s:
            one, two = Team(s, "one", "red"), Team(s, "two", "red")
            limit(s, "team", "red", requests=40)
            limit(s, "key", "one", requests=15)
            status, _ = one.ask("GET", "/v1/models")
            self.assertEqual(status, 200)
            self.assertEqual(s.headers["x-ratelimit-limit-requests"], "15")
            self.assertEqual(s.headers["x-ratelimit-remaining-requests"], "14")
            self.assertRegex(s.headers["x-ratelimit-reset-requests"], r"^\d+s$")

            def ask(i):
                c = Team.__new__(Team)
                c.__dict__.update((one if i % 2 else two).__dict__)
                return i % 2, c.ask("GET", "/v1/models")[0]
            got = e2e.at_once(ask, range(160), threads=24)
            self.assertEqual({g[1] for g in got}, {200, 429})
            self.assertEqual(sum(g == (1, 200) for g in got) + 1, 15)
            self.assertEqual(sum(g[1] == 200 for g in got) + 1, 40, "all of the team's share, and not one more")
            status, answer = two.ask("GET", "/v1/models")
            self.assertEqual((status, answer["error"]["code"]), (429, "rate_limited"))
            self.assertIn('"red"', answer["error"]["message"])
            self.assertTrue(1 <= int(s.headers["retry-after"]) <= 61)
            self.assertEqual(s.headers["x-ratelimit-remaining-requests"], "0")
            self.assertEqual(s.stop(), 0)
            s.start()
            self.assertEqual(two.ask("GET", "/v1/models")[0], 429, "a restart gives nothing back")
            limit(s, "team", "red", requests=None)
            self.assertEqual(two.ask("GET", "/v1/models")[0], 200)
            self.assertEqual(one.ask("GET", "/v1/models")[0], 429)
            changed = [r for r in s.records() if r.get("verdict") == "limits_set"]
            self.assertEqual([r["task"] for r in changed], ["team:red", "key:one", "team:red"])

    def test_tokens_are_reserved_and_settled(self):
        with e2e.House() as s:
            one = Team(s, "one", "red")
            limit(s, "key", "one", tokens=400)
            status, answer = one.chat("x" * 30, max_tokens=16)
            self.assertEqual(status, 200, answer)
            used = answer["usage"]["total_tokens"]
            self.assertEqual(row(s, "key", "one")["used"]["tokens"], used, "what was used, not what was reserved")
            status, answer = one.chat("x" * 1500, max_tokens=16)
            self.assertEqual((status, answer["error"]["code"]), (429, "rate_limited"))
            self.assertIn("tokens", answer["error"]["message"])
            self.assertTrue(int(s.headers["retry-after"]) >= 1)
            self.assertEqual(row(s, "key", "one")["used"]["tokens"], used, "a refused one takes nothing")
            one.ask("GET", "/v1/models")
            self.assertEqual(s.headers["x-ratelimit-limit-tokens"], "400")
            self.assertEqual(s.headers["x-ratelimit-remaining-tokens"], str(400 - used))

    def test_tasks_at_once(self):
        with e2e.House() as s:
            one = Team(s, "one", "red")
            limit(s, "workflow", "colours", parallel=2)
            held = [threading.Thread(target=s.task, args=("%%slow:1500%% red",), kwargs={"rungs": ["light"]}) for _ in range(2)]
            for t in held:
                t.start()
            s.wait(lambda g: g["tasks"]["running"] == 2, what="two tasks")
            body = {"workflow": "colours", "input": {"text": "red"}}
            status, answer = one.ask("POST", "/api/v1/tasks", body)
            self.assertEqual((status, answer["error"]["code"]), (429, "rate_limited"))
            self.assertEqual(one.chat()[0], 200, "a chat is no task of that workflow")
            for t in held:
                t.join()
            self.assertEqual(one.ask("POST", "/api/v1/tasks", body)[0], 200)

    def test_a_key_is_held_to_its_lists(self):
        with e2e.House() as s:
            status, made = s.call("POST", "/api/v1/keys", {"name": "narrow", "team": "red", "role": "reviewer",
                                                          "workflows": "other", "models": "light"})
            if status != 201:
                self.skipTest("keys take no lists yet")
            held = {"Authorization": f"Bearer {made['key']}"}
            there, none = (s.call("POST", "/api/v1/tasks", {"workflow": w, "input": {"text": "x"}}, held, local=False)
                           for w in ("colours", "none-such"))
            self.assertEqual(there[0], 404)
            self.assertEqual(there, none)
            there, none = (s.call("GET", f"/api/v1/workflows/{w}", None, held, local=False) for w in ("colours", "none-such"))
            self.assertEqual((there[0], there), (404, none))
            there, none = (s.call("POST", "/v1/chat/completions", {"model": m, "messages": [{"role": "user", "content": "x"}]},
                                  held, local=False) for m in ("heavy", "none-such"))
            self.assertEqual((there[0], there), (404, none))
            self.assertEqual(s.call("GET", "/api/v1/workflows", None, held, local=False)[1]["workflows"], [])
            listed = s.call("GET", "/v1/models", None, held, local=False)[1]["data"]
            self.assertEqual([m["id"] for m in listed], ["light"])


class Budgets(unittest.TestCase):
    PRICED = ("models: {{hosted: big}}\nupstreams:\n  - {{name: a, base: 'http://127.0.0.1:{port}/v1', allow: [127.0.0.1]}}\n"
              "model_list:\n  - {{model_name: big, litellm_params: {{model: ok, upstream: a}}, "
              "model_info: {{price: {{input: '1000', output: '1000'}}}}}}\n")

    def test_a_spent_budget_stops_calls_outside_and_nothing_else(self):
        server = mock.start()
        try:
            with e2e.House(config=self.PRICED.format(port=server.server_address[1])) as s:
                one = Team(s, "one", "red")
                self.assertEqual(one.chat(model="big")[0], 200)
                spent = float(row(s, "team", "red")["used"]["day"])
                self.assertGreater(spent, 0)
                for kind in ("key", "everything"):
                    self.assertEqual(float(row(s, kind, "one" if kind == "key" else "all")["used"]["month"]), spent)
                limit(s, "team", "red", day=f"{spent:.9f}")
                status, answer = one.chat(model="big")
                self.assertEqual((status, answer["error"]["code"]), (429, "over_budget"), answer)
                self.assertIn('"red"', answer["error"]["message"])
                self.assertTrue(1 <= int(s.headers["retry-after"]) <= 86401)
                self.assertEqual(one.chat()[0], 200, "local work goes on")
                status, answer = one.ask("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": "the red one"}})
                self.assertEqual(status, 200, answer)
                self.assertEqual(Team(s, "two", "blue").chat(model="big")[0], 200, "another team has its own")
                s.kill()
                s.start()
                self.assertEqual(one.chat(model="big")[1]["error"]["code"], "over_budget", "also after kill -9")
                self.assertEqual(float(row(s, "team", "red")["used"]["day_reserved"]), 0)
        finally:
            server.shutdown()
            server.server_close()

    def test_an_upstream_that_is_off_is_left_alone(self):
        server = mock.start()
        try:
            with e2e.House(config=self.PRICED.format(port=server.server_address[1])) as s:
                self.assertEqual(s.chat("hello", model="big")[0], 200)
                self.assertEqual(halt(s, "upstream", "a")[0], 200)
                status, answer = s.chat("hello", model="big")
                self.assertIn(status, (502, 503), answer)
                self.assertIn("switched off", json.dumps(answer))
                self.assertEqual(s.chat("hello")[0], 200)
                self.assertEqual(halt(s, "upstream", "a", on=False)[0], 200)
                self.assertEqual(s.chat("hello", model="big")[0], 200)
        finally:
            server.shutdown()
            server.server_close()


class Halts(unittest.TestCase):
    def ends(self, s, kind, name, ask, bystander=None):
        """Runs ask() on a thread, turns the switch on and off; returns how long the end took and what came."""
        got = []
        t = threading.Thread(target=lambda: got.append(ask()))
        t.start()
        s.wait(lambda g: g["tasks"]["running"] > 0, what="the task")
        began = time.monotonic()
        self.assertEqual(halt(s, kind, name)[0], 200)
        t.join(10)
        took = time.monotonic() - began
        self.assertTrue(got, "it did not end")
        self.assertLess(took, 1)
        if bystander:
            self.assertEqual(bystander()[0], 200)
        return got[0]

    def test_each_kind_ends_what_runs_and_refuses_what_comes(self):
        slow = "%%slow:20000%% red"
        with e2e.House() as s:
            red, blue = Team(s, "ann", "red"), Team(s, "bob", "blue")
            model = s.status()["roles"]["light"]["model"]
            form = {"workflow": "colours", "input": {"text": slow}, "rungs": ["light"], "artifact": False}
            cases = [("key", "ann", lambda: red.chat(slow, max_tokens=400), blue.chat),
                     ("team", "red", lambda: red.ask("POST", "/api/v1/tasks", form), blue.chat),
                     ("workflow", "colours", lambda: red.ask("POST", "/api/v1/tasks", form), red.chat),
                     ("model", model, lambda: red.chat(slow, max_tokens=400), lambda: red.ask("GET", "/v1/models")),
                     ("everything", None, lambda: red.chat(slow, max_tokens=400), lambda: blue.ask("GET", "/v1/models"))]
            for kind, name, ask, bystander in cases:
                with self.subTest(kind):
                    status, answer = self.ends(s, kind, name, ask, bystander)
                    self.assertEqual((status, answer["error"]["code"]), (503, "stopped"), answer)
                    self.assertIn("a test", answer["error"]["message"])
                    began = time.monotonic()
                    status, answer = ask()
                    self.assertEqual((status, answer["error"]["code"]), (503, "stopped"), answer)
                    self.assertLess(time.monotonic() - began, 1)
                    self.assertEqual([h["kind"] for h in s.status()["halts"]], [kind])
                    self.assertEqual(halt(s, kind, name, on=False)[0], 200)
                    self.assertEqual(red.chat()[0], 200)
            said = [(r["kind"], r["task"]) for r in s.records() if r["kind"] in ("halted", "resumed")]
            self.assertEqual(said[:4], [("halted", "key:ann"), ("resumed", "key:ann"), ("halted", "team:red"),
                                        ("resumed", "team:red")])
            self.assertEqual(len(said), 10)

    def test_streams_end_with_the_error_and_waiting_tasks_too(self):
        with e2e.House(config="limits: {tasks_running: 1}\n") as s:
            stream = s.stream("%%slow:20000%% a long one", max_tokens=400)
            s.wait(lambda g: g["tasks"]["running"] > 0, what="the stream")
            waiting = []
            threads = [threading.Thread(target=lambda: waiting.append(s.chat("later"))) for _ in range(3)]
            for t in threads:
                t.start()
            s.wait(lambda g: g["tasks"]["waiting"] == 3, what="three that wait")
            began = time.monotonic()
            self.assertEqual(halt(s, "team", "default")[0], 200)
            got = stream.read_all().decode()
            stream.close()
            for t in threads:
                t.join(10)
            self.assertLess(time.monotonic() - began, 1)
            self.assertIn('"stopped"', got)
            self.assertNotIn("[DONE]", got)
            self.assertEqual([(w[0], w[1]["error"]["code"]) for w in waiting], [(503, "stopped")] * 3)
            self.assertEqual(halt(s, "team", "default", on=False)[0], 200)
            self.assertEqual(s.chat("again")[0], 200)
            self.assertTrue(s.verify()["ok"])

    def test_a_climb_goes_on_without_a_model_that_is_off(self):
        with e2e.House() as s:
            self.assertEqual(halt(s, "model", s.status()["roles"]["light"]["model"])[0], 200)
            status, answer = s.task("the red one", rungs=["light", "person"])
            self.assertEqual(status, 200, answer)
            self.assertIn("switched off", json.dumps(answer))

    def test_a_restart_keeps_it_and_the_local_user_can_always_undo_it(self):
        with e2e.House() as s:
            red = Team(s, "ann", "red")
            status, made = s.call("POST", "/api/v1/keys", {"name": "boss", "team": "red", "role": "admin"})
            boss = Team.__new__(Team)
            boss.s, boss.key = s, made["key"]
            for kind, name in (("team", "red"), ("everything", None), ("key", "boss"), ("team", "default")):
                self.assertEqual(halt(s, kind, name)[0], 200)
            self.assertEqual(red.ask("GET", "/v1/models")[1]["error"]["code"], "stopped")
            self.assertEqual(boss.ask("GET", "/api/v1/keys")[1]["error"]["code"], "stopped")
            s.kill()
            s.start()
            self.assertEqual(red.chat()[1]["error"]["code"], "stopped")
            shown = e2e.inhouse("halt", "list", home=s.home)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("everything", shown.stdout)
            doctor = e2e.inhouse("doctor", home=s.home)
            self.assertIn("LOOK halts", doctor.stdout)
            self.assertIn("switched off", e2e.inhouse("status", home=s.home).stdout.lower())
            self.assertEqual(halt(s, "key", "boss", on=False, by=boss)[0], 200, "an administrator reaches the switches")
            for words in (("everything",), ("team", "default"), ("team", "red")):
                done = e2e.inhouse("halt", "off", *words, home=s.home)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(red.chat()[0], 200)
            self.assertEqual(halt(s, "team", "red", on=False)[0], 404)
            self.assertEqual(s.call("POST", "/api/v1/halts", {"kind": "team", "name": "red", "on": True})[0], 400)

    def test_the_command_line_sets_limits(self):
        with e2e.House() as s:
            done = e2e.inhouse("limits", "set", "team", "red", "--requests", "7", "--month", "12.5", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = e2e.inhouse("limits", "set", "workflow", "colours", "--label", "confidential", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            shown = e2e.inhouse("limits", "show", home=s.home).stdout
            self.assertIn("0 of 7", shown)
            self.assertIn("0.00 of 12.50", shown)
            self.assertIn("confidential", shown)
            self.assertNotEqual(e2e.inhouse("limits", "set", "model", "x", "--requests", "7", home=s.home).returncode, 0)


if __name__ == "__main__":
    e2e.main()
