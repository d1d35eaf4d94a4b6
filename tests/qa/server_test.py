#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""qa-regression through a server: the example's runs as a job, its artifact and outputs; real reports against one another, each output valid, every test name in it a
report's; what is no report is refused with its name and line. The fake engine. Needs INHOUSE_BUILD; the real reports INHOUSE_DATA."""
import base64
import glob
import json
import os
import re
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import e2e  # noqa: E402

EXAMPLE = e2e.SOURCE / "examples" / "qa"
DATA = Path(os.environ.get("INHOUSE_DATA") or e2e.SOURCE.parent / "shared" / "data") / "test_reports"
OUTPUTS = ["ctrf.json", "github-check.json", "regression.json", "report.md"]


def load(role, path):
    return {"role": role, "name": Path(path).name, "base64": base64.b64encode(Path(path).read_bytes()).decode()}


class Regression(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def run_job(self, inputs):
        status, job = self.s.call("POST", "/api/v1/jobs", {"workflow": "qa-regression", "inputs": inputs})
        self.assertIn(status, (200, 201, 202), job)
        path = "/api/v1/jobs/" + job["job"]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status, job = self.s.call("GET", path)
            self.assertEqual(status, 200, job)
            if job["state"] not in ("queued", "leased"):
                return job
            time.sleep(0.05)
        self.fail("the job does not end: %r" % job)

    def output(self, job, name):
        status, got = self.s.call("GET", "/api/v1/jobs/%s/outputs/%s" % (job["job"], name))
        self.assertEqual(status, 200, got)
        return got

    def test_the_example(self):
        job = self.run_job([load("new", EXAMPLE / "new.xml"), load("base", EXAMPLE / "base.xml"), load("history", EXAMPLE / "history-1.xml"),
                            load("history", EXAMPLE / "history-2.xml"), load("owners", EXAMPLE / "CODEOWNERS")])
        self.assertEqual(job["state"], "done", job)
        self.assertEqual(sorted(o["name"] for o in job["outputs"] if o["name"] != "artifact.json"), OUTPUTS)
        self.assertTrue({"read", "compare", "write"} <= {s["name"] for s in job["steps"]}, job["steps"])
        result = self.output(job, "regression.json")
        self.assertEqual(result["verdict"], "blocked")
        self.assertEqual(result["classes"]["new_failure"], 5)
        self.assertEqual(result["classes"]["fixed"], 1)
        self.assertEqual(result["groups"][0]["cause"], "infrastructure")
        self.assertTrue(all(s["kept"] for s in result["sentences"] if s["by"] == "code"), result["sentences"])
        status, artifact = self.s.call("GET", "/api/v1/artifacts/" + job["artifact"])
        self.assertEqual(status, 200, artifact)

    def test_what_is_no_report_is_refused(self):
        job = self.run_job([load("new", EXAMPLE / "CODEOWNERS")])
        self.assertEqual(job["state"], "failed", job)
        self.assertIn("CODEOWNERS", json.dumps(job))
        self.assertIn("line 1", json.dumps(job))
        xxe = b'<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/hostname">]><testsuite name="&x;"><testcase name="a"/></testsuite>'
        job = self.run_job([{"role": "new", "name": "x.xml", "base64": base64.b64encode(xxe).decode()}])
        self.assertEqual(job["state"], "failed", job)
        self.assertIn("entity", json.dumps(job))

    def test_real_reports(self):
        files = sorted(glob.glob(str(DATA / "enricomi" / "junit-xml" / "pytest" / "junit.*.xml")) + glob.glob(str(DATA / "dorny" / "*.json")))
        if not files:
            self.skipTest("there are no test reports in %s" % DATA)
        try:
            import jsonschema
        except ImportError:
            jsonschema = None
        schema = json.loads((DATA / "ctrf" / "schema" / "ctrf.schema.json").read_text())
        named = 0
        for old, new in zip(files, files[1:]):
            job = self.run_job([load("new", new), load("base", old)])
            self.assertEqual(job["state"], "done", (new, job))
            ctrf = self.output(job, "ctrf.json")
            if jsonschema is not None:
                jsonschema.validate(ctrf, schema)
            check = self.output(job, "github-check.json")
            self.assertLessEqual(len(check["output"]["summary"].encode()), 65535)
            self.assertLessEqual(len(check["output"]["annotations"]), 50)
            self.assertTrue(all(a["start_line"] >= 1 and a["path"] for a in check["output"]["annotations"]))
            result = self.output(job, "regression.json")
            known = {t for r in (new, old) for t in self.names(r)}
            for s in result["sentences"]:
                if s["kept"]:
                    for name in re.findall("`([^`]*)`", s["text"]):
                        named += 1
                        self.assertTrue(any(name == k or name.endswith(k) for k in known), (new, name))
        print("%d pairs of real reports, %d test names in what is said of them, all of them theirs" % (len(files) - 1, named))

    def names(self, path):
        """The names that the report's own text holds, read without any of our code."""
        text = Path(path).read_text(encoding="utf-8-sig")
        if path.endswith(".xml"):
            import xml.etree.ElementTree as tree
            return [c.get("name") for c in tree.fromstring(text.encode()).iter("testcase")]
        return [json.loads('"%s"' % m) for m in re.findall(r'"(?:name|fullTitle|full_description|Test)":\s*"((?:[^"\\]|\\.)*)"', text)]


if __name__ == "__main__":
    unittest.main()
