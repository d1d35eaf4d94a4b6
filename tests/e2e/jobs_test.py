#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Jobs of items against the real server: a batch, a stream, pause, resume, cancel, replay; kill -9 of the server at
random moments: every job is done once, every item has one task and one artifact, none is lost."""
import json
import os
import random
import sqlite3
import time
import unittest

import e2e

JOBS = int(os.environ.get("INHOUSE_E2E_JOBS", "8"))
ITEMS = 30
KILLS = int(os.environ.get("INHOUSE_E2E_ROUNDS", "8"))


def lines(label, n, slow=0):
    return "".join(json.dumps({"id": f"{label}-{i}", "text": f"{f'%%slow:{slow}%% ' if slow else ''}the red one {label} {i}"}) + "\n"
                   for i in range(n))


class Jobs(unittest.TestCase):
    def make(self, s, label, n, slow=0, **more):
        body = {"workflow": "colours", "inputs": [{"role": "items", "name": f"{label}.jsonl", "text": lines(label, n, slow)}], **more}
        status, job = s.call("POST", "/api/v1/jobs", body)
        self.assertEqual(status, 202, job)
        return job["job"]

    def wait(self, s, job, state="done", seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = s.call("GET", f"/api/v1/jobs/{job}")[1]
            if got["state"] == state:
                return got
            time.sleep(0.05)
        self.fail(f"{job} is {got['state']}, not {state}: {got}\n{s.said()}")

    def results(self, s, job, after=0):
        """All lines; the server gives as many as fit and says where to go on."""
        c = e2e.server.Local(s.home / "sock")
        try:
            c.request("GET", f"/api/v1/jobs/{job}/results?after={after}")
            r = c.getresponse()
            text = r.read()
            self.assertEqual(r.status, 200, text)
            return [json.loads(line) for line in text.splitlines()]
        finally:
            c.close()

    def test_a_batch_gives_its_results_in_order(self):
        with e2e.House() as s:
            job = self.make(s, "b", 40)
            got = self.wait(s, job)
            self.assertEqual((got["items"], got["items_done"], got["items_failed"], got["kind"]), (40, 40, 0, "batch"))
            self.assertEqual([x["name"] for x in got["steps"]], ["items"])
            self.assertGreater(got["steps"][0]["tokens_in"], 0)
            rows = self.results(s, job)
            self.assertEqual([r["id"] for r in rows], [f"b-{i}" for i in range(40)])
            self.assertTrue(all(r["result"]["fields"] for r in rows))
            self.assertEqual(len({r["result"]["id"] for r in rows}), 40)
            kinds = [r["kind"] for r in s.records() if r["task"] == job]
            self.assertEqual(kinds, ["job_accepted", "job_step", "job_ended"])
            again = s.call("POST", f"/api/v1/jobs/{job}/replay", {})[1]["job"]
            self.assertEqual(self.wait(s, again)["replay_of"], job)
            self.assertEqual([r["id"] for r in self.results(s, again)], [r["id"] for r in rows])
            self.assertEqual(s.stop(), 0)

    def test_a_stream_takes_items_until_it_is_closed(self):
        with e2e.House() as s:
            job = s.call("POST", "/api/v1/jobs", {"workflow": "colours", "kind": "stream"})[1]["job"]
            seen = []
            for k in range(3):
                status, got = s.call("POST", f"/api/v1/jobs/{job}/items", lines(f"s{k}", 5))
                self.assertEqual((status, got["items"]), (202, 5 * (k + 1)), got)
                end = time.monotonic() + 20
                while len(seen) < 5 * (k + 1) and time.monotonic() < end:
                    seen += self.results(s, job, after=len(seen))
                    time.sleep(0.05)
            self.assertEqual([r["id"] for r in seen], [f"s{k}-{i}" for k in range(3) for i in range(5)])
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{job}/items", '{"txt": 1}')[0], 400)
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{job}/close", {})[0], 200)
            self.assertEqual(self.wait(s, job)["items_done"], 15)
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{job}/items", lines("late", 1))[0], 409)
            self.assertEqual(s.stop(), 0)

    def test_pause_resume_cancel(self):
        with e2e.House() as s:
            job = self.make(s, "p", 60, slow=60)
            self.wait(s, job, "leased")
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{job}/pause", {})[1]["state"], "paused")
            time.sleep(0.5)
            before = s.call("GET", f"/api/v1/jobs/{job}")[1]["items_done"]
            time.sleep(0.5)
            self.assertEqual(s.call("GET", f"/api/v1/jobs/{job}")[1]["items_done"], before)
            self.assertLess(before, 60)
            s.call("POST", f"/api/v1/jobs/{job}/resume", {})
            self.assertEqual(self.wait(s, job)["items_done"], 60)
            self.assertEqual(len({r["result"]["id"] for r in self.results(s, job)}), 60)
            other = self.make(s, "c", 60, slow=60)
            self.wait(s, other, "leased")
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{other}/cancel", {})[1]["state"], "cancelled")
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{other}/resume", {})[0], 409)
            self.assertEqual(s.stop(), 0)

    def test_what_is_wrong_is_said_before_anything_is_kept(self):
        with e2e.House() as s:
            for body, code in (({"workflow": "none"}, 404), ({"workflow": "colours"}, 400),
                               ({"workflow": "colours", "kind": "program"}, 400),
                               ({"workflow": "colours", "inputs": [{"text": "nonsense"}]}, 400),
                               ({"workflow": "colours", "inputs": [{"text": ""}]}, 400),
                               ({"workflow": "colours", "inputs": [{"base64": "*"}]}, 400),
                               ({"workflow": "colours", "inputs": [{"text": "a", "base64": "YQ=="}]}, 400),
                               ({"workflow": "colours", "as": "pdf", "inputs": [{"text": lines("x", 1)}]}, 400),
                               ({"workflow": "colours", "inputs": [{"name": "a/b", "text": lines("x", 1)}]}, 400)):
                with self.subTest(json.dumps(body)):
                    status, answer = s.call("POST", "/api/v1/jobs", body)
                    self.assertEqual(status, code, answer)
                    self.assertTrue(answer["error"]["message"])
            status, answer = s.call("POST", "/api/v1/jobs", {"workflow": "colours", "inputs": [
                {"text": lines("x", 2) + '{"id": "3"}\n'}]})
            self.assertIn("line 3", answer["error"]["message"])
            self.assertEqual([j for j in s.call("GET", "/api/v1/jobs")[1]["jobs"] if j["kind"] == "batch"], [])

    def test_kill_9_at_random_moments(self):
        rng = random.Random(11)
        with e2e.House() as s:
            jobs = [self.make(s, f"k{n}", ITEMS, slow=400) for n in range(JOBS)]
            kills = 0
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.2, 0.9))
                if all(j["state"] == "done" for j in s.call("GET", "/api/v1/jobs")[1]["jobs"]):
                    break
                s.kill()
                kills += 1
                s.start()
            self.assertGreater(kills, 2, "the jobs were over before anything was hurt")
            ended = [self.wait(s, j, seconds=120) for j in jobs]
            self.assertEqual([(j["items_done"], j["items_failed"]) for j in ended], [(ITEMS, 0)] * JOBS)
            tasks = set()
            for n, job in enumerate(jobs):
                rows = self.results(s, job)
                self.assertEqual([r["id"] for r in rows], [f"k{n}-{i}" for i in range(ITEMS)])
                tasks |= {r["result"]["id"] for r in rows}
            self.assertEqual(len(tasks), JOBS * ITEMS)
            self.assertEqual(s.stop(), 0)
            with sqlite3.connect(f"file:{s.home}/data.db?mode=ro", uri=True) as db:
                made, of = db.execute("SELECT count(*), count(DISTINCT task) FROM artifact").fetchone()
                self.assertEqual((made, of), (JOBS * ITEMS, JOBS * ITEMS), "one artifact an item")
            self.assertEqual(s.verify()["findings_total"], 0)
        print(f"{kills} kills: {JOBS} jobs of {ITEMS} items, each done once, {len(tasks)} tasks, {made} artifacts")

    def test_kill_9_while_programs_run(self):
        """qa-regression on its example: a program begins again, and ends in one artifact."""
        rng = random.Random(13)
        folder = e2e.SOURCE / "examples" / "qa"
        new, base = (folder / "new.xml").read_text(), (folder / "base.xml").read_text()
        with e2e.House() as s:
            jobs, kills = [], 0
            for n in range(KILLS):
                for k in range(6):
                    status, job = s.call("POST", "/api/v1/jobs", {"workflow": "qa-regression", "title": f"r{n}-{k}", "inputs": [
                        {"role": "new", "name": "new.xml", "text": new}, {"role": "base", "name": "base.xml", "text": base}]})
                    self.assertEqual(status, 202, job)
                    jobs.append(job["job"])
                time.sleep(rng.uniform(0, 0.15))
                s.kill()
                kills += 1
                s.start()
            ended = [self.wait(s, j, seconds=120) for j in jobs]
            again = sum(j["attempts"] > 1 for j in ended)
            self.assertEqual(len({j["artifact"] for j in ended}), len(jobs))
            reports = {j["outputs"][0]["sha256"] for j in ended}
            self.assertEqual(len(reports), 1, "the same report, however often it was begun")
            self.assertEqual(s.stop(), 0)
            with sqlite3.connect(f"file:{s.home}/data.db?mode=ro", uri=True) as db:
                self.assertEqual(db.execute("SELECT count(*) FROM artifact").fetchone()[0], len(jobs))
            self.assertEqual(s.verify()["findings_total"], 0)
        print(f"{kills} kills: {len(jobs)} runs of a program, {again} of them begun again, one artifact each")

    def test_erased_files_are_gone_and_are_not_replayed(self):
        with e2e.House() as s:
            key = s.call("POST", "/api/v1/keys", {"name": "eve", "team": "red", "role": "member"})[1]["key"]
            status, job = s.call("POST", "/api/v1/jobs", {"workflow": "copy-edit", "title": "eve's letter", "inputs": [
                {"role": "text", "name": "eve.md", "text": "Dear sir, my secret is 4711.\n"}]},
                {"Authorization": f"Bearer {key}"}, local=False)
            self.assertEqual(status, 202, job)
            job = self.wait(s, job["job"])
            name = job["outputs"][0]["name"]
            status, answer = s.call("POST", "/api/v1/erase", {"subject": "eve", "team": "red"})
            self.assertEqual((status, answer["jobs"]), (200, 1), answer)
            self.assertEqual(s.call("GET", f"/api/v1/jobs/{job['job']}/outputs/{name}")[0], 404)
            self.assertEqual(s.call("POST", f"/api/v1/jobs/{job['job']}/replay", {})[0], 404)
            self.assertEqual(s.call("GET", f"/api/v1/jobs/{job['job']}")[1]["title"], "")
            self.assertEqual(s.stop(), 0)
            for file in ("data.db", "data.db-wal"):
                if (s.home / file).exists():
                    data = (s.home / file).read_bytes()
                    self.assertNotIn(b"4711", data)
                    self.assertNotIn(b"eve.md", data)


if __name__ == "__main__":
    unittest.main(verbosity=2)
