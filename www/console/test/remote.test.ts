// A mob of a server: where it may be, who is let in, what its refusals mean, when it is asked again. No test waits for real time.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { App } from "../src/app.ts";
import { type ClientReport, ConsoleError, rpc } from "../src/client.ts";
import { below, remoteAddress } from "../src/remote/address.ts";
import { pauseMs } from "../src/remote/clock.ts";
import { RemoteClient } from "../src/remote/client.ts";
import { verdictOf } from "../src/remote/refusal.ts";
import { TokenKeeper, tokenOf } from "../src/remote/token.ts";
import { Session } from "../src/session.ts";
import { Settings } from "../src/settings.ts";
import { ManualClock, settled } from "./clock.ts";
import { BASE, Door, refusal } from "./door.ts";
import { FakeRuntime } from "./fake.ts";

const soon: (callback: () => void) => void = (callback) => void setTimeout(callback, 0);
const code = (code: string) => (error: unknown): boolean => error instanceof ConsoleError && error.code === code;

/** A tab's storage. */
function tabStorage(kept: Record<string, string> = {}) {
  return { kept, getItem: (key: string) => kept[key] ?? null, setItem: (key: string, value: string) => void (kept[key] = value), removeItem: (key: string) => void delete kept[key] };
}

interface Scene {
  fake: FakeRuntime;
  door: Door;
  clock: ManualClock;
  tab: ReturnType<typeof tabStorage>;
  client: RemoteClient;
  states: string[];
}

/** A client at the door. With a token it is one that the tab has kept. */
function at({ token, kept = {} }: { token?: string; kept?: Record<string, string> } = {}): Scene {
  const fake = new FakeRuntime();
  const door = new Door(fake);
  const clock = new ManualClock();
  const tab = tabStorage(token === undefined ? kept : { ...kept, [`mobkit-console/token/${BASE}`]: token });
  if (token !== undefined) door.valid.add(token);
  const client = new RemoteClient(remoteAddress(BASE, "https://page.example/"), { send: door.send, tab, clock });
  const states: string[] = [];
  client.onState((report: ClientReport) => states.push(report.state));
  return { fake, door, clock, tab, client, states };
}

/** A reader's call: it can be taken back, so it waits. */
const read = (client: RemoteClient, signal = new AbortController().signal): Promise<{ mob_id: string }> => rpc(client, "mobkit/status", {}, signal);

describe("addresses", () => {
  const page = "https://console.example/app/index.html?runtime=x";
  const address = (text: string) => remoteAddress(text, page);
  test("absolute, relative to the page, with and without a slash at the end", () => {
    assert.equal(address("https://edge.example/mobs/demo").base, "https://edge.example/mobs/demo");
    assert.equal(address("https://edge.example/mobs/demo//").base, "https://edge.example/mobs/demo");
    assert.equal(address("https://edge.example:8443").base, "https://edge.example:8443");
    assert.equal(address("https://edge.example:8443").host, "edge.example:8443");
    assert.equal(address("/mobs/demo").base, "https://console.example/mobs/demo");
    assert.equal(address("mobs/a%20b/").base, "https://console.example/app/mobs/a%20b");
    assert.equal(below(address("https://edge.example/mobs/demo/"), "/mob/events?after_seq=3"), "https://edge.example/mobs/demo/mob/events?after_seq=3");
    assert.equal(below(address("https://edge.example/"), "/console/rpc"), "https://edge.example/console/rpc");
    assert.throws(() => below(address("https://edge.example"), "//evil.example/x"), code("invalid_params"));
  });
  test("what is no address of a mob is refused with a sentence", () => {
    for (const [text, why] of [
      ["", /but not which/],
      ["ftp://edge.example/x", /by http or https, not by ftp/],
      ["javascript:alert(1)", /not by javascript/],
      ["https://", /is no address/],
      ["https://me:secret@edge.example/x", /name or a password/],
      ["https://me@edge.example/x", /name or a password/],
      ["https://edge.example/x?token=secret", /query or a fragment/],
      ["https://edge.example/x#y", /query or a fragment/],
    ] as const) {
      assert.throws(() => address(text), (error: unknown) => code("invalid_runtime_address")(error) && why.test((error as Error).message) && !(error as Error).message.includes("secret"), text);
    }
  });
  test("plain http is told where it leaves this computer", () => {
    const readable = (text: string): boolean => address(text).readable;
    assert.deepEqual(["http://edge.example", "http://10.0.0.2", "http://localhost.evil.example", "http://127.0.0.1.evil.example"].map(readable), [true, true, true, true]);
    assert.deepEqual(["https://edge.example", "http://localhost:8080", "http://mob.localhost", "http://127.0.0.1:3", "http://[::1]/"].map(readable), [false, false, false, false, false]);
  });
});

