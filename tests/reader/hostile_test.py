#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents made to hurt: each ends by itself, with its own clear error, within its limits; nothing is opened, fetched or run."""
import base64
import io
import re
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import zipfile
import zlib
from pathlib import Path

from house import BUILD, Refused, main, meta, read, texts
from writers import docx, paragraph, pdf, pdf_of, stream

READER = BUILD / "bin" / "inhouse-reader"
REFUSALS = ("bad_request", "unsupported", "too_large", "deadline", "worker_died")
SECONDS_MAX = 40  # the reader's own deadline is 20


class Hostile(unittest.TestCase):
    def refuse(self, document, name, code, says=""):
        with self.assertRaises(Refused) as e:
            read(document, name)
        self.assertEqual(e.exception.code, code, e.exception.message)
        self.assertIn(says, e.exception.message)

    def ends(self, document, name):
        """Read or refused, either is fine, within its time; what it says."""
        start = time.monotonic()
        try:
            return read(document, name)
        except Refused as e:
            self.assertIn(e.code, REFUSALS)
            return e
        finally:
            self.assertLess(time.monotonic() - start, SECONDS_MAX)

    # ---- zip

    def test_zip_bomb(self):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("_rels/.rels", "<Relationships/>")
            with z.open("word/document.xml", "w", force_zip64=True) as f:
                for _ in range(512):
                    f.write(b" " * (1 << 20))
        self.assertLess(len(data.getvalue()), 1 << 20)
        self.refuse(data.getvalue(), "x.docx", "too_large", "unpacks to")

    def test_zip_that_lies_about_its_sizes(self):
        raw = bytearray(docx(paragraph("x" * 100000)))
        # The central directory says 10 bytes for every member.
        for m in re.finditer(re.escape(b"PK\1\2"), bytes(raw)):
            raw[m.start() + 24:m.start() + 28] = struct.pack("<I", 10)
        self.assertIsInstance(self.ends(bytes(raw), "x.docx"), Refused)

    def test_zip_with_many_members_or_a_member_twice(self):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as z:
            for i in range(3000):
                z.writestr(f"word/{i}.xml", "")
        self.refuse(data.getvalue(), "x.docx", "too_large", "more than 1000 members")

    def test_cut_off_documents(self):
        whole = docx(paragraph("text " * 1000))
        for n in (10, len(whole) // 2, len(whole) - 10):
            self.refuse(whole[:n], "x.docx", "bad_request", "zip")
        whole = pdf([["text"] * 20] * 5)
        for n in (20, len(whole) // 2, len(whole) - 30):
            self.ends(whole[:n], "x.pdf")
        self.refuse(whole[:20], "x.pdf", "bad_request", "pdftotext cannot open")
        self.refuse("<a><b>text</b>", "x.xml", "bad_request", "line 1")
        self.assertEqual(texts(read("<p>one<p>tw", "x.html")), ["one", "tw"])
        self.refuse(b"PK\3\4", "x.docx", "bad_request")
        self.refuse(b"\xD0\xCF\x11\xE0" + b"x" * 600, "x.doc", "unsupported", "old format")

    # ---- entities

    def test_billion_laughs(self):
        text = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + "".join(
            f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9)) + "]><l>&j;</l>"
        self.refuse(text, "x.xml", "unsupported", "declares an entity")
        self.refuse(docx("", extra={"docProps/core.xml": text}), "x.docx", "unsupported", "entity")

    def test_entities_fetch_nothing(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
            secret = Path(folder) / "secret"
            secret.write_text("CANARY-0186")
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(0.2)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
            cases = [
                (f'<!DOCTYPE r [<!ENTITY e SYSTEM "file://{secret}">]><r>&e;</r>', "x.xml"),
                (f'<!DOCTYPE r [<!ENTITY e SYSTEM "{url}">]><r>&e;</r>', "x.xml"),
                (f'<!DOCTYPE r [<!ENTITY % p SYSTEM "{url}"> %p;]><r/>', "x.xml"),
                (f'<!DOCTYPE r SYSTEM "{url}"><r>text</r>', "x.xml"),
                (f'<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{secret}" parse="text"/></r>', "x.xml"),
                (f'<?xml-stylesheet href="{url}"?><r>text</r>', "x.xml"),
                (f'<html><base href="{url}"><img src="{url}"><iframe src="file://{secret}"></iframe><link rel=stylesheet href="{url}">'
                 f'<object data="{url}"></object><meta http-equiv=refresh content="0;url={url}"><p>text</p>', "x.html"),
                (f'From: a\nContent-Type: message/external-body; access-type=URL; URL="{url}"\n\n', "x.eml"),
                (docx(paragraph("text", link="r1"), links={"r1": ("hyperlink", url), "r2": ("image", url), "r3": ("attachedTemplate", url)}), "x.docx"),
                (pdf([["text"]], catalog=b"/OpenAction << /S /URI /URI (%s) >>" % url.encode()), "x.pdf")]
            for document, name in cases:
                answer = self.ends(document, name)
                self.assertNotIn("CANARY-0186", str(answer))
                with self.assertRaises(TimeoutError):
                    listener.accept()

    def test_nothing_is_opened_once_the_document_is_read(self):
        if not shutil.which("strace"):
            self.skipTest("skipped: strace is not installed")
        with tempfile.TemporaryDirectory() as folder:
            for name, document in (("x.xml", b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><r>&e;</r>'),
                                   ("x.html", b"<p>text</p>"), ("x.docx", docx(paragraph("x"))), ("x.md", b"# x"),
                                   ("x.eml", "From: =?iso-2022-jp?B?GyRCJUYlOSVIGyhC?= <a@b>\nContent-Type: text/plain; charset=euc-kr\n\n"
                                    .encode() + "한국어".encode("euc-kr")), ("x.csv", b"a,b\n1,2\n")):
                path, log = Path(folder) / name, Path(folder) / "log"
                path.write_bytes(document)
                with open(path, "rb") as f:
                    subprocess.run(["strace", "-f", "-o", str(log), str(READER), "--name", name], stdin=f, capture_output=True, timeout=60)
                calls = log.read_text()
                self.assertIn("seccomp(", calls)
                sealed = calls[calls.rindex("seccomp("):]
                self.assertIn("read(0", sealed)
                self.assertNotIn("read(0", calls[:calls.rindex("seccomp(")])
                tried = re.findall(r"\b(open|openat|socket|connect|execve|fork|vfork|clone3?)\(.*= [0-9]", sealed)
                self.assertEqual(tried, [], name)

    # ---- nesting, sizes, counts

    def test_nesting(self):
        n = 100000
        self.refuse("<div>" * n, "x.html", "too_large", "nested")
        self.refuse("<a>" * n, "x.xml", "too_large", "nested")
        self.refuse("[" * n, "x.json", "too_large", "nested")
        self.refuse('{"a":' * n, "x.json", "too_large", "nested")
        self.refuse('[' * n, "x.jsonl", "too_large", "nested")
        self.refuse(docx("<w:p>" * n), "x.docx", "too_large", "nested")
        self.ends(">" * n, "x.md")
        self.ends("- " * 20000, "x.md")
        self.ends("[" * n, "x.md")
        self.ends("*a_ " * n, "x.md")
        self.ends("<table><tr><td>" * 200, "x.html")
        self.ends("From: a\n\n" + ">" * n, "x.eml")

    def test_counts(self):
        self.refuse("<p>a" * 300000, "x.html", "too_large", "blocks")
        self.refuse("<r>" + "<a/>b" * 300000 + "</r>", "x.xml", "too_large", "blocks")
        self.refuse("a," * 300000, "x.csv", "too_large", "columns")
        self.refuse("a,b\n" * 300000, "x.csv", "too_large", "blocks")
        self.refuse("[" + "1," * 300000 + "1]", "x.json", "too_large", "blocks")
        self.refuse("a\n\n" * 300000, "x.txt", "too_large", "blocks")
        self.refuse(b"x" * (65 << 20), "x.txt", "too_large", "longer than")
        self.assertEqual(sum(map(len, texts(read("x" * (4 << 20), "x.txt")))), 4 << 20)
        self.refuse('a,"b\nc\n' * 3, "x.csv", "bad_request", "quoted cell does not end")

    # ---- mail

    def test_mail_with_many_parts(self):
        parts = "--b\nContent-Type: text/plain\n\nx\n" * 100000
        self.refuse(f"From: a\nSubject: b\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n", "x.eml", "too_large", "parts")

    def test_mail_inside_mail_inside_mail(self):
        text = "From: a\nSubject: deep\n\ninnermost\n"
        for i in range(400):
            text = f"From: a\nSubject: {i}\nContent-Type: message/rfc822\n\n{text}"
        d = self.ends(text, "x.eml")
        if isinstance(d, dict):
            self.assertEqual(len(d["attachments"]), 1)
        text = ""
        for i in range(2000):
            text += f"--b{i}\nContent-Type: multipart/mixed; boundary=b{i + 1}\n\n"
        self.ends(f"From: a\nSubject: b\nContent-Type: multipart/mixed; boundary=b0\n\n{text}", "x.eml")

    def test_mail_of_odd_bytes(self):
        for body in (b"\xff\xfe\x00\x80" * 100, b"=\n=XX=3", b"\0" * 1000):
            for charset in (b"utf-8", b"unknown-8bit", b"utf-16", b"utf-7", b"../../etc/passwd", b"x" * 5000, b"iso-2022-jp"):
                d = read(b"From: a\nSubject: =?" + charset[:40] + b"?B?//8=?=\nContent-Type: text/plain; charset=\"" + charset
                         + b"\"\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(body), "x.eml")
                self.assertEqual(d["format"], "mail")

    # ---- PDF

    def test_pdf_that_loops_or_acts(self):
        kids = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [2 0 R 2 0 R 2 0 R] >>"]
        self.ends(pdf_of(kids), "x.pdf")
        self.ends(pdf_of([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 99999999 /Kids [3 0 R] >>",
                          b"<< /Type /Page /Parent 2 0 R /Contents 3 0 R >>"]), "x.pdf")
        self.ends(pdf_of([b"<< /Type /Catalog /Pages 1 0 R >>"]), "x.pdf")
        js = pdf([["shown text"]], catalog=b"/OpenAction << /S /JavaScript /JS (while(true){app.launchURL('http://127.0.0.1')}) >> "
                 b"/AA << /WC << /S /Launch /F (/bin/sh) >> >>")
        self.assertEqual(texts(read(js, "x.pdf")), ["shown text"])
        bomb = zlib.compress(zlib.compress(b"\0" * (200 << 20)))
        page = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
                b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(bomb) + bomb + b"\nendstream"]
        self.ends(pdf_of(page), "x.pdf")
        form = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >> >>",
                stream(b"/X Do"), b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 5 0 R >> >> /Length 12 >>\n"
                b"stream\n/X Do /X Do \nendstream"]
        self.ends(pdf_of(form), "x.pdf")
        self.refuse(b"%PDF-1.7\n" + b"garbage " * 1000, "x.pdf", "bad_request")

    def test_pdftotext_is_sealed(self):
        """What would run in its place reaches nothing but its libraries."""
        if not shutil.which("strace"):
            self.skipTest("skipped: strace is not installed")
        with tempfile.TemporaryDirectory() as folder:
            path, log = Path(folder) / "x.pdf", Path(folder) / "log"
            path.write_bytes(pdf([["text"]]))
            with open(path, "rb") as f:
                done = subprocess.run(["strace", "-f", "-o", str(log), str(READER), "--pdftotext", "/usr/bin/pdftotext"], stdin=f,
                                      capture_output=True, timeout=60)
            self.assertIn(b"text", done.stdout)
            sealed = log.read_text()
            sealed = sealed[sealed.rindex("seccomp("):]
            opened = set(re.findall(r'openat\(AT_FDCWD, "([^"]+)".*= [0-9]', sealed))
            self.assertTrue(all(re.match(r"/(usr/)?lib|/etc/ld\.so\.cache$|/usr/share/poppler/", p) for p in opened), opened)
            self.assertEqual(len(re.findall(r"execve\(.*= 0", sealed)), 1)
        for program in ("/bin/cat", "/usr/bin/env"):
            # The seal holds a program to itself: a shell cannot start another one.
            done = subprocess.run([str(READER), "--pdftotext", program], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)

    # ---- together

    def test_many_at_once_and_the_machine_stays_up(self):
        documents = [("<div>" * 100000, "x.html"), (docx(paragraph("fine")), "x.docx"), ("<a>" * 50000, "x.xml"), ("fine", "x.txt")]
        answers = []

        def one(document, name):
            try:
                answers.append(texts(read(document, name)) == ["fine"])
            except Refused as e:
                answers.append(e.code == "too_large")
        threads = [threading.Thread(target=one, args=d) for d in documents * 3]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(answers, [True] * len(threads))
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 3 << 20)  # KiB: the memory limit holds

    def test_control_characters_do_not_reach_a_terminal(self):
        for name, document in (("x.txt", b"a\x1b[2Jb\x07\x9b"), ("x.html", b"<title>\x1b[2J</title><p>a&#27;[2Jb"),
                               ("x.csv", b"a,\x1b[2J\n"), ("x.json", b'["\\u001b[2J"]'), ("x.md", b"# a\x1b[2J")):
            d = self.ends(document, name)
            self.assertNotIn("\x1b", "".join(texts(d) + meta(d, "title")))


if __name__ == "__main__":
    main()
