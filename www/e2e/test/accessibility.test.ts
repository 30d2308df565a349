// For everybody: axe finds nothing serious in any panel, light and dark, and the keyboard is enough.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, id, observe } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

interface AxeResults {
  violations: { id: string; impact: string | null; nodes: { target: unknown }[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("for everybody", () => {
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

  test("the keyboard is enough: a task is given and an answer read without a mouse", async () => {
    const { page } = console;
    await page.locator("body").focus();
    const at = (selector: string): Promise<boolean> => page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, selector);
    const tabTo = async (selector: string): Promise<void> => {
      for (let pressed = 0; pressed < 60; pressed++) {
        if (await at(selector)) return;
        await page.keyboard.press("Tab");
      }
      assert.fail(`${selector} is not reached with Tab`);
    };
    await tabTo(`${id("sidebar-list")} [role="option"]`);
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await page.locator(`${id("chat-inspector")}[data-identity="writer"]`).waitFor();
    await tabTo(`${id("sidebar-list")} [role="option"]`);
    await page.keyboard.press("Home");
    await page.keyboard.press(" ");
    await page.locator(`${id("chat-inspector")}[data-identity="lead"]`).waitFor();
    await tabTo(`${id("chat-form")} textarea`);
    await page.keyboard.type("Plan a quiet evening");
    await page.keyboard.press("Enter");
    await console.answers("Plan a quiet evening").waitFor();
    await console.rest();
  });

  for (const theme of ["light", "dark"] as const) {
    test(`axe finds nothing serious: ${theme}`, async () => {
      const { page } = console;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.evaluate(AXE);
      const found: string[] = [];
      for (const view of ["chat", "ledger", "events", "mob", "modules", "approvals", "definition", "storage", "model"]) {
        await console.tab(view);
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
