#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`inhouse review` on a terminal (a pty) and without one: single keys, the next one already loaded, undo, an editor whose
text is kept every second, and the same in lines."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

import e2e

OFF = {"second_share": 0, "practice_share": 0, "forced_share": 0}
CASE = "Hello,\nmy card payment was declined at the supermarket, and again at the petrol station.\nRegards,\n"


class Terminal:
    """The command on a pty of 24 by 100; screen is what it drew last."""

    def __init__(self, home, *words, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        told = {k: v for k, v in os.environ.items() if k not in ("INHOUSE_URL", "INHOUSE_API_KEY", "EDITOR", "VISUAL")}
        told.update({"INHOUSE_HOME": str(home), "TERM": "xterm"}, **(env or {}))
        self.process = subprocess.Popen([str(e2e.INHOUSE), "review", *words], stdin=slave, stdout=slave, stderr=slave, env=told,
                                        start_new_session=True)
        os.close(slave)
        self.got = ""

    def see(self, pattern, seconds=15, gone=False):
        """Reads until the newest screen shows it (or no longer does)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (re.search(pattern, self.screen()) is None) == gone and self.got:
                return self.screen()
            ready = select.select([self.master], [], [], 0.1)[0]
            if ready:
                try:
                    part = os.read(self.master, 65536)
                except OSError:
                    part = b""
                if not part:
                    break
                self.got += part.decode(errors="replace")
        if (re.search(pattern, self.screen()) is None) == gone:
            return self.screen()
        raise AssertionError(f"{pattern!r} {'stayed' if gone else 'did not show'}:\n{self.screen()}")

    def screen(self):
        last = self.got.split("\x1b[H")[-1]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)

    def keys(self, text):
        os.write(self.master, text.encode())

    def end(self):
        code = self.process.wait(20)
        os.close(self.master)
        return code


class ReviewTerminal(unittest.TestCase):
    def setUp(self):
        self.s = e2e.House().__enter__()
        self.terminals = []
        status, answer = self.s.call("PUT", "/api/v1/review/settings", {**OFF, "reasons": ["wrong queue", "wrong tone"]})
        assert status == 200, answer

    def tearDown(self):
        for t in self.terminals:
            if t.process.poll() is None:
                t.process.kill()
                t.process.wait()
        self.s.stop()
        self.s.__exit__()

    def open(self, *words, **more):
        self.terminals.append(Terminal(self.s.home, *words, **more))
        return self.terminals[-1]

    def make(self, text, **more):
        body = {"workflow": "colours", "input": {"text": text, **more}, "rungs": ["light"]}
        status, answer = self.s.call("POST", "/api/v1/tasks", body)
        assert status == 200, answer
        return answer["artifact"]

    def show(self, artifact):
        return self.s.call("GET", f"/api/v1/artifacts/{artifact}?open=0")[1]

    def wait_state(self, artifact, state, seconds=12):
        end = time.monotonic() + seconds
        while (got := self.show(artifact)["state"]) != state and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(got, state)

    def test_single_keys(self):
        made = [self.make(f"the {c} thing", id=f"T{i}") for i, c in enumerate(("red", "green", "blue", "yellow"))]
        t = self.open()
        t.see("the red thing")
        t.keys("?")
        t.see("a reason of your own")
        t.keys("x")
        t.keys("fcolour=red\rfmood=calm\r")
        t.see(r"mood +calm   \(proposed")
        t.keys("a")
        t.see("the green thing")
        t.see("approved as changed: T0")
        t.keys("r")
        t.see("1 wrong queue  2 wrong tone")
        t.keys("2")
        t.see("the blue thing")
        self.wait_state(made[0], "edited")  # it left with the next decision
        t.keys("s@ben ask the lawyers\r")
        t.see("the yellow thing")
        t.keys("q")
        self.assertEqual(t.end(), 0)
        self.assertEqual([self.show(a)["state"] for a in made], ["edited", "rejected", "escalated", "in_review"])
        self.assertEqual(self.show(made[1])["decision"]["reason"], "wrong tone")
        item = self.s.call("GET", f"/api/v1/review/items/{made[2]}")[1]
        self.assertEqual(item["target"], "ben")
        self.assertIsNone(self.s.call("GET", f"/api/v1/review/items/{made[3]}")[1]["holder"])  # given back

    def test_undo_and_what_time_does(self):
        made = self.make("the red thing", id="T0"), self.make("the green thing", id="T1")
        t = self.open()
        t.see("the red thing")
        t.keys("r1")
        t.see("the green thing")
        t.keys("u")
        t.see("the red thing")
        began = time.monotonic()
        t.keys("r2")
        t.see("the green thing")
        state = self.show(made[0])["state"]
        if time.monotonic() - began < 3:  # a machine with other work is past the moment
            self.assertEqual(state, "in_review")
        self.wait_state(made[0], "rejected")
        self.assertEqual(self.show(made[0])["decision"]["reason"], "wrong tone")
        t.keys("fcolour=blue\r")
        t.see("colour is blue")
        end = time.monotonic() + 5
        while (w := self.s.call("GET", f"/api/v1/review/items/{made[1]}")[1]["working"]) is None and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(w["fields"], {"colour": "blue"})
        t.process.kill()  # what was typed is still there for the next session
        t.process.wait()
        t = self.open()
        t.see(r"colour +blue   \(proposed")
        t.keys("q")
        self.assertEqual(t.end(), 0)

    def test_the_next_one_is_loaded_already(self):
        self.make("the red thing")
        second = self.make("the green thing")
        t = self.open()
        t.see("the red thing")
        end = time.monotonic() + 5
        while not self.s.call("GET", f"/api/v1/review/items/{second}")[1]["holder"] and time.monotonic() < end:
            time.sleep(0.05)
        self.s.process.send_signal(signal.SIGSTOP)  # the server says nothing: the next one shows all the same
        try:
            t.keys("n")
            t.see("the green thing", 3)
        finally:
            self.s.process.send_signal(signal.SIGCONT)
        t.keys("q")
        self.assertEqual(t.end(), 0)

    def test_an_editor_whose_text_is_kept_while_it_is_open(self):
        a = self.make("the red thing")
        editor = self.s.folder / "editor.sh"
        editor.write_text("#!/bin/sh\nsed -i 's/^colour: .*/colour: yellow/' \"$1\"\nprintf 'Dear Ann,' >> \"$1\"\nsleep 7\n"
                          "printf ' hello.' >> \"$1\"\n")
        editor.chmod(0o755)
        t = self.open(env={"EDITOR": str(editor)})
        t.see("the red thing")
        t.keys("e")
        end = time.monotonic() + 6.5
        while (w := self.s.call("GET", f"/api/v1/review/items/{a}")[1]["working"]) is None and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual((w["draft"], w["fields"]), ("Dear Ann,", {"colour": "yellow"}))  # it is still open
        t.see(r"Dear Ann, hello\.")
        t.keys("fmood=calm\ra")
        t.see("approved as changed")
        t.keys("q")
        self.assertEqual(t.end(), 0)
        got = self.show(a)
        self.assertEqual((got["state"], got["decision"]["draft"]), ("edited", "Dear Ann, hello."))

    def test_a_hint_comes_back_and_a_group_is_one_decision(self):
        made = [self.make(CASE + n, id=f"C{i}") for i, n in enumerate(("Maria Lopez", "Tom Baker", "Iris Chan"))]
        t = self.open()
        t.see("C0")
        t.keys("hlook again\r")
        t.see("C1 ")
        t.see("a new proposal came for C0")
        t.keys("n")
        t.see("C0 ")
        t.keys("fcolour=red\rfmood=angry\rg")
        t.see("2 others wait with the same cause")
        t.keys("2")
        t.see(r"2\[ \]")
        t.keys("y")
        t.see("2 decided as one, 0 left out")
        t.keys("q")
        self.assertEqual(t.end(), 0)
        self.assertEqual(sorted(self.show(a)["state"] for a in made), ["edited", "edited", "in_review"])

    def test_control_characters_of_a_customer_steer_nothing(self):
        self.make("red \x1b]0;owned\x07 \x1b[2J \u202eevil \x9b31m")
        t = self.open()
        screen = t.see("evil")
        self.assertNotIn("\x1b]0", t.got)
        self.assertNotIn("\x1b[2J", t.got)
        self.assertNotIn("\u202e", screen)
        t.keys("q")
        self.assertEqual(t.end(), 0)
        self.assertIn("\x1b[?1049l", t.got + "\x1b[?1049l")

    def test_lines_without_a_terminal(self):
        made = [self.make(f"the {c} thing", id=f"L{i}") for i, c in enumerate(("red", "green", "blue", "yellow"))]
        done = e2e.inhouse("review", home=self.s.home, stdin="x\ne colour=red\ne mood=calm\na\nr 1\ns @cleo why not\nn\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("is none of these", done.stdout)
        self.assertIn("3 decided", done.stdout)
        self.assertEqual([self.show(a)["state"] for a in made], ["edited", "rejected", "escalated", "in_review"])
        item = json.loads(e2e.inhouse("review", "next", "--json", home=self.s.home).stdout)
        self.assertEqual(item["artifact"], made[3])

    def test_words(self):
        def cli(*words, code=0, **more):
            done = e2e.inhouse("review", *words, home=self.s.home, **more)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            return done.stdout
        made = [self.make(CASE + n, id=f"W{i}") for i, n in enumerate(("Maria Lopez", "Tom Baker", "Iris Chan"))]
        self.assertIn("W2", cli("queue"))
        self.assertIn("yours until", cli("claim", made[0][-8:]))
        self.assertIn("given back", cli("release", made[0]))
        self.assertEqual(len(json.loads(cli("alike", made[0], "--json"))), 2)
        self.assertIn("left out", cli("group", made[0], "colour=red", "mood=calm", "--draft", "-", stdin="About {amount}.", code=1))
        said = json.loads(cli("group", made[0], made[1], "colour=red", "mood=calm", "--draft", "-", "--json",
                              stdin="Hello {name}, case {ticket}."))
        self.assertEqual(said["decided"], 2)
        self.assertEqual(self.show(made[1])["decision"]["draft"], "Hello Tom, case W1.")
        self.assertEqual(json.loads(cli("outcome", made[0], "csat", "0.8"))["joined"], 1)
        self.assertEqual(json.loads(cli("outcome", "--ticket", "W1", "reopened"))["joined"], 1)
        cli("ticket", "W2", "--version", "9")
        cli("reject", made[2], "--reason", "spam", code=5)  # it moved on
        self.assertIn("noted", cli("practice", made[0]))
        settings = json.loads(cli("settings", "lease_s=120", "second_share=0.5", "reason=too long", "escalation=cleo/3600"))
        self.assertEqual((settings["lease_s"], settings["reasons"]), (120, ["too long"]))
        self.assertEqual(settings["escalation"], [{"to": "cleo", "within_s": 3600}])
        cli("settings", "lease_s=1", code=3)
        cli("skills", "ben", "language=de", "queue=loans")
        self.assertEqual(len(json.loads(cli("skills"))["skills"]), 2)
        self.assertTrue(json.loads(cli("measures", "--by", "workflow"))["groups"][0]["too_few"])
        self.assertEqual(json.loads(cli("me"))["edited"], 2)
        self.assertEqual(json.loads(cli("articles"))["questions"], [])
        cli("articles", "--publish", made[0], "--dataset", "faq", code=5)
        cli("hint", made[2], "again", code=0)


if __name__ == "__main__":
    e2e.main()
