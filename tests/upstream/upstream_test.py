#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model of another server, named in a request, end to end: answers, trouble, money, certificates, labels.

The other server is mock.py, in this process, on loopback. What happened is read from the ledger and the record, as an
operator would. The deadline is asserted with slack, on the ledger's own times; the overshoot that was seen is printed.
"""
import json
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))
import e2e  # noqa: E402
import mock  # noqa: E402

SLACK_MS = 3000  # a busy machine and sanitizers; the mock keeps quiet for 20 s
COST = 600 * 1000 + 400 * 100 + 200 * 2000  # nano-units of the mock's usage
PRICE = "model_info: {input_cost_per_token: 0.000001, cache_read_input_token_cost: 0.0000001, output_cost_per_token: 0.000002}"
MODELS = ["ok", "slow", "garbage", "half", "once429", "limited", "redirect", "huge", "error500", "echo", "reset", "json", "long"]


def pools(upstream, names, prefix="m-"):
    return "".join(f"  - {{model_name: {prefix}{n}, litellm_params: {{model: {n}, upstream: {upstream}}}, {PRICE}}}\n"
                   for n in names)


def config(port, more="", models=""):
    return (f"models: {{hosted: m-ok}}\nupstreams:\n"
            f"  - {{name: main, base: 'http://127.0.0.1:{port}/v1', allow: [127.0.0.0/8], breaker_failures: 100}}\n"
            f"  - {{name: down, base: 'http://127.0.0.1:1/v1', allow: [127.0.0.0/8], breaker_failures: 100}}\n"
            f"  - {{name: wide, base: 'http://127.0.0.1:{port}/v1', breaker_failures: 100}}\n"
            f"  - {{name: locked, base: 'http://127.0.0.1:{port}/v1', allow: [127.0.0.0/8], breaker_open_ms: 3000}}\n"
            f"{more}model_list:\n{pools('main', MODELS)}{pools('down', ['ok'], 'down-')}{pools('wide', ['ok'], 'wide-')}{pools('locked', ['keybad'], 'locked-')}"
            "  - {model_name: free, litellm_params: {model: ok, upstream: main}}\n"
            "  - {model_name: vectors, litellm_params: {model: e, upstream: main}, model_info: {mode: embedding, "
            f"input_cost_per_token: 0.0000001}}}}\n{models}")


def chat(s, model, text="hello", label=None, deadline=None, **more):
    headers = {}
    if label:
        headers["x-inhouse-label"] = label
    if deadline:
        headers["x-inhouse-deadline-ms"] = str(deadline)
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 50, **more}
    return s.call("POST", "/v1/chat/completions", body, headers=headers)


def streamed(events):
    """The text of a stream's chunks, however they were cut."""
    chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


def nano(amount):
    return int(Decimal(amount) * 10**9)


def calls(s, limit=1):
    return s.call("GET", f"/api/v1/upstreams/calls?limit={limit}")[1]["calls"]


def spend(s, name="main"):
    """Amounts of this month in nano-units."""
    got = {u["name"]: u for u in s.call("GET", "/api/v1/upstreams")[1]["upstreams"]}[name]["spend"]
    return {k: nano(got[k]) for k in ("spent", "reserved", "uncertain")}


