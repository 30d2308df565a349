// `mobkit-web/client`: the page's side of a runtime that lives in a worker.

import type { ControlName, Controls, ModelChoice, StartOptions } from "./controls.js";
import { crashedError, MobkitError, toErrorData, type ErrorData } from "./error.js";
import { sleepWithPage, type PageEvents } from "./page-life.js";
import { mismatchError, PortClient } from "./port-client.js";
import { PROTOCOL_VERSION, type ConnectMessage, type Port, type RuntimeState, type StateReport } from "./protocol.js";
import { RestartPolicy } from "./restart-policy.js";

export type { AgentEvent, AgentEventType } from "./contract/agent-event.js";
export type * from "./contract/index.js";
export type * from "./controls.js";
export { isMobkitError, MobkitError, type ErrorData } from "./error.js";
export type { RuntimeState, StateReport } from "./protocol.js";

/** The base of relative URLs. It names no server: requests end at the runtime in the worker. */
export const RUNTIME_ORIGIN = "https://mob.local";

/** A runtime in a worker, as a page sees it. */
export interface RuntimeClient {
  /**
   * Sends a request to the runtime, as the global `fetch` would to a server. A path such as `/console/rpc` is enough.
   * It waits while the runtime starts; it fails with `runtime_crashed` when the runtime dies meanwhile.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Asks something of the worker itself. */
  control<Name extends ControlName>(
    name: Name,
    ...payload: Controls[Name]["payload"] extends void ? [] : [payload: Controls[Name]["payload"]]
  ): Promise<Controls[Name]["answer"]>;
  readonly state: RuntimeState;
  /** Why the state is `crashed` or `stopped`, or why the last start failed. */
  readonly error: ErrorData | null;
  /** How often the runtime was started anew after a crash. */
  readonly restarts: number;
  /** Calls back at every change of state. The function that is returned ends that. */
  onState(callback: (report: StateReport) => void): () => void;
  /** Ends the connection, and the worker if this client made it. */
  close(): void;
}

/** A worker, a port to one, or a function that makes a worker, so that one that died can be replaced. */
export type WorkerSource = Worker | MessagePort | (() => Worker);

/** Where the page's life cycle and locks come from; for tests. */
export interface ClientEnvironment {
  locks?: LockManager | undefined;
  /** Tells `pagehide`, `pageshow` and `visibilitychange`. */
  page?: PageEvents & { document?: Document } | undefined;
  now?: () => number;
}

/**
 * Connects to a runtime that `serveRuntime` hosts in a worker.
 *
 * With a function that makes the worker, a worker that dies is replaced once and started as it was; a second death
 * within a minute stops. With a worker or a port its death is final.
 */
export function connectRuntime(source: WorkerSource, environment: ClientEnvironment = {}): RuntimeClient {
  return new Client(source, environment);
}

class Client implements RuntimeClient {
  readonly #source: WorkerSource;
  readonly #locks: LockManager | undefined;
  readonly #page: ClientEnvironment["page"];
  readonly #policy: RestartPolicy;
  readonly #listeners = new Set<(report: StateReport) => void>();
  #report: StateReport = { state: "starting", error: null, restarts: 0 };
  #worker: Worker | MessagePort | undefined;
  #connection: PortClient | undefined;
  #aliveName: string | null = null;
  #watch: AbortController | undefined;
  #closed = false;
  #leaveSleep: () => void;
  #asleep = false;
  #start: StartOptions | undefined;
  /** Restarts of runtimes in workers that are gone. */
  #earlierRestarts = 0;

  constructor(source: WorkerSource, environment: ClientEnvironment) {
    this.#source = source;
    this.#locks = "locks" in environment ? environment.locks : globalThis.navigator?.locks;
    this.#page = "page" in environment ? environment.page : (typeof window === "undefined" ? undefined : window);
    this.#policy = new RestartPolicy(environment.now);
    this.#page?.addEventListener("pagehide", this.#onPageHide);
    this.#leaveSleep = this.#page ? sleepWithPage(this.#page, { sleep: () => this.#sleep(), wake: () => this.#wake() }) : () => {};
    this.#page?.document?.addEventListener("visibilitychange", this.#onVisibility);
    this.#connect();
  }

  get state(): RuntimeState {
    return this.#report.state;
  }

  get error(): ErrorData | null {
    return this.#report.error;
  }

