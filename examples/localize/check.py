#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what the runs left against what must be: check.py OUT-FOLDER APP.PO AGAIN-FOLDER. Exit 0: all holds."""
import json
import sys
from pathlib import Path

out, app = Path(sys.argv[1]), Path(sys.argv[2])
items = {(i["source"].split("\n")[0], i["context"]): i for i in json.loads((out / "review.json").read_text(encoding="utf-8"))["items"]}
done = {"Your bicycle is ready.": "Ihr Fahrrad ist bereit.",
        "Hello %s, your rental ends at %s.": "Hallo %s, Ihre Miete endet um %s.",
        "Station": "Station",
        "%d bicycle is free": "%d Fahrrad ist frei\n%d Fahrräder sind frei",
        "The invoice lists at most 50 rentals.": "Die Rechnung nennt höchstens 50 Mieten.",
        "STATION": "STATION", "Wheelhouse": "Wheelhouse",
        "Your bicycle is ready. The lock is open.": "Ihr Fahrrad ist bereit. Das Schloss ist offen."}
open_ = ["You paid {amount} for {minutes} minutes.", "The <b>lock</b> did not close", "Call the help desk now"]
wrong = []
for source, target in done.items():
    i = items[(source, "")]
    if i["state"] != "done" or i["target"] != target:
        wrong.append((source, i["state"], i["target"], i["reason"]))
for context, target in (("map", "Schließen"), ("distance", "In der Nähe")):
    i = items[("Close", context)]
    if i["state"] != "done" or i["target"] != target:
        wrong.append(("Close", context, i["target"]))
for source in open_:
    if items[(source, "")]["state"] == "done" or not items[(source, "")]["reason"]:
        wrong.append((source, "is done, or has no reason"))
before, after = app.read_text(encoding="utf-8"), (out / "app.po").read_text(encoding="utf-8")
if [line for line in before.split("\n") if not line.startswith("msgstr")] != [line for line in after.split("\n") if not line.startswith("msgstr")]:
    wrong.append("something beside targets changed")
if 'msgstr[1] "%d Fahrräder sind frei"' not in after or "betrag" in after or "Vorhängeschloss" in after:
    wrong.append("the file does not hold what was done, or holds what was not")
again = {i["source"]: i for i in json.loads((Path(sys.argv[3]) / "review.json").read_text(encoding="utf-8"))["items"]}
for source in ("Your bicycle is ready.", "Station", "The invoice lists at most 50 rentals."):
    if again[source]["state"] != "done" or again[source]["from"] != "memory" or again[source]["target"] != done[source]:
        wrong.append((source, "was approved and is not in memory"))
print("%d strings: %d done, %d need review" % (len(items), sum(i["state"] == "done" for i in items.values()),
                                              sum(i["state"] != "done" for i in items.values())))
for w in wrong:
    print("wrong:", w)
sys.exit(1 if wrong else 0)
