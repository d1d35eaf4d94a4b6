#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The review race: 1,000 artifacts, 8 reviewers, reviewers and the server killed at random. One decision each, none lost.

A reviewer is this script as a process of its own. It claims the next one, or now and then grabs one that may be
somebody else's, decides, and writes down what the server acknowledged; after a broken connection it sends the same
again. INHOUSE_RACE is the number of artifacts (1000), INHOUSE_SEED the seed of the kills.
"""
import http.client
import json
import os
import random
import subprocess
import sys
import time
import unittest
from collections import Counter
from pathlib import Path

import e2e

ARTIFACTS = int(os.environ.get("INHOUSE_RACE", "1000"))
REVIEWERS = 8
SERVER_KILLS = 4
SECONDS = 150  # the longest the race itself may take; 3 to 5 where nothing else runs
STATES = {"approve": "approved", "edit": "edited", "reject": "rejected"}


# ---- one reviewer ----

class Reviewer:
    def __init__(self, folder, name, seed):
        self.folder, self.name, self.random = Path(folder), name, random.Random(seed)
        self.key = (self.folder / f"{name}.key").read_text()
        self.artifacts = (self.folder / "artifacts").read_text().split()
        self.log = open(self.folder / f"{name}.log", "a")
        self.connection = None

    def ask(self, path, body):
        """Until it is answered: the server may be down for a moment."""
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", int((self.folder / "port").read_text()), timeout=10)
                self.connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {self.key}"})
                answer = self.connection.getresponse()
                status, text = answer.status, answer.read()
                if status not in (429, 503):
                    return status, json.loads(text)
            except (OSError, http.client.HTTPException, ValueError):
                self.connection = None
            time.sleep(0.02)

    def decide(self, artifact, version, path):
        action = self.random.choice(list(STATES))
        body = {"version": version, "action": action}
        body.update({"fields": {"colour": "blue"}} if action == "edit" else {"reason": "raced"} if action == "reject" else {})
        status, answer = self.ask(path, body)
        if status == 200:
            self.log.write(f"{artifact} {action} {answer['record']}\n")
            self.log.flush()
        elif status not in (400, 409):  # 400: an approval of what nobody proposed
            print(f"{self.name}: {status} {answer}", file=sys.stderr)
            sys.exit(1)

    def run(self):
        while True:
            if self.random.random() < 0.15:  # without asking whose it is
                artifact = self.random.choice(self.artifacts)
                self.decide(artifact, 1, f"/api/v1/artifacts/{artifact}/decision")
                continue
            status, answer = self.ask("/api/v1/review/next", {"resume": self.random.random() < 0.8})
            item = answer.get("item") if status == 200 else None
            if item is not None:
                self.decide(item["artifact"], item["version"], f"/api/v1/review/items/{item['artifact']}/decision")
            elif (self.folder / "over").exists():
                return
            else:
                time.sleep(0.05)


# ---- the race ----

class Race(unittest.TestCase):
    def start_reviewer(self, i):
        self.started += 1
        self.people[i] = subprocess.Popen([sys.executable, __file__, "--reviewer", str(self.folder), f"r{i}", str(self.started)])

    def race(self, s, seed):
        chance, end, kills = random.Random(seed), time.monotonic() + SECONDS, Counter()
        # the server dies when so many are decided: whatever the machine's speed, in the midst of it
        deaths = sorted(chance.uniform(0.05, 0.9) * ARTIFACTS for _ in range(SERVER_KILLS))
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.02, 0.12))
            left = s.call("GET", "/api/v1/artifacts?limit=1")[1]["counts"]["in_review"]
            if deaths and ARTIFACTS - left >= deaths[0]:
                deaths.pop(0)
                s.kill_now()
                s.start()
                (self.folder / "port.new").write_text(str(s.port))
                (self.folder / "port.new").rename(self.folder / "port")
                kills["server"] += 1
            elif left == 0:
                break
            else:
                i = chance.randrange(REVIEWERS)
                self.people[i].kill()
                self.people[i].wait()
                kills["reviewer"] += 1
                self.start_reviewer(i)
        self.assertEqual(left, 0, "the race took too long")
        self.assertEqual(kills["server"], SERVER_KILLS)
        (self.folder / "over").touch()
        for p in self.people.values():
            self.assertEqual(p.wait(30), 0)
        return kills

    def test_one_decision_each_none_lost(self):
        seed = int(os.environ.get("INHOUSE_SEED", "0")) or random.randrange(1 << 30)
        self.people, self.started = {}, 0
        with e2e.House() as s:
            self.folder = s.folder
            try:
                kills = self.one_race(s, seed)
            finally:
                for p in self.people.values():
                    if p.poll() is None:
                        p.kill()
                        p.wait()
            self.check(s)
        print(f"seed {seed}: {ARTIFACTS} artifacts, {REVIEWERS} reviewers, {kills['reviewer']} reviewers and "
              f"{kills['server']} servers killed, one decision each")

    def one_race(self, s, seed):
        status, answer = s.call("PUT", "/api/v1/review/settings",
                                {"lease_s": 5, "second_share": 0, "practice_share": 0, "forced_share": 0})
        self.assertEqual(status, 200, answer)
        made = e2e.at_once(lambda i: s.task(f"thing {i} is red", artifact=True, rungs=["light"])[1], range(ARTIFACTS), 16)
        self.task_of = {m["artifact"]: m["id"] for m in made}
        self.assertEqual(len(self.task_of), ARTIFACTS)
        waiting = s.call("GET", "/api/v1/artifacts?limit=1")[1]["counts"]["in_review"]
        self.assertEqual(waiting, ARTIFACTS, "every artifact waits for a person")
        (self.folder / "artifacts").write_text("\n".join(self.task_of))
        (self.folder / "port").write_text(str(s.port))
        for i in range(REVIEWERS):
            status, key = s.call("POST", "/api/v1/keys", {"name": f"r{i}", "role": "reviewer"})
            self.assertEqual(status, 201, key)
            (self.folder / f"r{i}.key").write_text(key["key"])
            self.start_reviewer(i)
        return self.race(s, seed)

    def check(self, s):
        decided, after = {}, ""
        while after is not None:
            page = s.call("GET", f"/api/v1/artifacts?limit=500{'&after=' + after if after else ''}")[1]
            for a in page["artifacts"]:
                decided[a["artifact"]] = a["state"]
            after = page["next"]
        self.assertEqual(set(decided), set(self.task_of))
        self.assertFalse({a: x for a, x in decided.items() if x not in STATES.values()}, "every one was decided")
        leaves = [x for x in s.records() if x["kind"] == "decision"]
        per_task = Counter(x["task"] for x in leaves)
        self.assertEqual(len(leaves), ARTIFACTS, "as many decisions in the record as artifacts")
        self.assertEqual(set(per_task.values()), {1}, "one decision each")
        record = {x["task"]: x for x in leaves}
        acknowledged = set()
        for i in range(REVIEWERS):
            for line in (self.folder / f"r{i}.log").read_text().splitlines():
                artifact, action, seq = line.split()
                leaf = record[self.task_of[artifact]]
                self.assertEqual((leaf["actor"], leaf["verdict"], leaf["seq"]), (f"r{i}", action, int(seq)),
                                 "what was acknowledged is what the record says")
                self.assertEqual(decided[artifact], STATES[action])
                acknowledged.add(artifact)
        # a reviewer killed between the commit and its own note leaves a decision that nobody noted
        self.assertGreater(len(acknowledged), ARTIFACTS * 0.8)
        self.assertEqual(s.call("GET", "/api/v1/review/queue")[1]["items"], [])
        s.verify()


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--reviewer":
        Reviewer(sys.argv[2], sys.argv[3], int(sys.argv[4])).run()
    else:
        e2e.main()
