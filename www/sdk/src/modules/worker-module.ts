// The page's side of a module in a Web Worker: one worker for each start, and its end seen whenever and however it comes.

import { messageOf, moduleError, settled, type ModuleDriver, type ModuleErrorName, type StartableModule } from "./driver.js";
import { marked, unmarked, type FromWorker, type ToWorker } from "./wire.js";

/** What `workerModule` takes beside the function. */
export interface WorkerModuleOptions {
  /** How long the worker may take to load and to start its module, in milliseconds. Default: 30 000. */
  startTimeout?: number;
  /** How long its `stop()` is waited for before it is terminated, in milliseconds. Default: 2 000. */
  stopTimeout?: number;
}

/** The part of a worker that a page uses. */
export type ModuleWorker = Pick<Worker, "postMessage" | "terminate" | "addEventListener">;

/** Where locks come from; for tests. */
export interface WorkerModuleEnvironment {
  locks?: Pick<LockManager, "request"> | undefined;
}

type Waiting = { resolve: (value: string) => void; reject: (error: Error) => void };

/** A module in a worker whose script calls `serveModule` of `mobkit-web/module-worker`. The function is called at every start. */
export function workerModule(
  spawn: () => ModuleWorker,
  options: WorkerModuleOptions = {},
  environment: WorkerModuleEnvironment = { locks: globalThis.navigator?.locks },
): StartableModule {
  return { kind: "startable", start: (emit) => start(spawn, options, environment, emit) };
}

async function start(
  spawn: () => ModuleWorker, { startTimeout = 30_000, stopTimeout = 2_000 }: WorkerModuleOptions,
  { locks }: WorkerModuleEnvironment, emit: (event: string) => void,
): Promise<ModuleDriver> {
  const waiting = new Map<number, Waiting>();
  const watch = new AbortController();
  const [ended, end] = settled();
  let last = 0;
  /** Why nothing is asked of the worker any more. */
  let over: Error | undefined;
  /** From here on the worker's end is not a crash. */
  let stopping = false;
  let worker: ModuleWorker;
  let ready = (): void => {};
  let broken = (_: Error): void => {};

  const close = (error: Error): void => {
    over = error;
    watch.abort();
    worker.terminate();
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const crash = (reason: string, name: ModuleErrorName = "ModuleCrashed"): void => {
    if (over) return;
    close(moduleError(name, reason));
    broken(over!);
    if (!stopping) end(reason);
  };
  const ask = (request: ToWorker extends infer Each ? Each extends { id: number } ? Omit<Each, "id"> : never : never, signal?: AbortSignal): Promise<string> =>
    new Promise<string>((resolve, reject) => {
      if (over) return reject(over);
      const id = last += 1;
      const onAbort = (): void => {
        waiting.delete(id);
        if (!over) worker.postMessage(marked({ cancel: id }));
        reject(moduleError("ToolCallFailed", `the call was cancelled: ${messageOf(signal?.reason)}`));
      };
      if (signal?.aborted) return onAbort();
      signal?.addEventListener("abort", onAbort);
      const done = <T>(settle: (value: T) => void) => (value: T): void => {
        signal?.removeEventListener("abort", onAbort);
        settle(value);
      };
      waiting.set(id, { resolve: done(resolve), reject: done(reject) });
      worker.postMessage(marked({ id, ...request } as ToWorker));
    });

  const heard = (message: FromWorker): void => {
    if ("ready" in message) {
      // Granted when the worker is gone: there is no event for a `terminate()` by somebody else, a `close()`, or a thread that was killed. Where
      // there are no locks such an end goes unseen.
      if (message.ready !== null) {
        locks?.request(message.ready, { signal: watch.signal }, () => crash("the worker is gone: it closed itself or was terminated")).catch(() => {});
      }
      return ready();
    }
    if ("event" in message) return emit(message.event);
    if ("ended" in message) return crash(message.ended);
    const request = waiting.get(message.id);
    waiting.delete(message.id);
    if ("value" in message) request?.resolve(message.value);
    else request?.reject(moduleError(message.error.name as ModuleErrorName, message.error.message));
  };

  try {
    worker = spawn();
  } catch (error) {
    throw moduleError("ConnectionFailed", `the worker cannot be made: ${messageOf(error)}`, error);
  }
  // One that is terminated before it says that it is ready ends here too.
  const late = setTimeout(() => crash(`the worker did not start its module within ${startTimeout} ms`, "ConnectionFailed"), startTimeout);
  try {
    await new Promise<void>((resolve, reject) => {
      let loaded = false;
      ready = () => {
        loaded = true;
        resolve();
      };
      broken = reject;
      worker.addEventListener("message", ({ data }: MessageEvent) => {
        const message = unmarked<FromWorker>(data);
        if (message && !over) heard(message);
      });
      worker.addEventListener("messageerror", () => crash("the worker sent a message that cannot be read"));
      worker.addEventListener("error", (event: Event) => {
        // One that could not be loaded says nothing more.
        const { message, filename, lineno } = event as ErrorEvent;
        // The crash is told with all that is known of it.
        event.preventDefault();
        crash(message ? `the worker failed: ${message} (${filename}:${lineno})` : "the worker's script cannot be loaded", loaded ? "ModuleCrashed" : "ConnectionFailed");
      });
    });
    await ask({ ask: "start" });
  } catch (error) {
    if (!over) close(moduleError("ConnectionFailed", messageOf(error)));
    throw error;
  } finally {
    clearTimeout(late);
  }

  return {
    ended,
    tools: () => ask({ ask: "tools" }),
    call: (name, args, context, signal) => ask({ ask: "call", name, args, context }, signal),
    stop: async () => {
      if (over) return;
      stopping = true;
      // One that closes itself has stopped too.
      const asked = ask({ ask: "stop" }).catch((error: Error) => {
        if (error.name !== "ModuleCrashed") throw error;
      });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tooLate = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(moduleError("CloseFailed", `the worker did not stop within ${stopTimeout} ms and was terminated`)), stopTimeout);
      });
      try {
        await Promise.race([asked, tooLate]);
      } finally {
        clearTimeout(timer);
        if (!over) close(moduleError("ToolCallFailed", "the module was stopped"));
      }
    },
  };
}
