// Modules in Web Workers and MCP servers in Firefox: the cases of `www/sdk/browser`, where Chromium runs them.

import { after, before, test } from "node:test";
import { mcpChecks, workerChecks } from "../../sdk/browser/module-checks.mjs";
import { ModuleSite } from "../../sdk/browser/module-site.mjs";
import { Firefox } from "../support/firefox.ts";

interface InPage {
  loaded: Promise<void>;
  cases: Record<string, Record<string, (...args: unknown[]) => Promise<unknown>>>;
}

let site: ModuleSite | undefined;
let firefox: Firefox;

before(async () => {
  site = await ModuleSite.open();
  firefox = await Firefox.start();
  await firefox.goto(site.origin);
});
after(async () => {
  await firefox?.close();
  site?.close();
});

const run = (group: string, name: string, ...args: unknown[]): Promise<unknown> => firefox.run(async (group, name, args) => {
  const page = globalThis as unknown as InPage;
  await page.loaded;
  return await page.cases[group]![name]!(...args);
}, group, name, args);

for (const [name, check] of Object.entries({ ...workerChecks, ...mcpChecks })) test(name, { timeout: 120_000 }, () => check(run));
