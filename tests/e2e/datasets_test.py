#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Datasets from end to end: a folder in, changed, found, cited; granted, asked for, revoked, expired; removed from every
place. What is not granted looks like what is not there, over HTTP as well."""
import json
import tempfile
import time
import unittest
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import e2e

ARTICLE = "---\nid: %s\ntitle: %s\nlang: en\n---\n# %s\n%s\n"
DAY = (datetime.now(timezone.utc) + timedelta(days=2)).strftime("%Y-%m-%d")


def pdf(text):
    """The smallest file with one line of text."""
    stream = b"BT /F1 12 Tf 72 720 Td (" + text.encode() + b") Tj ET"
    parts = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
             b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
             b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
             b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    out = b"%PDF-1.4\n"
    places = []
    for i, part in enumerate(parts):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i + 1, part)
    at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(parts) + 1, at)


class Datasets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = e2e.House().__enter__()
        cls.keys = {}
        for team, role in (("red", "reviewer"), ("red", "approver"), ("blue", "reviewer")):
            status, made = cls.s.call("POST", "/api/v1/keys", {"name": f"{team}-{role}", "team": team, "role": role})
            assert status == 201, made
            cls.keys[team, role] = made["key"]

    @classmethod
    def tearDownClass(cls):
        code = cls.s.stop()
        said = cls.s.said()
        cls.s.__exit__()
        assert code == 0, f"the server ended with {code}: {said}"

    def ask(self, who, method, path, body=None, want=200):
        status, answer = self.s.call(method, path, body, {"Authorization": f"Bearer {self.keys[who]}"}, local=False)
        self.assertEqual(status, want, answer)
        return answer

    def put(self, who, name, documents):
        return {d["path"]: d for d in self.ask(who, "POST", f"/api/v1/datasets/{name}/documents",
                                               {"documents": documents})["documents"]}

    def find(self, who, query, **more):
        return [h["document"] for h in self.ask(who, "POST", "/api/v1/search", {"query": query, **more})["results"]]

    def test_granted_asked_for_and_revoked(self):
        red, blue = ("red", "reviewer"), ("blue", "reviewer")
        self.ask(red, "POST", "/api/v1/datasets", {"name": "rules", "purpose": "house rules", "label": "confidential",
                                                   "listed": True, "review_at": DAY}, 201)
        self.ask(red, "POST", "/api/v1/datasets", {"name": "hidden", "purpose": "not for others",
                                                   "label": "restricted"}, 201)
        self.put(red, "rules", [{"path": "a.md", "text": "# Doors\nThe platypus door is closed at night."}])
        self.put(red, "hidden", [{"path": "b.md", "text": "The platypus sleeps in room nine."}])
        self.assertEqual(sorted(self.find(red, "platypus")), ["a.md", "b.md"])
        self.assertEqual(self.find(blue, "platypus"), [])
        foreign, missing = ([self.s.call(m, p % n, b, {"Authorization": f"Bearer {self.keys[blue]}"}, local=False)
                             for m, p, b in (("GET", "/api/v1/datasets/%s", None),
                                             ("GET", "/api/v1/datasets/%s/documents", None),
                                             ("POST", "/api/v1/datasets/%s/requests", {"reason": "please"}),
                                             ("POST", "/api/v1/datasets/%s/grants/revoke", {"team": "red"}),
                                             ("DELETE", "/api/v1/datasets/%s", None))] for n in ("hidden", "hiddem"))
        self.assertEqual(json.dumps(foreign).replace("hidden", "?"), json.dumps(missing).replace("hiddem", "?"))
        self.assertTrue(all(status == 404 for status, _ in foreign))
        listed = {d["name"]: d for d in self.ask(blue, "GET", "/api/v1/datasets")["datasets"]}
        self.assertIn("rules", listed)
        self.assertNotIn("hidden", listed)
        self.assertFalse(listed["rules"]["reads"])
        # asked for, decided by the owner, used, ended
        asked = self.ask(blue, "POST", "/api/v1/datasets/rules/requests", {"reason": "on call"}, 201)["id"]
        decision = {"request": asked, "grant": True, "reason": "fine", "ends_at": DAY}
        self.ask(blue, "POST", "/api/v1/dataset-requests/decide", decision, 404)
        waiting = self.ask(red, "GET", "/api/v1/dataset-requests")["requests"]
        self.assertEqual([(q["id"], q["may_decide"]) for q in waiting], [(asked, True)])
        self.ask(red, "POST", "/api/v1/dataset-requests/decide", {**decision, "ends_at": "2020-01-01"}, 400)
        self.ask(red, "POST", "/api/v1/dataset-requests/decide", decision)
        self.assertEqual(self.find(blue, "platypus"), ["a.md"])
        answer = self.ask(blue, "POST", "/api/v1/search", {"query": "which doors close?", "datasets": ["rules"]})
        self.assertEqual(answer["label"], "confidential")
        hit = answer["results"][0]
        self.assertTrue(hit["chunk"].startswith("chk_"))
        self.assertEqual((hit["dataset"], hit["heading"], hit["position"]), ("rules", "Doors", 0))
        self.ask(blue, "POST", "/api/v1/search", {"query": "platypus", "datasets": ["rules", "hidden"]}, 404)
        self.ask(blue, "POST", "/api/v1/datasets/rules/documents", {"documents": []}, 403)
        self.ask(red, "POST", "/api/v1/datasets/rules/grants/revoke", {"team": "blue"})
        self.assertEqual(self.find(blue, "platypus"), [])
        # a second, by name
        self.ask(red, "POST", "/api/v1/datasets/hidden/grants", {"user": "blue-reviewer", "reason": "audit",
                                                                 "ends_at": DAY})
        self.assertEqual(self.find(blue, "platypus"), ["b.md"])
        grants = self.ask(red, "GET", "/api/v1/datasets/rules")["grants"]
        self.assertEqual([(g["team"], bool(g["revoked_at"])) for g in grants], [("blue", True)])
        said = [r["verdict"] for r in self.s.records() if r["task"] == "rules"]
        for verdict in ("added", "document_added", "requested", "granted", "revoked"):
            self.assertIn(verdict, said)
        self.ask(red, "DELETE", "/api/v1/datasets/hidden")
        self.assertEqual(self.find(blue, "platypus"), [])

    def test_formats_that_only_the_sealed_reader_opens(self):
        """A PDF, a Word file and a mail with attachments through `datasets ingest`: their words are found, what is broken is
        named and keeps nothing else out."""
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        folder = Path(held.name)
        (folder / "plan.pdf").write_bytes(pdf("The gearbox is greased every ninety days."))
        with zipfile.ZipFile(folder / "note.docx", "w") as z:
            z.writestr("[Content_Types].xml", "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>")
            z.writestr("word/document.xml", "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'>"
                       "<w:body><w:p><w:r><w:t>The conveyor belt is tightened by two people.</w:t></w:r></w:p></w:body></w:document>")
        (folder / "asked.eml").write_text("From: a@example.org\nTo: b@example.org\nSubject: The turbine\nMIME-Version: 1.0\n"
                                          "Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain\n\n"
                                          "The turbine hums at dusk.\n--x\nContent-Type: text/html\n\n<p>The turbine hums at dusk.</p>\n--x--\n")
        (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and then nothing of a PDF")
        (folder / "bomb.docx").write_bytes(b"PK\x03\x04 no archive")
        self.cli("datasets", "add", "workshop", "--purpose", "what we know")
        out = json.loads(self.cli("datasets", "ingest", "workshop", folder, "--json", code=None))
        self.assertEqual((out["taken"], out["failed"]), (3, 2), out)
        for query, name in (("gearbox greased", "plan.pdf"), ("conveyor belt", "note.docx"), ("turbine hums", "asked.eml")):
            found = json.loads(self.cli("datasets", "search", query, "--json"))["results"]
            self.assertEqual([h["document"] for h in found[:1]], [name], found)
        out = json.loads(self.cli("datasets", "ingest", "workshop", folder, "--json", code=None))
        self.assertEqual((out["taken"], out["unchanged"]), (0, 3), out)

    def test_a_folder_from_the_command_line(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        folder = Path(held.name)
        (folder / "deep").mkdir()
        (folder / "one.md").write_text(ARTICLE % ("one", "Kettles", "Kettles", "The kettle boils in two minutes."))
        (folder / "deep" / "two.txt").write_text("The samovar is polished on Fridays.")
        (folder / "three.html").write_text("<h1>Pots</h1><p>The teapot holds one litre.</p><script>bad()</script>")
        (folder / "rows.csv").write_text("item,place\nladle,drawer seven\nwhisk,shelf two\n")
        (folder / "cases.jsonl").write_text('{"id":"T1","text":"The whisk was bent."}\n')
        run = lambda *w, code=0: self.cli(*w, code=code)
        run("datasets", "add", "kitchen", "--purpose", "what we have")
        out = json.loads(run("datasets", "ingest", "kitchen", folder, "--json"))
        self.assertEqual(out, {"taken": 5, "unchanged": 0, "removed": 0, "failed": 0})
        first = lambda q: (json.loads(run("datasets", "search", q, "--json"))["results"] or [{"document": None}])[0]
        self.assertEqual(first("samovar polish")["document"], "deep/two.txt")
        self.assertEqual(first("teapot litre")["heading"], "Pots")
        self.assertIn("drawer seven", first("ladle")["text"])
        kettle = first("when does the kettle boil?")
        self.assertEqual(kettle["document"], "one.md")
        out = json.loads(run("datasets", "ingest", "kitchen", folder, "--json"))
        self.assertEqual(out, {"taken": 0, "unchanged": 5, "removed": 0, "failed": 0})
        (folder / "one.md").write_text(ARTICLE % ("one", "Kettles", "Kettles", "The kettle boils in two minutes.")
                                       + "# Lids\nLids are kept apart.\n")
        (folder / "deep" / "two.txt").unlink()
        out = json.loads(run("datasets", "ingest", "kitchen", folder, "--json"))
        self.assertEqual(out, {"taken": 1, "unchanged": 3, "removed": 1, "failed": 0})
        self.assertEqual(first("when does the kettle boil?")["chunk"], kettle["chunk"])
        self.assertNotEqual(first("samovar")["document"], "deep/two.txt")
        # everything gets its vector by and by, and the parts agree
        end = time.monotonic() + 20
        while True:
            shown = json.loads(run("datasets", "show", "kitchen", "--json"))
            if shown["embedded"] == shown["chunks"] or time.monotonic() > end:
                break
            time.sleep(0.1)
        self.assertEqual((shown["documents"], shown["embedded"]), (4, shown["chunks"]))
        self.assertEqual(self.s.call("GET", "/api/v1/dataset-check")[1]["findings"], [])
        # the article is a draft's source, and goes with its document
        articles = lambda: {d["name"]: d.get("articles") for d in
                            self.s.call("GET", "/api/v1/datasets")[1]["datasets"]}["kitchen"]
        self.assertEqual(self.until(articles, 1), 1)
        run("datasets", "remove", "kitchen", "one.md")
        self.assertEqual(self.until(articles, 0), 0)
        run("datasets", "remove", "kitchen", code=2)
        run("datasets", "remove", "kitchen", "--yes")
        self.assertEqual(self.s.call("GET", "/api/v1/dataset-check")[1]["findings"], [])
        run("datasets", "show", "kitchen", code=5)

    def until(self, ask, want):
        end = time.monotonic() + 20
        while ask() != want and time.monotonic() < end:
            time.sleep(0.1)
        return ask()

    def cli(self, *words, code=0):
        done = e2e.inhouse(*map(str, words), home=self.s.home)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)
