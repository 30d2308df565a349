// What a worker does with its runtime: starts it, answers for it, and obeys the controls of its pages.

import type { ControlName, Controls, IfLocked, ModelChoice, ModelTest, StartOptions, StorageUsage } from "./controls.js";
import { MobkitError, toErrorData } from "./error.js";
import type { PortHandler } from "./port-server.js";
import type { StateReport } from "./protocol.js";
import type { StorageSize } from "./stored.js";

/** The part of a runtime that a worker needs. */
export interface HostedRuntime {
  readonly report: StateReport;
  onState(callback: (report: StateReport) => void): () => void;
  fetch(request: Request): Promise<Response>;
  setModel(choice: ModelChoice): Promise<string[]>;
  flush(): Promise<void>;
  /** Ends it in good order. Its lease is kept until the function that is returned is called. */
  handOver(): Promise<() => void>;
  /** Lets go of the lease at once, then ends; `wake` starts it anew. */
  sleep(): void;
  wake(): void;
}

/** The lock that shows pages that this worker is alive. */
export interface AliveLock {
  /** Resolves when it is held. */
  hold(): Promise<void>;
  release(): void;
}

/** What a worker's host stands on. */
export interface HostEnvironment {
  build(start: StartOptions): Promise<HostedRuntime>;
  /** Fails as `build` would if the definition is wrong. */
  check(definitionToml: string): Promise<void>;
  testModel(choice: ModelChoice): Promise<{ provider: string; text: string }>;
  deleteStorage(name: string): Promise<void>;
  exportStorage(name: string): ReadableStream<Uint8Array>;
  storageSize(name: string): Promise<StorageSize>;
  estimate(): Promise<{ usage?: number; quota?: number }>;
  now(): number;
  alive: AliveLock;
}

type Handlers = { [Name in ControlName]: (payload: Controls[Name]["payload"]) => Promise<Controls[Name]["answer"]> };

/** The host of one runtime at a time. */
export class WorkerHost implements PortHandler {
  readonly #environment: HostEnvironment;
  readonly #listeners = new Set<(report: StateReport) => void>();
  #report: StateReport = { state: "starting", error: null, restarts: 0 };
  #start: StartOptions | undefined;
  #runtime: HostedRuntime | undefined;
  #leave: () => void = () => {};
  /** The runtimes that sleep with the page, while it does: one that is being replaced has to wake to be ended. */
  #asleep: Set<HostedRuntime> | undefined;
  /** Requests that came before there was a runtime, or an end of it. */
  #waiting: (() => void)[] = [];
  /** Controls that replace the runtime are done one after the other. */
  #order: Promise<unknown> = Promise.resolve();

  constructor(environment: HostEnvironment) {
    this.#environment = environment;
  }

  get report(): StateReport {
    return this.#report;
  }

