// What a page with a mob and its modules must do in every browser.

import assert from "node:assert/strict";
import type { EverythingServer } from "../../sdk/browser/module-site.mjs";
import type { Refusal } from "./modules-in-page.ts";
import type { ModulesSite, Tab } from "./modules.ts";

export interface ModuleStatus {
  module_id: string;
  health?: string;
  restarts: number;
  restart_policy: string;
  error?: string;
  tools: string[];
  transitions: { from?: string; to: string; attempt: number }[];
}
type Listed = { modules: ModuleStatus[] };

export interface ToldEvent {
  event_id: string;
  timestamp_ms: number;
  event: { kind: string; module?: string; event_type: string; payload: any };
}

export const healthOf = ({ modules }: Listed): string | undefined => modules[0]?.health;
export const completed = (result: string) => ({ status: "completed", result, error: null });

/** What a module went through, in order. */
export const ways = (module: ModuleStatus | undefined): string[] => module?.transitions.map(({ to }) => to) ?? [];

/** The events that a subscription tells again, of one type. */
export async function told(tab: Tab, event_type: string): Promise<ToldEvent[]> {
  const { events } = await tab.run("call", "mobkit/events/subscribe") as { events: ToldEvent[] };
  return events.filter(({ event }) => event.event_type === event_type);
}

/** Waits until the worker has been called `calls` times for an answer that never comes. */
async function waiting(tab: Tab, calls: number): Promise<void> {
  await tab.until<{ events: ToldEvent[] }>("mobkit/events/subscribe", ({ events }) => events.filter(({ event }) => event.event_type === "waiting").length === calls);
}

/** A server of MCP that is not ours: its tools in a member's hands, its death, its return. */
export async function checkMcp(tab: Tab, server: EverythingServer, storage: string): Promise<void> {
  const runtime = { onFailureRetryBudget: 50, supervisorRestartBackoffMs: 50 };
  await tab.run("open", { storage, tools: { mcp: ["docs"] }, docs: { url: server.url }, runtime });
  const { modules: [docs] } = await tab.until<Listed>("mobkit/modules/list", (list) => healthOf(list) === "healthy");
  assert.ok(docs?.tools.includes("echo"), String(docs?.tools));
  assert.deepEqual(await tab.run("ask", `call docs__echo {"message":"hi"}`), completed("answer: Echo: hi"));
  assert.deepEqual(await tab.run("ask", `call docs__get-sum {"a":2,"b":3}`), completed("answer: The sum of 2 and 3 is 5."));

  await server.kill();
  await tab.until<Listed>("mobkit/modules/list", (list) => healthOf(list) !== "healthy");
  // A member does not work while it is not known whether the module comes back.
  await tab.run("begin", "early", "ask", `call docs__echo {"message":"early"}`);
  await tab.until<Listed>("mobkit/modules/list", ({ modules }) => modules[0]!.restarts >= 2);
  await server.restart();
  const { modules: [again] } = await tab.until<Listed>("mobkit/modules/list", (list) => healthOf(list) === "healthy");
  assert.deepEqual(ways(again).slice(0, 5), ["starting", "healthy", "failed", "restarting", "failed"]);
  assert.deepEqual(ways(again).slice(-2), ["restarting", "healthy"]);
  assert.equal(again?.error, undefined);
  assert.deepEqual(await tab.run("end", "early"), completed("answer: Echo: early"));
  assert.deepEqual(await tab.run("ask", `call docs__echo {"message":"again"}`), completed("answer: Echo: again"));
  await tab.run("shutdown");
}

