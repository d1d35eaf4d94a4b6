// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider for the tests: oidc-provider on loopback, with keys made at each start, people named by the
// test (GET /control?user=NAME&groups=a,b), and machines' tokens as JWTs. usage: node provider.mjs MODULES PORT REDIRECT
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [modules, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`).href);
const issuer = `http://127.0.0.1:${port}`;

function key(type, options, alg) {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: "jwk" });
  return { ...jwk, kid: randomBytes(8).toString("hex"), alg, use: "sig" };
}

const people = new Map();
let current = null;
const provider = new Provider(issuer, {
  jwks: { keys: [key("rsa", { modulusLength: 2048 }, "RS256"), key("ec", { namedCurve: "P-256" }, "ES256")] },
  cookies: { keys: [randomBytes(16).toString("hex")] },
  clients: [
    { client_id: "inhouse", client_secret: "the secret: 100% + more", redirect_uris: [redirect],
      token_endpoint_auth_method: "client_secret_basic" },
    { client_id: "robot", client_secret: "beep", redirect_uris: [], response_types: [], grant_types: ["client_credentials"] },
  ],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
  scopes: ["openid", "profile", "email", "api"],
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: people.get(id)?.name, groups: people.get(id)?.groups }),
  }),
  extraTokenClaims: (ctx, token) => ({ groups: token.clientId === "robot" ? ["robots"] : [] }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: "api", audience: resource, accessTokenTTL: 600, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
});

// Whoever the test said is at the screen signs in and agrees at once.
async function interact(req, res) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
  if (prompt.name === "login") {
    return provider.interactionFinished(req, res, { login: { accountId: current, remember: false } });
  }
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const callback = provider.callback();
createServer((req, res) => {
  const url = new URL(req.url, issuer);
  if (url.pathname === "/control") {
    current = url.searchParams.get("sub");
    people.set(current, { name: url.searchParams.get("name"), groups: (url.searchParams.get("groups") || "").split(",") });
    res.end("{}");
  } else if (url.pathname.startsWith("/interaction/")) {
    interact(req, res).catch((e) => { res.statusCode = 500; res.end(String(e)); });
  } else {
    callback(req, res);
  }
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));
