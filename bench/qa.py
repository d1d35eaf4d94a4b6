#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""qa-regression: counts of real reports, what is said of them, what a model adds, and how long a large run takes.

  qa.py [--tests N]

counts      reports of two public collections whose repositories publish counts (INHOUSE_DATA/test_reports): the share that is right, file by file, with every count.
            Peer: the same files by Python's ElementTree and json, a testcase element or an entry a test, its worst child its state.
invented    test names in what is said that no report holds; beside it, how many names and sentences were offered (qa_reports_test looks each up in the runs).
planted     sentences with a name or number that there is not, or the name of a test that stands otherwise: the share that is refused.
large       two runs of N tests (100,000), 1 and 2 % failing, compared in a job with all outputs: seconds, the upload aside. Peer: Python reads both with ElementTree and
            compares two dictionaries, nothing else.
What the parsers and the wording were made with: these reports, and the formats' descriptions.
"""
import glob
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as tree
from pathlib import Path

import common

REPORTS = common.DATA / "test_reports"
TEST = common.BUILD / "test" / "qa_reports_test"
COUNTS = ("tests_succ", "tests_skip", "tests_fail", "tests_error")


def naive_counts(path):
    """passed, skipped, failed, errors as a short script would count them."""
    tests = {}
    for case in tree.parse(path).getroot().iter("testcase"):
        found = {child.tag for child in case}
        state = "tests_error" if "error" in found else "tests_fail" if "failure" in found else "tests_skip" if "skipped" in found else "tests_succ"
        tests.setdefault((case.get("classname"), case.get("name")), set()).add(state)
    worst = [next(s for s in ("tests_error", "tests_fail", "tests_succ", "tests_skip") if s in states) for states in tests.values()]
    return {key: worst.count(key) for key in COUNTS}


def naive_right():
    """How many of the reports with a results.json beside them the script gets right, and of how many."""
    right = of = 0
    for expected in glob.glob(str(REPORTS / "enricomi" / "**" / "*.results.json"), recursive=True):
        reports = [p for p in (expected.replace(".results.json", e) for e in (".xml", ".trx", ".json")) if os.path.exists(p)]
        stats = json.loads(Path(expected).read_text())["stats"]
        if not reports or stats["errors"] or "<!ENTITY" in Path(reports[0]).read_text(errors="replace"):
            continue
        of += 1
        try:
            right += naive_counts(reports[0]) == {key: stats[key] for key in COUNTS}
        except tree.ParseError:
            pass
    return right, of


def measured():
    env = {**os.environ, "INHOUSE_BUILD": str(common.BUILD), "INHOUSE_SOURCE": str(common.ROOT), "INHOUSE_DATA": str(common.DATA)}
    done = subprocess.run([str(TEST)], capture_output=True, text=True, env=env)
    said = done.stdout + done.stderr
    reports = re.search(r"reports: (\d+) files, (\d+) parsed, (\d+) refused .*right in (\d+) of (\d+)", said)
    claims = re.search(r"said: (\d+) sentences offered, (\d+) held; (\d+) test names in them, (\d+) invented; (\d+) planted .*, (\d+) caught", said)
    if reports is None or claims is None:
        sys.exit("the test said something else:\n" + said)
    return list(map(int, reports.groups())), list(map(int, claims.groups()))


def write_large(path, tests, failing, seed):
    rng = random.Random(seed)
    with open(path, "w", encoding="utf-8") as f:
        f.write("<testsuites>\n")
        for suite in range(tests // 100):
            f.write('<testsuite name="suite%d" tests="100">\n' % suite)
            for test in range(100):
                f.write('<testcase classname="com.acme.m%d.Suite%d" name="case_%d" time="%.3f"' % (suite % 20, suite, test, rng.random() * 0.2))
                f.write("/>\n" if rng.random() >= failing else '><failure type="AssertionError" message="expected %d but was %d">at com.acme.m%d.Suite%d.case_%d(Suite%d.java:%d)'
                        "</failure></testcase>\n" % (rng.randint(1, 99), rng.randint(1, 99), suite % 20, suite, test, suite, test))
            f.write("</testsuite>\n")
        f.write("</testsuites>\n")


def naive_compare(paths):
    start = time.monotonic()
    runs = []
    for path in paths:
        runs.append({(c.get("classname"), c.get("name")): c.find("failure") is not None for c in tree.parse(path).getroot().iter("testcase")})
    new = sum(failed and not runs[1].get(key, False) for key, failed in runs[0].items())
    return time.monotonic() - start, new


def run_job(house, inputs):
    body = {"workflow": "qa-regression", "inputs": [{"role": role, "name": Path(p).name, "text": Path(p).read_text(encoding="utf-8-sig")} for role, p in inputs]}
    connection = common.Unix(house.socket)
    job = common.call(connection, "POST", "/api/v1/jobs", json.dumps(body))
    while job["state"] in ("queued", "leased"):
        time.sleep(0.05)
        job = common.call(connection, "GET", "/api/v1/jobs/" + job["job"])
    if job["state"] != "done":
        sys.exit("the job ended as %s: %s" % (job["state"], job.get("error")))
    result = common.call(connection, "GET", "/api/v1/jobs/%s/outputs/regression.json" % job["job"])
    return job, result


def large(tests):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("new.xml", "base.xml")]
        write_large(paths[0], tests, 0.02, 1)
        write_large(paths[1], tests, 0.01, 2)
        theirs, new = naive_compare(paths)
        with common.House() as house:
            house.start(roles=())
            job, result = run_job(house, [("new", paths[0]), ("base", paths[1])])
    assert result["classes"]["new_failure"] == new, (result["classes"], new)
    return sum(step["ms"] for step in job["steps"]) / 1000, theirs


def main():
    common.need(TEST, REPORTS, common.BUILD / "bin/inhoused")
    tests = int(sys.argv[sys.argv.index("--tests") + 1]) if "--tests" in sys.argv else 100000
    (files, parsed, refused, right, of), (sentences, held, names, invented, planted, caught) = measured()
    their_right, their_of = naive_right()
    print("%d files: %d read, %d refused; %d of %d with every published count" % (files, parsed, refused, right, of))
    print("%d sentences offered, %d held; %d test names in them, %d invented; %d of %d planted ones refused" % (sentences, held, names, invented, caught, planted))
    print("Python's ElementTree: %d of %d" % (their_right, their_of))
    ours, theirs = large(tests)
    if common.SELF:
        their_right, their_of, theirs = right, of, ours
    ok = common.row("qa-counts", "%.3f" % (right / of), "%.3f" % (their_right / their_of), (right / of) / (their_right / their_of), "1.000 of %d" % of, right == of)
    ok &= common.row("qa-invented", invented, 0, 1, "0 of %d names" % names, invented == 0 and held >= 0.98 * sentences)
    ok &= common.row("qa-planted", "%.3f" % (caught / planted), "1.000", caught / planted, "1.000 of %d" % planted, caught == planted)
    ok &= common.row("qa-large-s", "%.2f" % ours, "%.2f" % theirs, theirs / ours, "10 s for %d tests" % tests, ours <= 10)
    return 0 if ok else 1


sys.exit(main())
