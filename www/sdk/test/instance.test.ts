import assert from "node:assert/strict";
import { test } from "node:test";
import { isMobkitError, MobkitError } from "../src/error.js";
import { crossing, ObjectHandle } from "../src/glue.js";
import type { Glue, RawBuildOptions, RawEnd, RawReader, RawRuntime } from "../src/glue.js";
import { WasmInstance, type InstanceFactory, type InstanceGlobals } from "../src/instance.js";
import { EventStream } from "../src/stream.js";
import { Supervisor } from "../src/supervisor.js";

// (module (import "m" "f" (func)) (func (export "call") call 0) (func (export "trap") unreachable)
//   (func (export "one") (result i32) i32.const 1))
const MODULE = new WebAssembly.Module(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0,
  1, 8, 2, 96, 0, 0, 96, 0, 1, 127,
  2, 7, 1, 1, 109, 1, 102, 0, 0,
  3, 4, 3, 0, 0, 1,
  7, 21, 3, 4, 99, 97, 108, 108, 0, 1, 4, 116, 114, 97, 112, 0, 2, 3, 111, 110, 101, 0, 3,
  10, 15, 3, 4, 0, 16, 0, 11, 3, 0, 0, 11, 4, 0, 65, 1, 11,
]));

type Exports = Record<"call" | "trap" | "one", () => number | undefined>;

class FakeRaw implements RawRuntime {
  role = "leader";
  readonly world: FakeGlue;
  constructor(world: FakeGlue) { this.world = world; }
  async call(method: string): Promise<string> {
    if (method === "panic") {
      this.world.panic!("index out of bounds at x.rs:1");
      this.world.exports.trap();
    }
    if (method === "shutdown") this.world.shutdowns += 1;
    if (method === "never") return await new Promise(() => {});
    if (method === "fail") throw Object.assign(new Error("no such member"), { name: "MobkitError", code: "member_not_found", data: null });
    return JSON.stringify(method);
  }
  open(): RawReader {
    const batches = ["[1,2]", "[3]"];
    return {
      next: async () => batches.shift() ?? await new Promise(() => {}),
      close: () => { this.world.closed += 1; },
    };
  }
  setModel(): string[] { return ["a"]; }
  async putBlob(): Promise<string> { return "sha256:0"; }
  ended(): Promise<RawEnd> { return new Promise((resolve) => { this.world.end = resolve; }); }
  fetch(): never { throw new Error("not used"); }
}

/** A lock that another context may hold. */
interface FakeLock {
  isHeld: boolean;
  /** Called when it is free. */
  queue: (() => void)[];
}

class FakeGlue implements Glue {
  exports!: Exports;
  panic: ((message: string) => void) | undefined;
  builds: RawBuildOptions[] = [];
  end: (reason: RawEnd) => void = () => {};
  shutdowns = 0;
  closed = 0;
  imported: () => void = () => {};
  fail: unknown;
  readonly globals: InstanceGlobals;
  readonly lock: FakeLock;
  constructor(globals: InstanceGlobals, lock: FakeLock) {
    this.globals = globals;
    this.lock = lock;
  }
  initSync({ module }: { module: WebAssembly.Module }): void {
    assert.ok(module instanceof this.globals.WebAssembly.Module);
    this.exports = new this.globals.WebAssembly.Instance(module, { m: { f: () => this.imported() } }).exports as unknown as Exports;
  }
  onPanic(callback: (message: string) => void): void { this.panic = callback; }
  async buildRuntime(options: string): Promise<RawRuntime> {
    this.builds.push(JSON.parse(options) as RawBuildOptions);
    if (this.fail) throw this.fail;
    const { ifLocked } = this.builds[0]!;
    if (ifLocked === "wait" && this.lock.isHeld) await new Promise<void>((resolve) => this.lock.queue.push(resolve));
    if (this.fail) throw this.fail;
    const raw = new FakeRaw(this);
    if (ifLocked === "follow" && this.lock.isHeld) raw.role = "follower";
    return raw;
  }
  async testModel(): Promise<string> { return "{}"; }
}

function factory() {
  const glues: FakeGlue[] = [];
  const lock: FakeLock = { isHeld: false, queue: [] };
  const create: InstanceFactory = (globals) => {
    const glue = new FakeGlue(globals, lock);
    glues.push(glue);
    return glue;
  };
  return { glues, create, lock };
}

/** The options of a build as they cross: what is undefined is left out, and a function is its number. */
const CROSSED = {
  definition: {}, storage: { kind: "indexedDb", name: "s" }, models: [], tools: [], modules: [], ifLocked: "wait", zoneOffset: 0,
} as const;

