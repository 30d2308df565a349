// The page in Chromium over the fake runtime, under the real policy: what a person does, by mouse and by keyboard.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { buildFixture, launch, serve, type Site, watch } from "./harness.ts";

let site: Site;
let browser: Browser;
let axe: string;

before(async () => {
  site = await serve(await buildFixture());
  browser = await launch();
  axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
});
after(async () => {
  await browser.close();
  await site.close();
});

const id = (name: string): string => `[data-testid="${name}"]`;

/** Opens the page, does something, and demands that nothing was logged as an error. */
async function open(query: string, act: (page: Page) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const errors = watch(page);
  try {
    await page.goto(site.url + query);
    await page.locator('[data-identity="lead"]').first().waitFor({ state: "attached" });
    await act(page);
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
  }
}

async function ask(page: Page, text: string): Promise<void> {
  await page.locator(`${id("chat-form")} textarea`).fill(text);
  await page.keyboard.press("Enter");
}
const answered = (page: Page): Promise<unknown> => page.waitForFunction(() => (window as any).session.app.chat("lead").items.some((item: any) => item.kind === "assistant" && item.text.startsWith("Here is") && !item.open), null, { polling: 50 });
const tab = (page: Page, name: string): Promise<void> => page.locator(id(`tab-${name}`)).click();
const calls = (page: Page, method: string): Promise<any[]> => page.evaluate((name) => (window as any).fake.calls.filter((call: any) => call.method === name).map((call: any) => call.params), method);

describe("talking", () => {
  test("a message sets off visible work and ends in an answer", () =>
    open("?pace=3", async (page) => {
      await ask(page, "Plan a trip");
      await page.locator('[data-identity="lead"][data-state="running"]').first().waitFor();
      await page.locator(id("chat-stop")).waitFor();
      await answered(page);
      const chat = page.locator(id("chat-events"));
      assert.equal(await chat.locator('[data-kind="user"]').count(), 1);
      assert.equal(await chat.locator('[data-kind="tool"][data-status="done"]').count(), 2);
      await chat.locator("table").waitFor();
      await chat.locator('[data-kind="tool"] summary').first().click();
      await chat.getByText("delivered").first().waitFor();
      assert.match((await page.locator(id("chat-tokens")).textContent()) ?? "", /\d+.*180/);
      assert.match((await page.locator(id("activity-feed")).textContent()) ?? "", /lead.*finished/);
      assert.equal(await page.locator(id("topology-node-count")).textContent(), "3");
      await page.locator('[data-identity="critic"][data-state="idle"]').click();
      await page.locator(`${id("chat-events")} [data-kind="peer"]`).first().waitFor();
    }));

  test("Shift+Enter breaks the line, and Stop ends the work", () =>
    open("?pace=40", async (page) => {
      const field = page.locator(`${id("chat-form")} textarea`);
      await field.fill("one");
      await page.keyboard.press("Shift+Enter");
      await page.keyboard.type("two");
      assert.equal(await field.inputValue(), "one\ntwo");
      await page.keyboard.press("Enter");
      await page.locator(id("chat-stop")).click();
      await page.locator('[data-code="cancelled"]').waitFor();
      await page.locator('[data-identity="lead"][data-state="idle"]').first().waitFor();
    }));

  test("a failed send keeps the text and says why", () =>
    open("", async (page) => {
      await page.evaluate(() => (window as any).fake.failNext.set("mobkit/send_message", { code: -32000, message: "the storage is full", data: { code: "quota_exceeded" } }));
      await ask(page, "keep me");
      await page.locator(`${id("chat-form")} [role="alert"]`).getByText("the storage is full").waitFor();
      assert.equal(await page.locator(`${id("chat-form")} textarea`).inputValue(), "keep me");
    }));

  test("what a model says can neither run, load, cover nor style anything", () =>
    open("?hostile", async (page) => {
      const chat = page.locator(id("chat-events"));
      await chat.getByRole("link", { name: "fine" }).waitFor();
      assert.equal(await page.evaluate(() => (window as any).pwned), undefined);
      assert.equal(await chat.locator("img, script, style, iframe, [style], [onerror]").count(), 0);
      const links = await chat.locator("a").evaluateAll((all) => all.map((link) => [link.textContent, link.getAttribute("href"), link.getAttribute("rel")]));
      assert.deepEqual(links, [
        ["leak", "https://evil.example/?q=secret", "noopener noreferrer nofollow"],
        ["click", null, null],
        ["fine", "https://example.org/", "noopener noreferrer nofollow"],
      ]);
    }));
});