describe("tokens", () => {
  test("what is typed, as a token", () => {
    assert.equal(tokenOf("  abc.def-_~+/=\n"), "abc.def-_~+/=");
    assert.equal(tokenOf("Bearer abc"), "abc");
    for (const text of ["", "  ", "a b", "a\nb", "schlüssel", "a\u0000"]) assert.equal(tokenOf(text), undefined, JSON.stringify(text));
  });
  test("kept for the tab only if the person says so, and for one address only", () => {
    const tab = tabStorage();
    const keeper = new TokenKeeper(BASE, tab);
    assert.equal(keeper.take("one", false), false);
    assert.deepEqual([keeper.value, tab.kept], ["one", {}]);
    assert.equal(keeper.take("two", true), true);
    assert.deepEqual(tab.kept, { [`mobkit-console/token/${BASE}`]: "two" });
    assert.equal(new TokenKeeper(BASE, tab).value, "two");
    assert.equal(new TokenKeeper(`${BASE}/other`, tab).value, undefined);
    // One that is not to be kept leaves no older one behind.
    keeper.take("three", false);
    assert.deepEqual(tab.kept, {});
    keeper.take("four", true);
    keeper.forget();
    assert.deepEqual([keeper.value, tab.kept], [undefined, {}]);
  });
  test("a storage that refuses costs the keeping, not the token", () => {
    const refuse = (): never => {
      throw new Error("forbidden");
    };
    const keeper = new TokenKeeper(BASE, { getItem: refuse, setItem: refuse, removeItem: refuse });
    assert.equal(keeper.take("one", true), false);
    assert.equal(keeper.value, "one");
  });
});

describe("refusals", () => {
  const told = (response: Response) => verdictOf(response, Date.parse("2026-01-01T00:00:00Z"));
  test("each status is what it is", async () => {
    assert.deepEqual(await told(new Response("x")), { kind: "answer" });
    for (const status of [404, 409, 410, 500]) assert.equal((await told(new Response("x", { status }))).kind, "answer");
    const expired = await told(refusal(401, "expired_token"));
    assert.ok(expired.kind === "unauthorized" && expired.error.code === "expired_token" && /expired/.test(expired.error.message));
    const unheard = await told(refusal(401, "moon_phase"));
    assert.ok(unheard.kind === "unauthorized" && unheard.error.message === "the server says: moon_phase");
    const bare = await told(new Response("<html>", { status: 401 }));
    assert.ok(bare.kind === "unauthorized" && bare.error.code === "unauthorized");
    assert.equal((await told(refusal(403, "forbidden"))).kind, "forbidden");
    assert.equal((await told(new Response(null, { status: 413 }))).kind, "refused");
    for (const status of [502, 503, 504]) assert.equal((await told(new Response("x", { status }))).kind, "away");
  });
  test("retry-after in seconds and as a date, and not for ever", async () => {
    const waits = async (retry: string | undefined): Promise<number | undefined> => {
      const verdict = await told(refusal(429, "too_many_requests", retry === undefined ? {} : { "retry-after": retry }));
      return verdict.kind === "busy" ? verdict.waitMs : undefined;
    };
    assert.equal(await waits("7"), 7000);
    assert.equal(await waits("Thu, 01 Jan 2026 00:00:09 GMT"), 9000);
    assert.equal(await waits("Thu, 01 Jan 2020 00:00:00 GMT"), 0);
    assert.equal(await waits("999999"), 300_000);
    assert.equal(await waits("whenever"), 5000);
    assert.equal(await waits(undefined), 5000);
  });
});

