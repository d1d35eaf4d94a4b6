#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ollama, as people have it: its own model store, made from our GGUF file, asked through us as an on-prem upstream."""
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import e2e  # noqa: E402
from llama_server_test import free_port, talk  # noqa: E402

SERVER = e2e.FETCHED / "ollama" / "ollama"
MODEL = e2e.LIGHT


class Ollama:
    """A server with a home of its own, gone with its runners at the end."""

    def __init__(self, home):
        self.port = free_port()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "OLLAMA_MODELS": str(home / "models"),
                    "OLLAMA_HOST": f"127.0.0.1:{self.port}", "OLLAMA_NOPRUNE": "1", "OLLAMA_NUM_PARALLEL": "1"}
        self.log = open(home / "log", "wb")
        self.process = subprocess.Popen([str(SERVER), "serve"], env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.ready()
            (home / "Modelfile").write_text(f"FROM {MODEL.resolve()}\nPARAMETER num_thread 1\nPARAMETER num_ctx 1024\n")
            subprocess.run([str(SERVER), "create", "smol", "-f", str(home / "Modelfile")], env=self.env, check=True, timeout=120,
                           stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        except BaseException:
            self.stop()
            raise

    def ready(self):
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/version", timeout=2) as r:
                    if r.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("Ollama did not start")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)  # it ends its runners first
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class OllamaUpstream(unittest.TestCase):
    def test_it_answers_through_us(self):
        with tempfile.TemporaryDirectory(prefix="inhouse-ollama-") as home:
            server = Ollama(Path(home))
            base = f"http://127.0.0.1:{server.port}/v1"
            config = (f"upstreams:\n  - {{name: desk, base: '{base}', on_prem: true, allow: [127.0.0.1]}}\n"
                      "model_list:\n  - {model_name: smol, litellm_params: {model: ollama/smol, upstream: desk}}\n")
            try:
                with e2e.House(config=config) as s:
                    talk(self, s)
                    calls = s.call("GET", "/api/v1/upstreams/calls?limit=5")[1]["calls"]
                    self.assertEqual([c["attempts"][-1]["outcome"] for c in calls], ["answered"] * 3)
                    server.stop()
                    status, answer = s.chat("Say hello.", model="smol", max_tokens=16)
                    self.assertEqual(status, 502, answer)
            finally:
                server.stop()


if __name__ == "__main__":
    for need in (SERVER, MODEL):
        if not need.exists():
            print(f"skipped: {need} is not here (make setup; tools/ollama)")
            sys.exit(77)
    unittest.main(verbosity=2)
