#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worker alone, sealed, with this test in the server's place: hostile model files, frames, grammars and templates. Each
is answered with an error, or ends that one worker in a way its supervisor knows (status 3, 5, or a signal); none makes it
hang, and a worker that lives goes on answering.

INHOUSE_HOSTILE_FILES and INHOUSE_HOSTILE_FRAMES say how many mutations are tried (default 1,500 and 1,500); of the real
model's own header a fortieth of the former."""
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import e2e

WORKER = e2e.BUILD / "bin" / "inhouse-worker"
CORPUS = e2e.SOURCE / "tests" / "fuzz" / "corpus" / "gguf_fuzz"
FILES = int(os.environ.get("INHOUSE_HOSTILE_FILES") or 1500)
FRAMES = int(os.environ.get("INHOUSE_HOSTILE_FRAMES") or 1500)
HELLO, LOAD, LOADED, GENERATE, DONE, RENDER, PING, PONG, TEXT, ERROR, TURN = 1, 2, 3, 4, 5, 10, 22, 23, 25, 27, 18
ENDS = {3: "bad frame", 5: "watchdog"}  # and signals: an assertion of llama.cpp, the seal


class Worker:
    def __init__(self, engine):
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.socket.settimeout(30)
        fd = theirs.fileno()

        def hold():
            if fd != 3:
                os.dup2(fd, 3)
            else:
                os.set_inheritable(3, True)
        self.process = subprocess.Popen([str(WORKER), "--engine", engine, "--memory-max", str(6 << 30)], env={}, close_fds=False,
                                        preexec_fn=hold, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        theirs.close()
        self.got = b""
        self.id = 100
        self.hello = json.loads(self.frame()[2])

    def frame(self):
        """(type, id, body), or None when the worker has ended."""
        while len(self.got) < 16 or len(self.got) < 16 + struct.unpack_from("<I", self.got)[0]:
            try:
                part = self.socket.recv(1 << 16)
            except ConnectionError:
                part = b""
            if not part:
                return None
            self.got += part
        n, kind, _, number = struct.unpack_from("<IHHQ", self.got)
        body, self.got = self.got[16:16 + n], self.got[16 + n:]
        return kind, number, body

    def send(self, kind, body, fd=None, flags=0, raw=None):
        self.id += 1
        data = raw or struct.pack("<IHHQ", len(body), kind, 1 if fd is not None else flags, self.id) + body
        try:
            if fd is not None:
                socket.send_fds(self.socket, [data], [fd])
            else:
                self.socket.sendall(data)
        except ConnectionError:
            pass
        return self.id

    def ask(self, kind, body, fd=None):
        """The final answer to one ask: (type, body), or (None, how the worker ended)."""
        number = self.send(kind, json.dumps(body).encode() if body is not None else b"", fd)
        while True:
            got = self.frame()
            if got is None:
                return None, self.ended()
            if got[1] == number and got[0] != TEXT:
                return got[0], json.loads(got[2]) if got[2][:1] in (b"{", b"[") else got[2]

    def ended(self):
        return self.process.wait(20)

    def close(self):
        self.socket.close()
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def load_body(**more):
    return {"model": "hostile", "sha256": "0" * 64, "kind": "generate", "n_ctx": 512, "n_seq": 2, "n_threads": 1, **more}


def memory_file(data):
    fd = os.memfd_create("model")
    os.write(fd, data)
    return fd


def mutate(rng, data, spots):
    """1 to 4 changes; half of them at numbers that matter: counts, lengths, types, offsets."""
    data = bytearray(data)
    wild = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 30, 513]
    for _ in range(rng.randint(1, 4)):
        at = min(rng.choice(spots) if rng.random() < 0.5 else rng.randrange(len(data)), len(data) - 1)
        what = rng.random()
        if what < 0.4:
            data[at] ^= 1 << rng.randrange(8)
        elif what < 0.7:
            data[at:at + 8] = rng.choice(wild).to_bytes(8, "little")[:max(0, len(data) - at)]
        elif what < 0.85:
            data[at] = rng.randrange(256)
        else:
            del data[at:at + rng.randint(1, 16)]
        data = data or bytearray(b"G")
    return bytes(data)


