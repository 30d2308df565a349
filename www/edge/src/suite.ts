// A worker that runs the crate's suites: `GET /cases` names them, `GET /run/{case}` runs one. A request has an instance of its own,
// for what belongs to one request must not be touched by another.

import { createInstance } from "../build/suite/mobkit_web_edge_glue.js";
import module from "../build/suite/mobkit_web_edge_bg.wasm";

interface Suite {
  initSync(options: { module: WebAssembly.Module }): void;
  cases(): string[];
  run(name: string, onPanic: (message: string) => void): Promise<void>;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/globals") return Response.json(globals());
    const suite = createInstance({ WebAssembly, AbortController, navigator: globalThis.navigator }) as Suite;
    suite.initSync({ module });
    if (pathname === "/cases") return Response.json(suite.cases());
    const name = pathname.slice("/run/".length);
    try {
      await new Promise<void>((resolve, reject) => suite.run(name, (message) => reject(new Error(message))).then(resolve, reject));
    } catch (error) {
      return new Response(error instanceof Error ? error.message : String(error), { status: 500 });
    }
    return new Response("ok");
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
