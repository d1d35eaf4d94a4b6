#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Semantic reuse with the real embedding model: only where the workflow asks for it, only what says the same, and recorded."""
import sys
import unittest

import e2e

FORM = """name: %s
title: Which desk
fields:
  - name: desk
    type: choice
    labels: [cards, transfers, account]
%s"""
ASKED = [("How do I activate my card?", "cards"), ("I want to transfer 50 euros from savings to checking", "transfers"),
         ("can you tell me what my balance is", "account")]
SAME = [("Hello, how can I activate my card please", 0), ("i would like to transfer \u20ac50 from savings to checking", 1),
        ("Could you please tell me what my balance is?", 2)]
OTHER = ["How do I deactivate my card?", "I want to transfer 500 euros from savings to checking",
         "I want to transfer 50 euros from checking to savings", "can you tell me what your balance is",
         "How do I activate my other card?", "I do not want to transfer 50 euros from savings to checking"]


class Semantic(unittest.TestCase):
    def test_it_says_the_same(self):
        def prepare(s):
            done = e2e.inhouse("models", "import", EMBED, home=s.home)
            assert done.returncode == 0, done.stdout + done.stderr
        with e2e.House(options=["--engine", "llama"], config="engine: {threads: 1}\n", prepare=prepare) as s:
            s.wait(lambda g: g["roles"]["embed"]["state"] == "ready", 60, "the model")
            for name, more in (("open", "reuse: {semantic: true}\n"), ("closed", "")):
                self.assertEqual(s.call("PUT", f"/api/v1/workflows/{name}", FORM % (name, more))[0], 200)

            def post(text, workflow="open"):
                status, answer = s.call("POST", "/api/v1/tasks", {"workflow": workflow, "input": {"text": text}})
                self.assertEqual(status, 200, answer)
                return answer
            first = []
            for workflow in ("closed", "open"):
                for text, desk in ASKED:
                    answer = post(text, workflow)
                    first.append(answer)
                    shown = s.call("GET", f"/api/v1/artifacts/{answer['artifact']}")[1]
                    status, made = s.call("POST", f"/api/v1/artifacts/{answer['artifact']}/decision",
                                          {"version": shown["version"], "action": "edit", "fields": {"desk": desk}})
                    self.assertEqual(status, 200, made)
            first = first[len(ASKED):]
            for text, i in SAME:
                got = post(text)
                field = got["fields"][0]
                self.assertEqual((got["state"], field["value"], field["reused_how"], field["reused_from"]),
                                 ("done", ASKED[i][1], "semantic", first[i]["id"]), got["climb"])
                self.assertNotEqual(post(text, "closed")["state"], "done")
            for text in OTHER:
                got = post(text)
                self.assertEqual(got["state"], "waiting_person", (text, got["fields"]))
            status, reach = s.call("POST", f"/api/v1/tasks/{first[0]['id']}/revoke", {})
            self.assertEqual((status, len(reach["answers"])), (200, 2), reach)
            self.assertEqual(post("How could I activate my card, please?")["state"], "waiting_person")


EMBED = e2e.FETCHED / "models" / "all-MiniLM-L6-v2"
if __name__ == "__main__":
    if not EMBED.exists():
        print(f"{EMBED} is missing (make setup): skipped")
        sys.exit(77)
    unittest.main()