def known_ends(case, how):
    case.assertTrue(how in ENDS or how < 0, f"the worker ended with status {how}")


class Models(unittest.TestCase):
    def named(self):
        """The files the advisories name."""
        u32, u64 = (lambda v: v.to_bytes(4, "little")), (lambda v: v.to_bytes(8, "little"))
        head = lambda tensors, keys: b"GGUF" + u32(3) + u64(tensors) + u64(keys)  # noqa: E731
        text = lambda s: u64(len(s)) + s  # noqa: E731
        arch = text(b"general.architecture") + u32(8) + text(b"llama")
        tensor = lambda name, dims, kind, at: text(name) + u32(len(dims)) + b"".join(map(u64, dims)) + u32(kind) + u64(at)  # noqa: E731
        return {
            "37 bytes": b"GGUF" + u32(3) + bytes(29), "an empty key": head(0, 1) + text(b"") + u32(8) + text(b"x"),
            "88 bytes": head(1, 1) + text(b"general.alignment") + u32(4) + u32(0) + tensor(b"t", [0], 0, 0)[:27],
            "n_kv huge": head(0, 1 << 62) + arch, "n_tensors huge": head(1 << 62, 1) + arch,
            "alignment 2^31": head(0, 2) + arch + text(b"general.alignment") + u32(4) + u32(1 << 31),
            "alignment 3": head(0, 2) + arch + text(b"general.alignment") + u32(4) + u32(3),
            "dims overflow": head(1, 1) + arch + tensor(b"t", [1 << 33, 1 << 33, 1 << 33, 1], 0, 0),
            "dims minus one": head(1, 1) + arch + tensor(b"t", [(1 << 64) - 1], 0, 0), "five dims": head(1, 1) + arch + tensor(b"t", [1] * 5, 0, 0),
            "block_count 513": head(0, 2) + arch + text(b"llama.block_count") + u32(4) + u32(513),
            "block_count 2^32-1": head(0, 2) + arch + text(b"llama.block_count") + u32(4) + u32(0xffffffff),
            "a string of 1 GiB": head(0, 1) + u64(1 << 30) + b"key", "a string of 2^64-1": head(0, 1) + u64((1 << 64) - 1),
            "an array of 2^60": head(0, 2) + arch + text(b"tokenizer.ggml.tokens") + u32(9) + u32(8) + u64(1 << 60),
            "arrays in arrays": head(0, 1) + text(b"a") + u32(9) + (u32(9) + u64(1)) * 5000,
            "an unknown type": head(0, 1) + text(b"a") + u32(99), "a type of tensor unknown": head(1, 1) + arch + tensor(b"t", [32], 0x7fffffff, 0),
            "an offset beyond": head(1, 1) + arch + tensor(b"t", [32], 0, (1 << 63) - 32), "version 2^31": b"GGUF" + u32(1 << 31) + bytes(16),
            "nothing": b"", "zeros": bytes(4096),
        }

    def test_named_files_and_mutated_ones(self):
        seeds = [p.read_bytes() for p in sorted(CORPUS.glob("*.gguf"))]
        rng = random.Random(7)
        spots = [list(range(0, min(len(s), 200))) for s in seeds]
        tries = list(self.named().items())
        for i in range(FILES):
            k = rng.randrange(len(seeds))
            tries.append((f"mutation {i} of seed 7", mutate(rng, seeds[k], spots[k])))
        worker, deaths, refused, loaded, slowest = None, 0, 0, 0, 0
        for name, data in tries:
            if worker is None:
                worker = Worker("llama")
                self.assertTrue(worker.hello["sandbox"]["seccomp"])
            fd = memory_file(data)
            start = time.monotonic()
            kind, said = worker.ask(LOAD, load_body(), fd)
            slowest = max(slowest, time.monotonic() - start)
            os.close(fd)
            with self.subTest(name):
                if kind is None:
                    known_ends(self, said)
                    deaths += 1
                    worker.close()
                    worker = None
                elif kind == ERROR:
                    refused += 1
                    self.assertEqual(said["code"], "model_unavailable", said)
                else:
                    self.assertEqual(kind, LOADED)
                    loaded += 1
                    worker.close()
                    worker = None
        if worker:
            self.assertEqual(worker.ask(PING, None)[0], PONG)
            worker.close()
        print(f"{len(tries)} files: {refused} refused by the worker, {deaths} ended it, {loaded} loaded; slowest {slowest:.2f} s")
        self.assertLess(slowest, 12)


    @unittest.skipUnless(e2e.LIGHT.is_file(), f"needs {e2e.LIGHT.name}: make setup")
    def test_a_real_model_with_a_hurt_header(self):
        """What llama.cpp still loads is asked for a word: it answers, says why not, or ends that worker."""
        rng = random.Random(13)
        folder = tempfile.mkdtemp(prefix="ih-")
        path = shutil.copy(e2e.LIGHT, folder)
        data = e2e.LIGHT.read_bytes()[:4 << 20]
        infos = data.index(b"token_embd.weight")
        worker, counts = None, {"refused": 0, "ended it": 0, "loaded": 0, "loaded, ended it": 0}
        try:
            with open(path, "r+b") as f:
                for i in range(max(1, FILES // 40)):
                    start = rng.choice((0, infos, rng.randrange(infos)))
                    changed = mutate(rng, data[start:start + 3000], list(range(200)))[:3000].ljust(3000, b"\0")
                    f.seek(start)
                    f.write(changed)
                    f.flush()
                    worker = worker or Worker("llama")
                    with open(path, "rb") as model:
                        kind, said = worker.ask(LOAD, load_body(), model.fileno())
                    asked = None
                    if kind == LOADED:
                        ask = {"domain": "d", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
                        asked, said = worker.ask(GENERATE, ask)
                    with self.subTest(f"mutation {i} of seed 13"):
                        if kind is None or (kind == LOADED and asked is None):
                            known_ends(self, said)
                        counts["ended it" if kind is None else "refused" if kind == ERROR else
                               "loaded, ended it" if asked is None else "loaded"] += 1
                    if kind != ERROR:
                        worker.close()
                        worker = None
                    f.seek(start)
                    f.write(data[start:start + 3000])
        finally:
            shutil.rmtree(folder)
            if worker:
                worker.close()
        print(f"real model, hurt: {counts}")


class Frames(unittest.TestCase):
    def test_mutated_frames_to_the_worker(self):
        """Whatever bytes come, the worker answers, waits for more, or ends with status 3."""
        rng = random.Random(11)
        asks = [(GENERATE, {"domain": "d", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}),
                (6, {"domain": "d", "input": "x", "plan": [{"kind": "choice", "name": "q", "labels": ["a", "b"]}]}),
                (8, {"domain": "d", "texts": ["x"]}), (RENDER, {"template": "{{ a }}", "vars": {"a": 1}}), (12, {"texts": ["x"]}),
                (14, None), (PING, None), (19, None)]
        worker, ends, answers = None, {}, 0
        for i in range(FRAMES):
            if worker is None:
                worker = Worker("fake")
                fd = memory_file(b"x")
                self.assertEqual(worker.ask(LOAD, load_body(), fd)[0], LOADED)
                os.close(fd)
            kind, body = rng.choice(asks)
            text = json.dumps(body).encode() if body is not None else b""
            whole = struct.pack("<IHHQ", len(text), kind, 0, 1000 + i) + text
            data = mutate(rng, whole, list(range(16)))
            if len(data) >= 4 and rng.random() < 0.7:  # mostly a length that is true, so that the body is read
                data = struct.pack("<I", max(0, len(data) - 16)) + data[4:]
            worker.send(0, b"", raw=data)
            worker.socket.settimeout(0.02)
            got = b""
            try:
                while (got := worker.frame()) is not None:
                    answers += 1
            except TimeoutError:
                got = b""
            if got is None:
                how = worker.ended()
                ends[how] = ends.get(how, 0) + 1
                self.assertEqual(how, 3, f"frame {i}: {data[:80]!r}")
                worker.close()
                worker = None
            elif i % 20 == 0:  # half a frame may wait in it: start afresh
                worker.close()
                worker = None
        if worker:
            worker.close()
        print(f"{FRAMES} frames: {answers} answers, ends {ends}")
        self.assertEqual(set(ends), {3})


@unittest.skipUnless(e2e.LIGHT.is_file(), f"needs {e2e.LIGHT.name}: make setup")
class Killers(unittest.TestCase):
    """On the real model. The killers of reliability: llama.cpp's own parser and sampler die or hang of them."""

    def setUp(self):
        self.worker = None

    def tearDown(self):
        if self.worker:
            self.worker.close()

    def ready(self):
        if self.worker is None or self.worker.process.poll() is not None:
            self.tearDown()
            self.worker = Worker("llama")
            with open(e2e.LIGHT, "rb") as f:
                kind, said = self.worker.ask(LOAD, load_body(), f.fileno())
            self.assertEqual(kind, LOADED, said)
        return self.worker

    def fails_alone(self, name, kind, body, seconds=14):
        worker = self.ready()
        start = time.monotonic()
        got, said = worker.ask(kind, body)
        took = time.monotonic() - start
        with self.subTest(name):
            self.assertLess(took, seconds)
            if got is None:
                known_ends(self, said)
            elif got == ERROR:
                self.assertIn(said["code"], ("bad_request", "unsupported", "too_large", "internal"), said)
            print(f"{name}: " + (f"ended the worker ({ENDS.get(said, said)})" if got is None else
                                 said["code"] if got == ERROR else "answered") + f", {took:.2f} s")
        again = self.ready()
        ok, _ = again.ask(GENERATE, {"domain": "d", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2})
        self.assertEqual(ok, DONE, f"after {name}")

    def grammar(self, text):
        return {"domain": "d", "messages": [{"role": "user", "content": "Say a."}], "max_tokens": 8, "grammar": text}

    def test_grammars(self):
        chain = "".join(f"r{i} ::= r{i + 1}\n" for i in range(100000))
        for name, text in {
            "60,000 parentheses": "root ::= " + "(" * 60000 + '"a"' + ")" * 60000,
            "4,000 parentheses": "root ::= " + "(" * 4000 + '"a"' + ")" * 4000,
            "a chain of 100,000 rules": "root ::= r0\n" + chain + 'r100000 ::= "a"\n',
            "a chain of 400 rules": "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(400)) + 'r400 ::= "a"\n',
            '"a"? x 50': "root ::= " + '"a"? ' * 50, '"a"? x 100': "root ::= " + '"a"? ' * 100, '"a"? x 200': "root ::= " + '"a"? ' * 200,
            "left recursion": 'root ::= root "a" | "a"', "a rule of itself": "root ::= root", "no root": 'x ::= "a"', "nothing": "",
            "a repetition of 10^9": 'root ::= "a"{1000000000}', "(a+)+b": 'root ::= (("a"+)+) "b"', "NUL in a class": "root ::= [\\x00-\\U0010ffff]*",
        }.items():
            self.fails_alone(name, GENERATE, self.grammar(text))

    def test_templates(self):
        for name, text in {
            "a loop of 10^9": "{% for i in range(1000000000) %}x{% endfor %}", "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "a text of 10^9": "{{ 'a' * 1000000000 }}", "recursion without end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "20,000 brackets": "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}", "not closed": "{% for x in y %}", "no template": "{{", "nested lists": "{{ " + "[" * 20000 + " }}",
        }.items():
            self.fails_alone(name, RENDER, {"template": text, "vars": {}})
        with open(e2e.LIGHT, "rb") as f:
            for name, text in {"a loop": "{% for i in range(1000000000) %}{% endfor %}", "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"}.items():
                self.tearDown()
                self.worker = Worker("llama")
                start = time.monotonic()
                kind, said = self.worker.ask(LOAD, load_body(template=text), f.fileno())
                print(f"loaded with a template of {name}: {kind} {said if kind is None else ''} {time.monotonic() - start:.2f} s")
                self.assertLess(time.monotonic() - start, 14)
                if kind is None:
                    known_ends(self, said)
        deep = "[" * 60 + "]" * 60
        self.fails_alone("deep variables", RENDER, {"template": "{{ x }}", "vars": {"x": json.loads(deep)}})


if __name__ == "__main__":
    e2e.main()
