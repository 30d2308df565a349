// A site whose page runs the cases of `module-cases.js`: modules in Web Workers and MCP servers, without a runtime around them. Its content
// security policy lets nothing make code at run time.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createServer as createSocket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const CASES = fileURLToPath(new URL("module-cases.js", import.meta.url));
const SERVER = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");
const POLICY = "default-src 'self' data: blob:; script-src 'self' 'wasm-unsafe-eval' blob:; connect-src *";

/** The scripts of the workers; `/absent.js` is none of them. */
const WORKERS = {
  "/calc.js": `
    import { serveModule } from "/dist/modules/module-worker.js";
    let context;
    serveModule({
      start(given) { context = given; context.emit({ event_type: "started", payload: { where: "worker" } }); },
      listTools: async () => [{ name: "add", description: "Adds", inputSchema: { type: "object", properties: { a: { type: "number" }, b: { type: "number" } } } }],
      callTool(name, args, { signal, identity }) {
        switch (name) {
          case "add": return { sum: args.a + args.b, identity };
          case "throw": throw new RangeError("out of range");
          case "bigint": return 5n;
          case "wait": return new Promise((resolve) => {
            context.emit({ event_type: "waiting", payload: null });
            signal.addEventListener("abort", () => { context.emit({ event_type: "aborted", payload: null }); resolve("aborted"); });
          });
          case "close": self.close(); return new Promise(() => {});
          case "uncaught": setTimeout(() => { throw new Error("boom"); }); return new Promise(() => {});
          case "rejection": Promise.reject(new Error("nobody cares")); return new Promise(() => {});
          case "fail": context.fail("worn out"); return new Promise(() => {});
        }
        throw Object.assign(new Error("no tool " + name), { name: "ToolNotFound" });
      },
      stop() { if (context.slow) return new Promise(() => {}); },
    });`,
  // One that is not ready when its first message might come.
  "/late.js": `
    import { serveModule } from "/dist/modules/module-worker.js";
    await new Promise((resolve) => setTimeout(resolve, 100));
    serveModule({ listTools: () => [{ name: "late" }], callTool: () => "late" });`,
  "/broken.js": "this is no script",
};

/** Serves the page; `run` of a browser calls a case by its name there. */
export class ModuleSite {
  static async open() {
    assert.ok(existsSync(join(DIST, "index.js")), "www/sdk/dist is not built: run `cargo xtask build` first");
    const site = new ModuleSite();
    const { outputFiles } = await esbuild.build({
      stdin: { contents: `export { mcpModule } from "./modules/mcp.js";`, resolveDir: DIST }, bundle: true, format: "esm", target: "es2022", write: false, logLevel: "error",
    });
    const scripts = { "/mcp.js": outputFiles[0].text, "/module-cases.js": readFileSync(CASES), ...WORKERS };
    site.server = createServer((request, response) => {
      const { pathname } = new URL(request.url, "http://host");
      const send = (type, body) => response.writeHead(200, { "content-type": type, "content-security-policy": POLICY }).end(body);
      if (pathname === "/") return send("text/html", `<!doctype html><title>modules</title><link rel="icon" href="data:,"><script type="module" src="/module-cases.js"></script>`);
      if (Object.hasOwn(scripts, pathname)) return send("text/javascript", scripts[pathname]);
      const path = join(DIST, pathname.replace(/^\/dist\//, ""));
      if (!pathname.startsWith("/dist/") || !path.startsWith(DIST) || !existsSync(path)) return response.writeHead(404).end();
      send(path.endsWith(".wasm") ? "application/wasm" : "text/javascript", readFileSync(path));
    });
    await new Promise((resolve) => site.server.listen(0, "127.0.0.1", resolve));
    site.origin = `http://127.0.0.1:${site.server.address().port}`;
    return site;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** The reference server of MCP, over Streamable HTTP, always on the same port. */
export class EverythingServer {
  static async start() {
    const server = new EverythingServer();
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}/mcp`;
    await server.restart();
    return server;
  }

  async restart() {
    this.posts = 0;
    this.child = spawn(process.execPath, [SERVER, "streamableHttp"], { env: { ...process.env, PORT: String(this.port) }, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout.on("data", (text) => { this.posts += String(text).split("MCP POST request").length - 1; });
    await new Promise((resolve, reject) => {
      let said = "";
      this.child.stderr.on("data", (text) => {
        said += text;
        if (said.includes("listening")) resolve();
      });
      this.child.once("exit", (code) => reject(new Error(`the MCP server ended with ${code}: ${said}`)));
    });
  }

  /** Kills it, and resolves when it is gone. */
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await gone;
  }
}

async function freePort() {
  const socket = createSocket();
  await new Promise((resolve) => socket.listen(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

/** Waits for what comes about elsewhere. */
export async function until(condition, what) {
  for (let i = 0; !(await condition()); i++) {
    assert.ok(i < 1_500, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
