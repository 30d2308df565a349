import assert from "node:assert/strict";
import { test } from "node:test";
import { connectRuntime, type ClientEnvironment } from "../src/client.js";
import { isMobkitError } from "../src/error.js";
import { PortServer } from "../src/port-server.js";
import type { Port, StateReport } from "../src/protocol.js";

/** A worker as the client sees it, with locks that a test can end. */
class FakeWorld {
  readonly starts: unknown[] = [];
  readonly workers: FakeWorker[] = [];
  readonly waiting = new Map<string, () => void>();
  now = 0;

  readonly make = (): Worker => {
    const worker = new FakeWorker(this, `alive-${this.workers.length}`);
    this.workers.push(worker);
    return worker as unknown as Worker;
  };

  environment(page?: EventTarget): ClientEnvironment {
    const request = (name: string, options: { signal: AbortSignal }, granted: () => void) => new Promise<void>((resolve, reject) => {
      options.signal.addEventListener("abort", () => {
        this.waiting.delete(name);
        reject(options.signal.reason);
      });
      this.waiting.set(name, () => {
        this.waiting.delete(name);
        granted();
        resolve();
      });
    });
    return { locks: { request } as unknown as LockManager, page, now: () => this.now };
  }

  /** Kills the newest worker as the browser would: silently, its locks released. */
  kill(): void {
    const worker = this.workers.at(-1)!;
    worker.server?.close();
    this.waiting.get(worker.lock)?.();
  }
}

class FakeWorker extends EventTarget {
  server: PortServer | undefined;
  terminated = false;
  readonly world: FakeWorld;
  readonly lock: string;

  constructor(world: FakeWorld, lock: string) {
    super();
    this.world = world;
    this.lock = lock;
  }

  postMessage(message: { t: string }, transfer: MessagePort[]): void {
    assert.equal(message.t, "mobkit-connect");
    this.server = new PortServer(transfer[0] as unknown as Port, {
      fetch: async (request) => request.url.endsWith("/never") ? new Promise(() => {}) : new Response(request.url),
      control: async (name, payload) => {
        if (name === "start") {
          this.world.starts.push(payload);
          this.server!.state({ state: "leader", error: null, restarts: 0 });
          return { state: "leader" };
        }
        if (["page_hidden", "sleep", "wake"].includes(name)) this.world.starts.push(name);
        return null;
      },
    }, { alive: this.lock, state: { state: "starting", error: null, restarts: 0 } });
  }

  terminate(): void {
    this.terminated = true;
    this.server?.close();
  }
}

const START = { definitionToml: "[mob]\nid='m'", storageName: "m" };
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

