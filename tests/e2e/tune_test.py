#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`inhouse models tune` on a real model, and what becomes of a candidate: it serves nobody until a person adopts it, the
decision is on the record, the running server changes over, and one command goes back."""
import hashlib
import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import e2e

WORKER = e2e.BUILD / "bin" / "inhouse-worker"


def tool(*arguments):
    done = subprocess.run([str(WORKER), "--tool", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def add_light(s):
    done = e2e.inhouse("models", "add", e2e.LIGHT, "--role", "light", "--name", "small", home=s.home)
    assert done.returncode == 0, done.stderr


def add_candidate(home, quant, run):
    """What `models tune` leaves behind, made here so that it does not hang on which way is fastest on this machine."""
    models = Path(home) / "models"
    made = models / "made"
    made.mkdir()
    status, lines = tool("quantize", "--in", e2e.LIGHT, "--out", made, "--type", quant)
    assert status == 0, lines
    data = (made / "model.gguf").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    (made / "model.gguf").rename(models / digest)
    (models / digest).chmod(0o444)
    made.rmdir()
    manifest = next(models.glob("*.json"))
    entry = json.loads(manifest.read_text())
    entry["candidate"] = {"sha256": digest, "bytes": len(data), "quant": quant, "made_at": "2026-01-01T00:00:00.000Z",
                          "machine": "here", "run": run, "prefill": 1.0, "decode_1": 1.0, "decode_8": 1.0, "speed": 1.2,
                          "kl": 0.005, "top_1": 0.95}
    manifest.write_text(json.dumps(entry))
    return entry["sha256"], digest


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = Path(e2e.server.tempfile.mkdtemp(prefix="ih-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_quantise_measure_compare(self):
        status, lines = tool("quantize", "--in", e2e.LIGHT, "--out", self.folder, "--type", "Q8_0")
        self.assertEqual((status, lines[-1]["event"]), (0, "done"), lines[-1])
        self.assertTrue(any(line["event"] == "progress" for line in lines))
        made = self.folder / "model.gguf"
        self.assertEqual(made.stat().st_size, lines[-1]["bytes"])
        status, lines = tool("compare", "--in", made, "--against", e2e.LIGHT, "--plan", '{"tokens":96}')
        far = lines[-1]
        self.assertEqual((status, far["tokens"]), (0, 96), far)
        self.assertTrue(0 < far["kl_mean"] < 0.02 and far["top_1"] > 0.85, far)
        # against itself there is nothing between them: the figure can be zero, and is not always
        same = tool("compare", "--in", e2e.LIGHT, "--against", e2e.LIGHT, "--plan", '{"tokens":96,"run":{"flash":"auto"}}')
        self.assertTrue(same[1][-1]["kl_mean"] < 1e-9 and same[1][-1]["top_1"] == 1, same[1][-1])
        plan = {"prefill": 64, "decode": 4, "resident": 64, "rounds": 2,
                "runs": [{"flash": "on", "n_threads": 2}, {"flash": "on", "type_k": "q8_0", "type_v": "q8_0"}]}
        status, lines = tool("measure", "--in", made, "--plan", json.dumps(plan))
        seen = [(line["round"], line["run"]) for line in lines if line["event"] == "measured"]
        self.assertEqual((status, seen), (0, [(0, 0), (0, 1), (1, 1), (1, 0)]), lines[-1])
        self.assertTrue(all(line["prefill"] > 0 and line["decode_8"] > 0 for line in lines[:-1]))

    def test_wrong_use_is_one_clear_error(self):
        hurt = self.folder / "hurt.gguf"
        hurt.write_bytes(e2e.LIGHT.read_bytes()[:5_000_000])
        (self.folder / "out").mkdir()
        (self.folder / "full").mkdir()
        (self.folder / "full/model.gguf").write_text("x")
        for words, says in ((["quantize", "--in", hurt, "--out", self.folder / "out", "--type", "Q4_0"], "hurt.gguf"),
                            (["quantize", "--in", e2e.LIGHT, "--out", self.folder / "full", "--type", "Q4_0"], "full"),
                            (["quantize", "--in", "/none", "--out", self.folder / "out", "--type", "Q4_0"], "/none"),
                            (["measure", "--in", hurt], "hurt.gguf"),
                            (["measure", "--in", e2e.LIGHT, "--plan", '{"runs":[{"n_threads":0}]}'], "n_threads"),
                            (["measure", "--in", e2e.LIGHT, "--plan", '{"runs":[{"flash":"off","type_v":"q8_0"}]}'], "type_v"),
                            (["compare", "--in", e2e.LIGHT, "--against", hurt], "hurt.gguf")):
            with self.subTest(words[0], says=says):
                status, lines = tool(*words)
                self.assertEqual((status, lines[-1]["event"]), (1, "error"))
                self.assertIn(says, lines[-1]["message"])
        self.assertEqual(tool("quantize", "--in", e2e.LIGHT, "--out", self.folder, "--type", "Q3_X")[0], 2)


class Tune(unittest.TestCase):
    def test_it_measures_and_proposes_and_leaves_nothing_else(self):
        folder = Path(e2e.server.tempfile.mkdtemp(prefix="ih-"))
        self.addCleanup(shutil.rmtree, folder)
        house = type("S", (), {"home": folder / "h"})
        add_light(house)
        self.assertIn("no model", e2e.inhouse("models", "tune", "nobody", home=house.home).stderr)
        done = e2e.inhouse("models", "tune", "small", "--quick", "--json", home=house.home, timeout=280)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        rows = told["rows"]
        self.assertEqual({r["stage"] for r in rows} - {"threads"}, {"file", "batch", "cache"})
        self.assertTrue(all(r["prefill"] > 0 and r["decode_1"] > 0 and r["decode_8"] > 0 for r in rows))
        for r in rows:  # what says something else is measured, shown, and not taken
            if "kl" not in r:
                continue  # another cache is compared only when it is the fastest
            far = r["kl"] > told["limits"]["kl"] or r["perplexity"] > told["limits"]["perplexity"]
            self.assertEqual(far, r["verdict"].startswith("other text"), r)
        self.assertTrue(any(r["quant"] == "Q4_0" and r["kl"] > 0.02 for r in rows), "Q4_0 of Q4_1 is far from it")
        manifest = json.loads(next((house.home / "models").glob("*.json")).read_text())
        self.assertNotIn("active", manifest)
        self.assertEqual(told["candidate"] is None, "candidate" not in manifest)
        if told["candidate"]:
            self.assertGreaterEqual(told["gain"], told["limits"]["gain"])
            self.assertEqual(told["candidate"]["sha256"], manifest["candidate"]["sha256"])
        left = {p.name for p in (house.home / "models").iterdir() if not p.name.startswith((".seen", ".lock"))}
        files = {manifest["sha256"], manifest["sha256"] + ".json"} | ({told["candidate"]["sha256"]} if told["candidate"] else set())
        self.assertEqual(left, files)


class Adopt(unittest.TestCase):
    def test_a_candidate_serves_once_it_is_adopted_and_on_the_record(self):
        shas = []

        def prepare(s):
            add_light(s)
            shas.extend(add_candidate(s.home, "Q8_0", {"flash": "off", "n_threads": 1, "n_batch": 128, "n_ubatch": 64}))
        config = "engine: {threads: 1}\nmodels: {n_ctx_light: 1024}\n"
        with e2e.House(options=["--engine", "llama"], config=config, prepare=prepare) as s:
            original, candidate = shas

            def serves(sha):
                s.wait(lambda g: g["roles"]["light"]["state"] == "ready" and g["roles"]["light"]["sha256"] == sha, 60, sha)
                self.assertEqual(s.chat("Say hello.", max_tokens=4)[0], 200)

            def decisions():
                return [r for r in s.records() if (r["kind"], r["task"]) == ("release_changed", "small")]
            serves(original)
            self.assertEqual(decisions(), [])
            wrong = s.call("POST", "/api/v1/models/small/adopt", {"sha256": original})
            self.assertEqual(wrong[0], 409, wrong)
            done = e2e.inhouse("models", "adopt", "small", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            serves(candidate)
            self.assertEqual([(r["verdict"], r["releases"]) for r in decisions()], [("adopted", [candidate, original])])
            listed = s.call("GET", "/api/v1/models")[1]["models"][0]
            self.assertEqual((listed["sha256"], listed["serving_sha256"]), (original, candidate))
            s.kill()
            s.start()
            serves(candidate)  # it lasts
            done = e2e.inhouse("models", "adopt", "small", "--back", home=s.home)
            self.assertEqual(done.returncode, 0, done.stderr)
            serves(original)
            self.assertEqual(len(decisions()), 2)
            self.assertEqual(s.call("POST", "/api/v1/models/small/adopt", {"back": True})[0], 409)
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])


if __name__ == "__main__":
    if not e2e.LIGHT.is_file():
        print(f"skipped: needs {e2e.LIGHT.name}: make setup")
        sys.exit(77)
    e2e.main()
