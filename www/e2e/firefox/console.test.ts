// The console in Firefox: the main job, a reload, the way back to a page that was left, and a second tab.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Firefox } from "../support/firefox.ts";
import { type Server, startServer } from "../support/server.ts";

const id = (name: string): string => `[data-testid="${name}"]`;
const ready = (state: string): string => `${id("mobkit-console")}[data-boot="ready"][data-client-state="${state}"]`;
const AT_REST = `${id("sidebar-list")}:has([data-identity]):not(:has([data-identity]:not([data-state="idle"], [data-state="dormant"])))`;

describe("the console in Firefox", () => {
  let server: Server;
  let firefox: Firefox;

  before(async () => {
    server = await startServer();
    firefox = await Firefox.start();
    await firefox.goto(server.url);
  });
  after(async () => {
    await firefox?.close();
    server?.close();
  });

  async function leads(): Promise<void> {
    await firefox.find(ready("leader"));
    await firefox.find(`${id("chat-inspector")}[data-identity="lead"]`);
  }

  async function say(text: string): Promise<void> {
    await (await firefox.find(`${id("chat-form")} textarea:enabled`)).type(`${text}\uE007`);
  }

  /** Waits until there are that many answers and nobody works, and reads the chat. */
  async function answered(count: number): Promise<string> {
    await firefox.find(`${id("chat-events")}:has(:nth-child(${count} of [data-kind="assistant"][data-open="false"]))`);
    await firefox.find(AT_REST);
    return await (await firefox.find(id("chat-events"))).text();
  }

  /** Nothing has gone wrong that the page tells of. */
  async function assertNoTrouble(): Promise<void> {
    assert.deepEqual(await firefox.run(() => [...document.querySelectorAll(".problem, .banner-warn")].map((element) => element.textContent)), []);
  }

  test("answers a message to the lead", async () => {
    await leads();
    await say("Plan a small garden");
    await firefox.find(`${id("sidebar-list")} [data-identity="researcher"][data-state="running"]`);
    assert.match(await answered(3), /Here is our answer to “Plan a small garden”/);
    await assertNoTrouble();
  });

  test("has everything after a reload, and goes on", async () => {
    const before = await answered(3);
    await firefox.reload();
    await leads();
    assert.equal(await answered(3), before);
    await say("And a pond");
    assert.match(await answered(6), /Here is our answer to “And a pond”/);
    await assertNoTrouble();
  });

  test("is whole when a person goes back to it", async () => {
    const before = await answered(6);
    // Firefox looks for locks before it tells the page that it is left: it keeps no page that has used one, and loads it anew.
    await firefox.goto(`${server.url}favicon.svg`);
    await firefox.back();
    await leads();
    assert.equal(await answered(6), before);
    await assertNoTrouble();
  });

  test("a second tab follows, and leads when the first is closed", async () => {
    const first = await firefox.tab();
    const second = await firefox.newTab();
    await firefox.goto(server.url);
    await firefox.find(ready("follower"));
    const before = await answered(6);
    await firefox.inTab(first);
    await firefox.closeTab();
    await firefox.inTab(second);
    await leads();
    assert.equal(await answered(6), before);
    await say("And a bench");
    assert.match(await answered(9), /Here is our answer to “And a bench”/);
    await assertNoTrouble();
  });
});
