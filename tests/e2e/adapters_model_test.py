#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adapters over a real small model: output changes with one, does not without it, and both interleave rightly under load."""
import os
import random
import sys
import unittest

import e2e
import lora

CONFIG = "engine: {threads: 1}\nmodels: {n_ctx_light: 2048}\n"
TEXTS = ["Say hello.", "Name a colour.", "What is water?", "Count to three."]


def alike(a, b):
    """Characters that two texts have in common from their start."""
    return len(os.path.commonprefix([a, b]))


class Adapters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def prepare(s):
            def add(*words, code=0):
                done = e2e.inhouse("models", "add", *words, home=s.home)
                assert done.returncode == code, done.stdout + done.stderr
                return done
            add(e2e.LIGHT, "--role", "light", "--name", "small", "--link")
            add(lora.write(s.folder / "loud.gguf", 1), "--adapter-of", "small")
            add(lora.write(s.folder / "odd.gguf", 2), "--adapter-of", "small")
            add(lora.write(s.folder / "nothing.gguf", 3, scale=0.0), "--adapter-of", "small")
            add(lora.write(s.folder / "narrow.gguf", 4, width=64), "--adapter-of", "small")
            cls.orphan = e2e.inhouse("models", "add", s.folder / "loud.gguf", home=s.home)
            cls.foreign = e2e.inhouse("models", "add", lora.write(s.folder / "q.gguf", 5, arch="qwen2"), "--adapter-of", "small", home=s.home)
        cls.s = e2e.House(options=["--engine", "llama"], config=CONFIG, prepare=prepare).__enter__()
        cls.s.wait(lambda g: g["roles"]["light"]["state"] == "ready", 60, "the model")

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()

    def say(self, text, model, **more):
        status, answer = self.s.chat(text, model=model, max_tokens=16, temperature=0, **more)
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["message"]["content"]

    def test_1_each_answers_as_itself_also_among_the_others(self):
        names = ["small", "loud", "small:odd", "nothing"]
        alone = {(m, t): self.say(t, m) for m in names for t in TEXTS}
        for t in TEXTS:
            self.assertEqual(alone["small", t], alone["nothing", t], "an empty adapter changes nothing")
        for m, other in (("loud", "small"), ("small:odd", "small"), ("loud", "small:odd")):
            differ = [t for t in TEXTS if alone[m, t] != alone[other, t]]
            self.assertGreaterEqual(len(differ), len(TEXTS) - 1, (m, other, alone))
        self.assertEqual({t: self.say(t, "small") for t in TEXTS}, {t: alone["small", t] for t in TEXTS}, "no trace is left")
        asks = [(m, t) for m in names for t in TEXTS] * 3
        random.Random(7).shuffle(asks)
        got = e2e.at_once(lambda a: self.say(a[1], a[0]), asks, threads=8)
        # sums in another order tip near ties, so the ends of answers differ; a mixed-up adapter would begin as another
        for m in names:
            mine = [(g, a) for a, g in zip(asks, got) if a[0] == m]
            others = [n for n in names if n != m and {n, m} != {"small", "nothing"}]
            closer = [alike(g, alone[a]) >= max(alike(g, alone[n, a[1]]) for n in others) for g, a in mine]
            self.assertGreaterEqual(sum(closer), len(closer) - 1, (m, mine))
            self.assertGreaterEqual(sum(g == alone[a] for g, a in mine), len(mine) // 3, (m, mine))

    def test_2_it_is_named_and_recorded(self):
        status, answer = self.s.chat("Say hello.", model="small:loud", max_tokens=4)
        self.assertEqual((status, answer["model"]), (200, "loud"), answer)
        listed = {m["name"]: m for m in self.s.call("GET", "/api/v1/models")[1]["models"]}
        self.assertEqual((listed["loud"]["kind"], listed["loud"]["state"]), ("adapter", "ready"))
        self.assertEqual(listed["loud"]["base"], listed["small"]["sha256"])
        answered = [r.get("leaf", r) for r in self.s.records()]
        releases = [r["releases"] for r in answered if r["kind"] == "answered"][-1]
        self.assertIn(listed["loud"]["sha256"], releases)
        self.assertIn(listed["small"]["sha256"], releases)

    def test_3_what_does_not_fit_is_refused_and_hurts_nobody(self):
        self.assertNotEqual(self.orphan.returncode, 0)
        self.assertIn("--adapter-of", self.orphan.stderr)
        self.assertNotEqual(self.foreign.returncode, 0)
        self.assertIn("qwen2", self.foreign.stderr)
        for _ in range(2):
            status, answer = self.s.chat("Say hello.", model="narrow", max_tokens=4)
            self.assertEqual((status, answer["error"]["code"]), (503, "model_unavailable"), answer)
        self.assertEqual(self.s.chat("Say hello.", model="other:loud")[0], 404)
        self.assertEqual(self.s.status()["roles"]["light"]["deaths"], 0)
        self.say("Say hello.", "small")


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
