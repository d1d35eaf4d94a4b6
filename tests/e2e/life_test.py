#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of a start: a busy port, another server, a wrong configuration, a home that cannot be used. Each
is one clear error with what to do, and a server that was there goes on."""
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import e2e
from e2e import server

WRONG = {  # the file, what must be named beside its line
    "an unknown key": ("log:\n  level: info\nlisten:\n  prot: 9\n", 4, "prot"),
    "an unknown section": ("log:\n  level: info\nlimts:\n  connections: 9\n", 3, "limts"),
    "a word for a number": ("listen:\n  port: eighty\n", 2, "port"),
    "a port too high": ("listen:\n  port: 65536\n", 2, "port"),
    "a negative limit": ("limits:\n  tasks_running: -1\n", 2, "tasks_running"),
    "2^64": ("limits:\n  tasks_running: 18446744073709551616\n", 2, "tasks_running"),
    "a level that is none": ("log:\n  level: loud\n", 2, "level"),
    "a public address": ("listen:\n  address: 0.0.0.0\n", 2, "address"),
    "a key twice": ("log:\n  level: info\n  level: warn\n", 3, "level"),
    "a list for a text": ("log:\n  level: [info]\n", 2, "level"),
    "an alias": ("log: &a\n  level: info\nlimits: *a\n", 1, ""),
    "a tab": ("log:\n\tlevel: info\n", 2, ""),
    "an open quote": ("log:\n  level: \"info\n", 2, ""),
    "an unset variable": ("listen:\n  address: os.environ/NO_SUCH_VARIABLE_HERE\n", 2, "NO_SUCH_VARIABLE_HERE"),
    "no UTF-8": (b"log:\n  level: \xff\xfe\n", None, ""),
    "an engine that is none": ("engine:\n  kind: magic\n", 2, "kind"),
}


def start(*options, timeout=30):
    """Starts a server that should not come up; returns how it ended and what it said."""
    done = subprocess.run([str(server.INHOUSED), "--engine", "fake", *map(str, options)], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr


class Config(unittest.TestCase):
    def test_wrong_configurations_name_line_and_key(self):
        with tempfile.TemporaryDirectory(prefix="ih-") as folder:
            path = Path(folder) / "inhouse.yaml"
            for name, (text, line, word) in WRONG.items():
                with self.subTest(name):
                    path.write_bytes(text if isinstance(text, bytes) else text.encode())
                    for more in (["--check-config"], ["--home", folder + "/h", "--listen", "127.0.0.1:0"]):
                        code, said = start("--config", path, *more)
                        self.assertEqual(code, 2, said)
                        self.assertIn("inhouse.yaml", said)
                        if line:
                            self.assertIn(f"line {line}", said)
                        self.assertIn(word, said)
                        self.assertFalse((Path(folder) / "h" / "data.db").exists(), "it began before it had read")
            code, said = start("--config", folder + "/none.yaml", "--home", folder + "/h")
            self.assertEqual(code, 2, said)
            self.assertIn("none.yaml", said)

    def test_all_errors_at_once(self):
        with tempfile.TemporaryDirectory(prefix="ih-") as folder:
            path = Path(folder) / "inhouse.yaml"
            path.write_text("listen:\n  prot: 9\nlog:\n  level: loud\nlimits:\n  connections: many\n")
            code, said = start("--check-config", "--config", path)
            self.assertEqual(code, 2)
            for line in (2, 4, 6):
                self.assertIn(f"line {line}", said)

    def test_options_that_make_no_sense(self):
        for options in (["--listen", "here"], ["--listen", "127.0.0.1:99999"], ["--listen", "0.0.0.0:0"], ["--linger", "-1"],
                        ["--listen-fd", "77"], ["--nonsense"], ["word"], ["--engine", "magic"]):
            with self.subTest(options), tempfile.TemporaryDirectory(prefix="ih-") as folder:
                code, said = start("--home", folder + "/h", *options)
                self.assertIn(code, (1, 2), said)
                self.assertTrue(said)


class Places(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ih-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, *options, word="", code=(1, 2)):
        got, said = start("--listen", "127.0.0.1:0", *options)
        self.assertIn(got, code, said)
        self.assertIn("server.not_started", said)
        self.assertIn("hint", said)
        self.assertIn(word, said)
        return said

    def test_a_busy_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            said = self.refused("--home", self.folder / "h", "--listen", f"127.0.0.1:{port}", word=f"port {port}")
            self.assertIn("--listen", said)
        self.assertFalse((self.folder / "h" / "sock").exists(), "a socket nobody listens on was left")

    def test_a_second_server_on_one_home(self):
        with e2e.House() as s:
            said = self.refused("--home", s.home, word=str(s.process.pid))
            self.assertIn("--home", said)
            self.assertEqual(s.task("the first one goes on")[0], 200)
            self.assertTrue((s.home / "sock").exists())
            # by another name for the same folder
            (self.folder / "link").symlink_to(s.home)
            self.refused("--home", self.folder / "link", word=str(s.process.pid))
            self.assertEqual(s.chat("and on")[0], 200)

    def test_homes_that_cannot_be_used(self):
        (self.folder / "file").write_text("no folder")
        self.refused("--home", self.folder / "file", word="file")
        self.refused("--home", self.folder / "file" / "below")
        self.refused("--home", "/proc/nowhere")
        (self.folder / "dangling").symlink_to(self.folder / "nothing" / "there")
        self.refused("--home", self.folder / "dangling")

    def test_a_path_too_long_for_a_socket(self):
        deep = self.folder / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True, mode=0o700)
        said = self.refused("--home", deep)
        self.assertRegex(said, "too long")
        self.refused("--home", self.folder / ("x" * 200) / ("y" * 200) / ("z" * 200))
        self.refused("--home", "/" + "x" * 5000)

    @unittest.skipUnless(os.geteuid() == 0, "changing owners needs root")
    def test_a_home_of_somebody_else(self):
        home = self.folder / "h"
        home.mkdir(mode=0o700)
        os.chown(home, 65534, 65534)
        self.refused("--home", home, word=str(home))

    def test_a_home_that_others_may_write(self):
        home = self.folder / "h"
        home.mkdir()
        home.chmod(0o777)
        code, said = start("--home", home, "--listen", "127.0.0.1:0", "--linger", "1")
        if code == 0:  # taken over: then it must be closed to others from now on
            self.assertEqual(home.stat().st_mode & 0o077, 0, said)
        else:
            self.assertIn("hint", said)

    def test_data_that_is_not_ours(self):
        for name, data in {"text": b"this is no database, it is a letter\n" * 100, "zeros": bytes(8192), "empty": b""}.items():
            with self.subTest(name):
                home = self.folder / name
                home.mkdir(mode=0o700)
                (home / "data.db").write_bytes(data)
                code, said = start("--home", home, "--listen", "127.0.0.1:0", "--linger", "1")
                if name == "empty":
                    self.assertEqual(code, 0, said)  # SQLite takes an empty file for a new one
                    continue
                self.assertEqual(code, 1, said)
                self.assertIn("data.db", said)
                self.assertEqual((home / "data.db").read_bytes(), data, "what was there was changed")

    def test_files_that_went_missing(self):
        """keys.db or the master key gone: the record cannot be continued, so nothing is made up."""
        with e2e.House() as s:
            s.task("the red one")
            self.assertEqual(s.stop(), 0)
            remade = ("data.db", "setup.token")  # the token is good once, and another one is written
            for path in sorted(p for p in s.home.iterdir() if p.is_file() and p.name not in remade and not p.name.endswith("lock")):
                with self.subTest(path.name):
                    away = s.folder / path.name
                    path.rename(away)
                    code, said = start("--home", s.home, "--listen", "127.0.0.1:0", "--linger", "1")
                    for new in s.home.glob(path.name):
                        new.unlink()
                    away.rename(path)
                    if path.name.endswith(("-wal", "-shm")):
                        continue
                    self.assertEqual(code, 1, f"{path.name} was missing and it started all the same: {said[-800:]}")
                    self.assertIn(path.name, said)
            s.start()
            self.assertEqual(s.task("the red one")[0], 200)
            self.assertEqual(s.stop(), 0)
            self.assertTrue(s.verify()["ok"])

    def test_a_worker_that_is_not_there(self):
        """inhoused alone in a folder: it says that its other half is missing."""
        alone = self.folder / "bin"
        alone.mkdir()
        shutil.copy2(server.INHOUSED, alone / "inhoused")
        done = subprocess.run([alone / "inhoused", "--engine", "fake", "--home", self.folder / "h",
                               "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("inhouse-worker", done.stderr)
        self.assertIn("hint", done.stderr)


if __name__ == "__main__":
    e2e.main()
