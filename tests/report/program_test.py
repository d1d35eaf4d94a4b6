#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""standard-report on a server: files and queries in, every form out; who may ask which source; every panel of a dashboard runs."""
import json
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "http"))
import server  # noqa: E402
import traced_test  # noqa: E402

MONTHS = [(f"2025-{m:02d}", ("mail", "chat")[k], 100 + m * (3 + k) + (400 if m == 7 and k == 0 else 0), 80 + m) for m in range(1, 13) for k in (0, 1)]
QUERY = "SELECT month, channel, tickets, solved FROM desk ORDER BY month, channel"


def dashboard_is_valid(test, board):
    """What Grafana's own description of the classic model asks for (kinds/dashboard/dashboard_kind.cue)."""
    test.assertTrue(8 <= len(board["uid"]) <= 40)
    test.assertIsInstance(board["schemaVersion"], int)
    test.assertIn(board["graphTooltip"], (0, 1, 2))
    test.assertTrue(board["time"]["from"] and board["time"]["to"] and board["title"])
    ids = [p["id"] for p in board["panels"]]
    test.assertEqual(len(ids), len(set(ids)))
    names = {v["name"] for v in board["templating"]["list"]}
    for v in board["templating"]["list"]:
        test.assertIn(v["type"], ("query", "adhoc", "constant", "datasource", "interval", "textbox", "custom", "system"))
        test.assertIn(v["hide"], (0, 1, 2))
    for p in board["panels"]:
        g = p["gridPos"]
        test.assertTrue(g["h"] > 0 and 0 < g["w"] <= 24 and 0 <= g["x"] < 24 and g["x"] + g["w"] <= 24 and g["y"] >= 0)
        test.assertIn(p["type"], ("timeseries", "barchart", "stat"))
        test.assertRegex(p["description"], r"^Column \S+ of ")
        test.assertEqual(p["datasource"]["uid"], "${datasource}")
        test.assertIn("datasource", names)
        test.assertEqual(len(p["targets"]), 1)
        test.assertTrue(p["targets"][0]["refId"])
        test.assertEqual(set(p["fieldConfig"]), {"defaults", "overrides"})


