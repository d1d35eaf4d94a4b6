#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk under the server: nothing is answered without its record, each refusal says so, reading goes on, and when
there is room again work goes on without a restart. Needs root for a small file system; else skipped."""
import shutil
import subprocess
import sys
import threading
import unittest

import e2e

SIZE = 12 << 20


def mount(folder):
    folder.mkdir(mode=0o700, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", folder],
                          capture_output=True).returncode == 0


class DiskFull(unittest.TestCase):
    def setUp(self):
        self.house = e2e.House(prepare=self.prepare)

    def prepare(self, s):
        if not mount(s.home):
            self.skipTest("mounting a small file system needs root")
        # run after the server has ended and its folder was emptied as far as that goes
        self.addCleanup(shutil.rmtree, s.folder, ignore_errors=True)
        self.addCleanup(subprocess.run, ["umount", s.home], check=True)

    @staticmethod
    def fill(s):
        """A file that takes all that is left; removing it makes room again."""
        ballast = s.home / "ballast"
        with open(ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(65536))
            except OSError:
                pass
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass
        return ballast

    def is_refusal(self, result, what):
        status, answer = result
        self.assertIn((status, answer["error"]["code"]), ((507, "disk_full"), (503, "record_unavailable")), (what, answer))
        self.assertTrue(answer["error"]["hint"], (what, answer))

    def until_full(self, s):
        """Journals have a little room of their own: asks until the first refusal. Returns what was answered before it."""
        answered = []
        for i in range(3000):
            result = s.task(f"the red one {i}", key=f"fill-{len(answered)}-{i}-{id(answered)}")
            if result[0] != 200:
                self.is_refusal(result, "a task")
                return answered
            answered.append(result[1])
        self.fail("the disk never was full")

    def test_nothing_is_answered_without_its_record(self):
        answered = []
        with self.house as s:
            for n in range(3):
                answered.append(s.task(f"before {n}")[1])
                ballast = self.fill(s)
                answered += self.until_full(s)
                # every door at once
                doors = [lambda i: s.task(f"full {n} {i}", key=f"full-{n}-{i}"), lambda i: s.chat(f"full {i}"),
                         lambda i: s.call("POST", "/v1/embeddings", {"model": "embed", "input": f"full {i}"}),
                         lambda i: s.call("POST", "/api/v1/keys", {"name": f"full-{n}-{i}"}),
                         lambda i: s.call("PUT", "/api/v1/workflows/colours", e2e.FORM + f"# {n} {i}\n")]
                results = e2e.at_once(lambda i: (i, doors[i % 5](i)), list(range(40)), threads=20)
                for i, result in results:
                    if result[0] >= 300:
                        self.is_refusal(result, i)
                    elif i % 5 == 0:
                        answered.append(result[1])  # it found a little room: then it must be there
                st = s.stream("full, streamed")
                got = st.read_all()
                st.close()
                if not got.startswith(b"HTTP/1.1 200"):
                    self.assertRegex(got[:12], rb"HTTP/1.1 50[37]")
                    self.assertNotIn(b"data: ", got, "bytes left before their record")
                # reading goes on, and the failure can be seen
                self.assertEqual(s.call("GET", "/health")[0], 200)
                status = s.status()
                self.assertGreater(status["store"]["failed_commits"], 0)
                self.assertEqual(s.call("GET", f"/api/v1/tasks/{answered[0]['id']}"), (200, answered[0]))
                self.assertEqual(s.call("GET", "/api/v1/artifacts")[0], 200)
                ballast.unlink()
                # without a restart; the same key that was refused is free
                for i in range(0, 40, 5):
                    status, answer = s.task(f"full {n} {i}", key=f"full-{n}-{i}")
                    self.assertEqual(status, 200, answer)
                    answered.append(answer)
                self.assertEqual(s.chat("room again")[0], 200)
            said = s.said()
            self.assertEqual(s.stop(), 0, said)
            self.assertTrue(s.verify()["ok"])
            s.start()
            leaves = {r["task"] for r in s.records() if r["kind"] == "answered"}
            for answer in answered:
                self.assertEqual(s.call("GET", f"/api/v1/tasks/{answer['id']}"), (200, answer))
                self.assertIn(answer["id"], leaves)
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])
        print(f"{len(answered)} answers, 3 times a full disk, 0 lost")

    def test_kill_on_a_full_disk(self):
        with self.house as s:
            answered = [s.task(f"before {i}")[1] for i in range(5)]
            ballast = self.fill(s)
            answered += self.until_full(s)
            t = threading.Thread(target=lambda: e2e.at_once(lambda i: s.task(f"x{i}"), list(range(16)), threads=16))
            t.start()
            s.kill()
            t.join()
            # it cannot start, and says why; or it starts and serves what is there
            try:
                s.start()
            except RuntimeError as e:
                self.assertRegex(str(e), "full|space|room")
                self.assertIn("hint", str(e))
            ballast.unlink()
            if s.process is None or s.process.poll() is not None:
                s.process = None
                s.start()
            for answer in answered:
                self.assertEqual(s.call("GET", f"/api/v1/tasks/{answer['id']}"), (200, answer))
            self.assertEqual(s.task("after")[0], 200)
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])

    def test_the_first_start_on_a_full_disk(self):
        def prepare(s):
            self.prepare(s)
            self.fill(s)
        self.house.prepare = prepare
        try:
            with self.house as s:
                self.fail(f"started on a full disk: {s.said()}")
        except RuntimeError as e:
            self.assertRegex(str(e), "full|space|room")
            self.assertIn("server.not_started", str(e))


if __name__ == "__main__":
    import os
    import tempfile
    from pathlib import Path
    probe = Path(tempfile.mkdtemp(prefix="ih-"))
    can = sys.platform == "linux" and mount(probe)
    if can:
        subprocess.run(["umount", probe], check=True)
    os.rmdir(probe)
    if not can:
        print("skipped: mounting a small file system needs root")
        sys.exit(77)
    e2e.main()
