#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama-server, a real OpenAI-compatible server, as an on-prem upstream: whole, streamed, under a schema, redacted."""
import json
import os
import socket
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import e2e  # noqa: E402

SERVER = e2e.FETCHED / "peers" / "llama-server"
MODEL = e2e.LIGHT


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(port):
    process = subprocess.Popen([str(SERVER), "-m", str(MODEL), "--port", str(port), "-c", "2048", "-np", "1", "-t", "1", "--no-webui"],
                               env={**os.environ, "LD_LIBRARY_PATH": str(SERVER.parent)}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as r:
                if r.status == 200:
                    return process
        except OSError:
            time.sleep(0.2)
    process.kill()
    process.wait()
    raise RuntimeError("llama-server did not start")


def talk(test, s):
    """Whole, streamed, and under a schema, from the upstream's model `smol`."""
    status, answer = s.chat("Say hello.", model="smol", max_tokens=16, temperature=0)
    test.assertEqual(status, 200, answer)
    test.assertTrue(answer["choices"][0]["message"]["content"].strip())
    test.assertGreater(answer["usage"]["prompt_tokens"], 4)
    stream = s.stream("Tell me all about the moon.", model="smol", max_tokens=128, temperature=0)  # more than a gate holds back
    got = stream.read_all().decode()
    stream.close()
    test.assertIn("[DONE]", got)
    test.assertGreater(got.count("chat.completion.chunk"), 3)
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"],
              "additionalProperties": False}
    status, answer = s.chat("A colour, please.", model="smol", max_tokens=32, response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    test.assertEqual(status, 200, answer)
    test.assertIn(json.loads(answer["choices"][0]["message"]["content"])["colour"], ("red", "green"))


class LlamaServer(unittest.TestCase):
    def test_it_answers_through_us(self):
        port = free_port()
        process = start(port)
        config = (f"upstreams:\n  - {{name: box, base: 'http://127.0.0.1:{port}/v1', on_prem: true, allow: [127.0.0.1]}}\n"
                  "model_list:\n  - {model_name: smol, litellm_params: {model: smol, upstream: box}}\n")
        try:
            with e2e.House(config=config) as s:
                talk(self, s)
                process.kill()
                process.wait()
                status, answer = s.chat("Say hello.", model="smol", max_tokens=16)
                self.assertEqual(status, 502, answer)
                calls = s.call("GET", "/api/v1/upstreams/calls?limit=5")[1]["calls"]
                self.assertEqual(calls[0]["attempts"][-1]["outcome"], "not_connected")
                self.assertEqual([c["cost"] for c in calls], ["0"] * 4)  # on_prem without a price
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


if __name__ == "__main__":
    for need in (SERVER, MODEL):
        if not need.is_file():
            print(f"skipped: {need} is not here (make setup bench-peers)")
            sys.exit(77)
    e2e.main()
