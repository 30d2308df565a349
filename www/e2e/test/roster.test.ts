// The mob as a whole, in the real page: labels, the roster as it ought to be, whose edges they are, and the event log with its filters.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { BrowserContext, Locator } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, observe } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

interface AxeResults {
  violations: { id: string; impact: string | null; nodes: { target: unknown }[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("the mob as a whole", () => {
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

  const legend = (owner: string): Locator => console.get("edge-legend").locator(`[data-owner="${owner}"]`);
  const owners = async (): Promise<string[]> => {
    const open = console.get("topology-panel").locator("details");
    if ((await open.getAttribute("open")) === null) await open.locator("summary").click();
    await console.get("edge-list").waitFor();
    return await console.get("edge-list").locator("li").evaluateAll((items) => items.map((item) => `${item.textContent?.split(",")[0]}: ${(item as HTMLElement).dataset["owner"]}`));
  };
  const line = (key: string): Locator => console.get("reconcile-report").locator(`[data-line="${key}"]`);
  const reconcile = async (specs: unknown): Promise<void> => {
    await console.get("roster-text").fill(JSON.stringify(specs));
    await console.get("reconcile").click();
  };

  test("each edge shows who made it", async () => {
    const { page } = console;
    await legend("definition").getByText("2 from the definition").waitFor();
    await console.chat("researcher");
    await page.getByRole("button", { name: "Actions for Researcher" }).click();
    await page.getByRole("menuitem", { name: "Wiring…" }).click();
    await page.getByRole("switch", { name: "Wire with Writer" }).click();
    await legend("hand").getByText("1 wired by hand").waitFor();
    await page.keyboard.press("Escape");
    assert.deepEqual(await owners(), ["lead – researcher: definition", "lead – writer: definition", "researcher – writer: hand"]);
    const dashes = await console.get("topology-panel").locator("line[data-owner]").evaluateAll((lines) => lines.map((line) => getComputedStyle(line).strokeDasharray));
    assert.equal(new Set(dashes).size, 2, String(dashes));
  });

  test("the mob's labels are edited and kept", async () => {
    const { page } = console;
    await console.tab("mob");
    for (const [at, key, value] of [[1, "team", "core"], [2, "env", "trial run"]] as const) {
      await console.get("label-add").click();
      await page.getByLabel(`Key of label ${at}`).fill(key);
      await page.getByLabel(`Value of label ${at}`).fill(value);
    }
    await console.get("labels-save").click();
    await console.get("top-labels").getByText("trial run").waitFor();
    assert.deepEqual(await console.rpc("mobkit/mob_labels/get"), { labels: { env: "trial run", team: "core" } });
  });

  test("another roster is reconciled, and the report says what that did", async () => {
    const { page } = console;
    await console.tab("mob");
    const before = await console.get("roster-text").inputValue();
    assert.deepEqual(JSON.parse(before).map((spec: { identity: string }) => spec.identity), ["lead", "researcher", "writer"]);
    await console.get("roster-text").fill(before.replace("},", "}"));
    await console.get("roster-fault").getByText("This is not JSON").waitFor();
    assert.equal(await console.get("reconcile").isDisabled(), true);

    const lead = { profile: "lead", identity: "lead", labels: { display_name: "Lead" } };
    const scout = { profile: "researcher", identity: "scout", labels: { team: "core" } };
    await reconcile([lead, { profile: "researcher", identity: "researcher" }, scout]);
    await page.getByRole("dialog").getByText("This retires writer.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Reconcile" }).click();
    await console.get("reconcile-report").getByText("Reconciled", { exact: true }).waitFor();
    assert.deepEqual(await line("spawned").locator("dd").allTextContents(), ["scout"]);
    assert.deepEqual(await line("retired").locator("dd").allTextContents(), ["writer"]);
    assert.deepEqual(await line("retained").locator("dd").allTextContents(), ["lead", "researcher"]);
    await console.member("scout").getByText("team: core").waitFor();
    await console.member("writer").waitFor({ state: "detached" });
    await legend("definition").getByText("2 from the definition").waitFor();
    assert.deepEqual(await owners(), ["lead – researcher: definition", "lead – scout: definition"]);

    // In part: who can be spawned is, and what was typed stays.
    await reconcile([lead, { profile: "researcher", identity: "researcher" }, scout, { profile: "poet", identity: "bard" }, { profile: "writer", identity: "editor" }]);
    await console.get("reconcile-report").getByText("Reconciled in part").waitFor();
    assert.match((await line("failures").textContent()) ?? "", /bard \(spawn\)/);
    assert.deepEqual(await line("spawned").locator("dd").allTextContents(), ["editor"]);
    assert.match(await console.get("roster-text").inputValue(), /poet/);

    // What the runtime refuses as a whole is told too.
    await reconcile([{ ...lead, colour: "red" }]);
    await page.getByRole("dialog").getByRole("button", { name: "Reconcile" }).click();
    await console.get("mob-panel").getByText(/colour/).and(page.locator("p")).waitFor();
    await page.getByRole("button", { name: "Undo the edit" }).click();

    await console.get("reconcile-edges").click();
    await console.get("reconcile-report").getByText("No edge had to change").waitFor();
    await console.get("rediscover").click();
    await page.getByRole("dialog").getByRole("button", { name: "Rediscover" }).click();
    await console.get("reconcile-report").getByText("This mob has no discovery").waitFor();
  });

  test("the event log is filtered and turned over", async () => {
    const { page } = console;
    await console.chat("lead");
    for (const task of ["Plan a quiet evening", "Plan a loud morning"]) {
      await console.say(task);
      await console.answers(task).waitFor();
      await console.rest();
    }
    await console.tab("events");
    const table = console.get("event-table");
    await table.locator('[data-type="interaction_complete"]').waitFor();
    const total = (await console.rpc<{ latest_event_cursor: number }>("mobkit/status")).latest_event_cursor;
    assert.ok(total > 400, `${total} events are three pages`);

    await page.getByLabel("Member", { exact: true }).selectOption({ label: "scout" });
    await console.get("event-types").click();
    await page.getByRole("checkbox", { name: "run_started" }).check();
    await page.getByRole("checkbox", { name: "run_completed" }).check();
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => {
      const rows = [...document.querySelectorAll<HTMLElement>('[data-testid="event-table"] [data-seq]')];
      return rows.length > 0 && rows.every((row) => row.dataset["member"] === "scout" && ["run_started", "run_completed"].includes(row.dataset["type"] ?? ""));
    });
    await page.getByLabel("Time", { exact: true }).selectOption("between");
    await page.getByLabel("Until").fill("2020-01-01T00:00:00");
    await page.getByText("No event matches.").waitFor();
    await console.get("events-clear").click();

    // Back to the first event, each page before the last one, and to the newest again.
    const range = console.get("event-range");
    await range.getByText("the newest").waitFor();
    let pages = 1;
    for (; await console.get("events-older").isEnabled(); pages++) {
      const before = await range.textContent();
      await console.get("events-older").click();
      await page.waitForFunction((before) => document.querySelector('[data-testid="event-range"]')?.textContent !== before || document.querySelector<HTMLButtonElement>('[data-testid="events-older"]')?.disabled === true, before);
    }
    assert.ok(pages >= 3, `${pages} pages`);
    await table.focus();
    await page.keyboard.press("Home");
    await table.locator('[data-seq="1"]').waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "Event 1", exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await console.get("events-newest").click();
    await table.locator(`[data-seq="${total}"]`).waitFor();
    // It grows while somebody looks.
    const { interaction_id } = await console.rpc<{ interaction_id: string }>("mobkit/send_message", { member_id: "scout", content: "One more" });
    await console.rpc("mobkit/wait_interaction", { interaction_id });
    const { latest_event_cursor: latest } = await console.rpc<{ latest_event_cursor: number }>("mobkit/status");
    assert.ok(latest > total);
    await table.locator(`[data-seq="${latest}"]`).waitFor();
    await console.rest();
  });

  test("a second tab reads all of it and changes nothing", async () => {
    const second = await Console.open(context, server.url);
    await second.get("follower-banner").waitFor();
    await second.get("top-labels").getByText("trial run").waitFor();
    await second.tab("mob");
    for (const name of ["label-add", "labels-save", "reconcile", "reconcile-edges", "rediscover"]) assert.equal(await second.get(name).isDisabled(), true, name);
    await second.get("edge-legend").getByText("from the definition").waitFor();
    // A label leaves no entry in the ledger; a look at the panel reads it anew.
    await second.tab("chat");
    await console.rpc("mobkit/mob_labels/set", { labels: { env: "trial run", team: "kernel" } });
    await second.tab("mob");
    await second.get("top-labels").getByText("kernel").waitFor();
    await second.tab("events");
    await second.get("event-table").locator("[data-seq]").first().waitFor();
    second.assertNoFaults();
    await second.close();
  });

  test("a reload finds labels and roster again", async () => {
    await console.reload();
    await console.get("top-labels").getByText("trial run").waitFor();
    await console.tab("mob");
    await console.page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>('[data-testid="roster-text"]')?.value.includes("scout"));
    const specs = JSON.parse(await console.get("roster-text").inputValue()) as { identity: string; labels?: Record<string, string> }[];
    assert.deepEqual(specs.map(({ identity }) => identity), ["editor", "lead", "researcher", "scout"]);
    assert.deepEqual(specs.find(({ identity }) => identity === "scout")?.labels, { team: "core" });
    assert.deepEqual(await owners(), ["editor – lead: definition", "lead – researcher: definition", "lead – scout: definition"]);
    console.assertNoFaults();
  });

  for (const theme of ["light", "dark"] as const) {
    test(`axe finds nothing serious: ${theme}`, async () => {
      const { page } = console;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.evaluate(AXE);
      const found: string[] = [];
      for (const view of ["mob", "events", "chat"]) {
        await console.tab(view);
        if (view === "mob") await console.get("reconcile-edges").click().then(() => console.get("reconcile-report").waitFor());
        if (view === "events") await console.get("event-table").locator("[data-seq]").first().click();
        if (view === "events") await console.get("event-types").click();
        if (view === "chat") await console.chat("scout");
        const { violations } = await page.evaluate(async () => await (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()) as AxeResults;
        for (const violation of violations) {
          if (violation.impact !== "serious" && violation.impact !== "critical") continue;
          found.push(`${view}: ${violation.id} at ${violation.nodes.map((node) => String(node.target)).join(", ")}`);
        }
      }
      assert.deepEqual(found, []);
    });
  }
});
