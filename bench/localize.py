#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-localize: the program `localize` on public translations (data/localization), whole: reader, memory, rules, model, checks, writer.

Bytes: tests' localize_bytes_test (every file: no change, one change, all changed).
In memory: every file with all its targets taken out, its own former version as memory. Offered as done, and equal to the reference.
New: of every file some strings are kept out, with every other string of the same source; the rest of the file and the other files of that language
are memory, as in a project that goes on. Strings that are equal in both languages and have a word are left out of nothing. Offered as done; of
those, how many are the reference itself, and chrF (Popovic 2015; sacrebleu's defaults) against it, beside the chrF of what needs review.
Broken: placeholders, tags, braces and bars of everything offered as done, counted here by other code than the program's; and must-terms that the
reference itself follows.
The peer is the same model alone: shown the same examples of memory, everything it writes offered as done. Thresholds of the program were set on
split a (strings whose hash is even), rows are of split b. INHOUSE_BENCH_PEER=self puts ours in the peer's place.
Exit 0: the rows hold; 1: short; 77: something needed is missing.
Usage: bench/localize.py [--per N] [--split a|b] [--model heavy|light|none] [--langs fr,de,ja,pt_BR] [--show]
"""
import argparse
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common

LOCAL = common.DATA / "localization"
PIPE = common.BUILD / "test/localize_pipe"
READER = common.BUILD / "bin/inhouse-reader"
FILES = {  # language: name: (file or source file, target file or None)
    "fr": {"sphinx": ("po_sphinx/fr_sphinx.po", None), "drf": ("po_drf/fr_django.po", None),
           "symfony": ("xliff12_symfony_validators/validators.fr.xlf", None),
           "excalidraw": ("json_excalidraw/en.json", "json_excalidraw/fr-FR.json"),
           "gallery": ("arb_flutter_gallery/intl_en.arb", "arb_flutter_gallery/intl_fr.arb")},
    "de": {"drf": ("po_drf/de_django.po", None), "symfony": ("xliff12_symfony_validators/validators.de.xlf", None),
           "excalidraw": ("json_excalidraw/en.json", "json_excalidraw/de-DE.json")},
    "ja": {"symfony": ("xliff12_symfony_validators/validators.ja.xlf", None)},
    "pt_BR": {"symfony": ("xliff12_symfony_validators/validators.pt_BR.xlf", None)},
}
TERMS = {"de": {"file": "Datei", "library": "Bibliothek", "image": "Bild", "password": "Passwort", "field": "Feld"},
         "fr": {"file": "fichier", "library": "bibliothèque", "image": "image", "password": "mot de passe", "field": "champ"}}


# ---- chrF, apart from the program's own ----

def grams(text, n):
    text = "".join(text.split())
    return collections.Counter(text[i:i + n] for i in range(len(text) - n + 1))


def chrf(pairs):
    """Of (hypothesis, reference) pairs together, 0..100."""
    p = r = orders = 0
    for n in range(1, 7):
        both = mine = other = 0
        for h, ref in pairs:
            a, b = grams(h, n), grams(ref, n)
            both += sum((a & b).values())
            mine += sum(a.values())
            other += sum(b.values())
        if mine and other:
            p, r, orders = p + both / mine, r + both / other, orders + 1
    p, r = p / max(orders, 1), r / max(orders, 1)
    return 100 * 5 * p * r / (4 * p + r) if p + r else 0.0


# ---- files ----

def read(path):
    """[{id, source, target, span, plural}] as inhouse-reader says them."""
    form = {".json": ["--format", "i18n"]}.get(Path(path).suffix, [])
    done = subprocess.run([str(common.BUILD / "bin/inhouse"), "read", str(path), "--json", *form], capture_output=True, check=True)
    out = []
    for b in json.loads(done.stdout)["blocks"]:
        if b["kind"] == "unit":
            out.append({"id": b["text"], "source": [], "target": [], "span": [], "flags": [], "context": ""})
        elif out and b["kind"] in ("source", "target"):
            out[-1][b["kind"]].append(b["text"])
            if b["kind"] == "target":
                out[-1]["span"].append(b.get("span"))
        elif out and b["kind"] in ("flag", "state"):
            out[-1]["flags"].append(b["text"])
        elif out and b["kind"] == "context":
            out[-1]["context"] = b["text"]
    return [u for u in out if not {"obsolete", "fuzzy", "no-translate", "odd-characters"} & set(u["flags"])]


def usable(u):
    return u["source"] and u["source"][0].strip() and u["target"] and all(t.strip() for t in u["target"])


class Project:
    """One file (or pair) with its references; can be written without some of its targets."""

    def __init__(self, lang, name, source, target):
        self.lang, self.name, self.source, self.target = lang, name, LOCAL / source, target and LOCAL / target
        self.units = read(self.source)
        if target:
            theirs = {u["id"]: u for u in read(self.target)}
            self.units = [dict(u, target=theirs[u["id"]]["target"]) for u in self.units if u["id"] in theirs]
        self.units = [u for u in self.units if usable(u) and "needs-translation" not in u["flags"]]

    def without(self, ids, folder):
        """role=path arguments of the file without these targets."""
        if self.target:
            tree = json.loads(self.target.read_text(encoding="utf-8"))
            for i in ids:
                *parents, key = [k.replace("~1", "/").replace("~0", "~") for k in i.split("/")[1:]]
                node = tree
                for k in parents:
                    node = node[k]
                node.pop(key, None)
            out = folder / self.target.name
            out.write_text(json.dumps(tree, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            return ["file=%s" % self.source, "target=%s" % out]
        raw = self.source.read_bytes()
        for u in reversed(self.units):
            if u["id"] in ids:
                for begin, end in reversed(u["span"]):
                    raw = raw[:begin] + (b'""' if self.source.suffix == ".po" else b"") + raw[end:]
        out = folder / self.source.name
        out.write_bytes(raw)
        return ["file=%s" % out]

    def as_memory(self):
        return ["memory=%s" % self.source] + (["memory=%s" % self.target] if self.target else [])


# ---- the model ----

class Model:
    """Answers the program's asks through the server's chat."""

    def __init__(self, role):
        self.role, self.house, self.raw = role, common.House("models:\n  n_ctx_%s: 8192\n" % role), []

    def __enter__(self):
        self.house.__enter__()
        self.house.command("models", "add", common.HEAVY if self.role == "heavy" else common.LIGHT, "--role", self.role)
        self.house.start([self.role])
        self.key = self.house.key("desk")
        return self

    def __exit__(self, *error):
        self.house.__exit__(*error)

    def one(self, ask):
        body = {"model": self.role, "temperature": 0, "max_tokens": ask["max_tokens"],
                "messages": [{"role": "system", "content": ask["system"]}, {"role": "user", "content": ask["text"]}]}
        try:
            choice = self.house.post(self.key, "/v1/chat/completions", body)[1]["choices"][0]
        except RuntimeError as e:  # past its deadline: no answer, as in a run
            print("  no answer: %s" % str(e)[:120], file=sys.stderr)
            return None
        return choice["message"]["content"] if choice["finish_reason"] == "stop" else None

    def answer(self, asks):
        with ThreadPoolExecutor(4) as pool:
            texts = list(pool.map(self.one, asks))
        self.raw += list(zip(asks, texts))
        return texts


def run(model, folder, *words):
    """The rows of review.json."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    process = subprocess.Popen([str(PIPE), str(common.ROOT / "workflows/localize.yaml"), str(out), str(READER),
                                "models" if model else "nomodel", *map(str, words)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        asks = json.loads(line)
        if asks == "done":
            break
        process.stdin.write(json.dumps(model.answer(asks)) + "\n")
        process.stdin.flush()
    error = process.stderr.read()
    if process.wait() != 0:
        raise RuntimeError(error)
    return json.loads((out / "review.json").read_text(encoding="utf-8"))["items"]


# ---- judging ----

PIECES = re.compile(r"\{\{[^{}]*\}\}|\$t\([^)]*\)|%\([^)]*\)[a-z]|%[0-9$.]*[a-zA-Z](?![a-zA-Z])|</?[a-zA-Z][^>]*>|\{[^{}]*\}|:[a-z]+:`|⟦[^⟧]*⟧")


def broken(source, target):
    """Placeholders, tags and bars that are not those of the source."""
    if "|" in source and "| " not in source:
        return any(broken(source.split("|")[min(i, source.count("|"))].replace("|", ""), t) for i, t in enumerate(target.split("|"))) if \
            "|" in target else broken(source.split("|")[-1], target)
    if re.search(r"\{\w+, *(plural|select)", source):
        return target.count("{") != target.count("}") or set(re.findall(r"\{(\w+), *(\w+)", source)) != set(re.findall(r"\{(\w+), *(\w+)", target))
    return collections.Counter(PIECES.findall(source)) != collections.Counter(PIECES.findall(target))


def of_split(u, split):
    return hashlib.sha256(u["source"][0].encode()).digest()[0] % 2 == (0 if split == "a" else 1)


def in_memory(projects):
    total = done = right = 0
    for p in projects:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rows = run(None, folder, *p.without({u["id"] for u in p.units}, folder), *p.as_memory(), "set:language=" + p.lang)
        want = {u["id"]: u for u in p.units}
        held = [r for r in rows if r["id"] in want]
        total += len(held)
        done += sum(r["state"] == "done" for r in held)
        right += sum(r["state"] == "done" and r["target"] == "\n".join(want[r["id"]]["target"]) for r in held)
        print("  in memory %-5s %-10s %4d strings, %4d done" % (p.lang, p.name, len(held), sum(r["state"] == "done" for r in held)))
        for reason, n in collections.Counter(r["reason"].split(":")[0] for r in held if r["state"] != "done").most_common(4):
            print("      %d x %s" % (n, reason))
    return total, done, right


def new(projects, per, split, model, show):
    """[(project, unit, row)] of strings that memory does not hold."""
    out = []
    for p in projects:
        sources = collections.defaultdict(list)
        for u in p.units:
            if len(u["source"][0]) <= 400:
                sources[u["source"][0]].append(u)
        order = sorted((s for s in sources if of_split(sources[s][0], split)), key=lambda s: hashlib.sha256((s + "order").encode()).digest())
        chosen = {u["id"]: u for s in order[:per] for u in sources[s]}
        others = [m for q in projects if q is not p and q.lang == p.lang for m in q.as_memory()]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            words = p.without(set(chosen), folder)
            terms = TERMS.get(p.lang)
            if terms:
                (folder / "terms.csv").write_text("source,target\n" + "".join("%s,%s\n" % t for t in terms.items()), encoding="utf-8")
                words.append("glossary=%s" % (folder / "terms.csv"))
            rows = run(model, folder, *words, *others, "set:language=" + p.lang)
        seen = set()
        for r in rows:
            if r["id"] in chosen and r["from"] not in ("memory", "memory-context") and r["source"] not in seen:
                seen.add(r["source"])
                out.append((p, chosen[r["id"]], r))
        if show:
            for q, u, r in out:
                if q is p:
                    print("   ", r["state"], r["from"], "%.2f" % r["confidence"], "|", r["source"], "|", "\n".join(u["target"]), "|", r["target"], "|", r["reason"])
    return out


def report(label, found, raw):
    done = [(p, u, r) for p, u, r in found if r["state"] == "done"]
    pairs = [(r["target"], "\n".join(u["target"])) for _, u, r in done]
    rest = [(r["target"], "\n".join(u["target"])) for _, u, r in found if r["state"] != "done"]
    bad = [(r["source"], r["target"]) for _, u, r in done for s, t in zip(r["source"].split("\n")[-1:] if len(u["source"]) > 1 else [r["source"]],
                                                                       [r["target"]]) if broken(s, t) and len(u["source"]) == 1]
    terms = kept = 0
    for p, u, r in done:
        for s, t in TERMS.get(p.lang, {}).items():
            if re.search(r"\b%s\b" % s, r["source"], re.I):
                terms += 1
                kept += bool(re.search(t[:max(4, len(t) - 2)], r["target"], re.I))
    for lang in sorted({p.lang for p, _, _ in found}):
        mine = [x for x in found if x[0].lang == lang]
        offered = [(r["target"], "\n".join(u["target"])) for p, u, r in mine if r["state"] == "done"]
        every = [(r["target"], "\n".join(u["target"])) for p, u, r in mine]
        print("  new %-5s %-6s %3d strings, %3d done (%.0f %%): chrF %.1f, %d are the reference, %d have chrF >= 70; all proposals chrF %.1f" % (
            lang, label, len(mine), len(offered), 100 * len(offered) / max(1, len(mine)), chrf(offered), sum(h == r for h, r in offered),
            sum(chrf([x]) >= 70 for x in offered), chrf(every)))
    for by, n in collections.Counter(r["from"] for _, _, r in done).most_common():
        print("    done from %-16s %d" % (by, n))
    for reason, n in collections.Counter(r["reason"].split(":")[0] for _, _, r in found if r["state"] != "done").most_common(8):
        print("    review: %d x %s" % (n, reason))
    for s, t in bad:
        print("    BROKEN %r -> %r" % (s, t))
    return len(found), len(done), chrf(pairs), chrf(rest), len(bad), terms, kept


def alone(found, raw):
    """What the model wrote first for each string: chrF and broken strings, everything offered."""
    said = {}
    for ask, text in raw:
        said.setdefault(ask["text"].rsplit("\n", 1)[0].rsplit("\n\n", 1)[-1].split(": ", 1)[-1], text)
    pairs, bad = [], 0
    for _, u, r in found:
        text = said.get(u["source"][-1] if len(u["target"]) == 1 else u["source"][0])
        if text is not None:
            text = re.sub(r"^[A-Z][a-z]+( \([A-Za-z]+\))?: ", "", text.strip())
            pairs.append((text, u["target"][0]))
            bad += broken(u["source"][0], text)
    return chrf(pairs), bad, len(pairs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--per", type=int, default=int(8 * float(os.environ.get("INHOUSE_BENCH_SIZE", "1"))))
    parser.add_argument("--split", choices="ab", default="b")
    parser.add_argument("--model", choices=("heavy", "light", "none"))
    parser.add_argument("--langs", default=",".join(FILES))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--quick", action="store_true", help="without the part that needs no model")
    args = parser.parse_args()
    common.need(LOCAL, PIPE, READER, *([] if args.model == "none" else [common.HEAVY]))
    projects = [Project(lang, name, *files) for lang in args.langs.split(",") for name, files in FILES[lang].items()]
    bytes_ok = subprocess.run([str(common.BUILD / "test/localize_bytes_test")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, "INHOUSE_DATA": str(common.DATA), "INHOUSE_BUILD": str(common.BUILD)}).returncode == 0
    total, done, right = in_memory(projects) if not args.quick else (1, 1, 1)
    print("in memory: %d strings, %d done, %d of them the reference" % (total, done, right))
    plain = report("none", new(projects, args.per, args.split, None, False), [])
    figures = {}
    for role in [args.model] if args.model else ["light", "heavy"]:
        if role != "none":
            with Model(role) as model:
                found = new(projects, args.per, args.split, model, args.show)
                figures[role] = (report(role, found, model.raw), alone(found, model.raw))
                print("  %s alone, all of it offered: chrF %.1f, %d of %d broken" % ((role,) + (figures[role][1][0], *figures[role][1][1:])))
    (n, offered, good, rest, bad, terms, kept), (peer, peer_bad, _) = figures.get("heavy") or next(iter(figures.values()), (plain, (1, 0, 0)))
    if common.SELF:
        peer, peer_bad = good, bad
    print("new: %d strings, %d done without a model; with it %d done, chrF %.1f of those and %.1f of the rest; must-terms %d of %d" % (
        n, plain[1], offered, good, rest, kept, terms))
    ok = common.row("localize-bytes", "stable" if bytes_ok else "changed", "stable", 1.0 if bytes_ok else 0.0, "1", bytes_ok)
    ok &= common.row("localize-memory-done", "%.4f" % (done / total), "1", done / total, ">=0.95", done / total >= 0.95)
    ok &= common.row("localize-new-done", "%.4f" % (offered / n), "1", offered / n, ">=0.30", offered / n >= 0.30)
    ok &= common.row("localize-new-chrf", "%.1f" % good, "%.1f" % peer, good / max(peer, 1e-9), ">=1.05", common.SELF or good >= 1.05 * peer)
    ok &= common.row("localize-broken", bad, peer_bad, 1.0 if bad == 0 else 0.0, "0 broken", bad == 0)
    ok &= common.row("localize-must-terms", "%d/%d" % (kept, terms), "all", 1.0 if kept == terms else 0.0, "all", kept == terms)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
