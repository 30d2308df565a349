import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelChoice, StartOptions } from "../src/controls.js";
import { isMobkitError, MobkitError } from "../src/error.js";
import type { StateReport } from "../src/protocol.js";
import { WorkerHost, type HostedRuntime, type HostEnvironment } from "../src/worker-host.js";

class FakeRuntime implements HostedRuntime {
  report: StateReport;
  readonly log: string[];
  readonly name: string;
  #listener: (report: StateReport) => void = () => {};

  constructor(name: string, state: StateReport["state"], log: string[]) {
    this.name = name;
    this.log = log;
    this.report = { state, error: null, restarts: 0 };
  }

  become(report: Partial<StateReport>): void {
    this.report = { ...this.report, ...report };
    this.#listener(this.report);
  }

  onState(callback: (report: StateReport) => void): () => void {
    this.#listener = callback;
    return () => { this.#listener = () => {}; };
  }

  async fetch(request: Request): Promise<Response> {
    return new Response(`${this.name} ${new URL(request.url).pathname}`);
  }

  async setModel(choice: ModelChoice): Promise<string[]> {
    this.log.push(`${this.name} model ${choice.kind}`);
    return ["m"];
  }

  async flush(): Promise<void> {
    this.log.push(`${this.name} flush`);
  }

  async handOver(): Promise<() => void> {
    if (this.report.state === "stopped") throw new MobkitError("runtime_stopped", "the runtime was shut down");
    this.log.push(`${this.name} shutdown`);
    this.become({ state: "stopped" });
    return () => this.log.push(`${this.name} release`);
  }

  sleep(): void {
    this.log.push(`${this.name} sleep`);
    this.become({ state: "starting" });
  }

  wake(): void {
    this.log.push(`${this.name} wake`);
    this.become({ state: "leader" });
  }
}

function hosted(overrides: Partial<HostEnvironment> = {}) {
  const log: string[] = [];
  const runtimes: FakeRuntime[] = [];
  const states: string[] = [];
  const host = new WorkerHost({
    build: async (start) => {
      log.push(`build ${start.ifLocked ?? "follow"} ${start.model?.kind ?? "none"}`);
      if (start.definitionToml === "bad") throw new MobkitError("definition_error", "profiles.x: unknown field");
      const held = start.storageName === "held" && start.ifLocked !== "steal";
      const runtime = new FakeRuntime(`r${runtimes.length}`, held ? "follower" : "leader", log);
      runtimes.push(runtime);
      return runtime;
    },
    check: async (definitionToml) => {
      if (definitionToml === "wrong") throw new MobkitError("invalid_definition", "profiles.x: unknown field");
    },
    testModel: async (choice) => {
      if (choice.kind === "none") throw new MobkitError("auth", "no key");
      return { provider: choice.kind, text: "hi" };
    },
    deleteStorage: async (name) => { log.push(`delete ${name}`); },
    exportStorage: (name) => new Blob([`rows of ${name}`]).stream(),
    storageSize: async () => ({ rows: 2, bytes: 3 }),
    estimate: async () => ({ usage: 10, quota: 20 }),
    now: () => 0,
    alive: { hold: async () => { log.push("alive"); }, release: () => { log.push("not alive"); } },
    ...overrides,
  });
  host.onState((report) => states.push(report.state));
  return { host, log, runtimes, states };
}

const START: StartOptions = { definitionToml: "x", storageName: "s" };
const request = (path = "/x", init?: RequestInit) => new Request(`https://mob.local${path}`, init);
const text = async (response: Promise<Response>) => await (await response).text();

test("requests wait for the start", async () => {
  const { host, states } = hosted();
  const early = text(host.fetch(request()));
  assert.deepEqual(await host.control("start", START), { state: "leader" });
  assert.equal(await early, "r0 /x");
  assert.deepEqual(states, ["starting", "leader"]);
});

test("a request that waits for the start can be aborted", async () => {
  const { host } = hosted();
  const abort = new AbortController();
  const early = host.fetch(request("/x", { signal: abort.signal }));
  setTimeout(() => abort.abort(), 1);
  await assert.rejects(early, { name: "AbortError" });
});

test("a start that fails says why, to the control and to requests, and can be repeated", async () => {
  const { host, states } = hosted();
  const early = host.fetch(request());
  early.catch(() => {});
  await assert.rejects(host.control("start", { ...START, definitionToml: "bad" }), (e) => isMobkitError(e, "definition_error"));
  await assert.rejects(early, (e) => isMobkitError(e, "definition_error"));
  assert.deepEqual(states, ["starting", "stopped"]);
  await host.control("start", START);
  assert.equal(await text(host.fetch(request())), "r0 /x");
});

test("a second start ends the first runtime before", async () => {
  const { host, log } = hosted();
  await Promise.all([host.control("start", START), host.control("start", { ...START, model: { kind: "demo" } })]);
  // It goes on leading: nobody else gets the lease in between.
  assert.deepEqual(log, ["build follow none", "r0 shutdown", "build steal demo", "r0 release"]);
  assert.equal(await text(host.fetch(request())), "r1 /x");
});

test("a second start on another storage, or of a follower, takes nothing from anybody", async () => {
  const { host, log } = hosted();
  await host.control("start", START);
  await host.control("start", { ...START, storageName: "held" });
  await host.control("start", { ...START, storageName: "held" });
  assert.deepEqual(log, [
    "build follow none", "r0 shutdown", "build follow none", "r0 release", "r1 shutdown", "build follow none", "r1 release",
  ]);
});

test("a second start that fails lets go of the lease, and one after an end by itself needs none", async () => {
  const { host, log, runtimes } = hosted();
  await host.control("start", START);
  await assert.rejects(host.control("start", { ...START, definitionToml: "bad" }), (e) => isMobkitError(e, "definition_error"));
  assert.deepEqual(log, ["build follow none", "r0 shutdown", "build steal none", "r0 release"]);
  await host.control("start", START);
  runtimes[1]!.become({ state: "stopped", error: { code: "storage_version_change", message: "x" } });
  await host.control("start", START);
  assert.deepEqual(log.slice(4), ["build follow none", "build follow none"]);
});

test("a wrong definition does not end what runs", async () => {
  const { host, log, states } = hosted();
  await host.control("start", START);
  await assert.rejects(host.control("start", { ...START, definitionToml: "wrong" }), (e) => isMobkitError(e, "invalid_definition"));
  assert.deepEqual([log, states], [["build follow none"], ["starting", "leader"]]);
  assert.equal(await text(host.fetch(request())), "r0 /x");
});

test("taking over steals once", async () => {
  const { host, log, states } = hosted();
  assert.deepEqual(await host.control("start", { ...START, storageName: "held" }), { state: "follower" });
  assert.deepEqual(await host.control("take_over", null), { state: "leader" });
  assert.deepEqual(await host.control("take_over", null), { state: "leader" });
  assert.deepEqual(log, ["build follow none", "r0 shutdown", "r0 release", "build steal none"]);
  assert.deepEqual(states, ["starting", "follower", "stopped", "starting", "leader"]);
});

test("a configured model is kept for what is started next", async () => {
  const { host, log } = hosted();
  await host.control("start", { ...START, storageName: "held" });
  assert.deepEqual(await host.control("configure_model", { kind: "demo" }), { models: ["m"] });
  await host.control("take_over", null);
  assert.deepEqual(log, ["build follow none", "r0 model demo", "r0 shutdown", "r0 release", "build steal demo"]);
});

test("erase ends, deletes, and needs a start", async () => {
  const { host, log } = hosted();
  await host.control("start", START);
  assert.deepEqual(await host.control("erase", null), { state: "stopped" });
  assert.deepEqual(log, ["build follow none", "r0 shutdown", "delete s", "r0 release"]);
  await assert.rejects(host.fetch(request()), (e) => isMobkitError(e, "runtime_stopped"));
  await assert.rejects(host.control("take_over", null), (e) => isMobkitError(e, "not_started"));
  await host.control("start", START);
  assert.equal(await text(host.fetch(request())), "r1 /x");
});

test("a crash of the runtime and its return are told", async () => {
  const { host, runtimes, states } = hosted();
  await host.control("start", START);
  runtimes[0]!.become({ state: "crashed", error: { code: "runtime_crashed", message: "x" }, restarts: 1 });
  runtimes[0]!.become({ state: "leader", error: null });
  assert.deepEqual(states, ["starting", "leader", "crashed", "leader"]);
  assert.equal(host.report.restarts, 1);
});

test("a runtime sleeps and wakes with the page", async () => {
  const { host, log, states } = hosted();
  await host.control("sleep", null);
  await host.control("wake", null);
  await host.control("start", START);
  await host.control("sleep", null);
  await host.control("wake", null);
  assert.deepEqual(log, ["not alive", "alive", "build follow none", "not alive", "r0 sleep", "r0 wake", "alive"]);
  assert.deepEqual(states, ["starting", "leader", "starting", "leader"]);
});

test("a page's sleep waits for nothing that is being done, and whatever came to be asleep wakes", async () => {
  const { host, log } = hosted();
  await host.control("start", { ...START, storageName: "held" });
  const slow = host.control("take_over", null);
  void host.control("sleep", null);
  assert.deepEqual(log.splice(0), ["build follow none", "not alive", "r0 sleep"]);
  await slow;
  await host.control("wake", null);
  assert.deepEqual(log, ["r0 shutdown", "r0 release", "build steal none", "r1 sleep", "r0 wake", "r1 wake", "alive"]);
});

test("usage, export, hidden, test of a model, unknown controls", async () => {
  const { host, log } = hosted();
  await host.control("start", START);
  assert.deepEqual(await host.control("usage", null), { rows: 2, bytes: 3, origin_usage: 10, origin_quota: 20 });
  assert.equal(await new Response(await host.control("export", null) as ReadableStream).text(), "rows of s");
  await host.control("page_hidden", null);
  assert.deepEqual(log.slice(1), ["r0 flush", "r0 flush"]);
  assert.deepEqual(await host.control("test_model", { kind: "demo" }), { ok: true, provider: "demo", text: "hi", elapsed_ms: 0 });
  assert.deepEqual(await host.control("test_model", { kind: "none" }), {
    ok: false, error: { code: "auth", message: "no key", data: null }, elapsed_ms: 0,
  });
  await assert.rejects(host.control("toString", null), (e) => isMobkitError(e, "unknown_control"));
});
