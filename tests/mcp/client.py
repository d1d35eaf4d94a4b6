# SPDX-License-Identifier: Apache-2.0
"""The official Python client lists, calls and reads: client.py URL KEY MODE, with MODE "auto" (2026-07-28, or whatever the server says it
speaks) or "legacy" (the handshake). Writes what it saw as one JSON object. Run by clients_test.py in an environment of its own."""
import asyncio
import json
import sys

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url, key, mode):
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
    async with http, Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        tools = await client.list_tools()
        called = await client.call_tool("colours", {"text": "the sea, and I am at rest"})
        wrong = await client.call_tool("colours", {"subject": "no text"})
        resources = await client.list_resources()
        templates = await client.list_resource_templates()
        link = next(c.uri for c in called.content if c.type == "resource_link")
        read = await client.read_resource(link)
        try:
            await client.call_tool("nonesuch", {})
            refused = None
        except Exception as e:  # noqa: BLE001: whichever the client raises, its words are compared
            refused = str(e)
        print(json.dumps({
            "version": client.protocol_version, "server": client.server_info.name, "instructions": bool(client.instructions),
            "tools": [t.name for t in tools.tools], "schema": tools.tools[0].output_schema, "structured": called.structured_content,
            "is_error": called.is_error, "wrong": [wrong.is_error, wrong.content[0].text], "resources": [str(r.uri) for r in resources.resources],
            "templates": [t.uri_template for t in templates.resource_templates], "link": str(link), "read": json.loads(read.contents[0].text),
            "refused": refused}))


asyncio.run(main(*sys.argv[1:]))
