#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Formats of translations through inhouse-reader: made files come back exactly, real ones as other parsers see them, and every span of a target is
the file's own bytes."""
import json
import re
import unittest
import xml.etree.ElementTree as ET

from house import DATA, Refused, main, meta, read

LOCAL = DATA / "localization"


def units(d):
    """[{unit, source: {form: text}, target: {form: (text, span)}, flags, ...}] in order."""
    out = []
    for b in d["blocks"]:
        if b["kind"] == "unit":
            out.append({"id": b["text"], "source": {}, "target": {}, "flag": [], "mark": {}, "wrap": {}})
        elif b["kind"] in ("source", "target"):
            out[-1][b["kind"]][b.get("level", 0)] = (b["text"], b.get("span"))
        elif b["kind"] == "flag":
            out[-1]["flag"].append(b["text"])
        elif b["kind"] in ("mark", "wrap"):
            out[-1][b["kind"]][b["path"]] = b["text"]
        elif out:  # before the first: the language of an ARB file
            out[-1][b["kind"]] = b["text"]
    return out


class Made(unittest.TestCase):
    def test_po_in_many_charsets(self):
        text = ('msgid ""\nmsgstr ""\n"Language: xx\\n"\n"Content-Type: text/plain; charset=%s\\n"\n\n#. note\n#, fuzzy, c-format\n'
                '#| msgid "old"\nmsgctxt "ctx"\nmsgid "%%d file"\nmsgid_plural "%%d files"\nmsgstr[0] "%s"\nmsgstr[1] ""\n"a\\n"\n"%s"\n')
        words = {"UTF-8": "größe 日本", "ISO-8859-1": "größe", "ISO-8859-2": "žluťoučký", "KOI8-R": "привет", "EUC-JP": "日本語",
                 "Shift_JIS": "日本語ソ", "GB18030": "中文字", "windows-1251": "привет", "BIG5": "中文"}
        for charset, word in words.items():
            with self.subTest(charset):
                raw = (text % (charset, word, word)).encode(charset)
                unit, = units(read(raw, "x.po"))
                self.assertEqual(unit["context"], "ctx")
                self.assertEqual(unit["state"], "fuzzy")
                self.assertEqual(unit["flag"], ["c-format"])
                self.assertEqual(unit["previous"], "old")
                self.assertEqual([s[0] for s in unit["source"].values()], ["%d file", "%d files"])
                one, many = unit["target"][1], unit["target"][2]
                self.assertEqual((one[0], many[0]), (word, "a\n" + word))
                self.assertEqual(raw[slice(*one[1])], ('"%s"' % word).encode(charset))
                self.assertEqual(raw[slice(*many[1])], ('""\n"a\\n"\n"%s"' % word).encode(charset))

    def test_po_oddities(self):
        d = units(read('msgid "a\\tb\\"\\\\"\r\nmsgstr ""\r\n\r\n#~ msgid "gone"\r\n#~ msgstr "weg"\r\nmsgid "c\\r"\r\nmsgstr "\\x41\\102"\r\n', "x.po"))
        self.assertEqual([u["source"][0][0] for u in d], ['a\tb"\\', "gone", "c"])
        self.assertEqual([u["flag"] for u in d], [[], ["obsolete"], ["odd-characters"]])
        self.assertEqual(d[2]["target"][0][0], "AB")
        for bad, says in (('msgid "a\nmsgstr ""\n', "line 1"), ('msgid "a"\n', "no msgstr"), ('msgstr "a"\n', "no msgid"),
                          ('msgid "a"\nmsgid "b"\nmsgstr ""\n', "twice"), ('hello\n', "neither"), ('msgid "a"\nmsgstr[77] "b"\n', "0 to 9")):
            with self.subTest(bad):
                self.assertIn(says, self.refused(bad, "x.po"))

    def refused(self, text, name):
        with self.assertRaises(Refused) as caught:
            read(text, name)
        return str(caught.exception)

    def test_xliff(self):
        one = ('<xliff version="1.2"><file source-language="en" target-language="de" original="a" datatype="x"><body>\n'
               '  <trans-unit id="1" resname="r" maxwidth="9">\n    <source>a <g id="1">b &amp; <x id="2"/></g></source>\n  </trans-unit>\n'
               '  <trans-unit id="2" translate="no"><source>s</source><target state="new"/><alt-trans><target>no</target></alt-trans></trans-unit>\n'
               '  <trans-unit id="3"><source>s</source><target state="final"><![CDATA[<b>]]> &#65;</target><note>hint</note></trans-unit>\n'
               '</body></file></xliff>')
        d = read(one, "x.xlf")
        self.assertEqual(meta(d, "target_language"), ["de"])
        first, second, third = units(d)
        self.assertEqual(first["source"][0][0], "a ⟦g:1⟧b & ⟦x:2⟧⟦/g:1⟧")
        self.assertEqual(first["mark"], {"⟦g:1⟧": '<g id="1">', "⟦x:2⟧": '<x id="2"/>', "⟦/g:1⟧": "</g>"})
        self.assertEqual((first["context"], first["length_max"]), ("r", "9"))
        self.assertEqual(first["wrap"], {"before": "\n    <target>", "after": "</target>"})
        begin = one.index("</source>") + len("</source>")
        self.assertEqual(first["target"][0], ("", [begin, begin]) if first["target"][0][1] else ("", None))
        self.assertEqual(second["wrap"]["before"], '<target state="new">')
        self.assertEqual(one[slice(*second["target"][0][1])], '<target state="new"/>')
        self.assertEqual((second["flag"], second["state"]), (["no-translate"], "new"))
        self.assertEqual(third["target"][0][0], "<b> A")
        self.assertEqual(third["note"], "hint")
        two = ('<xliff version="2.1" srcLang="en" trgLang="fr"><file id="f"><unit id="u"><notes><note>n</note></notes>'
               '<segment id="s" state="initial"><source>a <pc id="1">b</pc><ph id="2"/></source></segment>'
               '<ignorable><source> </source></ignorable><segment><source>c</source><target>d</target></segment></unit></file></xliff>')
        first, second = units(read(two, "x.xlf"))
        self.assertEqual((first["id"], second["id"]), ("u/s", "u"))
        self.assertEqual(first["source"][0][0], "a ⟦pc:1⟧b⟦/pc:1⟧⟦ph:2⟧")
        self.assertEqual(first["state"], "initial")
        self.assertEqual(second["target"][0][0], "d")
        self.assertIn("not XLIFF", self.refused("<a/>", "x.xlf"))
        self.assertIn("entity", self.refused('<!DOCTYPE x [<!ENTITY e "x">]><xliff/>', "x.xlf"))

    def test_tbx(self):
        old = ('<martif><text><body><termEntry id="1"><langSet xml:lang="en"><tig><term>dog</term></tig></langSet><langSet xml:lang="de"><tig>'
               '<term>Hund</term></tig><tig><term>Köter</term><termNote type="administrativeStatus">forbidden</termNote></tig></langSet>'
               '</termEntry></body></text></martif>')
        d = read(old, "x.tbx")
        self.assertEqual([(b["path"], b["text"], b["level"]) for b in d["blocks"] if b["kind"] == "term"],
                         [("en", "dog", 1), ("de", "Hund", 2), ("de", "Köter", 3)])
        self.assertEqual([(b["text"], b["level"]) for b in d["blocks"] if b["kind"] == "flag"], [("forbidden", 3)])

    def test_json_and_csv(self):
        arb = '{"@@locale": "en", "a": "x \\u00e9", "@a": {"description": "d"}, "n": 3}'
        unit, = units(read(arb, "x.arb"))
        self.assertEqual((unit["id"], unit["note"], unit["source"][0][0]), ("/a", "d", "x é"))
        self.assertEqual(json.loads(arb[slice(*unit["target"][0][1])]), "x é")
        nested = units(read('{"a": {"b": "c", "d": ["e", 1]}, "f\\r": "g\\r"}', "x.json", "--format", "i18n"))
        self.assertEqual([u["id"] for u in nested][:2], ["/a/b", "/a/d/0"])
        self.assertEqual(nested[2]["flag"], ["odd-characters"])
        table = 'key,context,source,target,notes,max length\na,menu,"x, y",,n,20\nb,,z,"q ""r""",,\n'
        first, second = units(read(table, "x.csv", "--format", "strings"))
        self.assertEqual((first["id"], first["context"], first["length_max"], first["note"]), ("a", "menu", "20", "n"))
        self.assertEqual(second["target"][0][0], 'q "r"')
        self.assertEqual(table[slice(*second["target"][0][1])], '"q ""r"""')
        self.assertIn("columns", self.strings("a,b\nc,d\n"))

    def strings(self, text):
        with self.assertRaises(Refused) as caught:
            read(text, "x.csv", "--format", "strings")
        return str(caught.exception)


