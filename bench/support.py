#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The support check on texts of others: true sentences and plain rewordings kept, changed ones refused.

  support.py [SOURCE ...] [--show N] [--each]      sources: helpdesk runbooks postmortems styleguide thunderbird

Sentences are drawn from real texts; each is reworded without a change of meaning (conditions moved, contractions, number words,
synonyms that are not taken from our lexicon), and changed in one of seven ways: number, negation, can/cannot, product, menu,
date, condition dropped. A changed sentence counts as refused when the check refuses it against all sentences of its text.
What was looked at while the check was made: helpdesk, runbooks, postmortems, styleguide. thunderbird was held out.
Peer: the share of a sentence's content words that the nearest source says, at the threshold that keeps nine of ten true ones.
--show N prints N that slipped and N that were lost of each kind; --each prints the figures of each source.
"""
import collections
import html
import json
import math
import random
import re
import subprocess
import sys

import common

DEVELOPED = ["helpdesk", "runbooks", "postmortems", "styleguide"]
HELD_OUT = ["thunderbird"]
A_SOURCE = 200  # sentences

# ---------------------------------------------------------------- texts


def plain(text):
    """Markdown without code blocks, tables, headings and link targets."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    text = re.sub(r"```.*?(```|\Z)", "\n", text, flags=re.S)
    text = re.sub(r"\{\{.*?\}\}", "", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>", "", text)
    keep = [line for line in text.split("\n") if not re.match(r"\s*(#|\||\{|<|>|!|    |\t)", line)]
    text = re.sub(r"[*_`]{1,3}", "", "\n".join(keep))
    text = re.sub(r"(?m)^\s*([-*+]|\d+\.)\s+", "\n", text)
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def from_html(text):
    text = re.sub(r"<(p|br|li|div|ul|ol|h\d)[^>]*>", "\n\n", text)
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def documents(source):
    """(text, language) of each document."""
    if source == "helpdesk":
        for f in sorted((common.ROOT / "examples/helpdesk/articles").glob("*.md")):
            yield plain(f.read_text()), "de" if f.stem.endswith("-de") else "en"
    elif source == "thunderbird":
        for f in sorted((common.DATA / "thunderbird_tickets").glob("*.jsonl")):
            for line in f.read_text().split("\n"):
                ticket = json.loads(line) if line.strip() else {}
                for answer in ticket.get("answers", []):
                    if answer.get("is_solution") and ticket.get("locale", "en-US").startswith("en"):
                        yield from_html(answer["content_html"]), "en"
    else:
        folder = {"runbooks": "runbooks", "postmortems": "postmortems", "styleguide": "localization/styleguide_mozilla"}[source]
        for f in sorted((common.DATA / folder).rglob("*.md")):
            yield plain(f.read_text(errors="replace")), "de" if "/de" in str(f) or f.stem.startswith("de") else "en"


class Filter:
    """The C program, asked in one go."""

    def ask(self, lines):
        done = subprocess.run([str(common.BUILD / "bench/support_claims")], text=True, capture_output=True,
                              input="".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines))
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return [json.loads(x) for x in done.stdout.split("\n") if x]


def usable(sentence):
    words = sentence.split()
    odd = sum(not re.fullmatch(r"[\w'’.,;:!?()\"“”„%/>&+-]+", w) for w in words)
    return 6 <= len(words) <= 35 and sentence[0].isupper() and sentence[-1] == "." and odd <= len(words) / 8 and \
        not re.search(r"[=|{}\[\]]|https?:", sentence) and "\n" not in sentence


# ---------------------------------------------------------------- changes

def word_swap(text, pairs, rng):
    """One of the pairs applied to one of the places where it fits; None when none fits."""
    fits = []
    for old, new in pairs:
        for m in re.finditer(r"(?<![\w.,:-])" + re.escape(old) + r"(?![\w-]|[.,:]\d)", text):
            fits.append((m.start(), m.end(), new))
    if not fits:
        return None
    a, b, new = rng.choice(fits)
    return text[:a] + new + text[b:]


NUMBER_WORDS = {"en": "two three four five six seven eight nine ten twelve twenty thirty".split(),
                "de": "zwei drei vier fünf sechs sieben acht neun zehn zwölf zwanzig dreißig".split()}


def change_number(text, doc, lang, rng):
    numbers = list(re.finditer(r"\d+", text))
    if numbers:
        m = rng.choice(numbers)
        n = int(m.group())
        return text[:m.start()] + str(rng.choice([n + 1, n * 2 + 1, n + 10, max(0, n - 1) if n > 1 else n + 3])) + text[m.end():]
    words = NUMBER_WORDS[lang]
    return word_swap(text, [(w, rng.choice([x for x in words if x != w])) for w in words], rng)


