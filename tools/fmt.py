#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brings long lines of C under 100 columns: tools/fmt.py [FILE ...], by default every tracked C file.

Comments are wrapped paragraph by paragraph, and lines that begin with a label (Owns:, Threads:, ...) or a dash stay at
the beginning of a line, which clang-format would not do; long code lines are given to the pinned clang-format by
number. Lines that are short enough are left alone.
"""
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORMATTER = ROOT / "third_party" / ".fetched" / "venv-test" / "bin" / "clang-format"
COLUMNS = 100
LABEL = re.compile(r"^([A-Z][a-z]+)\b[^.]{0,20}: |^[-*] |^\d+[.)] |^\|")


def text_of(line, number, count, starred):
    """What one line of a block comment says; None for a line that only closes it."""
    text = line.strip()
    if number == 0:
        text = text[2:].lstrip()
    elif starred:
        if text == "*/":
            return None
        text = line.strip().removeprefix("*").removeprefix(" ")
    if number == count - 1 and text.endswith("*/"):
        text = text[:-2].rstrip()
    return text.rstrip()


def wrapped(texts, width, closes):
    """The texts with those that are too long wrapped, each with what follows it in its paragraph."""
    out, i = [], 0
    while i < len(texts):
        text = texts[i]
        room = width + (0 if closes or i == len(texts) - 1 else 3)
        i += 1
        if len(text) <= room:
            out.append(text)
            continue
        lead = re.match(r" *", text).group()
        paragraph = [text]
        while i < len(texts) and texts[i].strip() and not LABEL.match(texts[i].strip()) \
                and re.match(r" *", texts[i]).group() == lead:
            paragraph.append(texts[i])
            i += 1
        hang = lead + ("  " if re.match(r"[-*] ", text.strip()) else "")
        out += textwrap.wrap(" ".join(p.strip() for p in paragraph), width, initial_indent=lead,
                             subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
    return out


def wrap_block(lines):
    """One /* ... */ that stands alone on its lines, wrapped."""
    indent = re.match(r" *", lines[0]).group()
    alone = lines[0].strip() == "/*"
    closes = lines[-1].strip() == "*/"
    starred = len(lines) > 1 and lines[1].lstrip().startswith("*")
    texts = [text_of(x, i, len(lines), starred) for i, x in enumerate(lines)]
    texts = texts[1 if alone else 0:len(texts) - 1 if closes else None]
    if not texts or None in texts:
        return lines
    prefix = indent + (" * " if starred or alone else "   ")
    body = wrapped(texts, COLUMNS - len(prefix) - (0 if closes else 3), closes)
    if alone:
        out = [indent + "/*"] + [(prefix + x).rstrip() for x in body]
    else:
        out = [indent + "/* " + body[0]] + [(prefix + x).rstrip() for x in body[1:]]
    if closes:
        return out + [indent + " */"]
    out[-1] += " */"
    return out


def wrap_comments(lines):
    out, i = [], 0
    while i < len(lines):
        line = lines[i]
        end = i
        if re.match(r"\s*/\*", line):
            while end < len(lines) - 1 and "*/" not in lines[end]:
                end += 1
            block = lines[i:end + 1]
            whole = lines[end].rstrip().endswith("*/")
            out += wrap_block(block) if whole and any(len(x) > COLUMNS for x in block) else block
        else:
            trailing = re.match(r"^(\s*)([^#].*?\S)\s+(/\* .* \*/)$", line)
            if len(line) > COLUMNS and trailing and "/*" not in trailing.group(2):
                out += wrap_block([trailing.group(1) + trailing.group(3)])
                line = trailing.group(1) + trailing.group(2)
            out.append(line)
        i = end + 1
    return out


def main():
    names = sys.argv[1:]
    if not names:
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "*.c", "*.h", "*.cpp"], capture_output=True,
                                text=True, check=True)
        names = [str(ROOT / n) for n in listed.stdout.split()]
    if not FORMATTER.exists():
        sys.exit("fmt: clang-format is not set up: tools/setup test")
    for name in names:
        path = Path(name)
        before = path.read_text()
        after = "\n".join(wrap_comments(before.split("\n")))
        if after != before:
            path.write_text(after)
        long = [n for n, x in enumerate(after.split("\n"), 1) if len(x) > COLUMNS]
        if long:
            subprocess.run([str(FORMATTER), "-i", *(f"--lines={n}:{n}" for n in long), str(path)], check=True)
        if path.read_text() != before:
            print(f"fmt: {name}")


if __name__ == "__main__":
    main()