  /** Calls back at every change of state. The function that is returned ends that. */
  onState(callback: (report: StateReport) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  async fetch(request: Request): Promise<Response> {
    return await (await this.#present(request.signal)).fetch(request);
  }

  async control(name: string, payload: unknown): Promise<unknown> {
    const handler = Object.hasOwn(this.#handlers, name) ? this.#handlers[name as ControlName] : undefined;
    if (!handler) throw new MobkitError("unknown_control", `there is no control named ${name}`, { name });
    return await (handler as (payload: unknown) => Promise<unknown>)(payload);
  }

  readonly #handlers: Handlers = {
    start: (options) => this.#inOrder(async () => {
      // A mob that works is not ended for a definition that is wrong.
      if (this.#runtime) await this.#environment.check(options.definitionToml);
      // Who leads goes on leading with the new options, whoever else waits to.
      const leads = this.#report.state === "leader" && this.#start?.storageName === options.storageName;
      const release = await this.#end();
      try {
        await this.#build(options, leads ? "steal" : options.ifLocked);
      } finally {
        release();
      }
      return this.#answer();
    }),
    stop: () => this.#inOrder(async () => {
      const release = await this.#end();
      release();
      this.#start = undefined;
      return this.#answer();
    }),
    take_over: () => this.#inOrder(async () => {
      const start = this.#started();
      if (this.#report.state === "leader") return this.#answer();
      const release = await this.#end();
      release();
      await this.#build(start, "steal");
      return this.#answer();
    }),
    erase: () => this.#inOrder(async () => {
      const { storageName } = this.#started();
      const release = await this.#end();
      this.#start = undefined;
      try {
        if (storageName !== null) await this.#environment.deleteStorage(storageName);
      } finally {
        release();
      }
      return this.#answer();
    }),
    configure_model: async (choice) => {
      const start = this.#started();
      const models = await (await this.#present()).setModel(choice);
      this.#start = { ...start, model: choice };
      return { models };
    },
    test_model: async (choice): Promise<ModelTest> => {
      const before = this.#environment.now();
      const elapsed = () => Math.round(this.#environment.now() - before);
      try {
        return { ok: true, ...await this.#environment.testModel(choice), elapsed_ms: elapsed() };
      } catch (error) {
        return { ok: false, error: toErrorData(error), elapsed_ms: elapsed() };
      }
    },
    usage: async (): Promise<StorageUsage> => {
      const { storageName } = this.#started();
      const [own, { usage, quota }] = await Promise.all([
        storageName === null ? { rows: 0, bytes: 0 } : this.#environment.storageSize(storageName),
        this.#environment.estimate(),
      ]);
      return { ...own, origin_usage: usage ?? null, origin_quota: quota ?? null };
    },
    export: async () => {
      const { storageName } = this.#started();
      if (storageName === null) throw new MobkitError("not_stored", "this mob lives in memory: there is nothing to export");
      // What is pending belongs to the export.
      if (this.#report.state === "leader") await this.#runtime?.flush();
      return this.#environment.exportStorage(storageName);
    },
    page_hidden: async () => {
      if (this.#report.state === "leader") await this.#runtime?.flush();
      return null;
    },
    // Not one after the other with those above: there is no time to wait.
    sleep: async () => {
      this.#environment.alive.release();
      this.#asleep ??= new Set();
      if (this.#runtime) this.#putToSleep(this.#runtime);
      return null;
    },
    wake: async () => {
      const asleep = this.#asleep;
      this.#asleep = undefined;
      for (const runtime of asleep ?? []) runtime.wake();
      await this.#environment.alive.hold();
      return null;
    },
  };

  async #build(start: StartOptions, ifLocked: IfLocked | undefined): Promise<void> {
    this.#start = start;
    this.#tell({ state: "starting", error: null });
    let runtime: HostedRuntime;
    try {
      runtime = await this.#environment.build(ifLocked === undefined ? start : { ...start, ifLocked });
    } catch (error) {
      this.#tell({ state: "stopped", error: toErrorData(error) });
      throw error;
    }
    this.#runtime = runtime;
    this.#leave = runtime.onState((report) => this.#tell(report));
    this.#tell(runtime.report);
    if (this.#asleep) this.#putToSleep(runtime);
  }

  #putToSleep(runtime: HostedRuntime): void {
    this.#asleep?.add(runtime);
    runtime.sleep();
  }

  /** Resolves with the function that lets go of the lease. */
  async #end(): Promise<() => void> {
    const runtime = this.#runtime;
    this.#runtime = undefined;
    this.#leave();
    this.#leave = () => {};
    if (!runtime) return () => {};
    // One that came to its end by itself, or comes to it now, holds nothing any more.
    const release = await runtime.handOver().catch(() => () => {});
    this.#tell({ state: "stopped", error: null });
    return release;
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#order.then(work);
    this.#order = done.catch(() => {});
    return done;
  }

  #started(): StartOptions {
    if (!this.#start) throw new MobkitError("not_started", "no runtime was started in this worker");
    return this.#start;
  }

  #answer(): { state: StateReport["state"] } {
    return { state: this.#report.state };
  }

  /** The runtime; waits while there is none yet. */
  async #present(signal?: AbortSignal): Promise<HostedRuntime> {
    for (;;) {
      if (this.#runtime) return this.#runtime;
      if (this.#report.state === "stopped") {
        const { error } = this.#report;
        if (error) throw new MobkitError(error.code, error.message, error.data ?? null);
        throw new MobkitError("runtime_stopped", "the runtime was stopped");
      }
      signal?.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  #tell(report: Partial<StateReport>): void {
    this.#report = { ...this.#report, ...report };
    for (const listener of [...this.#listeners]) listener(this.#report);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
