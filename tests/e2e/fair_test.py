#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns, from outside, on the fake engine: a flood of one team, what another team feels, 429 with its Retry-After, and
clients that leave the queue."""
import http.client
import json
import threading
import time
import unittest

import e2e

PLACES = "limits: {tasks_running: 4, tasks_waiting: 32}\n"


def key_of(house, team):
    status, made = house.call("POST", "/api/v1/keys", {"name": team, "role": "member", "team": team})
    assert status == 201, made
    return made["key"]


class Flood:
    """Batch chats of one team, each on a connection of its own."""

    def __init__(self, house, key, n, slow_ms):
        self.answers = []
        self.threads = [threading.Thread(target=self.one, args=(house, key, slow_ms)) for _ in range(n)]
        for t in self.threads:
            t.start()

    def one(self, house, key, slow_ms):
        body = {"model": "light", "service_tier": "flex", "max_tokens": 50,
                "messages": [{"role": "user", "content": f"%%slow:{slow_ms}%% write"}]}
        self.answers.append(ask(house, key, body))

    def end(self):
        for t in self.threads:
            t.join()
        return self.answers


def ask(house, key, body):
    """Status, headers in lower case, JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
    answer = connection.getresponse()
    got = answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read())
    connection.close()
    return got


class Fair(unittest.TestCase):
    def waiting(self, house, n, seconds=20):
        house.wait(lambda s: s["tasks"]["waiting"] >= n, seconds, f"{n} waiting")

    def test_another_team_does_not_wait_for_a_flood(self):
        with e2e.House(config=PLACES) as s:
            a, b = key_of(s, "a"), key_of(s, "b")
            flood = Flood(s, a, 20, 400)  # 5 rounds of 4 at once: 2 s
            self.waiting(s, 10)
            started = time.monotonic()
            status, _, answer = ask(s, b, {"model": "light", "messages": [{"role": "user", "content": "hello"}]})
            self.assertEqual(status, 200, answer)
            still = sum(t.is_alive() for t in flood.threads)
            self.assertGreater(still, 8, f"it waited for the flood: {time.monotonic() - started:.1f} s")
            self.assertEqual({x[0] for x in flood.end()}, {200})

    def test_over_its_places_a_team_is_told_when_to_come_back_and_others_are_not(self):
        with e2e.House(config=PLACES) as s:
            a, b = key_of(s, "a"), key_of(s, "b")
            for answer in Flood(s, a, 8, 150).end():  # now the rate is known
                self.assertEqual(answer[0], 200)
            flood = Flood(s, a, 40, 300)
            self.waiting(s, 18)
            status, _, answer = ask(s, b, {"model": "light", "messages": [{"role": "user", "content": "hello"}]})
            self.assertEqual(status, 200, answer)
            answers = flood.end()
            full = [x for x in answers if x[0] == 429]
            self.assertEqual(len(full) + sum(x[0] == 200 for x in answers), 40)
            self.assertEqual(len(full), 40 - 4 - 18)  # 32 places: a team has 24 of them, batch 18 of those
            for _, headers, body in full:
                error = body["error"]
                self.assertEqual(error["code"], "queue_full")
                self.assertEqual(error["retry_after"], int(headers["retry-after"]))
                self.assertTrue(1 <= error["retry_after"] <= 10, error)  # 18 x 0.3 s, 4 at once

    def test_a_client_that_leaves_gives_its_place_back(self):
        with e2e.House(config=PLACES) as s:
            held = [s.stream("%%slow:3000%% hold") for _ in range(4)]
            s.wait(lambda x: x["tasks"]["running"] == 4, 20, "four running")
            left = [s.stream("%%slow:3000%% never") for _ in range(10)]
            self.waiting(s, 10)
            for stream in left:
                stream.close()
            s.wait(lambda x: x["tasks"]["waiting"] == 0 and x["tasks"]["running"] == 4, 2, "an empty queue")
            for stream in held:
                self.assertIn(b"[DONE]", stream.read_all())
                stream.close()
            s.wait(lambda x: x["tasks"]["running"] == 0, 10, "an idle server")

    def test_the_status_shows_who_waits(self):
        with e2e.House(config=PLACES) as s:
            a = key_of(s, "a")
            flood = Flood(s, a, 12, 300)
            self.waiting(s, 4)
            queue = [q for q in s.status()["queues"] if q["in_service"] > 0]
            self.assertEqual(len(queue), 1)
            self.assertEqual([t["team"] for t in queue[0]["teams"] if t["in_service"]], ["a"])
            self.assertIn("a ", e2e.inhouse("status", home=s.home).stdout)
            flood.end()
            queue = [q for q in s.status()["queues"] if q["model"] == queue[0]["model"]][0]
            self.assertEqual((queue["in_service"], sum(queue["waiting"].values())), (0, 0))
            self.assertGreater(queue["tokens_per_second"], 0)


if __name__ == "__main__":
    unittest.main()
