#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""People on a real server: the first administrator, signing in by a browser's means, forged requests, teams, keys of
one's own, what ends with a disabled account, and the record of it all."""
import http.client
import json
import os
import re
import stat
import unittest

import e2e

GOOD = "correct horse battery"


class Browser:
    """Keeps cookies and the CSRF token, as a page would."""

    def __init__(self, house):
        self.house = house
        self.cookie = self.csrf = None

    def call(self, method, path, body=None, headers=None, csrf=True):
        c = http.client.HTTPConnection("127.0.0.1", self.house.port, timeout=60)
        sent = {"Sec-Fetch-Site": "same-origin", **(headers or {})}
        if self.cookie:
            sent["Cookie"] = f"theme=dark; {self.cookie}"
        if self.csrf and csrf and method != "GET":
            sent["X-CSRF-Token"] = self.csrf
        try:
            c.request(method, path, None if body is None else json.dumps(body), sent)
            r = c.getresponse()
            self.set_cookie = r.getheader("Set-Cookie")
            answer = json.loads(r.read() or "null")
            return r.status, answer
        finally:
            c.close()

    def login(self, name, password=GOOD, **more):
        status, answer = self.call("POST", "/api/v1/login", {"name": name, "password": password, **more})
        if status == 200:
            self.cookie = self.set_cookie.split(";")[0]
            self.csrf = answer["csrf"]
        return status, answer


