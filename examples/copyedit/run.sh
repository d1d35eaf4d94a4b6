#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Edits the three texts as a user would, and holds the results against what they have to keep. No model is needed. Exit 0: it worked.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
"$build/bin/inhouse" run copy-edit "$here/notice.md" --as text --quiet >"$INHOUSE_HOME/notice.md"
"$build/bin/inhouse" run copy-edit "$here/notice.md" --as diff --quiet >"$INHOUSE_HOME/notice.diff"
"$build/bin/inhouse" run copy-edit "$here/rundschreiben.md" --as text --quiet >"$INHOUSE_HOME/rundschreiben.md"
"$build/bin/inhouse" run copy-edit "$here/notes.md" --set task=draft --as text --quiet >"$INHOUSE_HOME/draft.md"
"$build/bin/inhouse" audit verify --quiet >/dev/null
exec python3 - "$INHOUSE_HOME" "$here" <<'PYTHON'
import sys
from pathlib import Path
out, here = Path(sys.argv[1]), Path(sys.argv[2])
wrong = 0
for name, gone, kept in [
        ("notice.md", ["utilize", "the the", "blacklist", "prior to", "In order to", "his or her", "web site"],
         ["14 March 2026", "22:00", "2,500.00 EUR", '"We are back at 4:30"', "`velmora sync --since 2026-03-14`", "velmora.example/help/orders"]),
        ("rundschreiben.md", ["Blacklist", "Whitelist", "eine Email", "lediglich", "vorraus"],
         ["15. März 2026", "22:00", "2.500,00 EUR", "„Um 4:30 Uhr sind wir zurück“", "velmora.example/hilfe/bestellung"]),
        ("draft.md", [], ["14 March 2026", "04:30", "21:45", "orders@velmora.example"])]:
    text = (out / name).read_text()
    for w in gone:
        wrong += w in text
        w in text and print("%s: %s is still there" % (name, w))
    for w in kept:
        wrong += w not in text
        w not in text and print("%s: %s is gone" % (name, w))
# the diff turns the text into the edited text
before, patched, at = (here / "notice.md").read_text().splitlines(), [], 0
for line in (out / "notice.diff").read_text().splitlines():
    if line.startswith("@@"):
        start = int(line.split()[1].split(",")[0][1:]) - 1
        patched += before[at:start]
        at = start
    elif line[:3] not in ("---", "+++"):
        wrong += line[0] in " -" and before[at] != line[1:]
        at += line[0] in " -"
        patched += [line[1:]] if line[0] in " +" else []
patched += before[at:]
wrong += patched != (out / "notice.md").read_text().splitlines() or patched == before
print("texts edited: 3; wrong: %d" % wrong)
sys.exit(1 if wrong else 0)
PYTHON
