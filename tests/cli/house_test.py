#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against the real server, which it starts itself, on the fake engine: every command once, and what
happens when processes are killed in the middle. Each class has a data folder of its own, gone afterwards."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build")
SOURCE = Path(os.environ.get("INHOUSE_SOURCE") or Path(__file__).resolve().parents[2])
INHOUSE = BUILD / "bin" / "inhouse"
DESK = SOURCE / "examples" / "helpdesk"


class House(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="inhouse-cli-")
        cls.dir = Path(cls.folder.name)
        cls.home = cls.dir / "home"
        cls.home.mkdir(mode=0o700)
        (cls.home / "inhouse.yaml").write_text("engine:\n  kind: fake\n  threads: 1\n")
        cls.env = {k: v for k, v in os.environ.items() if k not in ("INHOUSE_URL", "INHOUSE_API_KEY")}
        cls.env["INHOUSE_HOME"] = str(cls.home)

    @classmethod
    def tearDownClass(cls):
        subprocess.run([INHOUSE, "stop"], env=cls.env, capture_output=True, timeout=60)
        cls.folder.cleanup()

    def cli(self, *words, code=0, text=None):
        done = subprocess.run([INHOUSE, *map(str, words)], env=self.env, input=text, capture_output=True, text=True,
                              timeout=120)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, f"inhouse {' '.join(map(str, words))}\n{said}")
        self.said = said
        return done.stdout

    def server_pid(self):
        return json.loads(self.cli("status", "--json"))["pid"]


