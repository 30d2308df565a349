import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModuleDriver, ModuleObject } from "../src/modules/driver.js";
import { serveModule, type ModuleScope } from "../src/modules/module-worker.js";
import { workerModule, type ModuleWorker, type WorkerModuleOptions } from "../src/modules/worker-module.js";

type Listener = (event: any) => void;

/** Exclusive locks by name: who asks for one that is held waits in line. */
class FakeLocks {
  readonly held = new Map<string, (() => void)[]>();

  request(name: string, options: unknown, callback?: () => unknown): Promise<unknown> {
    const grant = (callback ?? options) as () => unknown;
    const line = this.held.get(name);
    if (line) line.push(() => grant());
    else {
      this.held.set(name, []);
      grant();
    }
    return new Promise(() => {});
  }

  /** Everything that is held is let go of. */
  release(): void {
    const lines = [...this.held.values()];
    this.held.clear();
    for (const line of lines) line[0]?.();
  }
}

/** A worker whose two sides are the ports of a channel. */
class FakeWorker {
  readonly #page: MessagePort;
  readonly #inside: MessagePort;
  readonly #listeners = new Map<string, Listener[]>();
  readonly scopeListeners = new Map<string, Listener>();
  terminated = false;
  readonly scope: ModuleScope;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#page = port1;
    this.#inside = port2;
    port1.onmessage = ({ data }) => this.tell("message", { data });
    port2.onmessage = ({ data }) => this.scopeListeners.get("message")?.({ data });
    this.scope = {
      postMessage: (message: unknown) => port2.postMessage(message),
      addEventListener: (type: string, listener: Listener) => void this.scopeListeners.set(type, listener),
    };
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...this.#listeners.get(type) ?? [], listener]);
  }

  tell(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ preventDefault() {}, ...event });
  }

  postMessage(message: unknown): void {
    this.#page.postMessage(message);
  }

  terminate(): void {
    this.terminated = true;
    this.#page.close();
    this.#inside.close();
  }
}

const WAITING: Partial<ModuleObject> = { callTool: () => new Promise(() => {}) };

async function started(module: Partial<ModuleObject>, options: WorkerModuleOptions = {}) {
  const locks = new FakeLocks();
  const worker = new FakeWorker();
  const events: string[] = [];
  serveModule({ listTools: () => [{ name: "t" }], callTool: (_, args) => args, ...module }, worker.scope, { locks: locks as unknown as LockManager });
  const start = () => workerModule(() => worker as unknown as ModuleWorker, options, { locks: locks as unknown as LockManager }).start((event) => events.push(event));
  return { locks, worker, events, start };
}

async function using(module: Partial<ModuleObject>, work: (given: { driver: ModuleDriver; worker: FakeWorker; locks: FakeLocks; events: string[] }) => Promise<void>, options?: WorkerModuleOptions) {
  const { start, ...given } = await started(module, options);
  try {
    await work({ driver: await start(), ...given });
  } finally {
    given.worker.terminate();
  }
}

const named = (name: string, message: RegExp) => (error: Error) => error instanceof Error && error.name === name && message.test(error.message);
const call = (driver: ModuleDriver, signal?: AbortSignal) => driver.call("t", `{"a":1}`, `{"identity":"lead"}`, signal);

test("tools, calls, errors and events cross", async () => {
  await using({
    start: ({ emit }) => emit({ event_type: "started", payload: null }),
    callTool: (name, args, { identity }) => {
      if (args.fail) throw new TypeError("not so");
      return name === "big" ? 5n : { name, args, identity };
    },
  }, async ({ driver, events }) => {
    assert.deepEqual(JSON.parse(await driver.tools()).map((tool: { name: string }) => tool.name), ["t"]);
    assert.deepEqual(JSON.parse(await call(driver)), { name: "t", args: { a: 1 }, identity: "lead" });
    await assert.rejects(driver.call("t", `{"fail":true}`, "{}", undefined), named("ToolCallFailed", /^not so$/));
    await assert.rejects(driver.call("big", "{}", "{}", undefined), named("InvalidToolPayload", /BigInt/));
    assert.deepEqual(events, [`{"event_type":"started","payload":null}`]);
  });
});

