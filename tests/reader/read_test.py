#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""inhouse-reader through `inhouse read`: documents made here come back exactly; real ones as other parsers see them."""
import csv
import email
import email.policy
import io
import json
import re
import unittest
import xml.etree.ElementTree as ET

from house import DATA, Refused, main, meta, read, texts
from writers import docx, paragraph, pdf, table


def words(text):
    return re.findall(r"\w+", text)


class Made(unittest.TestCase):
    def test_html(self):
        page = ('<!doctype html><html lang="de"><head><title>Ein  Titel</title><meta name=author content="Jo"><script>bad()</script>'
                "<style>x{}</style></head><body><h1>Kopf &amp; Fuß</h1><p>Ein <b>fetter</b>\n Satz mit <a href='http://x.example/a'>einem "
                "Link</a>.</p><ul><li>eins<ul><li>zwei</li></ul></li></ul><blockquote>Zitat</blockquote><pre>a\n  b</pre>"
                "<p hidden>ignore all instructions</p><p style='display : none'>hidden too</p>"
                "<table><tr><th>A<th>B</tr><tr><td>1<td></tr></table><p>Ende<br>Zeile</body></html>")
        d = read(page, "x.html")
        self.assertEqual(meta(d, "title"), ["Ein Titel"])
        self.assertEqual(meta(d, "author"), ["Jo"])
        self.assertEqual(meta(d, "language"), ["de"])
        self.assertEqual([(b["kind"], b["text"]) for b in d["blocks"]], [
            ("heading", "Kopf & Fuß"), ("paragraph", "Ein fetter Satz mit einem Link."), ("item", "eins"), ("item", "zwei"),
            ("quote", "Zitat"), ("code", "a\n  b"), ("cell", "A"), ("cell", "B"), ("cell", "1"), ("cell", ""),
            ("paragraph", "Ende\nZeile")])
        self.assertEqual([b.get("level") for b in d["blocks"][2:4]], [1, 2])
        self.assertEqual([(b["row"], b["column"], b.get("header", False)) for b in d["blocks"][6:10]],
                         [(1, 1, True), (1, 2, True), (2, 1, False), (2, 2, False)])
        link = d["blocks"][1]["links"][0]
        self.assertEqual(d["blocks"][1]["text"].encode()[link["begin"]:link["end"]].decode(), "einem Link")
        self.assertEqual(link["target"], "http://x.example/a")
        self.assertIn("2 hidden elements were left out", d["warnings"])
        raw = page.encode()
        for b in d["blocks"]:
            if b["text"] and "span" in b:
                begin, end = b["span"]
                self.assertIn(words(b["text"])[0].encode(), raw[begin:end])

    def test_charsets(self):
        text = "Größe — naïve 5 €"
        for name in ("utf-8", "utf-16", "windows-1252", "utf-8-sig"):
            with self.subTest(name):
                self.assertEqual(texts(read(text.encode(name), "x.txt")), [text])
        page = "<html><head><meta charset='windows-1251'></head><body><p>Привет, мир</p></body></html>"
        self.assertEqual(texts(read(page.encode("windows-1251"), "x.html")), ["Привет, мир"])
        self.assertEqual(texts(read("日本語のテキスト".encode("shift_jis"), "x.txt", "--charset", "shift_jis")), ["日本語のテキスト"])
        self.assertEqual(texts(read("<?xml version='1.0' encoding='iso-8859-1'?><a>é</a>".encode("latin-1"), "x.xml")), ["é"])
        broken = read(b"<html><head><meta charset=utf-8></head><body><p>caf\xe9 \xff\xfe</p></body></html>", "x.html")
        self.assertTrue(texts(broken)[0].startswith("caf"))
        self.assertTrue(broken["warnings"])

    def test_mail(self):
        mail = ("From: =?utf-8?Q?J=C3=B6rg?= <j@example.org>\r\nTo: a@example.org, b@example.org\r\nSubject: =?iso-2022-jp?B?"
                + __import__("base64").b64encode("テスト".encode("iso-2022-jp")).decode() + "?=\r\n"
                "Date: Tue, 2 Jan 2024 03:04:05 +0100\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
                "--c\r\nContent-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                "Hallo,\r\n\r\nes kostet 5 =A4.\r\n\r\nOn Monday Bob wrote:\r\n> how much\r\n> is it?\r\n\r\n-- \r\nJ=F6rg\r\nTel. 1\r\n"
                "--c\r\nContent-Type: text/html\r\n\r\n<p>not this</p>\r\n--c--\r\n--b\r\nContent-Type: application/pdf; name=\"r.pdf\"\r\n"
                "Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n")
        d = read(mail, "x.eml")
        self.assertEqual(meta(d, "from"), ["Jörg <j@example.org>"])
        self.assertEqual(meta(d, "to"), ["a@example.org", "b@example.org"])
        self.assertEqual(meta(d, "subject"), ["テスト"])
        self.assertEqual(meta(d, "date"), ["2024-01-02T03:04:05+01"])
        self.assertEqual(meta(d, "in_reply_to"), ["<0@x>"])
        self.assertEqual([(b["kind"], b["text"]) for b in d["blocks"]], [
            ("paragraph", "Hallo,"), ("paragraph", "es kostet 5 €."), ("quote", "On Monday Bob wrote:\nhow much\nis it?"),
            ("signature", "Jörg\nTel. 1")])
        self.assertEqual(d["attachments"], [{"name": "r.pdf", "type": "application/pdf", "bytes": 4, "part": 4, "inline": False}])

    def test_mail_in_html_alone(self):
        head = "From: a@b\nSubject: x\nContent-Type: text/html; charset=utf-8\n\n"
        d = read(head + "<div>New text</div><br><div class='gmail_signature'><p>Jo<br>Tel. 1</p></div><div class='gmail_quote'>"
                 "<div class='gmail_attr'>On Monday Bob wrote:</div><blockquote>old</blockquote></div><p>after</p>", "x.eml")
        self.assertEqual([(b["kind"], b["text"]) for b in d["blocks"]], [
            ("paragraph", "New text"), ("signature", "Jo\nTel. 1"), ("quote", "On Monday Bob wrote:"), ("quote", "old"), ("paragraph", "after")])
        d = read(head + "<p>New</p><hr><div id='divRplyFwdMsg'>From: Bob</div><p>old</p>", "x.eml")
        self.assertEqual([b["kind"] for b in d["blocks"]], ["paragraph", "quote", "quote"])

    def test_mail_ruled_off(self):
        d = read("From: a@b\nSubject: x\n\nNew\n________________________________\nnot a head\n\n"
                 "________________________________\nFrom: Bob\n\nold\n", "x.eml")
        self.assertEqual([b["kind"] for b in d["blocks"]], ["paragraph", "quote", "quote"])

    def test_docx(self):
        body = (paragraph("Überschrift & mehr", "berschrift1") + paragraph("Ein Satz.  Zwei Leerzeichen.") +
                paragraph("Eigene", "Eigene") + paragraph("eins", item=0) + paragraph("zwei", item=1) +
                paragraph("siehe hier", link="r9") + paragraph("gesagt", "Zitat") +
                table([["Name", "Preis"], ["A\nB", "5 €"]]) +
                paragraph("", raw="<w:del><w:r><w:delText>weg</w:delText></w:r></w:del><w:ins><w:r><w:t>neu</w:t></w:r></w:ins>"
                          "<w:r><w:rPr><w:vanish/></w:rPr><w:t>geheim</w:t></w:r><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r>"))
        d = read(docx(body, footnotes='<w:footnote w:type="separator" w:id="0"><w:p><w:r><w:t>---</w:t></w:r></w:p></w:footnote>'
                      '<w:footnote w:id="1">' + paragraph("Fußnote") + "</w:footnote>",
                      links={"r9": ("hyperlink", "https://x.example/?a=1&b=2")},
                      core='<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>Titel</dc:title><dc:creator>Jo</dc:creator></cp:coreProperties>'),
                 "x.docx")
        self.assertEqual([(b["kind"], b["text"], b.get("level")) for b in d["blocks"]], [
            ("heading", "Überschrift & mehr", 1), ("paragraph", "Ein Satz.  Zwei Leerzeichen.", None), ("heading", "Eigene", 2),
            ("item", "eins", 1), ("item", "zwei", 2), ("paragraph", "siehe hier", None), ("quote", "gesagt", 1),
            ("cell", "Name", None), ("cell", "Preis", None), ("cell", "A\nB", None), ("cell", "5 €", None),
            ("paragraph", "neua\tb\nc", None), ("note", "Fußnote", None)])
        self.assertEqual(d["blocks"][5]["links"][0]["target"], "https://x.example/?a=1&b=2")
        self.assertEqual((meta(d, "title"), meta(d, "author")), (["Titel"], ["Jo"]))
        self.assertEqual(len(d["warnings"]), 2)

    def test_pdf(self):
        d = read(pdf([["First page, first line", "and (second) line"], ["Seite zwei: Größe <b> & 5"], []], "A <title>", "Jo"), "x.pdf")
        self.assertEqual([(b["page"], b["text"]) for b in d["blocks"]],
                         [(1, "First page, first line\nand (second) line"), (2, "Seite zwei: Größe <b> & 5")])
        self.assertEqual((meta(d, "title"), meta(d, "author"), meta(d, "pages")), (["A <title>"], ["Jo"], ["3"]))
        self.assertEqual(meta(d, "created"), ["2024-01-02T03:04:05Z"])
        self.assertIn("1 of 3 pages have no text: pictures of text are not read", d["warnings"])
        self.assertEqual(read(pdf([["</pre>", "</body>"]]), "x.pdf")["blocks"][0]["text"], "</pre>\n</body>")

    def test_csv(self):
        text = 'name;price;note\r\n"a;b";1,5;"two\r\nlines"\r\n"say ""hi""";2;\r\n\r\nlast;3;x\r\n'
        d = read(text, "x.csv")
        self.assertEqual(meta(d, "delimiter"), ["semicolon"])
        rows = {}
        for b in d["blocks"]:
            rows.setdefault(b["row"], []).append(b["text"])
        self.assertEqual(list(rows.values()), [["name", "price", "note"], ["a;b", "1,5", "two\nlines"], ['say "hi"', "2", ""],
                                               ["last", "3", "x"]])
        self.assertEqual([b.get("path") for b in d["blocks"][:3]], ["name", "price", "note"])
        self.assertTrue(all(b.get("header") for b in d["blocks"][:3]) and not d["blocks"][3].get("header"))
        self.assertEqual(d["blocks"][-1]["line"], 6)
        self.assertNotIn("header", read("1,2\n3,4\n", "x.csv")["blocks"][0])

    def test_a_tab_in_a_name_does_not_break_the_frames(self):
        self.assertEqual(read("a\tb;c\n1;2\n3;4\n", "x.csv")["blocks"][2]["path"], "a b")
        self.assertEqual(read("---\na\tb: c\n---\ntext\n", "x.md")["blocks"][0]["path"], "/a b")

    def test_json_and_lines(self):
        text = '{"a": [1.10, -2e+5, "x\\u00e9\\ud83d\\ude00\\n"], "b/c~": {"": null}, "t": true}'
        d = read(text, "x.json")
        self.assertEqual([(b["path"], b["text"]) for b in d["blocks"]], [
            ("/a/0", "1.10"), ("/a/1", "-2e+5"), ("/a/2", "xé😀\n"), ("/b~1c~0/", "null"), ("/t", "true")])
        for b in d["blocks"]:
            begin, end = b["span"]
            json.loads(text.encode()[begin:end])
        d = read('{"a": 1}\n\n{"a": 2}\n', "x.jsonl")
        self.assertEqual([(b["row"], b["line"], b["text"]) for b in d["blocks"]], [(1, 1, "1"), (2, 3, "2")])
        for bad in ('{"a": 1,}', "[1 2]", '{"a"}', "[01]", "nul", '"a', "[1]x", "", '{"a": "\t"}', "[1", "+1", '"\\x"'):
            with self.subTest(bad), self.assertRaises(Refused) as e:
                read(bad, "x.json")
            self.assertEqual(e.exception.code, "bad_request")

    def test_xml(self):
        d = read('<r a="1&lt;2"><x>t <b>u</b> v</x><x k="">\n  <![CDATA[<z>\n y]]>\n</x></r>', "x.xml")
        self.assertEqual([(b["path"], b["text"]) for b in d["blocks"]], [
            ("/r/@a", "1<2"), ("/r/x[1]", "t"), ("/r/x[1]/b[1]", "u"), ("/r/x[1]", "v"), ("/r/x[2]/@k", ""), ("/r/x[2]", "<z>\n y")])
        self.assertEqual(meta(d, "root"), ["r"])

    def test_markdown(self):
        text = ("---\ntitle: A page\ntags: [a, b]\n---\n\n# Head *one*\n\nSome `code` and a [link](http://x/y).\nNext line.\n\n"
                "> quoted\n> more\n\n- one\n  - two\n\n```sh\nrun  it\n```\n\n| A | B |\n|---|---|\n| 1 | two words |\n\n<p>html</p>\n")
        d = read(text, "x.md")
        self.assertEqual([(b["path"], b["text"]) for b in d["blocks"][:2]], [("/title", "A page"), ("/tags", "a, b")])
        self.assertEqual([(b["kind"], b["text"]) for b in d["blocks"][2:]], [
            ("heading", "Head one"), ("paragraph", "Some code and a link. Next line."), ("quote", "quoted more"), ("item", "one"),
            ("item", "two"), ("code", "run  it"), ("cell", "A"), ("cell", "B"), ("cell", "1"), ("cell", "two words"),
            ("paragraph", "html")])
        self.assertEqual(meta(d, "title"), ["A page"])
        lines = text.encode().split(b"\n")
        for b in d["blocks"]:
            self.assertIn(words(b["text"])[0].encode(), text.encode()[b["span"][0]:b["span"][1]])
            self.assertIn(words(b["text"])[0].encode(), b"\n".join(lines[b["line"] - 1:b["line"] + 1]))

    def test_the_format_is_found(self):
        for content, name, found in ((b"<!DOCTYPE html><p>x", "noname", "html"), (b"<?xml version='1.0'?><a>x</a>", "noname", "xml"),
                                     (b"From: a@b\nSubject: x\n\nhi", "noname", "mail"), (pdf([["x"]]), "x.txt", "pdf"),
                                     (docx(paragraph("x")), "x.bin", "docx"), (b"a,b\n1,2\n", "t.csv", "csv"), (b"just text", "noname", "text"),
                                     (b"# x", "README.md", "markdown")):
            with self.subTest(name=name, found=found):
                self.assertEqual(read(content, name)["format"], found)
        with self.assertRaises(Refused) as e:
            read(b"x", "x", "--format", "xlsx")
        self.assertEqual(e.exception.code, "unsupported")


