// Runs the crate's suite of storages over SQLite files: `GET /cases` names the cases, `GET /run/{case}` runs one over a file of its own.
// `GET /fill?path=…` writes to a file until its disk is full, and says what came of it; `GET /open?path=…` opens one, `/hold?path=…` keeps it open.

import { sqliteDriver } from "mobkit-web/deno";

interface Suite {
  initSync(options: { module: WebAssembly.Module }): void;
  storageCases(): string[];
  runStorage(name: string, driver: object, onPanic: (message: string) => void): Promise<void>;
}

const directory = Deno.env.get("SUITE") ?? "";
const { createInstance } = (await import(`${directory}mobkit_web_edge_glue.js`)) as { createInstance(globals: object): Suite };
const module = new WebAssembly.Module(Deno.readFileSync(new URL(`${directory}mobkit_web_edge_bg.wasm`)));

function instance(): Suite {
  const suite = createInstance({ WebAssembly, AbortController, navigator: globalThis.navigator });
  suite.initSync({ module });
  return suite;
}

async function run(name: string): Promise<Response> {
  const driver = sqliteDriver(`${Deno.makeTempDirSync()}/case.sqlite`);
  try {
    await new Promise<void>((resolve, reject) => {
      instance().runStorage(name, driver, (message) => reject(new Error(message))).then(resolve, reject);
    });
    return new Response("ok");
  } catch (error) {
    return new Response(error instanceof Error ? error.message : String(error), { status: 500 });
  } finally {
    driver.close?.();
  }
}

function fill(path: string): object {
  const ballast = `${path}.ballast`;
  Deno.writeFileSync(ballast, new Uint8Array(5 << 20));
  const driver = sqliteDriver(path);
  const value = new Uint8Array(50_000);
  let stored = 0;
  let refusal: unknown;
  try {
    for (; stored < 1000; stored += 1) driver.commit([], [[`row/${String(stored).padStart(4, "0")}`, value]], false);
  } catch (error) {
    refusal = error;
  }
  // What was refused is not there, what was stored is, and it goes on as soon as there is room for the log, which has 4 MiB at most.
  const kept = (driver.scan("", undefined, false, 2000) as unknown[]).length;
  Deno.removeSync(ballast);
  driver.commit([], [["again", new Uint8Array(1000)]], true);
  driver.commit([], [["row/", undefined, null]], true);
  driver.close?.();
  return { stored, kept, ...told(refusal) };
}

function told(error: unknown): object {
  const { name, code, message, data } = error as { name: string; code?: string; message: string; data?: unknown };
  return { name, code, message, data };
}

function open(path: string, isHeld: boolean): object {
  try {
    const driver = sqliteDriver(path);
    if (!isHeld) driver.close?.();
    return {};
  } catch (error) {
    return told(error);
  }
}

Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: ({ port }) => console.log(`listening on http://127.0.0.1:${port}`) }, (request) => {
  const { pathname, searchParams } = new URL(request.url);
  const path = searchParams.get("path") ?? "";
  if (pathname === "/cases") return Response.json(instance().storageCases());
  if (pathname === "/fill") return Response.json(fill(path));
  if (pathname === "/open" || pathname === "/hold") return Response.json(open(path, pathname === "/hold"));
  return run(pathname.slice("/run/".length));
});
