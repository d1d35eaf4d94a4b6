#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that tools/tidy.py can fail: a small tree that holds every rule, then one planted violation of each rule."""
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("tidy", ROOT / "tools" / "tidy.py")
tidy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tidy)

C_HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n/* What it is for. Owns: nothing. Threads: any. Limits: none. */\n"
GOOD = {
    "src/LAYERS": "base/mem  s w c\nbase/store  s - c\ntrust/audit  s - -\nanswer/task  s - -\n",
    "src/base/mem/CMakeLists.txt":
        "# SPDX-License-Identifier: Apache-2.0\ninhouse_room(NAME mem SOURCES mem.c)\n",
    "src/base/mem/mem.h": C_HEAD + "#pragma once\nvoid mem_free(void *p);\n",
    "src/base/mem/mem.c": C_HEAD + '#include "base/mem/mem.h"\n#include <stdlib.h>\n'
                          "void mem_free(void *p)\n{\n    free(p);\n}\n",
    "src/trust/audit/CMakeLists.txt":
        "# SPDX-License-Identifier: Apache-2.0\ninhouse_room(NAME audit SOURCES audit.c DEPS base_mem)\n",
    "src/trust/audit/audit.h": C_HEAD + "#pragma once\nint audit_count(void);\n",
    "src/trust/audit/audit.c": C_HEAD + '#include "trust/audit/audit.h"\n#include "base/mem/mem.h"\n'
                               "int audit_count(void)\n{\n    return 0; /* \"SELECT * FROM leaf\" and free() */\n}\n",
    "src/answer/task/CMakeLists.txt":
        "# SPDX-License-Identifier: Apache-2.0\ninhouse_room(NAME task SOURCES task.c DEPS trust_audit)\n",
    "src/answer/task/task.h": C_HEAD + "#pragma once\nint task_count(void);\n",
    "src/answer/task/task.c": C_HEAD + '#include "answer/task/task.h"\n#include "trust/audit/audit.h"\n'
                              "int task_count(void)\n{\n    return audit_count();\n}\n",
    "sql/sqlite/0001-audit.sql": "-- SPDX-License-Identifier: Apache-2.0\nCREATE TABLE leaf (seq INTEGER PRIMARY KEY);\n",
    "docs/STYLE.md": "# Style\n[the layers](../src/LAYERS) and [a site](https://example.org/x)\n",
    "CHANGELOG.md": "# Changes\n\n## Unreleased\n- something\n\n## 0.1.0\n",
    "tools/x.py": "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\nprint(1)\n",
}
TASK = "src/answer/task/task.c"
AUDIT = "src/trust/audit/audit.c"


def body(lines):
    return "".join(f"    (void)({i});\n" for i in range(lines))


