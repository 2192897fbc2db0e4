// An issuer of tokens, npm's oidc-provider, for the tests that start it:
//
//   node oidc_provider.mjs MODULES FOLDER PORT KEY DELAY
//
// Browsers log in here for the client `portcullis`, whose way back is on port 1: the browser of a test knows the real one.
// FOLDER keeps its keys, so that one that starts again has them; KEY names the one that signs. Each request is a line in
// FOLDER/requests. DELAY is how many milliseconds it takes for everything.
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, folder, port, keyName, delay] = process.argv.slice(2);
const resolve = createRequire(join(modules, "here.js")).resolve;
const { Provider } = await import(pathToFileURL(resolve("oidc-provider")).href);

const keyFile = join(folder, `${keyName}.json`);
if (!existsSync(keyFile)) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: "jwk" }), kid: keyName, use: "sig", alg: "RS256" };
  writeFileSync(keyFile, JSON.stringify(jwk), { mode: 0o600 });
}

// Whom tokens are for, of which kind they are and how long they hold, by the resource that is asked for.
const scope = "telemetry:read telemetry:write";
const jwt = { sign: { alg: "RS256" } };
const resources = {
  "urn:mqtt": { scope, audience: "mqtt", accessTokenFormat: "jwt", accessTokenTTL: 600, jwt },
  "urn:mqtt:short": { scope, audience: "mqtt", accessTokenFormat: "jwt", accessTokenTTL: 6, jwt },
  "urn:mqtt:opaque": { scope, audience: "mqtt", accessTokenFormat: "opaque", accessTokenTTL: 600 },
  "urn:other": { scope, audience: "other", accessTokenFormat: "jwt", accessTokenTTL: 600, jwt },
};

const machine = (id, method) => ({
  client_id: id,
  client_secret: `${id}-secret`,
  token_endpoint_auth_method: method,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [JSON.parse(readFileSync(keyFile, "utf8"))] },
  clients: [
    machine("pump-7", "client_secret_post"),
    machine("pump-8", "client_secret_post"),
    machine("broker", "client_secret_basic"),
    {
      client_id: "portcullis",
      client_secret: "portcullis-secret",
      token_endpoint_auth_method: "client_secret_basic",
      grant_types: ["authorization_code"],
      redirect_uris: ["http://127.0.0.1:1/api/v1/login/oidc/callback"],
      response_types: ["code"],
    },
  ],
  scopes: ["openid", "email", "groups", ...scope.split(" ")],
  claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
  // Into the ID token itself.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: [`${id}-group`] }),
  }),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => resources[resource],
    },
  },
  ttl: { ClientCredentials: (_, token) => token.resourceServer?.accessTokenTTL ?? 600 },
  extraTokenClaims: (_, token) => ({
    roles: ["machine"],
    tenant: "north",
    acl: [{ permission: "allow", action: "subscribe", topic: `orders/${token.clientId}/#` }],
  }),
});
provider.use(async (context, next) => {
  appendFileSync(join(folder, "requests"), `${context.path}\n`);
  await new Promise((resolve) => setTimeout(resolve, Number(delay)));
  await next();
});
provider.listen(Number(port), "127.0.0.1");