const BUILD: RawBuildOptions = {
  ...CROSSED, zoneOffset: () => 0, models: [], tools: [], modules: [], defaultModel: undefined, toolGate: undefined, onError: undefined, postSpawnHook: undefined, postReconcileHook: undefined, preSpawnHook: undefined,
        discovery: undefined, edgeDiscovery: undefined, drainTimeout: undefined, maxSessions: undefined, runtimeOptions: undefined, consoleVisibility: undefined, eventLog: undefined,
        consoleLog: undefined,
        persistentMetadata: undefined, onMobEvent: undefined, start: undefined, wake: undefined, consoleConfig: undefined,
};

async function supervised(build: Partial<RawBuildOptions> = {}, isHeld = false) {
  const { glues, create, lock } = factory();
  lock.isHeld = isHeld;
  const clock = { now: 0 };
  const supervisor = await Supervisor.open({
    createInstance: create, module: MODULE, build: { ...BUILD, ...build }, now: () => clock.now,
  });
  const states: string[] = [supervisor.report.state];
  supervisor.onState((report) => states.push(report.state));
  const call = async (method: string) => {
    const { instance, raw } = await supervisor.session();
    return await instance.run(() => raw.call(method, "{}"));
  };
  return { supervisor, glues, lock, clock, states, call };
}

const crashed = (error: unknown) => isMobkitError(error, "runtime_crashed");
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("a trap kills its instance alone, and late callbacks fall into nothing", async () => {
  const { glues, create } = factory();
  const one = new WasmInstance(create, MODULE);
  const two = new WasmInstance(create, MODULE);
  assert.equal(glues[0]!.exports.one(), 1);
  const open = one.run(() => new Promise(() => {}));
  assert.throws(() => glues[0]!.exports.trap(), WebAssembly.RuntimeError);
  await assert.rejects(open, crashed);
  // As the glue takes apart the answer of a call that may fail: no value, and no error to throw.
  assert.deepEqual(glues[0]!.exports.one(), [0, 0, 0, 0]);
  await assert.rejects(one.run(() => 1), crashed);
  assert.equal(glues[1]!.exports.one(), 1);
  assert.equal(await two.run(() => 1), 1);
});

test("the panic's message is the reason; an exception that crosses the wasm is a crash as well", async () => {
  const { glues, create } = factory();
  const one = new WasmInstance(create, MODULE);
  glues[0]!.panic!("boom at x.rs:1");
  assert.throws(() => glues[0]!.exports.trap());
  assert.match(one.error!.message, /boom at x\.rs:1/);
  const two = new WasmInstance(create, MODULE);
  glues[1]!.imported = () => { throw new RangeError("stack"); };
  assert.throws(() => glues[1]!.exports.call(), RangeError);
  assert.match(two.error!.message, /stack/);
});

test("a crash rejects what is open, and the runtime is built anew with what it had", async () => {
  const { supervisor, glues, states, call } = await supervised();
  await supervisor.setModel("a", { kind: "demo", pace: 1 });
  await supervisor.setModel(undefined, { kind: "demo", pace: 2 });
  const open = call("never");
  open.catch(() => {});
  await settled();
  await assert.rejects(call("panic"), crashed);
  await assert.rejects(open, crashed);
  assert.equal(await call("status"), '"status"');
  assert.deepEqual(states, ["leader", "crashed", "leader"]);
  assert.equal(supervisor.report.restarts, 1);
  assert.equal(glues.length, 2);
  assert.deepEqual(glues[1]!.builds, [{
    ...CROSSED, ifLocked: "steal", reopen: true, models: [{ name: "a", model: { kind: "demo", pace: 1 } }], defaultModel: { kind: "demo", pace: 2 },
  }]);
});

test("a crash loop stops with an error", async () => {
  const { supervisor, glues, clock, states, call } = await supervised();
  await assert.rejects(call("panic"), crashed);
  await settled();
  clock.now = 59_999;
  await assert.rejects(call("panic"), crashed);
  await assert.rejects(call("status"), (error) => isMobkitError(error, "runtime_crash_loop"));
  assert.equal(glues.length, 2);
  assert.deepEqual(states, ["leader", "crashed", "leader", "crashed"]);
  assert.equal(supervisor.report.error!.code, "runtime_crash_loop");
});

test("crashes far apart are each survived", async () => {
  const { supervisor, clock, call } = await supervised();
  for (const times of [1, 2, 3]) {
    clock.now += 60_000;
    await assert.rejects(call("panic"), crashed);
    assert.equal(await call("status"), '"status"');
    assert.equal(supervisor.report.restarts, times);
  }
});

