#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Test reports written here after the dialects' descriptions, through `inhouse read --format tests`: what each case is, and what is refused with which line.
Needs INHOUSE_BUILD."""
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

INHOUSE = os.path.join(os.environ["INHOUSE_BUILD"], "bin", "inhouse")
GOOD = []
BAD = []


def good(name, text, cases, run=None):
    GOOD.append((name, text if isinstance(text, bytes) else text.encode(), cases, run or {}))


def bad(name, text, code, says):
    BAD.append((name, text if isinstance(text, bytes) else text.encode(), code, says))


# ---- JUnit ----
good("a suite is the root", '<testsuite name="s" tests="1"><testcase classname="a.B" name="c" time="0.5"/></testsuite>',
     [("a.B", "c", "passed", {"duration_us": "500000"})])
good("cases without a suite", '<testsuites><testcase name="x"/></testsuites>', [("", "x", "passed", {})])
good("the worst result counts", '<testsuite><testcase name="x"><skipped/><failure message="f"/><error message="e"/></testcase></testsuite>',
     [("", "x", "error", {"message": "e"})])
good("two failures are both told", '<testsuite><testcase name="x"><failure message="a">1</failure><failure message="b">2</failure></testcase></testsuite>',
     [("", "x", "failed", {"message": "a\nb", "trace": "1\n2"})])
good("gtest's disabled and suppressed", '<testsuites><testsuite name="G" disabled="1"><testcase name="D" status="notrun" result="suppressed" time="0." classname="G"/>'
     '<testcase name="R" status="run" result="completed" time="0.01" classname="G"/></testsuite></testsuites>', [("G", "D", "skipped", {}), ("G", "R", "passed", {})])
good("tst's status alone", '<testsuite><testcase name="a" status="failed"/><testcase name="b" status="errored"/><testcase name="c" status="disabled"/></testsuite>',
     [("", "a", "failed", {}), ("", "b", "error", {}), ("", "c", "skipped", {})])
good("surefire: flaky", '<testsuite><testcase name="x" classname="C" time="1"><flakyFailure type="T" message="m"><stackTrace>at C.x</stackTrace></flakyFailure></testcase></testsuite>',
     [("C", "x", "passed", {"flaky": "true"})])
good("surefire: rerun", '<testsuite><testcase name="x"><failure message="m"/><rerunFailure message="m"/><rerunError message="n"/></testcase></testsuite>',
     [("", "x", "failed", {"message": "m"})])
good("nextest", '<testsuites name="nextest-run" tests="1" uuid="x"><testsuite name="crate" tests="1" disabled="0" errors="0" failures="1">'
     '<testcase name="t::a" classname="crate" time="0.004"><failure type="test failure with exit code 101">panicked at src/a.rs:3:5</failure></testcase></testsuite></testsuites>',
     [("crate", "t::a", "failed", {"type": "test failure with exit code 101", "trace": "panicked at src/a.rs:3:5"})])
good("phpunit's class", '<testsuites><testsuite name="p" file="/a/T.php"><testcase name="t" class="T" file="/a/T.php" line="7" assertions="1" time="0.1"/></testsuite></testsuites>',
     [("T", "t", "passed", {"file": "/a/T.php", "line": "7"})])
good("thousands and a comma as the point", '<testsuite><testcase name="a" time="1,234.5"/><testcase name="b" time="0,25"/><testcase name="c" time="1,234"/>'
     '<testcase name="d" time="NaN"/><testcase name="e" time="-1"/><testcase name="f" time="2s"/></testsuite>',
     [("", "a", "passed", {"duration_us": "1234500000"}), ("", "b", "passed", {"duration_us": "250000"}), ("", "c", "passed", {"duration_us": "1234000000"}),
      ("", "d", "passed", {"duration_us": None}), ("", "e", "passed", {"duration_us": None}), ("", "f", "passed", {"duration_us": "2000000"})])
good("attributes of a mebibyte are cut", '<testsuite><testcase name="a"><failure message="%s"/></testcase></testsuite>' % ("x" * (1 << 20)),
     [("", "a", "failed", {"message": "x" * 65536})])
good("UTF-16 with its mark", ("﻿" + '<?xml version="1.0" encoding="utf-16"?><testsuite><testcase name="grün"/></testsuite>').encode("utf-16-le"), [("", "grün", "passed", {})])
good("UTF-16 big-endian", ("﻿" + '<testsuite><testcase name="ä"/></testsuite>').encode("utf-16-be"), [("", "ä", "passed", {})])
good("UTF-8 with its mark", b"\xef\xbb\xbf" + '<testsuite><testcase name="ä"/></testsuite>'.encode(), [("", "ä", "passed", {})])
good("Latin 1 as declared", '<?xml version="1.0" encoding="ISO-8859-1"?><testsuite><testcase name="ä"/></testsuite>'.encode("latin-1"), [("", "ä", "passed", {})])
good("names with mark-up", '<testsuite><testcase name="&lt;b&gt; &amp; &quot;x&quot;&#10;y"/></testsuite>', [("", '<b> & "x"\ny', "passed", {})])
good("a DTD that is only named", '<!DOCTYPE testsuite SYSTEM "junit.dtd"><testsuite><testcase name="a"/></testsuite>', [("", "a", "passed", {})])
good("an empty run", "<testsuites/>", [])
# ---- .NET ----
good("NUnit 3", '<test-run testcasecount="3" failed="1"><test-suite type="TestSuite" name="s"><test-case name="a" classname="N.C" result="Passed" duration="0.1"/>'
     '<test-case name="b" classname="N.C" result="Failed" label="Error"><failure><message><![CDATA[m]]></message><stack-trace>s</stack-trace></failure></test-case>'
     '<test-case name="c" classname="N.C" runstate="Ignored" result="Skipped"><reason><message>r</message></reason></test-case></test-suite></test-run>',
     [("N.C", "a", "passed", {}), ("N.C", "b", "failed", {"message": "m", "trace": "s"}), ("N.C", "c", "skipped", {"message": "r"})])
good("NUnit 2", '<test-results total="2" not-run="1"><test-suite name="n"><results><test-case name="N.a" executed="True" success="False" result="Error"><failure><message>m</message></failure></test-case>'
     '<test-case name="N.b" executed="False"/></results></test-suite></test-results>', [("", "N.a", "error", {}), ("", "N.b", "skipped", {})])
good("xUnit v2", '<assemblies><assembly name="a.dll" total="3"><collection name="c"><test name="T.m(1)" type="T" method="m" result="Pass"/>'
     '<test name="T.n" type="T" method="n" result="Fail"><failure exception-type="E"><message>m</message></failure></test><test name="T.o" type="T" method="o" result="Skip"><reason>r</reason></test></collection></assembly></assemblies>',
     [("T", "m", "passed", {"display": "T.m(1)"}), ("T", "n", "failed", {"type": "E"}), ("T", "o", "skipped", {"message": "r"})])
good("TRX", '<TestRun xmlns="http://microsoft.com/schemas/VisualStudio/TeamTest/2010"><Results><UnitTestResult testId="1" testName="N.C.a" outcome="Passed" duration="00:01:02.5"/>'
     '<UnitTestResult testId="2" testName="b" outcome="Timeout"/><UnitTestResult testId="3" testName="c"/><UnitTestResult testId="4" testName="d" outcome="NotExecuted"/></Results>'
     '<TestDefinitions><UnitTest id="1"><TestMethod className="N.C, asm"/></UnitTest></TestDefinitions></TestRun>',
     [("N.C", "a", "passed", {"duration_us": "62500000"}), ("", "b", "error", {}), ("", "c", "error", {}), ("", "d", "skipped", {})])
# ---- JSON ----
good("CTRF", json.dumps({"reportFormat": "CTRF", "specVersion": "1.0.0", "results": {"tool": {"name": "t"}, "summary": {"tests": 3}, "tests": [
    {"name": "a", "status": "passed", "duration": 12, "suite": ["x", "y"], "flaky": True, "retryAttempts": [{"attempt": 1, "status": "failed"}]},
    {"name": "b", "status": "other", "duration": 0}, {"name": "c", "status": "pending", "duration": 0}]}}),
     [("x > y", "a", "passed", {"flaky": "true", "duration_us": "12000"}), ("", "b", "error", {}), ("", "c", "skipped", {})], {"tool": "t"})
good("Jest", json.dumps({"numTotalTests": 1, "testResults": [{"name": "/a.test.js", "status": "failed", "assertionResults": [
    {"fullName": "s t", "status": "failed", "failureMessages": ["m"], "duration": 3}, {"fullName": "s u", "status": "todo"}]}]}),
     [("", "s t", "failed", {"message": "m"}), ("", "s u", "skipped", {})])
good("Go, with words of the compiler between", "# p\n" + "\n".join(map(json.dumps, [
    {"Action": "run", "Package": "p", "Test": "A"}, {"Action": "output", "Package": "p", "Test": "A", "Output": "    a_test.go:7: no\n"},
    {"Action": "fail", "Package": "p", "Test": "A", "Elapsed": 0.5}, {"Action": "run", "Package": "p", "Test": "B"}, {"Action": "fail", "Package": "p"}])),
     [("p", "A", "failed", {"file": "a_test.go", "line": "7", "duration_us": "500000"}), ("p", "B", "error", {"message": "the test did not end"})])
good("Dart: loading is no test", "\n".join(map(json.dumps, [
    {"protocolVersion": "0.1.1", "type": "start", "time": 0}, {"suite": {"id": 0, "path": "a.dart"}, "type": "suite", "time": 0},
    {"test": {"id": 1, "name": "loading a.dart", "suiteID": 0}, "type": "testStart", "time": 1}, {"testID": 1, "result": "success", "hidden": True, "skipped": False, "type": "testDone", "time": 2},
    {"test": {"id": 2, "name": "t", "suiteID": 0, "line": 3, "url": "file:///a.dart"}, "type": "testStart", "time": 3},
    {"testID": 2, "result": "failure", "hidden": False, "skipped": False, "type": "testDone", "time": 9}])),
     [("", "t", "failed", {"line": "3", "duration_us": "6000"})])
memory = io.BytesIO()
with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("a/TEST-1.xml", '<testsuite><testcase name="one"/></testsuite>')
    z.writestr("b.json", json.dumps({"results": {"summary": {}, "tests": [{"name": "two", "status": "failed", "duration": 1}]}}))
    z.writestr("c.log", "words")
good("a zip", memory.getvalue(), [("", "one", "passed", {}), ("", "two", "failed", {})])

# ---- refused, with the line ----
bad("nothing", "", "bad_request", "empty")
bad("white space", " \n\t\n", "bad_request", "empty")
bad("cut off", '<testsuites>\n<testsuite>\n<testcase name="a"', "bad_request", "line 3")
bad("crossed", "<testsuite>\n<testcase></testsuite></testcase>", "bad_request", "line 2")
bad("XXE", '<!DOCTYPE t [\n<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite name="&x;"/>', "unsupported", "line 2")
bad("parameter entities", '<!DOCTYPE t [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]><testsuite/>', "unsupported", "entity")
bad("a billion laughs", '<!DOCTYPE l [<!ENTITY a "ha">' + "".join('<!ENTITY %s "%s">' % (chr(98 + i), "&%s;" % chr(97 + i) * 10) for i in range(9)) + "]><testsuite>&j;</testsuite>",
    "unsupported", "entity")
bad("an entity nobody declared", "<testsuite>&nbsp;</testsuite>", "bad_request", "line 1")
bad("deep", "<testsuite>" * 400, "too_large", "nested")
bad("HTML", "<html><body>502 Bad Gateway</body></html>", "bad_request", "line 1")
bad("other XML", "\n<project/>", "bad_request", "line 2")
bad("prose", "Build failed.", "bad_request", "line 1")
bad("JSON that is no report", '{"a": 1}', "bad_request", "test report")
bad("a list", "[1, 2]", "bad_request", "test report")
bad("broken JSON", '{"results": {\n"tests": [}', "bad_request", "line 2")
bad("CTRF without tests", '{"reportFormat": "CTRF", "results": {"summary": {}}}', "bad_request", "/results/tests")
bad("Go, cut off", '{"Action":"run","Package":"p","Test":"A"}\n{"Action":"pa', "bad_request", "line 2")
bad("NUL", b"<testsuite>\0</testsuite>", "bad_request", "line 1")
bad("a broken zip", b"PK\3\4" + b"x" * 100, "bad_request", "zip")
memory = io.BytesIO()
with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("a.xml", "<testsuite>" + " " * (40 << 20) + "</testsuite>")
bad("a zip bomb", memory.getvalue(), "too_large", "unpacks")


def read(text):
    with tempfile.NamedTemporaryFile(suffix=".report") as f:
        f.write(text)
        f.flush()
        p = subprocess.run([INHOUSE, "read", "--format", "tests", "--json", f.name], capture_output=True, text=True)
    return json.loads(p.stdout or p.stderr)


def cases_of(document):
    cases, run = {}, {}
    for b in document["blocks"]:
        row = b.get("row", 0)
        if b["kind"] == "case":
            cases[row] = {"name": b["text"]}
        elif row and not b.get("level"):
            cases[row][b["path"]] = b["text"]
        elif not row and not b.get("table"):
            run[b.get("path", "")] = b["text"]
    return [cases[k] for k in sorted(cases)], run


def main():
    wrong = 0
    for name, text, want, want_run in GOOD:
        document = read(text)
        if "error" in document:
            wrong += 1
            print("%s: refused: %s" % (name, document["error"]["message"]))
            continue
        got, run = cases_of(document)
        said = [(c.get("class", ""), c["name"], c["state"]) for c in got]
        more = [(k, c.get(k)) for (_, _, _, extra), c in zip(want, got) for k, v in extra.items() if c.get(k) != v]
        if said != [w[:3] for w in want] or more or any(run.get(k) != v for k, v in want_run.items()):
            wrong += 1
            print("%s: %s %s" % (name, said, [(k, (v or "")[:80]) for k, v in more]))
    for name, text, code, says in BAD:
        error = read(text).get("error", {"code": "read", "message": ""})
        if error["code"] != code or says not in error["message"]:
            wrong += 1
            print("%s: %s: %s" % (name, error["code"], error["message"]))
    print("%d reports read, %d refused, %d wrong" % (len(GOOD), len(BAD), wrong))
    return 1 if wrong else 0


sys.exit(main())
