#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A climb that other servers take part in, through real processes: by an explicit rule it ends at the hosted one; what is
confidential goes out redacted and comes back restored; without the rule, and for what is restricted, no connection is opened; a
server in trouble costs the task no more than its deadline. The other server is mock.py, and llama-server where it is here.
"""
import json
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))
import e2e  # noqa: E402
import llama_server_test  # noqa: E402
import mock  # noqa: E402

PRICE = "model_info: {price: {input: '1', output: '2'}}"
TROUBLE = ["slow", "garbage", "half", "limited", "reset", "error500", "huge", "redirect"]
FORM = """name: orders
title: Sort a letter about an order
fields:
  - name: colour
    type: choice
    labels: [red, green, blue, yellow]
  - name: order
    type: id
    instruct: the order number
"""
LETTER = ("Dear Ms Jones, my order QX-4471209 came in blue. I paid from DE89370400440532013000 and can be reached at "
          "ann.lee@example.com or +49 30 1234567.")
SECRETS = ["QX-4471209", "DE89370400440532013000", "ann.lee@example.com", "1234567", "Jones"]


def config(port, how="allow: [127.0.0.0/8]", models="hosted: pool-form"):
    return (f"models: {{{models}}}\nupstreams:\n  - {{name: main, base: 'http://127.0.0.1:{port}/v1', {how}, breaker_failures: 100, retries: 0}}\n"
            f"  - {{name: down, base: 'http://127.0.0.1:1/v1', allow: [127.0.0.0/8], breaker_failures: 100, retries: 0}}\nmodel_list:\n"
            + "".join(f"  - {{model_name: pool-{m}, litellm_params: {{model: {m}, upstream: main}}, {PRICE}}}\n" for m in ["form"] + TROUBLE)
            + f"  - {{model_name: pool-down, litellm_params: {{model: form, upstream: down}}, {PRICE}}}\n")


def rules(s, *rows):
    """Makes these rows the ones that serve: (name, labels, pool, leave)."""
    text = "name: ours\nrows:\n" + "".join(
        f"  - name: {name}\n    why: a test\n    when:\n      label: [{labels}]\n    then: {{go: hosted, leave: {leave}, upstream: {pool}}}\n"
        for name, labels, pool, leave in rows)
    status, answer = s.call("POST", "/api/v1/route/rules", text or "name: none\nrows: []\n")
    assert status in (200, 201), answer
    status, answer = s.call("POST", f"/api/v1/route/rules/{answer['release']}/approve", {})
    assert status == 200, answer


def step(answer, rung):
    return next((x for x in answer["climb"] if x["rung"] == rung), None)


class Climb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ih-climb-"))
        cls.log = cls.folder / "requests"
        cls.mock = mock.start(log=cls.log)
        cls.s = e2e.House(config=config(cls.mock.server_address[1]))
        cls.s.__enter__()
        status, answer = cls.s.call("PUT", "/api/v1/workflows/orders", FORM)
        assert status == 200, answer

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()
        cls.mock.shutdown()
        cls.mock.server_close()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def ask(self, text, workflow="orders", **more):
        status, answer = self.s.call("POST", "/api/v1/tasks", {"workflow": workflow, "input": {"text": text}, **more})
        self.assertEqual(status, 200, answer)
        return answer

    def wire(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def test_by_its_rule_a_climb_ends_at_the_hosted_rung(self):
        rules(self.s, ("out", "public, internal", "pool-form", "plain"))
        answer = self.ask("one of the colours is wrong")
        hosted = step(answer, "hosted")
        self.assertEqual((hosted["verdict"], hosted["by"], hosted["attempts"]), ("answered", "main/form-1", 1), answer)
        self.assertEqual(step(answer, "light")["verdict"], "skipped")
        self.assertIn("rule out", step(answer, "light")["note"])
        self.assertEqual((answer["route"]["row"], answer["route"]["go"]), ("out", "hosted"))
        colour = answer["fields"][0]
        self.assertEqual((colour["value"], colour["proposed_by"], colour["rung"]), ("yellow", "hosted", "person"))
        self.assertGreater(float(answer["cost"]), 0)
        leaf = self.s.records(answer["id"])[-1]
        self.assertTrue(any("main/form-1" in r for r in leaf["releases"]), leaf)
        made = self.s.call("GET", "/api/v1/upstreams/calls?limit=1")[1]["calls"][0]
        self.assertEqual((made["task"], made["rule"]), (answer["id"], "out"))

    def test_confidential_leaves_redacted_and_comes_back_restored(self):
        rules(self.s, ("masked", "confidential", "pool-form", "redacted"))
        before = len(self.wire())
        answer = self.ask(LETTER)
        self.assertEqual(answer["label"], "confidential")
        self.assertEqual(step(answer, "hosted")["verdict"], "answered", answer)
        sent = "\n".join(self.wire()[before:])
        self.assertIn("came in blue", sent)
        for secret in SECRETS:
            self.assertNotIn(secret, sent)
        placeholders = re.findall(r"\[[A-Z]+_\d+\]", sent)
        self.assertGreaterEqual(len(set(placeholders)), 4, sent)
        self.assertNotRegex(json.dumps(answer["fields"]), r"\[[A-Z]+_\d+\]")

    def test_a_value_comes_back_as_it_stands_in_the_text(self):
        rules(self.s, ("masked", "confidential", "pool-form", "redacted"))
        answer = self.ask("My order QX-4471209 came in blue.", label="confidential")
        order = next(f for f in answer["fields"] if f["name"] == "order")
        self.assertEqual((order["value"], order["proposed_by"]), ("QX-4471209", "hosted"), answer)

    def test_without_the_rule_no_connection(self):
        rules(self.s, ("masked", "confidential", "pool-form", "redacted"))
        before = mock.CONNECTIONS[0]
        answer = self.ask("the red one please")
        self.assertEqual((answer["label"], step(answer, "hosted")["verdict"]), ("internal", "skipped"))
        rules(self.s, ("out", "public, internal", "pool-form", "plain"))
        answer = self.ask(LETTER)
        self.assertNotEqual((step(answer, "hosted") or {}).get("verdict"), "answered")
        self.assertEqual(mock.CONNECTIONS[0], before)

    def test_no_rule_can_name_restricted(self):
        for leave in ("plain", "redacted"):
            text = f"name: x\nrows:\n  - name: all\n    when: {{label: [restricted]}}\n    then: {{go: hosted, leave: {leave}, upstream: pool-form}}\n"
            self.assertEqual(self.s.call("POST", "/api/v1/route/rules", text)[0], 400)

    def test_a_named_model_asks_the_rules(self):
        def name(label):
            return self.s.call("POST", "/v1/chat/completions",
                               {"model": "pool-redirect", "messages": [{"role": "user", "content": "hello"}]}, headers={"x-inhouse-label": label})
        rules(self.s, ("out", "internal", "pool-form", "plain"))
        before = mock.CONNECTIONS[0]
        status, answer = name("internal")
        self.assertEqual(status, 403, answer)  # the row lets it out to another pool
        self.assertIn("pool-form", answer["error"]["message"])
        status, answer = name("confidential")
        self.assertEqual(status, 403, answer)
        self.assertIn("no_row", answer["error"]["message"])
        self.assertEqual(mock.CONNECTIONS[0], before)
        rules(self.s, ("out", "internal", "pool-redirect", "plain"))
        self.assertEqual(name("internal")[0], 502)  # what the mock does is no answer
        self.assertGreater(mock.CONNECTIONS[0], before)

    def test_trouble_ends_with_the_deadline_and_says_what_happened(self):
        worst = 0
        for kind in TROUBLE + ["down"]:
            with self.subTest(kind):
                rules(self.s, ("out", "public, internal", "pool-" + kind, "plain"))
                answer = self.ask(f"something about {kind}", deadline_ms=800)
                hosted = step(answer, "hosted")
                self.assertEqual((hosted["verdict"], answer["state"]), ("failed", "waiting_person"), answer)
                said = {"slow": "deadline|too_slow", "garbage": "garbage", "half": "cut", "limited": "rate_limited", "reset": "cut",
                        "error500": "overloaded", "huge": "too_large|deadline|too_slow", "redirect": "redirect_refused", "down": "not_connected"}[kind]
                self.assertRegex(hosted["note"], said)
                self.assertEqual(step(answer, "person")["verdict"], "answered")
                if kind != "slow":  # time was left: the models here were asked after all
                    self.assertNotEqual(step(answer, "light"), None)
                worst = max(worst, answer["ms"] - 800)
                spend = {u["name"]: u for u in self.s.call("GET", "/api/v1/upstreams")[1]["upstreams"]}["main"]["spend"]
                self.assertEqual(float(spend["reserved"]), 0, spend)
        print(f"latest answer after the deadline of 800 ms: {worst:+.0f} ms")


class Facts(unittest.TestCase):
    def test_needs_budget_and_rules_of_the_configuration(self):
        server = mock.start()
        folder = Path(tempfile.mkdtemp(prefix="ih-rules-"))
        file = folder / "rules.yaml"
        file.write_text("name: box\nrows:\n  - name: while-money-lasts\n    why: a test\n    when: {label: [public, internal], budget_left: {at_least: 0.5}}\n"
                        "    then: {go: hosted, leave: plain, upstream: pool-form}\n")
        text = config(server.server_address[1], 'allow: [127.0.0.0/8], budget: {amount: "1.00", per: month}') + f"route: {{rules: '{file}'}}\n"
        ask = {"workflow": "colours", "input": {"text": "a red one"}}
        try:
            with e2e.House(config=text) as s:
                # the shipped row fires by what the request says
                answer = s.call("POST", "/api/v1/tasks", dict(ask, needs=["frontier"], artifact=False))[1]
                self.assertEqual((answer["route"]["row"], step(answer, "hosted")["verdict"]), ("frontier-hosted", "answered"), answer)
                self.assertEqual(s.call("POST", "/api/v1/tasks", dict(ask, needs=["luck"]))[0], 400)
                facts = s.call("POST", "/api/v1/route/explain", ask)[1]["facts"]
                self.assertLess(facts["budget_left"], 1)
                self.assertGreater(facts["budget_left"], 0.99)
                self.assertGreater(facts["budget_forecast"], 0)
                # the file's rules wait for an approver
                rules_now = s.call("GET", "/api/v1/route/rules")[1]
                self.assertEqual([(r["state"], r["proposed_by"]) for r in rules_now["releases"]], [("candidate", "config")])
                self.assertNotEqual(step(s.task("a red one")[1], "hosted")["verdict"], "answered")
                release = rules_now["releases"][0]["release"]
                self.assertEqual(s.call("POST", f"/api/v1/route/rules/{release}/approve", {})[0], 200)
                self.assertEqual(s.task("a blue one")[1]["route"]["row"], "while-money-lasts")
        finally:
            server.shutdown()
            server.server_close()
            shutil.rmtree(folder, ignore_errors=True)


class Roles(unittest.TestCase):
    """On_prem servers in the place of a worker here."""

    def climb(self, port, how, label, models="light_upstream: pool-form"):
        with e2e.House(config=config(port, how, models)) as s:
            for name in ("fake-light", "fake-heavy"):
                status, answer = s.call("POST", f"/api/v1/models/{name}/unload", {})
                self.assertIn(status, (200, 202), answer)
            s.wait(lambda got: got["roles"]["light"]["state"] == "absent", what="unloading")
            return s.task("the red one please", label=label)[1]

    def test_a_server_in_the_house_serves_the_light_role(self):
        server = mock.start()
        port = server.server_address[1]
        house = "on_prem: true, allow: [127.0.0.0/8]"
        try:
            answer = self.climb(port, house, "confidential")  # nothing leaves the house: no rule is needed
            light = step(answer, "light")
            self.assertEqual((light["verdict"], light["by"]), ("answered", "main/form-1"), answer)
            before = mock.CONNECTIONS[0]
            answer = self.climb(port, house, "restricted")  # denied unless it is said of the server
            self.assertEqual(step(answer, "light")["verdict"], "skipped", answer)
            answer = self.climb(port, "allow: [127.0.0.0/8]", "internal")  # not on_prem: no local role
            self.assertEqual(step(answer, "light")["verdict"], "skipped", answer)
            answer = self.climb(port, house + ", restricted: true", "restricted", "hosted: pool-form")  # no role named
            self.assertEqual(step(answer, "light")["verdict"], "skipped", answer)
            self.assertEqual(mock.CONNECTIONS[0], before)
            answer = self.climb(port, house + ", restricted: true", "restricted")
            self.assertEqual(step(answer, "light")["verdict"], "answered", answer)
            self.assertEqual(mock.CONNECTIONS[0], before + 1)
        finally:
            server.shutdown()
            server.server_close()

    def test_llama_server_answers_a_climb(self):
        if not llama_server_test.SERVER.exists() or not llama_server_test.MODEL.exists():
            self.skipTest("llama-server or its model is not here (make bench-peers, make setup)")
        port = llama_server_test.free_port()
        process = llama_server_test.start(port)
        try:
            with e2e.House(config=config(port, "on_prem: true, allow: [127.0.0.1]")) as s:
                rules(s, ("out", "public, internal", "pool-form", "plain"))
                status, answer = s.task("The sky is blue and the sea is blue.", deadline_ms=120000)
                self.assertEqual(status, 200, answer)
                self.assertEqual(step(answer, "hosted")["verdict"], "answered", answer)
                colour = answer["fields"][0]
                self.assertIn(colour["value"], ["red", "green", "blue", "yellow"])
                self.assertEqual(colour["proposed_by"], "hosted")
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    e2e.main()
