#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adapters over a real small model: output changes with one, does not without it, and both interleave rightly under load."""
import itertools
import random
import sys
import unittest

import e2e
import lora

CONFIG = "engine: {threads: 1}\nmodels: {n_ctx_light: 2048}\n"
ONE_BY_ONE = "engine: {threads: 1}\nmodels: {n_ctx_light: 2048, n_seq: 1}\n"
TEXTS = ["Say hello.", "Name a colour.", "What is water?", "Count to three."]
STAMPS = [38, 39, 44]  # seeds whose stamp says one token whatever it is asked, by more than a nat and a half
MIXED = ["small", "loud", "small:odd", *(f"stamp{n}" for n in STAMPS)]
NEAR = 1.5  # nats. Sums in another order move a logit by up to about one, also for the model alone


def add(s, *words):
    done = e2e.inhouse("models", "add", *words, home=s.home)
    assert done.returncode == 0, done.stdout + done.stderr


def prepare(s):
    add(s, e2e.LIGHT, "--role", "light", "--name", "small", "--link")
    add(s, lora.write(s.folder / "loud.gguf", 1, scale=1.5), "--adapter-of", "small")
    add(s, lora.write(s.folder / "odd.gguf", 2, scale=1.5), "--adapter-of", "small")
    for n in STAMPS:
        add(s, lora.stamp(s.folder / f"stamp{n}.gguf", n), "--adapter-of", "small")


def house(config, prepared):
    s = e2e.House(options=["--engine", "llama"], config=config, prepare=prepared).__enter__()
    s.wait(lambda g: g["roles"]["light"]["state"] == "ready", 60, "the model")
    return s


def say(s, text, model, tokens=20):
    """The answer's tokens, each with the log-probabilities of the five likeliest."""
    status, answer = s.chat(text, model=model, max_tokens=tokens, temperature=0, logprobs=True, top_logprobs=5)
    assert status == 200, answer
    said = answer["choices"][0]["logprobs"]  # null of an answer that ends before its first token
    rows = (said and said["content"]) or []
    return [(bytes(r["bytes"]), {bytes(t["bytes"]): t["logprob"] for t in reversed(r["top_logprobs"])}) for r in rows]


def tells(got, mine):
    """None where the answers are one but for near ties, else where they part and by how much."""
    if bool(got) != bool(mine):
        return (0, "one says nothing")
    for i, ((token, _), (own, likely)) in enumerate(zip(got, mine)):
        if token != own:
            behind = likely[own] - likely.get(token, float("-inf"))
            return None if behind < NEAR else (i, own, token, behind)
    return None


class Adapters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def all_of_them(s):
            prepare(s)
            add(s, lora.write(s.folder / "nothing.gguf", 3, scale=0.0), "--adapter-of", "small")
            add(s, lora.write(s.folder / "narrow.gguf", 4, width=64), "--adapter-of", "small")
            cls.orphan = e2e.inhouse("models", "add", s.folder / "loud.gguf", home=s.home)
            cls.foreign = e2e.inhouse("models", "add", lora.write(s.folder / "q.gguf", 5, arch="qwen2"), "--adapter-of", "small", home=s.home)
        cls.s = house(CONFIG, all_of_them)

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()

    def apart(self, alone):
        """What the answers alone must be for those among others to say whose they are."""
        for t in TEXTS:
            for a, b in itertools.combinations(MIXED[3:], 2):
                said = [{token for token, _ in alone[m, t]} for m in (a, b)]
                self.assertEqual((len(said[0]), len(said[1]), said[0] & said[1]), (1, 1, set()), (a, b, t))
        for a, b in itertools.combinations(MIXED, 2):
            differ = [t for t in TEXTS if tells(alone[a, t], alone[b, t]) or tells(alone[b, t], alone[a, t])]
            self.assertGreaterEqual(len(differ), 2, (a, b, alone))

    def among_others(self, s):
        """Turns end in the midst of answers: 20 tokens are several. A stamp's every token says under which it was made."""
        alone = {(m, t): say(s, t, m) for m in MIXED for t in TEXTS}
        self.apart(alone)
        asks = list(alone) * 2
        random.Random(7).shuffle(asks)
        got = e2e.at_once(lambda a: say(s, a[1], a[0]), asks, threads=8)
        for (m, t), g in zip(asks, got):
            self.assertIsInstance(g, list, (m, t, g))
            if m.startswith("stamp"):
                self.assertEqual([token for token, _ in g], [token for token, _ in alone[m, t]], (m, t))
            self.assertIsNone(tells(g, alone[m, t]), (m, t, g, alone[m, t]))

    def test_1_each_answers_as_itself_also_among_the_others(self):
        base = {t: say(self.s, t, "small") for t in TEXTS}
        for t in TEXTS:
            self.assertIsNone(tells(say(self.s, t, "nothing"), base[t]), "an empty adapter changes nothing")
        self.among_others(self.s)
        for t in TEXTS:
            self.assertIsNone(tells(say(self.s, t, "small"), base[t]), "no trace is left")

    def test_1_one_by_one_too(self):
        s = house(ONE_BY_ONE, prepare)
        try:
            self.among_others(s)
        finally:
            s.__exit__()

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
        say(self.s, "Say hello.", "small")


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
