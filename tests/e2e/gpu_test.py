#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine with CUDA on a machine that cannot use it: the worker serves on the CPU, tightly sealed, and says why once."""
import json
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import e2e

ENGINE = e2e.BUILD / "lib" / "inhouse-engine"


class NoDevice(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ih-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for library in ENGINE.glob("*.so"):
            if library.name != "libggml-cuda.so":
                (self.folder / library.name).symlink_to(library.resolve())

    def hello(self):
        """What a worker over this engine says first, and on stderr."""
        ours, its = socket.socketpair()
        command = f"exec 3<&{its.fileno()}; exec {e2e.BUILD}/bin/inhouse-worker --engine llama --engine-dir {self.folder}"
        worker = subprocess.Popen(["bash", "-c", command], pass_fds=[its.fileno()], stderr=subprocess.PIPE, text=True)
        its.close()
        ours.settimeout(30)
        head = ours.recv(16, socket.MSG_WAITALL)
        body = ours.recv(struct.unpack("<I", head[:4])[0], socket.MSG_WAITALL)
        ours.close()
        said = worker.stderr.read()
        worker.stderr.close()
        self.assertEqual(worker.wait(30), 0)
        return json.loads(body), said

    def test_a_plain_engine_says_nothing(self):
        hello, said = self.hello()
        self.assertEqual((hello["sandbox"]["gpus"], said), (0, ""))

    def test_a_backend_that_cannot_be_opened(self):
        (self.folder / "libggml-cuda.so").write_bytes(b"\x7fELF no library")
        hello, said = self.hello()
        self.assertEqual(hello["sandbox"]["gpus"], 0)
        self.assertTrue(hello["sandbox"]["seccomp"])
        self.assertEqual(said.count("engine.no_gpu"), 1, said)
        self.assertIn("serves on the CPU", said)
        self.assertIn("libggml-cuda.so", said, "the loader's reason")

    def test_the_one_for_the_older_runtime_is_tried_too(self):
        (self.folder / "fallback").mkdir()
        for place in (self.folder, self.folder / "fallback"):
            (place / "libggml-cuda.so").write_bytes(b"\x7fELF no library")
        self.assertEqual(self.hello()[1].count("engine.no_gpu"), 1)


if __name__ == "__main__":
    e2e.main()
