#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reuse through the server: documents that people decided teach their stream; the next one is read without a model, says from
what, and can be taken back; another team meets nothing; erasing a person takes what was learned from them."""
import json
import time
import unittest

import e2e

FORM = """name: orders
title: Read an order confirmation
fields:
  - name: order
    type: id
  - name: customer
    type: span
  - name: total
    type: amount
"""
PEOPLE = [("A-1041", "Anna Smith", "1.234,50", "1234.50 EUR"), ("B-77", "Bob Jones", "89,00", "89.00 EUR"),
          ("C-30055", "Eve Maria Stone", "12,99", "12.99 EUR")]


def letter(order, customer, total, extra=""):
    return (f"Order confirmation\n\nDear {customer},\n\nthank you for your order {order}.\n{extra}Total: {total} EUR\n\n"
            "Kind regards\nThe parts house\n")


def fields(answer):
    return {f["name"]: f for f in answer["fields"]}


class Reuse(unittest.TestCase):
    def setUp(self):
        self.s = e2e.House().__enter__()
        self.addCleanup(self.s.__exit__, None, None, None)
        self.assertEqual(self.s.call("PUT", "/api/v1/workflows/orders", FORM)[0], 200)

    def post(self, text, key=None, workflow="orders", **more):
        body = {"workflow": workflow, "input": {"text": text}, **more}
        if key:
            status, answer = self.s.call("POST", "/api/v1/tasks", body, local=False, headers={"Authorization": f"Bearer {key}"})
        else:
            status, answer = self.s.call("POST", "/api/v1/tasks", body)
        self.assertEqual(status, 200, answer)
        return answer

    def decide(self, answer, **values):
        shown = self.s.call("GET", f"/api/v1/artifacts/{answer['artifact']}")[1]
        status, made = self.s.call("POST", f"/api/v1/artifacts/{answer['artifact']}/decision",
                                   {"version": shown["version"], "action": "edit", "fields": values})
        self.assertEqual(status, 200, made)

    def teach(self):
        answers = []
        for order, customer, total, value in PEOPLE:
            answers.append(self.post(letter(order, customer, total)))
            self.assertEqual(answers[-1]["state"], "waiting_person")
            self.decide(answers[-1], order=order, customer=customer, total=value)
        return answers

    def until_read(self, make):
        """Posts new documents until one is read whole: learning runs behind the answers."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = self.post(make())
            if all(f["rung"] == "reuse" for f in answer["fields"]):
                return answer
            time.sleep(0.1)
        self.fail(json.dumps(answer, indent=1))

    def test_documents(self):
        taught = self.teach()
        number = iter(range(5000, 9999))
        read = self.until_read(lambda: letter(f"Z-{next(number)}", "Zoe Zorn", "7.000,05"))
        got = fields(read)
        self.assertEqual((got["customer"]["value"], got["total"]["value"]), ("Zoe Zorn", "7000.05 EUR"))
        self.assertEqual(read["state"], "done")
        self.assertEqual(got["total"]["reused_how"], "template")
        self.assertTrue(got["total"]["reused_from"].startswith("tpl_"), got)
        self.assertEqual((read["tokens_out"], read["tokens_in"]), (0, 0))

        with self.subTest("what a person decided is the answer to the same request"):
            again = self.post(letter(*PEOPLE[2][:3]))
            self.assertEqual(again["state"], "done")
            self.assertEqual((fields(again)["total"]["value"], fields(again)["total"]["reused_from"]), (PEOPLE[2][3], taught[2]["id"]))

        with self.subTest("a changed layout is refused and says where"):
            changed = self.post(letter("Y-1", "Yan Young", "5,00", extra="Total before discount: 9,00 EUR\n"))
            self.assertEqual(changed["state"], "waiting_person")
            self.assertTrue(any("layout changed" in (x.get("note") or "") for x in changed["climb"]), changed["climb"])

        with self.subTest("the same again is the same answer"):
            text = letter("W-55", "Wim Wolf", "3,00")
            first, second = self.post(text), self.post(text.replace("\n", "\r\n") + "\n")
            self.assertEqual(fields(second)["order"]["reused_how"], "exact")
            self.assertEqual(fields(second)["order"]["reused_from"], first["id"])

        with self.subTest("another team meets nothing"):
            status, key = self.s.call("POST", "/api/v1/keys", {"name": "blue", "team": "blue", "role": "member"})
            self.assertEqual(status, 201)
            other = self.post(text, key=key["key"])
            self.assertFalse(any(x["rung"] == "reuse" for x in other["climb"]), other["climb"])
            self.assertEqual(self.s.call("POST", f"/api/v1/tasks/{first['id']}/revoke", {}, local=False,
                                         headers={"Authorization": f"Bearer {key['key']}"})[0], 403)

        with self.subTest("one command takes back an answer and what came of it"):
            done = e2e.inhouse("reuse", "revoke", taught[1]["id"], "--json", home=self.s.home)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            reach = json.loads(done.stdout)
            for answer in (taught[1], read, first, second):
                self.assertIn(answer["id"], reach["answers"])
            self.assertEqual(len(reach["templates"]), 1)
            self.assertIn("revoked", [r["kind"] for r in self.s.records(taught[1]["id"])])
            self.assertNotEqual(fields(self.post(text))["order"]["reused_how"], "exact")

    def test_erase(self):
        self.teach()
        number = iter(range(5000, 9999))
        read = self.until_read(lambda: letter(f"Z-{next(number)}", "Zoe Zorn", "7.000,05"))
        who = [r["actor"] for r in self.s.records(read["id"])][0]
        self.assertEqual(e2e.inhouse("erase", who, home=self.s.home).returncode, 2, "it asks for --yes")
        done = e2e.inhouse("erase", who, "--yes", "--json", home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        reach = json.loads(done.stdout)
        self.assertGreaterEqual(reach["documents"], 3)
        self.assertEqual(len(reach["templates"]), 1)
        self.assertGreaterEqual(reach["contents"], 8)
        self.assertEqual(self.s.call("GET", f"/api/v1/tasks/{read['id']}")[0], 404)
        after = self.post(letter("Q-4", "Quin Quest", "4,00"))
        self.assertFalse(any(f["rung"] == "reuse" for f in after["fields"]), after)
        self.s.process.terminate()
        self.s.process.wait()
        for file in self.s.home.rglob("*"):
            if file.is_file() and file.name.startswith("data.db"):
                data = file.read_bytes()
                for text in ("Zoe Zorn", "Anna Smith", "C-30055", "thank you for your order"):
                    self.assertNotIn(text.encode(), data, file.name)


if __name__ == "__main__":
    unittest.main()
