#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every endpoint x role x own, other's, missing and deleted object, against the real server.

The routes, their scopes and the objects they touch come from the server's own description (routes.def). What each cell
answers is declared in matrix.cells, one line a route and role: a route without its lines fails, and so does a line
without a route. `matrix_test.py --write` writes down what the server answers; look at what changed before committing it.

Beside the declared numbers these hold of every route, whatever is declared: nobody gets past 401 unless it is public; a
role without the scope gets 403 and learns nothing else; another team's object, erased or not, answers a role exactly as
one that was never there, status and body. (What is left of an own erased object is shown to its team: that it was.)
"""
import json
import re
import sys
import unittest
from pathlib import Path

import e2e
from authorize_test import MISSING, PUBLIC, ROLES

CELLS = Path(__file__).with_name("matrix.cells")
OWNED = ("task", "artifact", "job")
HEAD = "# METHOD PATH | role | state status ...   (tests/e2e/matrix_test.py --write)\n"
# path parameters that are no object of trust/policy/objects.def
FILL = {"seq": "0", "n": "0", "kind": "team", "name": "none-such", "session": "ses_00000000000000000000000000",
        "request": "req_00000000000000000000000000", "grant": "grt_00000000000000000000000000", "user": "none-such",
        "team": "none-such", "account": "none-such", "document": "none-such", "rule": "none-such", "output": "none-such.md"}
# these end the server or the session of who asks
SKIPPED = {("POST", "/api/v1/stop")}


class World:
    """A server with two teams that have the same things."""

    def __init__(self):
        self.s = e2e.House()

    def __enter__(self):
        s = self.s.__enter__()
        self.keys, self.made, self.n = {}, {}, 0
        for team in ("red", "blue"):
            for role in ROLES:
                self.keys[team, role] = self.key(f"{team}-{role}", team, role)
        self.deleted = {}
        for team in ("red", "blue"):
            job = self.learn(team)  # of an earlier life of the server
            s.wait_job(job)
            gone = self.task(self.key(f"gone-{team}", team, "reviewer"))
            status, answer = s.call("POST", "/api/v1/erase", {"subject": f"gone-{team}", "team": team})
            assert status == 200, answer
            self.deleted[team] = {"task": gone["id"], "artifact": gone["artifact"], "job": job}
        assert s.stop() == 0
        s.start()
        status, answer = s.call("POST", "/api/v1/datasets/faq/articles", {"articles": [
            {"name": "a.md", "markdown": "---\nid: a\ntitle: A\n---\nRed things are red.\n"}]})
        assert status == 202, answer
        s.wait_job(answer["job"])
        self.model = s.status()["roles"]["heavy"]["model"] or s.status()["roles"]["light"]["model"]
        self.release = s.call("GET", "/api/v1/route/rules")[1]["release"]
        return self

    def __exit__(self, *_):
        self.s.__exit__()

    def key(self, name, team, role):
        status, made = self.s.call("POST", "/api/v1/keys", {"name": name, "team": team, "role": role})
        assert status == 201, made
        return made["key"]

    def ask(self, key, method, path, body=None):
        kept, self.s.key = self.s.key, None
        try:
            return self.s.call(method, path, body, {"Authorization": f"Bearer {key}"} if key else {}, local=False)
        finally:
            self.s.key = kept

    def learn(self, team):
        lines = "\n".join(json.dumps({"id": str(i), "text": f"{w} {i}", "expected": {"shade": w}})
                          for i in range(12) for w in ("light", "dark"))
        status, job = self.ask(self.keys[team, "reviewer"], "POST", f"/api/v1/workflows/{team}-shades/learn?measure=0", lines)
        assert status == 202, job
        return job["job"]

    def task(self, key):
        self.n += 1
        status, answer = self.ask(key, "POST", "/api/v1/tasks", {"workflow": "colours", "input": {
            "id": f"m{self.n}", "text": f"the red thing {self.n}"}})
        assert status == 200, answer
        return answer

    def object_of(self, kind, team, fresh):
        """An object of that team; a fresh one where the request may change it."""
        if fresh or (kind, team) not in self.made:
            if kind == "job":
                status, job = self.ask(self.keys[team, "reviewer"], "POST", "/api/v1/jobs",
                                       {"workflow": "colours", "kind": "stream"})
                assert status == 202, job
                self.made[kind, team] = job["job"]
            else:
                task = self.task(self.keys[team, "reviewer"])
                self.made["task", team], self.made["artifact", team] = task["id"], task["artifact"]
        return self.made[kind, team]

    def named(self, kind):
        """A thing of the server's own that is there."""
        self.n += 1
        if kind == "key":
            self.key(f"victim-{self.n}", "red", "member")
            return f"victim-{self.n}"
        return {"model": self.model, "workflow": "colours", "dataset": "faq", "release": self.release}.get(kind)

    def restore(self, kind):
        if kind == "model":
            for role in ("light", "heavy", "embed"):
                name = self.s.status()["roles"][role]["model"]
                if name:
                    self.s.call("POST", f"/api/v1/models/{name}/load", {})
            self.s.call("POST", f"/api/v1/models/{self.model}/load", {})


def states_of(kind, named):
    if not named:
        return ("any",)
    return ("own", "other", "missing", "deleted", "other_deleted") if kind in OWNED else ("there", "missing")