class EveryCommand(House):
    def test_a_day_with_the_command_line(self):
        self.cli("status")
        self.assertIn("No server runs", self.said)
        self.assertIn("91 articles", self.cli("datasets", "add", "helpdesk", DESK / "articles"))
        self.assertIn("helpdesk", self.cli("datasets", "list"))
        report = self.cli("learn", "ticket-triage", DESK / "past.jsonl")
        self.assertIn("Learned from 400 examples", report)
        self.assertIn("queue", report)

        out = self.dir / "out.jsonl"
        summary = self.cli("run", "ticket-triage", DESK / "new.jsonl", "--out", out)
        self.assertIn("60 tickets, 60 answered, 0 failed", summary)
        lines = [json.loads(x) for x in out.read_text().splitlines()]
        self.assertEqual([x["id"] for x in lines], [f"N-{2001 + i}" for i in range(60)])
        for line in lines:
            self.assertIn("queue", line)
            self.assertIn(line["_meta"]["queue"]["rung"], ("reuse", "rule", "learned", "light", "heavy", "person"))
            self.assertTrue(line["_meta"]["task"].startswith("tsk_"))

        empty = next(x["_meta"]["artifact"] for x in lines if x["id"] == "N-2010")  # no text: nothing was proposed
        self.cli("review", "approve", empty, code=3)
        self.assertIn("nothing was proposed for queue", self.said)
        waiting = json.loads(self.cli("review", "list", "--json"))
        self.assertGreater(len(waiting), 3)
        ids = [x["artifact"] for x in waiting if x["artifact"] != empty]
        self.assertIn(ids[0][-8:], self.cli("review", "list"))
        shown = self.cli("review", "show", ids[0][-8:])
        self.assertLessEqual(max(len(x) for x in shown.splitlines()), 80)
        self.assertIn("approved", self.cli("review", "approve", ids[0][-8:]))
        self.assertIn("edited", self.cli("review", "edit", ids[1], "queue=billing"))
        self.assertIn("rejected", self.cli("review", "reject", ids[2], "--reason", "not ours"))
        self.assertIn("escalated", self.cli("review", "escalate", ids[3], "--reason", "ask the lawyers"))
        self.cli("review", "approve", ids[0], code=5)
        self.cli("review", "escalate", ids[4 % len(ids)], code=2)
        self.assertIn("--reason", self.said)
        self.cli("review", "edit", ids[-1], "queu=billing", code=3)
        self.assertIn("queue, ", self.said)
        self.cli("review", "show", "nothing-like-this", code=5)
        left = len(json.loads(self.cli("review", "list", "--json")))
        self.cli("review", "settings", "forced_share=0")
        said = self.cli("review", "next", text="x\nr\ns ask the lawyers\nr not ours\ne queue=billing\na\nnonsense\nq\n")
        self.assertFalse([w for w in ("nothing was decided", "escalated", "rejected", "approved as changed", '"x" is none')
                          if w not in said], said)
        self.assertEqual(len(json.loads(self.cli("review", "list", "--json"))), left - 3)

        self.assertIn("ticket-triage", self.cli("workflow", "list"))
        yaml = self.dir / "w.yaml"
        yaml.write_text(self.cli("workflow", "show", "ticket-triage").replace("target_error: 0.05", "target_error: 0.04"))
        self.cli("workflow", "test", yaml)
        self.cli("workflow", "put", yaml)
        yaml.write_text("name: w\nfields: 3\nwrong: key\n")
        self.cli("workflow", "test", yaml, code=3)
        self.assertIn("line 2", self.said)
        self.assertIn("line 3", self.said)

        key = self.cli("keys", "add", "robot", "--role", "member").strip()
        self.assertRegex(key, r"^ik_[0-9a-f]{64}$")
        self.assertIn("robot", self.cli("keys", "list"))
        self.cli("keys", "revoke", "robot")
        self.assertTrue(self.cli("ask", "hello", "there").strip())

        self.assertIn("The record is whole", self.cli("audit", "verify"))
        size = json.loads(self.cli("audit", "verify", "--json"))["records"]
        self.assertGreater(size, 60)
        self.assertEqual(json.loads(self.cli("audit", "show", "0", "--json"))["seq"], 0)
        self.assertIn("c2sp.org/tlog-proof@v1", json.loads(self.cli("audit", "prove", size // 2, "--json"))["proof"])
        self.assertIn("— ", self.cli("audit", "checkpoint"))
        self.cli("audit", "show", size + 1000, code=5)
        self.assertIn("stopped", self.cli("stop"))
        self.assertIn("The record is whole", self.cli("audit", "verify"))

    def test_workflow_from_examples(self):
        examples = self.dir / "examples.jsonl"
        with examples.open("w") as f:
            for i in range(60):
                kind = ("bug", "wish", "praise")[i % 3]
                f.write(json.dumps({"id": f"e{i}", "text": f"this {kind} number {i}", "expected": {"kind": kind}}) + "\n")
        said = self.cli("workflow", "new", "feedback", "--from", examples)
        self.assertIn("inhouse run feedback", said)
        self.cli("workflow", "new", "feedback", "--from", examples, code=5)
        self.assertIn("already", self.said)
        self.assertIn("accuracy", self.cli("run", "feedback", examples, "--out", self.dir / "f.jsonl", "--no-review"))

    def test_models_are_checked_before_they_are_stored(self):
        self.cli("models", "add", self.dir / "none.gguf", code=3)
        self.assertIn("none.gguf", self.said)
        bad = self.dir / "bad.gguf"
        bad.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 500)
        self.cli("models", "add", bad, "--role", "light", code=3)
        self.assertIn("bad.gguf", self.said)
        self.cli("models", "list")
        self.assertIn("No models yet", self.said)

    def test_doctor_looks_at_everything(self):
        report = json.loads(subprocess.run([INHOUSE, "doctor", "--json"], env=self.env, capture_output=True, text=True,
                                           timeout=60).stdout)
        for part in ("inhoused", "inhouse-worker", "inhouse-reader", "documents", "engine", "processor", "memory", "sandbox", "disk", "store", "server"):
            self.assertIn(part, report)


class Unable(House):
    def test_wrong_configuration_names_file_line_and_key(self):
        self.cli("stop")
        (self.home / "inhouse.yaml").write_text("engine:\n  kind: fake\n  thread: 1\n")
        self.cli("workflow", "list", code=3)
        self.assertIn("inhouse.yaml line 3", self.said)
        self.assertIn("engine.thread", self.said)
        (self.home / "inhouse.yaml").write_text("engine:\n  kind: fake\n")

    def test_serve_takes_the_place_of_a_commands_own_server(self):
        self.cli("workflow", "list")  # starts one that would stay some seconds
        first = self.server_pid()
        serve = subprocess.Popen([INHOUSE, "serve", "--listen", "127.0.0.1:0"], env=self.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        try:
            said = serve.stderr.readline()
            while "server.listening" not in said:
                line = serve.stderr.readline()
                self.assertTrue(line, said)
                said += line
            self.assertIn("ends first", said)
            self.assertEqual(self.server_pid(), serve.pid)
            self.assertNotEqual(first, serve.pid)
            second = subprocess.run([INHOUSE, "serve"], env=self.env, capture_output=True, text=True, timeout=60)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(f"process {serve.pid}", second.stderr)  # one that stays is left alone
        finally:
            serve.terminate()
            serve.communicate(timeout=60)

    def test_busy_port_says_what_to_do(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            done = subprocess.run([INHOUSE, "serve", "--listen", f"127.0.0.1:{s.getsockname()[1]}"], env=self.env,
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use", done.stderr)
        self.assertIn("--listen", done.stderr)

    def test_full_disk_is_one_error_and_leaves_nothing(self):
        small = self.dir / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], capture_output=True).returncode:
            self.skipTest("mounting a small file system needs root")
        try:
            self.cli("run", "ticket-triage", DESK / "new.jsonl", "--out", small / "out.jsonl", "--no-draft", code=3)
            self.assertIn("full", self.said)
            self.assertEqual(list(small.iterdir()), [])
        finally:
            subprocess.run(["umount", small], check=True)


class ManPages(unittest.TestCase):
    def test_pages_say_what_the_tables_say(self):
        for page in ("inhouse.1", "inhouse.yaml.5"):
            said = subprocess.run([INHOUSE, "help", "man", page], capture_output=True, text=True, timeout=20).stdout
            self.assertEqual((SOURCE / "man" / page).read_text(), said,
                             f"man/{page} is old: build/bin/inhouse help man {page} > man/{page}")


class Try(House):
    def test_reads_a_desk_export_and_leaves_one_page(self):
        export = self.dir / "export.csv"
        with export.open("w") as f:
            f.write("Ticket ID;Created;Title;Content_HTML;Group;Priority\r\n")
            for i in range(200):
                group = ("Sales", "Technik", "Billing")[i % 3]
                f.write(f"{i};2026-0{1 + i // 30}-{1 + i % 28:02d} 10:00:00 +0100;About {group};"
                        f"\"<p>Hello, a &quot;question&quot; for {group} number {i}</p>\";{group};{'high' if i % 5 == 0 else 'low'}\r\n")
        page = self.dir / "page.html"
        before = sorted(p.name for p in self.home.iterdir())
        said = self.cli("try", export, "--page", page)
        self.assertIn("subject=Title text=Content_HTML", said)
        self.assertIn("Group", said)
        self.assertIn("older 140", said)
        html = page.read_text()
        self.assertIn("</html>", html)
        for word in ("<script", "http://", "https://"):
            self.assertNotIn(word, html)
        left = sorted(p.name for p in self.home.iterdir() if p.name not in ("models",))
        self.assertEqual(left, [x for x in before if x != "models"])
        export.write_text(export.read_text().replace("2026-01-05 10:00:00 +0100", "05.01.2026 10:00"))
        self.assertNotIn("no times", self.cli("try", export, "--page", page))
        j = json.loads(self.cli("try", export, "Group=Group", "--page", page, "--json"))
        self.assertEqual(j["newer"], 60)

    def test_interrupted_try_leaves_nothing(self):
        export = self.dir / "long.csv"
        with export.open("w") as f:
            f.write("id,text,queue\n")
            for i in range(4000):
                f.write(f"{i},question {i} about {i % 7},q{i % 3}\n")
        before = sorted(p.name for p in self.home.iterdir())
        run = subprocess.Popen([INHOUSE, "try", export], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while time.monotonic() < end and not list(self.home.glob("try-*/data.db")):
            time.sleep(0.01)
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(60), 130, run.stdout.read())
        run.stdout.close()
        self.assertEqual(sorted(p.name for p in self.home.iterdir() if p.name != "models"),
                         [x for x in before if x != "models"])

    def test_unusable_files_say_what_is_missing(self):
        bad = self.dir / "bad.csv"
        bad.write_text("one,two\n" + "a,b\n" * 100)
        self.cli("try", bad, code=3)
        self.assertIn("one, two", self.said)
        self.cli("try", bad, "queue=three", code=3)
        self.assertIn('no column "three"', self.said)
        for command in ("run", "learn"):
            self.cli(command, "ticket-triage", bad, code=3)
            self.assertIn("one, two", self.said)
            self.assertEqual(self.said.count("text"), 2)  # said once, not for each row
        bad.write_text("")
        self.cli("try", bad, code=3)
        self.assertIn("no row", self.said)


class Killed(House):
    N = 6000  # long enough that a kill after 200 comes in the middle, on fast machines too

    def tickets(self):
        path = self.dir / "many.jsonl"
        path.write_text("".join(json.dumps({"id": f"K{i}", "text": f"ticket number {i} about a late parcel"}) + "\n"
                                for i in range(self.N)))
        return path

    def start_run(self, *more):
        self.out = self.dir / "killed.jsonl"
        self.out.unlink(missing_ok=True)
        self.before = 0  # the tests of the class share one record
        if (self.home / "data.db").exists():
            self.before = json.loads(self.cli("audit", "verify", "--json"))["records"]
        return subprocess.Popen([INHOUSE, "run", "ticket-triage", self.tickets(), "--out", self.out, "--no-draft", *more],
                                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_records(self, at_least):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            done = subprocess.run([INHOUSE, "status", "--json"], env=self.env, capture_output=True, text=True, timeout=30)
            status = json.loads(done.stdout or "{}")
            if status.get("records", 0) >= self.before + at_least:
                return status
            time.sleep(0.02)
        self.fail("no records")

    def get(self, path):
        self.cli("workflow", "list")  # a server is there
        connection = http.client.HTTPConnection("inhouse")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.home / "sock"))
        connection.request("GET", path)
        answer = connection.getresponse()
        value = json.loads(answer.read())
        connection.close()
        self.assertEqual(answer.status, 200, value)
        return value

    def check_all_answered(self, run):
        said = run.communicate(timeout=120)[0]
        self.assertEqual(run.returncode, 0, said)
        for line in [json.loads(x) for x in self.out.read_text().splitlines()][::150]:
            kept = self.get("/api/v1/tasks/" + line["_meta"]["task"])
            self.assertEqual(kept["input_id"], line["id"])  # what was acknowledged is there
        self.assertEqual([json.loads(x)["id"] for x in self.out.read_text().splitlines()], [f"K{i}" for i in range(self.N)])
        self.assertIn("The record is whole", self.cli("audit", "verify"))
        return said

    def test_killed_server_is_started_again_and_the_run_finishes(self):
        run = self.start_run()
        status = self.wait_records(200)
        os.kill(status["pid"], signal.SIGKILL)
        said = self.check_all_answered(run)
        self.assertIn("the server went away", said)
        self.assertIn("Nothing was lost", said)

    def test_killed_worker_does_not_stop_the_run(self):
        run = self.start_run()
        status = self.wait_records(200)
        killed = 0
        for role in status["roles"].values():
            if role["pid"] > 0:
                os.kill(role["pid"], signal.SIGKILL)
                killed += 1
        self.assertGreater(killed, 0)
        self.assertIn("worker died", self.check_all_answered(run))

    def test_interrupted_run_keeps_the_finished_part(self):
        run = self.start_run()
        self.wait_records(100)
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[0]
        self.assertEqual(run.returncode, 130, said)
        self.assertFalse(self.out.exists())
        part = Path(str(self.out) + ".partial")
        self.assertIn(str(part), said)
        ids = [json.loads(x)["id"] for x in part.read_text().splitlines()]
        self.assertEqual(ids, [f"K{i}" for i in range(len(ids))])


if __name__ == "__main__":
    unittest.main(verbosity=2)
