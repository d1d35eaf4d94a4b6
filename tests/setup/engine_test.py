#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which engine is fetched, checked and linked: by machine, by ENGINE, by what CUDA runtime there is. Nothing is downloaded."""
import hashlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def load_setup():
    loader = importlib.machinery.SourceFileLoader("inhouse_setup", str(ROOT / "tools" / "setup.py"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def packed(names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo("package/" + name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
    return data.getvalue()


class Machine:
    """Stands in for the platform module."""

    def __init__(self, machine):
        self.machine = lambda: machine


class Choice(unittest.TestCase):
    def test_each_machine_gets_its_own_package(self):
        setup = load_setup()
        for machine, package in (("x86_64", "@node-llama-cpp/linux-x64"), ("aarch64", "@node-llama-cpp/linux-arm64")):
            setup.platform = Machine(machine)
            engines = [a["package"] for a in setup.archives_of("engine")[0] if a["make"] == "engine"]
            self.assertEqual(engines, [package])
        setup.platform = Machine("riscv64")
        with self.assertRaisesRegex(setup.Failed, "aarch64 and x86_64.*ENGINE=source"):
            setup.archives_of("engine")
        setup.platform = Machine("aarch64")
        with self.assertRaisesRegex(setup.Failed, "engine-cuda is pinned for aarch64, only for x86_64"):
            setup.archives_of("engine-cuda")

    def test_every_archive_is_pinned_by_size_and_hash(self):
        setup = load_setup()
        for lock in ("engine", "engine-cuda"):
            with open(ROOT / "third_party" / f"{lock}.lock", "rb") as f:
                for a in setup.tomllib.load(f)["archive"]:
                    self.assertRegex(a["sha256"], "^[0-9a-f]{64}$", a["package"])
                    self.assertGreater(a["bytes"], 1000)
                    self.assertIn(a["version"], a["file"])

    def test_an_unknown_engine_is_wrong_use(self):
        done = subprocess.run([sys.executable, str(ROOT / "tools/setup.py"), "engine", "--status"], capture_output=True,
                              text=True, env=dict(os.environ, ENGINE="tpu"), timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("prebuilt, cuda, source or system", done.stderr)

    def test_the_engine_chosen_adds_its_part(self):
        done = subprocess.run([sys.executable, str(ROOT / "tools/setup.py"), "engine", "--status"], capture_output=True,
                              text=True, env=dict(os.environ, ENGINE="cuda", INHOUSE_FETCHED="/nonexistent"), timeout=60)
        self.assertEqual(done.stdout.splitlines(), ["engine: not ready", "engine-cuda: not ready"])


class Cuda(unittest.TestCase):
    def setUp(self):
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.setup = load_setup()
        self.setup.LOCKS = self.home
        self.setup.FETCHED = self.home / "fetched"
        self.setup.platform = Machine("x86_64")
        self.setup.TRIES = 1
        self.asked = []
        libraries = [f"bins/linux-x64-cuda/{n}" for n in ("libggml-base.so", "libggml-cuda.so", "libggml.cuda.v0.5.0.so",
                                                          "libllama-common.so", "libllama.cuda.v0.5.0.so", "llama-addon.node")]
        self.archives = {"base.tgz": packed(libraries + ["LICENSE"]),
                         "ext.tgz": packed(["bins/linux-x64-cuda/fallback/libggml-cuda.so", "LICENSE"])}
        self.lock()
        self.setup.CLIENTS["npm"] = self.npm
        self.options = type("O", (), {"archives": None, "verify": False})
        self.board = self.setup.Board(True)

    def lock(self):
        text = ""
        for name, data in self.archives.items():
            text += (f'[[archive]]\nclient = "npm"\npackage = "{name[:-4]}"\nversion = "1"\nfile = "{name}"\nbytes = {len(data)}\n'
                     f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nmachine = "x86_64"\nmake = "engine-cuda"\n')
            text += 'when = "cuda12"\n' if name == "ext.tgz" else ""
        (self.home / "engine-cuda.lock").write_text(text)

    def npm(self, a, folder):
        self.asked.append(a["package"])
        (folder / a["file"]).write_bytes(self.archives[a["file"]])

    def run_setup(self, runtimes):
        self.setup.cuda_runtimes = lambda: runtimes
        self.setup.setup_engine_cuda(self.options, self.board)
        made = self.home / "fetched/engine-cuda"
        return sorted(str(p.relative_to(made)) for p in made.rglob("*") if p.is_file())

    def test_with_runtime_13_one_package_is_enough(self):
        made = self.run_setup({"13", "12"})
        self.assertEqual(self.asked, ["base"])
        self.assertIn("libggml-cuda.so", made)
        self.assertFalse(any(n.startswith("fallback") or n.endswith(".node") for n in made))
        self.assertTrue(self.setup.ready("engine-cuda", self.options))

    def test_with_runtime_12_the_second_one_lies_beside(self):
        made = self.run_setup({"12"})
        self.assertEqual(self.asked, ["base", "ext"])
        self.assertIn("fallback/libggml-cuda.so", made)

    def test_another_hash_is_refused_and_nothing_is_kept(self):
        self.archives["base.tgz"] = packed(["bins/x/libggml-cuda.so"])
        with self.assertRaisesRegex(self.setup.Failed, "base.tgz: sha256 is"):
            self.run_setup({"13"})
        self.assertFalse((self.home / "fetched/engine-cuda").exists())
        self.assertFalse(self.setup.ready("engine-cuda", self.options))


class Link(unittest.TestCase):
    def setUp(self):
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)

    def engine(self, folder, *names):
        (self.home / folder).mkdir(parents=True)
        for name in names:
            (self.home / folder / name).write_text("")
        return self.home / folder

    def cmake(self, kind, path=""):
        script = self.home / "x.cmake"
        script.write_text(f'set(INHOUSE_FETCHED {self.home})\ninclude({ROOT}/cmake/engine.cmake)\ninhouse_find_engine({kind} folder)\n'
                          'inhouse_engine_libraries(${folder} linked all)\nmessage("linked: ${linked}")\n')
        done = subprocess.run(["cmake", "-P", str(script)], capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, PATH=f"{path}:{os.environ['PATH']}"))
        return done.returncode, " ".join(done.stderr.split())

    def test_each_engine_is_found_by_its_own_names(self):
        self.engine("engine", "libllama-common.so", "libllama.v0.5.0.so", "libggml.v0.5.0.so", "libggml-base.so", "libggml-cpu-x64.so")
        self.engine("engine-cuda", "libllama-common.so", "libllama.cuda.v0.5.0.so", "libggml.cuda.v0.5.0.so", "libggml-base.so",
                    "libggml-cuda.so")
        self.engine("engine-source", "libllama-common.so", "libllama.so", "libggml.so", "libggml-base.so", "libggml-cpu.so")
        for kind, folder, names in (("prebuilt", "engine", "libllama.v0.5.0.so"), ("cuda", "engine-cuda", "libllama.cuda.v0.5.0.so"),
                                    ("source", "engine-source", "libllama.so")):
            status, said = self.cmake(kind)
            self.assertEqual(status, 0, said)
            self.assertIn(f"{self.home}/{folder}/{names}", said)
            self.assertEqual(said.count(".so"), 4, said)

    def test_a_missing_engine_says_what_to_type(self):
        status, said = self.cmake("cuda")
        self.assertNotEqual(status, 0)
        self.assertIn("make ENGINE=cuda setup", said)
        self.assertIn("prebuilt, cuda, source or system", self.cmake("tpu")[1])

    def test_two_engines_in_one_folder_are_refused(self):
        self.engine("engine", "libllama-common.so", "libllama.v0.5.0.so", "libllama.so", "libggml.so", "libggml-base.so")
        status, said = self.cmake("prebuilt")
        self.assertNotEqual(status, 0)
        self.assertIn("holds 2 libraries", said)

    def test_the_systems_own_must_be_the_pinned_version(self):
        there = self.engine("lib", "libllama.so", "libggml.so", "libggml-base.so")
        tools = self.engine("tools")

        def pkg_config(version):
            (tools / "pkg-config").write_text(f'#!/bin/sh\n[ "$1" = --modversion ] && echo {version} && exit 0\necho {there}\n')
            (tools / "pkg-config").chmod(0o755)
        pkg_config("0.4.9")
        status, said = self.cmake("system", tools)
        self.assertNotEqual(status, 0)
        self.assertIn("is 0.4.9, and 0.5.0 is needed", said)
        pkg_config("0.5.0")
        self.assertIn("libllama-common.so", self.cmake("system", tools)[1])
        (there / "libllama-common.so").write_text("")
        status, said = self.cmake("system", tools)
        self.assertEqual(status, 0, said)
        self.assertIn(f"{there}/libllama.so", said)


if __name__ == "__main__":
    unittest.main()
