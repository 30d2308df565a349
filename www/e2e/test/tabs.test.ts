// Tabs on one mob: the second follows and says so, takes over when asked to, and leads by itself when the first is gone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, id, observe } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("a second tab", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;

  before(async () => {
    server = await startServer();
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  test("follows read-only, sees what happens, and takes over", async () => {
    const first = await Console.open(context, server.url, { pace: 5 });
    await first.say("Before the second tab");
    await first.answers("Before the second tab").waitFor();
    await first.rest();

    const second = await Console.open(context, server.url);
    await second.get("follower-banner").getByText("In use in another tab").waitFor();
    assert.equal(await second.get("chat-form").locator("textarea").isDisabled(), true);
    await second.answers("Before the second tab").waitFor();

    await first.say("While both look");
    await second.answers("While both look").waitFor();
    await first.rest();

    await second.get("take-over").click();
    await second.page.locator(`${id("mobkit-console")}[data-client-state="leader"]`).waitFor();
    await first.get("follower-banner").waitFor();
    assert.equal(await first.get("chat-form").locator("textarea").isDisabled(), true);

    await second.pace(5);
    await second.chat("lead");
    await second.say("From the second tab");
    await second.answers("From the second tab").waitFor();
    await first.answers("From the second tab").waitFor();
    for (const task of ["Before the second tab", "While both look", "From the second tab"]) assert.equal(await second.answers(task).count(), 1, task);

    // The tab that leads goes: the other leads again, and was asked nothing.
    await second.rest();
    second.assertNoFaults();
    await second.close();
    await first.leads();
    await first.pace(5);
    await first.say("From the first tab again");
    await first.answers("From the first tab again").waitFor();
    await first.rest();
    first.assertNoFaults();
  });

  test("leads when the leading tab is closed in mid-turn, and the work goes on", async () => {
    const first = await Console.open(context, server.url, { storage: "closed", pace: 30 });
    const second = await Console.open(context, server.url, { storage: "closed" });
    await second.get("follower-banner").waitFor();
    await second.pace(5);
    await first.say("Go on without me");
    await first.member("researcher", "running").waitFor();
    await first.close();
    await second.leads();
    await second.answers("Go on without me").waitFor();
    await second.rest();
    assert.equal(await second.answers("Go on without me").count(), 1);
    await second.say("And a new one");
    await second.answers("And a new one").waitFor();
    await second.rest();
    second.assertNoFaults();
    await second.close();
  });

  test("leads when the leading worker is killed; the tab that it belonged to follows then", async () => {
    const first = await Console.open(context, server.url, { storage: "killed", pace: 30 });
    const second = await Console.open(context, server.url, { storage: "killed" });
    await second.get("follower-banner").waitFor();
    await second.pace(5);
    await first.say("Survive your worker");
    await first.member("researcher", "running").waitFor();
    await first.page.evaluate(() => window.mob?.worker.terminate());
    await second.leads();
    await first.get("follower-banner").waitFor();
    await second.answers("Survive your worker").waitFor();
    await first.answers("Survive your worker").waitFor();
    await second.rest();
    assert.equal(await second.answers("Survive your worker").count(), 1);
    await second.say("And a new one");
    await first.answers("And a new one").waitFor();
    second.assertNoFaults();
    await first.close();
    await second.close();
  });

  test("of two followers one leads, and the other one after it", async () => {
    const options = { storage: "queue" };
    const first = await Console.open(context, server.url, options);
    const others = [await Console.open(context, server.url, options), await Console.open(context, server.url, options)];
    for (const other of others) await other.get("follower-banner").waitFor();
    await first.close();
    const led = await Promise.race(others.map(async (other) => {
      await other.leads();
      return other;
    }));
    const rest = others.filter((other) => other !== led);
    await led.pace(5);
    await led.say("Who leads?");
    for (const other of rest) {
      await other.answers("Who leads?").waitFor();
      assert.equal(await other.get("follower-banner").count(), 1);
    }
    await led.rest();
    await led.close();
    for (const other of rest) {
      await other.leads();
      await other.pace(5);
      await other.say("Who is left?");
      await other.answers("Who is left?").waitFor();
      other.assertNoFaults();
      await other.close();
    }
  });

  test("a definition that the leading tab is given changes no roles, and stays in force when the follower leads", async () => {
    const first = await Console.open(context, server.url, { storage: "redefined" });
    const second = await Console.open(context, server.url, { storage: "redefined" });
    await second.get("follower-banner").waitFor();
    await first.define((toml) => `${toml}
[profiles.critic]
model = "demo"
instructions = "You are a critic."

[[members]]
profile = "critic"
identity = "vera"
`);
    await first.leads();
    await first.member("vera").waitFor();
    await second.get("follower-banner").waitFor();
    await second.member("vera").waitFor();
    await first.close();
    await second.leads();
    await second.tab("definition");
    assert.match(await second.get("definition-text").inputValue(), /vera/);
    const { definition_changes } = await second.rpc<{ definition_changes: unknown[] }>("mobkit/status");
    assert.deepEqual(definition_changes, []);
    second.assertNoFaults();
    await second.close();
  });

  test("takes over in mid-turn: the work goes on there and is answered once", async () => {
    const first = await Console.open(context, server.url, { storage: "handover", pace: 30 });
    const second = await Console.open(context, server.url, { storage: "handover" });
    await second.get("follower-banner").waitFor();
    await first.say("Hand this over");
    await first.member("researcher", "running").waitFor();
    await second.get("take-over").click();
    await second.page.locator(`${id("mobkit-console")}[data-client-state="leader"]`).waitFor();
    await second.pace(5);
    await second.answers("Hand this over").waitFor();
    await second.rest();
    assert.equal(await second.answers("Hand this over").count(), 1);
  });
});
