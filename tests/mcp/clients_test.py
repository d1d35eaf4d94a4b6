#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official clients of the Model Context Protocol against a real server: list, call, read, in both eras."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import e2e  # noqa: E402

CLIENTS = e2e.FETCHED / "mcp"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = e2e.House().__enter__()
        cls.folder = tempfile.TemporaryDirectory()
        shutil.copy(HERE / "client.mjs", cls.folder.name)  # modules are found beside the script
        os.symlink(CLIENTS / "node_modules", Path(cls.folder.name) / "node_modules")

    @classmethod
    def tearDownClass(cls):
        cls.house.__exit__()
        cls.folder.cleanup()

    def run_client(self, *command):
        url = f"http://127.0.0.1:{self.house.port}/mcp"
        done = subprocess.run([*command[:2], url, self.house.key, command[2]], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def check(self, saw, version):
        self.assertEqual(saw["version"], version)
        self.assertEqual(saw["server"], "inhouse")
        self.assertTrue(saw["instructions"])
        self.assertEqual(saw["tools"], sorted(saw["tools"]))
        self.assertIn("colours", saw["tools"])
        self.assertIn("ticket-triage", saw["tools"])
        self.assertEqual(saw["schema"]["required"], ["task", "artifact", "state", "fields", "draft"])
        # the client itself holds the answer to the tool's output schema; the values are the form's
        self.assertFalse(saw["is_error"])
        self.assertIn(saw["structured"]["fields"]["colour"]["value"], ["red", "green", "blue", "yellow", None])
        self.assertEqual(saw["structured"]["fields"]["colour"]["rung"], "person")
        self.assertEqual(saw["wrong"][0], True)
        self.assertIn("text", saw["wrong"][1])
        self.assertIn("nknown tool", saw["refused"])
        self.assertIn(saw["link"], saw["resources"])
        self.assertEqual(saw["templates"], ["inhouse://artifacts/{artifact}"])
        self.assertEqual(saw["read"]["artifact"], saw["structured"]["artifact"])
        self.assertEqual(saw["read"]["task"], saw["structured"]["task"])
        self.assertIn("the sea", saw["read"]["input"])

    def test_python(self):
        python = str(CLIENTS / "venv" / "bin" / "python")
        self.check(self.run_client(python, str(HERE / "client.py"), "auto"), "2026-07-28")
        self.check(self.run_client(python, str(HERE / "client.py"), "legacy"), "2025-11-25")

    def test_typescript(self):
        script = str(Path(self.folder.name) / "client.mjs")
        self.check(self.run_client("node", script, "auto"), "2026-07-28")
        self.check(self.run_client("node", script, "legacy"), "2025-11-25")
        self.check(self.run_client("node", script, "v1"), "2025-11-25")


if __name__ == "__main__":
    if not (CLIENTS / "made-from").is_file() or not shutil.which("node"):
        print(f"skipped: {CLIENTS} is missing: tools/mcp-clients makes it")
        sys.exit(77)
    e2e.main()