test("a runtime in memory is not built anew: there is nothing to build it from", async () => {
  const { glues, states, call } = await supervised({ storage: { kind: "memory" } });
  await assert.rejects(call("panic"), crashed);
  await assert.rejects(call("status"), crashed);
  assert.equal(glues.length, 1);
  assert.deepEqual(states, ["leader", "crashed"]);
});

test("an error of the runtime is not a crash", async () => {
  const { states, call } = await supervised();
  await assert.rejects(call("fail"), (error) => isMobkitError(error, "member_not_found"));
  assert.equal(await call("status"), '"status"');
  assert.deepEqual(states, ["leader"]);
});

test("a build that fails is told and leaves nothing running", async () => {
  const { glues, create } = factory();
  const failing: InstanceFactory = (globals) => {
    const glue = create(globals) as FakeGlue;
    glue.fail = new Error("locked");
    return glue;
  };
  await assert.rejects(Supervisor.open({ createInstance: failing, module: MODULE, build: BUILD }), /locked/);
  // As the glue takes apart the answer of a call that may fail: no value, and no error to throw.
  assert.deepEqual(glues[0]!.exports.one(), [0, 0, 0, 0]);
});

test("after the shutdown, calls fail and iterators end", async () => {
  const { supervisor, glues, states, call } = await supervised();
  const stream = await opened(supervisor);
  for (const value of [1, 2, 3]) assert.deepEqual(await stream.next(), { done: false, value });
  const waiting = stream.next();
  await settled();
  const { report, release } = await supervisor.shutdown();
  release();
  assert.equal(report, '"shutdown"');
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await assert.rejects(call("status"), (error) => isMobkitError(error, "runtime_stopped"));
  await assert.rejects(supervisor.shutdown(), (error) => isMobkitError(error, "runtime_stopped"));
  assert.equal(glues[0]!.shutdowns, 1);
  assert.deepEqual(states, ["leader", "stopped"]);
});

async function opened(supervisor: Supervisor, signal?: AbortSignal): Promise<EventStream<number>> {
  const { instance, raw } = await supervisor.session();
  return new EventStream<number>(Promise.resolve({ instance, reader: raw.open("events", "{}") }), (item) => item, signal);
}

