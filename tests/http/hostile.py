#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile HTTP over raw sockets: every row must be refused (or cut off), and the server must go on serving.

The rows follow RFC 9110 and RFC 9112 and the smuggling families of public probes. "refused" means: a 4xx or 5xx as the
first answer, or no answer and a closed connection; never a 2xx, and never a second answer to smuggled bytes.
"""
import json
import socket
import sys
import threading
import time
import unittest

import server

H = b"Host: x\r\n"
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKS = b"0\r\n\r\n"


def get(target=b"/health", version=b"HTTP/1.1", extra=b"", host=H):
    return b"GET " + target + b" " + version + b"\r\n" + host + extra + b"\r\n"


def post(extra, body=b"", path=b"/v1/embeddings"):
    return b"POST " + path + b" HTTP/1.1\r\n" + H + extra + b"\r\n" + body


REFUSED = {
    # request line
    "no version": b"GET /health\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "HTTP/1.2x": get(version=b"HTTP/1.2x"),
    "lower-case http": get(version=b"http/1.1"),
    "two spaces": b"GET  /health HTTP/1.1\r\n" + H + b"\r\n",
    "tab between": b"GET\t/health\tHTTP/1.1\r\n" + H + b"\r\n",
    "space before method": b" GET /health HTTP/1.1\r\n" + H + b"\r\n",
    "space at the end": b"GET /health HTTP/1.1 \r\n" + H + b"\r\n",
    "bare LF": b"GET /health HTTP/1.1\nHost: x\n\n",
    "bare LF in headers": b"GET /health HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare CR": b"GET /health HTTP/1.1\rHost: x\r\n\r\n",
    "NUL in target": get(b"/hea\0lth"),
    "NUL in header": get(extra=b"A: b\0c\r\n"),
    "control in target": get(b"/health\x01"),
    "empty target": b"GET  HTTP/1.1\r\n" + H + b"\r\n",
    "unknown method": b"FROB /health HTTP/1.1\r\n" + H + b"\r\n",
    "CONNECT": b"CONNECT x:1 HTTP/1.1\r\n" + H + b"\r\n",
    "TRACE": b"TRACE /health HTTP/1.1\r\n" + H + b"\r\n",
    "long target": get(b"/" + b"a" * 9000),
    # target
    "absolute form": get(b"http://x/health"),
    "absolute form, other host": get(b"http://evil/health"),
    "authority form": get(b"x:80"),
    "asterisk": get(b"*"),
    "no slash": get(b"health"),
    "double slash": get(b"//health"),
    "dot segment": get(b"/./health"),
    "dot dot": get(b"/x/../health"),
    "encoded dot dot": get(b"/x/%2e%2e/health"),
    "encoded slash": get(b"/api%2fv1/status"),
    "encoded letter": get(b"/%68ealth"),
    "double encoding": get(b"/%2568ealth"),
    "backslash": get(b"/x\\..\\health"),
    "matrix parameter": get(b"/health;a=b"),
    "fragment": get(b"/health#x"),
    "overlong UTF-8": get(b"/\xc0\xafhealth"),
    "raw UTF-8": get(b"/he\xc3\xa4lth"),
    "bad query escape": get(b"/health?a=%zz"),
    "NUL in query": get(b"/health?a=%00"),
    "twice the same parameter": get(b"/health?a=1&a=2"),
    "nameless parameter": get(b"/health?=1"),
    "17 parameters": get(b"/health?" + b"&".join(b"a%d=1" % i for i in range(17))),
    # Host
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": get(host=b"Host: x\r\nHost: y\r\n"),
    "the same Host twice": get(host=b"Host: x\r\nHost: x\r\n"),
    "empty Host": get(host=b"Host: \r\n"),
    "Host with path": get(host=b"Host: x/y\r\n"),
    "Host with user": get(host=b"Host: a@x\r\n"),
    "Host with comma": get(host=b"Host: x,y\r\n"),
    "Host with space": get(host=b"Host: x y\r\n"),
    # header syntax
    "space before colon": get(extra=b"A : b\r\n"),
    "no colon": get(extra=b"Abc\r\n"),
    "empty name": get(extra=b": b\r\n"),
    "folded header": get(extra=b"A: b\r\n c\r\n"),
    "folded first header": b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n",
    "space in name": get(extra=b"A B: c\r\n"),
    "8 KiB header": get(extra=b"A: " + b"b" * 9000 + b"\r\n"),
    "thousand headers": get(extra=b"".join(b"A%d: b\r\n" % i for i in range(1000))),
    # framing
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "the same length twice": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "length list": post(b"Content-Length: 5, 5\r\n", b"hello"),
    "negative length": post(b"Content-Length: -1\r\n"),
    "plus length": post(b"Content-Length: +5\r\n", b"hello"),
    "hex length": post(b"Content-Length: 0x5\r\n", b"hello"),
    "empty length": post(b"Content-Length: \r\n"),
    "length with text": post(b"Content-Length: 5 bytes\r\n", b"hello"),
    "huge length": post(b"Content-Length: 99999999999999999999999\r\n"),
    "2^63 length": post(b"Content-Length: 9223372036854775808\r\n"),
    "CL.TE": post(b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n", CHUNKS + SMUGGLED),
    "TE.CL": post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", CHUNKS + SMUGGLED),
    "TE twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKS + SMUGGLED),
    "TE list": post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS + SMUGGLED),
    "TE unknown": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS + SMUGGLED),
    "TE with CL and space": post(b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", CHUNKS + SMUGGLED),
    "TE obfuscated": post(b"Transfer-Encoding: chunked\r\n Transfer-Encoding: x\r\n", CHUNKS + SMUGGLED),
    "chunk size plus": post(b"Transfer-Encoding: chunked\r\n", b"+5\r\nhello\r\n" + CHUNKS),
    "chunk size 0x": post(b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n" + CHUNKS),
    "chunk size negative": post(b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n" + CHUNKS),
    "chunk size text": post(b"Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n" + CHUNKS),
    "chunk size overflow": post(b"Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\nhello\r\n" + CHUNKS),
    "chunk data too long": post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloworld\r\n" + CHUNKS),
    "chunk bare LF": post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\n0\n\n"),
    "body on GET": get(extra=b"Content-Length: 5\r\n") + b"hello",
    "body on health, chunked": get(extra=b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n" + CHUNKS,
    "expectation unknown": post(b"Expect: the-unexpected\r\nContent-Length: 0\r\n"),
    "too large for the path": post(b"Content-Length: 99999999\r\n"),
    # identity
    "no key": post(b"Content-Length: 2\r\n", b"{}"),
    "bad key": post(b"Authorization: Bearer ik_nope\r\nContent-Length: 2\r\n", b"{}"),
    "basic auth": post(b"Authorization: Basic YTpi\r\nContent-Length: 2\r\n", b"{}"),
    "two credentials": post(b"Authorization: Bearer a\r\nx-api-key: b\r\nContent-Length: 2\r\n", b"{}"),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

NESTED = "[" * 100 + "]" * 100
BODIES = {
    "not JSON": (b"hello", "bad_request"),
    "empty": (b"", "bad_request"),
    "bad UTF-8": (b'{"model":"light","messages":[{"role":"user","content":"\xff"}]}', "bad_request"),
    "overlong UTF-8": (b'{"model":"\xc0\xaf","messages":[]}', "bad_request"),
    "NUL escape": (b'{"model":"light","messages":[{"role":"user","content":"a\\u0000b"}]}', "bad_request"),
    "lone surrogate": (b'{"model":"light","messages":[{"role":"user","content":"\\ud800"}]}', "bad_request"),
    "duplicate key": (b'{"model":"light","model":"heavy","messages":[]}', "bad_request"),
    "too deep": (f'{{"model":"light","messages":{NESTED}}}'.encode(), "bad_request"),
    "trailing text": (b'{"model":"light"} x', "bad_request"),
    "array": (b"[]", "bad_request"),
    "huge number": (b'{"model":"light","messages":[{"role":"user","content":"x"}],"max_tokens":1e999}', "bad_request"),
    "NaN": (b'{"model":"light","messages":[{"role":"user","content":"x"}],"temperature":NaN}', "bad_request"),
    "513 messages": (json.dumps({"model": "light", "messages": [{"role": "user", "content": "x"}] * 513}).encode(), None),
    "long model": (json.dumps({"model": "m" * 500, "messages": [{"role": "user", "content": "x"}]}).encode(), None),
}


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = server.Server().__enter__()

    @classmethod
    def tearDownClass(cls):
        alive = cls.s.process.poll() is None
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert alive and code == 0, f"the server ended with {code}: {said}"

    def served(self):
        self.assertEqual(self.s.call("GET", "/health")[0], 200)

    def test_bad_requests_are_refused_and_nothing_is_smuggled(self):
        for name, data in REFUSED.items():
            with self.subTest(name):
                got = self.s.raw(data, wait=0.25)
                if got:
                    self.assertRegex(got[:12], rb"^HTTP/1\.1 [45]")
                self.assertEqual(got.count(b'"status":"ok"'), 0, got[:400])
                self.assertLessEqual(got.count(b"HTTP/1.1 2"), 0)
        self.served()

    def test_what_is_fine_is_served(self):
        fine = {"plain": get(), "HTTP/1.0": b"GET /health HTTP/1.0\r\n\r\n", "query": get(b"/health?a=b%20c"),
                "IPv6 host": get(host=b"Host: [::1]:8460\r\n"), "leading empty line": b"\r\n" + get()}
        for name, data in fine.items():
            with self.subTest(name):
                self.assertTrue(self.s.raw(data, wait=0.25).startswith(b"HTTP/1.1 200"), name)
        twice = self.s.raw(get() + get(), wait=0.4)
        self.assertEqual(twice.count(b"HTTP/1.1 200"), 2)

    def test_bad_bodies_are_named(self):
        for name, (body, code) in BODIES.items():
            with self.subTest(name):
                status, answer = self.s.call("POST", "/v1/chat/completions", body, local=False)
                self.assertIn(status, (400, 413), answer)
                self.assertTrue(answer["error"]["message"])
                if code:
                    self.assertEqual(answer["error"]["code"], code)
        self.served()

    def test_security_headers_on_every_answer(self):
        for path in ("/health", "/nothing", "/api/v1/status"):
            self.s.call("GET", path, local=False)
            self.assertEqual(self.s.headers["x-content-type-options"], "nosniff")
            self.assertIn("default-src 'none'", self.s.headers["content-security-policy"])
            self.assertTrue(self.s.headers["x-request-id"].startswith("req_"))
            self.assertNotIn("server", self.s.headers)

    def test_a_slow_head_is_cut_and_others_are_served_meanwhile(self):
        slow = [socket.create_connection(("127.0.0.1", self.s.port)) for _ in range(40)]
        for s in slow:
            s.sendall(b"GET /health HTTP/1.1\r\nHo")
        start = time.monotonic()
        for _ in range(20):
            self.served()
        self.assertLess(time.monotonic() - start, 5)
        end = time.monotonic() + 25
        for s in slow:
            s.settimeout(max(0.1, end - time.monotonic()))
            try:
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
            s.close()
        self.assertLess(time.monotonic(), end)

    def test_a_dripping_head_is_cut(self):
        with socket.create_connection(("127.0.0.1", self.s.port)) as s:
            s.settimeout(0.5)
            start = time.monotonic()
            try:
                while time.monotonic() - start < 30:
                    s.sendall(b"G" if time.monotonic() - start < 1 else b"A")
                    try:
                        if not s.recv(1):
                            break
                        break
                    except TimeoutError:
                        pass
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - start, 25)

    def test_clients_that_leave_end_their_tasks(self):
        body = json.dumps({"model": "light", "messages": [{"role": "user", "content": "%%slow:3000%% x"}]}).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.s.key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        for _ in range(5):
            s = socket.create_connection(("127.0.0.1", self.s.port))
            s.sendall(head + body)
            time.sleep(0.05)
            s.close()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            status = self.s.call("GET", "/api/v1/status")[1]
            if status["tasks"]["running"] == 0 and status["http"]["active"] == 1:
                return
            time.sleep(0.2)
        self.fail(f"tasks of clients that left still run: {status['tasks']}, {status['http']}")

    def test_many_streams_at_once(self):
        body = json.dumps({"model": "light", "stream": True, "max_tokens": 64,
                           "messages": [{"role": "user", "content": "tell me " * 12}]}).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {self.s.key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        results = []

        def one():
            results.append(self.s.raw(head + body, wait=20))
        threads = [threading.Thread(target=one) for _ in range(48)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sum(b"data: [DONE]" in r for r in results), 48)


if __name__ == "__main__":
    server.need_programs()
    sys.exit(0 if unittest.main(verbosity=2, exit=False).result.wasSuccessful() else 1)