/** A worker that is terminated or closes itself, in a call and between two. */
export async function checkWorker(tab: Tab, storage: string): Promise<void> {
  // Each end is one that the module comes back from.
  await tab.run("open", { storage, tools: { mcp: ["calc"] }, calc: { restart: "on_failure" }, runtime: { onFailureRetryBudget: 10 } });
  const sum = { module_id: "calc", tool: "add", arguments: { a: 1, b: 2 } };
  const add = async (): Promise<unknown> => ((await tab.run("call", "mobkit/call_tool", sum)) as { result: unknown }).result;
  assert.deepEqual(await add(), { sum: 3 });
  assert.deepEqual(await tab.run("ask", `call calc__add {"a":2,"b":2}`), completed(`answer: {"identity":"lead","sum":4}`));

  const back = async (restarts: number): Promise<void> => {
    const { modules: [calc] } = await tab.until<Listed>("mobkit/modules/list", ({ modules: [calc] }) => calc!.health === "healthy" && calc!.restarts === restarts);
    assert.equal(await tab.run("workers"), restarts + 1);
    assert.deepEqual(ways(calc).slice(-4), ["healthy", "failed", "restarting", "healthy"]);
    assert.deepEqual(await add(), { sum: 3 });
    const warnings = await told(tab, "supervisor.warning");
    assert.deepEqual(warnings.map(({ event }) => [event.kind, event.module]), Array.from({ length: restarts }, () => ["module", "calc"]));
    for (const { event } of warnings) assert.match(event.payload.error, /the worker is gone/);
  };

  // In a call of the application's, by the page; another call is open beside it.
  await tab.run("begin", "a", "refused", "mobkit/call_tool", { module_id: "calc", tool: "wait" });
  await tab.run("begin", "b", "refused", "mobkit/call_tool", { module_id: "calc", tool: "wait" });
  await waiting(tab, 2);
  await tab.run("terminate");
  for (const key of ["a", "b"]) crashed(await tab.run("end", key));
  await back(1);
  // The same, by itself.
  crashed(await tab.run("refused", "mobkit/call_tool", { module_id: "calc", tool: "close" }));
  await back(2);
  // In a member's call.
  await tab.run("begin", "ask", "ask", "call calc__wait {}");
  await waiting(tab, 3);
  await tab.run("terminate");
  gone(await tab.run("end", "ask"));
  await back(3);
  gone(await tab.run("ask", "call calc__close {}"));
  await back(4);
  // Between two calls: nobody has to call it for its end to be seen.
  await tab.run("terminate");
  await back(5);
  assert.deepEqual(((await tab.run("call", "mobkit/call_tool", { module_id: "calc", tool: "close.later" })) as { result: unknown }).result, "soon");
  await back(6);
  assert.deepEqual(await tab.run("ask", "call calc__close_later {}"), completed("answer: soon"));
  await back(7);
  assert.deepEqual(await tab.run("ask", `call calc__add {"a":2,"b":2}`), completed(`answer: {"identity":"lead","sum":4}`));
  await tab.run("shutdown");
}

/** The error of a caller whose module ended. */
function crashed({ code, message }: Refusal): void {
  assert.equal(code, "module_crashed");
  assert.match(message, /the worker is gone/);
}

/** What the member's model was told then. */
function gone({ status, result }: { status: string; result: string }): void {
  assert.equal(status, "completed");
  assert.match(result, /^error: .*the worker is gone/);
}

interface Pending {
  pending_id: string;
  action: string;
  actor_id: string;
  risk_tier: string;
  tool_call?: { member_id: string; tool: string; args: unknown };
}

/** A call that waits for a decision, over what `interrupt` does to the page. It comes back without its mob. */
export async function checkHeld(tab: Tab, site: ModulesSite, storage: string, interrupt: () => Promise<void>): Promise<void> {
  const opening = { storage, tools: { gate: { pay: "r3" } } } as const;
  await tab.run("open", opening);
  const before = site.paid;
  const one = ({ pending }: { pending: Pending[] }): boolean => pending.length === 1;
  const inbox = async (): Promise<Pending> => (await tab.until<{ pending: Pending[] }>("mobkit/gating/pending", one)).pending[0]!;
  for (const [decision, result, paid] of [["approve", `answer: paid ${before + 1}`, 1], ["reject", "error: the call was denied: carl rejected it: too much", 1]] as const) {
    const interaction_id = await tab.run("send", `call pay {"euros":5}`);
    const entry = await inbox();
    assert.deepEqual([entry.action, entry.actor_id, entry.risk_tier], ["pay", "lead", "r3"]);
    assert.deepEqual([entry.tool_call?.member_id, entry.tool_call?.tool, entry.tool_call?.args], ["lead", "pay", { euros: 5 }]);
    await tab.until("mobkit/member_status", ({ activity }) => activity === "waiting_approval", { member_id: "lead" });
    await interrupt();
    assert.equal(await tab.run("open", opening), "leader");
    // The member is at it again, and asks nobody anew.
    await tab.until("mobkit/member_status", ({ activity }) => activity === "waiting_approval", { member_id: "lead" });
    assert.deepEqual(await inbox(), entry);
    const { pending_id } = entry;
    assert.equal((await tab.run("refused", "mobkit/gating/decide", { pending_id, approver_id: "lead", decision: "approve" })).code, "self_approval_forbidden");
    await tab.run("call", "mobkit/gating/decide", { pending_id, approver_id: "carl", decision, reason: "too much" });
    const outcome = await tab.run("call", "mobkit/wait_interaction", { interaction_id });
    assert.deepEqual([outcome.status, outcome.result], ["completed", result]);
    assert.equal(site.paid, before + paid);
    assert.deepEqual(await tab.run("call", "mobkit/gating/pending"), { pending: [] });
    assert.equal((await tab.run("refused", "mobkit/gating/decide", { pending_id, approver_id: "carl", decision })).code, "unknown_pending_id");
  }
  await tab.run("shutdown");
}

