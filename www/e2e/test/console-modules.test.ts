// What stands on modules, in the real page over a running mob: routes, schedules, decisions about tool calls, memory; and, with the modules
// that the runtime has built in, where something goes and what becomes of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { BrowserContext, Locator } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, id, observe } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { RemoteMob } from "../support/remote.ts";
import { type Server, startServer } from "../support/server.ts";

interface AxeResults {
  violations: { id: string; impact: string | null; nodes: { target: unknown }[] }[];
}

interface Held {
  schedules: { schedule: { schedule_id: string; enabled: boolean; interval: string }; fired: number; next_ms: number[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Opens a part of the panel of the modules. */
async function part(console: Console, name: string): Promise<void> {
  await console.tab("modules");
  await console.get(`part-${name}`).click();
}

describe("what stands on modules", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;

  before(async () => {
    server = await startServer();
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url, { pace: 5 });
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  const field = (form: string, name: string): Locator => console.get(form).locator(`[name="${name}"]`);
  const fault = (form: string, name: string): Locator => console.get(form).locator(".field").filter({ has: console.page.locator(`[name="${name}"]`) }).getByRole("alert");

  async function fill(form: string, values: Record<string, string>): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const at = field(form, name);
      if ((await at.evaluate((element) => element.tagName)) === "SELECT") await at.selectOption(value);
      else await at.fill(value);
    }
  }

  test("with nothing in it every part says what it is for and how to get something", async () => {
    for (const [name, empty] of [["routing", "routes-empty"], ["routing", "deliveries-empty"], ["schedules", "schedules-empty"], ["memory", "facts-empty"]] as const) {
      await part(console, name);
      await console.get(empty).waitFor();
    }
    await console.tab("approvals");
    await console.get("approvals-empty").waitFor();
    await console.get("audit-empty").waitFor();
    assert.equal(await console.get("approvals-count").count(), 0);
  });

  test("routes are added and deleted; what is refused is said at the field", async () => {
    await part(console, "routing");
    await console.get("route-new").click();
    const good = { route_key: "to-lead", recipient: "lead", channel: "alerts", sink: "mob_member", target_module: "delivery", retry_max: "3" };
    await fill("route-form", { ...good, retry_max: "11" });
    await console.get("route-add").click();
    await fault("route-form", "retry_max").getByText("retry_max must be <= 10").waitFor();
    assert.equal(await field("route-form", "retry_max").getAttribute("aria-invalid"), "true");
    await fill("route-form", { ...good, recipient: " " });
    await console.get("route-add").click();
    await fault("route-form", "recipient").getByText("recipient must be a non-empty string").waitFor();
    await fill("route-form", { ...good, backoff_ms: "soon" });
    await console.get("route-add").click();
    await console.get("route-form").getByRole("alert").waitFor();
    await fill("route-form", { ...good, backoff_ms: "" });
    await console.get("route-add").click();
    const route = console.get("routes").locator('[data-route="to-lead"]');
    await route.getByText("3 retries").waitFor();
    assert.equal(await field("route-form", "route_key").inputValue(), "");
    assert.deepEqual((await console.rpc<{ routes: unknown[] }>("mobkit/routing/routes/list")).routes, [{ route_key: "to-lead", recipient: "lead", channel: "alerts", sink: "mob_member", target_module: "delivery", retry_max: 3 }]);
    // What somebody else does is seen without being asked for.
    await console.rpc("mobkit/routing/routes/add", { route_key: "x".repeat(300), recipient: "*", sink: "webhook", target_module: "delivery" });
    await console.get("routes").locator("li").nth(1).waitFor();
    await route.getByRole("button", { name: "Delete route to-lead" }).click();
    await route.waitFor({ state: "detached" });
    await fill("resolve-form", { recipient: "lead" });
    await console.get("resolve").click();
    await console.get("resolution").getByText("webhook").first().waitFor();
  });

  test("schedules are added, seen to do their work, switched off and deleted", async () => {
    await part(console, "schedules");
    const good = { schedule_id: "greet", interval: "*/1s", timezone: "UTC", kind: "message" };
    await fill("schedule-form", { ...good, interval: "whenever", member_id: "writer", message: "Plan the day" });
    await console.get("schedule-add").click();
    await fault("schedule-form", "interval").getByText("invalid interval").waitFor();
    await fill("schedule-form", { ...good, timezone: "Nowhere/Land" });
    await console.get("schedule-add").click();
    await fault("schedule-form", "timezone").getByText("invalid timezone").waitFor();
    await fill("schedule-form", { ...good, message: "" });
    await console.get("schedule-add").click();
    await fault("schedule-form", "message").waitFor();
    await fill("schedule-form", { ...good, interval: "*/1h", message: "Plan the day" });
    await console.get("schedule-add").click();
    const greet = console.page.locator(`${id("schedule")}[data-schedule="greet"]`);
    await greet.getByText("tells writer: Plan the day").waitFor();
    assert.match((await greet.textContent()) ?? "", /in \d+ (min|s|h)/);
    // Its next times are three, in this browser's time.
    assert.equal(await greet.locator(".times time").count(), 3);
    const switched = greet.getByRole("switch");
    await switched.click();
    await console.page.locator(`${id("schedule")}[data-schedule="greet"][data-enabled="false"]`).waitFor();
    await greet.getByText("not while it is off").waitFor();
    assert.deepEqual((await console.rpc<Held>("mobkit/scheduling/list")).schedules.map(({ schedule, next_ms }) => [schedule.schedule_id, schedule.enabled, next_ms]), [["greet", false, []]]);

    await fill("schedule-form", { schedule_id: "tick", interval: "*/2s", timezone: "UTC", kind: "message", member_id: "writer", message: "Say hello" });
    await console.get("schedule-add").click();
    const tick = console.page.locator(`${id("schedule")}[data-schedule="tick"]`);
    await tick.getByText(/done (once|\d+ times)/).waitFor();
    await console.page.waitForFunction((selector) => /done (once|[1-9]\d* times)/.test(document.querySelector(selector)?.textContent ?? ""), `${id("schedule")}[data-schedule="tick"]`);
    for (const schedule of [tick, greet]) {
      await schedule.getByRole("button", { name: /^Delete/ }).click();
      await console.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await schedule.waitFor({ state: "detached" });
    }
    await console.get("schedules-empty").waitFor();
    await console.chat("writer");
    await console.get("chat-events").getByText("Say hello").first().waitFor();
    await console.rest();

    // A tool of a module that is not there: it is held all the same, and says what it fails with.
    await part(console, "schedules");
    await fill("schedule-form", { schedule_id: "call", interval: "*/1s", kind: "tool" });
    await fill("schedule-form", { module_id: "nobody", tool: "x", arguments: "{broken" });
    await console.get("schedule-add").click();
    await fault("schedule-form", "arguments").getByText("no JSON").waitFor();
    await fill("schedule-form", { arguments: '{"a":1}' });
    await console.get("schedule-add").click();
    const call = console.page.locator(`${id("schedule")}[data-schedule="call"]`);
    await call.getByText("Module 'nobody' not loaded").waitFor();
    await call.getByRole("button", { name: /^Delete/ }).click();
    await console.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await call.waitFor({ state: "detached" });
  });

  test("a tool call waits until somebody approves, and is refused when somebody rejects", async () => {
    await console.define((toml) => toml.replace('peer_description = "Leads: splits', 'tools = { comms = true, gate = { send_message = "r3" } }\npeer_description = "Leads: splits'));
    await console.pace(5);
    const task = "Plan a careful evening";
    await console.chat("lead");
    await console.say(task);
    // The badge and the member's state come by themselves.
    await console.get("approvals-count").waitFor();
    await console.member("lead", "waiting_approval").waitFor();
    await console.tab("approvals");
    const pending = console.page.locator(id("pending"));
    const first = pending.first();
    await first.getByText("wants to call send_message").waitFor();
    assert.match((await first.locator("pre").textContent()) ?? "", /"to"/);
    assert.match((await first.getByRole("timer").textContent()) ?? "", /left/);
    assert.equal(await first.getByTestId("approve").isDisabled(), true);
    await first.getByTestId("why-not").getByText("who you are").waitFor();
    const approver = console.get("approvals-panel").locator('[name="approver"]');
    await approver.fill("lead");
    assert.equal(await first.getByTestId("approve").isDisabled(), true);
    assert.equal(await first.getByTestId("approve").getAttribute("title"), "Who asks may not approve it.");
    assert.equal(await first.getByTestId("reject").isDisabled(), false);
    await approver.fill("Anna");
    // Passed on, it waits for somebody else.
    const before = await first.getAttribute("data-pending");
    await first.getByTestId("escalate").click();
    await console.page.locator(`${id("pending")}[data-pending="${before}"]`).waitFor({ state: "detached" });
    const passed = pending.filter({ hasText: "passed it on" });
    await passed.getByTestId("why-not").getByText("Anna has passed it on").waitFor();
    await approver.fill("Ben");
    await passed.getByTestId("approve").click();
    await console.get("decided").getByText("Approved: send_message of Lead.").waitFor();
    await passed.waitFor({ state: "detached" });
    await pending.first().locator('[name="reason"]').fill("not tonight");
    await pending.first().getByTestId("reject").click();
    await console.get("decided").getByText("Rejected").waitFor();
    const audit = console.get("audit");
    await audit.locator('[data-event="rejected"]').first().getByText("rejected by Ben: not tonight").waitFor();
    await audit.locator('[data-event="approved"]').getByText("approved by Ben").waitFor();
    await audit.locator('[data-event="escalated"]').getByText("passed on by Anna").waitFor();
    // Whatever it asks after that is decided too, until it is at rest.
    while ((await pending.count()) > 0) {
      await pending.first().getByTestId("reject").click();
      await console.page.waitForTimeout(300);
    }
    await console.rest();
    await console.get("approvals-count").waitFor({ state: "detached" });
    await console.chat("lead");
    await console.get("chat-events").getByText("not tonight").first().waitFor({ state: "attached" });
    // The name is remembered.
    await console.reload();
    await console.tab("approvals");
    assert.equal(await approver.inputValue(), "Ben");
  });

  test("somebody who was asked for is the only one who may decide", async () => {
    await console.rpc("mobkit/gating/evaluate", { action: "publish the report", actor_id: "writer", risk_tier: "r3", rationale: "It is done.", requested_approver: "Carla", approval_timeout_ms: 600_000 });
    await console.get("approvals-count").waitFor();
    await console.tab("approvals");
    const pending = console.page.locator(id("pending")).filter({ hasText: "publish the report" });
    await pending.getByText("Only Carla may decide.").first().waitFor();
    assert.equal(await pending.getByTestId("reject").isDisabled(), true);
    await console.get("approvals-panel").locator('[name="approver"]').fill("Carla");
    await pending.getByTestId("approve").click();
    await pending.waitFor({ state: "detached" });
    // Time runs out by itself.
    await console.rpc("mobkit/gating/evaluate", { action: "too late", actor_id: "writer", risk_tier: "r3", approval_timeout_ms: 2500 });
    await console.page.locator(id("pending")).filter({ hasText: "too late" }).waitFor();
    await console.page.locator(id("pending")).waitFor({ state: "detached" });
    await console.get("audit").locator('[data-event="timeout_fallback"]').getByText("nobody decided in time").waitFor();
  });

  test("facts and conflicts are remembered, found and resolved", async () => {
    await part(console, "memory");
    await console.get("memory-add").click();
    await fault("memory-form", "entity").getByText("entity is required").waitFor();
    await fill("memory-form", { entity: "Garden", topic: "water" });
    await console.get("memory-add").click();
    await fault("memory-form", "fact").getByText("fact is required").waitFor();
    await fill("memory-form", { fact: `The well is full. ${"long ".repeat(200)}`, store: "timeline" });
    await console.get("memory-add").click();
    await console.get("facts").getByText("The well is full.").waitFor();
    assert.match((await console.get("stores").locator('[data-store="timeline"]').textContent()) ?? "", /1$/);
    await fill("memory-form", { entity: "garden", topic: "water" });
    await console.get("memory-form").getByRole("checkbox").check();
    await fill("memory-form", { conflict_reason: "Marta says it is dry." });
    await console.get("memory-add").click();
    const conflict = console.get("conflicts").locator('[data-conflict="garden/water"]');
    await conflict.getByText("Marta says it is dry.").waitFor();
    await fill("memory-query", { entity: "house" });
    await console.get("facts-empty").waitFor();
    await fill("memory-query", { entity: "GARDEN", store: "timeline" });
    await console.get("facts").getByText("The well is full.").waitFor();
    await fill("memory-query", { entity: "", store: "" });
    await conflict.getByRole("button", { name: /is resolved/ }).click();
    await console.get("conflicts").waitFor({ state: "detached" });
    assert.deepEqual((await console.rpc<{ conflicts: unknown[] }>("mobkit/memory/query")).conflicts, []);
  });

  test("a tab that only follows sees it all and can press nothing; it is all there after a reload", async () => {
    await console.rpc("mobkit/routing/routes/add", { route_key: "kept", recipient: "*", sink: "webhook", target_module: "delivery" });
    await console.rpc("mobkit/scheduling/set", { schedule: { schedule_id: "kept", interval: "0 9 * * 1-5", timezone: "UTC" }, action: { kind: "delivery", recipient: "lead", payload: { a: "b" } } });
    await console.rpc("mobkit/gating/evaluate", { action: "publish", actor_id: "writer", risk_tier: "r3", approval_timeout_ms: 600_000 });
    await console.reload();
    const other = await Console.open(context, server.url);
    await other.get("follower-banner").waitFor();
    await other.get("approvals-count").waitFor();
    await part(other, "routing");
    const route = other.get("routes").locator('[data-route="kept"]');
    await route.waitFor();
    await other.get("read-only").getByText("only follows").waitFor();
    assert.equal(await route.getByRole("button").isDisabled(), true);
    await part(other, "schedules");
    await other.page.locator(id("schedule")).getByText("0 9 * * 1-5").waitFor();
    assert.equal(await other.page.locator(id("schedule")).getByRole("switch").isDisabled(), true);
    await part(other, "memory");
    await other.get("facts").waitFor();
    assert.equal(await other.get("memory-add").isDisabled(), true);
    await other.tab("approvals");
    await other.page.locator(id("pending")).waitFor();
    assert.equal(await other.page.getByTestId("approve").isDisabled(), true);
    other.assertNoFaults();
    await other.close();
  });

  for (const theme of ["light", "dark"] as const) {
    test(`axe finds nothing serious: ${theme}`, async () => {
      const { page } = console;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.evaluate(AXE);
      const found: string[] = [];
      for (const view of ["routing", "schedules", "memory", "modules", "approvals"]) {
        if (view === "approvals") await console.tab(view);
        else await part(console, view);
        await page.waitForTimeout(200);
        if (view === "routing") {
          const adder = console.get("route-new");
          if (!(await adder.evaluate((summary) => (summary.parentElement as HTMLDetailsElement).open))) await adder.click();
        }
        const { violations } = await page.evaluate(async () => await (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()) as AxeResults;
        for (const violation of violations) {
          if (violation.impact !== "serious" && violation.impact !== "critical") continue;
          found.push(`${view}: ${violation.id} at ${violation.nodes.map((node) => String(node.target)).join(", ")}`);
        }
      }
      assert.deepEqual(found, []);
      console.assertNoFaults();
    });
  }
});

describe("the modules that the runtime has built in", () => {
  let server: Server;
  let profile: Profile;
  let console: Console;
  let mob: RemoteMob;

  before(async () => {
    server = await startServer();
    mob = await RemoteMob.start({ modules: ["router", "delivery"] });
    mob.tokens.add("right-token");
    profile = new Profile();
    console = await Console.visit(await profile.launch(), `${server.url}?runtime=${encodeURIComponent(mob.url)}`);
    await console.get("sign-in").getByLabel("Token").fill("right-token");
    await console.page.keyboard.press("Enter");
    await console.ready();
  });
  after(async () => {
    await profile?.remove();
    await mob?.close();
    server?.close();
  });

  const module = (name: string, health = ""): Locator => console.page.locator(`${id("module")}[data-module="${name}"]${health === "" ? "" : `[data-health="${health}"]`}`);

  test("a module is stopped, started and started anew", async () => {
    await part(console, "modules");
    await module("router", "healthy").waitFor();
    await module("delivery", "healthy").getByText("delivery.send").waitFor();
    await module("router").getByTestId("module-stop").click();
    await console.page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
    await module("router", "stopped").waitFor();
    assert.equal(await module("router").getByTestId("module-stop").isDisabled(), true);
    await module("router").getByTestId("module-start").click();
    await module("router", "healthy").waitFor();
    assert.match((await module("router").locator(".chain").textContent()) ?? "", /healthy.*stopped.*starting.*healthy/);
    await module("delivery").getByTestId("module-start").click();
    await module("delivery", "healthy").getByText("stopped").waitFor();
  });

  test("it is said where something goes, delivered there, and seen among the deliveries", async () => {
    const { page } = console;
    await part(console, "routing");
    await console.get("resolve-form").locator('[name="recipient"]').fill("writer");
    await console.get("resolve").click();
    await console.get("resolution").getByText("by module delivery").waitFor();
    await mob.rpc("mobkit/routing/routes/add", { route_key: "to-writer", recipient: "writer", sink: "mob_member", target_module: "delivery", rate_limit_per_minute: 2 });
    await console.get("resolve").click();
    await console.get("resolution").getByText("It goes to mob_member").waitFor();
    const send = console.get("send-form").locator('[name="payload"]');
    await send.fill("A letter for you");
    await console.get("send").click();
    const first = console.get("deliveries").locator("li").first();
    await first.getByText("delivered").first().waitFor();
    await first.locator("summary").click();
    await first.getByText("mailbox").waitFor();
    await send.fill('{"text":"another one"}');
    await console.get("send").click();
    await console.get("deliveries").locator("li").nth(1).waitFor();
    await console.get("send").click();
    await console.get("send-form").getByRole("alert").getByText("rate limit exceeded").waitFor();
    await page.locator('[name="by-recipient"]').fill("nobody");
    await console.get("deliveries-empty").waitFor();
    await page.locator('[name="by-recipient"]').fill("writer");
    await page.locator('[name="by-sink"]').fill("mob_member");
    await console.get("deliveries").locator("li").nth(1).waitFor();
    console.assertNoFaults(/status of 401/);
  });
});
