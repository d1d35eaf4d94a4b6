#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signing in with a real OpenID provider (oidc-provider, pinned by third_party/oidc-provider.lock), and machines with its
tokens: the code flow as a browser walks it, claims to teams, keys that change, and every forgery refused."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import e2e  # noqa: E402

FETCHED = Path(os.environ.get("INHOUSE_FETCHED") or e2e.SOURCE / "third_party" / ".fetched")
MODULES = FETCHED / "oidc-provider" / "node_modules"
API = "https://inhouse.example/api"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Provider:
    def __init__(self, redirect):
        self.port, self.redirect, self.process = free_port(), redirect, None

    def start(self):
        script = Path(__file__).with_name("provider.mjs")
        self.process = subprocess.Popen(["node", str(script), str(MODULES), str(self.port), self.redirect],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert "listening" in self.process.stdout.readline()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def call(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def person(self, sub, name, *groups):
        self.call("GET", "/control?" + urllib.parse.urlencode({"sub": sub, "name": name, "groups": ",".join(groups)}))

    def token(self, resource=API):
        basic = base64.b64encode(b"robot:beep").decode()
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "resource": resource, "scope": "api"})
        status, answer = self.call("POST", "/token", body, {"Authorization": f"Basic {basic}",
                                                            "Content-Type": "application/x-www-form-urlencoded"})
        assert status == 200, answer
        return json.loads(answer)["access_token"]


class Walk:
    """A browser that goes where it is sent, with its cookies; `stop` sees each URL before it is asked."""

    def __init__(self):
        self.cookies = {}

    def get(self, url, follow=True, stop=None):
        for _ in range(12):
            u = urllib.parse.urlsplit(url)
            c = http.client.HTTPConnection(u.hostname, u.port, timeout=30)
            sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
            c.request("GET", u.path + (f"?{u.query}" if u.query else ""), headers=sent)
            r = c.getresponse()
            body = r.read()
            for line in r.headers.get_all("Set-Cookie") or []:
                name, value = line.split(";")[0].split("=", 1)
                if value and "Max-Age=0" not in line:
                    self.cookies[name] = value
                else:
                    self.cookies.pop(name, None)
            c.close()
            to = r.getheader("Location")
            if not to or not follow:
                return r.status, (json.loads(body) if body[:1] == b"{" else body), to
            url = urllib.parse.urljoin(url, to)
            if stop and stop(url):
                return r.status, None, url
        raise AssertionError("it goes round in circles")