const EVERY_MS = 1_000;

/** A schedule that comes several times while nobody has the mob open, which `away` begins and ends. */
export async function checkMissed(tab: Tab, storage: string, away: (work: () => Promise<void>) => Promise<void>): Promise<void> {
  await tab.run("open", { storage });
  const schedule = { schedule_id: "tick", interval: "*/1s", timezone: "Europe/Berlin" };
  await tab.run("call", "mobkit/scheduling/set", { schedule, action: { kind: "message", member_id: "lead", message: "tick" } });
  type View = { schedules: { fired: number; last_due_ms?: number }[] };
  await tab.until<View>("mobkit/scheduling/list", ({ schedules: [tick] }) => tick!.fired >= 2);
  let left = 0;
  await away(async () => {
    left = Date.now();
    while (Date.now() < left + 4 * EVERY_MS) await new Promise((resolve) => setTimeout(resolve, 100));
  });
  const back = Date.now();
  await tab.run("open", { storage });
  const { schedules: [shown] } = await tab.until<View>("mobkit/scheduling/list", ({ schedules: [tick] }) => tick!.last_due_ms! >= back + 2 * EVERY_MS);
  await tab.run("call", "mobkit/scheduling/delete", { schedule_id: "tick" });

  type Logged = { events: { timestamp_ms: number; event: { event_type: string; payload: any } }[] };
  const logged = async (event_types: string[]): Promise<Logged["events"]> => (await tab.run("call", "mobkit/query_events", { after_seq: 0, event_types, limit: 10_000 }) as Logged).events;
  const dispatches = (await logged(["dispatch"])).map(({ event: { payload } }) => payload as { due_tick_ms: number; tick_ms: number });
  const heard = (await logged(["user_input"])).filter(({ event }) => event.payload.origin === "schedule");
  // One message for each occurrence that was claimed, and each the latest of its time.
  assert.equal(heard.length, dispatches.length);
  assert.ok(dispatches.length >= shown!.fired);
  for (const [at, { due_tick_ms, tick_ms }] of dispatches.entries()) {
    assert.equal(due_tick_ms, tick_ms - tick_ms % EVERY_MS);
    assert.ok(at === 0 || due_tick_ms > dispatches[at - 1]!.due_tick_ms, "an occurrence came twice");
  }
  // What was missed is one message, heard when the mob was there again.
  const later = heard.filter(({ timestamp_ms }) => timestamp_ms >= left);
  const first = later[0]!.timestamp_ms;
  assert.ok(first >= left + 4 * EVERY_MS, `heard ${first - left} ms after the page was left`);
  assert.equal(later.filter(({ timestamp_ms }) => timestamp_ms < first - first % EVERY_MS + EVERY_MS).length, 1);
  assert.ok(later.length >= 3);
  // The member has answered all of it.
  await tab.until("mobkit/member_status", ({ activity }) => activity === "dormant" || activity === "idle", { member_id: "lead" });
  const { messages } = await tab.run("call", "mobkit/session_history", { member_id: "lead", limit: 1_000 }) as { messages: { message: { role: string; content?: string; text?: string } }[] };
  const ticks = (await logged(["user_input"])).length;
  assert.equal(messages.filter(({ message }) => message.role === "user").length, ticks);
  await tab.run("shutdown");
}

