// Modules in the hands of members, as a page of an application has them: MCP servers and workers that die, calls that wait for somebody,
// schedules that come while nobody is there, deliveries, and a second tab.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { EverythingServer } from "../../sdk/browser/module-site.mjs";
import { Profile } from "../support/browser.ts";
import { closeTabs, until } from "../support/console.ts";
import { checkHeld, checkMcp, checkMissed, checkWorker, checkZones, completed, told, ways, type ModuleStatus } from "../support/modules-checks.ts";
import { Hook, ModulesSite, Tab } from "../support/modules.ts";

const LIMIT = { timeout: 120_000 };

describe("modules", () => {
  let site: ModulesSite;
  let profile: Profile;
  let context: BrowserContext;
  before(async () => {
    site = await ModulesSite.start();
    profile = new Profile();
    context = await profile.launch();
  });
  afterEach(async () => { await closeTabs(context); });
  after(async () => {
    await profile?.remove();
    site?.close();
  });
  const newTab = (): Promise<Tab> => Tab.inChromium(() => context.newPage(), site.url);

  test("a server of MCP gives tools to a member; killed and started again it is found again", LIMIT, async () => {
    const server = await EverythingServer.start();
    try {
      await checkMcp(await newTab(), server, "mcp");
    } finally {
      await server.kill();
    }
  });

  test("a server of MCP that stays away is given up, and taken up again when it is asked for", LIMIT, async () => {
    const server = await EverythingServer.start();
    try {
      const tab = await newTab();
      await tab.run("open", { storage: "away", tools: { mcp: ["docs"] }, docs: { url: server.url } });
      assert.deepEqual(await tab.run("ask", `call docs__echo {"message":"hi"}`), completed("answer: Echo: hi"));
      await server.kill();
      type Listed = { modules: ModuleStatus[] };
      const { modules: [docs] } = await tab.until<Listed>("mobkit/modules/list", ({ modules }) => modules[0]?.health === "stopped");
      assert.deepEqual(ways(docs), ["starting", "healthy", "failed", "restarting", "failed", "stopped"]);
      assert.match(docs!.error!, /cannot connect to/);
      const refused = await tab.run("refused", "mobkit/call_tool", { module_id: "docs", tool: "echo", arguments: { message: "hi" } });
      assert.equal(refused.code, "module_not_loaded");
      // The member keeps the tool, and hears that there is nobody behind it.
      const { status, result } = await tab.run("ask", `call docs__echo {"message":"hi"}`);
      assert.equal(status, "completed");
      assert.match(result, /^error: .*'docs' not loaded/);
      const start = await tab.run("refused", "mobkit/spawn_member", { module_id: "docs" });
      assert.equal(start.code, "module_not_loaded");
      await server.restart();
      await tab.run("call", "mobkit/spawn_member", { module_id: "docs" });
      assert.deepEqual(await tab.run("ask", `call docs__echo {"message":"back"}`), completed("answer: Echo: back"));
    } finally {
      await server.kill();
    }
  });

  test("a worker that is terminated or closes itself fails its callers, is started again, and works", LIMIT, async () => {
    await checkWorker(await newTab(), "worker");
  });

  test("whoever called a worker that ended is told which module and tool it was", LIMIT, async () => {
    const tab = await newTab();
    await tab.run("open", { storage: "which", calc: {} });
    const { code, data } = await tab.run("refused", "mobkit/call_tool", { module_id: "calc", tool: "close" });
    assert.equal(code, "module_crashed");
    const { module_id, tool } = (data ?? {}) as Record<string, unknown>;
    assert.deepEqual([module_id, tool], ["calc", "close"]);
  });

  test("a held call survives a reload: approved it is made once, rejected the model is told", LIMIT, async () => {
    const tab = await newTab();
    await checkHeld(tab, site, "held", () => tab.reload());
  });

  test("a held call survives the death of the browser", LIMIT, async () => {
    const tab = await newTab();
    await checkHeld(tab, site, "killed", async () => {
      await profile.kill();
      context = await profile.launch();
      await tab.come();
    });
  });

  test("what a schedule was due for while the tab was closed is heard once", LIMIT, async () => {
    const tab = await newTab();
    await checkMissed(tab, "missed", async (work) => {
      await tab.leave();
      await work();
      await tab.come();
    });
  });

  test("time zones are those of the browser", LIMIT, async () => {
    await checkZones(await newTab(), "zones");
  });

  test("a delivery to a member is one message however often it is asked for, over a reload too", LIMIT, async () => {
    const tab = await newTab();
    const opening = { storage: "mailbox", routing: true };
    await tab.run("open", opening);
    const route = { route_key: "to-lead", recipient: "lead", sink: "mob_member", target_module: "delivery", rate_limit_per_minute: 10 };
    await tab.run("call", "mobkit/routing/routes/add", route);
    assert.deepEqual(await tab.run("call", "mobkit/routing/routes/list"), { routes: [route] });
    const resolution = await tab.run("call", "mobkit/routing/resolve", { recipient: "lead" });
    assert.deepEqual([resolution.sink, resolution.target_module], ["mob_member", "delivery"]);
    const request = { resolution, payload: "the news", idempotency_key: "k-1" };
    // At once, and one after the other.
    await tab.run("begin", "first", "call", "mobkit/delivery/send", request);
    await tab.run("begin", "second", "call", "mobkit/delivery/send", request);
    const record = await tab.run("end", "first");
    assert.deepEqual([record.status, record.sink_adapter, record.attempts.length], ["sent", "mailbox", 1]);
    assert.deepEqual(await tab.run("end", "second"), record);
    await tab.reload();
    await tab.run("open", opening);
    assert.deepEqual(await tab.run("call", "mobkit/delivery/send", request), record);
    assert.equal((await tab.run("refused", "mobkit/delivery/send", { ...request, payload: "other news" })).code, "idempotency_payload_mismatch");
    assert.equal((await tab.run("refused", "mobkit/delivery/send", { ...request, resolution: { ...resolution, recipient: "carl" }, idempotency_key: "k-2" })).code, "forged_resolution");
    assert.deepEqual(await tab.run("call", "mobkit/delivery/history"), { deliveries: [record] });
    type History = { messages: { message: { role: string; content?: string; text?: string } }[] };
    const { messages } = await tab.until<History>("mobkit/session_history", ({ messages }) => messages.length >= 2, { member_id: "lead" });
    assert.deepEqual(messages.map(({ message }) => message.content ?? message.text), ["the news", "heard: the news"]);
    // Without a key it is another.
    const { idempotency_key: _, ...again } = request;
    assert.equal((await tab.run("call", "mobkit/delivery/send", again)).status, "sent");
    const { messages: all } = await tab.until<History>("mobkit/session_history", ({ messages }) => messages.length >= 4, { member_id: "lead" });
    assert.equal(all.filter(({ message }) => message.content === "the news").length, 2);
    // A member that is not there.
    await tab.run("call", "mobkit/routing/routes/add", { ...route, route_key: "to-ghost", recipient: "ghost" });
    const ghost = await tab.run("call", "mobkit/routing/resolve", { recipient: "ghost" });
    const lost = await tab.run("call", "mobkit/delivery/send", { resolution: ghost, payload: "boo" });
    assert.deepEqual([lost.status, lost.attempts.length], ["failed", 1]);
    assert.match(lost.error, /ghost/);
    await tab.run("shutdown");
  });

  test("a webhook is posted to, again while it fails, under one key; one that refuses pages of this origin is not", LIMIT, async () => {
    const hook = await Hook.start();
    try {
      const tab = await newTab();
      await tab.run("open", { storage: "webhook", routing: true });
      const deliver = async (recipient: string, payload: unknown): Promise<any> => {
        const resolution = await tab.run("call", "mobkit/routing/resolve", { recipient, backoff_ms: 10 });
        assert.equal(resolution.sink, "webhook");
        return await tab.run("call", "mobkit/delivery/send", { resolution, payload, idempotency_key: `key of ${JSON.stringify(payload)}` });
      };
      const open = `${hook.url}${hook.open}`;
      const sent = await deliver(open, { news: 1 });
      assert.deepEqual([sent.status, sent.sink_adapter, sent.attempts.length], ["sent", "webhook", 1]);
      assert.equal(hook.posts.length, 1);
      const [post] = hook.posts;
      assert.deepEqual([post?.headers["idempotency-key"], post?.headers["content-type"]], [sent.delivery_id, "application/json"]);
      assert.deepEqual(post?.body, {
        delivery_id: sent.delivery_id, attempt: 1, route_id: sent.route_id, recipient: open, channel: "notification", sink: "webhook", payload: { news: 1 },
        idempotency_key: `key of {"news":1}`,
      });
      hook.statuses = [503];
      const retried = await deliver(open, { news: 2 });
      assert.deepEqual([retried.status, retried.attempts.map(({ status }: { status: string }) => status)], ["sent", ["transient_failure", "sent"]]);
      assert.deepEqual(hook.posts.slice(1).map(({ headers, body }) => [headers["idempotency-key"], body.attempt]), [[retried.delivery_id, 1], [retried.delivery_id, 2]]);
      // Twice in a minute was enough.
      const limited = await tab.run("refused", "mobkit/delivery/send", { resolution: await tab.run("call", "mobkit/routing/resolve", { recipient: open }), payload: 3 });
      assert.equal(limited.code, "rate_limited");
      hook.statuses = [410];
      const refused = await deliver(`${open}/gone`, 4);
      assert.deepEqual([refused.status, refused.attempts.length], ["failed", 1]);
      assert.match(refused.error, /answered 410/);
      const posted = hook.posts.length;
      const shut = await deliver(`${hook.url}/shut`, 5);
      assert.deepEqual([shut.status, shut.attempts.length], ["failed", 2]);
      assert.ok(shut.error.includes(`${hook.url}/shut`), shut.error);
      assert.equal(hook.posts.length, posted);
      assert.equal((await told(tab, "send")).length, 4);
    } finally {
      hook.close();
    }
  });

  test("a second tab shows what waits and where things go, changes nothing, and has the modules when it leads", LIMIT, async () => {
    const opening = { storage: "tabs", tools: { mcp: ["calc"], gate: { pay: "r3" } }, calc: {}, routing: true } as const;
    const first = await newTab();
    await first.run("open", opening);
    await first.run("call", "mobkit/routing/routes/add", { route_key: "a", recipient: "lead", sink: "mob_member", target_module: "delivery" });
    const resolution = await first.run("call", "mobkit/routing/resolve", { recipient: "lead" });
    const second = await newTab();
    assert.equal(await second.run("open", { ...opening, ifLocked: "follow" }), "follower");

    // What was there before it came, and what came since.
    await first.run("send", "call pay {}");
    const { pending } = await first.until("mobkit/gating/pending", ({ pending }) => pending.length === 1);
    assert.deepEqual((await second.until("mobkit/gating/pending", ({ pending }) => pending.length === 1)).pending, pending);
    await first.run("call", "mobkit/routing/routes/add", { route_key: "b", recipient: "*", sink: "email", target_module: "delivery" });
    const { routes } = await second.until("mobkit/routing/routes/list", ({ routes }) => routes.length === 2);
    assert.deepEqual({ routes }, await first.run("call", "mobkit/routing/routes/list"));
    const schedule = { schedule_id: "yearly", interval: "0 0 1 1 *", timezone: "UTC" };
    const action = { kind: "message", member_id: "lead", message: "happy new year" };
    await first.run("call", "mobkit/scheduling/set", { schedule, action });
    await second.until("mobkit/scheduling/list", ({ schedules }) => schedules.length === 1);

    // No module runs here, and none is started.
    const nothing = { health: undefined, restarts: 0, error: undefined, tools: [] as string[], transitions: [] as unknown[] };
    const idle = async (): Promise<void> => {
      const { modules } = await second.run("call", "mobkit/modules/list") as { modules: ModuleStatus[] };
      for (const { module_id, restart_policy, ...rest } of modules) assert.deepEqual({ ...nothing, ...rest }, nothing, module_id);
      assert.deepEqual(modules.map(({ module_id }) => module_id).sort(), ["calc", "delivery", "router"]);
      assert.equal(await second.run("workers"), 0);
    };
    await idle();
    const { pending_id } = pending[0];
    const refused: [string, object][] = [
      ["mobkit/gating/decide", { pending_id, approver_id: "carl", decision: "approve" }],
      ["mobkit/gating/evaluate", { action: "pay", actor_id: "lead", risk_tier: "r0" }],
      ["mobkit/routing/resolve", { recipient: "lead" }],
      ["mobkit/routing/routes/add", { route_key: "c", recipient: "*", sink: "email", target_module: "delivery" }],
      ["mobkit/routing/routes/delete", { route_key: "a" }],
      ["mobkit/delivery/send", { resolution, payload: "news" }],
      ["mobkit/scheduling/set", { schedule, action }],
      ["mobkit/scheduling/delete", { schedule_id: "yearly" }],
      ["mobkit/scheduling/dispatch", { schedules: [], tick_ms: 0 }],
      ["mobkit/memory/index", { entity: "e", topic: "t", fact: "f" }],
      ["mobkit/memory/resolve_conflict", { entity: "e", topic: "t" }],
      ["mobkit/call_tool", { module_id: "calc", tool: "add", arguments: { a: 1, b: 2 } }],
      ["calc/add", { a: 1, b: 2 }],
    ];
    for (const [method, params] of refused) assert.equal((await second.run("refused", method, params)).code, "not_leader", method);
    await idle();

    // The first goes: what it left is decided here.
    await first.leave();
    await second.until("mobkit/modules/list", ({ modules }) => modules.every(({ health }: ModuleStatus) => health === "healthy"));
    assert.equal(await second.run("workers"), 1);
    assert.deepEqual((await second.run("call", "mobkit/gating/pending")).pending, pending);
    const before = site.paid;
    await second.run("call", "mobkit/gating/decide", { pending_id, approver_id: "carl", decision: "approve" });
    await until("it is paid", () => site.paid === before + 1);
    assert.deepEqual((await second.run("call", "mobkit/routing/routes/list")).routes, routes);
    assert.deepEqual(await second.run("ask", `call calc__add {"a":1,"b":2}`), completed(`answer: {"identity":"lead","sum":3}`));
    assert.equal(site.paid, before + 1);
    await second.run("shutdown");
  });

  // A second module beside the leading one's would run on one and the same outside.
  test("a second tab starts and ends no modules", LIMIT, async () => {
    const opening = { storage: "idle", calc: {} } as const;
    await (await newTab()).run("open", opening);
    const second = await newTab();
    await second.run("open", { ...opening, ifLocked: "follow" });
    const answers: [string, unknown][] = [];
    for (const [method, params] of [["mobkit/modules/stop", { module_id: "calc" }], ["mobkit/reconcile", { modules: ["calc"] }], ["mobkit/spawn_member", { module_id: "calc" }]] as const) {
      answers.push([method, await second.run("refused", method, params).then(({ code }) => code, (error: Error) => error.message)]);
    }
    assert.deepEqual(answers, answers.map(([method]) => [method, "not_leader"]));
    assert.equal(await second.run("workers"), 0);
  });
});
