#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server and a witness, two real processes: checkpoints leave by themselves, to the witness, a folder and a mail server; a
witness refuses what its protocol says; the log's key changes under way. Both verifiers follow."""
import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import e2e

sys.path.insert(0, str(e2e.SOURCE / "tools"))
import verify  # noqa: E402

EMPTY = hashlib.sha256(b"").digest()


class Witness:
    def __init__(self, folder, *logs):
        self.folder, self.logs, self.process = folder, logs, None

    def start(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([e2e.INHOUSE, "audit", "witness", "serve", *self.logs, "--folder", self.folder, "--name",
                                         "witness.example/w1", "--listen", f"127.0.0.1:{self.port}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.key = self.get("GET", "/key")[1].decode().strip()
                return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the witness does not answer")

    def get(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def stop(self, kill=False):
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(20)


class Mailbox(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

    def __init__(self):
        self.mails = []
        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (part := self.rfile.readline()) not in (b".\r\n", b""):
                    text += part
                self.server.mails.append(text.decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 good\r\n")
            if word == b"QUIT":
                return


def keep(home):
    return e2e.inhouse("audit", "checkpoint", home=home).stdout


def left(home):
    return {x["kind"]: x for x in json.loads(e2e.inhouse("audit", "witness", "--json", home=home).stdout)}


class Leaving(unittest.TestCase):
    def test_checkpoints_leave_are_cosigned_and_follow_a_change_of_key(self):
        mail = Mailbox()
        with e2e.House() as s:
            s.task("red")
            self.assertEqual(s.stop(), 0)
            key = json.loads(e2e.inhouse("audit", "verify", "--json", home=s.home).stdout)["key"]
            witness = Witness(s.folder / "witness", key).start()
            config = s.folder / "inhouse.yaml"
            s.text = (f"audit: {{witness_url: 'http://127.0.0.1:{witness.port}', witness_key: '{witness.key}', every_s: 5, "
                      f"mail_url: 'smtp://127.0.0.1:{mail.server_address[1]}', mail_from: 'log@here.example', "
                      f"mail_to: 'keeper@there.example'}}\n")
            config.write_text(s.text)
            s.start()
            try:
                self.follow(s, witness, key, mail)
            finally:
                witness.stop()
                mail.shutdown()

    def until(self, s, true, what, seconds=25):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if true(left(s.home)):
                return left(s.home)
            time.sleep(0.2)
        self.fail(f"{what} did not happen: {left(s.home)}")

    def follow(self, s, witness, key, mail):
        got = self.until(s, lambda x: {"witness", "mail"} <= set(x) and x["witness"]["at"] and x["mail"]["at"], "leaving")
        cosigned = s.folder / "cosigned.note"
        cosigned.write_text(got["witness"]["note"])
        self.check("checkpoint", cosigned, "--key", key, "--witness", witness.key)
        self.assertIn(f"checkpoint of {key.partition('+')[0]}", mail.mails[0])
        self.assertIn(got["mail"]["note"], mail.mails[0].replace("\r\n", "\n"))
        notes = list((s.home / "checkpoints").glob("*.note"))
        self.assertEqual(len(notes), 2)
        # the witness dies and comes back: it remembers
        size = got["witness"]["size"]
        witness.stop(kill=True)
        port = witness.port
        s.task("green")
        self.until(s, lambda x: x["witness"]["fault"] != "", "a fault")
        again = Witness(witness.folder, key)
        again.port = port
        witness.process = subprocess.Popen([e2e.INHOUSE, "audit", "witness", "serve", key, "--folder", witness.folder, "--name",
                                            "witness.example/w1", "--listen", f"127.0.0.1:{port}"],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.until(s, lambda x: x["witness"]["size"] > size and x["witness"]["fault"] == "", "cosigning again")
        # another key signs: the old one verifies what it signed, the chain leads to the new one
        early = s.folder / "early.note"
        early.write_text(keep(s.home))
        done = e2e.inhouse("audit", "keys", "rotate", "--json", home=s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        new = json.loads(done.stdout)["key"]
        self.assertNotEqual(new, key)
        s.task("blue")
        keys = json.loads(e2e.inhouse("audit", "keys", "--json", home=s.home).stdout)
        self.assertEqual([k["key"] for k in keys], [key, new])
        self.assertIsNone(keys[1]["retired_at"])
        for pinned in (key, new):
            self.assertEqual(e2e.inhouse("audit", "verify", "--vkey", pinned, home=s.home).returncode, 0, pinned)
            self.check("log", s.home, "--key", pinned, "--known", early)
        self.assertEqual(e2e.inhouse("audit", "verify", "--known", early, home=s.home).returncode, 0)
        # and over restarts, and a second change
        self.assertEqual(s.stop(), 0)
        s.start()
        self.assertEqual(e2e.inhouse("audit", "keys", "rotate", home=s.home).returncode, 0)
        self.assertEqual(s.stop(), 0)
        s.start()
        s.task("yellow")
        for pinned in [k["key"] for k in json.loads(e2e.inhouse("audit", "keys", "--json", home=s.home).stdout)]:
            self.assertEqual(e2e.inhouse("audit", "verify", "--vkey", pinned, home=s.home).returncode, 0, pinned)
            self.check("log", s.home, "--key", pinned)
        out = s.folder / "all.jsonl"
        self.assertEqual(e2e.inhouse("audit", "export", "--out", out, home=s.home).returncode, 0)
        self.check("export", out, "--key", key)

    def check(self, *words, code=0):
        done = subprocess.run([sys.executable, e2e.SOURCE / "tools" / "verify.py", *map(str, words)], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)


class Protocol(unittest.TestCase):
    def test_a_witness_answers_as_its_protocol_says(self):
        with e2e.House() as s:
            marks = []
            for i in range(6):
                s.task(f"red {i}")
                marks.append(keep(s.home))
            self.assertEqual(s.stop(), 0)
            key = json.loads(e2e.inhouse("audit", "verify", "--json", home=s.home).stdout)["key"]
            proofs = {}
            for note in marks:  # from each of them to the newest
                file = s.folder / "early.note"
                file.write_text(note)
                proofs[verify.Checkpoint(note).size] = e2e.inhouse("audit", "prove", "--since", file, home=s.home).stdout
            whole = json.loads(e2e.inhouse("audit", "prove", 0, "--json", home=s.home).stdout)
            newest = keep(s.home)
            copy = s.folder / "fork"
            shutil.copytree(s.home, copy, ignore=shutil.ignore_patterns("sock", "lock", "*-lock"))
            for i in range(2):
                e2e.inhouse("keys", "add", f"fork{i}", home=copy)
            e2e.inhouse("stop", home=copy)
            fork = keep(copy)
            witness = Witness(s.folder / "witness", key).start()
            try:
                self.answers(witness, key, marks, proofs, newest, fork)
            finally:
                witness.stop()
            self.assertGreater(whole["size"], 6)

    def answers(self, w, key, marks, proofs, newest, fork):
        def add(body):
            return w.get("POST", "/add-checkpoint", body.encode() if isinstance(body, str) else body)
        first = verify.Checkpoint(marks[0]).size
        size = verify.Checkpoint(newest).size
        self.assertEqual(add("what\n\n" + newest)[0], 400)
        self.assertEqual(add("old 0\nAAAA\n\n" + newest)[0], 400)
        self.assertEqual(add(f"old {size + 1}\n\n" + newest)[0], 400)
        self.assertEqual(add("old 0\n\n" + newest.replace(key.partition("+")[0], "other.example/log"))[0], 404)
        flipped = newest[:-4] + ("A" if newest[-4] != "A" else "B") + newest[-3:]
        self.assertIn(add("old 0\n\n" + flipped)[0], (400, 403))
        status, line = add("old 0\n\n" + marks[0])
        self.assertEqual(status, 200, line)
        self.assertTrue(verify.Key(w.key).signed(verify.Checkpoint(marks[0].encode() + line)))
        self.assertEqual(add("old 0\n\n" + newest), (409, f"{first}\n".encode()))
        self.assertEqual(add(f"old {first}\n\n" + newest)[0], 422)
        middle = verify.Checkpoint(marks[2]).size
        self.assertEqual(add(proofs[middle])[0], 409)
        # the same request at once from many: one history, whoever is first
        with_both = [proofs[first]] * 8
        got = e2e.at_once(lambda b: add(b), with_both, threads=8)
        self.assertEqual(sorted({g[0] for g in got}), [200, 409])
        self.assertEqual(sum(g[0] == 200 for g in got), 1)
        self.assertEqual(add(f"old {size}\n\n" + newest)[0], 200)  # nothing new: cosigned again
        forked = verify.Checkpoint(fork)
        self.assertEqual(add(f"old {size}\n\n" + fork)[0], 422 if forked.size > size else 409)
        w.stop(kill=True)
        w.start()
        self.assertEqual(add("old 0\n\n" + marks[0]), (409, f"{size}\n".encode()))
        second = Witness(w.folder, key)
        second.port = 1
        done = subprocess.run([e2e.INHOUSE, "audit", "witness", "serve", key, "--folder", w.folder, "--name", "x/y", "--listen",
                               "127.0.0.1:0"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another witness", done.stderr)
        self.assertEqual(re.fullmatch(r"witness\.example/w1\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}", w.key) is None, False)
        self.assertEqual(base64.b64decode(w.key.split("+", 2)[2])[0], 4)
        self.assertTrue(os.stat(Path(w.folder) / "witness.key").st_mode & 0o077 == 0)


if __name__ == "__main__":
    e2e.main()
