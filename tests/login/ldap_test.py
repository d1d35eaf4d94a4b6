#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A directory: Debian's slapd with StartTLS on loopback. Passwords are its, groups become teams, a name cannot change a
filter, and who is disabled or gone there loses sessions and keys here."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import e2e  # noqa: E402

SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
SLAPADD = shutil.which("slapadd") or "/usr/sbin/slapadd"
BASE = "dc=corp,dc=example"
PASSWORD = "directory word 1"

CONF = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/pid
TLSCACertificateFile {dir}/ca.pem
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
security simple_bind=128
database mdb
suffix "{base}"
directory {dir}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn="cn=reader,{base}" read by * none
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Directory:
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="ih-ldap-"))
        self.port, self.process = free_port(), None
        run = dict(check=True, capture_output=True, cwd=self.dir)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca", "-keyout",
                        "ca.key", "-out", "ca.pem"], **run)
        subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out",
                        "csr.pem"], **run)
        (self.dir / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        subprocess.run(["openssl", "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                        "2", "-extfile", "ext", "-out", "cert.pem"], **run)
        (self.dir / "slapd.conf").write_text(CONF.format(dir=self.dir, base=BASE))

    def start(self, people, groups):
        """people: {uid: (number, title)}; groups: {cn: [uid]}"""
        self.stop()
        shutil.rmtree(self.dir / "db", ignore_errors=True)
        (self.dir / "db").mkdir()
        rows = [f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: corp\n",
                f"dn: cn=reader,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n"
                "userPassword: reads only\n"]
        for uid, (n, title) in people.items():
            rows.append(f"dn: uid={uid},{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\ntitle: {title}\n"
                        f"userPassword: {PASSWORD}\nentryUUID: 00000000-0000-4000-8000-{n:012d}\n")
        for cn, members in groups.items():
            rows.append(f"dn: cn={cn},{BASE}\nobjectClass: groupOfNames\ncn: {cn}\n" +
                        "".join(f"member: uid={m},{BASE}\n" for m in members or ["nobody"]))
        subprocess.run([SLAPADD, "-f", str(self.dir / "slapd.conf")], input="\n".join(rows), text=True, check=True,
                       capture_output=True)
        self.process = subprocess.Popen([SLAPD, "-d", "0", "-f", str(self.dir / "slapd.conf"), "-h", f"ldap://127.0.0.1:{self.port}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("slapd does not listen")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def done(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


ALL = {"anna": (1, "agent"), "ben": (2, "agent"), "cleo": (3, "left")}


class Ldap(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Directory()
        cls.d.start(ALL, {"support": ["anna"], "leads": ["anna", "ben"], "others": ["cleo"]})
        secret = cls.d.dir / "reader"
        secret.write_text("reads only\n")
        secret.chmod(0o600)
        config = f"""ldap:
  url: ldap://127.0.0.1:{cls.d.port}
  start_tls: true
  ca_file: {cls.d.dir}/ca.pem
  bind_dn: "cn=reader,{BASE}"
  password: "file:{secret}"
  base: "{BASE}"
  valid_filter: "(!(title=left))"
  group_base: "{BASE}"
  recheck_s: 1
  timeout_ms: 2000
  grants:
    - {{group: support, team: support, role: reviewer}}
    - {{group: "cn=leads,{BASE}", team: default, role: approver}}
    - {{group: others, team: support}}
"""
        cls.s = e2e.House(config=config).__enter__()
        assert cls.s.call("POST", "/api/v1/teams", {"name": "support"})[0] == 201

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        cls.d.done()
        assert code == 0, said
        assert PASSWORD not in said and "reads only" not in said

    def login(self, name, password=PASSWORD):
        c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=60)
        try:
            c.request("POST", "/api/v1/login", json.dumps({"name": name, "password": password}))
            r = c.getresponse()
            answer = json.loads(r.read())
            return r.status, answer, (r.getheader("Set-Cookie") or "").split(";")[0]
        finally:
            c.close()

    def me(self, cookie=None, key=None):
        return self.s.call("GET", "/api/v1/me", headers={"Authorization": f"Bearer {key}"} if key else {"Cookie": cookie})[0]

    def until(self, true, what, seconds=20):
        end = time.monotonic() + seconds
        while not true():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.1)

    def test_1_groups_become_teams(self):
        status, answer, _ = self.login("Anna")
        self.assertEqual((status, answer.get("name")), (200, "anna"), answer)
        self.assertEqual({(t["team"], t["role"]) for t in answer["teams"]}, {("support", "reviewer"), ("default", "approver")})
        status, answer, _ = self.login("ben")
        self.assertEqual([(t["team"], t["role"]) for t in answer["teams"]], [("default", "approver")])

    def test_2_one_answer_for_all_that_is_wrong(self):
        wrong = self.login("ben", "not it")
        self.assertEqual(wrong[0], 401)
        for name, password in (("nobody-here", PASSWORD), ("cleo", PASSWORD), ("ben", ""), ("*", PASSWORD), ("a*", PASSWORD),
                               ("ben)(uid=anna", PASSWORD), ("reader", "reads only"), ("ben\u0000", PASSWORD), ("", PASSWORD)):
            got = self.login(name, password)
            self.assertIn(got[0], (400, 401), name)
            if got[0] == 401:
                self.assertEqual(got[1], wrong[1], name)
        self.assertEqual(self.s.call("GET", "/api/v1/users/cleo")[0], 404)

    def test_3_local_names_stay_local(self):
        made = self.s.call("POST", "/api/v1/users", {"name": "dora", "team": "default"})[1]
        self.assertEqual(self.s.call("POST", "/api/v1/setup", {"token": made["token"], "password": "correct horse battery"})[0], 200)
        self.assertEqual(self.login("dora", "correct horse battery")[0], 200)
        self.assertEqual(self.login("dora", PASSWORD)[0], 401)

    def test_4_who_is_gone_there_ends_here(self):
        cookies = {name: self.login(name)[2] for name in ("anna", "ben")}
        keys = {}
        for name in cookies:
            status, made = self.s.call("POST", "/api/v1/keys", {"name": f"{name}-key", "owner": name, "team": "default"})
            self.assertEqual(status, 201, made)
            keys[name] = made["key"]
            self.assertEqual((self.me(cookies[name]), self.me(key=keys[name])), (200, 200))
        # a directory that does not answer changes nothing
        self.d.stop()
        time.sleep(2.5)
        self.assertEqual((self.me(cookies["anna"]), self.me(key=keys["ben"])), (200, 200))
        self.assertEqual(self.login("anna")[0], 502)
        # anna is disabled, ben is gone
        self.d.start({"anna": (1, "left")}, {"support": ["anna"], "leads": ["anna"]})
        self.until(lambda: [self.me(cookies["anna"]), self.me(key=keys["anna"]), self.me(cookies["ben"]), self.me(key=keys["ben"])] ==
                   [401] * 4, "both end")
        # a new ben is another person, whatever the name
        self.d.start({"anna": (1, "agent"), "ben": (9, "agent")}, {"support": ["anna"], "leads": ["anna", "ben"]})
        self.assertEqual(self.login("ben")[0], 409)
        # anna is back: signing in lets her keys act again
        status, _, cookie = self.login("anna")
        self.assertEqual((status, self.me(cookie), self.me(key=keys["anna"])), (200, 200, 200))
        # out of the group: no team, no session
        self.d.start({"anna": (1, "agent")}, {"support": [], "leads": []})
        self.until(lambda: (self.me(cookie), self.me(key=keys["anna"])) == (401, 401), "without a group")
        # what an administrator disabled here stays so
        self.d.start({"anna": (1, "agent")}, {"support": ["anna"]})
        self.assertEqual(self.login("anna")[0], 200)
        self.assertEqual(self.s.call("POST", "/api/v1/users/anna/disable", {})[0], 200)
        self.assertEqual(self.login("anna")[0], 403)

    def test_5_a_certificate_of_another_authority(self):
        other = Directory()
        other.start(ALL, {"support": ["anna"]})
        config = (self.s.folder / "inhouse.yaml").read_text().replace(str(self.d.port), str(other.port))
        try:
            with e2e.House(config=config) as s:
                status, answer = s.call("POST", "/api/v1/login", {"name": "anna", "password": PASSWORD}, local=False)
                self.assertEqual(status, 502, answer)
        finally:
            other.done()


if __name__ == "__main__":
    if not os.access(SLAPD, os.X_OK) or not os.access(SLAPADD, os.X_OK):
        print("skipped: slapd is not installed (Debian package slapd)")
        sys.exit(77)
    e2e.main()
