#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Twenty-one marked texts and the keys themselves, sent through every door at log level debug: none of them may stand in
the server's log, its status, an error, or the clear text of its files."""
import json
import secrets
import unittest

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


if __name__ == "__main__":
    e2e.main()
