// A page in the browser's back-forward cache sleeps: it holds no lock, others may lead, and it is whole when a person goes back.

import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, observe, readStored } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("a page that is left and come back to", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  const recording = new Recording();
  /** How often a page came back from the cache. */
  let cached = 0;

  before(async () => {
    server = await startServer();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  /** What the browser asks for beside the picture that is the other page. */
  const NO_ICON = /404/;

  /** Follows a link, as it were, to another page of the site; the mark shows whether what comes back is the same document. */
  async function leave({ page }: Console): Promise<void> {
    await page.evaluate(() => document.documentElement.setAttribute("data-mark", "the same document"));
    await page.goto(`${server.url}favicon.svg`);
  }

  /**
   * Goes back to the page. A browser may throw a page out of its cache whenever it likes, and now and then does: that is told, and
   * the page, loaded anew, has to be as whole. What the page itself would be the reason for is a failure.
   */
  async function goBack(t: TestContext, console: Console): Promise<void> {
    const { page } = console;
    const reasons: string[] = [];
    const session = await context.newCDPSession(page);
    await session.send("Page.enable");
    session.on("Page.backForwardCacheNotUsed", (event) => {
      for (const { reason, context } of event.notRestoredExplanations) reasons.push(`${reason} ${context ?? ""}`);
    });
    // The protocol's own way waits for a load, which there is none of.
    await page.evaluate(() => history.back());
    await console.ready();
    const mark = await page.locator("html").getAttribute("data-mark");
    const evicted = mark === null && reasons.length > 0 && reasons.every((reason) => reason.startsWith("IgnoreEventAndEvict"));
    if (evicted) t.diagnostic("the browser threw the page out of its cache");
    else assert.equal(mark, "the same document", `not from the cache: ${reasons.join(", ")}`);
    cached += evicted ? 0 : 1;
  }

  /** Waits until another page sees that nobody holds a lock or waits for one. */
  async function nobodyHoldsALock(page: Page): Promise<void> {
    await page.waitForFunction(async () => {
      const { held, pending } = await navigator.locks.query();
      return [...(held ?? []), ...(pending ?? [])].length === 0;
    });
  }

  test("holds nothing meanwhile, works when it is back, and everything is as it was", async (t) => {
    const console = await Console.open(context, server.url, { storage: "asleep", pace: 5 });
    await console.say("Before I go");
    await console.answers("Before I go").waitFor();
    await console.rest();
    const before = await console.sight();
    // What the page shows when it is back is what it showed before: so it is left again in the middle of waking up.
    for (let times = 0; times < 5; times++) {
      await leave(console);
      await nobodyHoldsALock(console.page);
      await goBack(t, console);
    }
    await console.leads();
    const after = await console.sight();
    assert.deepEqual({ ...after, cursors: { ...after.cursors, events: before.cursors.events } }, before);
    await console.say("Back again");
    await console.answers("Back again").waitFor();
    await console.rest();
    console.assertNoFaults(NO_ICON);
    await console.close();
  });

  test("left in mid-turn: the work goes on when it is back, and is answered once", async (t) => {
    recording.forget();
    const console = await Console.open(context, server.url, { storage: "interrupted", pace: 30 });
    const task = "Wait for me";
    await console.say(task);
    await console.member("researcher", "running").waitFor();
    await leave(console);
    await goBack(t, console);
    await console.pace(5);
    await console.answers(task).waitFor();
    await console.rest();
    assert.equal(await console.answers(task).count(), 1);
    const stored = await readStored(context, server.url, "interrupted");
    recording.assertStored(stored);
    assert.deepEqual(stored.interaction.map((interaction) => interaction.status), ["completed"]);
    console.assertNoFaults(NO_ICON);
    await console.close();
  });

  test("another tab leads meanwhile; the one that is back follows it", async (t) => {
    const first = await Console.open(context, server.url, { storage: "handed-on" });
    const second = await Console.open(context, server.url, { storage: "handed-on" });
    await second.get("follower-banner").waitFor();
    await leave(first);
    await second.leads();
    await goBack(t, first);
    await first.get("follower-banner").waitFor();
    await second.pace(5);
    await second.say("While you slept");
    await second.answers("While you slept").waitFor();
    await first.answers("While you slept").waitFor();

    // A follower that sleeps waits for nothing: its turn does not come.
    await leave(first);
    await second.rest();
    await second.close();
    await nobodyHoldsALock(first.page);
    await goBack(t, first);
    await first.leads();
    first.assertNoFaults(NO_ICON);
    await first.close();
    assert.ok(cached >= 4, `${cached} of 8 times the page came from the cache`);
  });
});
