#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our own paths against a real server on the fake engine, and the server's life: second server, busy port, reload, end."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import server

WORKFLOW = """name: colours
title: Sort by colour
fields:
  - name: colour
    type: choice
    labels: [red, green]
"""


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = server.Server().__enter__()

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def ok(self, method, path, body=None, status=200, **named):
        got, answer = self.s.call(method, path, body, **named)
        self.assertEqual(got, status, answer)
        return answer

    def refused(self, status, code, method, path, body=None, **named):
        got, answer = self.s.call(method, path, body, **named)
        self.assertEqual((got, answer["error"]["code"]), (status, code), answer)
        return answer["error"]

    def test_status_and_description(self):
        status = self.ok("GET", "/api/v1/status")
        self.assertEqual(status["roles"]["light"]["state"], "ready")
        self.assertGreater(status["records"], 0)
        self.assertTrue(status["store"]["ok"])
        self.assertIn("/api/v1/tasks", self.ok("GET", "/api/v1/openapi.json", local=False)["paths"])

    def test_keys_scopes_and_foreign_things(self):
        made = self.ok("POST", "/api/v1/keys", {"name": "narrow", "role": "member", "scopes": "infer"}, 201)
        narrow = {"Authorization": f"Bearer {made['key']}"}
        self.assertNotIn(made["key"], json.dumps(self.ok("GET", "/api/v1/keys")))
        self.assertEqual(self.s.call("GET", "/v1/models", headers=narrow, local=False)[0], 200)
        self.refused(403, "forbidden", "GET", "/api/v1/keys", headers=narrow, local=False)
        self.refused(403, "forbidden", "POST", "/api/v1/stop", {}, local=False)
        self.refused(400, "unknown_parameter", "POST", "/api/v1/keys", {"name": "x", "rolle": "admin"})
        self.refused(400, "bad_request", "POST", "/api/v1/keys", {"name": "x", "role": "king"})
        self.ok("DELETE", "/api/v1/keys/narrow")
        self.refused(401, "unauthenticated", "GET", "/v1/models", headers=narrow, local=False)
        self.refused(404, "not_found", "DELETE", "/api/v1/keys/narrow")

    def test_a_task_its_artifact_and_one_decision(self):
        text = {"id": "7", "subject": "login", "text": "I cannot log in since this morning."}
        task = self.ok("POST", "/api/v1/tasks", {"workflow": "ticket-triage", "input": text})
        again = self.ok("GET", f"/api/v1/tasks/{task['id']}")
        self.assertEqual(task, again)
        self.refused(404, "not_found", "GET", "/api/v1/tasks/tsk_00000000000000000000000000")
        self.refused(404, "not_found", "GET", "/api/v1/tasks/nonsense")
        self.refused(404, "not_found", "POST", "/api/v1/tasks", {"workflow": "none-such", "input": {"text": "x"}})
        self.refused(400, "bad_request", "POST", "/api/v1/tasks",
                     {"workflow": "ticket-triage", "input": text, "rungs": ["oracle"]})
        listed = self.ok("GET", "/api/v1/artifacts?state=in_review&workflow=ticket-triage")
        self.assertIn(task["artifact"], [a["artifact"] for a in listed["artifacts"]])
        one = self.ok("GET", f"/api/v1/artifacts/{task['artifact']}")
        self.assertIn("I cannot log in", one["input"])
        path = f"/api/v1/artifacts/{task['artifact']}/decision"
        self.refused(400, "bad_request", "POST", path, {"version": one["version"], "action": "reject"})
        done = self.ok("POST", path, {"version": one["version"], "action": "edit", "fields": {"priority": "high"}})
        self.assertEqual(done["state"], "edited")
        self.refused(409, "conflict", "POST", path, {"version": one["version"], "action": "approve"})
        records = self.ok("GET", f"/api/v1/audit/records?task={task['id']}")["records"]
        self.assertTrue(any(r["kind"] == "answered" for r in records), records)
        self.assertIn("checkpoint", self.ok("GET", "/api/v1/audit/checkpoint"))

    def test_the_same_idempotency_key_gives_the_same_task(self):
        body = {"workflow": "ticket-triage", "input": {"text": "Where is my parcel?"}, "artifact": False}
        one = self.ok("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "k1"})
        two = self.ok("POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "k1"})
        self.assertEqual(one["id"], two["id"])
        body["input"]["text"] = "Something else"
        self.refused(422, "idempotency_mismatch", "POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "k1"})
        self.refused(400, "bad_request", "POST", "/api/v1/tasks", body, headers={"Idempotency-Key": "a b"})

    def test_reproducible_asks_say_what_they_hang_on(self):
        self.ok("PUT", "/api/v1/workflows/colours", WORKFLOW)
        body = {"workflow": "colours", "input": {"text": "the green one"}, "artifact": False, "reproducible": True, "seed": 7}
        one, two = self.ok("POST", "/api/v1/tasks", body), self.ok("POST", "/api/v1/tasks", body)
        self.assertEqual(one["fields"], two["fields"])
        self.assertEqual(one["reproducible"], two["reproducible"])
        self.assertNotIn("reuse", [c["rung"] for c in two["climb"] if c["verdict"] == "answered"])
        prints = one["reproducible"]["fingerprints"]
        self.assertEqual(one["reproducible"]["seed"], 7)
        leaf = self.ok("GET", f"/api/v1/audit/records?task={one['id']}&from=0&limit=100")["records"][-1]
        self.assertIn(prints["light"], leaf.get("leaf", leaf)["releases"])
        self.assertNotIn("reproducible", self.ok("POST", "/api/v1/tasks", {k: body[k] for k in ("workflow", "input")}))
        chat = {"model": "light", "messages": [{"role": "user", "content": "hi"}], "reproducible": True, "seed": 7, "now": 1767225601}
        answer = self.ok("POST", "/v1/chat/completions", chat)
        self.assertEqual(answer["system_fingerprint"], prints["light"])
        self.assertEqual(self.refused(400, "bad_request", "POST", "/api/v1/tasks", dict(body, now=-1))["param"], "now")
        for path, ask in (("/api/v1/tasks", body), ("/v1/chat/completions", chat)):
            unseeded = {k: v for k, v in ask.items() if k != "seed"}
            self.assertEqual(self.refused(400, "bad_request", "POST", path, unseeded)["param"], "seed")
        self.assertEqual(self.refused(400, "bad_request", "POST", "/api/v1/tasks", dict(body, rungs=["reuse"]))["param"], "rungs")
        self.refused(400, "unsupported", "POST", "/v1/embeddings", {"model": "embed", "input": "x", "reproducible": True})

    def test_a_definition_is_checked_with_lines_and_becomes_active(self):
        status, answer = self.s.call("PUT", "/api/v1/workflows/colours", "name: colours\ntitel: x\nfields: 3\n")
        self.assertEqual(status, 400)
        self.assertEqual([f["line"] for f in answer["faults"]][0], 2)
        self.ok("PUT", "/api/v1/workflows/colours", WORKFLOW)
        shown = self.ok("GET", "/api/v1/workflows/colours")
        self.assertEqual(shown["fields"][0]["labels"][0]["name"], "red")
        self.assertEqual(shown["yaml"], WORKFLOW)
        self.refused(400, "bad_request", "PUT", "/api/v1/workflows/other", WORKFLOW)
        self.refused(404, "not_found", "GET", "/api/v1/workflows/none-such")

    def test_rules_are_proposed_approved_and_explained(self):
        rules = ("name: ours\nrows:\n  - name: colours-to-a-person\n    why: a test\n    when: {workflow: colours, label: internal}\n"
                 "    then: {go: person}\n")
        self.ok("PUT", "/api/v1/workflows/colours", WORKFLOW)
        before = self.ok("GET", "/api/v1/route/rules")
        self.assertEqual(len(before["rows"]), 7)
        status, answer = self.s.call("POST", "/api/v1/route/rules",
                                     "rows:\n  - name: a\n    when: {label: restricted}\n    then: {go: hosted}\n")
        self.assertEqual((status, answer["faults"][0]["line"]), (400, 2))
        ask = {"workflow": "colours", "input": {"text": "which shade is this one"}, "label": "internal"}
        seen = self.ok("POST", "/api/v1/route/explain", ask)
        self.assertEqual([r["row"] for r in seen["rows"]], [r["name"] for r in before["rows"]])
        self.assertTrue(all(r["reason"] for r in seen["rows"]))
        tried = self.ok("POST", "/api/v1/route/explain", dict(ask, facts={"needs": ["frontier"]}))
        self.assertEqual((tried["row"], tried["go"]), ("frontier-hosted", "hosted"))
        kept = self.ok("POST", "/api/v1/route/explain", dict(ask, label="restricted", facts={"needs": ["frontier"]}))
        self.assertEqual((kept["row"], kept["go"]), ("sensitivity-local", "local"))
        found = self.ok("POST", "/api/v1/route/explain", dict(ask, input={"text": "write to ann.lee@example.com"}))
        self.assertEqual((found["facts"]["label"], found["row"]), ("confidential", "sensitivity-local"))
        self.refused(400, "bad_request", "POST", "/api/v1/route/explain", dict(ask, facts={"burst": "much"}))
        self.refused(404, "not_found", "POST", "/api/v1/route/explain", dict(ask, workflow="none-such"))
        release = self.ok("POST", "/api/v1/route/rules", rules, 201)["release"]
        self.assertEqual(self.ok("POST", "/api/v1/route/explain", ask)["row"], seen["row"])
        task = self.ok("POST", "/api/v1/tasks", ask)
        self.assertEqual(self.ok("POST", f"/api/v1/route/rules/{release}/approve", {})["state"], "active")
        self.refused(409, "conflict", "POST", f"/api/v1/route/rules/{release}/approve", {})
        self.refused(404, "not_found", "POST", "/api/v1/route/rules/abc/approve", {})
        now = self.ok("POST", "/api/v1/route/explain", ask)
        self.assertEqual((now["row"], now["go"]), ("colours-to-a-person", "person"))
        # What was recorded stays explained by the rules of its time.
        then = self.ok("GET", f"/api/v1/tasks/{task['id']}/route")
        self.assertEqual(then["recorded"]["decision"]["rules"], before["release"])
        self.assertEqual(len(then["explained"]["rows"]), 7)
        self.assertEqual(then["explained"]["facts"]["workflow"], "colours")
        other = self.ok("POST", "/api/v1/tasks", dict(ask, input={"text": "and what of this other one"}))
        self.assertEqual(other["state"], "waiting_person")
        self.assertEqual(self.ok("GET", f"/api/v1/tasks/{other['id']}/route")["recorded"]["decision"]["row"], "colours-to-a-person")
        self.refused(404, "not_found", "GET", "/api/v1/tasks/tsk_00000000000000000000000000/route")
        self.assertEqual(self.ok("POST", "/api/v1/route/rules/shipped/approve", {})["release"], before["release"])

    def test_learning_reports_bad_lines_and_ends(self):
        lines = [json.dumps({"id": str(i), "text": f"the {w} one number {i}", "expected": {"shade": w, "article": "a"}})
                 for i in range(30) for w in ("light", "dark")]
        lines.insert(3, "{not json")
        lines.insert(9, json.dumps({"id": "x", "text": "t", "expected": {"shade": "purple"}}))
        job = self.ok("POST", "/api/v1/workflows/shades/learn?measure=0", "\n".join(lines), 202)
        ended = self.s.wait_job(job["job"])
        self.assertEqual(ended["state"], "done", ended)
        skipped = ended["result"]["skipped_lines"]
        self.assertEqual([s["line"] for s in skipped][:1], [4])
        self.assertEqual(ended["result"]["used"] + ended["result"]["skipped"], len(lines))
        self.assertIn("shades", [w["name"] for w in self.ok("GET", "/api/v1/workflows")["workflows"]])
        self.refused(400, "bad_request", "POST", "/api/v1/workflows/shades/learn", "nonsense\n")
        self.refused(404, "not_found", "GET", "/api/v1/jobs/job_00000000000000000000000000")

    def test_decisions_made_here_teach_too(self):
        def learn(lines, query=""):
            job = self.ok("POST", "/api/v1/workflows/tints/learn?measure=0" + query, "\n".join(lines), 202)
            ended = self.s.wait_job(job["job"])
            self.assertEqual(ended["state"], "done", ended)
            return ended["result"]

        lines = [json.dumps({"id": str(i), "text": f"the {w} one number {i}", "expected": {"tint": w}})
                 for i in range(30) for w in ("light", "dark")]
        lines.append(json.dumps({"id": "t", "text": "nobody has said what this one is"}))
        first = learn(lines)
        self.assertEqual((first["used"], first["unlabelled"], first["reviewed"]), (61, 1, 0))
        task = self.ok("POST", "/api/v1/tasks", {"workflow": "tints", "input": {"text": "a pale one, if you can"}})
        path = f"/api/v1/artifacts/{task['artifact']}/decision"
        seen = self.ok("GET", f"/api/v1/artifacts/{task['artifact']}")["version"]
        self.ok("POST", path, {"version": seen, "action": "edit", "fields": {"tint": "light"}})
        again = learn(lines)
        self.assertEqual((again["used"], again["reviewed"]), (61, 1))
        self.assertEqual(again["report"]["examples"], first["report"]["examples"] + 1)
        self.assertEqual(learn(lines, "&reviewed=0")["report"]["examples"], first["report"]["examples"])
        lines.append(json.dumps({"id": "u", "text": "a pale one, if you can", "expected": {"tint": "dark"}}))
        self.assertEqual(learn(lines)["report"]["examples"], again["report"]["examples"])  # not twice

    def test_articles_become_a_dataset(self):
        text = "---\nid: reset\ntitle: Reset a password\nlang: en\n---\n# Reset a password\n\nOpen the sign-in page. Choose Forgotten.\n"
        job = self.ok("POST", "/api/v1/datasets/faq/articles", {"articles": [{"name": "reset.md", "markdown": text}]}, 202)
        self.assertEqual(self.s.wait_job(job["job"])["state"], "done")
        self.assertIn("faq", [d["name"] for d in self.ok("GET", "/api/v1/datasets")["datasets"]])
        self.refused(400, "bad_request", "POST", "/api/v1/datasets/faq/articles", {"articles": []})
        self.refused(400, "unknown_parameter", "POST", "/api/v1/datasets/faq/articles", {"articles": [{"nam": "x"}]})

    def test_orders(self):
        self.assertEqual(self.ok("POST", "/api/v1/rewrite", {"paused": True}), {"paused": True})
        self.ok("POST", "/api/v1/rewrite", {"paused": False})
        self.assertIn("loading", self.ok("POST", "/api/v1/models/rescan"))
        self.assertIn("roles", self.ok("GET", "/api/v1/models"))

    def test_the_committed_description_is_the_server_s(self):
        printed = subprocess.run([str(server.INHOUSED), "--openapi"], capture_output=True, check=True).stdout
        committed = (server.SOURCE / "docs/reference/openapi.json").read_text()
        self.assertEqual(json.loads(printed), json.loads(committed),
                         "run: inhoused --openapi | python3 -m json.tool --indent 1 > docs/reference/openapi.json")


class Life(unittest.TestCase):
    def test_a_second_server_is_told_who_is_there(self):
        with server.Server() as s:
            second = subprocess.run([str(server.INHOUSED), "--home", str(s.home), "--engine", "fake"],
                                    capture_output=True, text=True, timeout=30)
            self.assertEqual(second.returncode, 1)
            self.assertIn(str(s.process.pid), second.stderr)
            third = subprocess.run([str(server.INHOUSED), "--home", str(s.folder / "other"), "--engine", "fake",
                                    "--listen", f"127.0.0.1:{s.port}"], capture_output=True, text=True, timeout=30)
            self.assertEqual(third.returncode, 1)
            self.assertIn(f"port {s.port}", third.stderr)
            self.assertIn("--listen", third.stderr)

    def test_a_wrong_configuration_names_its_lines(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "inhouse.yaml"
            path.write_text("listen:\n  prot: 9\n  address: 0.0.0.0\n")
            done = subprocess.run([str(server.INHOUSED), "--check-config", "--config", str(path)],
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 2)
            self.assertIn("line 2", done.stderr)
            self.assertIn("line 3", done.stderr)
            path.write_text("log: {level: warn}\n")
            done = subprocess.run([str(server.INHOUSED), "--check-config", "--config", str(path)],
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_term_finishes_what_was_accepted(self):
        with server.Server() as s:
            got = []
            body = {"model": "light", "messages": [{"role": "user", "content": "%%slow:1500%% hello"}]}
            t = threading.Thread(target=lambda: got.append(s.call("POST", "/v1/chat/completions", body)))
            t.start()
            time.sleep(0.4)
            start = time.monotonic()
            self.assertEqual(s.stop(), 0)
            t.join()
            self.assertEqual(got[0][0], 200, got)
            self.assertLess(time.monotonic() - start, 15)

    def test_term_does_not_wait_for_heavy_work(self):
        words = [f"w{i}" for i in range(3000)]
        rows = "\n".join(json.dumps({"id": str(i), "text": " ".join(words[(i * 7 + k * 13) % 3000] for k in range(60)),
                                     "expected": {"kind": "abcdefgh"[i % 8]}}) for i in range(20000))
        with server.Server() as s:
            status, job = s.call("POST", "/api/v1/workflows/big/learn?measure=0", rows)
            self.assertEqual(status, 202, job)
            end = time.monotonic() + 30
            while time.monotonic() < end and not s.call("GET", f"/api/v1/jobs/{job['job']}")[1]["stage"].startswith("train"):
                time.sleep(0.1)
            start = time.monotonic()
            self.assertEqual(s.stop(), 0)
            self.assertLess(time.monotonic() - start, 15)
            s.start()
            self.assertEqual(s.call("GET", "/health")[0], 200)

    def test_stop_over_the_socket(self):
        with server.Server() as s:
            self.assertEqual(s.call("POST", "/api/v1/stop")[0], 202)
            self.assertEqual(s.process.wait(20), 0)
            self.assertFalse((s.home / "sock").exists())

    def test_hup_applies_or_refuses_by_name(self):
        with server.Server(config="limits: {requests_per_minute: 1000}\n") as s:
            config = s.folder / "inhouse.yaml"
            config.write_text("limits: {requests_per_minute: 3}\n")
            os.kill(s.process.pid, signal.SIGHUP)
            time.sleep(0.5)
            codes = [s.call("GET", "/v1/models", local=False)[0] for _ in range(8)]
            self.assertIn(429, codes)
            self.assertTrue(int(s.headers["retry-after"]) > 0)
            config.write_text("limits: {body_bytes: 2048}\n")
            os.kill(s.process.pid, signal.SIGHUP)
            time.sleep(0.5)
            self.assertIn("limits.body_bytes", s.said())
            self.assertEqual(s.call("GET", "/health")[0], 200)

    def test_what_was_stored_is_there_after_a_restart(self):
        with server.Server() as s:
            self.assertEqual(s.call("PUT", "/api/v1/workflows/colours", WORKFLOW)[0], 200)
            task = s.call("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": "a red thing"}})[1]
            self.assertEqual(s.stop(), 0)
            s.start()
            self.assertEqual(s.call("GET", f"/api/v1/tasks/{task['id']}")[1], task)
            self.assertEqual(s.call("GET", "/api/v1/workflows/colours")[0], 200)
            self.assertEqual(s.call("GET", "/v1/models", local=False)[0], 200)

    def test_a_lingering_server_ends_by_itself(self):
        with tempfile.TemporaryDirectory(prefix="ih-") as folder:
            p = subprocess.Popen([str(server.INHOUSED), "--home", folder + "/h", "--engine", "fake", "--linger", "1"],
                                 stderr=subprocess.DEVNULL)
            try:
                self.assertEqual(p.wait(20), 0)
            finally:
                p.kill()
                p.wait()


if __name__ == "__main__":
    server.need_programs()
    sys.exit(0 if unittest.main(verbosity=2, exit=False).result.wasSuccessful() else 1)
