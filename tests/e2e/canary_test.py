#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Marked texts, credentials and the keys themselves, sent through every door at every log level: none of them may stand in
the server's log, what it shows, a record, an error, a core, or (credentials) anywhere in its files."""
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import e2e

CANARIES = [f"canary{secrets.token_hex(6)}" for _ in range(21)]


class Canary(unittest.TestCase):
    def send_all(self, s):
        """Everything a user could put a secret into; returns all that came back as errors."""
        c = iter(CANARIES)
        said = []

        def ask(*a, **k):
            status, answer = s.call(*a, **k)
            if status >= 400:
                said.append((a[:2], answer))
            return status, answer
        ask("POST", "/v1/chat/completions", {"model": "light", "messages": [{"role": "user", "content": next(c)}]})
        ask("POST", "/v1/chat/completions", {"model": "light", "messages": [{"role": "system", "content": next(c)},
                                                                            {"role": "user", "content": "x"}]})
        ask("POST", "/v1/chat/completions", {"model": "light",
                                             "messages": [{"role": "user", "content": next(c) + "%%crash%%"}]})
        ask("POST", "/v1/chat/completions", {"model": "light",
                                             "messages": [{"role": "user", "content": next(c) + "%%error%%"}]})
        ask("POST", "/v1/chat/completions", {"model": "light",
                                             "messages": [{"role": "user", "content": next(c) + "%%badframe%%"}]})
        ask("POST", "/v1/chat/completions", '{"model":"light","messages":[{"role":"user","content":"%s' % next(c))
        ask("POST", "/v1/chat/completions", {"model": "light", "messages": [{"role": "user", "content": next(c)}],
                                             "stop": [next(c)]})
        ask("POST", "/v1/embeddings", {"model": "embed", "input": next(c)})
        ask("POST", "/v1/embeddings", {"model": "embed", "input": [next(c), {"no": "text"}]})
        task = {"workflow": "colours", "input": {"id": next(c), "subject": next(c), "text": next(c)}}
        ask("POST", "/api/v1/tasks", task, headers={"Idempotency-Key": next(c)})
        ask("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": next(c), "nonsense": 1}})
        ask("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"text": next(c) + "\ud800"}})
        ask("POST", "/api/v1/workflows/shades/learn?measure=0",
            json.dumps({"id": "1", "text": next(c), "expected": {"shade": "light"}}) + "\n{" + next(c) + "\n")
        ask("POST", "/api/v1/datasets/faq/articles", {"articles": [{"name": "a.md", "markdown": next(c)}]})
        st = s.stream(next(c))
        st.read_all()
        st.close()
        st = s.stream(next(c) + "%%slow:5000%%")
        s.wait(lambda g: g["tasks"]["running"] > 0, what="the stream")
        st.close()
        s.wait(lambda g: g["tasks"]["running"] == 0, what="its end")
        self.assertEqual(list(c), [], "every canary is used")
        return said

    def test_none_comes_out_where_it_should_not(self):
        with e2e.House(config="log: {level: debug}\n") as s:
            wrong_key = "ik_" + CANARIES[0]
            errors = self.send_all(s)
            errors.append(s.call("GET", "/v1/models", headers={"Authorization": f"Bearer {wrong_key}"}, local=False))
            status = json.dumps([s.status(), s.call("GET", "/api/v1/keys"), s.records(), s.call("GET", "/api/v1/jobs")])
            key = s.key
            self.assertEqual(s.stop(), 0)
            log = (s.folder / "log").read_text(errors="replace")
            self.assertGreater(len(log), 2000, "the log level did not hold")
            shown = json.dumps(errors)
            for canary in CANARIES + [key, key[3:]]:
                with self.subTest(canary):
                    self.assertNotIn(canary, log)
                    self.assertNotIn(canary, status)
                    self.assertNotIn(canary, shown)
            # the key itself is nowhere on disk, not even in a journal
            for path in s.home.rglob("*"):
                if path.is_file():
                    self.assertNotIn(key[3:].encode(), path.read_bytes(), path)

    def test_what_lies_in_the_data_folder_is_for_its_owner_only(self):
        with e2e.House() as s:
            s.task("the red one")
            for path in [s.home, *s.home.rglob("*")]:
                if path.name == "models":
                    continue
                self.assertEqual(path.stat().st_mode & 0o077, 0, f"{path} may be read by others")


class Forty(unittest.TestCase):
    """Forty secrets of every kind through every path at every log level: credentials, prompts, files, configuration,
    environment. None may come back in a log, a listing, a record, an error, on the disk (credentials) or in a core."""
    LEVELS = ("debug", "info", "warn", "error")
    CREDENTIALS = 16

    def setUp(self):
        self.all = [f"kanari{secrets.token_hex(8)}" for _ in range(44)]
        self.left = iter(self.all)
        self.errors = []

    def next(self):
        return next(self.left)

    def ask(self, s, method, path, body=None, headers=None, local=True):
        held, s.key = s.key, None if headers else s.key  # else the test's own key goes along
        try:
            status, answer = s.call(method, path, body, headers, local=local)
        finally:
            s.key = held
        if status >= 400:
            self.errors.append((method, path if "anari" not in path else "?", status, answer))
        return status, answer

    def credentials(self, s):
        """Sixteen, in every place where a client may put one."""
        n = self.next
        for headers in ({"Authorization": f"Bearer {n()}"}, {"Authorization": f"Bearer ik_{n()}"},
                        {"Authorization": f"Basic {n()}"}, {"Authorization": n()}, {"x-api-key": n()}, {"api-key": n()},
                        {"Cookie": f"session={n()}; other={n()}", "Authorization": "Bearer x"},
                        {"x-inhouse-csrf": n(), "Authorization": "Bearer x"}):
            status, _ = self.ask(s, "GET", "/v1/models", None, headers, local=False)
            self.assertEqual(status, 401)
        for path in (f"/v1/models?key={n()}", f"/api/v1/artifacts?state={n()}", f"/api/v1/audit/records?task={n()}",
                     f"/{n()}/x", f"/api/v1/tasks/tsk_{n()}", f"/api/v1/jobs/{n()}"):
            status, _ = self.ask(s, "GET", path, local=False)
            self.assertTrue(status >= 400 or path.startswith("/v1/"), path)  # OpenAI's API ignores what it does not know
        # whatever takes a body is offered a password, an upstream's key and a client's secret
        bad = {"password": n(), "api_key": "sk-" + (env := n()), "client_secret": env}
        for method, path in self.bodies:
            self.ask(s, method, path, bad)

    def texts(self, s):
        """Twenty prompts and documents with a secret in them, some of which kill a worker."""
        n = self.next
        chat = "/v1/chat/completions"

        def say(*messages, **more):
            self.ask(s, "POST", chat, {"model": "light", "messages": [{"role": r, "content": c} for r, c in messages], **more})
        say(("user", f"my password is {n()}"))
        say(("system", f"key: {n()}"), ("user", "x"))
        say(("user", "x"), user=n(), metadata={"k": n()})
        say(("user", "x"), stop=[n()])
        say(("user", n() + "%%crash%%"))
        say(("user", n() + "%%error%%"))
        say(("user", "x"), response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {
            "type": "object", "description": n(), "properties": {"a": {"type": "nonsense"}}}}})
        self.ask(s, "POST", chat, '{"model":"light","messages":[{"role":"user","content":"%s' % n())
        self.ask(s, "POST", chat, {"model": "big", "messages": [{"role": "user", "content": n()}]})
        self.ask(s, "POST", "/v1/embeddings", {"model": "embed", "input": [n(), 5]})
        self.ask(s, "POST", "/v1/rerank", {"model": "embed", "query": n(), "documents": [n(), 7]})
        self.ask(s, "POST", "/v1/systemone", {"state": n(), "questions": {"q": {"type": "noul", "instructions": n(), "x": 1}}})
        self.ask(s, "POST", "/api/v1/tasks", {"workflow": "colours", "input": {"id": n(), "subject": n(), "text": n()}},
                 {"Idempotency-Key": n()})
        self.ask(s, "PUT", "/api/v1/workflows/colours", f"name: colours\nfields: [{{name: a, type: {n()}: x\n")
        self.ask(s, "POST", "/api/v1/route/rules", f"rules:\n  - {{name: a, when: {{label: '{n()}\n")
        st = s.stream(n() + "%%crash%%")
        st.read_all()
        st.close()

    def look(self, s, level):
        """Everything that may be read of the server."""
        shown = [f"{p}: {json.dumps(s.call('GET', p))}" for p in self.gets]
        for words in (("status",), ("doctor",), ("limits", "show"), ("halt", "list"), ("upstreams",), ("keys", "list")):
            done = e2e.inhouse(*words, home=s.home)
            shown.append(done.stdout + done.stderr)
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in
                  [s.process.pid] + [r["pid"] for r in s.status()["roles"].values() if r["pid"]]]
        for text in limits:
            self.assertRegex(text, r"Max core file size\s+0\s+0\s", "a core would hold every secret in memory")
        self.assertEqual(s.stop(), 0)
        found = {f"what is shown, {text[:40]}": text for text in shown}
        return {"log at " + level: (s.folder / "log").read_text(errors="replace"), "the errors": json.dumps(self.errors), **found}

    def test_none_is_found_anywhere(self):
        sys.path.insert(0, str(e2e.SOURCE / "tests/upstream"))
        import mock
        for level in self.LEVELS:
            with self.subTest(level):
                self.setUp()
                server = mock.start()
                os.environ["INHOUSE_CANARY_KEY"] = self.next()
                os.environ["SOME_OTHER_SECRET"] = self.next()
                config = (f"log: {{level: {level}}}\nupstreams:\n"
                          f"  - {{name: a, base: 'http://127.0.0.1:{server.server_address[1]}/v1', allow: [127.0.0.1], retries: 0, "
                          "key: os.environ/INHOUSE_CANARY_KEY}\n"
                          "model_list:\n  - {model_name: big, litellm_params: {model: keybad, upstream: a}, "
                          "model_info: {price: {input: '1', output: '1'}}}\n")
                try:
                    with e2e.House(config=config) as s:
                        paths = s.call("GET", "/api/v1/openapi.json")[1]["paths"]
                        fill = re.compile(r"\{\w+\}")
                        self.bodies = [(m.upper(), fill.sub("none-such", p)) for p, ms in paths.items() for m, o in ms.items()
                                       if "x-body-bytes-max" in o and p != "/api/v1/stop"]
                        self.gets = [p for p, ms in paths.items() if "get" in ms and "{" not in p
                                     and p not in ("/api/v1/artifacts", "/api/v1/review/queue")]
                        # (those are the work itself, shown to its team)
                        self.credentials(s)
                        self.texts(s)
                        used = list(self.left)
                        self.assertGreaterEqual(len(self.all) - len(used), 40)
                        key = s.key
                        for where, text in self.look(s, level).items():
                            for i, canary in enumerate(self.all + [key[3:]]):
                                self.assertFalse(canary in text, f"number {i} stands in {where}: "
                                                 f"{text[max(0, text.find(canary) - 80):][:200]}")
                        self.assertEqual([p for p in s.folder.rglob("core*") if p.is_file()], [])
                        held = b"".join(p.read_bytes() for p in s.home.rglob("*") if p.is_file())
                        for i, canary in enumerate(self.all[:2 + self.CREDENTIALS] + [key[3:]]):
                            self.assertNotIn(canary.encode(), held, f"credential {i} lies in the data folder")
                finally:
                    server.shutdown()
                    server.server_close()

    def test_a_wrong_configuration_is_refused_without_its_secrets(self):
        n = self.next
        for text in (f"upstreams:\n  - {{name: a, base: 'https://user:{n()}@host.example/v1'}}\n",
                     f"upstreams:\n  - {{name: a, base: 'https://host.example/v1', key: {n()}}}\n",
                     f"model_list:\n  - {{model_name: m, litellm_params: {{model: x, api_key: {n()}}}}}\n",
                     f"general_settings: {{master_key: {n()}}}\n",
                     f"upstreams:\n  - {{name: a, base: 'https://host.example/v1', token: {n()}}}\n"):
            with self.subTest(text.split("kanari")[0]), tempfile.TemporaryDirectory(prefix="ih-") as folder:
                file = Path(folder) / "inhouse.yaml"
                file.write_text(text + "listen: {port: nonsense}\n")
                done = subprocess.run([str(e2e.BUILD / "bin/inhoused"), "--home", folder + "/h", "--config", str(file)],
                                      capture_output=True, text=True, timeout=30)
                self.assertNotEqual(done.returncode, 0)
                for canary in self.all:
                    self.assertNotIn(canary, done.stdout + done.stderr)


if __name__ == "__main__":
    e2e.main()