NEGATIONS = {
    "en": [("is", "is not"), ("are", "are not"), ("was", "was not"), ("were", "were not"), ("will", "will not"), ("has", "has not"),
           ("have", "have not"), ("should", "should not"), ("does not", "does"), ("do not", "do"), ("is not", "is"), ("are not", "are"),
           ("was not", "was"), ("isn't", "is"), ("don't", "do"), ("doesn't", "does"), ("not", ""), ("never", "always"), ("no", "some"),
           ("without", "with"), ("would", "would not"), ("could", "could not"), ("did not", "did"), ("didn't", "did"), ("won't", "will")],
    "de": [("ist", "ist nicht"), ("sind", "sind nicht"), ("wird", "wird nicht"), ("werden", "werden nicht"), ("nicht", ""), ("kein", "ein"),
           ("keine", "eine"), ("nie", "immer"), ("ohne", "mit"), ("hat", "hat nicht"), ("haben", "haben nicht")]}
CANS = {
    "en": [("can", "cannot"), ("cannot", "can"), ("can't", "can"), ("may", "must"), ("must", "may"), ("must", "must not"), ("can", "must"),
           ("could", "could not"), ("may", "may not"), ("should", "must not"), ("able", "unable"), ("possible", "impossible")],
    "de": [("kann", "kann nicht"), ("können", "können nicht"), ("muss", "kann"), ("müssen", "können"), ("darf", "muss"), ("kann", "muss"),
           ("können", "müssen"), ("möglich", "unmöglich")]}
DATES = {
    "en": [("minutes", "hours"), ("hours", "days"), ("days", "weeks"), ("weeks", "months"), ("months", "years"), ("seconds", "minutes"),
           ("minute", "hour"), ("hour", "day"), ("day", "week"), ("week", "month"), ("month", "year"), ("year", "month"), ("years", "months"),
           ("morning", "evening"), ("yesterday", "tomorrow"), ("weekly", "monthly"), ("daily", "weekly"), ("hourly", "daily")],
    "de": [("Minuten", "Stunden"), ("Stunden", "Tagen"), ("Tage", "Wochen"), ("Tagen", "Wochen"), ("Wochen", "Monate"), ("Monate", "Jahre"),
           ("Sekunden", "Minuten"), ("Werktage", "Wochen"), ("Jahr", "Monat"), ("Monat", "Jahr")]}
MONTHS = "January February March April June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def change_negation(text, doc, lang, rng):
    new = word_swap(text, NEGATIONS[lang], rng)
    return re.sub("  +", " ", new) if new else None


def change_can(text, doc, lang, rng):
    return word_swap(text, CANS[lang], rng)


def change_date(text, doc, lang, rng):
    pairs = DATES[lang] + [(m, rng.choice([x for x in MONTHS if x != m])) for m in MONTHS] + \
        [(d, rng.choice([x for x in DAYS if x != d])) for d in DAYS]
    new = word_swap(text, pairs, rng)
    times = list(re.finditer(r"\b([01]?\d|2[0-3]):([0-5]\d)\b", text))
    if new is None and times:
        m = rng.choice(times)
        new = text[:m.start()] + "%d:%s" % ((int(m.group(1)) + 3) % 24, m.group(2)) + text[m.end():]
    return new


COMMON = set("i ok the a an this that these those it they you we he she if when please note also then there here what which".split())


def names(text):
    """Words with a capital inside a sentence."""
    return [m.group() for m in re.finditer(r"(?<=[a-z,;] )[A-Z][A-Za-z0-9]{2,}\b", text) if m.group().lower() not in COMMON]


NOUN_EN = re.compile(r"\b(?:the|your|this|any|new|each|our|its) ([a-z]{4,})\b(?= (?:is|are|was|were|will|can|has|have|must|may|to|from|"
                     r"in|on|and|or|of|for|with|that|by|at|as|does|should|could|would|had|did)\b|[.,;])", re.I)


