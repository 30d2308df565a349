// The contract's golden files against the package in a page of Firefox.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { goldenScenarios } from "../../edge/support/golden-files.ts";
import { Firefox } from "../support/firefox.ts";
import { serveGoldenPage } from "../support/golden-page.ts";
import type { Server } from "../support/server.ts";

describe("golden files in Firefox", () => {
  let server: Server;
  let firefox: Firefox;

  before(async () => {
    server = await serveGoldenPage();
    firefox = await Firefox.start();
    await firefox.goto(server.url);
  });
  after(async () => {
    await firefox?.close();
    server?.close();
  });

  for (const scenario of goldenScenarios()) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      assert.equal(await firefox.run((given) => globalThis.golden(given), JSON.stringify(scenario)), "");
    });
  }
});
