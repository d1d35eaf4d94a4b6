#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decoded prompts on disk: only released text is there, it is warm after a restart, damage only costs warmth."""
import time
import unittest

import e2e


def states(s):
    return sorted((s.home / "states").glob("*.state"))


def wait_for_files(s, n):
    end = time.monotonic() + 10
    while len(states(s)) < n and time.monotonic() < end:
        time.sleep(0.02)
    return states(s)


class Warm(unittest.TestCase):
    def warmed(self, s):
        return s.wait(lambda g: g["roles"]["light"]["state"] == "ready")["roles"]["light"]["warmed"]

    def restart(self, s):
        self.assertEqual(s.stop(), 0)
        s.start()
        return self.warmed(s)

    def test_a_workflow_is_warm_after_a_restart_and_inputs_are_nowhere(self):
        with e2e.House() as s:
            self.assertEqual(self.warmed(s), 0)
            self.assertEqual(s.task("my purple umbrella-4711 is lost", rungs=["light"])[0], 200)
            files = wait_for_files(s, 1)
            self.assertEqual(len(files), 1)
            self.assertEqual(files[0].stat().st_mode & 0o777, 0o600)
            self.assertEqual(files[0].parent.stat().st_mode & 0o777, 0o700)
            # what callers write themselves is no released text
            self.assertEqual(s.chat("a chat about the umbrella-4711")[0], 200)
            self.assertEqual(s.task("another umbrella-4711", rungs=["light"])[0], 200)
            self.assertEqual(self.restart(s), 1)
            self.assertEqual(len(states(s)), 1)
            for file in states(s):
                self.assertNotIn(b"umbrella-4711", file.read_bytes())
                self.assertIn(b"colour", file.read_bytes())

    def test_each_team_has_its_own(self):
        with e2e.House() as s:
            self.assertEqual(s.task("one", rungs=["light"])[0], 200)
            wait_for_files(s, 1)
            made = s.call("POST", "/api/v1/keys", {"name": "other", "team": "other-team", "role": "member"})[1]
            body = {"workflow": "colours", "input": {"text": "two"}, "artifact": False, "rungs": ["light"]}
            status, _ = s.call("POST", "/api/v1/tasks", body, headers={"Authorization": "Bearer " + made["key"]}, local=False)
            self.assertEqual(status, 200)
            files = wait_for_files(s, 2)
            domains = {line for f in files for line in (f.read_bytes().split(b"\n")[1],)}
            self.assertEqual(len(domains), 2)
            self.assertTrue(any(b"other-team/" in d for d in domains))
            self.assertEqual(self.restart(s), 2)

    def test_a_flipped_bit_is_refused_logged_and_made_good(self):
        with e2e.House() as s:
            self.assertEqual(s.task("one", rungs=["light"])[0], 200)
            file = wait_for_files(s, 1)[0]
            whole = file.read_bytes()
            for at in (3, len(whole) // 2, len(whole) - 1):
                self.assertEqual(s.stop(), 0)
                damaged = bytearray(whole)
                damaged[at] ^= 4
                file.write_bytes(damaged)
                s.start()
                self.assertEqual(self.warmed(s), 0, at)
                self.assertIn("states.refused", s.said())
                self.assertEqual(s.task("two %d" % at, rungs=["light"])[0], 200)
                self.assertEqual(wait_for_files(s, 1), [file])
            self.assertEqual(self.restart(s), 1)

    def test_another_server_cannot_use_the_folder(self):
        with e2e.House() as s:
            self.assertEqual(s.task("one", rungs=["light"])[0], 200)
            file = wait_for_files(s, 1)[0]
            stolen = file.read_bytes()
        with e2e.House() as s:
            self.assertEqual(s.stop(), 0)
            (s.home / "states" / file.name).write_bytes(stolen)
            s.start()
            self.assertEqual(self.warmed(s), 0)
            self.assertFalse((s.home / "states" / file.name).exists())

    def test_none_is_kept_when_it_is_switched_off(self):
        with e2e.House(config="engine: {prefix_disk_mb: 0}\n") as s:
            self.assertEqual(s.task("one", rungs=["light"])[0], 200)
            time.sleep(0.3)
            self.assertEqual(states(s), [])
            self.assertEqual(self.restart(s), 0)


if __name__ == "__main__":
    e2e.main()
