#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Review over HTTP: queues, leases, autosave, hints, escalations that move on, groups, tickets that moved, outcomes,
second looks, practice, drafts of articles. (The race: review_race_test.py; the terminal: review_terminal_test.py.)"""
import http.client
import json
import time
import unittest

import e2e

OFF = {"second_share": 0, "practice_share": 0, "forced_share": 0}
DESK = """name: desk
title: Help desk
dataset: kb
fields:
  - name: queue
    type: choice
    labels: [cards, loans]
  - name: reply
    type: draft
frames:
  en:
    greeting: "Good day {name},"
    greeting_plain: "Good day,"
    sign_off: "Kind regards"
"""
DECLINED = "Hello,\nmy card payment was declined at the supermarket, and again at the petrol station.\nRegards,\n"


class Review(unittest.TestCase):
    def setUp(self):
        self.s = e2e.House().__enter__()
        self.keys = {}
        for name, role in (("anna", "reviewer"), ("ben", "reviewer"), ("cleo", "approver"), ("desk", "member")):
            status, made = self.s.call("POST", "/api/v1/keys", {"name": name, "role": role})
            assert status == 201, made
            self.keys[name] = made["key"]
        self.settings(**OFF)

    def tearDown(self):
        code, said = self.s.stop(), self.s.said()
        self.s.__exit__()
        self.assertEqual(code, 0, said)

    def ask(self, who, method, path, body=None):
        return self.s.call(method, f"/api/v1{path}", body, {"Authorization": f"Bearer {self.keys[who]}"}, local=False)

    def ok(self, who, method, path, body=None, status=200):
        got, answer = self.ask(who, method, path, body)
        self.assertEqual(got, status, answer)
        return answer

    def no(self, who, method, path, body, status, code):
        got, answer = self.ask(who, method, path, body)
        self.assertEqual((got, answer["error"]["code"]), (status, code), answer)
        return answer["error"]

    def settings(self, **more):
        return self.ok("cleo", "PUT", "/review/settings", more)

    def make(self, text, who="desk", **more):
        body = {"workflow": "colours", "input": {"text": text, **more}, "rungs": ["light"]}
        return self.ok(who, "POST", "/tasks", body)["artifact"]

    def next(self, who, **more):
        return self.ok(who, "POST", "/review/next", {"resume": False, **more})["item"]

    def decide(self, who, item, action="approve", status=200, **more):
        return self.ok(who, "POST", f"/review/items/{item['artifact']}/decision",
                       {"version": item["version"], "action": action, **more}, status)

    def test_claim_lease_decide(self):
        self.settings(lease_s=8)
        a = self.make("something red")
        item = self.next("anna")
        self.assertEqual((item["artifact"], item["held"], item["input"]), (a, True, "something red"))
        self.assertIsNone(self.next("ben"))
        self.assertIn("anna has it", self.no("ben", "POST", f"/review/items/{a}/claim", {}, 409, "conflict")["message"])
        self.no("ben", "POST", f"/artifacts/{a}/decision", {"version": 1, "action": "approve"}, 409, "conflict")
        saved = self.ok("anna", "PUT", f"/review/items/{a}/working", {"version": 1, "draft": "Dear Ann", "fields": {"mood": "calm"}})
        self.assertTrue(saved["held"])
        time.sleep(8.3)
        self.assertEqual(self.next("ben")["artifact"], a, "the lease was over")
        saved = self.ok("anna", "PUT", f"/review/items/{a}/working", {"version": 1, "draft": "Dear Anna", "fields": {"mood": "calm"}})
        self.assertFalse(saved["held"])
        self.s.kill()
        self.s.start()
        kept = self.ok("anna", "GET", f"/review/items/{a}")["working"]
        self.assertEqual((kept["draft"], kept["fields"]), ("Dear Anna", {"mood": "calm"}))
        self.ok("ben", "POST", f"/review/items/{a}/release", {})
        item = self.ok("anna", "POST", f"/review/items/{a}/claim", {})["item"]
        made = self.decide("anna", item, "edit", fields={"mood": "calm", "colour": "red"})
        self.assertEqual((made["state"], made["kind"], made["again"]), ("edited", "first", False))
        self.assertTrue(self.decide("anna", item, "edit", fields={"mood": "calm", "colour": "red"})["again"])
        self.no("ben", "POST", f"/review/items/{a}/decision", {"version": 1, "action": "approve"}, 409, "conflict")

    def test_a_link_never_decides(self):
        a = self.make("something red")
        for path in (f"/review/items/{a}/decision", f"/artifacts/{a}/decision", f"/review/items/{a}/claim", "/review/next",
                     "/review/group"):
            for method in ("GET", "HEAD"):
                c = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=20)
                c.request(method, f"/api/v1{path}?action=approve&version=1", headers={"Authorization": f"Bearer {self.keys['anna']}"})
                self.assertIn(c.getresponse().status, (404, 405))
                c.close()
        self.assertEqual(self.ok("anna", "GET", f"/artifacts/{a}?open=0")["state"], "in_review")

    def test_skills_and_order(self):
        self.make("one")
        self.ok("ben", "PUT", "/review/skills", {"skills": {"workflow": ["localize"]}})
        self.assertIsNone(self.next("ben"))
        self.assertEqual(self.ok("ben", "GET", "/review/queue")["items"], [])
        self.no("anna", "PUT", "/review/skills", {"person": "ben", "skills": {}}, 403, "forbidden")
        self.ok("cleo", "PUT", "/review/skills", {"person": "ben", "skills": {"workflow": ["colours"]}})
        self.assertEqual(len(self.ok("ben", "GET", "/review/queue?order=age")["items"]), 1)
        self.assertEqual(self.ok("anna", "GET", "/review/skills")["skills"],
                         [{"person": "ben", "kind": "workflow", "value": "colours"}])
        self.assertIsNotNone(self.next("ben"))

    def test_an_escalation_moves_on_by_itself(self):
        a = self.make("something red")
        item = self.next("anna")
        self.decide("anna", item, "escalate", reason="legal", to="ben", within_s=1, then="role:approver")
        self.no("anna", "POST", f"/review/items/{a}/decision", {"version": 2, "action": "approve"}, 403, "forbidden")
        end = time.monotonic() + 10
        while (target := self.ok("anna", "GET", f"/review/items/{a}")["target"]) == "ben" and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(target, "role:approver")
        self.assertIn("escalation moved on", [x["verdict"] for x in self.s.records() if x["kind"] == "reviewed"])
        item = self.next("cleo")
        self.assertEqual((item["artifact"], item["urgency"]), (a, "escalated"))
        self.assertIsNotNone(item["deadline_at"])
        self.decide("cleo", item, "edit", fields={"colour": "red", "mood": "calm"})

    def test_a_hint_runs_while_the_next_one_is_open(self):
        a, b = self.make("something red"), self.make("something green")
        item = self.next("anna")
        self.assertEqual(item["artifact"], a)
        self.ok("anna", "POST", f"/review/items/{a}/hint", {"version": 1, "hint": "look at the second sentence"}, 202)
        self.assertEqual(self.next("anna")["artifact"], b)
        end = time.monotonic() + 20
        while (x := self.ok("anna", "GET", f"/review/items/{a}"))["hint"]["state"] == "running" and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual((x["hint"]["state"], x["version"]), ("done", 2), x["hint"])
        self.no("anna", "POST", f"/review/items/{a}/hint", {"version": 2, "hint": " "}, 400, "bad_request")
        self.no("ben", "POST", f"/review/items/{b}/hint", {"version": 1, "hint": "mine"}, 409, "conflict")
        # over one that was decided meanwhile nothing lands
        c = self.make("%%slow:1500%% something blue")
        item = self.next("anna")
        self.ok("anna", "POST", f"/review/items/{c}/hint", {"version": 1, "hint": "again"}, 202)
        self.decide("anna", item, "edit", fields={"colour": "blue", "mood": "calm"})
        end = time.monotonic() + 20
        while (x := self.ok("anna", "GET", f"/review/items/{c}"))["hint"]["state"] == "running" and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual((x["hint"]["state"], x["version"]), ("refused", 2))

    def test_many_tickets_with_one_cause_are_one_decision(self):
        names = ("Maria Lopez", "Tom Baker", "Iris Chan", "Paul Weber")
        made = [self.make(DECLINED + n, id=f"47{i}", who="anna") for i, n in enumerate(names)]
        self.make("How do I change my postal address, please? It is about my savings account.", who="anna")
        alike = self.ok("anna", "GET", f"/review/items/{made[0]}/alike")["alike"]
        self.assertEqual({a["artifact"] for a in alike}, set(made[1:]))
        self.ok("ben", "POST", f"/review/items/{made[2]}/claim", {})  # held by somebody else: left out
        items = [{"artifact": a, "version": 1} for a in made[:3]]  # and made[3] was taken out
        answer = self.ok("anna", "POST", "/review/group", {
            "items": items, "action": "edit", "fields": {"colour": "red", "mood": "angry"},
            "draft": "Hello {name},\n\nthe network of shops was down. Your case is {ticket}."})
        self.assertEqual((answer["decided"], answer["left_out"]), (2, 1))
        self.assertEqual([i["decided"] for i in answer["items"]], [True, True, False])
        self.assertEqual(len({i["record"] for i in answer["items"][:2]}), 2)
        for a, name, ticket in zip(made[:2], ("Maria", "Tom"), ("470", "471")):
            sent = self.ok("anna", "GET", f"/artifacts/{a}")["decision"]["draft"]
            self.assertEqual(sent, f"Hello {name},\n\nthe network of shops was down. Your case is {ticket}.")
        for a in made[2:]:
            self.assertEqual(self.ok("anna", "GET", f"/artifacts/{a}?open=0")["state"], "in_review")
        missing = self.ok("anna", "POST", "/review/group", {"items": [{"artifact": made[3], "version": 1}], "action": "edit",
                                                           "draft": "Your refund of {amount} is on its way."})
        self.assertIn("nothing for {amount}", missing["items"][0]["message"])

    def test_a_correction_is_proposed_for_the_next_one_alike(self):
        self.make(DECLINED + "Maria Lopez", id="4711", who="anna")
        self.decide("anna", self.next("anna"), "edit", fields={"colour": "blue", "mood": "angry"})
        self.make(DECLINED + "Tom Baker", id="4712", who="anna")
        item = self.next("ben")
        self.assertEqual(item["as_decided"]["said"], "as decided on #4711")
        self.assertTrue({"colour": "blue", "mood": "angry"}.items() >= item["as_decided"]["fields"].items())
        self.assertTrue(item["as_decided"]["fields"])
        self.assertEqual(item["version"], 1)  # proposed: nothing was changed

    def test_an_approval_names_the_ticket_it_saw(self):
        a = self.make("The red one is broken. Please send another.", id="99", who="anna")
        item = self.next("anna")
        self.assertFalse(item["ticket"]["moved"])
        moved = self.ok("anna", "POST", "/review/tickets", {"ticket": "99", "version": "v2",
                                                            "text": "The red one is broken. It works again, thanks."})
        self.assertEqual(moved["artifacts"], 1)
        body = {"version": 1, "action": "edit", "fields": {"colour": "red", "mood": "calm"}, "ticket_version": item["ticket"]["version"]}
        error = self.no("anna", "POST", f"/review/items/{a}/decision", body, 409, "conflict")
        self.assertIn("moved on", error["message"])
        now = self.ok("anna", "GET", f"/review/items/{a}")["ticket"]
        self.assertEqual(now["difference"], [{"op": "-", "text": "Please send another."}, {"op": "+", "text": "It works again, thanks."}])
        self.ok("anna", "POST", f"/review/items/{a}/decision", {**body, "ticket_version": now["version"]})

    def test_outcomes_come_back(self):
        for i in range(5):
            a = self.make(f"thing {i} red", id=f"o{i}", who="anna")
            self.decide("anna", self.next("anna"), "edit", fields={"colour": "red", "mood": "calm"})
            if i == 3:
                few = self.ok("anna", "GET", "/review/measures?by=workflow")["groups"][0]
                self.assertEqual(few, {"group": "colours", "decided": 4, "too_few": True})
        got = self.ok("desk", "POST", "/review/outcomes", {"outcomes": [
            {"ticket": "o1", "kind": "reopened", "at": "2026-11-22T10:00:00Z"}, {"artifact": a, "kind": "csat", "value": 0.8},
            {"ticket": "none", "kind": "solved"}]})
        self.assertEqual(got, {"joined": 2, "unknown": 1})
        group = self.ok("anna", "GET", "/review/measures?by=workflow")["groups"][0]
        self.assertEqual((group["decided"], group["edited"], group["reopened"], group["rated"]), (5, 5, 1, 0))
        self.assertEqual(self.ok("anna", "GET", "/review/me")["edited"], 5)
        self.assertEqual(self.ok("ben", "GET", "/review/me")["decided"], 0)
        self.assertNotIn("anna", json.dumps(self.ok("ben", "GET", "/review/measures")))

    def test_second_looks_are_blind_and_practice_is_disclosed_after(self):
        self.settings(second_share=1)
        a = self.make("something red")
        self.decide("anna", self.next("anna"), "edit", fields={"colour": "blue", "mood": "calm"})
        self.assertIsNone(self.next("anna"))
        item = self.next("ben")
        self.assertEqual(item["artifact"], a)
        self.assertNotIn("anna", json.dumps(item))
        self.assertNotIn("decision", item)
        made = self.decide("ben", item, "edit", fields={"colour": "blue", "mood": "calm"})
        self.assertEqual((made["kind"], made["agrees"]), ("second", True))
        self.assertEqual(self.ok("anna", "GET", f"/artifacts/{a}")["decision"]["by"], "anna")
        self.settings(second_share=0, practice_share=0.5)
        self.no("anna", "POST", f"/review/items/{a}/practice", {"on": True}, 403, "forbidden")
        self.ok("cleo", "POST", f"/review/items/{a}/practice", {"on": True})
        self.assertIsNone(self.next("anna"))  # who decided it knows it
        for _ in range(200):
            item = self.next("cleo")
            if item is not None:
                break
        self.assertEqual(item["artifact"], a)
        before = self.ok("anna", "GET", f"/artifacts/{a}?open=0")
        made = self.decide("cleo", item, "reject", reason="not ours")
        self.assertEqual((made["kind"], made["right"], made["known"]), ("practice", False, {"colour": "blue", "mood": "calm"}))
        self.assertEqual(self.ok("anna", "GET", f"/artifacts/{a}?open=0"), before)
        self.assertEqual(self.ok("cleo", "GET", "/review/me")["practised"], 1)

    def test_a_forced_item_withholds_its_proposals(self):
        self.settings(forced_share=1)
        a = self.make("something red")
        item = self.next("anna")
        self.assertTrue(item["forced"] and item["result"] is None)
        self.assertTrue(all(f["value"] is None for f in item["fields"] if f["withheld"]))
        self.no("anna", "POST", f"/review/items/{a}/decision", {"version": 1, "action": "approve"}, 400, "bad_request")
        self.decide("anna", item, "approve", fields={"colour": "red", "mood": "calm"})

    def test_a_draft_is_chosen_sentences(self):
        articles = [{"name": "a.md", "markdown": "---\nid: lost-card\ntitle: A lost card\n---\nYou can block a lost card in the app "
                     "under Cards. A blocked card cannot be used by anybody. A new card reaches you within five working days.\n"}]
        status, job = self.s.call("POST", "/api/v1/datasets/kb/articles", {"articles": articles})
        self.assertEqual(status, 202, job)
        self.s.wait_job(job["job"])
        status, answer = self.s.call("PUT", "/api/v1/workflows/desk", DESK)
        self.assertEqual(status, 200, answer)
        body = {"workflow": "desk", "input": {"text": "I lost my card. How can I block the lost card in the app?\nRegards,\nMaria Lopez"}}
        a = self.ok("anna", "POST", "/tasks", body)["artifact"]
        item = self.next("anna")
        self.assertEqual(item["artifact"], a)
        sentences = item["sentences"]
        self.assertGreaterEqual(len(sentences), 2, item)
        for s in sentences:
            self.assertEqual(s["chosen"], s["text"] in item["draft"], "the draft is its chosen sentences")
        chosen = [0, len(sentences) - 1]
        made = self.ok("anna", "PUT", f"/review/items/{a}/working", {"version": 1, "chosen": chosen})["draft"]
        for s in sentences:
            self.assertEqual(s["n"] in chosen, s["text"] in made, made)
        self.assertTrue(made.startswith("Good day Maria,"), made)
        self.assertEqual(self.ok("anna", "GET", f"/review/items/{a}")["working"]["chosen"], chosen)
        self.no("anna", "PUT", f"/review/items/{a}/working", {"version": 1, "chosen": []}, 400, "bad_request")
        self.decide("anna", item, "edit", chosen=chosen, fields={"queue": "cards"})
        self.assertEqual(self.ok("anna", "GET", f"/artifacts/{a}")["decision"]["draft"], made)

    def test_what_is_asked_often_becomes_a_draft_that_waits(self):
        for i in range(3):
            self.make(DECLINED + "Customer", id=f"q{i}", who="anna")
            self.decide("anna", self.next("anna"), "edit", fields={"colour": "red", "mood": "calm"},
                        draft=f"Dear Ms Lopez,\nYour number is 55{i}1.\nDeclined cards can be unlocked in the app under Cards.\nKind regards")
        found = self.ok("anna", "GET", "/review/articles")["questions"]
        self.assertEqual([(q["asked"], q["sentences"], q["artifact"]) for q in found], [(3, 1, None)])
        made = self.ok("anna", "POST", "/review/articles", {})["questions"][0]
        self.assertEqual(self.ok("anna", "GET", "/review/articles")["questions"], [])  # once
        item = self.next("ben")
        self.assertEqual((item["artifact"], item["workflow"]), (made["artifact"], "article-draft"))
        self.assertIn("Declined cards can be unlocked in the app under Cards.", item["draft"])
        for secret in ("Lopez", "55"):
            self.assertNotIn(secret, item["draft"].split("---")[2])
        done = e2e.inhouse("review", "articles", "--publish", made["artifact"], "--dataset", "kb", home=self.s.home)
        self.assertEqual(done.returncode, 5, "nobody has approved it")
        self.decide("ben", item)
        done = e2e.inhouse("review", "articles", "--publish", made["artifact"], "--dataset", "kb", home=self.s.home)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kb", [d["name"] for d in self.s.call("GET", "/api/v1/datasets")[1]["datasets"]])

    def test_what_a_hint_leaves_is_erased_with_who_asked(self):
        a = self.make("something red", who="desk")
        self.next("anna")
        self.ok("anna", "POST", f"/review/items/{a}/hint", {"version": 1, "hint": "it is a colour"}, 202)
        end = time.monotonic() + 20
        while self.ok("anna", "GET", f"/review/items/{a}")["hint"]["state"] == "running" and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual([x["actor"] for x in self.s.records() if x["verdict"] == "hint"], ["anna"])
        status, erased = self.s.call("POST", "/api/v1/erase", {"subject": "desk"})
        self.assertEqual((status, erased["tasks"]), (200, 2), erased)

    def test_settings_are_checked(self):
        for bad in ({"lease_s": 1}, {"second_share": 2}, {"reasons": ["x"] * 10}, {"escalation": []}, {"order": "luck"},
                    {"escalation": [{"to": "role:king", "within_s": 60}]}, {"often": 1}):
            with self.subTest(str(bad)):
                self.no("cleo", "PUT", "/review/settings", bad, 400, "bad_request")
        self.no("anna", "PUT", "/review/settings", {"lease_s": 60}, 403, "forbidden")
        got = self.settings(reasons=["wrong price"], escalation=[{"to": "cleo", "within_s": 60}], order="age", lease_s=90)
        self.assertEqual((got["reasons"], got["escalation"], got["order"], got["lease_s"]),
                         (["wrong price"], [{"to": "cleo", "within_s": 60}], "age", 90))
        self.make("x")
        self.assertEqual(self.next("anna")["reasons"], ["wrong price"])


if __name__ == "__main__":
    e2e.main()