describe("signing in", () => {
  test("without a token the mob's door says so, and what was asked is answered after the sign-in", async () => {
    const { client, door, tab, states } = at();
    door.valid.add("good");
    const status = read(client);
    await settled();
    assert.deepEqual(client.signIn.value.needed && client.signIn.value.refusal?.code, "missing_credentials");
    assert.equal(client.state, "starting");
    await assert.rejects(client.useToken("bad", false), code("invalid_token"));
    await assert.rejects(client.useToken("not a token", false), code("invalid_token"));
    assert.equal(client.signIn.value.needed, true);
    await client.useToken(" good ", false);
    assert.equal((await status).mob_id, "demo");
    assert.deepEqual([client.state, client.signIn.value.needed, client.hasToken.value, tab.kept], ["leader", false, true, {}]);
    assert.deepEqual(states, ["starting", "leader"]);
    assert.ok(door.asked.every(({ url }) => url.startsWith(`${BASE}/`) && !url.includes("good")));
    assert.equal(door.asked.at(-1)?.headers["authorization"], "Bearer good");
  });

  test("a mob without a door needs none", async () => {
    const { client, fake, clock } = at();
    const open = new RemoteClient(client.address, { clock, send: async (url, { method, body, signal }) => fake.fetch(url.slice(BASE.length), { method, ...(body ? { body } : {}), ...(signal ? { signal } : {}) }) });
    assert.equal((await read(open)).mob_id, "demo");
    assert.deepEqual([open.signIn.value.needed, open.hasToken.value], [false, false]);
  });

  test("a token that the tab has kept is used, and forgotten once it is refused", async () => {
    const { client, door, tab } = at({ token: "kept" });
    assert.equal((await read(client)).mob_id, "demo");
    door.valid.delete("kept");
    door.refused.set("kept", "expired_token");
    const waiting = read(client);
    await settled();
    assert.deepEqual(client.signIn.value.needed && client.signIn.value.refusal?.code, "expired_token");
    assert.deepEqual([tab.kept, client.hasToken.value], [{}, false]);
    door.valid.add("fresh");
    await client.useToken("fresh", true);
    await waiting;
    assert.deepEqual(tab.kept, { [`mobkit-console/token/${BASE}`]: "fresh" });
  });

  test("an order that met an expired token is carried out once, after the sign-in", async () => {
    const { client, door, fake } = at({ token: "old" });
    await read(client);
    door.valid.clear();
    const order = rpc(client, "mobkit/send_message", { member_id: "lead", content: "hi" });
    await settled();
    assert.equal(client.signIn.value.needed, true);
    door.valid.add("new");
    await client.useToken("new", false);
    await order;
    assert.equal(fake.calls.filter((call) => call.method === "mobkit/send_message").length, 1);
  });

  test("after a sign-out nothing is carried out that was asked before", async () => {
    const { client, door, fake, tab } = at({ token: "old" });
    await read(client);
    door.valid.clear();
    const order = assert.rejects(rpc(client, "mobkit/send_message", { member_id: "lead", content: "hi" }), code("signed_out"));
    await settled();
    client.signOut();
    await order;
    assert.deepEqual([client.signIn.value, client.hasToken.value, tab.kept], [{ needed: true, refusal: undefined }, false, {}]);
    door.valid.add("new");
    await client.useToken("new", false);
    await settled();
    assert.equal(fake.calls.filter((call) => call.method === "mobkit/send_message").length, 0);
  });

  test("an answer on its way during a sign-out signs nobody in", async () => {
    const { client, door, states } = at({ token: "old" });
    await read(client);
    let answer: (response: Response) => void = () => undefined;
    door.instead.push(() => new Promise((resolve) => void (answer = resolve)));
    const late = rpc(client, "mobkit/status");
    await settled();
    client.signOut();
    answer(Response.json({ jsonrpc: "2.0", id: 1, result: {} }));
    await late;
    assert.deepEqual([client.state, states.at(-1)], ["starting", "starting"]);
  });

  test("who may not read is asked for another token; an order that is forbidden is told", async () => {
    const { client, door } = at({ token: "weak" });
    await read(client);
    door.instead.push(() => refusal(403, "forbidden"));
    await assert.rejects(rpc(client, "mobkit/stop"), code("forbidden"));
    assert.deepEqual([client.signIn.value.needed, client.state], [false, "leader"]);
    door.instead.push(() => refusal(403, "forbidden"));
    const abort = new AbortController();
    const reading = assert.rejects(read(client, abort.signal), { name: "AbortError" });
    await settled();
    assert.deepEqual(client.signIn.value.needed && client.signIn.value.refusal?.code, "forbidden");
    abort.abort();
    await reading;
  });
});