describe("what stands on modules", () => {
  const module = (page: Page, name: string, health: string) => page.locator(`[data-module="${name}"][data-health="${health}"]`);

  test("a module that has ended says why, and is started and stopped", () =>
    open("?modules", async (page) => {
      await tab(page, "modules");
      const crm = module(page, "crm", "stopped");
      await crm.getByText("out of memory").waitFor();
      assert.equal(await crm.locator(".chain").textContent(), "failedrestarting (1)stopped");
      assert.equal(await crm.getByRole("button", { name: "Stop crm" }).isDisabled(), true);
      await page.evaluate(() => (window as any).fake.failNext.set("mobkit/spawn_member", { code: -32000, message: "module 'crm': start took longer than 30000 ms", data: { code: "module_timeout" } }));
      await crm.getByRole("button", { name: "Start crm" }).click();
      await crm.getByRole("alert").getByText("took longer").waitFor();
      await crm.getByRole("button", { name: "Start crm" }).click();
      await module(page, "crm", "healthy").getByRole("button", { name: "Stop crm" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
      await crm.waitFor();
      assert.deepEqual((await calls(page, "mobkit/spawn_member")).at(-1), { module_id: "crm" });
    }));

  test("a call that waits shows on the tab and at its member, and goes on when it is approved", () =>
    open("?modules", async (page) => {
      await page.evaluate(() => {
        const { fake } = window as any;
        fake.hold("critic");
        fake.emit("critic", { type: "tool_call_requested", id: "c", name: "send_message", args: {} });
      });
      await page.locator(`${id("sidebar-list")} [data-identity="critic"][data-state="waiting_approval"]`).waitFor();
      assert.match((await page.locator(id("approvals-count")).textContent()) ?? "", /^1/);
      assert.match(await page.title(), /^\(!\)/);
      await tab(page, "approvals");
      const pending = page.locator(id("pending"));
      await page.getByLabel("You decide as").fill("Anna");
      await page.evaluate(() => (window as any).fake.failNext.set("mobkit/gating/decide", { code: -32602, message: "Invalid params: approver 'Anna' does not match", data: { code: "approver_mismatch" } }));
      await pending.getByRole("button", { name: "Approve" }).click();
      await pending.getByRole("alert").getByText("does not match").waitFor();
      await pending.getByLabel("Reason").fill("fine");
      await pending.getByRole("button", { name: "Approve" }).click();
      await pending.waitFor({ state: "detached" });
      await page.locator(id("approvals-empty")).waitFor();
      assert.deepEqual((await calls(page, "mobkit/gating/decide")).at(-1), { pending_id: "gate-pending-1", approver_id: "Anna", decision: "approve", reason: "fine" });
      await page.locator(`${id("sidebar-list")} [data-identity="critic"][data-state="idle"]`).waitFor();
      assert.equal(await page.locator(id("approvals-count")).count(), 0);
    }));

  test("what a module tells stands in the feed and the event log, under its name", () =>
    open("?modules", async (page) => {
      await page.evaluate(() => (window as any).fake.tell("crm", "supervisor.warning", { error: "it broke" }));
      await page.locator(id("activity-feed")).getByText("module crm is in trouble").waitFor();
      await tab(page, "events");
      await page.locator('[data-seq="1"]').getByText("crm", { exact: true }).waitFor();
    }));

  test("who only follows can press nothing, and is told why", () =>
    open("?modules&pending&state=follower", async (page) => {
      await tab(page, "approvals");
      await page.getByLabel("You decide as").fill("Anna");
      for (const name of ["Approve", "Reject", "Pass on"]) assert.equal(await page.locator(id("pending")).getByRole("button", { name }).isDisabled(), true);
      await page.locator(id("read-only")).waitFor();
      for (const part of ["modules", "routing", "schedules", "memory"]) {
        await tab(page, "modules");
        await page.locator(id(`part-${part}`)).click();
        await page.locator(id("read-only")).getByText("only follows").waitFor();
        const open = await page.locator(`${id("modules-panel")} :is(button, [role="switch"]):not(nav button):enabled`).evaluateAll((all) => all.map((button) => button.textContent));
        assert.deepEqual(open, [], part);
      }
    }));

  test("a reading that fails says so, and what was read stays", () =>
    open("?modules", async (page) => {
      await tab(page, "modules");
      await page.locator(id("part-memory")).click();
      await page.locator(id("facts")).waitFor();
      await page.evaluate(() => {
        const { fake, session } = window as any;
        fake.failNext.set("mobkit/memory/query", { code: -32000, message: "the storage is gone", data: { code: "storage" } });
        session.app.modulesVersion.value += 1;
      });
      await page.getByText("the storage is gone").waitFor();
      await page.locator(id("facts")).waitFor();
      await page.getByText("the storage is gone").waitFor({ state: "detached" });
    }));
});

describe("the mob", () => {
  test("add, wire, unwire, respawn, retire", () =>
    open("", async (page) => {
      await page.getByRole("button", { name: "Add a member" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Profile").selectOption("critic");
      assert.equal(await dialog.getByLabel("Name").inputValue(), "critic-2");
      await dialog.getByLabel("Name").fill("critic");
      await dialog.getByRole("button", { name: "Add" }).click();
      await dialog.getByRole("alert").getByText("already exists").waitFor();
      await dialog.getByLabel("Name").fill("rev-2");
      await dialog.getByRole("checkbox", { name: "lead" }).check();
      await dialog.getByRole("button", { name: "Add" }).click();
      await page.locator(`${id("sidebar-list")} [data-identity="rev-2"]`).waitFor();
      await page.waitForFunction(() => document.querySelector('[data-testid="topology-edge-count"]')?.textContent === "3", null, { polling: 50 });
      assert.equal(await page.locator(id("topology-node-count")).textContent(), "4");

      await page.getByRole("button", { name: "Actions for rev-2" }).click();
      await page.getByRole("menuitem", { name: "Wiring…" }).click();
      await page.getByRole("switch", { name: "Wire with lead" }).click();
      await page.waitForFunction(() => document.querySelector('[data-testid="topology-edge-count"]')?.textContent === "2", null, { polling: 50 });
      await page.keyboard.press("Escape");

      await page.getByRole("button", { name: "Actions for rev-2" }).click();
      await page.getByRole("menuitem", { name: "Respawn…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Respawn" }).click();
      await page.getByText("· generation 1").waitFor();

      await page.getByRole("button", { name: "Actions for rev-2" }).click();
      await page.getByRole("menuitem", { name: "Retire…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Retire" }).click();
      await page.locator(`${id("sidebar-list")} [data-identity="rev-2"]`).waitFor({ state: "detached" });
    }));

  test("a failing command is shown and can be dismissed", () =>
    open("", async (page) => {
      await page.evaluate(() => (window as any).fake.failNext.set("mobkit/respawn_member", { code: -32000, message: "storage error: blocked", data: { code: "blocked", path: "x" } }));
      await page.getByRole("button", { name: "Actions for lead" }).click();
      await page.getByRole("menuitem", { name: "Respawn…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Respawn" }).click();
      await page.locator(id("problems")).getByText("storage error: blocked").waitFor();
      await page.locator(id("problems")).getByRole("button", { name: "Dismiss" }).click();
      assert.equal(await page.locator(`${id("problems")} .problem`).count(), 0);
    }));

  test("what an edited definition changed is shown until it is read", () =>
    open("?changes", async (page) => {
      await page.locator(id("definition-banner")).getByText("profiles.critic.model").waitFor();
      await page.getByRole("button", { name: "Understood" }).click();
      await page.locator(id("definition-banner")).waitFor({ state: "detached" });
      await tab(page, "definition");
      await page.locator(id("definition-changes")).getByText("profiles.scribe").waitFor();
    }));
});

describe("a second tab", () => {
  test("only reads, and takes over", () =>
    open("?state=follower", async (page) => {
      await page.locator(id("follower-banner")).waitFor();
      assert.equal(await page.locator(`${id("chat-form")} textarea`).isDisabled(), true);
      assert.equal(await page.getByRole("button", { name: "Add a member" }).isDisabled(), true);
      await page.locator(id("take-over")).click();
      await page.locator(id("follower-banner")).waitFor({ state: "detached" });
      assert.equal(await page.locator(`${id("chat-form")} textarea`).isDisabled(), false);
    }));
});

describe("the ledger", () => {
  test("10 000 rows: few elements, quick keys, search, an entry opened", () =>
    open("?ledger=10000", async (page) => {
      await tab(page, "ledger");
      const table = page.locator(id("ledger-table"));
      await page.waitForFunction(() => document.querySelector('[data-testid="ledger-table"]')?.getAttribute("data-row-count") === "10006", null, { polling: 50 });
      await table.locator('[data-cursor="10006"]').waitFor();
      assert.ok((await table.locator('[role="row"]').count()) < 60);
      await table.focus();
      await page.keyboard.press("Home");
      await table.locator('[data-cursor="1"][aria-selected="true"]').waitFor();
      const most = await page.evaluate(async () => {
        const scroller = document.querySelector<HTMLElement>('[data-testid="ledger-table"]')!;
        let most = 0;
        for (let step = 0; step < 60; step++) {
          scroller.scrollTop = (scroller.scrollHeight * step) / 60;
          await new Promise(requestAnimationFrame);
          most = Math.max(most, scroller.querySelectorAll("[data-cursor]").length);
        }
        return most;
      });
      assert.ok(most > 0 && most < 80, `${most} rows are rendered`);
      await page.keyboard.press("End");
      await page.keyboard.press("Enter");
      await page.getByRole("complementary", { name: "Entry 10006" }).waitFor();
      // A new entry comes while the end is in sight: it is in sight too.
      await page.evaluate(() => (window as any).fake.ledger("members_unwired", { a: "critic", b: "lead" }));
      await table.locator('[data-cursor="10007"]').waitFor();
      await page.getByLabel("Search the ledger").fill("researcher joined");
      await page.waitForFunction(() => document.querySelector('[data-testid="ledger-table"]')?.getAttribute("data-row-count") === "1", null, { polling: 50 });
    }));
});

describe("the mob as a whole", () => {
  test("edges are told apart by dashes, in a legend and in a list", () =>
    open("?owners", async (page) => {
      const legend = page.locator(id("edge-legend"));
      await legend.locator('[data-owner="hand"]').getByText("1 wired by hand").waitFor();
      await legend.locator('[data-owner="discovery"]').getByText("1 from the edge discovery").waitFor();
      const dashes = await page.locator(`${id("topology-panel")} line[data-owner]`).evaluateAll((lines) => lines.map((line) => getComputedStyle(line).strokeDasharray));
      assert.equal(new Set(dashes).size, 3, String(dashes));
      await page.getByText("Edges as a list").click();
      await page.locator(id("edge-list")).waitFor();
      assert.deepEqual(await page.locator(`${id("edge-list")} li`).allTextContents(), ["critic – lead, from the definition", "critic – researcher, wired by hand", "lead – researcher, from the edge discovery"]);
    }));

  test("labels are edited as rows, set as a whole, and an edit survives a look elsewhere", () =>
    open("", async (page) => {
      await tab(page, "mob");
      await page.locator(id("label-add")).click();
      await page.waitForFunction(() => document.activeElement?.hasAttribute("data-label-key"));
      await page.keyboard.type("team");
      await page.getByLabel("Value of label 1").fill("core");
      await page.locator(id("label-add")).click();
      await page.getByLabel("Key of label 2").fill("team");
      await page.getByText("There is a label “team” already.").waitFor();
      assert.equal(await page.locator(id("labels-save")).isDisabled(), true);
      await tab(page, "chat");
      await tab(page, "mob");
      await page.getByLabel("Key of label 2").fill("tier");
      await page.evaluate(() => (window as any).fake.failNext.set("mobkit/mob_labels/set", { code: -32000, message: "the storage is full", data: { code: "quota_exceeded" } }));
      await page.locator(id("labels-save")).click();
      await page.locator(id("mob-labels")).getByText("the storage is full").waitFor();
      await page.locator(id("labels-save")).click();
      await page.locator(id("top-labels")).getByText("core").waitFor();
      assert.deepEqual((await calls(page, "mobkit/mob_labels/set")).at(-1), { labels: { team: "core", tier: "" } });
      await page.getByRole("button", { name: "Remove label team" }).click();
      await page.getByRole("button", { name: "Remove label tier" }).click();
      await page.locator(id("labels-save")).click();
      await page.locator(id("top-labels")).waitFor({ state: "detached" });
      assert.deepEqual((await calls(page, "mobkit/mob_labels/set")).at(-1), { labels: {} });
    }));

  test("the roster is reconciled: faults at the field, a question before somebody is retired, a report", () =>
    open("", async (page) => {
      await tab(page, "mob");
      const field = page.locator(id("roster-text"));
      const before = await field.inputValue();
      assert.deepEqual(JSON.parse(before).map((spec: any) => spec.identity), ["lead", "researcher", "critic"]);
      await field.fill(`${before.slice(0, -1)},`);
      await page.locator(id("roster-fault")).getByText(/This is not JSON/).waitFor();
      await field.fill('[{"profile": "lead"}, {');
      await page.locator(id("roster-fault")).getByText(/\(line 1/).waitFor();
      // Chromium names the line itself; other engines the offset alone.
      assert.equal((await page.locator(id("roster-fault")).innerText()).match(/\(line/g)?.length, 1);
      assert.equal(await page.locator(id("reconcile")).isDisabled(), true);
      await field.fill('[{"profile": "lead", "identity": "lead", "labels": {"x": "y"}}, {"profile": "critic", "identity": "c-2", "labels": {"team": "core"}}, {"profile": "poet", "identity": "p"}]');
      await page.locator(id("roster-plan")).getByText("keeps its present labels").waitFor();
      await page.locator(id("reconcile")).click();
      await page.getByRole("dialog").getByText("This retires researcher, critic.").waitFor();
      await page.getByRole("dialog").getByRole("button", { name: "Reconcile" }).click();
      const report = page.locator(id("reconcile-report"));
      await report.getByText("Reconciled in part").waitFor();
      assert.match((await report.locator('[data-line="failures"]').textContent()) ?? "", /p \(spawn\): profile not found: poet/);
      assert.equal(await report.locator('[data-line="spawned"] dd').textContent(), "c-2");
      assert.deepEqual(await report.locator('[data-line="retired"] dd').allTextContents(), ["researcher", "critic"]);
      assert.match(await field.inputValue(), /poet/, "what was typed stays");
      await page.locator(`${id("sidebar-list")} [data-identity="c-2"]`).getByText("team: core").waitFor();
      await page.getByRole("button", { name: "Undo the edit" }).click();
      await page.locator(id("reconcile")).click();
      await report.getByText("Reconciled", { exact: true }).waitFor();
      await page.locator(id("reconcile-edges")).click();
      await report.getByText("No edge had to change").waitFor();
      await page.locator(id("rediscover")).click();
      await page.getByRole("dialog").getByRole("button", { name: "Rediscover" }).click();
      await report.getByText("This mob has no discovery").waitFor();
      await page.locator(`${id("sidebar-list")} [data-identity="c-2"]`).click();
      await page.locator(id("member-labels")).getByText("team").waitFor();
    }));

  test("a follower sees it and changes nothing", () =>
    open("?state=follower", async (page) => {
      await tab(page, "mob");
      for (const name of ["label-add", "labels-save", "reconcile", "reconcile-edges", "rediscover"]) assert.equal(await page.locator(id(name)).isDisabled(), true, name);
    }));
});

describe("the event log", () => {
  const range = (page: Page, text: RegExp): Promise<void> => page.locator(id("event-range")).getByText(text).waitFor();
  test("page by page, filtered, with its gaps, and growing at its end", () =>
    open("?events=1000&gap", async (page) => {
      await tab(page, "events");
      const table = page.locator(id("event-table"));
      await range(page, /200 from #802 to #1.006, the newest/);
      await table.locator('[data-gap="unclean_stop"]').getByText("Numbers 1001 to 1005 hold no events").waitFor();
      assert.ok((await table.locator('[role="row"]').count()) < 60);
      await page.locator(id("events-older")).click();
      await range(page, /200 from #602 to #801/);
      await table.locator('[data-seq="801"]').waitFor();
      await page.locator(id("events-newer")).click();
      await range(page, /200 from #802 to #1.006/);
      await page.locator(id("events-newest")).click();
      await range(page, /the newest/);
      // What happens now comes in at the end.
      await page.evaluate(() => (window as any).fake.emit("critic", { type: "text_complete", content: "fresh words" }));
      await table.locator('[data-seq="1007"]').getByText("fresh words").waitFor();
      await page.getByLabel("Member", { exact: true }).selectOption("critic");
      await page.locator(id("event-types")).click();
      await page.getByRole("checkbox", { name: "text_complete" }).check();
      await page.keyboard.press("Escape");
      await range(page, /^1 from #1.007/);
      assert.equal(await page.locator(id("event-types")).textContent(), "text_complete");
      assert.deepEqual((await calls(page, "mobkit/query_events")).at(-1), { identity: "critic", event_types: ["text_complete"], limit: 200 });
      await table.focus();
      await page.keyboard.press("End");
      await page.keyboard.press("Enter");
      await page.getByRole("complementary", { name: "Event 1007" }).getByText("fresh words").waitFor();
      await page.getByLabel("Time", { exact: true }).selectOption("5");
      await page.getByText("No event matches.").waitFor();
      await page.locator(id("events-clear")).click();
      await range(page, /the newest/);
    }));
});

describe("storage", () => {
  test("usage, export, and erasing with the name typed", () =>
    open("", async (page) => {
      await tab(page, "storage");
      await page.waitForFunction(() => document.querySelector('[data-testid="storage-bytes"]')?.textContent === "183 kB", null, { polling: 50 });
      const download = page.waitForEvent("download");
      await page.locator(id("storage-export")).click();
      assert.match((await download).suggestedFilename(), /^fixture-.*\.jsonl$/);
      await page.locator(id("storage-erase")).click();
      const erase = page.getByRole("dialog").getByRole("button", { name: "Erase", exact: true });
      assert.equal(await erase.isDisabled(), true);
      await page.locator(id("erase-confirm")).fill("fixture");
      await erase.click();
      await page.waitForFunction(() => (window as any).fake.calls.filter((call: any) => call.method === "control:start").length === 2, null, { polling: 50 });
    }));
});

describe("the model", () => {
  test("tested, used, remembered without its key, asked for again", () =>
    open("", async (page) => {
      await page.locator(id("model-chip")).getByText("Demo model").waitFor();
      await tab(page, "model");
      await page.getByRole("radio", { name: /OpenAI/ }).check();
      await page.locator('[name="base-url"]').fill("http://localhost:11434/v1");
      await page.locator('[name="model"]').fill("qwen3:8b");
      await page.locator('[name="api-key"]').fill("wrong");
      await page.locator(id("model-test")).click();
      await page.getByText("invalid key").waitFor();
      await page.locator('[name="api-key"]').fill("secret-key");
      await page.locator(id("model-test")).click();
      await page.locator(id("model-test-ok")).waitFor();
      await page.locator(id("model-use")).click();
      await page.locator(id("model-in-use")).waitFor();
      assert.deepEqual(await calls(page, "control:configure_model"), [{ kind: "openai", baseUrl: "http://localhost:11434/v1", model: "qwen3:8b", apiKey: "secret-key" }]);
      const stored = await page.evaluate(() => JSON.stringify({ ...localStorage }));
      assert.ok(stored.includes("qwen3:8b") && !stored.includes("secret-key"), stored);
      await page.reload();
      await page.locator(id("waiting-banner")).waitFor();
      assert.deepEqual((await calls(page, "control:start"))[0].model, { kind: "none" });
      await page.getByRole("button", { name: "Give the key" }).click();
      await page.locator('[name="api-key"]').fill("secret-key");
      await page.locator(id("model-use")).click();
      await page.locator(id("waiting-banner")).waitFor({ state: "detached" });
    }));
});

describe("a start that fails", () => {
  test("names the path, and a mended definition starts", () =>
    open("", async (page) => {
      await page.evaluate(() => {
        localStorage.setItem("mobkit-console/fixture/definition", JSON.stringify("[mob]\nidd = 1"));
        sessionStorage.setItem("fail-start", JSON.stringify({ code: "invalid_definition", message: "2 mistakes", data: { issues: [{ path: "mob.idd", value: 1, message: "unknown field" }, { path: "mob.id", message: "missing" }] } }));
      });
      await page.reload();
      const failed = page.locator(id("start-failed"));
      await failed.getByText("mob.idd").first().waitFor();
      await failed.getByText("unknown field").first().waitFor();
      await failed.getByLabel("Definition in TOML").fill('[mob]\nid = "demo"');
      await page.getByRole("button", { name: "Start with this definition" }).click();
      await page.locator(`${id("sidebar-list")} [data-identity="lead"]`).waitFor();
    }));
});

describe("keyboard", () => {
  test("roster, tabs, wiring, menu and dialog by keys alone", () =>
    open("", async (page) => {
      await page.locator(`${id("sidebar-list")} [data-identity="lead"]`).focus();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.locator('[data-testid="chat-inspector"][data-identity="critic"]').waitFor();
      // Whoever chooses a member writes to it next: the focus comes to the field, after the chat is there.
      await page.locator(`${id("chat-form")} textarea:focus`).waitFor();
      await page.locator(id("tab-chat")).focus();
      await page.keyboard.press("ArrowRight");
      await page.locator(id("timeline-list")).waitFor();
      await page.keyboard.press("ArrowRight");
      await page.locator(id("ledger-table")).waitFor();
      await page.keyboard.press("End");
      await page.locator(id("model-settings")).waitFor();
      await page.locator('[data-node="critic"]').focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("Enter");
      await page.locator('[data-testid="chat-inspector"][data-identity="lead"]').waitFor();
      await page.getByRole("button", { name: "Actions for lead" }).focus();
      await page.keyboard.press("Enter");
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      await page.getByRole("dialog", { name: "Retire lead?" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Actions for lead");
    }));

  test("the theme toggle goes round and is remembered", () =>
    open("", async (page) => {
      const toggle = page.locator(id("theme-toggle"));
      await toggle.click();
      await page.locator('html[data-theme="dark"]').waitFor();
      await page.reload();
      await page.locator('html[data-theme="dark"]').waitFor();
      await toggle.click();
      await page.locator('html[data-theme="light"]').waitFor();
      await toggle.click();
      await page.locator("html:not([data-theme])").waitFor();
    }));
});

describe("accessibility", () => {
  const scenes: [string, string, (page: Page) => Promise<void>][] = [
    ["chat", "?pace=1&members=10", async (page) => { await ask(page, "Hello"); await answered(page); }],
    ["ledger", "?ledger=300", async (page) => { await tab(page, "ledger"); await page.locator('[data-cursor="306"]').click(); }],
    ["events", "?events=300&gap", async (page) => { await tab(page, "events"); await page.locator("[data-gap]").waitFor(); await page.locator('[data-seq="306"]').click(); await page.locator(id("event-types")).click(); }],
    ["mob", "?owners", async (page) => {
      await tab(page, "mob");
      await page.locator(id("label-add")).click();
      await page.getByLabel("Value of label 1").fill("a value without a key");
      await page.locator(id("reconcile")).click();
      await page.locator(id("reconcile-report")).waitFor();
      await page.locator(id("roster-text")).fill("[");
      await page.getByText("Edges as a list").click();
      await page.locator(id("edge-list")).waitFor();
    }],
    ["modules", "?modules", async (page) => { await tab(page, "modules"); await page.locator('[data-module="crm"]').waitFor(); }],
    ["routing", "?modules&state=follower", async (page) => { await tab(page, "modules"); await page.locator(id("part-routing")).click(); await page.locator(id("route-new")).click(); await page.locator("[data-delivery] summary").click(); }],
    ["schedules", "?modules", async (page) => { await tab(page, "modules"); await page.locator(id("part-schedules")).click(); await page.locator('[data-schedule="morning"]').waitFor(); await page.locator(id("schedule-add")).click(); }],
    ["memory", "?modules", async (page) => { await tab(page, "modules"); await page.locator(id("part-memory")).click(); await page.locator(id("facts")).waitFor(); }],
    ["approvals", "?modules&pending", async (page) => { await tab(page, "approvals"); await page.locator(id("pending")).waitFor(); await page.locator(id("audit")).waitFor(); }],
    ["an older runtime", "", async (page) => { await tab(page, "approvals"); await page.getByText("older than the page").first().waitFor(); }],
    ["definition", "?changes", async (page) => tab(page, "definition")],
    ["storage", "?state=follower", async (page) => { await tab(page, "storage"); await page.getByText("183 kB").waitFor(); }],
    ["model", "?waiting", async (page) => { await tab(page, "model"); await page.getByRole("radio", { name: /OpenAI/ }).check(); }],
    ["dialog", "", async (page) => page.getByRole("button", { name: "Add a member" }).click()],
    ["problem", "", async (page) => page.evaluate(() => (window as any).session.app.report("Doing it", new Error("it broke")))],
  ];
  for (const colorScheme of ["light", "dark"] as const) {
    for (const [name, query, act] of scenes) {
      test(`axe finds nothing serious: ${name}, ${colorScheme}`, () =>
        open(
          query,
          async (page) => {
            await act(page);
            // Through the debugger: the page's policy forbids strange scripts.
            await page.evaluate(axe);
            const found = await page.evaluate(async () => {
              const result = await (window as any).axe.run(document, { resultTypes: ["violations"] });
              return result.violations.filter((violation: any) => violation.impact === "serious" || violation.impact === "critical").map((violation: any) => `${violation.id}: ${violation.nodes.map((node: any) => `${node.html.slice(0, 160)} ${node.any?.[0]?.message ?? ""}`).join(" | ")}`);
            });
            assert.deepEqual(found, []);
          },
          { colorScheme, reducedMotion: "reduce" },
        ));
    }
  }
  test("on a narrow screen everything is reached by tabs and nothing overflows", () =>
    open(
      "?pace=1&modules&pending",
      async (page) => {
        await ask(page, "Hello");
        await answered(page);
        for (const name of ["members", "chat", "activity", "ledger", "events", "mob", "modules", "approvals", "definition", "storage", "model"]) {
          await tab(page, name);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.equal(overflow, 0, name);
          const wide = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>(".tab-panel > *, .sidebar, .rail > *")].filter((element) => element.offsetParent !== null && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.className));
          assert.deepEqual(wide, [], name);
        }
        await tab(page, "modules");
        for (const part of ["routing", "schedules", "memory", "modules"]) {
          await page.locator(id(`part-${part}`)).click();
          await page.locator(`${id("modules-panel")} .card`).first().waitFor();
          const sideways = await page.locator(id("modules-panel")).evaluate((panel) => panel.scrollWidth - panel.clientWidth);
          assert.equal(sideways, 0, part);
        }
        await tab(page, "members");
        await page.locator(id("sidebar-list")).waitFor();
        await page.locator(`${id("sidebar-list")} [data-identity="critic"]`).click();
        await page.locator('[data-testid="chat-inspector"][data-identity="critic"]').waitFor();
      },
      { viewport: { width: 390, height: 780 } },
    ));
});