class Oidc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        base = f"http://127.0.0.1:{cls.port}"
        cls.provider = Provider(f"{base}/api/v1/login/callback")
        os.environ["TEST_OIDC_SECRET"] = "the secret: 100% + more"
        config = f"""login:
  public_url: {base}
oidc:
  - name: corp
    issuer: http://127.0.0.1:{cls.provider.port}
    client_id: inhouse
    client_secret: os.environ/TEST_OIDC_SECRET
    audience: {API}
    grants:
      - {{claim: groups, value: support, team: support, role: reviewer}}
      - {{claim: groups, value: robots, team: support, role: member}}
      - {{claim: groups, value: ghosts, team: no-such-team, role: admin}}
"""
        cls.provider.start()
        cls.s = e2e.House(options=["--listen", f"127.0.0.1:{cls.port}"], config=config).__enter__()
        cls.base = base
        assert cls.s.call("POST", "/api/v1/teams", {"name": "support", "label": "confidential"})[0] == 201

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        cls.provider.stop()
        assert code == 0, said
        assert "the secret" not in said and "eyJ" not in said, said

    def begin(self, walk=None):
        walk = walk or Walk()
        return walk, walk.get(f"{self.base}/api/v1/login/oidc/corp", stop=lambda u: u.startswith(f"{self.base}/api/v1/login/callback"))[2]

    def bearer(self, token, path="/api/v1/me", headers=None):
        return self.s.call("GET", path, headers={"Authorization": f"Bearer {token}", **(headers or {})}, local=False)

    def machine(self):
        """A good token, after the server has read the issuer's keys."""
        end = time.monotonic() + 20
        while True:
            token = self.provider.token()
            status, answer = self.bearer(token)
            if status == 200 or time.monotonic() > end:
                self.assertEqual(status, 200, answer)
                return token, answer
            time.sleep(0.3)

    def test_1_a_person_signs_in(self):
        self.provider.person("s-1", "Anna@Corp.example", "support", "other")
        walk, back = self.begin()
        status, answer, _ = walk.get(back)
        self.assertEqual((status, answer.get("name")), (200, "anna@corp.example"), answer)
        self.assertEqual([(t["team"], t["role"], t["directory"]) for t in answer["teams"]], [("support", "reviewer", True)])
        status, me, _ = walk.get(f"{self.base}/api/v1/me")
        self.assertEqual((me["kind"], me["team"], me["label"]), ("session", "support", "confidential"))
        self.assertNotIn("inhouse_login", walk.cookies)
        # the code and the state are good once
        self.assertEqual(walk.get(back)[0], 401)
        user = [u for u in self.s.call("GET", "/api/v1/users")[1]["users"] if u["name"] == "anna@corp.example"][0]
        self.assertEqual(user["origin"], f"oidc:http://127.0.0.1:{self.provider.port}")
        # the group is taken away: the next sign-in ends it
        self.provider.person("s-1", "anna@corp.example", "other")
        other, back = self.begin()
        self.assertEqual(other.get(back)[0], 403)
        self.assertEqual(walk.get(f"{self.base}/api/v1/me")[0], 401)

    def test_2_nothing_is_granted_that_is_not_mapped(self):
        for sub, name, groups in (("s-2", "ben", ()), ("s-3", "cleo", ("ghosts",)), ("s-4", "dora", ("Support", "admin"))):
            self.provider.person(sub, name, *groups)
            walk, back = self.begin()
            self.assertEqual(walk.get(back)[0], 403, name)
            self.assertEqual(self.s.call("GET", f"/api/v1/users/{name}")[0], 404)

    def test_3_another_browser_cannot_finish_it(self):
        self.provider.person("s-1", "anna@corp.example", "support")
        _, back = self.begin()
        self.assertEqual(Walk().get(back)[0], 401)
        other, _ = self.begin()
        self.assertEqual(other.get(back)[0], 401)
        for query in ("", "?code=x", "?state=x&code=y", "?error=access_denied&state=x", "?state=" + "x" * 500 + "&code=y"):
            self.assertEqual(other.get(f"{self.base}/api/v1/login/callback{query}")[0], 401, query)
        self.assertEqual(other.get(f"{self.base}/api/v1/login/oidc/none")[0], 404)
        # a code of another sign-in of the same browser: PKCE and nonce hold
        walk, one = self.begin()
        _, two = self.begin(walk)
        q1, q2 = (dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(u).query)) for u in (one, two))
        mixed = urllib.parse.urlencode({"state": q2["state"], "code": q1["code"]})
        self.assertIn(walk.get(f"{self.base}/api/v1/login/callback?{mixed}")[0], (401, 502))

    def test_4_a_machine_and_every_forgery(self):
        token, me = self.machine()
        self.assertEqual((me["kind"], me["team"], me["role"], me["name"]), ("jwt", "support", "member", "jwt:robot"))
        self.assertEqual(self.bearer(token, "/api/v1/users")[0], 403)
        self.assertEqual(self.bearer(token, headers={"X-Inhouse-Team": "default"})[0], 403)
        head, payload, signature = token.split(".")
        claims = json.loads(unb64(payload))
        jwks = json.loads(self.provider.call("GET", "/jwks")[1])
        ec = next(k for k in jwks["keys"] if k["kty"] == "EC")
        admin = b64({**claims, "groups": ["ghosts", "robots"]})
        forged = {
            "other claims": f"{head}.{admin}.{signature}",
            "none": f'{b64({"alg": "none"})}.{payload}.',
            "none with a signature": f'{b64({"alg": "none"})}.{payload}.{signature}',
            "a cut signature": token[:-4], "no signature": f"{head}.{payload}.", "two parts": f"{head}.{payload}",
            "RS256 over an EC key": f'{b64({"alg": "RS256", "kid": ec["kid"]})}.{payload}.{signature}',
            "another kid": f'{b64({"alg": "ES256", "kid": "x"})}.{payload}.{signature}',
            "an embedded key": f'{b64({"alg": "ES256", "jwk": ec})}.{admin}.{signature}',
            "zero signature": f'{head}.{payload}.{b64(bytes(64))}',
        }
        for secret in (json.dumps(ec).encode(), ec["x"].encode(), b""):
            h = b64({"alg": "HS256", "kid": ec["kid"]})
            mac = b64(hmac.new(secret or b"\0", f"{h}.{admin}".encode(), hashlib.sha256).digest())
            forged[f"HS256 with {secret[:8]}"] = f"{h}.{admin}.{mac}"
        for name, text in forged.items():
            with self.subTest(name):
                status, answer = self.bearer(text)
                self.assertEqual(status, 401, answer)
        self.assertEqual(self.bearer(self.provider.token("https://other.example"))[0], 401, "meant for another audience")
        self.assertEqual(self.bearer(token)[0], 200)

    def test_5_tokens_with_a_long_common_prefix_are_never_confused(self):
        token, _ = self.machine()
        for i in range(500):
            spoiled = token[:-3] + b64(os.urandom(2))
            if spoiled != token:
                self.assertEqual(self.bearer(spoiled)[0], 401, i)

    def test_6_keys_that_change(self):
        old, _ = self.machine()
        self.provider.stop()
        self.assertEqual(self.bearer(old)[0], 200, "without the issuer, with keys that are known")
        self.provider.start()  # other keys
        token = self.provider.token()
        statuses = []
        end = time.monotonic() + 30
        while (not statuses or statuses[-1] != 200) and time.monotonic() < end:
            statuses.append(self.bearer(token)[0])
            time.sleep(0.3)
        self.assertEqual(statuses[-1], 200)
        self.assertTrue(set(statuses) <= {200, 401})
        self.provider.person("s-1", "anna@corp.example", "support")
        walk, back = self.begin()
        self.assertEqual(walk.get(back)[0], 200)

    def test_7_a_provider_that_is_gone(self):
        self.provider.stop()
        status, answer, _ = Walk().get(f"{self.base}/api/v1/login/callback?state=a&code=b")
        self.assertEqual(status, 401)
        self.assertEqual(self.s.call("GET", "/health", local=False)[0], 200)
        self.provider.start()