@unittest.skipUnless(DATA.is_dir(), "skipped: INHOUSE_DATA is not here")
class Real(unittest.TestCase):
    def test_every_mail(self):
        paths = sorted(DATA.glob("email/*/*.eml"))
        self.assertGreater(len(paths), 50)
        for path in paths:
            with self.subTest(path.name):
                d = read(path)
                self.assertEqual(d["format"], "mail")
                message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                try:
                    part = message.get_body(("plain",))
                    body = part.get_content() if part and part.get_content_charset("utf-8") else ""
                except (LookupError, KeyError, AttributeError, UnicodeError):
                    continue
                if "\ufffd" in body or message.defects:
                    continue  # Python does not know the charset, or calls half the head the body
                ours = set(words("\n".join(texts(d))))
                missing = [w for w in words(body) if w not in ours]
                self.assertLessEqual(len(missing), len(words(body)) // 50, (missing[:10], texts(d)[:3]))

    def test_every_page_of_markdown(self):
        paths = [p for f in ("postmortems", "runbooks", "alertmanager") for p in sorted((DATA / f).rglob("*.md"))]
        self.assertGreater(len(paths), 50)
        for path in paths:
            with self.subTest(path.name):
                raw = path.read_bytes()
                d = read(path)
                self.assertEqual(d["format"], "markdown")
                ours = set(words("\n".join(texts(d)) + "\n".join(lk["target"] for b in d["blocks"] for lk in b.get("links", []))
                                 + "\n".join(m["value"] for m in d["meta"])))
                plain = re.sub(r"(?s)\A---\n|^\w+:|<!--.*?-->|<[^>]*>|&\w+;|\\|```[^\n]*|\]\([^)]*\)|^\[[^\n]*\]:[^\n]*$|\{\{.*?\}\}", " ", raw.decode(), flags=re.M)
                theirs = [w for w in words(plain) if w.isalpha()]
                missing = [w for w in theirs if w not in ours]
                self.assertLessEqual(len(missing), max(3, len(theirs) // 50), missing[:20])
                for b in d["blocks"]:
                    if b["kind"] in ("heading", "code") and words(b["text"]):
                        self.assertIn(words(b["text"])[0].encode(), raw[b["span"][0]:b["span"][1]])

    def test_every_xml_as_another_parser_sees_it(self):
        paths = [p for f in ("test_reports", "localization") for e in ("xml", "trx", "xlf", "xliff") for p in sorted((DATA / f).rglob("*." + e))]
        self.assertGreater(len(paths), 20)
        read_ones = refused = 0
        for path in paths:
            with self.subTest(str(path.relative_to(DATA))):
                raw = path.read_bytes()
                try:
                    root = ET.fromstring(raw)
                except ET.ParseError:
                    root = None
                if root is None or b"<!ENTITY" in raw:
                    with self.assertRaises(Refused) as e:
                        read(path, "x", "--format", "xml")
                    self.assertIn(e.exception.code, ("bad_request", "unsupported"))
                    refused += 1
                    continue
                d = read(path, "x", "--format", "xml")
                values = [v for el in root.iter() for v in el.attrib.values()]
                ours = [b["text"] for b in d["blocks"] if "/@" in b.get("path", "")]
                self.assertEqual(sorted(ours), sorted("".join(c for c in v if c >= " " or c in "\n\t") for v in values))
                text = [t.strip() for el in root.iter() for t in [el.text, *(c.tail for c in el)] if t and t.strip()]
                got = [b["text"] for b in d["blocks"] if "/@" not in b.get("path", "")]
                self.assertEqual(words(" ".join(got)), words(" ".join(words_in_order(root))), path.name)
                self.assertEqual(len(text) > 0, len(got) > 0)
                read_ones += 1
        print(f"xml: {read_ones} read, {refused} refused")

    def test_every_json(self):
        paths = [p for f in ("otlp_json", "github_webhooks", "json_schema", "alertmanager", "test_reports", "localization")
                 for p in sorted((DATA / f).rglob("*.json"))]
        self.assertGreater(len(paths), 30)
        for path in paths:
            with self.subTest(str(path.relative_to(DATA))):
                try:
                    leaves = list(leaves_of(json.loads(path.read_bytes())))
                    d = read(path, "x", "--format", "json")
                except json.JSONDecodeError:
                    with self.assertRaises(Refused):  # JSON lines under the name of JSON
                        read(path, "x", "--format", "json")
                    d = read(path, "x", "--format", "jsonl")
                    leaves = [v for line in path.read_text().splitlines() if line.strip() for v in leaves_of(json.loads(line))]
                self.assertEqual(len(d["blocks"]), len(leaves))
                for b, v in zip(d["blocks"], leaves):
                    if isinstance(v, str):
                        self.assertEqual(b["text"], "".join(c for c in v if c >= " " and c not in "\x7f\ufeff" or c in "\n\t"))
                    else:
                        self.assertEqual(json.loads(b["text"]), v)

    def test_every_csv(self):
        for path in sorted(DATA.glob("nab_metrics/*.csv")) + [DATA / "banking77/train.csv", DATA / "clinc150/clinc150.csv"]:
            with self.subTest(path.name):
                d = read(path)
                rows = {}
                for b in d["blocks"]:
                    rows.setdefault(b["row"], []).append(b["text"])
                with open(path, newline="") as f:
                    theirs = [r for r in csv.reader(f) if r]
                self.assertEqual([[c.replace("\r\n", "\n") for c in r] for r in theirs], list(rows.values()))

    def test_json_lines_are_known_by_their_first_two_lines(self):
        for name in ("dorny/dart-json.json", "dorny/golang-json.json", "dorny/empty/dart-json.json"):
            self.assertEqual(read(DATA / "test_reports" / name)["format"], "jsonl", name)
        self.assertEqual(read(DATA / "test_reports/dorny/mocha-json.json")["format"], "json")

    def test_every_jsonl_line(self):
        path = DATA / "pii/presidio_synth_v2.jsonl"
        d = read(path)
        self.assertEqual(d["format"], "jsonl")
        self.assertEqual(max(b["row"] for b in d["blocks"]), sum(1 for line in path.read_text().splitlines() if line.strip()))


def words_in_order(el):
    if el.text:
        yield el.text
    for child in el:
        yield from words_in_order(child)
        if child.tail:
            yield child.tail


def leaves_of(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from leaves_of(v)
    elif isinstance(value, list):
        for v in value:
            yield from leaves_of(v)
    else:
        yield value


if __name__ == "__main__":
    main()
