// SPDX-License-Identifier: Apache-2.0
// The official TypeScript clients list, call and read: client.mjs URL KEY MODE, with MODE "auto" (2026-07-28, or whatever the server says it
// speaks), "legacy" (the handshake) or "v1" (the client of the years before). Writes what it saw as one JSON object.
const [url, key, mode] = process.argv.slice(2);
const old = mode === 'v1';
const { Client } = old ? await import('@modelcontextprotocol/sdk/client/index.js') : await import('@modelcontextprotocol/client');
const { StreamableHTTPClientTransport } = old
    ? await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
    : await import('@modelcontextprotocol/client');
const client = new Client({ name: 'test', version: '1' }, old ? {} : { versionNegotiation: { mode } });
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${key}` } } });
await client.connect(transport);
const tools = await client.listTools();
const called = await client.callTool({ name: 'colours', arguments: { text: 'the sea, and I am at rest' } });
const wrong = await client.callTool({ name: 'colours', arguments: { subject: 'no text' } });
const resources = await client.listResources();
const templates = await client.listResourceTemplates();
const link = called.content.find((c) => c.type === 'resource_link').uri;
const read = await client.readResource({ uri: link });
let refused = null;
try {
    await client.callTool({ name: 'nonesuch', arguments: {} });
} catch (e) {
    refused = e.message;
}
const version = old ? transport.protocolVersion : client.getNegotiatedProtocolVersion();
console.log(JSON.stringify({
    version, server: client.getServerVersion().name, instructions: Boolean(client.getInstructions()), tools: tools.tools.map((t) => t.name),
    schema: tools.tools[0].outputSchema, structured: called.structuredContent, is_error: Boolean(called.isError),
    wrong: [wrong.isError, wrong.content[0].text], resources: resources.resources.map((r) => r.uri),
    templates: templates.resourceTemplates.map((t) => t.uriTemplate), link, read: JSON.parse(read.contents[0].text), refused,
}));
await client.close();
