# SPDX-License-Identifier: Apache-2.0
"""The official JSON Schema suite (draft 2020-12): no invalid instance is accepted, what is refused is refused by name; prints
how much is offered. Instances are tried as they are written: compiled for any order of properties (a check of texts) and
for the order that a model is made to keep."""
import collections
import glob
import json
import os
import re
import sys

from probe import Probe, skip, spell

DATA = os.path.join(os.environ.get("INHOUSE_DATA", "../shared/data"), "json_schema", "draft2020-12")
LEAST_COMPILED, LEAST_ACCEPTED = 190, 320  # of 320 schemas and 565 valid instances: what was reached, less a little


def main():
    files = sorted(glob.glob(os.path.join(DATA, "*.json")))
    if not files:
        skip(f"no suite under {DATA}: set INHOUSE_DATA")
    probe = Probe()
    count = collections.Counter()
    refused = collections.Counter()
    slowest = 0
    for path in files:
        for group in json.load(open(path, encoding="utf-8")):
            count["schemas"] += 1
            texts = [spell(test["data"]) for test in group["tests"]]
            count["valid"] += sum(test["valid"] for test in group["tests"])
            count["invalid"] += sum(not test["valid"] for test in group["tests"])
            first = probe.ask(group["schema"], texts=texts, any_order=True)
            slowest = max(slowest, first.get("ms", 0))
            if "code" in first:
                named = re.search(r"JSON schema: (keyword \"[^\"]+\"|\S+)", first["message"])
                assert first["code"] in ("unsupported", "too_large", "bad_request", "unreadable") and (
                    named or first["code"] == "unreadable"), first
                refused[named.group(1) if named else first["code"]] += 1
                if "-v" in sys.argv:
                    print("refused", os.path.basename(path), group["description"], "|", first["message"])
                continue
            count["compiled"] += 1
            in_order = probe.ask(group["schema"], texts=texts)["accepts"]
            for test, text, accepted, ordered in zip(group["tests"], texts, first["accepts"], in_order):
                assert accepted or not ordered, (group["description"], text)
                assert test["valid"] or not accepted, ("WRONG ACCEPT", path, group["description"], group["schema"], text)
                count["accepted"] += accepted
                count["ordered"] += ordered
                count["valid_compiled"] += test["valid"]
                if test["valid"] and not accepted and "-v" in sys.argv:
                    print("missed", os.path.basename(path), group["description"], "|", test["description"], "|", text[:100])
    probe.close()
    print(f"schemas {count['schemas']}: compiled {count['compiled']}, refused by name {sum(refused.values())}; "
          f"slowest compile {slowest:.1f} ms")
    print(f"valid instances {count['valid']} ({count['valid_compiled']} of them of compiled schemas): accepted {count['accepted']}, "
          f"in the written order {count['ordered']}; invalid instances {count['invalid']}: accepted 0")
    print("refused:", ", ".join(f"{name} {n}" for name, n in refused.most_common()))
    assert count["compiled"] >= LEAST_COMPILED and count["accepted"] >= LEAST_ACCEPTED, "less is offered than before"


main()
