# SPDX-License-Identifier: Apache-2.0
"""What bench/reuse.py measures on: pairs of requests that must not be taken for one another, rewrites that may, and streams of
repeated business documents with their fields. Everything is built by the rules below, seeded; nothing is chosen by its outcome.

Pairs (must refuse), from each text of Banking77 (train) and CLINC150:
  polarity  one word of OPPOSITES replaced by its opposite (each word in turn); or "not" put behind the first auxiliary; or one
            negation taken out; or "from A ... to B" with A and B exchanged
  number    each number (digits or a word from one to twelve) replaced by another; where a text has none, both members get the same
            tail with different numbers (TAILS), so that the pair differs in nothing else
Rewrites (may accept), from each text: a greeting before or a thank-you behind it, please, a contraction written out or drawn
together, another punctuation or case, "How do I" as "How can I", "I want to" as "I would like to".
"""
import json
import random
import re

OPPOSITES = """activate deactivate|enable disable|open close|opened closed|increase decrease|raise lower|on off|up down|in out|before after|
with without|accept reject|accepted rejected|approve decline|approved declined|add remove|send receive|sent received|buy sell|lock unlock|
freeze unfreeze|start stop|more less|first last|always never|deposit withdraw|credit debit|incoming outgoing|upgrade downgrade|block unblock|
cancel keep|cancelled kept|turn_on turn_off|able unable|allowed forbidden|possible impossible|correct incorrect|valid invalid|arrive leave|
higher lower|high low|minimum maximum|early late|earlier later|cheap expensive|win lose|remember forget|include exclude|import export|
lend borrow|connect disconnect|subscribe unsubscribe|mute unmute|pause resume|show hide|yes no|over under|inside outside|above below|
same different|new old|good bad|push pull|join leave|save delete|hot cold|right left|everything nothing|anyone nobody|visa mastercard|
dollars euros|pounds euros|euros dollars|tomorrow yesterday|today tomorrow|monday friday|january june|my your|he she|paris london"""
SWAPS = {}
for _pair in OPPOSITES.replace("\n", "").split("|"):
    _a, _b = _pair.replace("_", " ").split(" ")[:2] if "_" not in _pair else [w.replace("_", " ") for w in _pair.split(" ")]
    SWAPS.setdefault(_a, _b)
    SWAPS.setdefault(_b, _a)
AUXILIARIES = "is are was were do does did can could will would should have has must may".split()
NEGATED = [("can't", "can"), ("cannot", "can"), ("don't", "do"), ("doesn't", "does"), ("didn't", "did"), ("isn't", "is"), ("won't", "will"),
           ("hasn't", "has"), ("haven't", "have"), ("wasn't", "was"), ("not", None), ("never", None), ("no", "a"), ("without", "with")]
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
TAILS = [(" for order 4711", " for order 4712"), (" of 10 euros", " of 100 euros"), (" since 3 May", " since 5 May"),
         (" on card 88-1", " on card 88-2"), (" for two people", " for three people"), (" by 9 am", " by 10 am"), (" with 5% off", " with 50% off")]


def polarity_pairs(text):
    words = text.split(" ")
    for i, word in enumerate(words):
        core = re.sub(r"[^\w']", "", word).lower()
        if core in SWAPS:
            yield text, " ".join(words[:i] + [re.sub(re.escape(core), SWAPS[core], word, flags=re.I)] + words[i + 1:])
    for i, word in enumerate(words):
        core = re.sub(r"[^\w']", "", word).lower()
        if core in AUXILIARIES and "not" not in text.lower() and "n't" not in text:
            yield text, " ".join(words[:i + 1] + ["not"] + words[i + 1:])
            break
    for negated, plain in NEGATED:
        at = [i for i, w in enumerate(words) if re.sub(r"[^\w']", "", w).lower() == negated]
        if at:
            i = at[0]
            yield text, " ".join(words[:i] + ([plain] if plain else []) + words[i + 1:])
    found = re.search(r"\bfrom (my |the |a )?(\w+)\b(.*?)\bto (my |the |a )?(\w+)\b", text)
    if found and found.group(2).lower() != found.group(5).lower():
        a, b = found.span(2), found.span(5)
        yield text, text[:a[0]] + found.group(5) + text[a[1]:b[0]] + found.group(2) + text[b[1]:]