test("an iterator fails with the crash of its instance", async () => {
  const { supervisor, call } = await supervised();
  const stream = await opened(supervisor);
  for (const value of [1, 2, 3]) assert.deepEqual(await stream.next(), { done: false, value });
  const waiting = stream.next();
  await assert.rejects(call("panic"), crashed);
  await assert.rejects(waiting, crashed);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("leaving the loop closes the reader", async () => {
  const { supervisor, glues } = await supervised();
  const seen: number[] = [];
  for await (const value of await opened(supervisor)) {
    seen.push(value);
    if (value === 2) break;
  }
  await settled();
  assert.deepEqual(seen, [1, 2]);
  assert.equal(glues[0]!.closed, 1);
});

test("calls of next that overlap are answered in order", async () => {
  const { supervisor } = await supervised();
  const stream = await opened(supervisor);
  const results = await Promise.all([stream.next(), stream.next(), stream.next()]);
  assert.deepEqual(results.map((result) => result.value), [1, 2, 3]);
});

test("an aborted signal ends the iterator with its reason, before and while it waits", async () => {
  const { supervisor, glues } = await supervised();
  const abort = new AbortController();
  const stream = await opened(supervisor, abort.signal);
  await stream.next();
  await stream.next();
  await stream.next();
  const waiting = stream.next();
  abort.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await settled();
  assert.equal(glues[0]!.closed, 1);
  const late = await opened(supervisor, abort.signal);
  await assert.rejects(late.next(), { name: "AbortError" });
});

test("a mob that another tab took over is followed, by an instance of its own", async () => {
  const { supervisor, glues, lock, states, call } = await supervised();
  const stream = await opened(supervisor);
  for (const value of [1, 2, 3]) assert.deepEqual(await stream.next(), { done: false, value });
  const waiting = stream.next();
  waiting.catch(() => {});
  await settled();
  lock.isHeld = true;
  glues[0]!.end("retired");
  await assert.rejects(waiting, (error) => isMobkitError(error, "not_leader"));
  assert.equal(await call("status"), '"status"');
  assert.equal(glues[0]!.shutdowns, 1);
  assert.equal(glues[1]!.builds[0]!.ifLocked, "follow");
  assert.deepEqual(states, ["leader", "starting", "follower"]);
  assert.equal(supervisor.report.restarts, 0);
});

test("a follower waits for the lock in an instance of its own, serves meanwhile, and leads when it is free", async () => {
  const { supervisor, glues, lock, states, call } = await supervised({ ifLocked: "follow" }, true);
  assert.deepEqual(glues.map((glue) => glue.builds[0]!.ifLocked), ["follow", "wait"]);
  const stream = await opened(supervisor);
  for (const value of [1, 2, 3]) assert.deepEqual(await stream.next(), { done: false, value });
  const waiting = stream.next();
  waiting.catch(() => {});
  assert.equal(await call("status"), '"status"');
  await settled();
  lock.queue.shift()!();
  await assert.rejects(waiting, (error) => isMobkitError(error, "role_changed"));
  assert.equal(await call("status"), '"status"');
  assert.equal(glues[0]!.shutdowns, 1);
  assert.deepEqual(glues[0]!.exports.one(), [0, 0, 0, 0]);
  assert.equal(glues[1]!.exports.one(), 1);
  assert.deepEqual(states, ["follower", "leader"]);
  assert.deepEqual([glues.length, supervisor.report.restarts], [2, 0]);
  // And is kept alive like any leader.
  await assert.rejects(call("panic"), crashed);
  assert.equal(await call("status"), '"status"');
  assert.equal(glues[2]!.builds[0]!.ifLocked, "steal");
});

test("a follower's models are its successor's", async () => {
  const { supervisor, glues, lock, states } = await supervised({ ifLocked: "follow" }, true);
  await supervisor.setModel("a", { kind: "demo", pace: 1 });
  assert.equal(glues.length, 3);
  // The one that waited with the old models is dead: its turn is nobody's.
  for (const granted of lock.queue) granted();
  await settled();
  assert.deepEqual(states, ["follower", "leader"]);
  assert.deepEqual(glues[1]!.exports.one(), [0, 0, 0, 0]);
  assert.deepEqual(glues[2]!.builds[0]!.models, [{ name: "a", model: { kind: "demo", pace: 1 } }]);
});

test("whoever ends a follower ends its successor", async () => {
  for (const end of ["shutdown", "version_change"] as const) {
    const { supervisor, glues, lock, states } = await supervised({ ifLocked: "follow" }, true);
    if (end === "shutdown") (await supervisor.shutdown()).release();
    else glues[0]!.end(end);
    await settled();
    lock.queue.shift()!();
    await settled();
    assert.deepEqual(states, ["follower", "stopped"], end);
    for (const glue of glues) assert.deepEqual(glue.exports.one(), [0, 0, 0, 0], end);
  }
});

test("a follower that crashes follows anew, and its next successor waits", async () => {
  const { glues, lock, states, call } = await supervised({ ifLocked: "follow" }, true);
  await assert.rejects(call("panic"), crashed);
  assert.equal(await call("status"), '"status"');
  assert.deepEqual(glues.map((glue) => glue.builds[0]!.ifLocked), ["follow", "wait", "follow", "wait"]);
  for (const granted of lock.queue) granted();
  await settled();
  assert.deepEqual(states, ["follower", "crashed", "follower", "leader"]);
});

test("a successor that crashes is a crash, one that cannot be built is the end", async () => {
  const crashing = await supervised({ ifLocked: "follow" }, true);
  crashing.glues[1]!.panic!("boom");
  assert.throws(() => crashing.glues[1]!.exports.trap());
  await settled();
  assert.deepEqual(crashing.states, ["follower", "crashed", "follower"]);
  assert.equal(crashing.supervisor.report.restarts, 1);

  const failing = await supervised({ ifLocked: "follow" }, true);
  failing.glues[1]!.fail = new MobkitError("storage_quota_exceeded", "full");
  failing.lock.queue.shift()!();
  await settled();
  assert.deepEqual(failing.states, ["follower", "stopped"]);
  assert.equal(failing.supervisor.report.error!.code, "storage_quota_exceeded");
});

test("a storage that another tab deletes is the end", async () => {
  const { supervisor, glues, call } = await supervised();
  glues[0]!.end("version_change");
  await settled();
  await assert.rejects(call("status"), (error) => isMobkitError(error, "storage_version_change"));
  assert.equal(supervisor.report.state, "stopped");
  assert.equal(glues.length, 1);
});

test("a storage that ended unasked is a crash", async () => {
  const { glues, states, call } = await supervised();
  glues[0]!.end("lost");
  await settled();
  assert.equal(await call("status"), '"status"');
  assert.deepEqual(states, ["leader", "crashed", "leader"]);
});

test("a runtime that sleeps with its page lets go at once and is built anew when the page is back", async () => {
  const { supervisor, glues, lock, states, call } = await supervised();
  const open = call("never");
  open.catch(() => {});
  await settled();
  supervisor.sleep();
  supervisor.sleep();
  assert.deepEqual(states, ["leader", "starting"]);
  const early = call("status");
  await settled();
  // No time for anything: a transaction that is under way when the page stands still holds others up.
  assert.deepEqual([glues.length, glues[0]!.shutdowns], [1, 0]);
  // Somebody else leads now.
  lock.isHeld = true;
  supervisor.wake();
  supervisor.wake();
  await assert.rejects(open, (error) => isMobkitError(error, "page_asleep"));
  assert.equal(await early, '"status"');
  assert.equal(glues[0]!.shutdowns, 1);
  assert.deepEqual(glues[0]!.exports.one(), [0, 0, 0, 0]);
  assert.deepEqual(glues.map((glue) => glue.builds[0]!.ifLocked), ["wait", "follow", "wait"]);
  assert.deepEqual(states, ["leader", "starting", "follower"]);

  // A follower waits for nothing while it sleeps.
  supervisor.sleep();
  lock.queue.shift()!();
  await settled();
  lock.isHeld = false;
  supervisor.wake();
  assert.equal(await call("status"), '"status"');
  assert.deepEqual(states.slice(3), ["starting", "leader"]);
  assert.equal(supervisor.report.restarts, 0);
});

test("a runtime in memory sleeps as it is", async () => {
  const { supervisor, glues, states, call } = await supervised({ storage: { kind: "memory" } });
  supervisor.sleep();
  supervisor.wake();
  assert.equal(await call("status"), '"status"');
  assert.deepEqual([glues.length, states], [1, ["leader"]]);
});

test("the death of an instance aborts every signal that it made", () => {
  const { glues, create } = factory();
  const instance = new WasmInstance(create, MODULE);
  const { AbortController: Controller } = glues[0]!.globals;
  const [used, open] = [new Controller(), new Controller()];
  assert.ok(open instanceof AbortController);
  used.abort();
  assert.deepEqual([used.signal.aborted, open.signal.aborted], [true, false]);
  assert.throws(() => glues[0]!.exports.trap());
  assert.equal(open.signal.reason, instance.error);
  assert.equal(new Controller().signal.aborted, true);
});

test("locks stay with a dead instance until they are let go, and one granted to a dead instance opens at once", async () => {
  const { glues, create } = factory();
  const requests: { name: string; over: boolean; grant: () => void }[] = [];
  const request = (name: string, _: LockOptions, granted: (lock: Lock | null) => unknown) => new Promise<void>((resolve) => {
    const entry = { name, over: false, grant: () => void Promise.resolve(granted({ name, mode: "exclusive" })).then(() => { entry.over = true; resolve(); }) };
    requests.push(entry);
  });
  const navigator = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks: { request } } });
  try {
    const instance = new WasmInstance(create, MODULE);
    const { locks } = glues[0]!.globals.navigator;
    let letGo!: () => void;
    const hold = (name: string) => locks!.request(name, {}, () => new Promise<void>((resolve) => { letGo = resolve; }));
    const over = () => requests.map((entry) => entry.over);

    void hold("own");
    requests[0]!.grant();
    letGo();
    await settled();
    assert.deepEqual(over(), [true]);

    void hold("kept");
    instance.keepLocks();
    requests[1]!.grant();
    letGo();
    await settled();
    assert.deepEqual(over(), [true, false]);

    void hold("late");
    assert.throws(() => glues[0]!.exports.trap());
    requests[2]!.grant();
    await settled();
    assert.deepEqual(over(), [true, false, true]);
    instance.releaseLocks();
    await settled();
    assert.deepEqual(over(), [true, true, true]);
  } finally {
    if (navigator) Object.defineProperty(globalThis, "navigator", navigator);
    else Reflect.deleteProperty(globalThis, "navigator");
  }
});

test("functions and objects cross by their places", () => {
  const call = () => 1;
  const object = { stream: call };
  const [text, objects] = crossing({ a: call, b: [{ kind: "js", model: new ObjectHandle(object) }], c: undefined, d: "x" });
  assert.equal(text, '{"a":0,"b":[{"kind":"js","model":1}],"d":"x"}');
  assert.deepEqual(objects, [call, object]);
});
