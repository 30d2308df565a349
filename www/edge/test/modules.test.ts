// Modules, held tool calls, schedules and deliveries of mobs at the edge: over evictions and kills, and with nobody who calls.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EverythingServer } from "../../sdk/browser/module-site.mjs";
import { DenoProject, type DenoServer } from "../support/deno.ts";
import { Mobs, until } from "../support/mobs.ts";
import { Webhook } from "../support/webhook.ts";
import { Workerd } from "../support/workerd.ts";

/** An object that nobody calls is gone after ten seconds. */
const UNCALLED_MS = 14_000;
const EVERY_MS = 2_000;
const DAY_MS = 86_400_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A lead with modules; `more` is of the same profile's tools, `limits` of the mob. */
function definition({ mcp = ["notes"], more = "", limits = "" }: { mcp?: string[]; more?: string; limits?: string } = {}): string {
  return `
    [mob]
    id = "modules"
    orchestrator = "lead"
    [profiles.lead]
    model = "scripted"
    [profiles.lead.tools]
    mcp = ${JSON.stringify(mcp)}
    ${more}
    [limits]
    ${limits}
    [[members]]
    profile = "lead"
    identity = "lead"`;
}
const HELD = 'gate = { notes__write = "r3" }';
const write = (text: string): string => `call notes__write ${JSON.stringify({ text })}`;

/** What a mob's module and model have said. */
const saidOf = (said: string, mob: string): string[] => said.split("\n").flatMap((line) => line.startsWith(`${mob} `) ? [line.slice(mob.length + 1)] : []);
const count = (said: string[], what: string | RegExp): number => said.filter((line) => typeof what === "string" ? line === what : what.test(line)).length;

/** The occurrences of schedules that were dispatched. */
async function dispatched(mobs: Mobs, mob: string): Promise<{ due_tick_ms: number; tick_ms: number }[]> {
  const { events } = await mobs.rpc(mob, "mobkit/events/subscribe");
  return events.map((told: any) => told.event ?? told).filter((event: any) => event.event_type === "dispatch").map((event: any) => event.payload);
}

const everyTwoSeconds = (message: string): object => ({ schedule: { schedule_id: "clock", interval: "*/2s", timezone: "UTC" }, action: { kind: "message", member_id: "lead", message } });

/** A schedule has fired once for each occurrence, and once for all of those between two times at which nobody was there. */
async function assertFired(mobs: Mobs, mob: string, dead: [from: number, to: number]): Promise<void> {
  await mobs.rpc(mob, "mobkit/scheduling/delete", { schedule_id: "clock" });
  const dues = (await dispatched(mobs, mob)).map(({ due_tick_ms }) => due_tick_ms);
  assert.deepEqual(dues, [...new Set(dues)].sort((a, b) => a - b), "each once, and in their order");
  assert.ok(dues.every((due) => due % EVERY_MS === 0), String(dues));
  const [from, to] = dead;
  assert.ok(dues.filter((due) => due > from && due <= to).length <= 1, `${dues} over ${dead}`);
  assert.ok(dues.some((due) => due > to - EVERY_MS), `${dues} over ${dead}`);
  // Each message is there once, and answered.
  const told = async (type: string): Promise<any[]> => (await mobs.events(mob)).map(({ payload }) => payload).filter((payload) => payload.type === type);
  await until("all are answered", async () => (await told("interaction_complete")).length >= dues.length);
  const inputs = await told("user_input");
  assert.deepEqual(inputs.map(({ origin }) => origin), dues.map(() => "schedule"));
  assert.equal((await told("interaction_complete")).length, dues.length);
}