describe("a server that is away", () => {
  test("is asked again with growing pauses and jitter, and followed when it is back", async () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7, 60].map((attempt) => pauseMs(attempt, 1)), [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert.deepEqual([0, 1, 7].map((attempt) => pauseMs(attempt, 0)), [250, 500, 15_000]);
    const { client, door, clock, states } = at({ token: "t" });
    await read(client);
    door.down = true;
    const waiting = read(client);
    for (const pause of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      await settled();
      assert.deepEqual(clock.pauses, [pause]);
      const before = door.asked.length;
      await clock.pass(pause - 1);
      assert.equal(door.asked.length, before);
      await clock.pass(1);
      assert.equal(door.asked.length, before + 1);
    }
    assert.deepEqual([client.state, client.error?.code, states], ["crashed", "unreachable", ["leader", "crashed"]]);
    // An order is not kept for later.
    await assert.rejects(rpc(client, "mobkit/stop"), code("unreachable"));
    door.down = false;
    await clock.pass(30_000);
    assert.equal((await waiting).mob_id, "demo");
    assert.deepEqual([client.state, client.error, states], ["leader", null, ["leader", "crashed", "leader"]]);
    // The pauses begin anew.
    door.down = true;
    const abort = new AbortController();
    void read(client, abort.signal).catch(() => undefined);
    await settled();
    assert.deepEqual(clock.pauses, [500]);
    abort.abort();
    client.close();
  });

  test("is starting, not crashed, as long as it has never answered; a person need not wait for the pause", async () => {
    const { client, door, clock, states } = at({ token: "t" });
    door.down = true;
    const waiting = read(client);
    await clock.pass(60_000);
    assert.deepEqual([client.state, client.error?.code, states.every((state) => state === "starting")], ["starting", "unreachable", true]);
    door.down = false;
    client.retryNow();
    assert.equal((await waiting).mob_id, "demo");
    assert.equal(client.state, "leader");
  });

  test("one that says how long it is away is left alone for that time", async () => {
    const { client, door, clock } = at({ token: "t" });
    await read(client);
    door.instead.push(() => refusal(503, "maintenance", { "retry-after": "60" }), () => refusal(503, "maintenance", { "retry-after": "90" }));
    const waiting = read(client);
    await settled();
    assert.deepEqual([clock.pauses, client.state, client.error?.message], [[60_000], "crashed", "the server says: maintenance"]);
    await clock.pass(60_000);
    assert.deepEqual(clock.pauses, [90_000]);
    await clock.pass(90_000);
    assert.equal((await waiting).mob_id, "demo");
  });

  test("one that is back and wants to know who asks gets the sign-in", async () => {
    const { client, door, clock } = at({ token: "t" });
    await read(client);
    door.down = true;
    const waiting = read(client);
    await settled();
    door.down = false;
    door.valid.clear();
    await clock.pass(500);
    assert.equal(client.signIn.value.needed, true);
    door.valid.add("new");
    await client.useToken("new", false);
    await waiting;
    assert.equal(client.state, "leader");
  });

  test("one that says nothing at all is given up after a while", async () => {
    const { client, door, clock } = at({ token: "t" });
    await read(client);
    door.mute = true;
    const waiting = read(client);
    await clock.pass(29_999);
    assert.equal(client.state, "leader");
    door.mute = false;
    await clock.pass(1);
    await clock.pass(500);
    assert.equal((await waiting).mob_id, "demo");
    assert.deepEqual(clock.pauses, []);
  });

  test("a stream that is silent for too long fails; one that says something now and then does not", async () => {
    const { client, fake, clock } = at({ token: "t" });
    const response = await client.fetch("/mob/events?after_seq=0", { signal: new AbortController().signal });
    const reader = response.body?.getReader();
    assert.ok(reader);
    await reader.read();
    for (let n = 0; n < 4; n++) {
      await clock.pass(40_000);
      fake.emit("lead", { type: "text_delta", delta: "x" });
      assert.equal((await reader.read()).done, false);
    }
    const silent = assert.rejects(reader.read(), code("stream_silent"));
    await clock.pass(45_000);
    await silent;
  });

  test("never stops by itself, and is closed for good", async () => {
    const { client, door, clock, states } = at({ token: "t" });
    await read(client);
    door.down = true;
    const waiting = assert.rejects(read(client), code("runtime_stopped"));
    await clock.pass(3_600_000);
    assert.equal(client.state, "crashed");
    client.close();
    await waiting;
    assert.deepEqual([client.state, states.at(-1), clock.pauses], ["stopped", "stopped", []]);
    await assert.rejects(rpc(client, "mobkit/status"), code("runtime_stopped"));
    await assert.rejects(client.control("erase"), code("not_here"));
  });
});

