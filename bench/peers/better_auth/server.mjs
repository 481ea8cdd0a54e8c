// Better Auth with its API key plugin behind node:http: one route that verifies `x-api-key` and tells who calls.
// One process; rate limits are on, kept in the same database as the keys, which is the plugin's own way.
import { createServer } from "node:http";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import pg from "pg";

const MANY = 100_000_000;
const MINUTE = 60_000;

const options = {
  baseURL: "http://127.0.0.1",
  secret: process.env.PEER_SECRET,
  telemetry: { enabled: false },
  database: new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 10 }),
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ rateLimit: { enabled: true, timeWindow: MINUTE, maxRequests: MANY } })],
};

await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);

async function mint(name, most) {
  const body = { name, userId: owner, rateLimitEnabled: true, rateLimitTimeWindow: MINUTE, rateLimitMax: most };
  return (await auth.api.createApiKey({ body })).key;
}

const signedUp = await auth.api.signUpEmail({
  body: { email: "owner@peer.example", password: "a password of the bench", name: "Owner" },
});
const owner = signedUp.user.id;
const keys = { wide: await mint("never reached", MANY), narrow: await mint("reached at once", 5) };

function answer(response, status, told) {
  const body = JSON.stringify(told);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

async function whoami(request, response) {
  const { valid, error, key } = await auth.api.verifyApiKey({ body: { key: request.headers["x-api-key"] ?? "" } });
  if (!valid) {
    answer(response, error?.code === "RATE_LIMITED" ? 429 : 401, { code: error?.code ?? "UNAUTHORIZED" });
    return;
  }
  answer(response, 200, {
    kind: "agency",
    keyId: key.id,
    agencyId: key.referenceId,
    scopes: key.permissions,
    mode: "live",
    rateLimit: { requests: key.rateLimitMax, windowSeconds: key.rateLimitTimeWindow / 1000 },
    addresses: [],
  });
}

const server = createServer((request, response) => {
  whoami(request, response).catch((error) => answer(response, 500, { code: String(error) }));
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port, ...keys })}\n`);
});
process.on("SIGTERM", () => process.exit(0));
