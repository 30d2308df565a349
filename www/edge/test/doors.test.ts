// Who comes in, over the wire of a real workerd: tokens good and bad, other sites' pages, and clients that others wrote.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { request as httpRequest } from "node:http";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { JSONRPCClient } from "json-rpc-2.0";
import { routes } from "../support/golden-files.ts";
import { Issuer } from "../support/issuer.ts";
import { Mobs, until } from "../support/mobs.ts";
import { Workerd } from "../support/workerd.ts";

const ORIGIN = "https://console.example";
const run = promisify(execFile);

describe("the doors of mobs", () => {
  let workerd: Workerd;
  let issuer: Issuer;
  let token = "";

  before(async () => {
    issuer = await Issuer.start();
    token = await issuer.token();
    workerd = await Workerd.start("doors", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { ISSUER: issuer.url, ORIGINS: ORIGIN } });
    await new Mobs(() => workerd.url, token, () => workerd.said).make("m");
  });
  after(async () => {
    workerd?.close();
    await issuer?.close();
  });

  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${workerd.url}${path}`, { headers, signal: AbortSignal.timeout(20_000) });
  const withToken = (token: string): Promise<Response> => get("/mobs", { authorization: `Bearer ${token}` });

  test("without credentials every route but health answers 401", async () => {
    const own: [string, string][] = [["GET", "/mobs"], ["PUT", "/mobs/m"], ["GET", "/mobs/m"], ["DELETE", "/mobs/m"], ["GET", "/"], ["POST", "/nothing"], ["GET", "/mobs/m/../../mobs"], ["OPTIONS", "/mobs"]];
    const all = [...own, ...routes().map(([method, route]): [string, string] => [method, `/mobs/m${route!.replace(/\{\w+\}/, "lead")}`])];
    assert.ok(all.length >= 20);
    for (const [method, path] of all) {
      const response = await fetch(`${workerd.url}${path}`, { method });
      assert.equal(response.status, 401, `${method} ${path}`);
      assert.equal(response.headers.get("www-authenticate"), "Bearer");
      const { error, reason } = (await response.json()) as { error: string; reason: string };
      assert.deepEqual([error, reason], ["unauthorized", "missing_credentials"]);
    }
    const health = await get("/healthz");
    assert.deepEqual([health.status, await health.text()], [200, "ok"]);
    assert.equal((await fetch(`${workerd.url}/healthz`, { method: "HEAD" })).status, 200);
    assert.equal((await fetch(`${workerd.url}/healthz`, { method: "POST" })).status, 401);
  });

  test("good tokens come in, bad ones do not, and each hears why", async () => {
    const { privateKey } = await generateKeyPair("RS256");
    const now = Math.floor(Date.now() / 1000);
    const hmac = new SignJWT({ sub: "robot" }).setProtectedHeader({ alg: "HS256", kid: "RS256" }).setIssuer(issuer.url).setAudience("mobs").setExpirationTime(now + 600);
    const cases: [string, string, number, string?][] = [
      ["RS256", await issuer.token(), 200],
      ["ES256", await issuer.token({ sub: "robot" }, { alg: "ES256" }), 200],
      ["a verified address", await issuer.token({ sub: "u1", email: "Ann@Example.org", email_verified: true }), 200],
      ["within the leeway", await issuer.token({ sub: "robot" }, { expires: now - 20 }), 200],
      ["expired", await issuer.token({ sub: "robot" }, { expires: now - 40 }), 401, "expired_token"],
      ["without an end", await issuer.token({ sub: "robot" }, { expires: null }), 401, "invalid_token"],
      ["for somebody else", await issuer.token({ sub: "robot" }, { audience: "others" }), 401, "invalid_token"],
      ["from somebody else", await issuer.token({ sub: "robot" }, { issuer: "https://evil.example" }), 401, "invalid_token"],
      ["of another key", await issuer.token({ sub: "robot" }, { key: privateKey }), 401, "invalid_token"],
      ["of a key that nobody knows", await issuer.token({ sub: "robot" }, { kid: "k9" }), 401, "invalid_token"],
      ["unsigned", new UnsecuredJWT({ sub: "robot" }).setIssuer(issuer.url).setAudience("mobs").setExpirationTime(now + 600).encode(), 401, "invalid_token"],
      ["signed with a secret", await hmac.sign(new TextEncoder().encode("x".repeat(32))), 401, "invalid_token"],
      ["of no token", "garbage", 401, "invalid_token"],
      ["of a stranger", await issuer.token({ sub: "stranger" }), 403, "not_allowed"],
      ["of an address that nobody verified", await issuer.token({ sub: "u1", email: "ann@example.org" }), 403, "not_allowed"],
    ];
    for (const [what, token, status, reason] of cases) {
      const response = await withToken(token);
      const body = (await response.json()) as { reason?: string };
      assert.deepEqual([response.status, body.reason], [status, reason], what);
    }
    for (const header of [`Basic ${token}`, "Bearer", token, `Bearer ${token} x`]) {
      assert.equal((await get("/mobs", { authorization: header })).status, 401, header.slice(0, 12));
    }
    assert.ok(issuer.asked <= 3, `the keys are kept: they were asked for ${issuer.asked} times`);
  });

  test("the query's auth_token is for what cannot set headers: exact, decoded, and not handed on", async () => {
    const encoded = encodeURIComponent(token).replace("e", "%65");
    assert.equal((await get(`/mobs?auth_token=${encoded}`)).status, 200);
    assert.equal((await get(`/mobs?auth_token=${token}&auth_token=x`)).status, 200);
    for (const name of ["Auth_Token", "auth_token2", "token", "xauth_token"]) assert.equal((await get(`/mobs?${name}=${token}`)).status, 401, name);
    assert.equal((await get(`/mobs?auth_token=${token}`, { authorization: "Bearer bad" })).status, 401, "a header that is there counts");
    // A route that refuses fields that it does not know does not see it.
    const stream = await get(`/mobs/m/mob/events?after_seq=0&auth_token=${token}`);
    assert.equal(stream.status, 200);
    await stream.body?.cancel();
  });

  test("pages of the named site may ask, and of no other", async () => {
    const preflight = (origin: string): Promise<Response> =>
      fetch(`${workerd.url}/mobs/m/console/rpc`, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" } });
    const allowed = await preflight(ORIGIN);
    assert.deepEqual([allowed.status, allowed.headers.get("access-control-allow-origin")], [204, ORIGIN]);
    assert.match(allowed.headers.get("access-control-allow-headers") ?? "", /authorization.*last-event-id/);
    const refused = await preflight("https://evil.example");
    assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin")], [204, null]);
    const answer = await get("/mobs", { origin: ORIGIN, authorization: `Bearer ${token}` });
    assert.deepEqual([answer.headers.get("access-control-allow-origin"), answer.headers.get("vary")], [ORIGIN, "origin"]);
    const unauthorized = await get("/mobs", { origin: ORIGIN });
    assert.deepEqual([unauthorized.status, unauthorized.headers.get("access-control-allow-origin")], [401, ORIGIN], "a page can read why not");
    assert.equal((await get("/mobs", { origin: "https://evil.example", authorization: `Bearer ${token}` })).headers.get("access-control-allow-origin"), null);
  });

  test("bodies have a limit, whether their length is said or not", async () => {
    const send = (body: RequestInit["body"]): Promise<Response> =>
      fetch(`${workerd.url}/mobs/m/console/rpc`, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: body!, duplex: "half" } as RequestInit);
    const fits = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "mobkit/status" }).padEnd(1000);
    assert.equal((await send(fits)).status, 200);
    const said = await send(fits + " ");
    assert.deepEqual([said.status, await said.json()], [413, { error: "payload_too_large", message: "a body may have 1000 bytes", max_bytes: 1000 }]);
    // Of a body without an end no more is read than may be: the answer comes while it is sent.
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(`${workerd.url}/mobs/m/console/rpc`, { method: "POST", headers: { authorization: `Bearer ${token}` }, timeout: 20_000 });
      const sending = setInterval(() => request.write("x".repeat(400)), 5);
      const end = (): void => {
        clearInterval(sending);
        request.destroy();
      };
      request.on("response", (response) => {
        end();
        resolve(response.statusCode);
      });
      request.on("error", (error) => {
        end();
        reject(error);
      });
      request.on("timeout", () => request.destroy(new Error("no answer")));
    });
    assert.equal(status, 413);
  });

  test("curl asks the routes and reads a stream", async () => {
    const curl = async (...args: string[]): Promise<string> =>
      (await run("curl", ["-sS", "--max-time", "20", "-H", `authorization: Bearer ${token}`, ...args])).stdout;
    const at = (path: string): string => `${workerd.url}/mobs/m${path}`;
    const sent = await curl("-d", JSON.stringify({ identity: "lead", content: "Plan a pond", origin: "curl", idempotency_key: "k1" }), at("/console/send"));
    assert.match(sent, /"status":"accepted"/);
    const again = await curl("-d", JSON.stringify({ identity: "lead", content: "Plan a pond", origin: "curl", idempotency_key: "k1" }), at("/console/send"));
    assert.equal(JSON.parse(again).interaction_id, JSON.parse(sent).interaction_id);
    await curl("-d", JSON.stringify({ jsonrpc: "2.0", id: 1, method: "mobkit/wait_interaction", params: { interaction_id: JSON.parse(sent).interaction_id } }), at("/console/rpc"));
    // It reads what there is, and is cut off by the clock.
    const stream = await run("curl", ["-sSN", "--max-time", "2", "-i", "-H", `authorization: Bearer ${token}`, at("/console/timeline/stream")]).catch((error) => error as { stdout: string });
    assert.match(stream.stdout, /^HTTP\/1\.1 200[^]*content-type: text\/event-stream[^]*event: snapshot_started[^]*event: console_frame[^]*event: snapshot_complete/i);
    assert.match(await curl("-i", at("/console/timeline?after=nowhere")), /^HTTP\/1\.1 409[^]*replay_unavailable/);
    assert.match(await curl("-i", "-X", "PATCH", at("/console/send")), /^HTTP\/1\.1 405[^]*allow: POST/i);
    for (const path of ["/nowhere", "//evil.example/healthz", "//healthz", "/healthz/", "/console%2Frpc"]) assert.match(await curl("-i", "--path-as-is", at(path)), /^HTTP\/1\.1 404/, path);
    // A body that a request must not have is left aside.
    assert.equal(await curl("-X", "GET", "-d", "x", `${workerd.url}/healthz`), "ok");
    assert.match(await curl("-X", "GET", "-d", "x", at("/console/modules")), /"modules":\[\]/);
    assert.match(await curl("--compressed", at("/console/experience")), /"agent_sidebar"/);
  });

  test("a JSON-RPC client of others speaks with it, notifications and batches too", async () => {
    let batches = 0;
    const client: JSONRPCClient = new JSONRPCClient(async (request) => {
      batches += Array.isArray(request) ? 1 : 0;
      const response = await fetch(`${workerd.url}/mobs/m/console/rpc`, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(request) });
      assert.equal(response.status, 200);
      const text = await response.text();
      if (text !== "") client.receive(JSON.parse(text));
    });
    const members = await client.request("mobkit/list_members", {});
    assert.deepEqual(members.map((member: any) => member.agent_identity), ["lead", "researcher", "writer"]);
    await assert.rejects(async () => await client.request("mobkit/nothing", {}), { message: "Method not found: mobkit/nothing", code: -32601 });
    client.notify("mobkit/mob_labels/set", { labels: { by: "a notification" } });
    const both = await client.requestAdvanced([
      { jsonrpc: "2.0", id: 1001, method: "mobkit/status", params: {} },
      { jsonrpc: "2.0", id: 1002, method: "mobkit/get_member", params: { member_id: "nobody" } },
    ]);
    assert.equal(batches, 1);
    assert.deepEqual(both.map(({ id, result, error }: any) => [id, result?.mob_state, error?.data?.kind]).sort(), [[1001, "running", undefined], [1002, undefined, "member_not_found"]]);
    assert.deepEqual((await client.request("mobkit/mob_labels/get", {})).labels, { by: "a notification" });
  });

  test("so many come at a time, streams among them, and who leaves makes room", async () => {
    const auth = { authorization: `Bearer ${token}` };
    const open = async (): Promise<{ status: number; leave(): void; response: Response }> => {
      const leaving = new AbortController();
      const response = await fetch(`${workerd.url}/mobs/m/mob/events?after_seq=0`, { headers: auth, signal: leaving.signal });
      return { status: response.status, response, leave: () => leaving.abort() };
    };
    const leaving: (() => void)[] = [];
    let last = await open();
    while (last.status === 200) {
      leaving.push(last.leave);
      assert.ok(leaving.length <= 16);
      last = await open();
    }
    // Those of earlier tests may not have been missed yet.
    assert.ok(leaving.length >= 10, `${leaving.length} came in`);
    assert.deepEqual([last.status, last.response.headers.get("retry-after"), ((await last.response.json()) as { error: string }).error], [503, "1", "too_many_requests"]);
    assert.equal((await get("/mobs", auth)).status, 200, "another object has room");
    for (const leave of leaving) leave();
    // This runtime misses a client with the next thing that it tells it: a sign of life after 15 s.
    await until("there is room", async () => (await get("/mobs/m/console/identities", auth)).status === 200);
  });

  test("keys that cannot be had keep everybody out, and say so", async () => {
    issuer.isUp = false;
    const other = await Workerd.start("doors", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { ISSUER: issuer.url, ORIGINS: ORIGIN } });
    try {
      const response = await fetch(`${other.url}/mobs`, { headers: { authorization: `Bearer ${token}` } });
      const { error, reason } = (await response.json()) as { error: string; reason: string };
      assert.deepEqual([response.status, error, reason, response.headers.get("retry-after")], [503, "authorization_unavailable", "keys_unavailable", "5"]);
      issuer.isUp = true;
      assert.equal((await fetch(`${other.url}/mobs`, { headers: { authorization: `Bearer ${token}` } })).status, 200);
    } finally {
      issuer.isUp = true;
      other.close();
    }
  });
});