def number_pairs(text, k):
    found = False
    for m in re.finditer(r"\d+", text):
        found = True
        other = str(int(m.group()) + 1) if len(m.group()) < 2 or m.group()[0] == m.group()[1] else m.group()[1] + m.group()[0] + m.group()[2:]
        yield text, text[:m.start()] + other + text[m.end():]
        yield text, text[:m.end()] + "0" + text[m.end():]
    for m in re.finditer(r"\b(%s)\b" % "|".join(NUMBERS), text, re.I):
        found = True
        other = NUMBERS[(NUMBERS.index(m.group().lower()) + 1) % len(NUMBERS)]
        yield text, text[:m.start()] + other + text[m.end():]
    if not found:
        a, b = TAILS[k % len(TAILS)]
        bare = text.rstrip(" ?.!")
        yield bare + a, bare + b


def rewrites(text):
    yield "Hello, " + text
    yield text + " Thanks!"
    yield text.rstrip("?.! ") + " please"
    yield text.upper()
    yield text.rstrip("?.! ")
    table = [("what's", "what is"), ("I'm", "I am"), ("can't", "cannot"), ("don't", "do not"), ("it's", "it is"), ("doesn't", "does not"),
             ("I've", "I have"), ("isn't", "is not"), ("didn't", "did not"), ("hasn't", "has not")]
    for a, b in table:
        for x, y in ((a, b), (b, a)):
            new = re.sub(r"\b%s\b" % re.escape(x), y, text, flags=re.I)
            if new != text:
                yield new
    for a, b in (("how do i", "how can i"), ("how can i", "how do i"), ("i want to", "i would like to"), ("i'd like to", "i want to"),
                 ("can you tell me", "could you please tell me"), ("i need to", "i want to")):
        new = re.sub(r"\b%s\b" % re.escape(a), b, text, flags=re.I)
        if new != text:
            yield new


# ---- streams ----

FIRST = "Anna Bob Carla Dieter Eve Farid Gina Hans Ines Jan Karin Luis Mia Nils Olga Paul Rita Sven Tara Uwe".split()
LAST = "Smith Jones Diaz Vogel Stone Keller Novak Rossi Berg Lang Meyer Hill O'Brien Wolf Kaya Young-Lee Brandt Silva Moreau Weiss".split()
HOSTS = ["web-%02d" % i for i in range(1, 30)] + ["db%d.prod.local" % i for i in range(1, 9)] + ["10.0.4.%d" % i for i in range(5, 40)]
GOODS = ["Hex bolt M8", "Pump seal", "Cable 2 m", "Filter cartridge", "Label roll", "Bearing 6204", "Safety gloves", "Toner black"]
MONTHS = "January February March April May June July August September October November December".split()


class Draw:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def name(self):
        middle = " " + self.r.choice(FIRST) if self.r.random() < 0.15 else ""
        return self.r.choice(FIRST) + middle + " " + self.r.choice(LAST)

    def date(self):
        return self.r.randint(2024, 2027), self.r.randint(1, 12), self.r.randint(1, 28)

    def cents(self):
        return self.r.choice([self.r.randint(100, 99999), self.r.randint(100000, 9999999)])

    def id(self, form):
        return re.sub("9", lambda _: str(self.r.randint(0, 9)), re.sub("A", lambda _: chr(65 + self.r.randint(0, 25)), form))

    def pick(self, items):
        return self.r.choice(items)

    def some(self, share):
        return self.r.random() < share


def iso(d):
    return "%04d-%02d-%02d" % d