class Postgres:
    """A PostgreSQL of this test, as an unprivileged user; None where there is no initdb."""

    def __init__(self, folder):
        self.folder, self.process = Path(folder), None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]

    def run(self, *command):
        user = pwd.getpwnam("nobody")
        def drop():
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        return dict(args=command, preexec_fn=drop if os.getuid() == 0 else None, cwd="/", stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.folder, "nobody")
        data = self.folder / "pg"
        subprocess.run(**self.run(shutil.which("initdb"), "-D", str(data), "-A", "trust", "-U", "owner", "--no-sync"), check=True)
        self.process = subprocess.Popen(**self.run(shutil.which("postgres"), "-D", str(data), "-p", str(self.port), "-k", str(self.folder),
                                                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"))
        end = time.monotonic() + 30
        while self.sql("SELECT 1") != 0:
            assert time.monotonic() < end and self.process.poll() is None, "PostgreSQL did not start"
            time.sleep(0.2)
        return self

    def sql(self, text):
        return subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "owner", "-d", "postgres", "-q", "-c", text],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.db = str(Path(cls.folder.name) / "desk.db")
        with sqlite3.connect(cls.db) as db:
            db.execute("CREATE TABLE desk(month TEXT, channel TEXT, tickets INTEGER, solved INTEGER)")
            db.executemany("INSERT INTO desk VALUES(?,?,?,?)", MONTHS)
        cls.pg = None
        if shutil.which("initdb") and shutil.which("psql"):
            cls.pg = Postgres(tempfile.mkdtemp(dir=cls.folder.name))
            os.chmod(cls.folder.name, 0o755)
            cls.pg.__enter__()
            values = ",".join(f"('{m}-01','{c}',{t},{s})" for m, c, t, s in MONTHS)
            cls.pg.sql(f"CREATE TABLE desk(month date, channel text, tickets int, solved int); INSERT INTO desk VALUES {values}")
        config = f"sources:\n  - {{name: desk, path: {cls.db}, teams: [default], timeout_ms: 2000}}\n"
        if cls.pg:
            config += (f"  - {{name: pg, kind: postgres, host: 127.0.0.1, port: {cls.pg.port}, database: postgres, user: owner, "
                       "teams: [default], timeout_ms: 3000}\n")
        cls.s = server.Server(["--engine", "fake"], config=config).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()
        if cls.pg:
            cls.pg.__exit__()
        cls.folder.cleanup()

    def job(self, body, headers=None):
        status, made = self.s.call("POST", "/api/v1/jobs", {"workflow": "standard-report"} | body, *([headers] if headers else []))
        self.assertEqual(status, 202, made)
        end = time.monotonic() + 60
        while made["state"] in ("queued", "leased") and time.monotonic() < end:
            time.sleep(0.05)
            made = self.s.call("GET", f"/api/v1/jobs/{made['job']}")[1]
        return made

    def output(self, job, name):
        c = server.Local(self.s.home / "sock")
        c.request("GET", f"/api/v1/jobs/{job['job']}/outputs/{name}")
        answer = c.getresponse()
        text = answer.read().decode()
        c.close()
        self.assertEqual(answer.status, 200, text)
        return json.loads(text) if name.endswith(".json") else text

    def refused(self, params):
        made = self.job({"params": params})
        self.assertEqual(made["state"], "failed", made)
        return json.dumps(made)

    def test_files(self):
        paths = traced_test.METRICS[:1] + [p for p in traced_test.METRICS if "desktop_2025" in p.name]
        if not paths:
            self.skipTest("no INHOUSE_DATA")
        inputs = [{"role": "table", "name": p.name, "text": p.read_text()} for p in paths[1:]]
        with tempfile.TemporaryDirectory() as folder:
            for form, name in (("markdown", "report.md"), ("html", "report.html")):
                made = self.job({"inputs": inputs, "as": form})
                self.assertEqual(made["state"], "done", made)
                text = self.output(made, name)
                Path(folder, name).write_text(text)
            report = self.output(made, "report.json")
            Path(folder, "report.json").write_text(json.dumps(report))
            numbers, places, _ = traced_test.check(self, paths[1:], Path(folder))
            print(f"twelve files through the server: {numbers} numbers, {places} places, 0 without a source")

    def test_the_example(self):
        folder = traced_test.SOURCE / "examples" / "report"
        status, answer = self.s.call("PUT", "/api/v1/workflows/desk-report", (folder / "report.yaml").read_text())
        self.assertEqual(status, 200, answer)
        csv = folder / "metrics.csv"
        with tempfile.TemporaryDirectory() as out:
            for form, names in (("markdown", ["report.md", "report.json"]), ("html", ["report.html"]), ("json", ["report.json"]),
                                ("grafana", ["dashboard.json"])):
                Path(out, form).mkdir()
                made = self.job({"workflow": "desk-report", "inputs": [{"role": "table", "name": csv.name, "text": csv.read_text()}], "as": form})
                self.assertEqual(made["state"], "done", made)
                for name in names:
                    text = self.output(made, name)
                    Path(out, form, name).write_text(text if isinstance(text, str) else json.dumps(text))
            dashboard_is_valid(self, json.loads(Path(out, "grafana", "dashboard.json").read_text()))
            done = subprocess.run([sys.executable, str(folder / "check.py"), str(csv), out], capture_output=True, text=True)
            print(done.stdout.strip())
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_dashboard_of_a_query_runs(self):
        made = self.job({"params": {"source": "desk", "query": QUERY}, "as": "grafana"})
        self.assertEqual(made["state"], "done", made)
        board = self.output(made, "dashboard.json")
        dashboard_is_valid(self, board)
        with sqlite3.connect(self.db) as db:
            for p in board["panels"]:
                rows = db.execute(p["targets"][0]["queryText"]).fetchall()
                self.assertTrue(rows, p["title"])
        print(f"{len(board['panels'])} panels, every query gives rows")

    def test_postgres(self):
        if not self.pg:
            self.skipTest("no PostgreSQL here")
        made = self.job({"params": {"source": "pg", "query": QUERY}, "as": "grafana"})
        self.assertEqual(made["state"], "done", made)
        dashboard_is_valid(self, self.output(made, "dashboard.json"))
        report = self.output(made, "report.json")
        self.assertEqual(report["untraced"], 0)
        self.assertIn("2025-07-01", [report["values"][a["period"]]["shown"] for a in report["anomalies"]])
        for sql, says in (("DELETE FROM desk", "PostgreSQL"), ("SELECT 1; DELETE FROM desk", "PostgreSQL"), ("COPY desk TO '/tmp/x'", "PostgreSQL"),
                          ("SELECT pg_sleep(9)", "timeout"), ("WITH x AS (DELETE FROM desk RETURNING 1) SELECT * FROM x", "PostgreSQL"),
                          ("SET TRANSACTION READ WRITE", "PostgreSQL")):
            self.assertIn(says, self.refused({"source": "pg", "query": sql}), sql)

    def test_what_is_no_select_or_not_granted_is_refused(self):
        self.assertIn("may not use", self.refused({"source": "desk", "query": "DELETE FROM desk"}))
        self.assertIn("may not use", self.refused({"source": "desk", "query": "ATTACH '/tmp/x' AS x"}))
        self.assertIn("no such table", self.refused({"source": "desk", "query": "SELECT * FROM gone"}))
        self.assertIn("there is no source", self.refused({"source": "other", "query": "SELECT 1"}))
        self.assertIn("from files, or from a query", self.refused({}))
        with sqlite3.connect(self.db) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM desk").fetchone()[0], len(MONTHS))


if __name__ == "__main__":
    server.need_programs()
    unittest.main()
