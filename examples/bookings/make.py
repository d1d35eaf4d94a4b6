#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes past.jsonl (240 messages) and new.jsonl (80) of an invented travel agency: the same bytes every time.

Messages are put together from sentences written for this example; new.jsonl also uses openings, places and sentences
that past.jsonl does not have. Standard library only. Run from anywhere: python3 examples/bookings/make.py
"""
import datetime
import json
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
PLACES = ["Lisbon", "Porto", "Graz", "New York", "San Sebastian", "Bergen", "Lyon", "Salt Lake City", "Kyoto", "Tromsø",
          "Las Palmas", "Zürich", "Buenos Aires", "Oslo", "Cork", "Naples", "Ghent", "Cape Town", "Vienna", "Split"]
NEW_PLACES = ["Reykjavik", "Palermo", "Hong Kong", "Aarhus", "Rio de Janeiro", "Leipzig", "Faro", "Quebec City"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]
MONATE = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
          "Dezember"]
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def date_text(rng, day, german):
    if german:
        return rng.choice([day.strftime("%d.%m.%Y"), "%d. %s %d" % (day.day, MONATE[day.month - 1], day.year)])
    th = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day not in (11, 12, 13) else 0, "th")
    return rng.choice([day.isoformat(), "%d %s %d" % (day.day, MONTHS[day.month - 1], day.year),
                       "%s %d%s, %d" % (MONTHS[day.month - 1], day.day, th, day.year),
                       "the %d%s of %s %d" % (day.day, th, MONTHS[day.month - 1], day.year)])


def amount_text(rng, cents, german):
    whole, part = divmod(cents, 100)
    grouped = "{:,}".format(whole)
    if german:
        return "%s,%02d €" % (grouped.replace(",", "."), part), "EUR"
    return rng.choice([("%s.%02d EUR" % (grouped, part), "EUR"), ("$%s.%02d" % (grouped, part), "USD"),
                       ("£%s.%02d" % (grouped, part), "GBP"), ("EUR %s.%02d" % (grouped, part), "EUR")])


def make(rng, number, new):
    german = rng.random() < 0.25
    at = datetime.datetime(2026, 3 if not new else 9, 1, 8, 0) + datetime.timedelta(hours=7 * number)
    day = at.date() + datetime.timedelta(days=rng.randrange(20, 200))
    other = at.date() - datetime.timedelta(days=rng.randrange(2, 20))
    place = rng.choice(NEW_PLACES if new and rng.random() < 0.5 else PLACES)
    people = rng.randrange(1, 10)
    cents = rng.randrange(9000, 420000)
    fee = rng.randrange(500, 4000)
    code = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(2)) + "-" + str(rng.randrange(10000, 99999))
    customer = "C" + str(rng.randrange(100000, 999999))
    when, (price, currency), (extra, _) = date_text(rng, day, german), amount_text(rng, cents, german), \
        amount_text(rng, fee, german)
    said = str(people) if german or rng.random() < 0.6 else WORDS[people - 1]
    has = {k: rng.random() < 0.85 for k in ("reference", "travel_date", "passengers", "price", "destination")}
    if german:
        parts = {
            "reference": ["meine Buchungsnummer ist %s." % code, "es geht um die Buchung %s." % code],
            "travel_date": ["Abreise ist am %s." % when, "wir fahren am %s los." % when],
            "passengers": ["Wir sind %s Personen." % said, "Die Reise ist für %s Personen." % said],
            "price": ["Der Gesamtpreis war %s." % price, "Insgesamt kostet es %s." % price],
            "destination": ["Die Reise geht nach %s." % place, "Unser Ziel ist %s." % place]}
        noise = ["Meine Kundennummer ist %s." % customer, "Ich habe am %s angerufen." % other.strftime("%d.%m.%Y"),
                 "Die Gebühr von %s ist schon bezahlt." % extra, "Bitte antworten Sie bald."]
        opening, closing = ["Guten Tag,", "Hallo,"], ["Viele Grüße", "Danke im Voraus"]
    else:
        parts = {
            "reference": ["My booking reference is %s." % code, "This is about booking %s." % code,
                          "The reference we were given is %s." % code],
            "travel_date": ["We leave on %s." % when, "Departure is %s." % when, "The outbound journey is on %s." % when],
            "passengers": ["There are %s of us." % said, "It is for %s people." % said, "We are %s travellers." % said],
            "price": ["The total was %s." % price, "We paid %s altogether." % price, "The whole trip costs %s." % price],
            "destination": ["We are going to %s." % place, "The trip to %s is our first." % place,
                            "Our destination is %s." % place]}
        noise = ["My customer number is %s." % customer, "I called on %s already." % other.isoformat(),
                 "The fee of %s is settled." % extra, "Can you move the seats together?", "Please confirm."]
        opening, closing = ["Hello,", "Hi there,", "Dear team,"], ["Kind regards", "Thanks"]
    if new:
        noise += ["Last year we paid %s for something similar." % extra, "You can reach me on +49 30 5550%03d." % (number % 1000)]
    if rng.random() < 0.3:  # a form that somebody filled in
        labels = {"reference": "Buchung" if german else "Booking", "travel_date": "Abreise" if german else "Departure",
                  "passengers": "Personen" if german else "Passengers", "price": "Gesamt" if german else "Total",
                  "destination": "Ziel" if german else "Destination"}
        values = {"reference": code, "travel_date": when.removeprefix("the "), "passengers": said, "price": price,
                  "destination": place}
        lines = ["%s: %s" % (labels[k], values[k]) for k in labels if has[k]]
        lines += ["%s: %s" % ("Kundennummer" if german else "Customer", customer), "%s: %s" % (
            "Gebühr" if german else "Fee", extra)]
        rng.shuffle(lines)
        text = "\n".join(lines)
    else:
        sentences = [rng.choice(parts[k]) for k in parts if has[k]] + rng.sample(noise, rng.randrange(1, 4))
        rng.shuffle(sentences)
        text = "%s\n\n%s\n\n%s" % (rng.choice(opening), " ".join(s[0].upper() + s[1:] for s in sentences),
                                   rng.choice(closing))
    expected = {"reference": code, "travel_date": day.isoformat(), "passengers": str(people),
                "price": "%d.%02d %s" % (*divmod(cents, 100), currency), "destination": place}
    return {"id": "%s-%03d" % ("N" if new else "P", number), "at": at.isoformat() + "Z", "text": text,
            "expected": {k: v for k, v in expected.items() if has[k]}}


def main():
    rng = random.Random(20260301)
    for name, n, new in (("past", 240, False), ("new", 80, True)):
        rows = [make(rng, i, new) for i in range(n)]
        (HERE / (name + ".jsonl")).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows),
                                              encoding="utf-8")


if __name__ == "__main__":
    main()