def german(cents):
    whole = "{:,}".format(cents // 100).replace(",", ".")
    return "%s,%02d" % (whole, cents % 100)


def english(cents):
    return "{:,}.{:02d}".format(cents // 100, cents % 100)


def plain(cents):
    return "%d.%02d" % (cents // 100, cents % 100)


def order(d, v2):
    who, number, cents, day = d.name(), d.id("AA-99999"), d.cents(), d.date()
    rows = "".join("%d x %s   %s\n" % (d.r.randint(1, 20), d.pick(GOODS), german(d.cents())) for _ in range(d.r.randint(1, 5)))
    extra = "Voucher: %s\n" % d.id("AAA999") if d.some(0.3) else ""
    fields = {"customer": who, "order_id": number, "total": plain(cents) + " EUR", "delivery_date": iso(day)}
    if v2:
        text = ("Your order is confirmed\n\nOrder no.: %s\nCustomer: %s\nExpected delivery: %02d.%02d.%d\n\n%s%sAmount payable: %s EUR\n\n"
                "Questions? Write to us.\nYour parts house\n") % (number, who, day[2], day[1], day[0], rows, extra, german(cents))
    else:
        text = ("Order confirmation\n\nDear %s,\n\nthank you for your order %s of today.\nWe expect to deliver it on %02d.%02d.%d.\n\n%s%s"
                "Total: %s EUR\n\nKind regards\nThe parts house\n") % (who, number, day[2], day[1], day[0], rows, extra, german(cents))
    return text, fields


def invoice(d, v2):
    who, number, cents, due, money = d.name(), d.id("INV-9999-999999"), d.cents(), d.date(), d.pick(["USD", "GBP", "EUR"])
    fields = {"invoice": number, "amount": "%s %s" % (plain(cents), money), "due": iso(due), "contact": who}
    note = "PO reference: %s\n" % d.id("99999999") if d.some(0.4) else ""
    if v2:
        text = ("INVOICE %s\n==========\nAccount manager : %s\nPay by          : %d %s %d\n%sBalance due     : %s %s\n\nBank details are on page 2.\n"
                % (number, who, due[2], MONTHS[due[1] - 1], due[0], note, money, english(cents)))
    else:
        text = ("Subject: Invoice %s is ready\nHello,\n\nyour invoice %s over %s %s is attached.\nIt is due on %s %d, %d.\n%s"
                "Your contact is %s.\n\nAccounts receivable\n"
                % (number, number, money, english(cents), MONTHS[due[1] - 1], due[2], due[0], note, who))
    return text, fields


def monitor(d, v2):
    host, level, value, day = d.pick(HOSTS), d.pick(["CRITICAL", "WARNING", "OK"]), d.r.randint(1, 100), d.date()
    service = d.pick(["CPU load", "Disk /var", "Memory", "HTTP latency", "Swap"])
    clock = "%02d:%02d:%02d" % (d.r.randint(0, 23), d.r.randint(0, 59), d.r.randint(0, 59))
    fields = {"host": host, "severity": level.lower(), "value": str(value), "date": iso(day), "service": service}
    if v2:
        text = ("[%s] %s on %s\nWhen: %s %s UTC\nReading: %d %%\nRunbook: https://wiki.local/rb/%d\n"
                % (level, service, host, iso(day), clock, value, d.r.randint(1, 99)))
    else:
        ack = "Acknowledged by: %s\n" % d.name() if d.some(0.25) else ""
        text = ("***** Monitoring *****\n\nNotification type: PROBLEM\nService: %s\nHost: %s\nState: %s\n%sDate: %s %s\nAdditional info: value is %d %%\n"
                % (service, host, level, ack, iso(day), clock, value))
    return text, fields


def shipping(d, v2):
    track, carrier, eta, who = d.id("1ZA99A999999999"), d.pick(["DHL", "UPS", "DPD", "GLS"]), d.date(), d.name()
    fields = {"tracking": track, "carrier": carrier, "eta": iso(eta), "recipient": who}
    when = "%02d/%02d/%d" % (eta[1], eta[2], eta[0])
    if v2:
        text = "Parcel update\n\nCarrier | Tracking | Arrival\n%s | %s | %s\n\nRecipient: %s\nYou can change the delivery up to one day before.\n" % (
            carrier, track, when, who)
    else:
        text = ("Good news, %s!\n\nYour parcel is on its way with %s.\nTracking number: %s\nEstimated arrival: %s\n\nDo not reply to this message.\n"
                % (who, carrier, track, when))
    return text, fields


def payment(d, v2):
    who, ref, cents, day, iban = d.name(), d.id("RF99 9999 9999"), d.cents(), d.date(), d.id("DE99 9999 9999 9999 9999 99")
    fields = {"sender": who, "reference": ref, "amount": plain(cents) + " EUR", "booked": iso(day), "iban": iban}
    if v2:
        text = ("Zahlungseingang\nBetrag: EUR %s\nBuchungstag: %d. %s %d\nAuftraggeber: %s\nKonto: %s\nVerwendungszweck: %s\nIhre Bank\n"
                % (german(cents), day[2], ["Januar", "Februar", "M\u00e4rz", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
                                           "November", "Dezember"][day[1] - 1], day[0], who, iban, ref))
    else:
        text = ("Guten Tag,\n\nauf Ihrem Konto ist eine Zahlung eingegangen.\n\nVon: %s\nIBAN: %s\nVerwendungszweck: %s\nBetrag: %s \u20ac\nDatum: %02d.%02d.%d\n\n"
                "Freundliche Gr\u00fc\u00dfe\nIhre Bank\n" % (who, iban, ref, german(cents), day[2], day[1], day[0]))
    return text, fields


def maintenance(d, v2):
    change, day, system, who = d.id("CHG9999999"), d.date(), d.pick(["billing", "the intranet", "e-mail", "the file share", "single sign-on"]), d.name()
    fields = {"change": change, "start": iso(day), "owner": who, "system": system}
    risk = "A rollback is prepared.\n" if d.some(0.4) else ""
    if v2:
        text = ("Planned maintenance\nChange: %s\nOwner: %s\nSystem: %s\nStart: %s 22:00\n%sNo action is needed from you.\n"
                % (change, who, system, iso(day), risk))
    else:
        text = ("Dear all,\n\non %d %s %d, from 22:00, %s will not be available.\n%sThis is change %s, and %s is responsible for it.\n\nYour IT team\n"
                % (day[2], MONTHS[day[1] - 1], day[0], system, risk, change, who))
    return text, fields


def absence(d, v2):
    who, number, a, b, kind = d.name(), d.id("999999"), d.date(), d.date(), d.pick(["annual leave", "sick leave", "parental leave"])
    fields = {"employee": who, "number": number, "from": iso(a), "to": iso(b), "kind": kind}
    if v2:
        text = "ABSENCE\nEmployee No %s\nEmployee name %s\nFirst day %s\nLast day %s\nReason %s\nSigned electronically\n" % (number, who, iso(a), iso(b), kind)
    else:
        text = ("Absence request\nName: %s\nPersonnel number: %s\nType of absence: %s\nFirst day: %02d.%02d.%d\nLast day: %02d.%02d.%d\nComment: %s\n"
                % (who, number, kind, a[2], a[1], a[0], b[2], b[1], b[0], d.pick(["", "none", "handover with %s" % d.name(), "will be back on Monday"])))
    return text, fields


def alertmanager(folder):
    """The payload of a real Alertmanager webhook, its values drawn anew; the second layout is another real payload's."""
    first = json.loads((folder / "alerta_test_webhooks_1.json").read_text())
    second = json.loads((folder / "prometheus-msteams_prom_post_request.json").read_text())

    def make(d, v2):
        body = json.loads(json.dumps(second if v2 else first))
        alert = body["alerts"][0]
        host, name, level, status = d.pick(HOSTS), d.pick(["failedConnect", "DiskFull", "HighLoad", "CertExpires"]), d.pick(["critical", "warning"]), \
            d.pick(["firing", "resolved"])
        day = d.date()
        for part in (alert["labels"], body.get("commonLabels", {}), body.get("groupLabels", {})):
            for key, value in (("alertname", name), ("instance", host), ("severity", level)):
                if key in part:
                    part[key] = value
        alert["status"] = body["status"] = status
        alert["startsAt"] = "%sT%02d:%02d:08Z" % (iso(day), d.r.randint(0, 23), d.r.randint(0, 59))
        body["alerts"] = [alert]
        fields = {"alert": name, "status": status, "started": iso(day)}
        for key, field in (("instance", "host"), ("severity", "level")):
            if key in alert["labels"]:
                fields[field] = alert["labels"][key]
        return json.dumps(body, indent=2), fields
    return make


def one_off(d, text):
    """A layout nobody has seen: a line in another place, a new line, or a line lost."""
    lines = text.split("\n")
    k = d.r.randrange(1, max(2, len(lines) - 1))
    how = d.r.randrange(3)
    if how == 0:
        lines.insert(k, "Please note: the figures above were corrected, see our message of last week.")
    elif how == 1:
        lines.insert(k, lines.pop(d.r.randrange(1, len(lines) - 1)))
    else:
        lines.insert(k, "Ref. code %s, valid with the second amount of %s EUR only" % (d.id("AA99"), german(d.cents())))
    return "\n".join(lines)


def streams(data, per_stream, seed):
    """(stream, text, fields, kind): kind is "kept", "changed" (the new layout) or "odd" (a layout seen once)."""
    makers = {"order": order, "invoice": invoice, "monitor": monitor, "shipping": shipping, "payment": payment, "maintenance": maintenance,
              "absence": absence}
    if (data / "alertmanager/alerta_test_webhooks_1.json").exists():
        makers["alertmanager"] = alertmanager(data / "alertmanager")
    for name, make in makers.items():
        d = Draw("%s %s" % (seed, name))
        for i in range(per_stream):
            v2 = i >= per_stream // 2
            text, fields = make(d, v2)
            kind = "changed" if v2 else "kept"
            if d.some(0.03):
                text, kind = one_off(d, text), "odd"
            yield name, text, fields, kind
