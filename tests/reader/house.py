# SPDX-License-Identifier: Apache-2.0
"""Calls `inhouse read`, as people do."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build")
INHOUSE = BUILD / "bin" / "inhouse"
DATA = Path(os.environ.get("INHOUSE_DATA") or "/nonexistent")


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def read(document, name="document", *options):
    """document: bytes or a path. The answer as JSON, or Refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = document
        if isinstance(document, (bytes, str)):
            path = Path(folder) / name
            path.write_bytes(document if isinstance(document, bytes) else document.encode())
        done = subprocess.run([str(INHOUSE), "read", str(path), "--json", *options], capture_output=True, timeout=60)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode != 3:
        raise AssertionError(f"exit {done.returncode}: {done.stderr[-500:]}")
    error = json.loads(done.stderr)["error"]
    raise Refused(error["code"], error["message"] + " " + error["hint"])


def texts(answer, *kinds):
    return [b["text"] for b in answer["blocks"] if not kinds or b["kind"] in kinds]


def meta(answer, key):
    return [m["value"] for m in answer["meta"] if m["key"] == key]


def main():
    if not INHOUSE.is_file() or not (BUILD / "bin" / "inhouse-reader").is_file():
        print(f"skipped: inhouse and inhouse-reader are not built in {BUILD}")
        sys.exit(77)
    unittest.main()
