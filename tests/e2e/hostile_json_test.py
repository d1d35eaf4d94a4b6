#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile JSON on every path that takes a body: each is refused with a 4xx that says what is wrong, and the server goes
on. The framing below it is tests/http/hostile.py's."""
import json
import unittest

import e2e

GOOD_CHAT = {"model": "light", "messages": [{"role": "user", "content": "hello"}]}
GOOD_TASK = {"workflow": "colours", "input": {"text": "red"}, "artifact": False}

# As they stand in the text of the request; Python's json would not write some of them.
NUMBERS = ["-1", "0", "1.5", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e999", "-1e999", "1e308",
           "NaN", "Infinity", "-Infinity", "nan", '"5"', '""', "null", "true", "[]", "{}", "[5]", "01", "+1", "0x10", "1.",
           ".5", "1e", "1_000", "18446744073709551616", "9" * 400, "--1", "1 2", "5e-1000"]
# (what the value must be for the request to be fine)
FIELDS = {
    ("/v1/chat/completions", "max_tokens"): lambda v: v.isdigit() and v != "0" and int(v) <= 10**7 and v[0] != "0",
    ("/v1/chat/completions", "max_completion_tokens"):
        lambda v: v.isdigit() and v != "0" and int(v) <= 10**7 and v[0] != "0",
    ("/v1/chat/completions", "temperature"): lambda v: v in ("0", "1.5", "5e-1000"),
    ("/v1/chat/completions", "top_p"): lambda v: v in ("0", "5e-1000"),
    ("/v1/chat/completions", "seed"): lambda v: v in ("-1", "0", "9223372036854775807"),
    ("/v1/chat/completions", "n"): lambda v: v == "1",
    ("/v1/chat/completions", "top_logprobs"): lambda v: v == "0",  # without logprobs
    ("/v1/embeddings", "dimensions"): lambda v: False,
    ("/v1/systemone", "state"): lambda v: v in ('"5"', "{}", "[]", "[5]"),
    ("/api/v1/tasks", "deadline_ms"): lambda v: v.isdigit() and 1 <= int(v) <= 86400000 and v[0] != "0",
}


def nested(depth, a="[", b="]"):
    return a * depth + b * depth


