# SPDX-License-Identifier: Apache-2.0
"""10,000 random documents of the machine, over the official suite's schemas and our business ones, judged by jsonschema: every
one is valid. With an argument: so many."""
import glob
import json
import os
import sys

from probe import Probe, judge, skip

DATA = os.path.join(os.environ.get("INHOUSE_DATA", "../shared/data"), "json_schema", "draft2020-12")
SOURCE = os.environ.get("INHOUSE_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
TOTAL = int(sys.argv[1]) if len(sys.argv) > 1 else 10000


def no_twins(pairs):
    assert len(dict(pairs)) == len(pairs), "a name twice"
    return dict(pairs)


def decimals(schema):
    """jsonschema divides doubles: it cannot judge multiples of fractions."""
    if isinstance(schema, dict):
        step = schema.get("multipleOf", 1)
        return (isinstance(step, (int, float)) and step != int(step)) or any(map(decimals, schema.values()))
    return isinstance(schema, list) and any(map(decimals, schema))


def main():
    make = judge()
    schemas = [json.load(open(path, encoding="utf-8")) for path in sorted(glob.glob(os.path.join(SOURCE, "tests/golden/schemas/*.json")))]
    schemas = [one["schema"] for one in schemas]
    business = len(schemas)
    for path in sorted(glob.glob(os.path.join(DATA, "*.json"))):
        schemas += [group["schema"] for group in json.load(open(path, encoding="utf-8"))]
    if not schemas:
        skip("no schemas to walk: set INHOUSE_DATA")
    probe = Probe()
    usable = [i for i, schema in enumerate(schemas) if "code" not in probe.ask(schema) and not decimals(schema)]
    each = max(1, TOTAL // len(usable))
    walked = unfinished = 0
    for seed in range(1 + (TOTAL - each * len(usable)) // (each * len(usable)) + 1):
        for i in usable:
            if walked >= TOTAL:
                break
            valid = make(schemas[i])
            for text in probe.ask(schemas[i], walks=each, seed=seed * 1000 + i)["texts"]:
                walked += 1
                if text is None:
                    unfinished += 1
                    continue
                value = json.loads(text, object_pairs_hook=no_twins)
                assert valid(value), ("NOT VALID", json.dumps(schemas[i])[:1000], text)
    probe.close()
    print(f"{walked} random documents of {len(usable)} schemas ({business} of them ours): all valid; {unfinished} grew past the limit")
    assert walked >= TOTAL and unfinished < walked / 10


main()
