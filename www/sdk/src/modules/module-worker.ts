// `mobkit-web/module-worker`: serves a module from inside a Web Worker, for a page that starts it with `workerModule`.

import { asModuleError, messageOf, moduleError, startObject, type ModuleDriver, type ModuleObject } from "./driver.js";
import { marked, unmarked, type FromWorker, type ToWorker } from "./wire.js";

export type { ModuleCallContext, ModuleErrorName, ModuleEvent, ModuleObject, ModuleStartContext, ModuleTool } from "./driver.js";

/** The part of a worker's global scope that serving uses. */
export interface ModuleScope {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  addEventListener(type: "unhandledrejection", listener: (event: PromiseRejectionEvent) => void): void;
}

/** Where locks come from; for tests. */
export interface ModuleScopeEnvironment {
  locks?: Pick<LockManager, "request"> | undefined;
}

/** Serves the module for as long as the worker lives: `serveModule({ listTools, callTool })` is a whole worker script. */
export function serveModule(
  module: ModuleObject,
  scope: ModuleScope = globalThis as unknown as ModuleScope,
  environment: ModuleScopeEnvironment = { locks: globalThis.navigator?.locks },
): void {
  const say = (message: FromWorker): void => scope.postMessage(marked(message));
  const calls = new Map<number, AbortController>();
  let driver: ModuleDriver | undefined;

  const answer = async (request: Exclude<ToWorker, { cancel: number }>): Promise<string> => {
    if (request.ask === "start") {
      driver = await startObject(module, (event) => say({ event }));
      void driver.ended.then((ended) => say({ ended }));
      return "";
    }
    if (!driver) throw moduleError("ConnectionFailed", "the module was not started");
    if (request.ask === "tools") return await driver.tools();
    if (request.ask === "stop") {
      await driver.stop();
      return "";
    }
    const control = new AbortController();
    calls.set(request.id, control);
    try {
      return await driver.call(request.name, request.args, request.context, control.signal);
    } finally {
      calls.delete(request.id);
    }
  };

  scope.addEventListener("message", ({ data }) => {
    const message = unmarked<ToWorker>(data);
    if (!message) return;
    if ("cancel" in message) return calls.get(message.cancel)?.abort();
    const { id } = message;
    void answer(message).then((value) => say({ id, value }), (thrown: unknown) => {
      const { name, message } = asModuleError("ToolCallFailed", thrown);
      say({ id, error: { name, message } });
    });
  });
  // The page hears of errors that nobody caught, but not of rejections. Later listeners have their say first: they may have handled it.
  scope.addEventListener("unhandledrejection", (event) => {
    setTimeout(() => {
      if (!event.defaultPrevented) say({ ended: `a rejection that nobody handled: ${messageOf(event.reason)}` });
    });
  });
  void hold(environment.locks).then((ready) => say({ ready }));
}

/**
 * Takes a lock with a name of its own and never lets go of it: the browser does when the worker is gone, however that came. Resolves with
 * the name; with null where there are no locks, or none for this worker (a `data:` URL's): then nobody is told of a `terminate()`
 * by somebody else or a `close()`, and calls in flight are left to their time limit.
 */
function hold(locks: ModuleScopeEnvironment["locks"]): Promise<string | null> {
  return new Promise((resolve) => {
    if (!locks) return resolve(null);
    const name = `mobkit-web/module/${crypto.randomUUID()}`;
    locks.request(name, () => {
      resolve(name);
      return new Promise(() => {});
    }).catch(() => resolve(null));
  });
}
