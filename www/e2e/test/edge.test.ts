// Chromium against mobs in a real workerd, with tokens of an identity provider: the console, and the browser's own reader of event streams.

import assert from "node:assert/strict";
import { createServer, type Server as PageServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Issuer } from "../../edge/support/issuer.ts";
import { Mobs, until } from "../../edge/support/mobs.ts";
import { Workerd } from "../../edge/support/workerd.ts";
import { Profile } from "../support/browser.ts";
import { closeTabs, Console, id } from "../support/console.ts";
import { type Server, startServer } from "../support/server.ts";

/** What the browser notes while the server is gone, and before anybody has signed in. */
const EXPECTED = /status of 401|net::ERR_|network error/i;

/** A page of a site of its own, with nothing on it. */
async function blankSite(): Promise<{ url: string; close(): void }> {
  const server: PageServer = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>blank</title>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

describe("mobs at the edge, in Chromium", () => {
  let server: Server;
  let site: Awaited<ReturnType<typeof blankSite>>;
  let issuer: Issuer;
  let workerd: Workerd;
  let profile: Profile;
  let context: BrowserContext;
  let token = "";
  const mobs = (): Mobs => new Mobs(() => workerd.url, token, () => workerd.said);

  before(async () => {
    server = await startServer();
    site = await blankSite();
    issuer = await Issuer.start();
    token = await issuer.token();
    const origins = [new URL(server.url).origin, site.url].join(" ");
    workerd = await Workerd.start("doors", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { ISSUER: issuer.url, ORIGINS: origins } });
    profile = new Profile();
    context = await profile.launch();
  });
  after(async () => {
    if (context) await closeTabs(context);
    await profile?.remove();
    workerd?.close();
    await issuer?.close();
    site?.close();
    server?.close();
  });

  test("the console works with a mob in a Durable Object, and goes on when its process was killed", async () => {
    await mobs().make("garden");
    const console = await Console.visit(context, `${server.url}?runtime=${encodeURIComponent(`${workerd.url}/mobs/garden`)}`);
    const panel = console.get("sign-in");
    await panel.getByLabel("Token").fill(await issuer.token({ sub: "robot" }, { expires: 1 }));
    await panel.getByRole("button", { name: "Sign in" }).click();
    await console.page.locator(`${id("sign-in-reason")}[data-code="expired_token"]`).waitFor();
    await panel.getByLabel("Token").fill(token);
    await panel.getByRole("button", { name: "Sign in" }).click();
    await console.ready();
    await console.say("Plan a small garden");
    await console.answers("Plan a small garden").waitFor();
    await console.rest();
    await workerd.killAndRestart();
    await console.page.locator(`${id("runtime")}[data-connection="connected"]`).waitFor();
    await console.say("And a pond");
    await console.answers("And a pond").waitFor();
    assert.equal(await console.answers("Plan a small garden").count(), 1);
    assert.equal(await console.get("chat-events").locator('[data-kind="user"]').count(), 2);
    console.assertNoFaults(EXPECTED);
  });

  test("an EventSource reads a stream on from where it was, over the death of the process", async () => {
    await mobs().make("stream");
    const first = await mobs().send("stream", "Plan a hedge");
    await mobs().outcome("stream", first);
    const page = await context.newPage();
    await page.goto(site.url);
    await page.evaluate((url) => {
      const seen: string[] = [];
      const source = new EventSource(url);
      source.addEventListener("console_frame", (event) => seen.push((event as MessageEvent).lastEventId));
      Object.assign(globalThis, { seen, source });
    }, `${workerd.url}/mobs/stream/console/timeline/stream?limit=1000&auth_token=${token}`);
    const seen = (): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
    const all = async (): Promise<string[]> => (await mobs().json("/mobs/stream/console/timeline?mode=recent&limit=1000")).frames.filter((frame: any) => frame.kind !== "frame_updated").map((frame: any) => frame.cursor);
    const is = (what: string): Promise<void> => until(what, async () => {
      const [has, wanted] = [await seen(), await all()];
      return has.length >= wanted.length;
    });
    await is("the snapshot is read");
    await workerd.killAndRestart();
    const second = await mobs().send("stream", "Plan a path");
    await mobs().outcome("stream", second);
    await is("it has read on");
    const [has, wanted] = [await seen(), await all()];
    assert.deepEqual(has, wanted, "every frame once, in order");
    await page.evaluate(() => (globalThis as unknown as { source: EventSource }).source.close());
    const refused = await page.evaluate((url) => new Promise<number>((resolve) => {
      const source = new EventSource(url);
      source.onerror = () => resolve(source.readyState);
    }), `${workerd.url}/mobs/stream/console/timeline/stream?auth_token=bad`);
    assert.equal(refused, 2, "without a good token it is closed, and does not try again");
    await page.close();
  });
});