# name of the case: (rule that must fire, in which file, {file: new text, or a function of the good text})
PLANTED = {
    "a room includes one below it":
        ("layers", AUDIT, {AUDIT: lambda t: t.replace("base/mem/mem.h", "answer/task/task.h")}),
    "a room includes another's internal header":
        ("layers", TASK, {TASK: lambda t: t.replace("trust/audit/audit.h", "trust/audit/audit_internal.h"),
                          "src/trust/audit/audit_internal.h": C_HEAD + "#pragma once\n"}),
    "an include leads nowhere":
        ("layers", TASK, {TASK: lambda t: t.replace("trust/audit/audit.h", "trust/audit/gone.h")}),
    "a room that LAYERS does not list":
        ("rooms", "src/work/extra", {"src/work/extra/extra.h": C_HEAD + "#pragma once\n"}),
    "a second public header":
        ("rooms", "src/answer/task/more.h", {"src/answer/task/more.h": C_HEAD + "#pragma once\n"}),
    "a file that nothing builds":
        ("rooms", "src/answer/task/dead.c", {"src/answer/task/dead.c": C_HEAD}),
    "a test that nothing runs":
        ("tests", "tests/e2e/lonely_test.py",
         {"tests/e2e/lonely_test.py": "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\n"}),
    "a dependency on a room below":
        ("links", "src/trust/audit/CMakeLists.txt",
         {"src/trust/audit/CMakeLists.txt": lambda t: t.replace("base_mem", "answer_task")}),
    "a dependency that LAYERS keeps out of an executable":
        ("links", "src/base/store/CMakeLists.txt",
         {"src/LAYERS": lambda t: t.replace("base/mem  s w c", "base/mem  s w -"),
          "src/base/store/CMakeLists.txt":
              "# SPDX-License-Identifier: Apache-2.0\ninhouse_room(NAME store SOURCES DEPS base_mem)\n"}),
    "a long file": ("file-length", TASK, {TASK: lambda t: t + "\n" * 900}),
    "a long function":
        ("function-length", TASK, {TASK: lambda t: t + "static int long_one(int a)\n{\n" + body(69) + "}\n"}),
    "a long function inside extern C":
        ("function-length", TASK, {TASK: lambda t: t + 'extern "C" {\nint l(int a)\n{\n' + body(69) + "}\n}\n"}),
    "a long function in Python":
        ("function-length", "tools/x.py", {"tools/x.py": lambda t: t + "def f():\n" + "    print(1)\n" * 70}),
    "a long line": ("columns", TASK, {TASK: lambda t: t + "/* " + "x" * 100 + " */\n"}),
    "a tab": ("columns", TASK, {TASK: lambda t: t + "\tint x;\n"}),
    "a // comment": ("comments", TASK, {TASK: lambda t: t + "int x; // no\n"}),
    "no licence line": ("spdx", TASK, {TASK: lambda t: t.replace(C_HEAD, "/* something */\n")}),
    "no licence line in a script": ("spdx", "tools/y", {"tools/y": "#!/bin/sh\necho\n"}),
    "no pragma once": ("header", "src/answer/task/task.h",
                       {"src/answer/task/task.h": lambda t: t.replace("#pragma once\n", "")}),
    "no purpose comment": ("header", TASK, {TASK: lambda t: t.replace(C_HEAD.split("\n")[1] + "\n", "")}),
    "strcpy": ("banned", TASK, {TASK: lambda t: t.replace("return audit_count()", "return !strcpy(0, 0)")}),
    "assert": ("banned", TASK, {TASK: lambda t: t.replace("return audit_count()", "assert (1); return 0")}),
    "exit in a room": ("banned", TASK, {TASK: lambda t: t.replace("return audit_count()", "exit(1)")}),
    "malloc outside base/mem":
        ("memory", TASK, {TASK: lambda t: t.replace("return audit_count()", "return !malloc(1)")}),
    "work left for later": ("unfinished", "docs/STYLE.md", {"docs/STYLE.md": lambda t: t + "TO" "DO: later\n"}),
    "a machine's path": ("address", "docs/STYLE.md", {"docs/STYLE.md": lambda t: t + "see /ro" "ot/notes\n"}),
    "a registry's address":
        ("address", "tools/x.py", {"tools/x.py": lambda t: t + "# https://registry.npm" "js.org/x\n"}),
    "a large blob": ("blobs", "docs/big.bin", {"docs/big.bin": "x" * 1_000_001}),
    "a table without an owner":
        ("tables", "sql/sqlite/0002-mystery.sql",
         {"sql/sqlite/0002-mystery.sql": "-- SPDX-License-Identifier: Apache-2.0\nCREATE TABLE m (a INTEGER);\n"}),
    "a table with two owners":
        ("tables", "sql/sqlite/0002-task.sql",
         {"sql/sqlite/0002-task.sql":
              "-- SPDX-License-Identifier: Apache-2.0\nCREATE TABLE IF NOT EXISTS leaf (a INTEGER);\n"}),
    "another room's table in a statement":
        ("tables", TASK, {TASK: lambda t: t + 'static const char q[] = "SELECT seq FROM leaf";\n'}),
    "a link that leads nowhere":
        ("doc-links", "docs/STYLE.md", {"docs/STYLE.md": lambda t: t + "[gone](gone.md)\n"}),
    "a changelog without Unreleased":
        ("changelog", "CHANGELOG.md", {"CHANGELOG.md": "# Changes\n\n## 0.1.0\n"}),
    "a header that does not compile alone":
        ("headers-alone", "src/answer/task/task.h",
         {"src/answer/task/task.h": lambda t: t + "int task_size(size_t n);\n"}),
}


def violations(changes):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name, text in {**GOOD, **{n: c for n, c in changes.items() if not callable(c)}}.items():
            if callable(changes.get(name)):
                text = changes[name](text)
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tidy.check(tidy.House(root))


class TidyFinds(unittest.TestCase):
    def test_nothing_in_a_good_tree(self):
        self.assertEqual(violations({}), [])

    def test_every_rule_is_planted(self):
        self.assertEqual(set(tidy.RULES) - {rule for rule, _, _ in PLANTED.values()}, set())

    def test_a_waiver_with_a_reason_holds_for_its_rule_alone(self):
        waiver = "    /* tidy: memory: the library hands it over */\n"
        text = GOOD[TASK].replace("    return audit_count()", waiver + "    return !malloc(1) + !strcpy(0, 0)")
        self.assertEqual({v[2] for v in violations({TASK: text})}, {"banned"})
        bare = text.replace("tidy: memory: the library hands it over", "tidy: memory:")
        self.assertEqual({v[2] for v in violations({TASK: bare})}, {"banned", "memory"})

    def test_comments_and_strings_are_not_code(self):
        text = GOOD[TASK] + '/* strcpy(a, b) and malloc(1) */\nstatic const char s[] = "exit(1) // no";\n'
        self.assertEqual(violations({TASK: text}), [])

    def test_a_function_of_seventy_lines_passes(self):
        text = GOOD[TASK] + "static int just(int a)\n{\n" + body(68) + "}\n"
        self.assertEqual(violations({TASK: text}), [])


def plant(case):
    rule, file, changes = PLANTED[case]

    def test(self):
        found = violations(changes)
        self.assertIn((file, rule), {(name, r) for name, _, r, _ in found}, found)
    return test


for number, planted_case in enumerate(PLANTED):
    setattr(TidyFinds, f"test_{number:02d}_{planted_case.replace(' ', '_')}", plant(planted_case))

if __name__ == "__main__":
    sys.exit(unittest.main())