/** Waits for what other tasks bring about; the test's own time limit is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settled();
}

test("paths are requests to the runtime", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(world.make, world.environment());
  assert.equal(await (await client.fetch("/console/rpc")).text(), "https://mob.local/console/rpc");
  client.close();
});

test("states are told, and a listener can leave", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(world.make, world.environment());
  const seen: StateReport[] = [];
  const leave = client.onState((report) => seen.push(report));
  await client.control("start", START);
  await until(() => client.state === "leader");
  leave();
  client.close();
  assert.equal(client.state, "stopped");
  assert.deepEqual(seen.map((report) => report.state), ["starting", "leader"]);
  await assert.rejects(client.fetch("/"), (error) => isMobkitError(error, "runtime_stopped"));
});

test("a killed worker is replaced once and started as it was", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(world.make, world.environment());
  const seen: string[] = [];
  client.onState((report) => seen.push(report.state));
  await client.control("start", START);
  await client.control("configure_model", { kind: "demo" });
  const open = client.fetch("/never");
  open.catch(() => {});
  await until(() => world.waiting.size === 1);
  world.kill();
  await assert.rejects(open, (error) => isMobkitError(error, "runtime_crashed"));
  await until(() => client.state === "leader" && world.waiting.size === 1);
  assert.equal(world.workers.length, 2);
  assert.equal(world.workers[0]!.terminated, true);
  assert.deepEqual(world.starts, [START, { ...START, model: { kind: "demo" } }]);
  assert.equal(client.state, "leader");
  assert.equal(client.restarts, 1);
  assert.deepEqual(seen, ["starting", "leader", "crashed", "starting", "leader"]);

  world.now += 59_000;
  world.kill();
  await until(() => client.state === "stopped");
  assert.equal(client.error!.code, "runtime_crash_loop");
  assert.equal(world.workers.length, 2);
  client.close();
});

test("a worker that dies after a quiet minute is replaced again", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(world.make, world.environment());
  await client.control("start", START);
  for (const times of [1, 2, 3]) {
    await until(() => client.state === "leader" && world.waiting.size === 1);
    world.now += 60_000;
    world.kill();
    await until(() => client.state === "leader");
    assert.equal(client.restarts, times);
  }
  client.close();
});

test("a worker that was handed over is not replaced", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(world.make(), world.environment());
  await client.control("start", START);
  await until(() => world.waiting.size === 1);
  world.kill();
  assert.equal(client.state, "crashed");
  await assert.rejects(client.fetch("/"), (error) => isMobkitError(error, "runtime_crashed"));
  client.close();
});

test("a worker whose script fails stops the client with the reason", async () => {
  const world = new FakeWorld();
  const client = connectRuntime(() => {
    const worker = new FakeWorker(world, "x");
    worker.postMessage = () => {};
    setTimeout(() => worker.dispatchEvent(Object.assign(new Event("error"), { message: "blocked by CSP" })), 1);
    return worker as unknown as Worker;
  }, world.environment());
  await assert.rejects(client.fetch("/"), (error) => isMobkitError(error, "worker_failed") && /blocked by CSP/.test(error.message));
  assert.equal(client.state, "stopped");
  client.close();
});

const event = (type: string, persisted: boolean) => Object.assign(new Event(type), { persisted });

test("a page that is closed has what is pending written", async () => {
  const world = new FakeWorld();
  const page = new EventTarget();
  const client = connectRuntime(world.make, world.environment(page));
  await until(() => world.waiting.size === 1);
  page.dispatchEvent(event("pageshow", false));
  page.dispatchEvent(event("pagehide", false));
  await until(() => world.starts.length === 1);
  assert.deepEqual(world.starts, ["page_hidden"]);
  client.close();
  assert.equal(world.waiting.size, 0);
});

test("a page that sleeps holds and waits for no lock, and is as before when it is back", async () => {
  for (const make of [(world: FakeWorld) => world.make, (world: FakeWorld) => world.make()]) {
    const world = new FakeWorld();
    const page = new EventTarget();
    const client = connectRuntime(make(world), world.environment(page));
    await until(() => world.waiting.size === 1);
    for (let times = 0; times < 2; times++) {
      world.starts.length = 0;
      page.dispatchEvent(event("pagehide", true));
      assert.equal(world.waiting.size, 0);
      await until(() => world.starts.length === 2);
      page.dispatchEvent(event("pageshow", true));
      // The worker must have its own lock first: it would be taken for dead otherwise.
      assert.equal(world.waiting.size, 0);
      await until(() => world.waiting.size === 1);
      assert.deepEqual(world.starts, ["page_hidden", "sleep", "wake"]);
    }
    client.close();
    assert.equal(world.waiting.size, 0);
    assert.equal(client.state, "stopped");
  }
});

test("a worker behind a port goes on while one of its pages sleeps", async () => {
  const world = new FakeWorld();
  const page = new EventTarget();
  const worker = world.make() as unknown as FakeWorker;
  const port = Object.assign(new EventTarget(), { postMessage: worker.postMessage.bind(worker) });
  const client = connectRuntime(port as unknown as MessagePort, world.environment(page));
  await until(() => world.waiting.size === 1);
  page.dispatchEvent(event("pagehide", true));
  await until(() => world.starts.length === 1);
  assert.equal(world.waiting.size, 0);
  page.dispatchEvent(event("pageshow", true));
  assert.equal(world.waiting.size, 1);
  assert.deepEqual(world.starts, ["page_hidden"]);
  client.close();
});
