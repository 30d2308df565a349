// Modules in Chromium; those of MCP servers in Node as well. In Firefox they are tried by `www/e2e/firefox`.

import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { mcpCases } from "./module-cases.js";
import { mcpChecks, workerChecks } from "./module-checks.mjs";
import { ModuleSite } from "./module-site.mjs";

describe("in Chromium", () => {
  let site;
  let browser;
  let page;
  before(async () => {
    site = await ModuleSite.open();
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    page = await browser.newPage();
    await page.goto(site.origin);
    await page.evaluate(() => globalThis.loaded);
  });
  after(async () => {
    await browser?.close();
    site?.close();
  });
  const run = (group, name, ...args) => page.evaluate(([group, name, args]) => globalThis.cases[group][name](...args), [group, name, args]);
  for (const [name, check] of Object.entries({ ...workerChecks, ...mcpChecks })) test(name, { timeout: 60_000 }, () => check(run));
});

describe("in Node", () => {
  let cases;
  before(async () => { cases = mcpCases((await import("../dist/modules/mcp.js")).mcpModule); });
  for (const [name, check] of Object.entries(mcpChecks)) test(name, { timeout: 60_000 }, () => check((_, name, ...args) => cases[name](...args)));
});