class Named(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ih-up-"))
        cls.log = cls.folder / "requests"
        cls.mock = mock.start(log=cls.log)
        cls.s = e2e.House(config=config(cls.mock.server_address[1]))
        cls.s.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.s.__exit__()
        cls.mock.shutdown()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def sent(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def test_whole_and_streamed(self):
        before = spend(self.s)["spent"]
        for model in ("m-ok", "hosted"):
            status, answer = chat(self.s, model)
            self.assertEqual(status, 200, answer)
            self.assertEqual(answer["choices"][0]["message"]["content"], "Hello from the mock")
            self.assertEqual(answer["usage"]["prompt_tokens"], 1000)
        leaf = self.s.records(self.s.headers["x-inhouse-task"])[-1]
        self.assertEqual((leaf["rung"], leaf["verdict"], leaf["cost"]), ("hosted", "answered", COST))
        self.assertTrue(any("main/ok-1" in r for r in leaf["releases"]), leaf)
        with_stream = self.s.stream("hi", model="m-long")
        got = with_stream.read_all().decode()
        with_stream.close()
        self.assertIn("[DONE]", got)
        self.assertGreater(got.count("chat.completion.chunk"), 4)
        self.assertEqual(streamed(got), mock.LONG)
        self.assertEqual(spend(self.s)["spent"] - before, 3 * COST)
        self.assertEqual(spend(self.s)["reserved"], 0)
        models = [m["id"] for m in self.s.call("GET", "/v1/models")[1]["data"]]
        self.assertTrue({"m-ok", "hosted", "vectors"} <= set(models), models)

    def test_schema_and_embeddings(self):
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
            "type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"], "additionalProperties": False}}}
        status, answer = chat(self.s, "m-json", "a word", response_format=schema)
        self.assertEqual(status, 200, answer)
        self.assertEqual(json.loads(answer["choices"][0]["message"]["content"]), {"said": "a word"})
        sent = self.sent()[-1]["body"]
        self.assertTrue(sent["response_format"]["json_schema"]["strict"])
        status, answer = self.s.call("POST", "/v1/embeddings", {"model": "vectors", "input": ["a", "bb", "ccc"]})
        self.assertEqual(status, 200, answer)
        self.assertEqual(len(answer["data"]), 3)
        self.assertAlmostEqual(sum(x * x for x in answer["data"][1]["embedding"]), 1, places=4)

    def test_nobody_waits_for_a_server_that_refused_the_key(self):
        status, answer = chat(self.s, "locked-keybad", deadline=30000)
        self.assertEqual(status, 502, answer)
        self.assertIn("key_refused", answer["error"]["message"])
        self.assertEqual([a["outcome"] for a in calls(self.s)[0]["attempts"]], ["key_refused"])  # and not again when the circuit closes

    def test_each_trouble_is_named_in_time_and_not_charged(self):
        cases = {"m-slow": ("too_slow", 504), "m-garbage": ("garbage", 502), "m-half": ("cut", 502), "m-redirect": ("redirect_refused", 502),
                 "m-huge": ("too_large", 502), "m-error500": ("overloaded", 502), "m-limited": ("rate_limited", 429),
                 "m-reset": ("cut", 502), "down-ok": ("not_connected", 502), "wide-ok": ("address_refused", 502)}
        worst = 0
        for model, (outcome, status) in cases.items():
            with self.subTest(model):
                before = spend(self.s)["spent"]
                got, answer = chat(self.s, model, "my secret words", deadline=1500)
                retry = self.s.headers.get("retry-after")
                call = calls(self.s)[0]
                names = [a["outcome"] for a in call["attempts"]]
                self.assertIn(outcome, names, (answer, call))
                self.assertIn(got, (status, 504), answer)
                self.assertIn("no upstream answered", answer["error"]["message"])
                self.assertIn(names[-1], answer["error"]["message"])
                self.assertNotIn("secret", json.dumps(answer) + json.dumps(call))
                last = call["attempts"][-1]
                took = last["at_ms"] + last["ms"]
                worst = max(worst, took - 1500)
                self.assertLess(took, 1500 + SLACK_MS)
                self.assertEqual(nano(call["cost"]), 0)
                self.assertEqual(spend(self.s)["spent"], before)
                self.assertEqual(spend(self.s)["reserved"], 0)
                leaf = self.s.records(call["task"])[-1]
                self.assertEqual((leaf["kind"], leaf["cost"]), ("failed", 0))
                if outcome == "rate_limited":
                    self.assertEqual(retry, "7")
        print(f"latest end after a deadline of 1500 ms: {worst:+.1f} ms")

    def test_a_second_attempt_is_charged_once(self):
        before = spend(self.s)["spent"]
        status, _ = chat(self.s, "m-once429")
        self.assertEqual(status, 200)
        call = calls(self.s)[0]
        self.assertEqual([a["outcome"] for a in call["attempts"]], ["rate_limited", "answered"])
        self.assertEqual(spend(self.s)["spent"] - before, COST)
        keys = [r["headers"].get("Idempotency-Key") for r in self.sent() if r["body"] and r["body"]["model"] == "once429"]
        self.assertEqual(keys[0], keys[1])

    def test_half_a_stream_is_an_error_and_never_done(self):
        s = self.s.stream("hi", model="m-half")
        got = s.read_all().decode()
        s.close()
        self.assertTrue(streamed(got).startswith("The mock goes on"), got)
        self.assertIn("upstream_failed", got)
        self.assertNotIn("[DONE]", got)
        self.assertEqual(len(calls(self.s)[0]["attempts"]), 1)

    def test_no_price_no_call(self):
        n = len(self.sent())
        status, answer = chat(self.s, "free")
        self.assertEqual(status, 503, answer)
        self.assertIn("has no price", answer["error"]["message"])
        self.assertEqual(len(self.sent()), n)

    def test_what_a_caller_may_not_send(self):
        n = len(self.sent())
        for label, text in (("restricted", "x"), ("confidential", "x"), ("public", "my card is 4111 1111 1111 1111")):
            status, answer = chat(self.s, "m-ok", text, label=label)
            self.assertEqual((status, answer["error"]["code"]), (403, "forbidden"), answer)
        self.assertEqual(chat(self.s, "m-ok", "x", label="nonsense")[0], 400)
        self.assertEqual(chat(self.s, "m-ok", "x", reproducible=True, seed=1)[0], 400)
        self.assertEqual(chat(self.s, "vectors")[0], 400)
        self.assertEqual(len(self.sent()), n)

    def test_the_command_line(self):
        done = e2e.inhouse("upstreams", home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("main", done.stdout)
        done = e2e.inhouse("upstreams", "calls", "--json", home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("calls", json.loads(done.stdout))
        status, _ = self.s.call("POST", "/api/v1/keys", {"name": "plain", "role": "member"})
        self.assertEqual(status, 201)


class Certificates(unittest.TestCase):
    def test_they_are_always_checked(self):
        if not shutil.which("openssl"):
            self.skipTest("openssl is not here to make certificates")
        with tempfile.TemporaryDirectory(prefix="ih-tls-") as folder:
            def make(name, host):
                cert, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                                "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + host, "-addext",
                                f"subjectAltName={host}"], check=True, capture_output=True)
                return cert, key
            good = make("good", "IP:127.0.0.1")
            other = make("other", "DNS:elsewhere.example")
            servers = {"good": mock.start(tls=good), "other": mock.start(tls=other)}
            rows = "".join(f"  - {{name: {n}, base: 'https://127.0.0.1:{servers[on].server_address[1]}/v1', allow: [127.0.0.1], "
                           f"retries: 0{more}}}\n"
                           for n, on, more in (("good", "good", f", ca_file: {good[0]}"), ("unknown", "good", ""),
                                               ("misnamed", "other", f", ca_file: {other[0]}"),
                                               ("nofile", "good", f", ca_file: {folder}/none.pem")))
            with e2e.House(config="upstreams:\n" + rows + "model_list:\n" + "".join(
                    pools(n, ["ok"], n + "-") for n in ("good", "unknown", "misnamed", "nofile"))) as s:
                self.assertEqual(chat(s, "good-ok")[0], 200)
                for n in ("unknown", "misnamed"):
                    status, answer = chat(s, f"{n}-ok")
                    self.assertEqual(status, 502, answer)
                    self.assertEqual(calls(s)[0]["attempts"][0]["outcome"], "certificate_refused")
                status, answer = chat(s, "nofile-ok")
                self.assertEqual(status, 503)
                self.assertIn("certificate authority", answer["error"]["message"])
            for server in servers.values():
                server.shutdown()
                server.server_close()


class Killed(unittest.TestCase):
    def test_what_was_reserved_when_the_server_died_counts(self):
        server = mock.start()
        with e2e.House(config=config(server.server_address[1])) as s:
            body = {"model": "m-slow", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50, "stream": True}
            client = e2e.Stream(s, body)
            end = time.monotonic() + 10
            while time.monotonic() < end and not calls(s):
                time.sleep(0.02)
            self.assertEqual(calls(s)[0]["state"], "open")
            reserved = nano(calls(s)[0]["reserved"])
            self.assertGreater(reserved, 0)
            s.kill()
            client.close()
            s.start()
            self.assertEqual(calls(s)[0]["state"], "lost")
            self.assertEqual(spend(s)["spent"], reserved)
        server.shutdown()


if __name__ == "__main__":
    e2e.main()
