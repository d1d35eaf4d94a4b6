#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""/mcp by hand: who may, what is another team's, which headers must agree, and what a page elsewhere may not do."""
import http.client
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import e2e  # noqa: E402

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = e2e.House().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.house.__exit__()

    def post(self, body, key=None, method="POST", **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.house.port, timeout=60)
        try:
            sent = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
            if key != "":
                sent["Authorization"] = f"Bearer {key or self.house.key}"
            c.request(method, "/mcp", None if body is None else json.dumps(body), {**sent, **headers})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None
        finally:
            c.close()

    def ask(self, method, params=None, key=None, **headers):
        """A modern request, its headers as they must be."""
        params = params or {}
        sent = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **headers}
        name = params.get("name") or params.get("uri")
        if name and "Mcp-Name" not in headers:
            sent["Mcp-Name"] = name
        return self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}, key, **sent)

    def key(self, name, team, **more):
        body = {"name": name, "team": team, "role": "member", **more}
        status, answer = self.house.call("POST", "/api/v1/keys", body, local=True)
        self.assertIn(status, (200, 201), answer)
        return answer["key"]

    def test_discovery_and_a_call(self):
        status, answer = self.ask("server/discover")
        self.assertEqual(status, 200)
        result = answer["result"]
        self.assertEqual(result["supportedVersions"][0], "2026-07-28")
        self.assertEqual((result["resultType"], result["cacheScope"]), ("complete", "private"))
        self.assertGreaterEqual(result["ttlMs"], 0)
        status, answer = self.ask("tools/call", {"name": "colours", "arguments": {"text": "a red and angry note"}})
        self.assertEqual(status, 200)
        self.assertEqual(set(answer["result"]["structuredContent"]["fields"]), {"colour", "mood"})
        task = answer["result"]["structuredContent"]["task"]
        self.assertEqual(self.house.call("GET", f"/api/v1/tasks/{task}")[0], 200)  # a task like any other, with its record
        self.assertTrue(self.house.records(task))

    def test_nobody_without_a_key(self):
        self.assertEqual(self.ask("server/discover", key="")[0], 401)
        self.assertEqual(self.ask("server/discover", key="ik_" + "0" * 64)[0], 401)

    def test_what_is_another_teams_is_not_there(self):
        _, answer = self.ask("tools/call", {"name": "colours", "arguments": {"text": "ours"}})
        uri = answer["result"]["content"][1]["uri"]
        self.house.call("POST", "/api/v1/teams", {"name": "blue"}, local=True)
        other = self.key("blue-agent", "blue")
        self.assertEqual(self.ask("resources/read", {"uri": uri})[0], 200)
        foreign = self.ask("resources/read", {"uri": uri}, other)
        missing = self.ask("resources/read", {"uri": "inhouse://artifacts/art_" + "0" * 26}, other)
        self.assertEqual(foreign, missing)
        self.assertEqual(foreign[1]["error"]["code"], -32602)
        self.assertEqual(self.ask("resources/list", key=other)[1]["result"]["resources"], [])

    def test_a_key_held_to_one_workflow_sees_one_tool(self):
        held = self.key("held", "default", workflows=["ticket-triage"])
        tools = self.ask("tools/list", key=held)[1]["result"]["tools"]
        self.assertEqual([t["name"] for t in tools], ["ticket-triage"])
        foreign = self.ask("tools/call", {"name": "colours", "arguments": {"text": "x"}}, held)
        missing = self.ask("tools/call", {"name": "nonesuch", "arguments": {"text": "x"}}, held)
        self.assertEqual(foreign, missing)

    def test_pages_of_resources(self):
        for i in range(3):
            self.ask("tools/call", {"name": "colours", "arguments": {"text": f"note {i}"}})
        first = self.ask("resources/list")[1]["result"]["resources"]
        self.assertGreaterEqual(len(first), 3)
        after = first[0]["uri"].rsplit("/", 1)[1]
        rest = self.ask("resources/list", {"cursor": after})[1]["result"]["resources"]
        self.assertEqual([r["uri"] for r in rest], [r["uri"] for r in first[1:]])
        self.assertEqual(self.ask("resources/list", {"cursor": "nonsense"})[1]["error"]["code"], -32602)

    def test_headers_and_eras(self):
        call = {"name": "colours", "arguments": {"text": "x"}}
        status, answer = self.ask("tools/call", call, **{"Mcp-Name": "ticket-triage"})
        self.assertEqual((status, answer["error"]["code"]), (400, -32020))
        status, answer = self.ask("prompts/list")
        self.assertEqual((status, answer["error"]["code"]), (404, -32601))
        status, answer = self.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}})
        self.assertEqual((status, answer["result"]["protocolVersion"]), (200, "2025-06-18"))
        self.assertEqual(self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}), (202, None))
        self.assertEqual(self.post(None, method="GET")[0], 405)
        self.assertEqual(self.post(None, method="DELETE")[0], 405)

    def test_a_page_elsewhere_is_refused(self):
        self.assertEqual(self.ask("server/discover", Origin="https://evil.example")[0], 403)
        self.assertEqual(self.ask("server/discover", Origin="http://localhost:5173")[0], 200)


if __name__ == "__main__":
    e2e.main()
