// A Chromium on a persistent profile and a page that has the built package under /dist/.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm" };
const PAGES = {
  "/": ["text/html", `<!doctype html><title>mobkit-web</title><link rel="icon" href="data:,">`],
  "/elsewhere": ["text/html", "<!doctype html><title>elsewhere</title>"],
  "/worker.js": ["text/javascript", `import { serveRuntime } from "/dist/worker.js"; serveRuntime(self);`],
};

/** One member, who answers with the model `m`. */
export const DEFINITION = `
[mob]
id = "tested"
[profiles.lead]
model = "m"
[profiles.other]
model = "m"
[[members]]
profile = "lead"
identity = "lead"
`;

/** A browser and a site; `page()` gives a tab with `mobkit`, `client`, `DEFINITION` and helpers as globals. */
export class Harness {
  static async open() {
    assert.ok(existsSync(join(DIST, "mobkit_web_glue.js")), "www/sdk/dist has no wasm: run `cargo xtask build` first");
    const harness = new Harness();
    harness.profile = mkdtempSync(join(tmpdir(), "mobkit-sdk-"));
    harness.server = createServer(answer);
    await new Promise((resolve) => harness.server.listen(0, "127.0.0.1", resolve));
    harness.origin = `http://127.0.0.1:${harness.server.address().port}`;
    harness.context = await chromium.launchPersistentContext(harness.profile, {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
      ignoreDefaultArgs: ["--disable-back-forward-cache"],
    });
    return harness;
  }

  /** A tab; `first` runs in it before everything else. */
  async page(first) {
    const page = await this.context.newPage();
    if (first) await page.addInitScript(first);
    page.said = [];
    page.on("console", (message) => page.said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => page.said.push(`uncaught: ${error.stack}`));
    await page.addInitScript(prepare, DEFINITION);
    await page.goto(this.origin);
    await page.evaluate(() => globalThis.loaded);
    return page;
  }

  async close() {
    await this.context?.close();
    this.server?.closeAllConnections();
    this.server?.close();
    if (this.profile) rmSync(this.profile, { recursive: true, force: true });
  }
}

function answer(request, response) {
  const { pathname } = new URL(request.url, "http://host");
  // Asked and never answered.
  if (pathname.startsWith("/hangs/")) return;
  const page = PAGES[pathname];
  if (page) return response.writeHead(200, { "content-type": page[0] }).end(page[1]);
  const path = join(DIST, pathname.replace(/^\/dist\//, ""));
  if (!pathname.startsWith("/dist/") || !path.startsWith(DIST) || !existsSync(path)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(readFileSync(path));
}

/** Runs in the page, before anything else. */
function prepare(definition) {
  globalThis.DEFINITION = definition;
  globalThis.loaded = (async () => {
    globalThis.mobkit = await import("/dist/index.js");
    globalThis.client = await import("/dist/client.js");
  })();

  /** A model that answers what `reply` makes of the request: text, or a list of deltas. */
  globalThis.scripted = (reply) => ({
    provider: "scripted",
    async *stream(request, options) {
      const answer = await reply(request, options);
      if (typeof answer !== "string") return yield* answer;
      yield { type: "text", text: answer };
      yield { type: "stop", reason: "end_turn" };
    },
  });

  /** A builder with a model that repeats the last message. */
  globalThis.builder = (storage = mobkit.memory()) => mobkit.UnifiedRuntime.builder()
    .definition(DEFINITION)
    .storage(storage)
    .model("m", scripted((request) => `echo: ${request.messages.at(-1).content}`));

  /** Reads a stream to its end; fails as the stream fails (`Response.text` would hide the reason). */
  globalThis.drained = async (stream) => {
    const reader = stream.getReader();
    while (!(await reader.read()).done);
  };

  /** The code of what a promise is rejected with. */
  globalThis.codeOf = (promise) => Promise.resolve(promise).then(() => "resolved", (error) => typeof error.code === "string" ? error.code : error.name);

  globalThis.until = async (condition) => {
    for (let i = 0; !(await condition()); i++) {
      if (i === 500) throw new Error(`waited in vain for ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  /** Makes the next use of randomness panic in the wasm: the one thing that a page can break from outside. */
  globalThis.breakRandomness = () => {
    crypto.getRandomValues = function () {
      delete crypto.getRandomValues;
      throw new Error("no randomness");
    };
  };
}
