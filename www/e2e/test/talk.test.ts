// The main job: a message to the lead sets off work among wired members and ends in an answer, and a reload changes nothing.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { closeTabs, Console, observe, readStored, until } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("the demo mob", () => {
  let server: Server;
  let recording: Recording;
  let profile: Profile;
  let context: BrowserContext;

  before(async () => {
    server = await startServer();
    recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
  });
  afterEach(async () => {
    await closeTabs(context);
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  test("answers a message to the lead, and everything is as before after a reload", async () => {
    const console = await Console.open(context, server.url, { pace: 15 });
    // States pass quickly: who waits for them one after the other misses some.
    const seen = Promise.all(["lead", "researcher", "writer"].map((member) => console.member(member, "running").waitFor()));
    await console.say("Plan a small garden");
    await seen;
    await console.answers("Plan a small garden").waitFor();
    await console.rest();
    const chat = console.get("chat-events");
    assert.equal(await chat.locator('[data-kind="user"]').count(), 1);
    assert.equal(await chat.locator('[data-kind="tool"][data-tool="send_message"][data-status="done"]').count(), 2);
    assert.deepEqual(await chat.locator('[data-kind="peer"] header').allTextContents().then((all) => all.map((text) => /researcher|writer/.exec(text.toLowerCase())?.[0]).sort()), ["researcher", "writer"]);
    assert.match((await console.get("chat-tokens").textContent()) ?? "", /\d/);
    assert.match((await console.get("activity-feed").textContent()) ?? "", /researcher/i);
    const before = await console.sight();
    assert.equal(before.wiring, "3 2");
    assert.ok(before.ledger.length > 3 && before.cursors.mob >= before.ledger.length);
    assert.equal(before.chats["researcher"]?.filter((item) => item.startsWith("peer:")).length, 1);

    await console.reload();
    await console.rest();
    const after = await console.sight();
    // The browser gave no notice, so numbers that were reserved and never shown are skipped.
    assert.ok(after.cursors.events >= before.cursors.events);
    assert.deepEqual({ ...after, cursors: { ...after.cursors, events: before.cursors.events } }, before);
    console.assertNoFaults();
    recording.assertStored(await readStored(context, server.url));
  });

  test("goes on after a reload in mid-turn, and answers exactly once", async () => {
    const console = await Console.open(context, server.url, { pace: 30 });
    const task = "Compare two bicycles";
    const working = console.member("researcher", "running").waitFor();
    await console.say(task);
    await working;
    await console.reload();
    await console.pace(5);
    await console.answers(task).waitFor();
    await console.rest();
    const [input] = [...recording.events.values()].filter((event) => event.event.event_type === "user_input" && JSON.stringify(event).includes(task));
    assert.ok(input?.event.kind === "agent");
    const interaction = input.event.payload?.interaction_id ?? "";
    await until("the interaction completes", () => recording.of(interaction, "interaction_complete").length > 0);
    assert.equal(recording.of(interaction, "user_input").length, 1);
    assert.equal(recording.of(interaction, "interaction_complete").length, 1);
    const stored = await readStored(context, server.url);
    const finals = stored.session.filter((entry) => entry.interaction_id === interaction && entry.message.role === "assistant" && entry.message.text?.includes(`Here is our answer to “${task}”`));
    assert.equal(finals.length, 1);
    assert.equal(stored.interaction.find((entry) => entry.interaction_id === interaction)?.status, "completed");
    console.assertNoFaults();
  });
});
