#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program localize over made files, with a model that this script plays: what is done, what needs review and why, and what is written."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("INHOUSE_BUILD") or ROOT / "build")
PIPE, READER = BUILD / "test/localize_pipe", BUILD / "bin/inhouse-reader"


class Refused(Exception):
    pass


def run(files, model=None, **params):
    """files: {role: [(name, text)]}; model(text, back) -> answer or None. ({name of output: bytes}, {source: item})."""
    with tempfile.TemporaryDirectory() as folder:
        folder, words = Path(folder), []
        for role, given in files.items():
            for i, (name, text) in enumerate(given):
                (folder / ("%s%d" % (role, i))).mkdir()
                path = folder / ("%s%d" % (role, i)) / name
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
                words.append("%s=%s" % (role, path))
        out = folder / "out"
        out.mkdir()
        process = subprocess.Popen([str(PIPE), str(ROOT / "workflows/localize.yaml"), str(out), str(READER), "models" if model else "nomodel",
                                    *words, *("set:%s=%s" % p for p in params.items())],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in process.stdout:
            asks = json.loads(line)
            if asks == "done":
                break
            said = [model(a["text"].rsplit("\n", 1)[0].rsplit("\n\n", 1)[-1].split(": ", 1)[1], "to English" in a["system"]) for a in asks]
            process.stdin.write(json.dumps(said) + "\n")
            process.stdin.flush()
        error = process.communicate()[1]
        if process.returncode != 0:
            raise Refused(error)
        outputs = {p.name: p.read_bytes() for p in out.iterdir()}
        return outputs, {i["source"]: i for i in json.loads(outputs["review.json"])["items"]}


def po(*entries, head="nplurals=2; plural=(n != 1);"):
    return ('msgid ""\nmsgstr ""\n"Language: de\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: %s\\n"\n\n' % head) + "\n".join(
        'msgid "%s"\nmsgstr "%s"\n' % e for e in entries)


class Models(unittest.TestCase):
    BOTH = {"Delete all": "Alles löschen", "Rename {name}": "{name} umbenennen", "Share": "Share", "Move to <b>bin</b>": "In den <b>Korb</b> legen",
            "Crop": "Ernte", "Print": "Drucken.", "Zoom out": "verkleinern"}

    def model(self, text, back):
        if back:
            return {"Ernte": "Harvest"}.get(text, {v.rstrip("."): k for k, v in self.BOTH.items()}.get(text.rstrip("."), {"Verkleinern": "Zoom out"}.get(text)))
        return "German: " + self.BOTH[text] if text == "Delete all" else self.BOTH.get(text)

    def test_only_what_comes_back_whole_is_done(self):
        outputs, items = run({"file": [("a.po", po(*((s, "") for s in self.BOTH), ("Unknown", "")))]}, self.model)
        state = {s: i["state"] for s, i in items.items()}
        self.assertEqual(state, {"Delete all": "done", "Rename {name}": "done", "Move to <b>bin</b>": "done", "Print": "done", "Zoom out": "done",
                                 "Share": "needs review", "Crop": "needs review", "Unknown": "needs review"})
        self.assertIn("left it as it was", items["Share"]["reason"])
        self.assertIn("Harvest", items["Crop"]["reason"])
        text = outputs["a.po"].decode()
        self.assertIn('msgstr "Drucken"', text)
        self.assertIn('msgstr "Verkleinern"', text)
        self.assertNotIn("Ernte", text)

    def test_what_is_broken_is_never_done(self):
        broken = {"Rename {name}": "{Name} umbenennen", "Move to <b>bin</b>": "In den <b>Korb legen", "%d of %s": "%s von %d"}
        outputs, items = run({"file": [("a.po", po(*((s, "") for s in broken)))]},
                             lambda text, back: {v: k for k, v in broken.items()}[text] if back else broken[text])
        self.assertEqual({i["state"] for i in items.values()}, {"needs review"})
        self.assertEqual(outputs["a.po"].decode(), po(*((s, "") for s in broken)))

    def test_plural_forms(self):
        entry = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n'
        both = {"%d file": "%d Datei", "%d files": "%d Dateien"}
        model = lambda text, back: {v: k for k, v in both.items()}[text] if back else both[text]  # noqa: E731
        outputs, items = run({"file": [("a.po", po() + entry)]}, model)
        self.assertIn('msgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"', outputs["a.po"].decode())
        three = po(head="nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2);") + entry + 'msgstr[2] ""\n'
        outputs, items = run({"file": [("a.po", three)]}, model, language="cs")
        self.assertEqual([i["state"] for i in items.values()], ["needs review"])
        self.assertEqual(outputs["a.po"].decode(), three)


class Files(unittest.TestCase):
    MEMORY = [("m.po", po(("Open", "Öffnen"), ("Close", "Schließen"), ("a & b", "a & c")))]

    def test_xliff(self):
        text = ('<?xml version="1.0"?>\r\n<xliff version="1.2"><file source-language="en" target-language="de" original="x" datatype="x"><body>\r\n'
                '  <trans-unit id="1">\r\n    <source>Open</source>\r\n  </trans-unit>\r\n'
                '  <trans-unit id="2"><source>Close</source><target state="needs-translation"/></trans-unit>\r\n'
                '  <trans-unit id="3"><source>a &amp; b</source><target state="new">x</target></trans-unit>\r\n'
                '  <trans-unit id="4" translate="no"><source>Open</source></trans-unit></body></file></xliff>')
        outputs, items = run({"file": [("x.xlf", text)], "memory": self.MEMORY})
        want = (text.replace("<source>Open</source>\r\n", "<source>Open</source>\r\n    <target>Öffnen</target>\r\n", 1)
                .replace('<target state="needs-translation"/>', '<target state="translated">Schließen</target>')
                .replace('<target state="new">x</target>', '<target state="translated">a &amp; c</target>'))
        self.assertEqual(outputs["x.xlf"].decode(), want)
        two = ('<xliff version="2.0" srcLang="en" trgLang="de"><file id="f"><unit id="u"><segment id="s" state="initial"><source>Open</source></segment>'
               "</unit></file></xliff>")
        outputs, items = run({"file": [("x.xlf", two)], "memory": self.MEMORY})
        self.assertEqual(outputs["x.xlf"].decode(), two.replace('"initial"', '"translated"').replace("</source>", "</source><target>Öffnen</target>"))

    def test_files_of_one_language(self):
        source = '{\n  "@@locale": "en",\n  "open": "Open",\n  "@open": {"description": "d"},\n  "other": "Other",\n  "close": "Close"\n}\n'
        outputs, items = run({"file": [("app_en.arb", source)], "memory": self.MEMORY}, language="de")
        self.assertEqual(outputs["app_en.de.arb"].decode(), source.replace('"@@locale": "en"', '"@@locale": "de"').replace('"Open"', '"Öffnen"')
                         .replace('"Close"', '"Schließen"'))
        target = '{\n\t"open": "Auf",\n\t"other": "Anderes"\n}\n'
        outputs, items = run({"file": [("en.json", source)], "target": [("de.json", target)], "memory": self.MEMORY}, language="de")
        self.assertEqual(outputs["de.json"].decode(), '{\n\t"open": "Auf",\n\t"other": "Anderes",\n\t"close": "Schließen"\n}\n')

    def test_only_what_changed(self):
        base = '{"a": "Open the file", "b": "Close", "c": "Save"}'
        target = '{"a": "Die Datei öffnen", "b": "Zu", "c": "Sichern"}'
        outputs, items = run({"file": [("en.json", '{"a": "Open the files", "b": "Close", "c": "Something different"}')], "base": [("en.json", base)],
                              "target": [("de.json", target)]}, language="de")
        self.assertEqual(outputs["de.json"].decode(), target)
        self.assertEqual(set(items), {"Open the files", "Something different"})
        self.assertEqual(items["Open the files"]["target"], "Die Datei öffnen")
        self.assertEqual(items["Open the files"]["from"], "before")
        self.assertEqual(items["Something different"]["target"], "")
        self.assertEqual(items["Something different"]["before"], "Sichern")
        old, new = po(("Open", "Auf"), ("Close", "Zu")), po(("Open", ""), ("Close", ""), ("Quit", ""))
        outputs, items = run({"file": [("a.po", new)], "base": [("a.po", old)]})
        self.assertEqual(outputs["a.po"].decode(), po(("Open", "Auf"), ("Close", "Zu"), ("Quit", "")))
        self.assertEqual(items["Open"]["from"], "kept")

    def test_charsets_and_tables(self):
        latin = ('msgid ""\nmsgstr "Content-Type: text/plain; charset=ISO-8859-1\\n"\n\n# grün\nmsgid "Open"\nmsgstr ""\n').encode("latin-1")
        outputs, _ = run({"file": [("a.po", latin)], "memory": self.MEMORY}, language="de")
        self.assertEqual(outputs["a.po"], latin.replace(b'"Open"\nmsgstr ""', '"Open"\nmsgstr "Öffnen"'.encode("latin-1")))
        table = "key;source;target;notes\na;Open;;x\nb;Close;;\n"
        outputs, _ = run({"file": [("a.csv", table)], "memory": self.MEMORY}, language="de")
        self.assertEqual(outputs["a.csv"].decode(), "key;source;target;notes\na;Open;Öffnen;x\nb;Close;Schließen;\n")

    def test_glossary_and_style_hold_memory_too(self):
        tbx = ('<tbx><text><body><conceptEntry id="1"><langSec xml:lang="en"><termSec><term>open</term></termSec></langSec><langSec xml:lang="de">'
               "<termSec><term>aufmachen</term></termSec></langSec></conceptEntry></body></text></tbx>")
        rule = "extends: existence\nmessage: \"Not '%s'.\"\nlevel: error\ntokens:\n  - Schließen\n"
        _, items = run({"file": [("a.po", po(("Open", ""), ("Close", "")))], "memory": self.MEMORY, "glossary": [("t.tbx", tbx)],
                        "style": [("brand.yml", rule)]})
        self.assertEqual({i["state"] for i in items.values()}, {"needs review"})
        self.assertIn("brand", items["Close"]["reason"])

    def test_what_is_wrong_is_said(self):
        good = [("a.po", po(("Open", "")))]
        for files, params, says in (({"file": [("a.json", '{"a": "b"}')]}, {}, "--set language=de"),
                                    ({"file": good, "memory": [("en.json", "{}")]}, {}, "in pairs"),
                                    ({"file": good, "base": good + good}, {}, "one base"),
                                    ({"file": [("a.xyz", "x")]}, {}, "Files end in"),
                                    ({"file": good, "glossary": [("t.csv", "a,b\n1,2\n")]}, {}, "term"),
                                    ({"file": good, "target": good}, {}, "no target"),
                                    ({"file": [("a.po", "hello")]}, {}, "line 1")):
            with self.subTest(says), self.assertRaises(Refused) as caught:
                run(files, **params)
            self.assertIn(says, str(caught.exception))


if __name__ == "__main__":
    if not PIPE.is_file() or not READER.is_file():
        print("skipped: localize_pipe and inhouse-reader are not built in %s" % BUILD)
        sys.exit(77)
    unittest.main()
