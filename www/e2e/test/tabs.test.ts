// Two tabs on one mob: the second follows and says so, and takes over when asked to.

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

    // The tab that leads goes: the other can lead again.
    await second.rest();
    second.assertNoFaults();
    await second.close();
    await first.get("take-over").click();
    await first.page.locator(`${id("mobkit-console")}[data-client-state="leader"]`).waitFor();
    await first.pace(5);
    await first.say("From the first tab again");
    await first.answers("From the first tab again").waitFor();
    first.assertNoFaults();
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
