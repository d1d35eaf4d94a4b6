#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The doctor and the clock: red once the record is a day old and no checkpoint left this machine within one, whatever lies on
its own disk; green again when one left. The clock is moved by a library of a few lines in front of clock_gettime. And the
master key as systemd hands it over."""
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import e2e

MOVED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *by = getenv("TEST_MOVE_S");
    int got = real(id, t);
    if (by != NULL && id == CLOCK_REALTIME) {
        t->tv_sec += atol(by);
    }
    return got;
}
"""
HOUR = 3600


def can_compile():
    return shutil.which("cc") is not None


class Doctor(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = Path(held.name)

    def moved(self):
        source, library = self.folder / "moved.c", self.folder / "moved.so"
        source.write_text(MOVED)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        return library

    def says(self, home, hours):
        """The doctor's line of checkpoints so many hours from now, and its exit status."""
        env = {**os.environ, "INHOUSE_HOME": str(home), "LD_PRELOAD": str(self.library), "TEST_MOVE_S": str(int(hours * HOUR)),
               "ASAN_OPTIONS": "verify_asan_link_order=0"}
        env.pop("INHOUSE_URL", None)
        done = subprocess.run([str(e2e.INHOUSE), "doctor"], env=env, capture_output=True, text=True)
        line = [x for x in done.stdout.splitlines() if re.search(r"\bcheckpoint\b", x)]
        self.assertEqual(len(line), 1, done.stdout + done.stderr)
        return line[0], done.returncode

    @unittest.skipUnless(can_compile(), "no compiler for the moved clock")
    def test_red_after_a_day_without_a_checkpoint_outside(self):
        self.library = self.moved()
        with e2e.House() as s:
            self.assertEqual(s.task("red")[0], 200)
            self.assertEqual(s.stop(), 0)
            self.assertTrue(list((s.home / "checkpoints").glob("*.note")), "one lies on the same disk")
            line, _ = self.says(s.home, 0)
            self.assertIn("none left this machine yet", line)
            fresh = line.split()[0]
            line, _ = self.says(s.home, 23)
            self.assertEqual(line.split()[0], fresh)
            line, code = self.says(s.home, 25)
            self.assertNotEqual(line.split()[0], fresh, line)
            self.assertIn("none left this machine: set", line)
            self.assertNotEqual(code, 0)
            outside = Path("/dev/shm")  # another device: what a mount of another machine is to this test
            if not outside.is_dir() or outside.stat().st_dev == s.home.stat().st_dev:
                self.skipTest("no second device for the notes")
            notes = outside / f"ih-notes-{secrets.token_hex(6)}"
            self.addCleanup(shutil.rmtree, notes, True)
            s.text = f"audit: {{note_folder: '{notes}'}}\n"
            (s.folder / "inhouse.yaml").write_text(s.text)
            s.start()
            self.assertEqual(s.task("green")[0], 200)
            self.assertEqual(s.stop(), 0)
            line, _ = self.says(s.home, 23)
            self.assertEqual(line.split()[0], fresh, line)
            self.assertIn("left this machine at", line)
            line, code = self.says(s.home, 25)
            self.assertNotEqual(line.split()[0], fresh, line)
            self.assertNotEqual(code, 0)

    def test_the_master_key_of_systemds_credentials(self):
        """$CREDENTIALS_DIRECTORY/inhouse-master.key is used instead of a file beside the data, and none is made there."""
        with e2e.House() as s:
            self.assertEqual(s.task("red")[0], 200)
            self.assertEqual(s.stop(), 0)
            own = sorted(p for p in s.home.rglob("*master*") if p.is_file() and p.stat().st_size < 4096)
            self.assertTrue(own, "the key's file")
            given = self.folder / "credentials"
            given.mkdir(mode=0o700)
            shutil.move(own[0], given / "inhouse-master.key")
            os.chmod(given / "inhouse-master.key", 0o400)
            os.environ["CREDENTIALS_DIRECTORY"] = str(given)
            self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY", None)
            s.start()
            self.assertEqual(s.task("green")[0], 200)
            self.assertEqual(s.stop(), 0)
            self.assertFalse(own[0].exists(), "none was made beside the data")
            self.assertEqual(e2e.inhouse("audit", "verify", home=s.home).returncode, 0)


if __name__ == "__main__":
    e2e.main()