def change_product(text, doc, lang, rng):
    """A name, else a noun behind an article, exchanged for another of the same text, else a foreign one."""
    if lang == "en":
        here = names(text)
        if here:
            old = rng.choice(here)
            others = [n for n in names(doc) if n.lower() not in text.lower() and old.lower() not in n.lower()]
            new = rng.choice(others) if others and rng.random() < 0.7 else rng.choice(["Zentara", "Orbix", "Lumina", "Quandex"])
        else:
            nouns = [m.group(1) for m in NOUN_EN.finditer(text)]
            if not nouns:
                return None
            old = rng.choice(nouns)
            others = [m.group(1) for m in NOUN_EN.finditer(doc) if m.group(1) not in text and m.group(1)[:4] != old[:4]]
            new = rng.choice(others) if others and rng.random() < 0.5 else \
                rng.choice([w for w in ["printer", "invoice", "warehouse", "keyboard", "passport", "voucher"] if w not in text])
    else:
        nouns = re.findall(r"\b(?:[Dd]er|[Dd]ie|[Dd]as|[Ii]hr|den|dem) ([A-ZÄÖÜ][a-zäöüß]{3,})", text)
        if not nouns:
            return None
        old = rng.choice(nouns)
        new = rng.choice([w for w in ["Drucker", "Vertrag", "Tastatur", "Reisepass", "Lager"] if w not in text])
    return re.sub(r"(?<!\w)" + re.escape(old) + r"(?!\w)", lambda _: new, text, count=1)


LABELS = ["Privacy", "Composition", "Devices", "Appearance", "Shortcuts", "Language", "Backups", "Templates"]


def change_menu(text, doc, lang, rng):
    paths = list(re.finditer(r"([A-Z][\w&' -]{1,30}?) ?(?:>|→|->|») ?([A-Z][\w&'-]{1,20})", text))
    quoted = list(re.finditer(r"[\"“„]([A-Z][^\"”“]{1,30})[\"”“]", text))
    choose = list(re.finditer(r"(?:\b[Cc]lick|\b[Ss]elect|\b[Cc]hoose|\b[Oo]pen|\b[Gg]o to|\b[Tt]ap)(?: on)?(?: the)? ([A-Z][A-Za-z]{2,})", text))
    if paths:
        m = rng.choice(paths)
        a, b = m.span(2)
    elif quoted or choose:
        m = rng.choice(quoted + choose)
        a, b = m.span(1)
    else:
        return None
    new = rng.choice([x for x in LABELS if x not in text])
    return text[:a] + new + text[b:]


def change_condition(text, doc, lang, rng):
    heads = {"en": r"(?:If|When|Unless|Until|Once|Before|After|As long as)", "de": r"(?:Wenn|Falls|Sobald|Solange|Bis|Sofern)"}[lang]
    tails = {"en": r"(?:if|unless|until|when|as long as|provided that|only if|except)", "de": r"(?:wenn|falls|sobald|solange|sofern|außer)"}[lang]
    m = re.match(heads + r" [^,]{8,80}, (?:then )?(\w.*)", text)
    if m and not re.match("and |or |but ", m.group(1)):
        rest = m.group(1)
        return rest[0].upper() + rest[1:]
    m = re.match(r"(.{20,}?),? " + tails + r" [^,;]{8,}\.$", text)
    if m and not re.search(r"\b(and|or|but|even|only|what|see|check|know|except|und|oder|auch|nur)$", m.group(1)):
        return m.group(1) + "."
    only = {"en": "only", "de": "nur"}[lang]
    new = re.sub(r"\b%s " % only, "", text, count=1)
    return new if new != text else None


CHANGES = {"number": change_number, "negation": change_negation, "can": change_can, "product": change_product, "menu": change_menu,
           "date": change_date, "condition": change_condition}

# ---------------------------------------------------------------- plain rewordings

SHORT = [("do not", "don't"), ("does not", "doesn't"), ("is not", "isn't"), ("are not", "aren't"), ("cannot", "can't"),
         ("will not", "won't"), ("was not", "wasn't"), ("it is", "it's"), ("you are", "you're"), ("you will", "you'll")]
SAME = {
    "en": [("select", "choose"), ("Select", "Choose"), ("remove", "delete"), ("verify", "check"), ("Verify", "Check"), ("allows", "lets"),
           ("however", "but"), ("However,", "But"), ("additionally", "also"), ("Additionally,", "Also,"), ("ensure", "make sure"),
           ("Ensure", "Make sure"), ("perform", "do"), ("begin", "start"), ("receive", "get"), ("obtain", "get"), ("purchase", "buy"),
           ("assist", "help"), ("approximately", "about"), ("prior to", "before"), ("in order to", "to"), ("utilize", "use"),
           ("occurs", "happens"), ("occurred", "happened"), ("impacted", "affected"), ("resolved", "fixed"), ("mobile phone", "phone"),
           ("e-mail", "email"), ("via", "through"), ("due to", "because of"), ("several", "multiple"), ("currently", "now"),
           ("usually", "normally"), ("such as", "like"), ("large", "big"), ("quickly", "fast"), ("display", "show"), ("shows", "displays"),
           ("message", "mail"), ("switch off", "turn off"), ("locate", "find"), ("modify", "change"), ("starting", "beginning")],
    "de": [("auswählen", "wählen"), ("erhalten", "bekommen"), ("benötigen", "brauchen"), ("Telefon", "Anruf"), ("öffnen", "aufrufen"),
           ("senden", "schicken"), ("sofort", "direkt"), ("etwa", "ungefähr"), ("normalerweise", "meist")]}
