// A site of mobs with modules for the tests: the page of `modules-in-page.ts`, the script of a module in a Web Worker, a door that counts who
// went through it, and a webhook of another origin.

import { readFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import type { Firefox } from "./firefox.ts";
import type { Site } from "./modules-in-page.ts";

const DIST = new URL("../../sdk/dist/", import.meta.url);
const PACKAGE = /^\/dist\/((?:modules\/)?[\w-]+\.(?:js|wasm))$/;
const TYPES: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><title>modules</title><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"mobkit-web": "/dist/index.js"}}</script>
<script type="module" src="/modules.js"></script>`;
/** `wait` and `close` say that they were called, for a test to know, and never answer. */
const CALC = `
  import { serveModule } from "/dist/modules/module-worker.js";
  let context;
  serveModule({
    start(given) { context = given; },
    listTools: () => [{ name: "add", description: "Adds" }, { name: "wait" }, { name: "close" }, { name: "close.later" }],
    callTool(name, { a, b }, { identity }) {
      switch (name) {
        case "add": return { sum: a + b, identity };
        case "wait": context.emit({ event_type: "waiting", payload: null }); return new Promise(() => {});
        case "close": self.close(); return new Promise(() => {});
        case "close.later": setTimeout(() => self.close(), 100); return "soon";
      }
    },
  });`;

/** How long anything may take on a busy machine. */
const WAIT_MS = 60_000;

export class ModulesSite {
  /** How often the members' tool `pay` has paid, over all lives of all pages. */
  paid = 0;

  private constructor(
    readonly url: string,
    readonly close: () => void,
  ) {}

  static async start(): Promise<ModulesSite> {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("modules-in-page.ts", import.meta.url))],
      bundle: true, write: false, format: "esm", target: "es2022", external: ["mobkit-web"], alias: { "mobkit-web/mcp": fileURLToPath(new URL("modules/mcp.js", DIST)) },
      logLevel: "warning",
    });
    const scripts: Record<string, string | undefined> = { "/modules.js": outputFiles[0]?.text, "/calc.js": CALC };
    let site: ModulesSite;
    const { url, close } = await listen(({ method, url = "/" }, response) => {
      const send = (type: string, body: string | Uint8Array): void => void response.writeHead(200, { "content-type": type }).end(body);
      const file = PACKAGE.exec(url)?.[1];
      if (url === "/") return send("text/html", PAGE);
      if (url === "/elsewhere") return send("text/html", "<!doctype html><title>elsewhere</title>");
      if (scripts[url] !== undefined) return send("text/javascript", scripts[url]);
      if (url === "/paid" && method === "POST") {
        site.paid += 1;
        return send("text/plain", `paid ${site.paid}`);
      }
      if (file === undefined) return void response.writeHead(404).end();
      readFile(new URL(file, DIST)).then(
        (bytes) => send(TYPES[extname(file)]!, bytes),
        (error: unknown) => response.writeHead(404).end(String(error)),
      );
    });
    site = new ModulesSite(url, close);
    return site;
  }
}

/** Something that webhooks are posted to, of an origin of its own. */
export class Hook {
  readonly posts: { path: string; headers: IncomingHttpHeaders; body: any }[] = [];
  /** What the next posts are answered with; 200 when there is none. */
  statuses: number[] = [];
  /** Whether pages of other origins may post here. */
  readonly open = "/open";

  private constructor(
    readonly url: string,
    readonly close: () => void,
  ) {}

  static async start(): Promise<Hook> {
    let hook: Hook;
    const { url, close } = await listen((request, response) => {
      const path = request.url ?? "";
      // Below another path there is no word of CORS.
      if (path.startsWith(hook.open)) {
        response.setHeader("access-control-allow-origin", "*");
        response.setHeader("access-control-allow-headers", "content-type, idempotency-key");
      }
      if (request.method === "OPTIONS") return void response.writeHead(204).end();
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        hook.posts.push({ path, headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
        response.writeHead(hook.statuses.shift() ?? 200).end();
      });
    });
    hook = new Hook(url, close);
    return hook;
  }
}

async function listen(answer: RequestListener): Promise<{ url: string; close: () => void }> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** A page of the site, in whichever browser. */
export class Tab {
  constructor(
    private readonly browser: {
      run(name: string, args: unknown[]): Promise<unknown>;
      /** Leaves the page, with all that runs in it. */
      leave(): Promise<void>;
      /** Opens it. */
      come(): Promise<void>;
      reload(): Promise<void>;
    },
  ) {}

  /** A tab of Chromium. */
  static async inChromium(newPage: () => Promise<Page>, url: string): Promise<Tab> {
    let page: Page;
    const tab = new Tab({
      run: (name, args) => page.evaluate(async ([name, args]) => {
        for (let waited = 0; !globalThis.site && waited < 30_000; waited += 10) await new Promise((resolve) => setTimeout(resolve, 10));
        return (globalThis.site[name as "call"] as (...args: unknown[]) => unknown)(...args);
      }, [name, args] as const),
      leave: () => page.close(),
      come: async () => {
        page = await newPage();
        await page.goto(url);
      },
      reload: async () => { await page.reload(); },
    });
    await tab.come();
    return tab;
  }

  /** The tab of Firefox. */
  static async inFirefox(firefox: Firefox, url: string): Promise<Tab> {
    const tab = new Tab({
      run: (name, args) => firefox.run(async (name, args) => {
        for (let waited = 0; !globalThis.site && waited < 30_000; waited += 10) await new Promise((resolve) => setTimeout(resolve, 10));
        return await (globalThis.site[name as "call"] as (...args: unknown[]) => unknown)(...args) ?? null;
      }, name, args),
      leave: () => firefox.goto(`${url}/elsewhere`),
      come: () => firefox.goto(url),
      reload: () => firefox.reload(),
    });
    await tab.come();
    return tab;
  }

  /** Does something in the page. */
  async run<Name extends keyof Site>(name: Name, ...args: Parameters<Site[Name]>): Promise<Awaited<ReturnType<Site[Name]>>> {
    return (await this.browser.run(name, args)) as Awaited<ReturnType<Site[Name]>>;
  }

  leave(): Promise<void> {
    return this.browser.leave();
  }

  come(): Promise<void> {
    return this.browser.come();
  }

  reload(): Promise<void> {
    return this.browser.reload();
  }

  /** Waits until what a method answers is as it ought to be, and returns it. */
  async until<T = any>(method: string, ready: (answer: T) => boolean, params: object = {}): Promise<T> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const answer = (await this.run("call", method, params)) as T;
      if (ready(answer)) return answer;
      if (Date.now() > end) throw new Error(`not within ${WAIT_MS / 1000} s: ${method} ${ready}, but ${JSON.stringify(answer)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