class People(unittest.TestCase):
    def setUp(self):
        self.s = e2e.House().__enter__()

    def tearDown(self):
        code = self.s.stop()
        said = self.s.said()
        self.s.__exit__()
        self.assertEqual(code, 0, said)
        self.assertNotIn(GOOD, said)
        self.assertNotRegex(said, r"is_[0-9a-f]{64}|ik_[0-9a-f]{64}")

    def person(self, name, team="default", role="member"):
        status, made = self.s.call("POST", "/api/v1/users", {"name": name, "team": team, "role": role})
        self.assertEqual(status, 201, made)
        status, answer = self.s.call("POST", "/api/v1/setup", {"token": made["token"], "password": GOOD}, local=False)
        self.assertEqual(status, 200, answer)
        b = Browser(self.s)
        self.assertEqual(b.login(name)[0], 200)
        return b

    def test_first_run(self):
        path = self.s.home / "setup.token"
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        token = path.read_text().strip()
        self.assertNotIn(token, self.s.said())
        for body, code in (({"token": "is_" + "0" * 64, "name": "eve", "password": GOOD}, 401),
                           ({"token": token, "name": "anna", "password": "admin"}, 400),
                           ({"token": token, "name": "anna", "password": "anna" * 4}, 400)):
            self.assertEqual(self.s.call("POST", "/api/v1/setup", body, local=False)[0], code)
        status, answer = self.s.call("POST", "/api/v1/setup", {"token": token, "name": "anna", "password": GOOD}, local=False)
        self.assertEqual((status, answer["teams"][0]["role"]), (200, "admin"))
        self.assertFalse(path.exists())
        self.assertEqual(self.s.call("POST", "/api/v1/setup", {"token": token, "name": "eve", "password": GOOD})[0], 401)
        self.assertEqual(self.s.call("POST", "/api/v1/users/init", {})[0], 409)
        b = Browser(self.s)
        self.assertEqual(b.login("anna")[0], 200)
        self.assertRegex(b.set_cookie, r"^inhouse_session=[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Lax; Max-Age=\d+$")
        self.assertEqual(b.call("GET", "/api/v1/users")[0], 200)
        kinds = [r["kind"] for r in self.s.records()]
        self.assertIn("user_added", kinds)
        self.assertIn("signed_in", kinds)
        self.s.verify()

    def test_init_on_the_command_line(self):
        done = e2e.inhouse("users", "init", "anna", "--password-file", "-", home=self.s.home, stdin=GOOD + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Browser(self.s).login("anna")[0], 200)
        done = e2e.inhouse("users", "add", "ben", "--team", "default", "--role", "reviewer", "--json", home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        token = self.s.folder / "token"
        token.write_text(json.loads(done.stdout)["token"] + "\n")
        done = e2e.inhouse("users", "setup", "--token-file", token, "--password-file", "-", home=self.s.home, stdin=GOOD)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Browser(self.s).login("ben")[0], 200)
        for words in (("teams", "add", "legal", "--label", "restricted"), ("users", "role", "ben", "legal", "approver"),
                      ("keys", "add", "ben-cli", "--owner", "ben", "--team", "legal", "--models", "light"),
                      ("keys", "rotate", "ben-cli", "--overlap", "1"), ("users", "list"), ("teams", "list"), ("keys", "list"),
                      ("teams", "label", "legal", "confidential"), ("users", "disable", "ben"), ("users", "enable", "ben"),
                      ("users", "role", "ben", "legal", "none"), ("keys", "revoke", "ben-cli")):
            done = e2e.inhouse(*words, home=self.s.home)
            self.assertEqual(done.returncode, 0, (words, done.stderr))
        self.assertIn("ben-cli", e2e.inhouse("keys", "list", home=self.s.home).stdout)
        done = e2e.inhouse("users", "add", "x", "--password", "secret", home=self.s.home)
        self.assertEqual(done.returncode, 2, "no password on a command line, ever")

    def test_a_browser_without_the_token_of_its_session_changes_nothing(self):
        b = self.person("anna", role="admin")
        other = self.person("ben", role="admin")
        changing = [(m, p) for p, ms in self.s.call("GET", "/api/v1/openapi.json")[1]["paths"].items()
                    for m, o in ms.items() if m != "get" and o["x-scope"]]
        self.assertGreater(len(changing), 20)
        for method, path in changing:
            path = re.sub(r"\{\w+\}", "x", path)
            for token in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": other.csrf}):
                with self.subTest(f"{method} {path}", token=token):
                    status, answer = b.call(method.upper(), path, {}, token, csrf=False)
                    self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"), answer)
        self.assertEqual(b.call("POST", "/api/v1/teams", {"name": "legal"})[0], 201)

    def test_other_sites_cannot_sign_anybody_in(self):
        self.person("anna")
        b = Browser(self.s)
        body = {"name": "anna", "password": GOOD}
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
                        {"Origin": "null"}):
            self.assertEqual(b.call("POST", "/api/v1/login", body, headers)[0], 403, headers)
        self.assertEqual(b.call("POST", "/api/v1/login", body, {"Origin": f"http://127.0.0.1:{self.s.port}"})[0], 200)

    def test_teams_and_what_a_session_may(self):
        self.s.call("POST", "/api/v1/teams", {"name": "legal", "label": "restricted"})
        b = self.person("anna")
        self.assertEqual(b.call("GET", "/api/v1/audit/records")[0], 403)
        status, _ = self.s.call("PUT", "/api/v1/users/anna/teams/legal", {"role": "auditor"})
        self.assertEqual(status, 200)
        status, me = b.call("GET", "/api/v1/me", headers={"X-Inhouse-Team": "legal"})
        self.assertEqual((me["team"], me["label"], me["role"], me["kind"]), ("legal", "restricted", "auditor", "session"))
        self.assertEqual(b.call("GET", "/api/v1/audit/records", headers={"X-Inhouse-Team": "legal"})[0], 200)
        missing = b.call("GET", "/api/v1/me", headers={"X-Inhouse-Team": "no-such"})
        self.s.call("POST", "/api/v1/teams", {"name": "board"})
        self.assertEqual(missing, b.call("GET", "/api/v1/me", headers={"X-Inhouse-Team": "board"}))
        self.assertEqual(missing[0], 403)
        self.assertEqual(b.call("POST", "/api/v1/me/team", {"team": "legal"})[0], 200)
        self.assertEqual(b.call("GET", "/api/v1/me")[1]["team"], "legal")
        self.assertEqual(b.call("POST", "/api/v1/me/team", {"team": "board"})[0], 403)

    def test_a_disabled_account_ends_at_once(self):
        b = self.person("anna")
        status, made = b.call("POST", "/api/v1/me/keys", {"name": "laptop"})
        self.assertEqual(status, 201, made)
        key = {"Authorization": f"Bearer {made['key']}"}
        self.assertEqual(self.s.call("GET", "/api/v1/me", headers=key, local=False)[1]["name"], "anna")
        self.assertEqual(self.s.call("POST", "/api/v1/users/anna/disable", {})[0], 200)
        self.assertEqual(b.call("GET", "/api/v1/me")[0], 401)
        self.assertEqual(self.s.call("GET", "/api/v1/me", headers=key, local=False)[0], 401)
        self.assertEqual(Browser(self.s).login("anna")[0], 401)
        self.assertTrue(self.s.call("GET", "/api/v1/keys")[1]["keys"][0]["dead"])
        self.s.stop()
        self.s.start()
        self.assertEqual(self.s.call("GET", "/api/v1/me", headers=key, local=False)[0], 401)
        self.assertEqual(b.call("GET", "/api/v1/me")[0], 401)

    def test_keys_of_ones_own(self):
        b = self.person("anna")
        other = self.person("ben")
        status, made = b.call("POST", "/api/v1/me/keys", {"name": "laptop", "models": ["light"], "scopes": "infer self"})
        self.assertEqual(status, 201, made)
        key = {"Authorization": f"Bearer {made['key']}"}
        self.assertEqual(self.s.call("GET", "/api/v1/me", headers=key, local=False)[1]["models"], "light")
        for body in ({"name": "x1", "role": "admin"}, {"name": "x2", "scopes": "infer work", "models": ["light"]},
                     {"name": "x3", "scopes": "infer"}, {"name": "x4", "scopes": "infer", "models": ["light", "heavy"]}):
            status, answer = self.s.call("POST", "/api/v1/me/keys", body, headers=key, local=False)
            self.assertIn(status, (400, 403), (body, answer))
        status, child = self.s.call("POST", "/api/v1/me/keys", {"name": "x5", "scopes": "infer self", "models": "light"},
                                    headers=key, local=False)
        self.assertEqual(status, 201, child)
        child_key = {"Authorization": f"Bearer {child['key']}"}
        real = other.call("DELETE", "/api/v1/me/keys/laptop")
        none = other.call("DELETE", "/api/v1/me/keys/no-such")
        self.assertEqual((real[0], none[0]), (404, 404))
        self.assertEqual(other.call("GET", "/api/v1/me/keys")[1], {"keys": []})
        status, rotated = b.call("POST", "/api/v1/me/keys/laptop/rotate", {"overlap_s": 60})
        self.assertEqual(status, 200, rotated)
        for secret in (made["key"], rotated["key"]):
            self.assertEqual(self.s.call("GET", "/api/v1/me", headers={"Authorization": f"Bearer {secret}"}, local=False)[0], 200)
        self.assertEqual(b.call("DELETE", "/api/v1/me/keys/laptop")[0], 200)
        self.assertEqual(self.s.call("GET", "/api/v1/me", headers=child_key, local=False)[0], 401)

    def test_signing_out_and_a_new_password(self):
        b, second = self.person("anna"), Browser(self.s)
        self.assertEqual(second.login("anna")[0], 200)
        self.assertEqual(b.call("POST", "/api/v1/me/password", {"old": "no", "password": GOOD + "2"})[0], 401)
        self.assertEqual(b.call("POST", "/api/v1/me/password", {"old": GOOD, "password": GOOD + "2"})[0], 200)
        self.assertEqual(second.call("GET", "/api/v1/me")[0], 401)
        self.assertEqual(b.call("GET", "/api/v1/me")[0], 200)
        status, _ = b.call("POST", "/api/v1/logout", {"everywhere": True})
        self.assertEqual(status, 200)
        self.assertIn("Max-Age=0", b.set_cookie)
        self.assertEqual(b.call("GET", "/api/v1/me")[0], 401)

    def test_guessing_is_slowed_and_says_nothing(self):
        self.person("anna")
        b = Browser(self.s)
        wrong = [b.login("anna", "not the password") for _ in range(5)]
        none = b.login("nobody", "not the password")
        self.assertEqual([w[0] for w in wrong], [401] * 5)
        self.assertEqual(none, wrong[0], "an unknown name and a wrong password look alike")
        status, answer = b.login("anna")
        self.assertEqual((status, answer["error"]["code"]), (429, "rate_limited"))

    def test_access_review(self):
        self.s.call("POST", "/api/v1/teams", {"name": "legal", "label": "confidential"})
        b = self.person("anna", team="legal", role="reviewer")
        self.person("ben")
        self.assertEqual(b.call("POST", "/api/v1/me/keys", {"name": "laptop"})[0], 201)
        self.assertEqual(b.call("GET", "/api/v1/access?team=legal")[0], 403)
        team = self.s.call("GET", "/api/v1/access?team=legal")[1]
        self.assertEqual([(m["kind"], m["name"], m["role"]) for m in team["members"]],
                         [("person", "anna", "reviewer"), ("key", "laptop", "reviewer")])
        self.assertEqual(team["label"], "confidential")
        user = self.s.call("GET", "/api/v1/access?user=anna")[1]
        self.assertEqual([k["name"] for k in user["keys"]], ["laptop"])
        self.s.call("POST", "/api/v1/users/anna/disable", {})
        self.assertEqual(self.s.call("GET", "/api/v1/access?team=legal")[1]["members"], [])
        for query in ("", "?team=legal&user=anna", "?x=1", "?team="):
            self.assertIn(self.s.call("GET", f"/api/v1/access{query}")[0], (400, 404), query)
        missing = [self.s.call("GET", f"/api/v1/access?dataset={d}")[0] for d in ("none", "x" * 150)]
        self.assertEqual(missing, [404, 404])
        for form in ("--json", "--markdown", "--csv", "--quiet"):
            done = e2e.inhouse("access", "review", "--user", "ben", form, home=self.s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("anna", done.stdout)
        self.assertIn('"kind","name"', e2e.inhouse("access", "review", "--team", "default", "--csv", home=self.s.home).stdout)
        self.assertEqual(e2e.inhouse("access", "review", home=self.s.home).returncode, 2)

    def test_hostile_bodies_of_signing_in(self):
        for path in ("/api/v1/login", "/api/v1/setup"):
            for body in ("", "[]", "{", '{"name":1}', '{"name":"a"}', '{"name":"a","password":null}',
                         json.dumps({"name": "a" * 400, "password": "x"}), json.dumps({"name": "a", "password": "x" * 3000}),
                         '{"name":"a","password":"b","role":"admin"}', '{"name":"a","name":"b","password":"c"}'):
                status, answer = self.s.call("POST", path, body, local=False)
                self.assertIn(status, (400, 413), (path, body[:60], answer))
        for cookie in ("inhouse_session=", "inhouse_session=zz", "inhouse_session=" + "0" * 64, "inhouse_session=" + "0" * 1500,
                       "inhouse_session=a; inhouse_session=b", "=;;=", "inhouse_session=" + "A" * 64):
            held, self.s.key = self.s.key, None
            try:
                self.assertEqual(self.s.call("GET", "/api/v1/me", headers={"Cookie": cookie}, local=False)[0], 401, cookie)
            finally:
                self.s.key = held


if __name__ == "__main__":
    e2e.main()
