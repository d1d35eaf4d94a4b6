#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may: every route of the server's own description, without a key, with a bad one, and with a key of each role; and
things of another team, which must look exactly like things that are not there."""
import json
import re
import unittest

import e2e

# What each role may carry (src/trust/keyring/roles.def), said again here so that a change shows.
ROLES = {
    "member": {"infer", "work", "self"},
    "reviewer": {"infer", "work", "learn", "review", "knowledge", "self"},
    "approver": {"infer", "work", "learn", "review", "knowledge", "approve", "metrics", "self"},
    "auditor": {"metrics", "audit", "self"},
    "admin": {"infer", "work", "learn", "review", "knowledge", "models", "approve", "metrics", "audit", "admin", "self"},
}
MISSING = {"task": "tsk_00000000000000000000000000", "artifact": "art_00000000000000000000000000",
           "job": "job_00000000000000000000000000", "workflow": "none-such", "dataset": "none-such", "key": "none-such",
           "model": "none-such", "release": "0" * 64,
           "user": "none-such", "team": "none-such", "issuer": "none-such", "output": "none-such.md"}
# What is open to everybody, and what a GET without anything gets.
PUBLIC = {"/health": 200, "/healthz": 200, "/health/ready": 200, "/api/v1/openapi.json": 200, "/api/v1/login": 200,
          "/api/v1/setup": None, "/api/v1/login/oidc/{issuer}": 404, "/api/v1/login/callback": 401}


class Authorize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        cls.routes = []
        for path, methods in cls.s.call("GET", "/api/v1/openapi.json", local=False)[1]["paths"].items():
            for method, about in methods.items():
                cls.routes.append((method.upper(), path, about["x-scope"]))
        cls.keys = {}
        for team in ("red", "blue"):
            for role in ROLES:
                status, made = cls.s.call("POST", "/api/v1/keys",
                                          {"name": f"{team}-{role}", "team": team, "role": role})
                assert status == 201, made
                cls.keys[team, role] = made["key"]

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def ask(self, key, method, path, body=None, headers=None):
        """Over TCP with that key, "" for none."""
        sent = {"Authorization": f"Bearer {key}"} if key else {"Authorization": ""}
        if not key:
            held, self.s.key = self.s.key, None
            try:
                return self.s.call(method, path, body, headers or {}, local=False)
            finally:
                self.s.key = held
        return self.s.call(method, path, body, {**sent, **(headers or {})}, local=False)

    @staticmethod
    def filled(path):
        return re.sub(r"\{(\w+)\}", lambda m: MISSING[m[1]], path)

    def test_the_description_covers_what_is_served(self):
        source = (e2e.SOURCE / "src/http/api/routes.def").read_text()
        listed = set(re.findall(r'ROUTE\("(\w+)", "([^"]+)"', source))
        self.assertEqual(listed, {(m, p) for m, p, _ in self.routes})
        self.assertGreater(len(listed), 25)

    def test_without_a_key(self):
        for method, path, scope in self.routes:
            for key in ("", "ik_nonsense", "x" * 300):
                with self.subTest(f"{method} {path}", key=key[:12]):
                    status, answer = self.ask(key, method, self.filled(path), None if method == "GET" else "{}")
                    if path in PUBLIC:
                        self.assertIsNone(scope)
                        if not key:
                            self.assertEqual(status, PUBLIC[path] if method == "GET" else 400)
                        continue
                    self.assertIsNotNone(scope, "only these paths are public")
                    self.assertEqual((status, answer["error"]["code"]), (401, "unauthenticated"), answer)
                    self.assertTrue(answer["error"]["hint"])

    def test_each_role_may_what_its_scopes_say(self):
        for role, scopes in ROLES.items():
            for method, path, scope in self.routes:
                if scope is None:
                    continue
                with self.subTest(f"{role}: {method} {path}"):
                    # an empty object is refused by every handler that would change something
                    status, answer = self.ask(self.keys["red", role], method, self.filled(path),
                                              None if method == "GET" else "{}")
                    if path == "/api/v1/stop":
                        self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"))
                    elif scope in scopes:
                        self.assertNotIn(status, (401, 403), answer)
                    else:
                        self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"), answer)
                        self.assertIn(scope, answer["error"]["message"] + str(answer["error"]["hint"]))
        self.assertEqual(self.s.call("GET", "/health")[0], 200)

    def test_a_key_with_fewer_scopes_than_its_role(self):
        made = self.s.call("POST", "/api/v1/keys", {"name": "narrow", "role": "admin", "scopes": "metrics"})[1]
        for method, path, scope in self.routes:
            if scope not in (None, "metrics"):
                with self.subTest(f"{method} {path}"):
                    status, answer = self.ask(made["key"], method, self.filled(path), None if method == "GET" else "{}")
                    self.assertEqual(status, 403, answer)

    def test_things_of_another_team_look_like_missing_ones(self):
        red, blue = self.keys["red", "approver"], self.keys["blue", "approver"]  # administrators review for all
        body = {"workflow": "colours", "input": {"id": "secret-id", "text": "the red secret thing"}}
        status, task = self.ask(red, "POST", "/api/v1/tasks", body, {"Idempotency-Key": "shared"})
        self.assertEqual(status, 200, task)
        self.assertEqual(self.ask(red, "GET", f"/api/v1/tasks/{task['id']}"), (200, task))
        status, artifact = self.ask(red, "GET", f"/api/v1/artifacts/{task['artifact']}")
        self.assertEqual(status, 200)
        decision = {"version": artifact["version"], "action": "approve"}
        for method, path, sent in (("GET", "/api/v1/tasks/%s", None),
                                   ("GET", "/api/v1/artifacts/%s", None),
                                   ("POST", "/api/v1/artifacts/%s/decision", decision)):
            kind = "task" if "tasks" in path else "artifact"
            real = self.ask(blue, method, path % task["id" if kind == "task" else kind], sent)
            none = self.ask(blue, method, path % MISSING[kind], sent)
            self.assertEqual(real[0], 404, real)
            self.assertEqual(real, none, "a foreign thing must not look different from a missing one")
        listed = json.dumps(self.ask(blue, "GET", "/api/v1/artifacts?limit=500")[1])
        self.assertNotIn(task["artifact"], listed)
        self.assertNotIn("secret", listed)
        # the same idempotency key of another principal is another key
        status, other = self.ask(blue, "POST", "/api/v1/tasks", body, {"Idempotency-Key": "shared"})
        self.assertEqual(status, 200)
        self.assertNotEqual(other["id"], task["id"])
        still = self.ask(red, "GET", f"/api/v1/artifacts/{task['artifact']}?open=0")[1]
        self.assertEqual(still["state"], artifact["state"])

    def test_jobs_of_another_team_look_like_missing_ones(self):
        lines = "\n".join(json.dumps({"id": str(i), "text": f"{w} {i}", "expected": {"shade": w}})
                          for i in range(30) for w in ("light", "dark"))
        status, job = self.ask(self.keys["red", "reviewer"], "POST",
                               "/api/v1/workflows/red-shades/learn?measure=0", lines)
        self.assertEqual(status, 202, job)
        blue = self.keys["blue", "reviewer"]
        real, none = (self.ask(blue, "GET", f"/api/v1/jobs/{j}") for j in (job["job"], MISSING["job"]))
        self.assertEqual(real, none)
        self.assertNotIn(job["job"], json.dumps(self.ask(blue, "GET", "/api/v1/jobs")[1]))
        self.s.wait_job(job["job"])

    def test_a_key_cannot_make_a_stronger_one(self):
        status, made = self.s.call("POST", "/api/v1/keys",
                                   {"name": "admin-only", "role": "admin", "scopes": "admin work"})
        self.assertEqual(status, 201)
        for body in ({"name": "x1", "role": "admin"}, {"name": "x2", "role": "auditor"},
                     {"name": "x3", "role": "admin", "scopes": "audit"}):
            status, answer = self.ask(made["key"], "POST", "/api/v1/keys", body)
            self.assertEqual(status, 403, (body, answer))


if __name__ == "__main__":
    e2e.main()
