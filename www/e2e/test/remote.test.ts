// A mob of a server in the real page: nobody is let in without a token, and then it is as if the mob were the page's own, whatever
// becomes of the token, the connection and the server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { BrowserContext, Locator } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { closeTabs, Console, id, until } from "../support/console.ts";
import { RemoteMob } from "../support/remote.ts";
import { type Server, startServer } from "../support/server.ts";

interface AxeResults {
  violations: { id: string; impact: string | null; nodes: { target: unknown }[] }[];
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The browser notes every refusal and every connection that is lost; that they happen is what is tested here. */
const REFUSED = /status of 401/;
const LOST = /net::ERR_|network error/i;

describe("a mob of a server", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let mob: RemoteMob;

  before(async () => {
    server = await startServer();
    profile = new Profile();
    context = await profile.launch();
  });
  beforeEach(async () => {
    mob = await RemoteMob.start();
    mob.tokens.add("right-token");
  });
  afterEach(async () => {
    await closeTabs(context);
    await mob?.close();
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  const visit = (): Promise<Console> => Console.visit(context, `${server.url}?runtime=${encodeURIComponent(mob.url)}`);
  const panel = (console: Console): Locator => console.get("sign-in");
  const reason = (console: Console, code: string): Locator => console.page.locator(`${id("sign-in-reason")}[data-code="${code}"]`);
  const connection = (console: Console, state: string): Promise<void> => console.page.locator(`${id("runtime")}[data-connection="${state}"]`).waitFor();

  async function signIn(console: Console, token: string, keep = false): Promise<void> {
    await panel(console).getByLabel("Token").fill(token);
    if (keep) await panel(console).getByRole("checkbox").check();
    await panel(console).getByRole("button", { name: "Sign in" }).click();
  }

  async function signedIn(keep = false): Promise<Console> {
    const console = await visit();
    await signIn(console, "right-token", keep);
    await console.ready();
    await connection(console, "connected");
    return console;
  }

  /** What a person sees of the lead's chat and of the ledger. */
  async function sight(console: Console): Promise<{ chat: string[]; ledger: string[] }> {
    await console.tab("chat");
    const chat = await (await console.chat("lead")).locator("[data-kind]").evaluateAll((items) => items.map((item) => `${item.getAttribute("data-kind")}: ${item.textContent}`));
    await console.tab("ledger");
    await console.get("ledger-table").locator('[role="row"][data-cursor]').first().waitFor();
    const ledger = await console.get("ledger-table").locator('[role="row"][data-cursor]').evaluateAll((rows) => rows.map((row) => row.textContent ?? ""));
    await console.tab("chat");
    return { chat, ledger };
  }

  /** Waits until nobody in the mob works, whoever looks on. */
  async function rest(): Promise<void> {
    let idle = false;
    const look = async (): Promise<void> => {
      while (!idle) {
        const { events } = await mob.runtime.queryEvents({ eventTypes: ["interaction_complete"] });
        idle = events.length > 0;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await Promise.all([look(), until("the mob has answered", () => idle)]);
  }

  test("lets nobody in without a token, says what is wrong with one, and answers whoever has the right one", async () => {
    const console = await visit();
    await reason(console, "missing_credentials").waitFor();
    await console.page.getByRole("heading", { name: `Sign in to ${mob.host}` }).waitFor();
    assert.equal(await console.member("lead").count(), 0);
    // The panel is no dialog that a person may leave.
    for (let n = 0; n < 3; n++) await console.page.keyboard.press("Escape");
    await signIn(console, "wrong-token");
    await reason(console, "invalid_token").getByText("does not know this token").waitFor();
    await panel(console).getByLabel("Token").fill("right-token");
    await console.page.keyboard.press("Enter");
    await console.ready();
    await panel(console).waitFor({ state: "detached" });
    await connection(console, "connected");
    assert.match((await console.get("runtime").textContent()) ?? "", new RegExp(`demo.*connected.*${mob.host}`));
    await console.say("Plan a small garden");
    await console.answers("Plan a small garden").waitFor();
    await console.rest();
    assert.equal(await console.get("chat-events").locator('[data-kind="user"]').count(), 1);
    assert.match((await console.get("activity-feed").textContent()) ?? "", /researcher/i);
    // The token is in a header, and nowhere else.
    assert.ok(mob.asked.every(({ path }) => !path.includes("token")));
    const kept = await console.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
    assert.ok(!kept.includes("right-token"), kept);
    console.assertNoFaults(REFUSED);
  });

  test("shows what only its server can change, to read", async () => {
    const console = await signedIn();
    await console.tab("definition");
    await console.get("definition-text").getByText("auto_wire_orchestrator").waitFor();
    assert.equal(await console.get("definition-apply").count(), 0);
    await console.tab("storage");
    await console.get("storage-panel").getByText("exported and erased there").waitFor();
    assert.equal(await console.get("storage-panel").locator("button").count(), 0);
    await console.tab("model");
    await console.get("model-settings").getByRole("table").waitFor();
    assert.equal(await console.get("model-settings").locator("button, input").count(), 0);
    for (const absent of ["model-chip", "waiting-banner", "follower-banner"]) assert.equal(await console.get(absent).count(), 0, absent);
    // What the contract has is all there.
    await console.tab("timeline");
    await console.get("timeline-list").waitFor();
    await console.tab("mob");
    await console.get("reconcile").waitFor();
    assert.equal(await console.page.getByRole("button", { name: "Add a member" }).isEnabled(), true);
    console.assertNoFaults(REFUSED);
  });

  test("asks again after a reload, or not if the token was to be kept; a sign-out forgets it", async () => {
    const console = await signedIn();
    await console.page.reload();
    await reason(console, "missing_credentials").waitFor();
    await signIn(console, "right-token", true);
    await console.ready();
    await console.page.reload();
    await console.ready();
    assert.equal(await panel(console).count(), 0);
    const kept = await console.page.evaluate(() => [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })]);
    assert.ok(!kept[0]?.includes("right-token") && kept[1]?.includes("right-token"), kept.join(" "));
    // Another tab has not got it.
    const other = await visit();
    await reason(other, "missing_credentials").waitFor();
    await other.close();

    await console.get("sign-out").click();
    await panel(console).waitFor();
    assert.equal(await console.member("lead").count(), 0);
    assert.equal(await reason(console, "missing_credentials").count(), 0);
    assert.equal(await console.page.evaluate(() => sessionStorage.length), 0);
    await signIn(console, "right-token");
    await console.ready();
    console.assertNoFaults(REFUSED);
  });

  test("a token that expires in mid-work costs nothing: after the sign-in the page goes on from where it was", async () => {
    const console = await signedIn();
    await mob.runtime.setDefaultModel((await import("mobkit-web")).demoModel({ pace: 25 }));
    const task = "Compare two bicycles";
    await console.say(task);
    await console.member("researcher", "running").waitFor();
    const field = console.get("chat-form").locator("textarea");
    await field.fill("half a sentence");
    mob.tokens.add("next-token");
    const before = mob.asked.length;
    mob.expire("right-token");
    await reason(console, "expired_token").getByText("has expired").waitFor();
    // What was there is there, behind the panel.
    assert.equal(await field.inputValue(), "half a sentence");
    assert.ok(await console.get("chat-events").locator("[data-kind]").count() > 1);
    await rest();
    await signIn(console, "next-token", true);
    await panel(console).waitFor({ state: "detached" });
    await console.answers(task).waitFor();
    await console.rest();
    await connection(console, "connected");
    assert.equal(await field.inputValue(), "half a sentence");
    // It went on from its cursors: nothing was read from the beginning again.
    const resumed = mob.asked.slice(before).filter(({ token, path }) => token === "next-token" && /events(\/stream)?\?/.test(path)).map(({ path }) => Number(/after_seq=(\d+)/.exec(path)?.[1]));
    assert.ok(resumed.length >= 2 && resumed.every((after) => after > 0), String(resumed));
    await console.get("connection-banner").waitFor({ state: "detached" });
    // Nothing is missing and nothing twice: a page that reads everything anew shows the same.
    const seen = await sight(console);
    assert.equal(seen.chat.filter((item) => item.startsWith("user:")).length, 1);
    await console.page.reload();
    await console.ready();
    await console.rest();
    assert.deepEqual(await sight(console), seen);
    console.assertNoFaults(REFUSED, LOST);
  });

  test("streams that are cut are taken up again, and a person who was not looking sees nothing of it", async () => {
    const console = await signedIn();
    for (let n = 0; n < 2; n++) {
      const open = mob.asked.length;
      mob.cut();
      await until("the streams are open again", () => mob.asked.slice(open).filter(({ path, status }) => /\/mob\/events\?|\/stream\?/.test(path) && status === 200).length >= 2);
    }
    assert.equal(await console.get("connection-banner").count(), 0);
    await console.say("Name three rivers");
    await console.answers("Name three rivers").waitFor();
    console.assertNoFaults(REFUSED, LOST);
  });

  test("a server that goes away is said to be, and followed when it is back", async () => {
    const console = await signedIn();
    const field = console.get("chat-form").locator("textarea");
    await mob.down();
    await console.get("away-banner").getByText(`The connection to ${mob.host} is lost`).waitFor();
    await connection(console, "away");
    assert.equal(await console.page.locator(id("mobkit-console")).getAttribute("data-client-state"), "crashed");
    // Who is writing goes on writing; it cannot be sent yet.
    await field.fill("Are you there?");
    assert.equal(await console.get("chat-form").getByRole("button", { name: "Send" }).isDisabled(), true);
    // The mob has worked on meanwhile.
    await mob.runtime.send("lead", "Meanwhile, name a lake");
    await rest();
    await mob.up();
    await console.get("away-banner").waitFor({ state: "detached" });
    await connection(console, "connected");
    await console.answers("Meanwhile, name a lake").waitFor();
    assert.equal(await field.inputValue(), "Are you there?");
    await field.press("Enter");
    await console.answers("Are you there?").waitFor();
    await console.rest();
    await mob.down();
    await console.get("away-banner").waitFor();
    await mob.up();
    await console.get("away-banner").getByRole("button", { name: "Try now" }).click({ timeout: 5000 }).catch(() => undefined);
    await connection(console, "connected");
    console.assertNoFaults(REFUSED, LOST);
  });

  test("a page that finds no server waits for one; an address that cannot be is refused with a sentence", async () => {
    await mob.down();
    const console = await visit();
    await console.get("away-banner").getByText(`${mob.host} does not answer yet`).waitFor();
    await mob.up();
    await reason(console, "missing_credentials").waitFor();
    await console.close();
    for (const [runtime, words] of [
      ["https://me:secret@edge.example/x", "name or a password"],
      ["ftp://edge.example", "http or https"],
      ["", "not which"],
    ] as const) {
      const refused = await Console.visit(context, `${server.url}?runtime=${encodeURIComponent(runtime)}`);
      await refused.get("start-failed").getByText(words).waitFor();
      assert.ok(!((await refused.page.textContent("body")) ?? "").includes("secret"));
      refused.assertNoFaults();
      await refused.close();
    }
    const elsewhere = await Console.visit(context, `${server.url}?runtime=${encodeURIComponent(mob.url.replace("/mobs/demo", "/mobs/other"))}`);
    await elsewhere.get("start-failed").getByText("No mob answers at").waitFor();
    elsewhere.assertNoFaults(/status of 404/);
  });

  for (const theme of ["light", "dark"] as const) {
    test(`axe finds nothing serious: ${theme}`, async () => {
      const console = await visit();
      const { page } = console;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.evaluate(AXE);
      const found: string[] = [];
      const check = async (scene: string): Promise<void> => {
        const { violations } = await page.evaluate(async () => await (globalThis as unknown as { axe: { run(): Promise<unknown> } }).axe.run()) as AxeResults;
        for (const violation of violations) {
          if (violation.impact !== "serious" && violation.impact !== "critical") continue;
          found.push(`${scene}: ${violation.id} at ${violation.nodes.map((node) => String(node.target)).join(", ")}`);
        }
      };
      await reason(console, "missing_credentials").waitFor();
      await check("sign-in");
      await signIn(console, "wrong-token");
      await reason(console, "invalid_token").waitFor();
      await check("a refused token");
      await signIn(console, "right-token");
      await console.ready();
      for (const view of ["chat", "definition", "storage", "model"]) {
        await console.tab(view);
        await check(view);
      }
      mob.expire("right-token");
      await reason(console, "expired_token").waitFor();
      await check("an expired token");
      await mob.down();
      mob.tokens.add("right-token");
      mob.expired.clear();
      await mob.up();
      await signIn(console, "right-token");
      await connection(console, "connected");
      await mob.down();
      await console.get("away-banner").waitFor();
      await check("away");
      assert.deepEqual(found, []);
    });
  }
});
