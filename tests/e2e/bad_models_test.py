#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Model files that are not what they should be: refused by name when they are added, and one that only the engine can
refuse makes its role broken, with the reason, while everything else is served."""
import json
import os
import random
import shutil
import tempfile
import unittest
from pathlib import Path

import e2e


def need_model(test):
    return unittest.skipUnless(e2e.LIGHT.is_file(), f"needs {e2e.LIGHT.name}: make setup")(test)


class BadFiles(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ih-"))
        self.home = self.folder / "h"

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self):
        """Whatever lies where models are kept."""
        return sorted(p.name for p in self.home.rglob("models/*") if p.name != ".lock")

    def refused(self, path, *words):
        done = e2e.inhouse("models", "add", path, home=self.home)
        said = done.stdout + done.stderr
        self.assertNotEqual(done.returncode, 0, said)
        self.assertGreaterEqual(done.returncode, 1, "it died of a signal")
        self.assertIn(Path(path).name, said, "the file must be named")
        for word in words:
            self.assertIn(word, said)
        self.assertLess(len(said.splitlines()), 8, "one clear error: " + said)
        self.assertEqual(self.left(), [], "something half-written stayed")
        return said

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_files_that_are_no_models(self):
        rng = random.Random(3)
        self.refused(self.folder / "none.gguf")
        self.refused(self.folder)
        self.refused(self.file("empty.gguf", b""))
        self.refused(self.file("37bytes.gguf", b"GGUF" + (3).to_bytes(4, "little") + bytes(29)))
        self.refused(self.file("text.gguf", b"This is a page that says 404.\n" * 100))
        self.refused(self.file("zip.gguf", b"PK\x03\x04" + rng.randbytes(5000)))
        self.refused(self.file("noise.gguf", rng.randbytes(1 << 20)))
        self.refused(self.file("noise2.gguf", b"GGUF\x03\0\0\0" + rng.randbytes(1 << 20)))
        self.refused(self.file("pointer.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"))
        self.refused("/dev/null")
        os.mkfifo(self.folder / "fifo.gguf")
        self.refused(self.folder / "fifo.gguf")

    @need_model
    def test_a_real_model_hurt(self):
        data = e2e.LIGHT.read_bytes()
        self.refused(self.file("magic.gguf", b"GGML" + data[4:1 << 20]))
        self.refused(self.file("version.gguf", data[:4] + (99).to_bytes(4, "little") + data[8:1 << 20]))
        for size in (38, 1000, 1 << 20, len(data) // 2, len(data) - 1):
            with self.subTest(size):
                self.refused(self.file("cut.gguf", data[:size]))
        said = self.refused(self.file("cut.gguf", data[:len(data) - 5000]))
        self.assertRegex(said, r"\d", "it says how much is missing")

    @need_model
    def test_bits_flipped_in_a_header(self):
        """Any flip is refused in words or changes nothing that matters: never a crash, never something left behind."""
        path = self.file("flipped.gguf", e2e.LIGHT.read_bytes())
        rng = random.Random(5)
        refused = 0
        with open(path, "r+b") as f:
            for _ in range(24):
                at = rng.randrange(400) if rng.random() < 0.8 else rng.randrange(1 << 20)
                f.seek(at)
                was = f.read(1)
                f.seek(at)
                f.write(bytes([was[0] ^ (1 << rng.randrange(8))]))
                f.flush()
                done = e2e.inhouse("models", "add", "--link", "--name", "flipped", path, home=self.home)
                said = done.stdout + done.stderr
                self.assertIn(done.returncode, range(10), f"byte {at}: {said}")
                if done.returncode:
                    refused += 1
                    self.assertIn("flipped.gguf", said)
                    self.assertEqual(self.left(), [])
                else:
                    shutil.rmtree(self.home / "models")
                    path.chmod(0o644)
                f.seek(at)
                f.write(was)
                f.flush()
        self.assertGreater(refused, 3)

    @need_model
    def test_a_wrong_hash(self):
        done = e2e.inhouse("models", "add", e2e.LIGHT, "--sha256", "0" * 64, home=self.home)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(e2e.LIGHT.name, done.stdout + done.stderr)
        self.assertEqual(self.left(), [])


class BadServed(unittest.TestCase):
    def no_model(self, s, model="light"):
        status, answer = s.chat("hello", model=model)
        self.assertEqual((status, answer["error"]["code"]), (503, "model_unavailable"), answer)
        self.assertTrue(answer["error"]["hint"])
        return answer["error"]

    def test_no_model_at_all(self):
        with e2e.House(options=["--engine", "llama"], ready=False) as s:
            for model in ("light", "heavy", "auto"):
                self.assertIn("models add", self.no_model(s, model)["hint"])
            status, answer = s.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"})
            self.assertEqual((status, answer["error"]["code"]), (503, "model_unavailable"), answer)
            status, answer = s.chat("hello", model="gpt-5")
            self.assertEqual((status, answer["error"]["code"]), (404, "not_found"), answer)
            self.assertEqual(s.call("GET", "/health/ready")[0], 503)
            self.assertEqual({r["state"] for r in s.status()["roles"].values()}, {"absent"})
            status, task = s.task("the red one")
            self.assertEqual((status, task["state"]), (200, "waiting_person"), "a person is a rung too")
            self.assertEqual(s.call("GET", "/v1/models")[1]["data"], [])

    @need_model
    def test_what_only_the_engine_can_refuse(self):
        data = e2e.LIGHT.read_bytes()
        name = b"blk.0.attn_q.weight"
        self.assertIn(name, data)
        hurt = data.replace(name, b"blk.0.attn_Q.weight", 1)

        def prepare(s):
            path = s.folder / "hurt.gguf"
            path.write_bytes(hurt)
            done = e2e.inhouse("models", "add", path, "--role", "light", "--link", home=s.home)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with e2e.House(options=["--engine", "llama"], ready=False, prepare=prepare) as s:
            got = s.wait(lambda g: g["roles"]["light"]["state"] == "broken", 60, "the refusal")
            reason = got["roles"]["light"]["reason"]
            self.assertIn("hurt", reason)
            self.assertIn("attn_q", reason, "the engine's own words")
            self.assertIn("hurt", self.no_model(s)["message"])
            self.assertEqual(s.task("the red one")[1]["state"], "waiting_person")
            self.assertEqual(s.call("GET", "/api/v1/workflows")[0], 200)
            # another one of the same role, added later: it is served without a restart
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", "--link", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            s.call("POST", "/api/v1/models/rescan", "")
            s.wait(lambda g: g["roles"]["light"]["state"] == "ready", 60, "the good model")
            self.assertEqual(s.chat("Say hello.", max_tokens=4)[0], 200)

    @need_model
    def test_manifests_that_are_broken_do_not_stop_the_good_one(self):
        bad = {"0" * 64: b"{", "1" * 64: b"[]", "2" * 64: b"", "3" * 64: b"\xff\xfe", "nonsense": b"{}",
               "4" * 64: b'{"name":"../../x","role":"light"}'}

        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", "--link", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            for name, data in bad.items():
                (s.home / "models" / f"{name}.json").write_bytes(data)
            (s.home / "models" / ("5" * 64)).write_bytes(b"a file without a manifest")
        with e2e.House(options=["--engine", "llama"], prepare=prepare) as s:
            self.assertEqual(s.status()["roles"]["light"]["state"], "ready")
            self.assertIn("models.manifest_broken", (s.folder / "log").read_text())
            listed = e2e.inhouse("models", "list", home=s.home)
            self.assertIn("smollm2", listed.stdout + listed.stderr)

    @need_model
    def test_a_stored_model_that_changed_is_not_served(self):
        def prepare(s):
            done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            stored = next(p for p in (s.home / "models").iterdir() if len(p.name) == 64)
            stored.chmod(0o644)
            with open(stored, "r+b") as f:
                f.seek(50_000_000)
                was = f.read(1)
                f.seek(50_000_000)
                f.write(bytes([was[0] ^ 1]))
            manifest = json.loads((s.home / "models" / (stored.name + ".json")).read_text())
            self.name = manifest["name"]
        with e2e.House(options=["--engine", "llama"], ready=False, prepare=prepare) as s:
            s.wait(lambda g: not g["loading"], 30, "the reading of the inventory")
            self.no_model(s)
            self.assertIn("models.load_failed", s.said())
            self.assertIn(self.name, s.said())
            answer = s.call("POST", "/api/v1/models/rescan", "")
            self.assertIn(self.name, json.dumps(answer))


if __name__ == "__main__":
    e2e.main()