DIGITS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "ten": "10", "zwei": "2", "drei": "3", "vier": "4", "zehn": "10"}


def lower_first(text):
    head = text.split(" ", 1)[0]
    name = head in ("I", "Prometheus", "Kubernetes", "Thunderbird", "Mozilla", "Firefox") or not head.isalpha() or head[1:] != head[1:].lower()
    return text if name else text[0].lower() + text[1:]


def reword_contraction(text, lang, rng):
    return word_swap(text, SHORT + [(b, a) for a, b in SHORT], rng) if lang == "en" else None


def reword_order(text, lang, rng):
    """"If A, B." as "B if A.", and back."""
    heads = {"en": "If|When", "de": "Wenn|Falls"}[lang]
    m = re.match(r"(%s) ([^,;:]{8,80}), (?:then )?([^,;:]{8,})\.$" % heads, text)
    if m and lang == "en" and not re.search(r"\b(it|they|this|that)\b", m.group(3)):
        rest = m.group(3)
        return "%s %s %s." % (rest[0].upper() + rest[1:], m.group(1).lower(), m.group(2))
    m = re.match(r"([^,;:]{12,}) (if|when) ([^,;:]{8,})\.$", text)
    if m and lang == "en" and not re.search(r"\b(and|or|only|even|but|see|check|know|what|except)$", m.group(1)) and \
            not re.search(r"\b(it|they)\b", m.group(3)):
        return "%s %s, %s." % (m.group(2).capitalize(), m.group(3), lower_first(m.group(1)))
    return None


def reword_number(text, lang, rng):
    return word_swap(text, list(DIGITS.items()) + [(b, a) for a, b in DIGITS.items() if (a in NUMBER_WORDS[lang])], rng)


def reword_synonym(text, lang, rng):
    return word_swap(text, SAME[lang], rng)


def reword_frame(text, lang, rng):
    heads = {"en": ["Please note that ", "Note that ", "As a reminder, ", "Please keep in mind that "], "de": ["Hinweis: ", "Bitte beachten Sie: "]}
    first = text.split(" ", 1)[0]
    if lang == "en" and first not in ("The", "This", "It", "You", "Your", "We", "There", "A", "An", "If", "When", "All", "These"):
        return None
    head = rng.choice(heads[lang])
    return head + (text if lang == "de" else lower_first(text))


def reword_split(text, lang, rng):
    """One half of "A; B." or "A, and B." that stands alone."""
    m = re.match(r"(.{25,}?)(?:;|, and|, und|, but) ((?:you|the|it|we|your|this|Sie|wir|die|der|das) .{20,})$", text)
    return m.group(1) + "." if m and not re.match(r"(If|When|Unless|Once|While|Wenn|Falls)", text) else None


def reword_polite(text, lang, rng):
    first = text.split(" ", 1)[0]
    if lang == "en" and first in "Check Select Open Click Go Make Try Use Restart Remove Add Create Look Verify Run Ensure Choose Set Install".split():
        return rng.choice(["Please %s", "You can %s"]) % lower_first(text) if rng.random() < 0.5 else "Please " + lower_first(text)
    return None


REWORDINGS = [reword_contraction, reword_order, reword_number, reword_synonym, reword_frame, reword_split, reword_polite]

# ---------------------------------------------------------------- the measurement

STOP = set("a an the is are was were be been to of in on at for and or but if when it its this that you your we our they their with as by from "
           "der die das ein eine ist sind zu von in im am und oder wenn es sie ihr wir mit als".split())


def overlap(claim, sources):
    mine = {w for w in re.findall(r"\w+", claim.lower()) if w not in STOP}
    return max((len(mine & {w for w in re.findall(r"\w+", s.lower())}) / max(1, len(mine)) for s in sources), default=0)