class Config(unittest.TestCase):
    def test_what_must_not_be(self):
        rows = {
            "an issuer without encryption": ("login: {public_url: 'https://x.example'}\noidc: [{name: a, issuer: 'http://id.example', "
                                             "client_id: b, grants: []}]", "not encrypted"),
            "no public_url": ("oidc: [{name: a, issuer: 'https://id.example', client_id: b, grants: []}]", "public_url"),
            "a secret written out": ("login: {public_url: 'https://x.example'}\noidc: [{name: a, issuer: 'https://id.example', "
                                     "client_id: b, client_secret: hello, grants: []}]", "written out"),
            "an unknown role": ("login: {public_url: 'https://x.example'}\noidc: [{name: a, issuer: 'https://id.example', client_id: b, "
                                "grants: [{claim: g, value: v, team: t, role: root}]}]", "role"),
            "a directory in the clear": ("ldap: {url: 'ldap://dc.example', base: 'dc=x', grants: []}", "unencrypted"),
        }
        import tempfile
        for name, (text, says) in rows.items():
            with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
                f.write(text)
                f.flush()
                done = subprocess.run([str(e2e.server.INHOUSED), "--check-config", "--config", f.name], capture_output=True, text=True)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(says, done.stdout + done.stderr)


if __name__ == "__main__":
    if not MODULES.is_dir() or not shutil.which("node"):
        print(f"skipped: {MODULES} is missing: tools/oidc-provider makes it")
        sys.exit(77)
    e2e.main()
