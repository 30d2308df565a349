// The packed package, installed from its tarball and run in Chromium: under Vite (dev server and build), esbuild, and as a
// plain module script. Needs `cargo xtask build` before.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { chromium } from "playwright-core";
import * as vite from "vite";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../../target/npm/", import.meta.url));
const EXPECTED = {
  page: { status: "completed", answered: true, kinds: ["mob_created", "member_spawned"], unknown: "member_not_found" },
  worker: { state: "leader", interaction: "string", ended: true, members: 1 },
};

let base;
let tarball;
let browser;

before(async () => {
  assert.ok(existsSync(join(PACKAGE, "package.json")), "target/npm is not there: run `cargo xtask build` first");
  base = mkdtempSync(join(tmpdir(), "mobkit-bundlers-"));
  tarball = join(base, npm(PACKAGE, "pack", "--pack-destination", base).trim().split("\n").at(-1));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
});

after(async () => {
  await browser?.close();
  if (base) rmSync(base, { recursive: true, force: true });
});

test("Vite, dev server", async () => {
  const root = project("vite");
  const server = await vite.createServer({ root, configFile: false, logLevel: "error", server: { port: 0, host: "127.0.0.1" } });
  await server.listen();
  try {
    assert.deepEqual(await shown(server.resolvedUrls.local[0]), EXPECTED);
  } finally {
    await server.close();
  }
});

test("Vite, build", async () => {
  const root = project("vite");
  await vite.build({ root, configFile: false, logLevel: "error", build: { target: "es2022" }, worker: { format: "es" } });
  assert.deepEqual(await served(join(root, "dist")), EXPECTED);
});

test("esbuild", async () => {
  const root = project("esbuild");
  await esbuild.build({
    absWorkingDir: root, entryPoints: ["main.js", "worker.js"], bundle: true, format: "esm", target: "es2022", minify: true,
    outdir: "out", loader: { ".wasm": "file" }, logLevel: "error",
  });
  cpSync(join(root, "index.html"), join(root, "out/index.html"));
  assert.deepEqual(await served(join(root, "out")), EXPECTED);
});

test("plain module script", async () => {
  assert.deepEqual(await served(project("plain")), EXPECTED);
});

/** A project of its own with the package installed from the tarball. */
function project(name) {
  const root = mkdtempSync(join(base, `${name}-`));
  cpSync(join(HERE, "fixture", name), root, { recursive: true });
  cpSync(join(HERE, "fixture/mob.js"), join(root, "mob.js"));
  writeFileSync(join(root, "package.json"), JSON.stringify({ name: "downstream", private: true, type: "module" }));
  npm(root, "install", "--offline", "--no-audit", "--no-fund", tarball);
  return root;
}

function npm(cwd, ...args) {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** What a page in a folder shows. */
async function served(folder) {
  const server = createServer((request, response) => {
    const path = join(folder, new URL(request.url, "http://host").pathname.replace(/\/$/, "/index.html"));
    if (!path.startsWith(folder) || !existsSync(path)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
    response.end(readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await shown(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** What the page shows, in a context of its own. */
async function shown(url) {
  const context = await browser.newContext();
  const said = [];
  try {
    const page = await context.newPage();
    page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => said.push(`uncaught: ${error}`));
    page.on("requestfailed", (request) => said.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
    await page.goto(url);
    // A text is here when it is there: Vite's dev server may load the page anew at any time, when it has found what to bundle.
    const text = await page.waitForFunction(() => globalThis.shown && JSON.stringify(globalThis.shown), undefined, { timeout: 60_000 })
      .catch((error) => assert.fail(`${error}\n${said.join("\n")}`));
    const { result, error } = JSON.parse(await text.jsonValue());
    assert.equal(error, undefined, said.join("\n"));
    return result;
  } finally {
    await context.close();
  }
}
