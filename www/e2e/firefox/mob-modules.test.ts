// Modules in the hands of members in Firefox: what `test/modules.test.ts` asks of Chromium, without the kills and the second tab.

import { after, before, test } from "node:test";
import { EverythingServer } from "../../sdk/browser/module-site.mjs";
import { Firefox } from "../support/firefox.ts";
import { checkHeld, checkMcp, checkMissed, checkWorker, checkZones } from "../support/modules-checks.ts";
import { ModulesSite, Tab } from "../support/modules.ts";

const LIMIT = { timeout: 180_000 };

let site: ModulesSite | undefined;
let firefox: Firefox;
let tab: Tab;

before(async () => {
  site = await ModulesSite.start();
  firefox = await Firefox.start();
  tab = await Tab.inFirefox(firefox, site.url);
});
after(async () => {
  await firefox?.close();
  site?.close();
});

test("a server of MCP gives tools to a member; killed and started again it is found again", LIMIT, async () => {
  const server = await EverythingServer.start();
  try {
    await checkMcp(tab, server, "mcp");
  } finally {
    await server.kill();
  }
});

test("a worker that is terminated or closes itself fails its callers, is started again, and works", LIMIT, async () => {
  await tab.reload();
  await checkWorker(tab, "worker");
});

test("a held call survives a reload: approved it is made once, rejected the model is told", LIMIT, async () => {
  await checkHeld(tab, site!, "held", () => tab.reload());
});

test("what a schedule was due for while the page was left is heard once", LIMIT, async () => {
  await checkMissed(tab, "missed", async (work) => {
    await tab.leave();
    await work();
    await tab.come();
  });
});

test("time zones are those of the browser", LIMIT, async () => {
  await checkZones(tab, "zones");
});