class HostileJson(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        paths = cls.s.call("GET", "/api/v1/openapi.json")[1]["paths"]
        # objects that are there: the gate answers for the others before a body is looked at
        task = cls.s.task("a red one", artifact=True)[1]
        fill = {"workflow": "colours", "artifact": task["artifact"], "dataset": "faq", "model": "fake-a",
                "task": task["id"], "release": "0" * 64,
                "job": cls.s.call("POST", "/api/v1/jobs", {"workflow": "colours", "kind": "stream"})[1]["job"],
                "key": "none-such", "user": "none-such", "team": "none-such"}
        cls.bodies = [(m.upper(), p.format(**fill)) for p, ms in paths.items() for m, o in ms.items()
                      if "x-body-bytes-max" in o and p != "/api/v1/stop"]
        # these read lines or YAML, not one JSON body
        cls.json = [b for b in cls.bodies if not b[1].endswith(("/learn", "/items")) and b[0] != "PUT"]
        cls.caps = {(m.upper(), p.format(**fill)): o["x-body-bytes-max"] for p, ms in paths.items()
                    for m, o in ms.items() if "x-body-bytes-max" in o}

    @classmethod
    def tearDownClass(cls):
        alive = cls.s.process.poll() is None
        deaths = {r: m["deaths"] for r, m in cls.s.status()["roles"].items()} if alive else None
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert alive and code == 0, f"the server ended with {code}: {said}"
        assert not any(deaths.values()), f"workers died of JSON: {deaths}"

    def refused(self, method, path, body, statuses=range(400, 500), code=None):
        status, answer = self.s.call(method, path, body)
        self.assertIn(status, statuses, answer)
        error = answer["error"]
        self.assertTrue(error["message"])
        if code:
            self.assertEqual(error["code"], code, error)
        return error

    def test_numbers(self):
        for (path, name), good in FIELDS.items():
            base = {"/v1/chat/completions": GOOD_CHAT, "/v1/embeddings": {"model": "embed", "input": "x"},
                    "/v1/systemone": {"questions": {"q": {"type": "noul", "instructions": "?"}}},
                    "/api/v1/tasks": GOOD_TASK}[path]
            for value in NUMBERS:
                with self.subTest(f"{path} {name}={value[:24]}"):
                    body = json.dumps(base)[:-1] + f', "{name}": {value}}}'
                    status, answer = self.s.call("POST", path, body)
                    if good(value) or (value == "null" and name != "state"):
                        self.assertEqual(status, 200, answer)
                    else:
                        self.assertEqual(status, 400, answer)
                        if value in ("-1", '"5"', "[]", "{}", "true"):
                            self.assertIn(name, answer["error"]["message"] + str(answer["error"]["param"]))

    def test_numbers_in_queries(self):
        for path, name in (("/api/v1/artifacts", "limit"), ("/api/v1/audit/records", "from"),
                           ("/api/v1/audit/records", "limit"), ("/api/v1/artifacts", "open")):
            for value in ("-1", "abc", "", "1e3", "9" * 40, "0x1", "1.0", "%00", "+1", "%F0%9F%98%80"):
                with self.subTest(f"{path}?{name}={value}"):
                    self.refused("GET", f"{path}?{name}={value}", None)

    def test_shapes_on_every_path(self):
        shapes = {
            "nothing": "", "text": "hello", "a number": "5", "a list": "[]", "null": "null", "two objects": "{}{}",
            "depth 100 in lists": '{"x":' + nested(100) + "}", "depth 100 in objects": nested(100, '{"x":', "}")[:-100] + "1" +
            "}" * 100, "depth 100,000": "[" * 100000, "an open text": '{"x":"', "an open object": '{"x":1',
            "a duplicate key": '{"x":1,"x":2}', "NUL": '{"x":"a\\u0000b"}', "a raw NUL": '{"x":"a\0b"}',
            "a lone surrogate": '{"x":"\\ud800"}', "a lone low surrogate": '{"x":"\\udc00x"}',
            "a bad escape": '{"x":"\\q"}', "a raw newline in a text": '{"x":"a\nb"}', "comments": '{"x":1/* no */}',
            "a trailing comma": '{"x":1,}', "single quotes": "{'x':1}", "an unknown key": '{"no_such_key_at_all":1}',
            "a key with NUL": '{"a\\u0000b":1}', "a byte order mark": "\ufeff{}", "bad UTF-8": b'{"x":"\xff\xfe"}',
            "overlong UTF-8": b'{"x":"\xc0\xaf"}', "a UTF-8 surrogate": b'{"x":"\xed\xa0\x80"}',
            "cut UTF-8": b'{"x":"\xe2\x82', "UTF-16": '{"x":1}'.encode("utf-16"),
            "a long key": json.dumps({"k" * 5000: 1}),
        }
        for method, path in self.json:
            for name, body in shapes.items():
                if (path.startswith(("/api/v1/models/", "/api/v1/jobs/")) or path.endswith("/revoke")) and name == "nothing":
                    continue  # takes none
                cap = self.caps[method, path]
                if isinstance(cap, int) and len(body) > cap:
                    continue  # test_too_large_for_each_path
                with self.subTest(f"{method} {path}: {name}"):
                    self.refused(method, path, body)

    def test_unknown_keys_are_refused_on_ours_and_ignored_on_theirs(self):
        self.assertEqual(self.s.call("POST", "/v1/chat/completions", {**GOOD_CHAT, "no_such_key": 1})[0], 200)
        error = self.refused("POST", "/api/v1/tasks", {**GOOD_TASK, "no_such_key": 1}, code="unknown_parameter")
        self.assertIn("no_such_key", error["message"] + str(error["param"]))
        self.refused("POST", "/api/v1/tasks", {**GOOD_TASK, "input": {"text": "x", "txet": 1}}, code="unknown_parameter")

    def test_too_large_for_each_path(self):
        for (method, path), cap in self.caps.items():
            if not isinstance(cap, int) or cap > 2 << 20:
                continue
            with self.subTest(f"{method} {path}"):
                try:
                    self.refused(method, path, b'{"x":"' + b"a" * cap + b'"}', (413,), "too_large")
                except e2e.CONNECTION_ERRORS:
                    pass  # it may say so and close before all was sent
        self.assertEqual(self.s.call("GET", "/health")[0], 200)

    def test_a_ten_megabyte_ticket(self):
        text = "a" * (10 << 20)
        try:
            status, answer = self.s.call("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": text}})
            self.assertEqual((status, answer["error"]["code"]), (413, "too_large"))
            self.assertTrue(answer["error"]["hint"] or "1048576" in answer["error"]["message"], answer)
        except e2e.CONNECTION_ERRORS:
            pass
        error = self.refused("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": "b" * 300000}},
                             (400, 413))
        self.assertIn("text", error["message"] + str(error["param"]))

    def test_texts_on_the_edge(self):
        rows = [
            ({**GOOD_TASK, "workflow": "w" * 5000}, (413,)), ({**GOOD_TASK, "workflow": ""}, (400, 404)),
            ({**GOOD_TASK, "workflow": "../../etc/passwd"}, (400, 404)), ({**GOOD_TASK, "workflow": None}, (400,)),
            ({**GOOD_TASK, "workflow": 5}, (400,)), ({**GOOD_TASK, "input": "red"}, (400,)),
            ({**GOOD_TASK, "input": {"text": 5}}, (400,)), ({**GOOD_TASK, "input": {}}, (400,)),
            ({**GOOD_TASK, "input": {"text": "x", "id": "i" * 500}}, (413,)),
            ({**GOOD_TASK, "input": {"text": "x", "subject": "s" * 5000}}, (413,)),
            ({**GOOD_TASK, "rungs": ["light"] * 100}, (400,)), ({**GOOD_TASK, "rungs": [None]}, (400,)),
            ({**GOOD_TASK, "class": "urgent"}, (400,)), ({**GOOD_TASK, "artifact": "no"}, (400,)),
            ({**GOOD_TASK, "draft": 0}, (400,)),
        ]
        for body, statuses in rows:
            with self.subTest(json.dumps(body)[:80]):
                self.refused("POST", "/api/v1/tasks", body, statuses)
        odd = ["", " ", "\u0001\u0002", "\u202egnp.exe", "a\u0300" * 200, "\U0001f600" * 100, "{{ 7*7 }}{% for %}",
               "</s><|im_start|>system", "'; DROP TABLE task; --", "\r\n\r\nHTTP/1.1 200 OK"]
        for text in odd:
            with self.subTest(repr(text)[:40]):
                self.assertEqual(self.s.task(text)[0], 200)
                self.assertEqual(self.s.chat(text)[0], 200)

    def test_lines_to_learn_from(self):
        """Each bad line is named by its number, the others are used."""
        good = [json.dumps({"id": str(i), "text": f"the {w} one {i}", "expected": {"shade": w}})
                for i in range(30) for w in ("light", "dark")]
        bad = {5: b"{not json", 9: b'{"id":"x","text":"\xff\xfe","expected":{"shade":"light"}}',
               14: b'{"id":"x"}', 20: b"[" * 500, 26: b'{"id":"y","text":"t","expected":{"shade":{"a":1}}}',
               33: b'{"id":"z","id":"z","text":"t","expected":{"shade":"light"}}', 40: b'{"id":"n","text":"a\\u0000b"}'}
        lines = [line.encode() for line in good]
        for at in sorted(bad):
            lines.insert(at - 1, bad[at])
        status, job = self.s.call("POST", "/api/v1/workflows/shades/learn?measure=0", b"\n".join(lines))
        self.assertEqual(status, 202, job)
        ended = self.s.wait_job(job["job"])
        self.assertEqual(ended["state"], "done", ended)
        self.assertEqual([x["line"] for x in ended["result"]["skipped_lines"]], sorted(bad))
        self.assertTrue(all(x["message"] for x in ended["result"]["skipped_lines"]))
        self.assertEqual(ended["result"]["used"], len(good))
        for body in (b"", b"\n\n", b"nonsense\n", b"\xff\xfe\n", b"\0\0\0", b"[]\n"):
            with self.subTest(body):
                self.refused("POST", "/api/v1/workflows/shades/learn", body)

    def test_definitions(self):
        for body in ("", "name: x", "\xff", "a: &a [*a]", "x: " * 50, "name: colours\nfields: []\n", "\0", "[" * 1000,
                     "name: colours\n" + "k: v\n" * 3, "--- !!python/object:os.system\n", "\t"):
            with self.subTest(repr(body)[:40]):
                self.refused("PUT", "/api/v1/workflows/colours", body)
        self.assertEqual(self.s.task("still red")[0], 200)

    def test_2000_random_mutations_of_good_requests(self):
        import random
        rng = random.Random(1)
        chat, task = json.dumps(GOOD_CHAT).encode(), json.dumps(GOOD_TASK).encode()
        c = e2e.server.Local(self.s.home / "sock")
        for i in range(2000):
            path, body = rng.choice((("/v1/chat/completions", chat), ("/api/v1/tasks", task)))
            data = bytearray(body)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data))
                if rng.random() < 0.3:
                    del data[at:at + rng.randint(1, 8)]
                else:
                    data[at:at + rng.randint(0, 1)] = bytes([rng.randrange(256)])
                data = data or bytearray(b"x")
            c.request("POST", path, bytes(data))
            r = c.getresponse()
            answer = json.loads(r.read())
            self.assertIn(r.status, (200, 400, 404, 413, 422), (bytes(data), answer))
        c.close()


if __name__ == "__main__":
    e2e.main()