@unittest.skipUnless(LOCAL.is_dir(), "no localisation data (INHOUSE_DATA)")
class Real(unittest.TestCase):
    def test_po(self):
        for file in sorted(LOCAL.glob("po_*/*.po")):
            with self.subTest(file.name):
                raw = file.read_bytes()
                found = units(read(raw, file.name))
                live = [u for u in found if "obsolete" not in u["flag"]]
                self.assertEqual(len(live), len(re.findall(rb"^msgid ", raw, re.M)) - 1)
                self.assertEqual(len(found) - len(live), len(re.findall(rb"^#~ msgid ", raw, re.M)))
                for u in live:
                    for text, span in u["target"].values():
                        parts = re.findall(r'"((?:[^"\\]|\\.)*)"', raw[slice(*span)].decode())
                        said = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), "".join(parts))
                        self.assertEqual(said, text)

    def test_xliff(self):
        for file in sorted(LOCAL.glob("xliff12_*/*.xlf")):
            with self.subTest(file.name):
                raw = file.read_bytes()
                found = units(read(raw, file.name))
                space = "{urn:oasis:names:tc:xliff:document:1.2}"
                want = [(t.get("id"), t.findtext(space + "source"), t.findtext(space + "target") or "")
                        for t in ET.fromstring(raw).iter(space + "trans-unit")]
                self.assertEqual([(u["id"], u["source"][0][0], u["target"][0][0]) for u in found], want)

    def test_json(self):
        for file in sorted(LOCAL.glob("arb_*/*.arb")) + sorted(LOCAL.glob("json_*/*.json")):
            with self.subTest(file.name):
                raw = file.read_bytes()
                found = units(read(raw, file.name, *([] if file.suffix == ".arb" else ["--format", "i18n"])))

                def strings(v):
                    if isinstance(v, tuple):  # pairs: a key may stand twice
                        return sum(strings(x) for k, x in v if file.suffix != ".arb" or not k.startswith("@"))
                    return 1 if isinstance(v, str) else 0
                self.assertEqual(len(found), strings(json.loads(raw, object_pairs_hook=tuple)))
                for u in found:
                    text, span = u["target"][0]
                    self.assertEqual(json.loads(raw[slice(*span)]), text)


if __name__ == "__main__":
    main()
