# SPDX-License-Identifier: Apache-2.0
"""The schema machine behind a pipe (probe.c), and a judge that is not ours: jsonschema with its format checker."""
import json
import os
import subprocess
import sys

BUILD = os.environ.get("INHOUSE_BUILD", "build-dev")


class Probe:
    def __init__(self):
        self.child = subprocess.Popen([os.path.join(BUILD, "test", "schema_probe")], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def ask(self, schema, **more):
        line = json.dumps({"schema": schema, **more}, ensure_ascii=False)
        self.child.stdin.write(line.encode("utf-8", "surrogatepass") + b"\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline() or b'{"died": true}')
        assert "died" not in answer and "dead_end" not in answer, (answer, line[:2000])
        return answer

    def close(self):
        self.child.stdin.close()
        assert self.child.wait() == 0


def skip(reason):
    print(reason)
    sys.exit(77)


def judge():
    """valid(schema, text): None when the judge itself cannot say."""
    try:
        import jsonschema
    except ImportError:
        skip("needs the Python package jsonschema")
    checker = jsonschema.FormatChecker()

    def make(schema):
        validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
        return lambda value: validator.is_valid(value)

    return make


def spell(value):
    return json.dumps(value, ensure_ascii=False)