  get restarts(): number {
    return this.#report.restarts;
  }

  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = input instanceof Request
      ? new Request(input, init)
      : new Request(new URL(input, RUNTIME_ORIGIN), init);
    return await this.#connected().fetch(request);
  }

  async control<Name extends ControlName>(name: Name, ...payload: unknown[]): Promise<Controls[Name]["answer"]> {
    const value = payload[0] ?? null;
    const before = this.#start;
    // What runs is not to be started again while it is being replaced.
    if (name === "start") this.#start = undefined;
    let answer: Controls[Name]["answer"];
    try {
      answer = await this.#connected().control(name, value) as Controls[Name]["answer"];
    } catch (error) {
      if (name === "start" && (this.#report.state === "leader" || this.#report.state === "follower")) this.#start = before;
      throw error;
    }
    // What a worker that replaces this one is to be started with.
    if (name === "start") this.#start = value as StartOptions;
    if (name === "configure_model" && this.#start) this.#start = { ...this.#start, model: value as ModelChoice };
    if (name === "erase" || name === "stop") this.#start = undefined;
    return answer;
  }

  onState(callback: (report: StateReport) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#page?.removeEventListener("pagehide", this.#onPageHide);
    this.#leaveSleep();
    this.#page?.document?.removeEventListener("visibilitychange", this.#onVisibility);
    this.#disconnect(new MobkitError("runtime_stopped", "the connection to the runtime was closed"));
    this.#tell({ state: "stopped", error: null });
    this.#listeners.clear();
  }

  #connected(): PortClient {
    if (this.#connection) return this.#connection;
    const { error } = this.#report;
    if (error) throw new MobkitError(error.code, error.message, error.data ?? null);
    throw new MobkitError("runtime_stopped", "the connection to the runtime is closed");
  }

  #connect(): void {
    const worker = typeof this.#source === "function" ? this.#source() : this.#source;
    this.#worker = worker;
    const { port1, port2 } = new MessageChannel();
    worker.addEventListener("error", this.#onWorkerError as EventListener);
    const connection: PortClient = new PortClient(port1 as Port, {
      hello: (alive) => {
        this.#aliveName = alive;
        this.#watchWorker();
      },
      state: (report) => this.#tell({ ...report, restarts: this.#earlierRestarts + report.restarts }),
      mismatch: (protocol) => this.#fail(mismatchError(protocol)),
    });
    this.#connection = connection;
    const connect: ConnectMessage = { t: "mobkit-connect", protocol: PROTOCOL_VERSION };
    worker.postMessage(connect, [port2]);
  }

  #disconnect(reason: unknown): void {
    this.#watch?.abort();
    this.#watch = undefined;
    this.#aliveName = null;
    this.#connection?.end(reason);
    this.#connection = undefined;
    const worker = this.#worker;
    this.#worker = undefined;
    worker?.removeEventListener("error", this.#onWorkerError as EventListener);
    if (typeof this.#source === "function" && worker && "terminate" in worker) worker.terminate();
  }

  /**
   * The worker holds a lock as long as it lives, so a lock of our own on the same name is granted when it dies: browsers
   * tell a page nothing of a worker that was killed.
   */
  #watchWorker(): void {
    const name = this.#aliveName;
    if (!name || !this.#locks || this.#watch || this.#asleep) return;
    const watch = new AbortController();
    this.#watch = watch;
    this.#locks.request(name, { signal: watch.signal }, () => {
      // Granted in the same moment as it was withdrawn.
      if (watch.signal.aborted) return;
      this.#watch = undefined;
      this.#workerDied("the worker of the runtime was ended from outside");
    }).catch((error: unknown) => {
      // Withdrawn: nothing to watch. Anything else means locks cannot be used here: a dead worker goes unnoticed.
      if (!watch.signal.aborted) console.warn("mobkit-web: the worker cannot be watched", error);
    });
  }

  readonly #onWorkerError = (event: ErrorEvent): void => {
    // After the hello an uncaught error in the worker is the business of the worker: it still answers.
    if (this.#aliveName !== null || this.#report.state !== "starting") return;
    const detail = event.message || "its script could not be loaded or run";
    this.#fail(new MobkitError("worker_failed", `the worker of the runtime did not start: ${detail}`));
  };

  #workerDied(message: string): void {
    const error = crashedError(message);
    this.#disconnect(error);
    this.#earlierRestarts = this.#report.restarts;
    if (typeof this.#source !== "function") {
      this.#tell({ state: "crashed", error: toErrorData(error) });
      return;
    }
    if (this.#policy.crashed() === "stop") {
      this.#fail(new MobkitError("runtime_crash_loop", "the worker of the runtime died twice within a minute"));
      return;
    }
    this.#earlierRestarts += 1;
    this.#tell({ state: "crashed", error: toErrorData(error), restarts: this.#earlierRestarts });
    this.#connect();
    if (this.#start) {
      // The dead worker's lease is released with it, but another tab may have been waiting for it.
      this.#connection?.control("start", this.#start).catch((failure: unknown) => this.#fail(failure));
    }
  }

  #fail(error: unknown): void {
    this.#disconnect(error);
    this.#tell({ state: "stopped", error: toErrorData(error) });
  }

  #tell(change: Partial<StateReport>): void {
    this.#report = { ...this.#report, ...change };
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#report);
      } catch (error) {
        // One listener's mistake must not cost the others the news.
        reportError(error);
      }
    }
  }

  readonly #onVisibility = (): void => {
    // Workers see none of this: the page tells.
    if (this.#page?.document?.visibilityState === "hidden") this.#connection?.notify("page_hidden", null);
  };

  readonly #onPageHide = (): void => {
    this.#connection?.notify("page_hidden", null);
  };

  /** A worker behind a port may be another page's too: that one goes on. */
  get #workerIsOurs(): boolean {
    return typeof this.#source === "function" || "terminate" in this.#source;
  }

  #sleep(): void {
    this.#asleep = true;
    if (this.#workerIsOurs) this.#connection?.notify("sleep", null);
    this.#watch?.abort();
    this.#watch = undefined;
  }

  #wake(): void {
    this.#asleep = false;
    if (!this.#workerIsOurs) return this.#watchWorker();
    const connection = this.#connection;
    connection?.control("wake", null).then(() => {
      // A page that sleeps again waits for no lock.
      if (connection === this.#connection && !this.#asleep) this.#watchWorker();
    }, (error: unknown) => {
      // If the connection was closed meanwhile, nobody wants to know.
      if (connection === this.#connection) this.#fail(error);
    });
  }
}
