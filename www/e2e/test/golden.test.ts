// The contract's golden files against the package in a page of Chromium.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { goldenScenarios } from "../../edge/support/golden-files.ts";
import { Profile } from "../support/browser.ts";
import { serveGoldenPage } from "../support/golden-page.ts";
import type { Server } from "../support/server.ts";

describe("golden files in Chromium", () => {
  const profile = new Profile();
  let server: Server;
  let page: Page;

  before(async () => {
    server = await serveGoldenPage();
    page = await (await profile.launch()).newPage();
    await page.goto(server.url);
  });
  after(async () => {
    await profile.remove();
    server?.close();
  });

  for (const scenario of goldenScenarios()) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      assert.equal(await page.evaluate((given) => globalThis.golden(given), JSON.stringify(scenario)), "");
    });
  }
});
