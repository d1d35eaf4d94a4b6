#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The executables against the house's trust: who links what, and how hardened the files are.

Needs INHOUSE_BUILD (ctest sets it) and readelf, nm and ldd of binutils. Skipped, with 77, where nothing is built.
"""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

BIN = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build") / "bin"
ENGINE = r"lib(llama|ggml|mtmd)"
PROGRAMS = ("inhoused", "inhouse-worker", "inhouse-reader", "inhouse")
PARSERS = r"lib(xml2|gmime|zip|cmark|archive|poppler)[^ ]*"


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def libraries(program):
    return tool("ldd", str(BIN / program))


def symbols(program):
    return set(re.findall(r"(?m) [TtDdBbRrWw] (\w+)$", tool("nm", str(BIN / program))))


def needs(program):
    return unittest.skipUnless((BIN / program).is_file(), f"skipped: {program} is not built in {BIN}")


class Links(unittest.TestCase):
    def absent(self, program, pattern, why):
        found = sorted({m.group() for m in re.finditer(pattern, libraries(program))})
        self.assertEqual(found, [], f"{program} links {found}: {why}")

    def without(self, program, names, why):
        self.assertEqual(sorted(symbols(program) & set(names)), [], f"{program} contains these: {why}")

    @needs("inhoused")
    def test_the_server_never_links_the_engine(self):
        self.absent("inhoused", ENGINE, "only the worker runs models")

    @needs("inhoused")
    def test_the_server_has_the_pinned_sqlite_and_httpd_inside(self):
        self.assertLessEqual({"sqlite3_open_v2", "MHD_start_daemon"}, symbols("inhoused"))
        self.absent("inhoused", r"lib(sqlite3|microhttpd)\.so", "the pinned one is linked statically")

    @needs("inhouse")
    def test_the_command_line_links_no_engine_and_no_server(self):
        self.absent("inhouse", ENGINE, "it asks the server")
        self.without("inhouse", {"MHD_start_daemon"}, "it is a client")

    @needs("inhouse-worker")
    def test_the_worker_links_the_engine_and_all_of_it_is_found(self):
        text = libraries("inhouse-worker")
        self.assertRegex(text, r"libllama(\.\w+)?(\.v0\.5\.0)?\.so => /")
        self.assertNotIn("not found", text)

    @needs("inhouse-worker")
    def test_the_worker_looks_for_libraries_beside_itself_alone(self):
        paths = re.findall(r"(?:RUNPATH|RPATH)\).*\[(.*)\]", tool("readelf", "-dW", str(BIN / "inhouse-worker")))
        self.assertEqual(paths, ["$ORIGIN/../lib/inhouse-engine"])

    @needs("inhouse-worker")
    def test_the_worker_has_no_network_and_no_database(self):
        self.absent("inhouse-worker", r"lib(curl|gnutls|ssl|pq|hiredis|ldap|sqlite3|microhttpd)\b[^ ]*",
                    "a sealed process has no use for it")
        self.without("inhouse-worker", {"sqlite3_open_v2", "MHD_start_daemon"}, "the worker keeps nothing and serves nobody")


    @needs("inhouse-reader")
    def test_the_reader_has_the_parsers_and_no_engine_network_or_database(self):
        self.absent("inhouse-reader", r"lib(llama|ggml|curl|gnutls|ssl|pq|hiredis|ldap|sqlite3|microhttpd)\b[^ ]*",
                    "a sealed process has no use for it")
        self.absent("inhouse-reader", r"lib(poppler|gettext)[^ ]*", "it is GPL")
        self.without("inhouse-reader", {"sqlite3_open_v2", "MHD_start_daemon"}, "the reader keeps nothing and serves nobody")
        self.assertRegex(libraries("inhouse-reader"), "libxml2")

    @needs("inhouse-reader")
    def test_the_readers_iconv_is_its_own(self):
        self.assertIn("iconv_open", tool("nm", "-D", "--defined-only", str(BIN / "inhouse-reader")),
                      "GMime would open files for charsets")

    @needs("inhoused")
    def test_only_the_reader_parses_hostile_formats(self):
        for program in ("inhoused", "inhouse-worker", "inhouse"):
            if (BIN / program).is_file():
                self.absent(program, PARSERS, "documents are opened in inhouse-reader alone")


def hardening(program):
    @needs(program)
    def test(self):
        header = tool("readelf", "-hW", str(BIN / program))
        self.assertRegex(header, r"Type:\s+DYN", "not position independent")
        segments = tool("readelf", "-lW", str(BIN / program))
        self.assertIn("GNU_RELRO", segments)
        stack = re.search(r"GNU_STACK.*", segments)
        self.assertTrue(stack and "RWE" not in stack.group(), "the stack is executable")
        self.assertRegex(tool("readelf", "-dW", str(BIN / program)), r"BIND_NOW|FLAGS.*NOW", "bindings stay writable")
    return test


for each in PROGRAMS:
    setattr(Links, f"test_{each.replace('-', '_')}_is_hardened", hardening(each))

if __name__ == "__main__":
    if not any((BIN / p).is_file() for p in PROGRAMS):
        print(f"skipped: no executable in {BIN}")
        sys.exit(77)
    unittest.main()