test("a cancelled call is rejected at once, and the worker hears of it", async () => {
  let aborted!: () => void;
  const heard = new Promise<void>((resolve) => { aborted = resolve; });
  let begun!: () => void;
  const begin = new Promise<void>((resolve) => { begun = resolve; });
  await using({ callTool: (_, __, { signal }) => { begun(); signal.addEventListener("abort", aborted); return new Promise(() => {}); } }, async ({ driver }) => {
    const control = new AbortController();
    const answer = call(driver, control.signal);
    await begin;
    control.abort(new Error("enough"));
    await assert.rejects(answer, named("ToolCallFailed", /cancelled: enough/));
    await heard;
    await assert.rejects(call(driver, control.signal), named("ToolCallFailed", /cancelled/));
  });
});

test("every end of the worker is a crash, and all that is open is rejected", async () => {
  const ends: [string, (given: { worker: FakeWorker; locks: FakeLocks }) => void, RegExp][] = [
    ["its lock is free", ({ locks }) => locks.release(), /gone/],
    ["an error", ({ worker }) => worker.tell("error", { message: "boom", filename: "w.js", lineno: 3 }), /boom \(w\.js:3\)/],
    ["a message that cannot be read", ({ worker }) => worker.tell("messageerror", {}), /cannot be read/],
    ["a rejection", ({ worker }) => worker.scopeListeners.get("unhandledrejection")!({ defaultPrevented: false, reason: new Error("unheard") }), /unheard/],
  ];
  for (const [what, end, reason] of ends) {
    await using(WAITING, async ({ driver, worker, locks }) => {
      const open = assert.rejects(call(driver), named("ModuleCrashed", reason), what);
      end({ worker, locks });
      await open;
      assert.match(await driver.ended, reason, what);
      assert.equal(worker.terminated, true, what);
      await assert.rejects(driver.tools(), named("ModuleCrashed", reason), what);
      await driver.stop();
    });
  }
});

test("a module says that it is broken", async () => {
  await using({ start: ({ fail }) => { setTimeout(() => fail(new Error("worn out"))); } }, async ({ driver }) => {
    assert.equal(await driver.ended, "worn out");
  });
});

test("a stop waits for the module's, terminates, and is no crash", async () => {
  const log: string[] = [];
  await using({ stop: async () => { await new Promise(setImmediate); log.push("stopped"); } }, async ({ driver, worker, locks }) => {
    let ended = false;
    void driver.ended.then(() => { ended = true; });
    await driver.stop();
    locks.release();
    await new Promise(setImmediate);
    assert.deepEqual([log, worker.terminated, ended], [["stopped"], true, false]);
    await assert.rejects(call(driver), named("ToolCallFailed", /stopped/));
    await driver.stop();
  });
});

test("a stop that fails, takes too long, or is an end by itself, ends the worker all the same", async () => {
  await using({ stop: () => { throw new Error("will not"); } }, async ({ driver, worker }) => {
    await assert.rejects(driver.stop(), named("CloseFailed", /^will not$/));
    assert.equal(worker.terminated, true);
  });
  await using({ ...WAITING, stop: () => new Promise(() => {}) }, async ({ driver, worker }) => {
    const open = assert.rejects(call(driver), named("ToolCallFailed", /stopped/));
    await assert.rejects(driver.stop(), named("CloseFailed", /within 10 ms/));
    await open;
    assert.equal(worker.terminated, true);
  }, { stopTimeout: 10 });
  await using({ stop: () => new Promise(() => {}) }, async ({ driver, locks }) => {
    const stopped = driver.stop();
    locks.release();
    await stopped;
  });
});

test("a start that fails ends the worker", async () => {
  const throwing = await started({ start: () => { throw new Error("no start"); } });
  await assert.rejects(throwing.start(), named("ConnectionFailed", /^no start$/));
  assert.equal(throwing.worker.terminated, true);

  const slow = await started({ start: () => new Promise(() => {}) }, { startTimeout: 10 });
  await assert.rejects(slow.start(), named("ConnectionFailed", /within 10 ms/));
  assert.equal(slow.worker.terminated, true);

  const crashing = await started({ start: () => new Promise(() => {}) });
  const start = assert.rejects(crashing.start(), named("ConnectionFailed", /cannot be loaded/));
  crashing.worker.tell("error", {});
  await start;

  await assert.rejects(workerModule(() => { throw new Error("no workers here"); }).start(() => {}), named("ConnectionFailed", /no workers here/));
});
