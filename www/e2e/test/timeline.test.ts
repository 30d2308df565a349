// The timeline in the real page: a message on its way, what members say to each other, the same rows after a reload, and in a second tab.

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

describe("the timeline", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;

  before(async () => {
    server = await startServer();
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url, { storage: "timeline", pace: 5 });
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  const rows = (of: Console, kind: string): Locator => of.get("timeline-list").locator(`[data-kind="${kind}"]`);
  /** How many rows there are, and the last of those in sight. */
  const seen = async (of: Console): Promise<(string | null)[]> => {
    await of.get("timeline-list").locator("[data-frame]").last().waitFor();
    const last = await of.get("timeline-list").locator("[data-frame]").evaluateAll((list) => list.slice(-5).map((row) => row.getAttribute("data-frame")));
    return [await of.get("timeline-list").getAttribute("data-row-count"), ...last];
  };
  /** Shows what belongs to one message, and waits until that is completed. */
  const completed = async (of: Console, message: string): Promise<void> => {
    await of.get("timeline-message").selectOption({ label: message });
    await rows(of, "user_input").and(of.page.locator('[data-status="completed"]')).waitFor();
    await of.get("timeline-message").selectOption("");
  };

  test("shows a message on its way, and what members say and do for it", async () => {
    await console.tab("chat");
    await console.say("Plan a garden");
    await console.tab("timeline");
    await rows(console, "interaction_complete").and(console.page.locator('[data-identity="lead"]')).waitFor();
    await rows(console, "user_input").and(console.page.locator('[data-status="completed"]')).waitFor();
    await console.rest();
    await console.tab("timeline");
    assert.ok((await rows(console, "peer_message").count()) >= 2, "the members talk to each other");
    assert.equal(await rows(console, "text_delta").count(), 0);
    const last = console.get("timeline-list").locator("[data-frame]").last();
    assert.equal(await last.getAttribute("data-kind"), "interaction_complete");
    // A row opens with all of it.
    await rows(console, "user_input").first().click();
    await console.page.getByText('"kind": "user_input"').waitFor();
  });

  test("has the same rows after a reload, and follows", async () => {
    const before = await seen(console);
    await console.page.reload();
    await console.ready();
    await console.tab("timeline");
    assert.deepEqual(await seen(console), before);
    await console.tab("chat");
    await console.say("Plan a pond");
    await console.tab("timeline");
    await completed(console, "Plan a pond");
  });

  test("a second tab sees the same, and what happens meanwhile", async () => {
    await console.rest();
    await console.tab("timeline");
    const second = await Console.open(context, server.url, { storage: "timeline" });
    await second.get("follower-banner").waitFor();
    await second.tab("timeline");
    assert.deepEqual(await seen(second), await seen(console));
    await console.tab("chat");
    await console.say("Plan a hedge");
    await completed(second, "Plan a hedge");
    await second.close();
  });

  test("is narrowed to a member and to a message", async () => {
    await console.rest();
    await console.tab("timeline");
    const identities = async (): Promise<Set<string | null>> => new Set(await console.get("timeline-list").locator("[data-frame]").evaluateAll((list) => list.map((row) => row.getAttribute("data-identity"))));
    await console.get("timeline-member").selectOption("researcher");
    await rows(console, "peer_message").first().waitFor();
    assert.deepEqual(await identities(), new Set(["researcher"]));
    await console.get("timeline-member").selectOption("");
    await console.get("timeline-message").selectOption({ label: "Plan a pond" });
    await rows(console, "interaction_complete").first().waitFor();
    assert.equal(await rows(console, "user_input").count(), 1);
    await console.get("timeline-message").selectOption("");
  });

  test("marks delegates, and the mob's panel says how its tasks fare", async () => {
    await console.rpc("mobkit/spawn_member", { profile: "researcher", identity: "mason", labels: { source_mob_id: "demo.lead" } });
    const badge = console.member("mason").getByTestId("delegate-badge");
    await badge.waitFor();
    assert.equal(await badge.getAttribute("title"), "Made by lead for a task");
    await console.tab("mob");
    await console.get("tasks").locator('[data-task="mob_events"][data-state="running"]').waitFor();
  });

  for (const scheme of ["light", "dark"] as const) {
    test(`axe finds nothing serious: ${scheme}`, async () => {
      const { page } = console;
      await page.emulateMedia({ colorScheme: scheme });
      for (const tab of ["timeline", "mob"]) {
        await console.tab(tab);
        // A colour on its way to another one is neither.
        await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => undefined));
        await page.evaluate(AXE);
        const { violations } = (await page.evaluate("axe.run()")) as AxeResults;
        const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
        assert.deepEqual(serious.map(({ id, nodes }) => [tab, id, nodes.map(({ target }) => target)]), []);
      }
    });
  }
});
