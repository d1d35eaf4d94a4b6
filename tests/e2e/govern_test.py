#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The governance file of a running server: its chapters are the ones agreed on, and it changes when the system does."""
import json
import re
import unittest

import e2e

CHAPTERS = ["Governance file", "Which datasets for which teams", "Who can read them now", "How access is granted and audited",
            "People", "Teams", "Keys", "How model versions are tracked", "Workflows", "What approval updates need", "Versions, and who approved them", "Decision rules",
            "Certificates: what answers alone, and on what proof", "Rules in force", "Where a request may be answered", "What may pass", "Guard",
            "Limits and stop switches", "Other servers", "The record and its retention", "Where checkpoints left to",
            "Requirements"]
ROWS = {"EU AI Act": 8, "ISO/IEC 42001": 4, "NIST AI RMF": 4, "SOC 2": 4, "OWASP LLM 2026": 10}


class Govern(unittest.TestCase):
    def made(self, s, *words):
        done = e2e.inhouse("govern", *words, home=s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_file_says_what_the_system_is(self):
        with e2e.House() as s:
            before = self.made(s)
            self.assertEqual(re.findall(r"(?m)^#+ (.*)$", before), CHAPTERS)
            for framework, n in ROWS.items():
                rows = re.findall(rf"(?m)^\| {re.escape(framework)} \|.*$", before)
                self.assertEqual(len(rows), n, framework)
                for row in rows:
                    self.assertEqual(len(re.findall(r"(?<!\\)\|", row)), 7, row)
            self.assertIn("| test | default | admin |", before)
            self.assertIn("no certificate of conformity", before)
            self.assertNotIn("Unknown: this server did not say", before)
            plain = re.sub(r"(?m)^\|.* (GET|PUT|POST|DELETE) /api/v1/.*$", "", before)
            self.assertNotIn("{", re.sub(r"(?s)\| [a-z-]+ \| [a-z]+ when.*?\n", "", plain))
            self.assertIn("One person runs this server", before)

            # what changes in the system changes in the file
            status, answer = s.call("POST", "/api/v1/keys", {"name": "anna", "role": "approver", "team": "desk"})
            self.assertEqual(status, 201, answer)
            self.assertEqual(s.call("PUT", "/api/v1/workflows/shades", e2e.FORM.replace("colours", "shades"))[0], 200)
            for _ in range(3):
                self.assertEqual(s.task("red")[0], 200)
            after = self.made(s)
            self.assertNotIn("| anna | desk |", before)
            self.assertIn("| anna | desk | approver |", after)
            self.assertNotIn("One person runs this server", after)
            self.assertRegex(after, r"(?m)^\| shades \| [0-9a-f]{64} \|")
            kinds = dict(re.findall(r"(?m)^\| ([a-z\\_]+) \| (\d+) \|$", after))
            self.assertEqual(int(kinds["answered"]), 3)
            facts = json.loads(self.made(s, "--json"))
            self.assertEqual(sum(c["n"] for c in facts["counts"]), facts["records"])
            s.call("DELETE", "/api/v1/keys/anna")
            again = self.made(s)
            self.assertRegex(again, r"(?m)^\| anna \| desk \|.*\| 20\d\d-[^|]*\|$")
            self.assertIn("One person runs this server", again)

            # every change of the routes table is there, with whom it needs; rules and people as they are now
            paths = s.call("GET", "/api/v1/openapi.json", local=False)[1]["paths"]
            self.assertIn("| proposed only: it serves once another approves it | POST /api/v1/guard/rules |", again)
            for path in ("/api/v1/workflows/{workflow}", "/api/v1/users", "/api/v1/guard/rules/{release}/approve"):
                self.assertIn(path, paths)
                self.assertIn(path, again)
            self.assertIn("| no-keys-out | out | redact |", again)
            status, made = s.call("POST", "/api/v1/guard/rules", "name: ours\nrules:\n  - {name: cards-stay, find: card, verdict: redact}\n")
            self.assertEqual(status, 201, made)
            proposed = self.made(s)
            self.assertIn(f"| guard | {made['release']} | candidate |", proposed)
            self.assertNotIn("| cards-stay |", proposed)
            self.assertEqual(s.call("POST", f"/api/v1/guard/rules/{made['release']}/approve", {})[0], 200)
            self.assertEqual(s.call("POST", "/api/v1/users", {"name": "berta", "team": "default", "role": "member", "service": True})[0], 201)
            now = self.made(s)
            self.assertIn("| cards-stay | both | redact |", now)
            self.assertNotIn("| no-keys-out |", now)
            self.assertIn("| berta | service |", now)

            out = s.folder / "file"
            self.assertIn("governance.html", self.made(s, "--out", out))
            html = (out / "governance.html").read_text()
            self.assertIn("anna", html)
            self.assertNotIn("<script", html)
            self.assertEqual(html.count("<h1>") + html.count("<h2>") + html.count("<h3>"), len(CHAPTERS))
            self.assertEqual(e2e.inhouse("govern", "--format", "pdf", home=s.home).returncode, 2)


if __name__ == "__main__":
    e2e.main()
