// Receive Ledgate's webhooks: verify, write down, answer; then act on what changed, once each and in any order.
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Webhook } from "standardwebhooks";

const MAX_BODY = 256 * 1024;
const DEMO_SECRET = "whsec_test_abc123"; // public: of the demo alone

const { DATABASE_URL, HOST = "127.0.0.1", PORT = "4020", WEBHOOK_SECRET = DEMO_SECRET } = process.env;
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 8, connectionTimeoutMillis: 3000 });
pool.on("error", (error) => log(`no database: ${error.message}`)); // an idle connection that broke; without this we would end
const webhook = webhookOf(WEBHOOK_SECRET);

function log(text) {
  console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
}

// Receiving: the only part that Ledgate waits for.

/** Read a secret. The demo's is no base64: it signs with its text, and the library wants to be told so. */
function webhookOf(secret) {
  const key = secret.replace(/^whsec_/, "");
  const isBase64 = key.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(key);
  return isBase64 ? new Webhook(secret) : new Webhook(secret, { format: "raw" });
}

/**
 * Verify the bytes as they came, write them down, and say with which status to answer. A 200 promises that the event
 * is ours now, so it is committed first; with any other status it will come again.
 */
async function receive(headers, body) {
  try {
    webhook.verify(body, headers);
  } catch (error) {
    log(`refused: ${error.message}`);
    return 401;
  }
  const id = headers["webhook-id"]; // the same at every attempt, and signed
  try {
    const insert = "INSERT INTO received (webhook_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    const { rowCount } = await pool.query(insert, [id, body.toString()]);
    log(`${id} received${rowCount ? "" : " again"}`);
    return 200;
  } catch (error) {
    log(`${id} not kept, it will come again: ${error.message}`);
    return 503;
  }
}

// Working off: takes what time it needs; any number of processes may do it side by side.

/** Work off one event in one transaction; false when there is nothing to do. */
async function workOffOne(client) {
  let id;
  await client.query("BEGIN");
  try {
    const { rows } = await client.query(
      "SELECT webhook_id, body FROM received WHERE done_at IS NULL AND due_at <= now()" +
        " ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    );
    if (rows.length > 0) {
      id = rows[0].webhook_id;
      await apply(client, JSON.parse(rows[0].body));
      await client.query("UPDATE received SET done_at = now() WHERE webhook_id = $1", [id]);
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    if (id === undefined) throw error;
    log(`${id} failed, and is tried again in a minute: ${error.stack}`);
    await client.query("UPDATE received SET due_at = now() + interval '1 minute' WHERE webhook_id = $1", [id]);
  }
  return id !== undefined;
}

/** Take over the object's state if it is newer than what we have; else we know better already. */
async function apply(client, event) {
  const kind = event.event.split(".")[0];
  const now = event.data[kind];
  if (event.test || now?.version === undefined) return; // a test event, or one of no payment, refund or order
  const key = [kind, now.id];
  // A row to lock, also for the first event: two of one object cannot both believe to be the newest.
  await client.query("INSERT INTO objects (kind, id) VALUES ($1, $2) ON CONFLICT DO NOTHING", key);
  const { rows } = await client.query("SELECT version, data FROM objects WHERE kind = $1 AND id = $2 FOR UPDATE", key);
  if (now.version <= Number(rows[0].version)) return; // pg reads a bigint as text
  await client.query("UPDATE objects SET version = $3, data = $4 WHERE kind = $1 AND id = $2", [...key, now.version, now]);
  await act(client, kind, rows[0].data ?? {}, now);
}

/**
 * Your business. It commits with the event, or not at all.
 *
 * Ask what has changed, not which event it was: of events that overtake each other you see the newest state only, and
 * `payment.captured` may be the first that you hear of a success. What leaves your database (mail, an API call) may
 * happen twice when a process dies; give it the object's id and version as its idempotency key.
 */
async function act(client, kind, before, now) {
  if (kind === "payment" && now.status === "success" && before.status !== "success") {
    await client.query("INSERT INTO shipments (payment_id) VALUES ($1)", [now.id]);
  }
}

let wake = () => {};

/** Work off what there is, for ever. */
async function workOff() {
  for (;;) {
    const client = new pg.Client({ connectionString: DATABASE_URL });
    try {
      client.on("error", () => {}); // the next query says it
      await client.connect();
      for (;;) {
        const woken = new Promise((resolve) => (wake = resolve));
        // Look from time to time, too: for what waits after an error, or came to another process.
        if (!(await workOffOne(client))) await Promise.race([woken, sleep(1000, undefined, { ref: false })]);
      }
    } catch (error) {
      log(`no database: ${error.message}`);
      await client.end().catch(() => {});
      await sleep(1000);
    }
  }
}

// HTTP: any server and framework will do, as long as it hands you the raw body (Express: express.raw({ type: "*/*" })).

const server = http.createServer(async (request, response) => {
  const answer = (status) => response.writeHead(status, { "Content-Length": 0 }).end();
  if (request.method !== "POST" || request.url !== "/webhook") return answer(404);
  const length = Number(request.headers["content-length"]);
  if (Number.isNaN(length)) return answer(411);
  if (length > MAX_BODY) return answer(413);
  const chunks = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return; // the sender broke off
  }
  answer(await receive(request.headers, Buffer.concat(chunks)));
  wake();
});
server.requestTimeout = 10_000; // of a client that does not go on

server.listen(Number(PORT), HOST, () => log(`listens on http://${HOST}:${PORT}/webhook`));
workOff();