def thing(world, kind, state, fresh):
    if state in ("own", "other"):
        return world.object_of(kind, "red" if state == "own" else "blue", fresh)
    if state == "there":
        return world.named(kind) or FILL.get(kind, "none-such")
    if state in ("deleted", "other_deleted"):
        return world.deleted["red" if state == "deleted" else "blue"][kind]
    return MISSING.get(kind, FILL.get(kind, "none-such"))


class Matrix:
    """Asks every cell once: (method, path, role) -> {state: (status, answer)}."""

    def __init__(self):
        self.cells, self.routes = {}, []
        with World() as w:
            paths = w.s.call("GET", "/api/v1/openapi.json")[1]["paths"]
            for path, methods in paths.items():
                for method, about in methods.items():
                    route = (method.upper(), path, about["x-scope"], about["x-object"], "x-body-bytes-max" in about)
                    if route[:2] not in SKIPPED:
                        self.routes.append(route)
                        self.ask_route(w, *route)
            self.ended = w.s.stop()
            self.said = w.s.said()

    def ask_route(self, w, method, path, scope, kind, has_body):
        unknown = [p for p in re.findall(r"\{(\w+)\}", path) if p != kind and p not in FILL and p not in MISSING]
        assert not unknown, f"{path}: say in FILL what {unknown} may be"
        named = f"{{{kind}}}" in path
        for role in ("nobody", *ROLES):
            key = None if role == "nobody" else w.keys["red", role]
            row = self.cells.setdefault((method, path, role), {})
            for state in states_of(kind, named):
                name = thing(w, kind, state, method != "GET") if named else ""
                filled = re.sub(r"\{(\w+)\}", lambda m, name=name: name if m[1] == kind else MISSING.get(m[1], FILL.get(m[1])), path)
                row[state] = w.ask(key, method, filled, "{}" if has_body else None)
                if kind == "model" and method != "GET" and row[state][0] < 300:
                    w.restore(kind)


def line(method, path, role, row):
    return f"{method} {path} | {role} | " + " ".join(f"{state} {got[0]}" for state, got in row.items())


class Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.m = Matrix()

    def test_the_server_lives_through_it(self):
        self.assertEqual(self.m.ended, 0, self.m.said)
        self.assertGreater(len(self.m.cells), 200)

    def test_every_cell_is_declared_and_answers_so(self):
        declared = [x for x in CELLS.read_text().splitlines() if x and not x.startswith("#")]
        said = {x.rsplit("|", 1)[0]: x for x in declared}
        self.assertEqual(len(said), len(declared), "a cell is declared twice")
        for (method, path, role), row in self.m.cells.items():
            with self.subTest(f"{method} {path} {role}"):
                got = line(method, path, role, row)
                self.assertIn(got.rsplit("|", 1)[0], said, "not declared: matrix_test.py --write, and look at it")
                self.assertEqual(got, said.pop(got.rsplit("|", 1)[0]),
                                 {state: answer for state, answer in row.items()})
        self.assertEqual([], list(said), "declared, and there is no such route or role")

    def test_nobody_gets_past_401(self):
        for method, path, scope, *_ in self.m.routes:
            with self.subTest(f"{method} {path}"):
                codes = {got[0] for got in self.m.cells[method, path, "nobody"].values()}
                if scope is None:
                    self.assertNotIn(403, codes)
                else:
                    self.assertEqual(codes, {401})

    def test_a_role_without_the_scope_learns_nothing(self):
        for method, path, scope, *_ in self.m.routes:
            for role, scopes in ROLES.items():
                if scope is None or scope in scopes:
                    continue
                with self.subTest(f"{method} {path} {role}"):
                    answers = [json.dumps(got) for got in self.m.cells[method, path, role].values()]
                    self.assertEqual(len(set(answers)), 1, "the answer shows whether the object is there")
                    self.assertIn("403", answers[0][:5])

    def test_what_is_anothers_answers_like_what_was_never_there(self):
        seen = 0
        for method, path, scope, kind, _ in self.m.routes:
            for role in ROLES:
                row = self.m.cells[method, path, role]
                if "other" not in row or role == "admin":
                    continue
                with self.subTest(f"{method} {path} {role}"):
                    self.assertEqual(row["other"], row["missing"])
                    self.assertEqual(row["other_deleted"], row["missing"])
                    if row["own"][0] < 400:
                        seen += 1
                        self.assertEqual(row["other"][0], 404)
        self.assertGreaterEqual(seen, 8, "the own object must be found where the others' is not")

    def test_an_administrator_of_the_server_sees_all_teams(self):
        for method, path, _, kind, _ in self.m.routes:
            row = self.m.cells[method, path, "admin"]
            if "other" in row and method == "GET" and "{output}" not in path:  # the job made here is a batch: it has no outputs
                with self.subTest(f"{method} {path}"):
                    self.assertEqual((row["own"][0], row["other"][0], row["missing"][0]), (200, 200, 404))


def write():
    m = Matrix()
    CELLS.write_text(HEAD + "".join(line(*cell, row) + "\n" for cell, row in m.cells.items()))
    print(f"{len(m.cells)} lines in {CELLS}")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    else:
        e2e.main()