test("too many requests: a reader waits as long as it is told, an order is refused", async () => {
  const { client, door, clock } = at({ token: "t" });
  await read(client);
  door.instead.push(() => refusal(429, "too_many_requests", { "retry-after": "20" }));
  await assert.rejects(rpc(client, "mobkit/stop"), (error: unknown) => code("too_many_requests")(error) && /20 seconds/.test((error as Error).message));
  door.instead.push(() => refusal(429, "too_many_requests", { "retry-after": "20" }));
  const waiting = read(client);
  await settled();
  const before = door.asked.length;
  await clock.pass(20_000);
  assert.equal(door.asked.length, before);
  await clock.pass(500);
  await waiting;
  assert.equal(client.state, "leader");
  door.instead.push(() => new Response(null, { status: 413 }));
  await assert.rejects(rpc(client, "mobkit/send_message", { content: "x" }), code("request_too_large"));
});

describe("the page over it", () => {
  const session = ({ client, tab }: Scene): Session => new Session(client, { storageName: BASE, settings: new Settings("remote", tab), servedDefinition: () => assert.fail("no definition is served to a remote mob"), remote: client });
  async function until(what: string, condition: () => boolean): Promise<void> {
    for (let n = 0; n < 400; n++) {
      if (condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.fail(`never: ${what}`);
  }

  test("waits for the sign-in, follows, and goes on from its cursors after another one", async () => {
    const set = at();
    const { client, door, fake } = set;
    const page = session(set);
    const { app } = page;
    door.valid.add("one");
    void page.start();
    await until("asked", () => client.signIn.value.needed);
    assert.equal(page.boot.value.phase, "starting");
    await client.useToken("one", false);
    await until("caught up", () => page.boot.value.phase === "ready" && app.caughtUp.value);
    assert.deepEqual([app.host, app.readOnly.value, app.rows.value.length], ["edge.example", false, 3]);
    await app.send("lead", "Plan a trip");
    await until("answered", () => app.chat("lead").tokens.runs === 3);
    app.messageDrafts.set("lead", "half a sentence");
    // The token expires, and the streams are cut: what happens meanwhile is read afterwards, once.
    door.valid.clear();
    fake.cutStreams();
    fake.emit("lead", { type: "user_input", interaction_id: "other", content: "meanwhile" });
    fake.ledger("members_unwired", { a: "critic", b: "lead" });
    await until("asked again", () => client.signIn.value.needed);
    const cursor = app.chat("lead").cursor;
    door.valid.add("two");
    await client.useToken("two", false);
    await until("meanwhile", () => app.chat("lead").cursor > cursor);
    await until("ledger", () => app.ledger.length === fake.structural.length);
    assert.deepEqual(app.ledger.map((event) => event.cursor), fake.structural.map((event) => event.cursor));
    assert.equal(JSON.stringify(app.chat("lead").items).split("meanwhile").length, 2);
    assert.equal(app.messageDrafts.get("lead"), "half a sentence");
    await until("found", () => app.connection.value === undefined);
    assert.ok(!fake.calls.some((call) => call.method.startsWith("control:")));

    page.signOut();
    assert.deepEqual([app.rows.value.length, app.messageDrafts.size, app.ledger.length, page.boot.value.phase], [0, 0, 0, "starting"]);
    await client.useToken("two", false);
    await until("here again", () => page.boot.value.phase === "ready" && app.caughtUp.value && app.rows.value.length === 3);
    app.close();
    client.close();
  });

  test("something else at the address is told", async () => {
    const set = at({ token: "t" });
    const page = session(set);
    for (const strange of [
      () => new Response("<!doctype html><h1>Welcome</h1>", { headers: { "content-type": "text/html" } }),
      () => Response.json({ error: "not_found" }, { status: 404 }),
      () => Response.json({ hello: "world" }),
      () => Response.json(null),
    ]) {
      set.door.instead.push(strange);
      await page.start();
      assert.ok(page.boot.value.phase === "failed" && page.boot.value.error.code === "no_mob_here" && page.boot.value.error.message.includes(BASE));
    }
    await page.start();
    assert.equal(page.boot.value.phase, "ready");
    page.app.close();
  });

  test("a stream that is taken up again is found again, though nothing has happened meanwhile", async () => {
    const fake = new FakeRuntime();
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value);
    fake.cutStreams();
    await until("lost", () => app.connection.value !== undefined);
    await until("found", () => app.connection.value === undefined);
    app.close();
  });
});
