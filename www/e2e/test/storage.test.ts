// Storage that is full, that another context upgrades, and that another context will not let go.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import type { BrowserContext, Page } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { closeTabs, Console, id, observe, readStored } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("storage", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let recording: Recording;

  before(async () => {
    server = await startServer();
    recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
  });
  afterEach(async () => {
    await closeTabs(context);
    recording.forget();
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  /** A document of the same origin with none of our code: the second real connection. */
  async function stranger(): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${server.url}nothing-is-here`);
    return page;
  }

  /**
   * Restarts the browser, with so many bytes of room for this site. The browser looks for the room at the first write and
   * then only now and again, so it must be small from the beginning.
   */
  async function restart(bytes: number): Promise<{ more(): Promise<void> }> {
    await profile.close();
    context = await profile.launch();
    const page = await stranger();
    // The setting holds as long as the session.
    const session = await context.newCDPSession(page);
    const origin = new URL(server.url).origin;
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: bytes });
    return { more: () => session.send("Storage.overrideQuotaForOrigin", { origin }).then(() => page.close()) };
  }

  test("a full one: the mob cannot start and says why, and with room again it is as it was", async () => {
    const before = await Console.open(context, server.url, { storage: "full", pace: 5 });
    await before.say("While there is room");
    await before.answers("While there is room").waitFor();
    await before.rest();
    const disk = await restart(1);
    const page = await context.newPage();
    await page.goto(`${server.url}?storage=full`);
    const failed = page.locator(id("start-failed"));
    await failed.getByText("The browser gives this page no more room").waitFor();
    await page.close();
    await disk.more();
    const console = await Console.open(context, server.url, { storage: "full", pace: 5 });
    await console.answers("While there is room").waitFor();
    await console.say("There is room again");
    await console.answers("There is room again").waitFor();
  });

  test("one that fills in the middle of the work: nothing is accepted that cannot be kept, and the work waits for room", async () => {
    await profile.remove();
    profile = new Profile((context) => observe(context, recording));
    const disk = await restart(300_000);
    const console = await Console.open(context, server.url, { storage: "filling", pace: 5 });
    const field = console.get("chat-form").locator("textarea");
    const refused = console.get("chat-form").locator('[role="alert"]').getByText("The browser gives this page no more room");
    const tasks: string[] = [];
    while (!(await refused.isVisible())) {
      assert.ok(tasks.length < 100, "the storage does not fill");
      tasks.push(`Task ${tasks.length + 1} while room runs out`);
      await field.fill(tasks.at(-1) ?? "");
      await field.press("Enter");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const last = tasks.pop() ?? "";
    assert.equal(await field.inputValue(), last, "what was not accepted is still there to be sent");
    const full = await readStored(context, server.url, "filling");
    assert.ok(!JSON.stringify(full).includes(last), "what was not accepted is not there");
    recording.assertStored(full);

    await disk.more();
    await field.press("Enter");
    await console.answers(last).waitFor({ timeout: 90_000 });
    await console.rest();
    const stored = await readStored(context, server.url, "filling");
    recording.assertStored(stored);
    assert.deepEqual(stored.interaction.map((entry) => entry.status), [...tasks, last].map(() => "completed"));
    for (const task of [...tasks, last]) {
      const answers = stored.session.filter((entry) => entry.message.role === "assistant" && entry.message.text?.includes(`Here is our answer to “${task}”`));
      assert.equal(answers.length, 1, task);
    }
  });

  test("one that a newer page upgrades: this page lets go at once, says so, and says why it cannot start", async () => {
    const console = await Console.open(context, server.url, { storage: "newer", pace: 5 });
    const other = await stranger();
    // `onblocked` would mean that the page did not let go.
    const outcome = await other.evaluate(() => new Promise<string>((resolve) => {
      const request = indexedDB.open("mobkit-web/newer", 99);
      request.onblocked = () => resolve("blocked");
      request.onerror = () => resolve(String(request.error));
      request.onsuccess = () => {
        request.result.close();
        resolve("upgraded");
      };
    }));
    assert.equal(outcome, "upgraded");
    await console.get("stopped-banner").waitFor();
    assert.equal(await console.get("chat-form").locator("textarea").isDisabled(), true);

    await console.get("stopped-banner").getByRole("button", { name: "Reload" }).click();
    await console.get("start-failed").getByText("A newer version of this page").waitFor();
    assert.match((await console.get("start-failed").textContent()) ?? "", /99/);

    await other.evaluate(() => new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase("mobkit-web/newer");
      request.onsuccess = resolve;
      request.onerror = reject;
    }));
    recording.forget();
    await console.get("start-failed").getByRole("button", { name: "Try again" }).click();
    await console.ready();
    await console.pace(5);
    await console.say("Begin once more");
    await console.answers("Begin once more").waitFor();
    await other.close();
  });

  test("one that another page holds on to: erasing says that it is blocked, and is done when that page lets go", async () => {
    const console = await Console.open(context, server.url, { storage: "held", pace: 5 });
    await console.say("Soon to be erased");
    await console.answers("Soon to be erased").waitFor();
    await console.rest();
    const other = await stranger();
    await other.evaluate(() => new Promise<void>((resolve) => {
      const request = indexedDB.open("mobkit-web/held");
      request.onsuccess = () => {
        // Deaf to `versionchange`, as an old page may be.
        (window as unknown as { held: IDBDatabase }).held = request.result;
        resolve();
      };
    }));
    await console.tab("storage");
    await console.get("storage-erase").click();
    await console.get("erase-confirm").fill("held");
    await console.page.getByRole("dialog").getByRole("button", { name: "Erase" }).click();
    await console.page.getByText("Another tab holds the storage open").first().waitFor();
    await other.close();
    await console.page.locator(`${id("stopped-banner")} button, ${id("start-failed")} button`).first().click();
    await console.ready();
    await console.tab("chat");
    assert.equal(await console.get("chat-events").locator("[data-kind]").count(), 0);
    assert.equal((await readStored(context, server.url, "held")).interaction.length, 0);
  });

  test("an export is every row, and an erased mob begins anew", async () => {
    const console = await Console.open(context, server.url, { storage: "taken-out", pace: 5 });
    await console.say("Keep this");
    await console.answers("Keep this").waitFor();
    await console.rest();
    await console.tab("storage");
    const downloading = console.page.waitForEvent("download");
    await console.get("storage-export").click();
    const stream = await (await downloading).createReadStream();
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    const rows = Buffer.concat(parts).toString("utf8").trim().split("\n").map((line) => JSON.parse(line) as { key: string; value: { message?: { text?: string } } | null });
    assert.ok(rows.some((row) => row.value?.message?.text?.includes("Here is our answer to “Keep this”")));

    await console.get("storage-erase").click();
    await console.get("erase-confirm").fill("taken-out");
    await console.page.getByRole("dialog").getByRole("button", { name: "Erase" }).click();
    await console.tab("chat");
    await console.ready();
    await console.get("chat-inspector").getByText("Say something to").waitFor();
    assert.equal((await readStored(context, server.url, "taken-out")).interaction.length, 0);
    console.assertNoFaults();
  });
});