const at = (utc: string): number => Date.parse(`${utc}Z`);

/** Whether a schedule is due at an instant. */
const DUE: [interval: string, zone: string, utc: string, due: boolean][] = [
  // The clocks go from two to three on 2026-03-29, and from three to two on 2026-10-25.
  ["30 2 * * *", "Europe/Berlin", "2026-03-28T01:30:00", true],
  ["30 2 * * *", "Europe/Berlin", "2026-03-29T00:30:00", false],
  ["30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00", false],
  ["0 3 * * *", "Europe/Berlin", "2026-03-29T01:00:00", true],
  ["30 2 * * *", "Europe/Berlin", "2026-03-30T00:30:00", true],
  ["30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", true],
  ["30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00", true],
  ["30 2 * * *", "Europe/Berlin", "2026-10-26T00:30:00", false],
  ["30 2 * * *", "Europe/Berlin", "2026-10-26T01:30:00", true],
  ["30 2 * * *", "europe/berlin", "2026-10-26T01:30:00", true],
  // 2026-03-08 and 2026-11-01.
  ["30 2 * * *", "America/New_York", "2026-03-07T07:30:00", true],
  ["30 2 * * *", "America/New_York", "2026-03-08T06:30:00", false],
  ["30 2 * * *", "America/New_York", "2026-03-08T07:30:00", false],
  ["0 3 * * *", "America/New_York", "2026-03-08T07:00:00", true],
  ["30 1 * * *", "America/New_York", "2026-11-01T05:30:00", true],
  ["30 1 * * *", "America/New_York", "2026-11-01T06:30:00", true],
  ["30 2 * * *", "America/New_York", "2026-11-01T06:30:00", false],
  ["30 2 * * *", "America/New_York", "2026-11-01T07:30:00", true],
  // By half an hour: from two to half past two on 2026-10-04, and back on 2026-04-05.
  ["15 2 * * *", "Australia/Lord_Howe", "2026-10-02T15:45:00", true],
  ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:45:00", false],
  ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:15:00", false],
  ["30 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:30:00", true],
  ["45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:45:00", true],
  ["45 1 * * *", "Australia/Lord_Howe", "2026-04-04T15:15:00", true],
  ["45 1 * * *", "Australia/Lord_Howe", "2026-04-05T15:15:00", true],
  // Before the zone had its hours, by a time that no zone has now.
  ["0 12 * * *", "Asia/Kathmandu", "1985-06-01T06:30:00", true],
  ["0 12 * * *", "Asia/Kathmandu", "1986-06-01T06:15:00", true],
  ["*/1d", "Asia/Kathmandu", "2026-06-01T18:15:00", true],
  ["0 0 * * *", "UTC+05:30", "2026-06-01T18:30:00", true],
];

/** Time zones, as the browser knows them. */
export async function checkZones(tab: Tab, storage: string): Promise<void> {
  await tab.run("open", { storage });
  for (const [interval, timezone, utc, due] of DUE) {
    const tick_ms = at(utc);
    const evaluated = await tab.run("call", "mobkit/scheduling/evaluate", { schedules: [{ schedule_id: "s", interval, timezone }], tick_ms });
    const due_triggers = due ? [{ schedule_id: "s", interval, timezone, due_tick_ms: tick_ms }] : [];
    assert.deepEqual(evaluated, { tick_ms, due_triggers }, `${interval} ${timezone} ${utc}`);
  }
  for (const timezone of ["Mars/Olympus", "", "Europe", "Berlin", "CET-1CEST", "+25:00", "Europe/Berlin; DROP"]) {
    const schedules = [{ schedule_id: "s", interval: "*/1m", timezone }];
    const evaluated = await tab.run("refused", "mobkit/scheduling/evaluate", { schedules, tick_ms: 0 });
    assert.equal(evaluated.code, "invalid_timezone", timezone);
    const set = await tab.run("refused", "mobkit/scheduling/set", { schedule: schedules[0], action: { kind: "message", member_id: "lead", message: "tick" } });
    assert.equal(set.code, "invalid_timezone", timezone);
  }
  assert.deepEqual(((await tab.run("call", "mobkit/scheduling/list")) as { schedules: unknown[] }).schedules, []);
  await tab.run("shutdown");
}