def draw(source, ask):
    """Items of one source: {kind, text, original, sources, lang}."""
    rng = random.Random("support " + source)
    docs = [d for d in documents(source) if len(d[0]) > 80]
    texts = ask.ask([{"split": t, "lang": lang} for t, lang in docs])
    pool = []
    for (text, lang), sentences in zip(docs, texts):
        pool += [(s, sentences, text, lang) for s in sentences if usable(s)]
    rng.shuffle(pool)
    items, seen = [], set()
    for s, sentences, text, lang in pool:
        if len(seen) == A_SOURCE:
            break
        changed = [(k, f(s, text, lang, rng)) for k, f in CHANGES.items()]
        changed = [(k, c) for k, c in changed if c and c != s and c not in sentences]
        if s in seen or len(changed) < 2:
            continue
        seen.add(s)
        base = {"sources": sentences, "lang": lang, "original": s, "source": source}
        items.append({**base, "kind": "original", "text": s})
        items += [{**base, "kind": k, "text": c} for k, c in changed]
        words = [f(s, lang, rng) for f in REWORDINGS]
        words = [w for w in words if w and w != s]
        twice = [f(w, lang, rng) for w in words[:2] for f in REWORDINGS[:4]]
        twice = [w for w in twice if w and w not in words and w != s]
        words += twice[:1]
        items += [{**base, "kind": "reworded", "text": w} for w in words]
        for w in rng.sample(words, k=min(2, len(words))):  # changed as well as reworded
            kind = rng.choice(list(CHANGES))
            c = CHANGES[kind](w, text, lang, rng)
            items += [{**base, "kind": kind, "text": c}] if c and c != w and c not in sentences and c != s else []
    return items


def figures(items, name, show):
    by = collections.defaultdict(list)
    for i in items:
        by[i["kind"]].append(i)
    for kind, group in by.items():
        good = sum(i["ok"] == (kind in ("original", "reworded")) for i in group)
        print("  %-12s %-10s %4d of %4d" % (name, kind, good, len(group)))
        wrong = [i for i in group if i["ok"] != (kind in ("original", "reworded"))]
        for i in wrong[:show]:
            print("    %s %s: %s\n      of: %s" % (i["reason"] if not i["ok"] else "SLIPPED", i["detail"], i["text"], i["original"]))
    true = by["original"] + by["reworded"]
    changed = [i for k in CHANGES for i in by[k]]
    return sum(i["ok"] for i in true), len(true), sum(not i["ok"] for i in changed), len(changed)


def peer(items):
    """(refused, kept) of word overlap at the threshold that keeps nine of ten true sentences, or fails to."""
    true = sorted((overlap(i["text"], i["sources"]) for i in items if i["kind"] in ("original", "reworded")), reverse=True)
    least = true[math.ceil(0.9 * len(true)) - 1]
    changed = [i for i in items if i["kind"] in CHANGES]
    return sum(overlap(i["text"], i["sources"]) < least for i in changed) / max(1, len(changed)), sum(t >= least for t in true) / len(true)


def main():
    show = int(sys.argv[sys.argv.index("--show") + 1]) if "--show" in sys.argv else 0
    asked = [a for a in sys.argv[1:] if a in DEVELOPED + HELD_OUT]
    common.need(common.BUILD / "bench/support_claims")
    ask = Filter()
    results = {}
    for source in asked or DEVELOPED + HELD_OUT:
        items = draw(source, ask)
        if not items:
            print("  %-12s is not there: skipped" % source)
            continue
        for i, r in zip(items, ask.ask([{"claim": i["text"], "sources": i["sources"], "lang": i["lang"]} for i in items])):
            i.update(r)
        results[source] = (items, figures(items, source, show))
    held = [s for s in results if s in HELD_OUT] or list(results)
    if not held:
        print("no data: skipped")
        sys.exit(77)
    for name, group in [("developed on", [s for s in results if s in DEVELOPED]), ("held out", [s for s in results if s in HELD_OUT])]:
        total = [sum(results[s][1][k] for s in group) for k in range(4)]
        if group:
            print("%s (%s): kept %d of %d = %.3f, refused %d of %d = %.3f" %
                  (name, ", ".join(group), total[0], total[1], total[0] / total[1], total[2], total[3], total[2] / total[3]))
    items = [i for s in held for i in results[s][0]]
    kept, true, refused, changed = [sum(results[s][1][k] for s in held) for k in range(4)]
    theirs = (refused / changed, kept / true) if common.SELF else peer(items)
    ok = common.row("refused", "%.4f" % (refused / changed), "%.4f" % theirs[0], refused / changed / max(theirs[0], 1 / changed), ">=0.99",
                    refused >= 0.99 * changed)
    ok &= common.row("kept", "%.4f" % (kept / true), "%.4f" % theirs[1], kept / true / theirs[1], ">=0.90", kept >= 0.9 * true)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