describe("modules in Durable Objects", () => {
  let workerd: Workerd;
  let server: EverythingServer;
  let webhook: Webhook;
  const mobs = new Mobs(() => workerd.url, "", () => workerd.said);

  before(async () => {
    server = await EverythingServer.start();
    webhook = await Webhook.start();
    workerd = await Workerd.start("modules", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { MCP_URL: server.url, SLOW_URL: webhook.url } });
  });
  after(async () => {
    // Asked to end, it would wait for streams that it does not know to be given up.
    await workerd?.kill();
    workerd?.close();
    webhook?.close();
    await server?.kill();
  });

  const behind = async (mob: string, verb: string): Promise<any> => await (await fetch(`${workerd.url}/-test/${mob}/${verb}`)).json();
  const said = (mob: string): string[] => saidOf(workerd.said, mob);
  const heard = (mob: string, what: string | RegExp): number => count(said(mob), what);
  const starts = (mob: string): number => heard(mob, "starts");
  const pending = async (mob: string): Promise<any[]> => (await mobs.rpc(mob, "mobkit/gating/pending")).pending;
  const ask = async (mob: string, message: string): Promise<any> => await mobs.outcome(mob, await mobs.send(mob, message));
  const module = async (mob: string, id: string): Promise<any> => (await mobs.rpc(mob, "mobkit/modules/list")).modules.find((one: any) => one.module_id === id);
  /** The error of a method that fails. */
  const failure = async (mob: string, method: string, params: object): Promise<any> => {
    const answer = await mobs.json(`/mobs/${mob}/console/rpc`, { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    assert.ok(answer.error, JSON.stringify(answer));
    return answer.error;
  };

  describe("of a real MCP server", () => {
    const SUM = 'call everything__get-sum {"a":2,"b":3}';
    const LONG = 'call everything__trigger-long-running-operation {"duration":60,"steps":2}';
    const mcp = definition({ mcp: ["everything"] });

    test("a member calls a tool, and again after an eviction, with a start of its own", async () => {
      await mobs.make("mcp-one", mcp);
      const first = await ask("mcp-one", SUM);
      assert.deepEqual([first.status, first.result], ["completed", "said: The sum of 2 and 3 is 5."]);
      const posts = server.posts;
      await behind("mcp-one", "evict");
      assert.equal((await ask("mcp-one", SUM)).result, "said: The sum of 2 and 3 is 5.");
      assert.ok(server.posts - posts >= 3, "a session is begun, tools are listed, one is called");
      assert.equal((await module("mcp-one", "everything")).health, "healthy");
    });

    test("the server dies under a call: the member hears why, others get a typed error, and it is started when it is back", async () => {
      await mobs.make("mcp-two", mcp);
      assert.equal((await ask("mcp-two", SUM)).status, "completed");
      const before = server.posts;
      const asked = await mobs.send("mcp-two", LONG);
      await until("the tool is called", () => server.posts > before);
      await server.kill();
      try {
        const outcome = await mobs.outcome("mcp-two", asked);
        assert.deepEqual([outcome.status, outcome.result.slice(0, 6)], ["completed", "said: "]);
        assert.match(outcome.result, /the connection to http:.* is lost/);
        await until("it is given up", async () => (await module("mcp-two", "everything")).health === "stopped");
        const { transitions, error } = await module("mcp-two", "everything");
        assert.match(error, /cannot connect to http/);
        assert.deepEqual(transitions.map(({ to }: any) => to), ["starting", "healthy", "failed", "restarting", "failed", "stopped"]);
        const refused = await failure("mcp-two", "mobkit/call_tool", { module_id: "everything", tool: "get-sum", arguments: { a: 1, b: 1 } });
        assert.equal(refused.data.kind ?? refused.data.code, "module_not_loaded", JSON.stringify(refused));
        assert.match((await ask("mcp-two", SUM)).result, /said: .*not loaded/);
        assert.ok((await failure("mcp-two", "mobkit/spawn_member", { module_id: "everything" })).data);
      } finally {
        await server.restart();
      }
      await mobs.rpc("mcp-two", "mobkit/spawn_member", { module_id: "everything" });
      assert.equal((await ask("mcp-two", SUM)).result, "said: The sum of 2 and 3 is 5.");
    });

    test("the server is away for a while: a call waits for it", async () => {
      await mobs.make("mcp-patient", mcp);
      assert.equal((await ask("mcp-patient", SUM)).status, "completed");
      await server.kill();
      let asked: string;
      try {
        await until("it is missed", async () => ["failed", "restarting", "starting"].includes((await module("mcp-patient", "everything")).health));
        asked = await mobs.send("mcp-patient", SUM);
        await until("it is tried again", async () => (await module("mcp-patient", "everything")).restarts > 1);
      } finally {
        await server.restart();
      }
      assert.equal((await mobs.outcome("mcp-patient", asked)).result, "said: The sum of 2 and 3 is 5.");
    });
  });

  describe("a tool call that waits for a decision", () => {
    test("outlives evictions and a kill, rings no alarm meanwhile, and is made once", async () => {
      const mob = "held-one";
      await mobs.make(mob, definition({ more: HELD }));
      const asked = await mobs.send(mob, write("once"));
      await until("it waits", async () => (await pending(mob)).length === 1);
      const [entry] = await pending(mob);
      assert.deepEqual([entry.tool_call.tool, entry.tool_call.args, entry.actor_id], ["notes__write", { text: "once" }, "lead"]);
      assert.equal(entry.deadline_at_ms - entry.created_at_ms, DAY_MS);
      assert.equal(await behind(mob, "armed"), entry.deadline_at_ms);
      await behind(mob, "evict");
      assert.deepEqual(await pending(mob), [entry]);
      assert.equal(await behind(mob, "armed"), entry.deadline_at_ms);
      const before = starts(mob);
      await wait(UNCALLED_MS);
      assert.equal(starts(mob), before, "nothing wakes it");
      await workerd.killAndRestart();
      assert.deepEqual(await pending(mob), [entry]);
      assert.equal(starts(mob), before + 1);
      assert.equal(await behind(mob, "armed"), entry.deadline_at_ms);
      const id = await behind(mob, "id");
      assert.equal(count(workerd.said.split("\n"), `${id} rings`), 0);
      assert.equal(heard(mob, "wrote once"), 0);
      await mobs.rpc(mob, "mobkit/gating/decide", { pending_id: entry.pending_id, approver_id: "somebody", decision: "approve" });
      const outcome = await mobs.outcome(mob, asked);
      assert.deepEqual([outcome.status, outcome.result], ["completed", 'said: {"written":"once"}']);
      assert.equal(heard(mob, "wrote once"), 1);
      assert.deepEqual(await pending(mob), []);
      await until("the alarm is taken away", async () => await behind(mob, "armed") === null);
    });

    test("lets go of its object, one with an MCP server too that does not listen to it", async () => {
      const held: Record<string, string> = {
        "held-idle": definition({ more: HELD }),
        "mcp-deaf-idle": definition({ mcp: ["notes", "everything"], more: HELD }),
      };
      const asked = new Map<string, string>();
      for (const [mob, made] of Object.entries(held)) {
        await mobs.make(mob, made);
        asked.set(mob, await mobs.send(mob, write("later")));
        await until("it waits", async () => (await pending(mob)).length === 1);
      }
      const before = Object.keys(held).map(starts);
      await wait(UNCALLED_MS);
      for (const [at, mob] of Object.keys(held).entries()) {
        const [entry] = await pending(mob);
        assert.equal(starts(mob), before[at]! + 1, `${mob} was evicted meanwhile`);
        await mobs.rpc(mob, "mobkit/gating/decide", { pending_id: entry.pending_id, approver_id: "somebody", decision: "reject", reason: "not today" });
        assert.match((await mobs.outcome(mob, asked.get(mob)!)).result, /^said: .*not today/);
        assert.equal(heard(mob, /^wrote/), 0);
      }
    });

    test("is denied by the alarm alone when nobody decides, and the member goes on", async () => {
      const mob = "held-long";
      await mobs.make(mob, definition({ more: HELD, limits: "approval_timeout_ms = 6000" }));
      const asked = await mobs.send(mob, write("never"));
      await until("it waits", async () => (await pending(mob)).length === 1);
      const [{ deadline_at_ms }] = await pending(mob);
      await behind(mob, "evict");
      const before = starts(mob);
      assert.ok(Date.now() < deadline_at_ms);
      // Nobody calls it: its alarm does.
      await until("the member hears of it", () => heard(mob, /^heard .*nobody decided in time/) > 0);
      assert.ok(Date.now() >= deadline_at_ms);
      assert.equal(starts(mob), before + 1);
      const outcome = await mobs.outcome(mob, asked);
      assert.equal(outcome.status, "completed", JSON.stringify(outcome));
      assert.equal(heard(mob, /^wrote/), 0);
      assert.deepEqual(await pending(mob), []);
      await until("the alarm is taken away", async () => await behind(mob, "armed") === null);
    });
  });

  describe("a schedule", () => {
    test("fires by the object's alarm after an eviction, and once for what was missed while nobody was there", async () => {
      const mob = "scheduled";
      await mobs.make(mob, definition());
      await mobs.rpc(mob, "mobkit/scheduling/set", everyTwoSeconds("tick"));
      const ticks = (): number => heard(mob, "heard tick");
      await until("it fires", () => ticks() >= 2);
      const before = starts(mob);
      await behind(mob, "evict");
      let known = ticks();
      await until("it fires again", () => ticks() >= known + 2);
      assert.equal(starts(mob), before + 1);
      await workerd.kill();
      const killed = Date.now();
      await wait(4 * EVERY_MS);
      const revived = Date.now();
      known = ticks();
      await workerd.restart();
      await until("it goes on", () => ticks() >= known + 3);
      assert.equal(starts(mob), before + 2);
      await assertFired(mobs, mob, [killed, revived]);
    });
  });

  describe("a delivery", () => {
    const send = async (mob: string): Promise<any> => {
      const resolution = await mobs.rpc(mob, "mobkit/routing/resolve", { recipient: webhook.url, backoff_ms: 50 });
      return await mobs.rpc(mob, "mobkit/delivery/send", { resolution, payload: { hello: "there" } });
    };

    test("is posted to a webhook, a repetition under the same name", async () => {
      await mobs.make("hooked", definition());
      const record = await send("hooked");
      assert.deepEqual([record.status, record.sink_adapter, record.sink], ["sent", "webhook", "webhook"]);
      const [posted] = webhook.posted.splice(0);
      assert.equal(posted?.headers["idempotency-key"], record.delivery_id);
      assert.equal(posted?.headers["content-type"], "application/json");
      assert.deepEqual(posted?.body.payload, { hello: "there" });
      webhook.statuses.push(503);
      const second = await send("hooked");
      assert.deepEqual(second.attempts.map(({ status }: any) => status), ["transient_failure", "sent"]);
      assert.deepEqual(webhook.posted.splice(0).map(({ headers }) => headers["idempotency-key"]), [second.delivery_id, second.delivery_id]);
      webhook.statuses.push(400);
      await mobs.make("refused", definition());
      const third = await send("refused");
      assert.equal(third.status, "failed");
      assert.match(third.error, /answered 400/);
    });

    test("goes on by itself after an eviction", async () => {
      await mobs.make("interrupted", definition());
      webhook.posted.splice(0);
      webhook.hold();
      try {
        const lost = send("interrupted").catch(() => {});
        await until("it is posted", () => webhook.posted.length === 1);
        assert.notEqual(await behind("interrupted", "armed"), null);
        await behind("interrupted", "evict");
        await lost;
      } finally {
        webhook.release();
      }
      await until("it is posted again", () => webhook.posted.length === 2, 60_000);
      const [first, second] = webhook.posted.splice(0);
      assert.equal(first?.headers["idempotency-key"], second?.headers["idempotency-key"]);
    });
  });

  test("a member that waits for the start of a module goes on by itself after an eviction", async () => {
    const mob = "slow-start";
    webhook.hold();
    try {
      await mobs.make(mob, definition());
      const before = starts(mob);
      await mobs.send(mob, "hello");
      assert.notEqual(await behind(mob, "armed"), null);
      await behind(mob, "evict");
      assert.equal(starts(mob), before);
    } finally {
      webhook.release();
    }
    await until("the member hears it", () => heard(mob, "heard hello") === 1, 60_000);
  });

  test("a definition that names a module is good where there is one; elsewhere its members say what is missing", async () => {
    await mobs.make("named", definition({ mcp: ["notes"] }));
    assert.equal((await ask("named", write("here"))).result, 'said: {"written":"here"}');
    const before = heard("named", /^wrote/);
    await mobs.make("named", definition({ mcp: ["notes", "absent"] }));
    const status = await mobs.rpc("named", "mobkit/member_status", { member_id: "lead" });
    assert.match(JSON.stringify(status), /its profile names the module `absent`, which the host does not give/);
    const waiting = await mobs.send("named", write("there"));
    await mobs.make("named", definition({ mcp: ["notes"] }));
    assert.equal((await mobs.outcome("named", waiting)).result, 'said: {"written":"there"}');
    assert.equal(heard("named", /^wrote/), before + 1);
    const refused = await mobs.ask("/mobs/named", { method: "PUT", body: JSON.stringify({ definition: definition({ more: 'gate = { notes__write = "r9" }' }) }) });
    assert.equal(refused.status, 422);
    assert.match((await refused.json()).message ?? "", /profiles\.lead\.tools\.gate/);
  });
});

describe("modules under Deno", () => {
  const project = new DenoProject("workers/deno");
  const directory = mkdtempSync(join(tmpdir(), "mobkit-mobs-"));
  let server: DenoServer;
  const mobs = new Mobs(() => server.url, "t", () => server.said);
  const start = async (): Promise<void> => { server = await project.start("mobs.ts", { DIRECTORY: directory, DEFINITION: definition(), TOKEN: "t", IDLE_MS: "0" }); };
  const heard = (mob: string, what: string | RegExp): number => count(saidOf(server.said, mob), what);
  const isOpen = (mob: string): boolean => existsSync(join(directory, `mob-${mob}.sqlite-wal`));
  const pending = async (mob: string): Promise<any[]> => (await mobs.rpc(mob, "mobkit/gating/pending")).pending;

  before(start);
  after(async () => {
    await server?.kill();
    project.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  test("a held call closes its mob, outlives a kill, and is made once", async () => {
    const mob = "notes-held";
    await mobs.make(mob, definition({ more: HELD }));
    const asked = await mobs.send(mob, write("once"));
    await until("it waits", async () => (await pending(mob)).length === 1);
    const [entry] = await pending(mob);
    await until("the mob is closed", () => !isOpen(mob));
    await server.kill();
    await start();
    await wait(1_000);
    assert.equal(heard(mob, "starts"), 0, "nothing opens it");
    assert.deepEqual(await pending(mob), [entry]);
    await mobs.rpc(mob, "mobkit/gating/decide", { pending_id: entry.pending_id, approver_id: "somebody", decision: "approve" });
    assert.equal((await mobs.outcome(mob, asked)).result, 'said: {"written":"once"}');
    assert.equal(heard(mob, "wrote once"), 1);
    await until("the mob is closed", () => !isOpen(mob));
  });

  test("a held call that nobody decides about is denied in time, over a kill", async () => {
    const mob = "notes-long";
    await mobs.make(mob, definition({ more: HELD, limits: "approval_timeout_ms = 8000" }));
    const asked = await mobs.send(mob, write("never"));
    await until("it waits", async () => (await pending(mob)).length === 1);
    const [{ deadline_at_ms }] = await pending(mob);
    await server.kill();
    await start();
    assert.ok(Date.now() < deadline_at_ms);
    assert.equal(heard(mob, "starts"), 0);
    await until("the member hears of it", () => heard(mob, /^heard .*nobody decided in time/) > 0);
    assert.ok(Date.now() >= deadline_at_ms);
    assert.equal((await mobs.outcome(mob, asked)).status, "completed");
    assert.equal(heard(mob, /^wrote/), 0);
  });

  test("a schedule opens its mob each time, and fires once for what was missed", async () => {
    const mob = "notes-clock";
    await mobs.make(mob, definition());
    await mobs.rpc(mob, "mobkit/scheduling/set", everyTwoSeconds("tick"));
    await until("it fires", () => heard(mob, "heard tick") >= 2);
    assert.ok(heard(mob, "starts") > 2, "it is closed in between");
    await server.kill();
    const killed = Date.now();
    await wait(4 * EVERY_MS);
    const revived = Date.now();
    await start();
    await until("it goes on", () => heard(mob, "heard tick") >= 3);
    await assertFired(mobs, mob, [killed, revived]);
  });
});
