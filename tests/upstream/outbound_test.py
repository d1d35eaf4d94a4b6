#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A restricted task makes no outbound connection, whatever is configured wrong: seen from outside the process.

Two witnesses. The other servers count the connections they accept; and strace, attached to the server and all its
threads, writes down every connect(2) and every datagram, so that a look-up of a name would show too. Each configuration
is also asked something that may leave, and both witnesses must see that: a witness that sees nothing proves nothing.
"""
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))
import e2e  # noqa: E402
import mock  # noqa: E402

PRICE = "model_info: {price: {input: '1', output: '2'}}"
EMBED = "model_info: {mode: embedding, price: {input: '1'}}"
FORM = """name: secrets
title: Sort what must not leave
label: restricted
fields:
  - name: colour
    type: choice
    labels: [red, green, blue, yellow]
"""
# What an operator may get wrong: each lets in more than it should.
WRONG = {
    "declared on_prem, though it leads outside": "on_prem: true, allow: [127.0.0.0/8]",
    "allowed by its address": "allow: [127.0.0.0/8]",
    "everything private allowed, no retries": "on_prem: true, allow: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 127.0.0.0/8], retries: 0",
    "an impatient circuit": "on_prem: true, allow: [127.0.0.1], breaker_failures: 1, breaker_open_ms: 100",
}
OUT = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg)\(.*AF_INET")


class Witness:
    """strace on a process and its threads; .calls() are the internet ones so far."""

    def __init__(self, pid, folder):
        self.file = Path(folder) / "trace"
        self.process = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(self.file),
                                         "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(1)
        if self.process.poll() is not None:
            raise unittest.SkipTest("strace cannot attach here: " + self.process.stderr.read().decode(errors="replace").strip()[:200])

    def calls(self):
        time.sleep(0.3)
        return [x for x in self.file.read_text(errors="replace").splitlines() if OUT.search(x)] if self.file.exists() else []

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()


def config(port, how):
    return (f"models: {{hosted: big}}\nupstreams:\n  - {{name: a, base: 'http://127.0.0.1:{port}/v1', {how}}}\n"
            f"  - {{name: b, base: 'http://localhost:{port}/v1', on_prem: true, allow: [127.0.0.0/8, '::1']}}\n"
            f"model_list:\n  - {{model_name: big, litellm_params: {{model: ok, upstream: a}}, {PRICE}}}\n"
            f"  - {{model_name: big, litellm_params: {{model: ok, upstream: b}}, {PRICE}}}\n"
            f"  - {{model_name: named, litellm_params: {{model: ok, upstream: b}}, {PRICE}}}\n"
            f"  - {{model_name: vectors, litellm_params: {{model: ok, upstream: a}}, {EMBED}}}\n")


def say(s, label, **more):
    body = {"messages": [{"role": "user", "content": "a secret"}], "max_tokens": 20, **more}
    return s.call("POST", "/v1/chat/completions", body, headers={"x-inhouse-label": label})


class Restricted(unittest.TestCase):
    def ask_restricted(self, s):
        """Every way in that can name another server, or could climb to one."""
        for model in ("big", "hosted", "named"):
            for stream in (False, True):
                status, answer = say(s, "restricted", model=model, stream=stream)
                self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"), answer)
        status, answer = s.call("POST", "/v1/embeddings", {"model": "vectors", "input": ["a secret"]},
                                headers={"x-inhouse-label": "restricted"})
        self.assertEqual(status, 403, answer)
        status, answer = s.call("POST", "/v1/rerank", {"model": "vectors", "query": "a secret", "documents": ["b", "c"]},
                                headers={"x-inhouse-label": "restricted"})
        self.assertEqual(status, 403, answer)
        self.assertEqual(say(s, "restricted", model="light")[0], 200)  # here it is answered
        status, answer = s.call("PUT", "/api/v1/workflows/secrets", FORM)
        self.assertEqual(status, 200, answer)
        status, answer = s.call("POST", "/api/v1/tasks", {"workflow": "secrets", "input": {"text": "a red secret"}})
        self.assertEqual(status, 200, answer)
        s.call("POST", "/v1/systemone", {"model": "big", "state": "x", "questions": {"q": {"type": "choice", "options": ["a", "b"]}}},
               headers={"x-inhouse-label": "restricted"})

    def test_no_connection_whatever_is_wrong(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not here")
        for name, how in WRONG.items():
            with self.subTest(name), tempfile.TemporaryDirectory(prefix="ih-out-") as folder:
                server = mock.start()
                try:
                    with e2e.House(config=config(server.server_address[1], how)) as s:
                        witness = Witness(s.process.pid, folder)
                        before = mock.CONNECTIONS[0]
                        try:
                            self.ask_restricted(s)
                            self.assertEqual(witness.calls(), [])
                            self.assertEqual(mock.CONNECTIONS[0], before)
                            self.assertEqual(s.call("GET", "/api/v1/upstreams/calls")[1]["calls"], [])
                            # the witnesses see what may leave
                            self.assertEqual(say(s, "internal", model="named")[0], 200)
                            self.assertGreater(len(witness.calls()), 0)
                            self.assertGreater(mock.CONNECTIONS[0], before)
                        finally:
                            witness.stop()
                finally:
                    server.shutdown()
                    server.server_close()


class Confidential(unittest.TestCase):
    def test_only_in_the_house_without_a_rule(self):
        server = mock.start()
        try:
            with e2e.House(config=config(server.server_address[1], "allow: [127.0.0.0/8]")) as s:
                before = mock.CONNECTIONS[0]
                for model in ("big", "hosted"):  # one member of the pool leads outside
                    status, answer = say(s, "confidential", model=model)
                    self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"), answer)
                self.assertEqual(mock.CONNECTIONS[0], before)
                self.assertEqual(say(s, "confidential", model="named")[0], 200)
        finally:
            server.shutdown()
            server.server_close()


if __name__ == "__main__":
    e2e.main()
