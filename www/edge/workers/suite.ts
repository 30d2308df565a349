// A worker that runs the crate's suites: `GET /cases` names them, `GET /run/{case}` runs one. A request has an instance of its own,
// for what belongs to one request must not be touched by another. Cases of storage (`/storage/…`) run in a Durable Object each, over
// its storage.

import { DurableObject } from "cloudflare:workers";
import { durableObjectDriver } from "mobkit-web/cloudflare";
import { createInstance } from "../build/suite/mobkit_web_edge_glue.js";
import module from "../build/suite/mobkit_web_edge_bg.wasm";

interface Suite {
  initSync(options: { module: WebAssembly.Module }): void;
  cases(): string[];
  run(name: string, onPanic: (message: string) => void): Promise<void>;
  storageCases(): string[];
  runStorage(name: string, driver: object, onPanic: (message: string) => void): Promise<void>;
}

function instance(): Suite {
  const suite = createInstance({ WebAssembly, AbortController, navigator: globalThis.navigator }) as Suite;
  suite.initSync({ module });
  return suite;
}

/** `ok`, or why a case failed. */
async function outcome(run: (onPanic: (message: string) => void) => Promise<void>): Promise<Response> {
  try {
    await new Promise<void>((resolve, reject) => run((message) => reject(new Error(message))).then(resolve, reject));
  } catch (error) {
    return new Response(error instanceof Error ? error.message : String(error), { status: 500 });
  }
  return new Response("ok");
}

/** An object without rows. */
export class Rows extends DurableObject {
  override fetch(request: Request): Promise<Response> {
    const driver = durableObjectDriver((this.ctx as any).storage);
    return outcome((onPanic) => instance().runStorage(nameIn(request, "/storage/"), driver, onPanic));
  }
}

const nameIn = (request: Request, prefix: string): string => new URL(request.url).pathname.slice(prefix.length);

export default {
  async fetch(request: Request, env: { ROWS: any }): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/globals") return Response.json(globals());
    if (pathname === "/cases") return Response.json(instance().cases());
    if (pathname === "/storage") return Response.json(instance().storageCases());
    if (pathname.startsWith("/storage/")) return await env.ROWS.get(env.ROWS.newUniqueId()).fetch(request);
    return await outcome((onPanic) => instance().run(nameIn(request, "/run/"), onPanic));
  },
};

/** What kind of host this is. */
const globals = (): Record<string, string> => ({
  window: typeof window,
  document: typeof document,
  indexedDB: typeof indexedDB,
  Worker: typeof Worker,
  locks: typeof globalThis.navigator?.locks,
});
