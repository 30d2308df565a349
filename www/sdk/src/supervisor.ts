// Keeps one runtime alive: builds it in an instance of its own and builds it anew, once and visibly, when that one dies.

import { crashedError, MobkitError, toErrorData } from "./error.js";
import { crossing, type RawBuildOptions, type RawEnd, type RawModel, type RawRuntime } from "./glue.js";
import { WasmInstance, type InstanceFactory } from "./instance.js";
import type { RuntimeState, StateReport } from "./protocol.js";
import { RestartPolicy } from "./restart-policy.js";

/** A runtime and the instance it lives in. */
export interface Session {
  instance: WasmInstance;
  raw: RawRuntime;
}

/** What a supervisor needs. */
export interface SupervisorOptions {
  createInstance: InstanceFactory;
  module: WebAssembly.Module;
  build: RawBuildOptions;
  now?: (() => number) | undefined;
}

/** The keeper of one runtime. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #build: RawBuildOptions;
  readonly #policy: RestartPolicy;
  readonly #listeners = new Set<(report: StateReport) => void>();
  #report: StateReport = { state: "starting", error: null, restarts: 0 };
  /** The session that is there now; undefined while one is being built and after the end. */
  current: Session | undefined;
  #session: Promise<Session>;

  private constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#build = options.build;
    this.#policy = new RestartPolicy(options.now);
    this.#session = this.#open(options.build);
  }

  /** Builds the runtime. A crash while it is built for the first time fails the build: there is nothing to go on with. */
  static async open(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    await supervisor.#session;
    return supervisor;
  }

  /** The session, as soon as there is one; fails when there will be none any more. */
  session(): Promise<Session> {
    return this.#session;
  }

  get report(): StateReport {
    return this.#report;
  }

  onState(callback: (report: StateReport) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  /** Replaces what a model name, or without a name the default, stands for: in this session and in those after a crash. */
  async setModel(name: string | undefined, model: RawModel | undefined): Promise<string[]> {
    const { instance, raw } = await this.#session;
    const [text, objects] = model ? crossing(model) : [undefined, []];
    const names = await instance.run(() => raw.setModel(name, text, objects));
    if (name === undefined) {
      this.#build = { ...this.#build, defaultModel: model };
    } else {
      const others = this.#build.models.filter((entry) => entry.name !== name);
      this.#build = { ...this.#build, models: model ? [...others, { name, model }] : others };
    }
    return names;
  }

  /** Ends the runtime: everything still open ends, calls fail with `runtime_stopped`. */
  stop(): void {
    this.#end(new MobkitError("runtime_stopped", "the runtime was shut down"), null);
  }

  async #open(build: RawBuildOptions): Promise<Session> {
    const instance = new WasmInstance(this.#options.createInstance, this.#options.module);
    let raw: RawRuntime;
    try {
      raw = await instance.run(() => instance.glue.buildRuntime(...crossing(build)));
    } catch (error) {
      // Whatever the failed build left behind must not go on in the background.
      instance.kill(new MobkitError("runtime_stopped", "the runtime could not be built"));
      throw error;
    }
    const session = { instance, raw };
    if (this.#report.state === "stopped") {
      instance.kill(new MobkitError("runtime_stopped", "the runtime was shut down"));
      throw instance.error;
    }
    this.current = session;
    instance.onCrash((error) => this.#crashed(session, error));
    this.#tell({ state: raw.role as RuntimeState, error: null });
    void this.#watch(session);
    return session;
  }

  /** Waits for an end that is no crash. */
  async #watch(session: Session): Promise<void> {
    const { instance, raw } = session;
    let end: RawEnd;
    try {
      end = await instance.run(() => raw.ended());
    } catch (error) {
      // The instance died or was ended: whoever did that says so.
      if (instance.error) return;
      throw error;
    }
    if (this.current !== session || end === "closed") return;
    if (end === "lost") {
      instance.kill(crashedError("the storage ended unasked: what was under way is of unknown outcome"));
    } else if (end === "version_change") {
      this.#end(new MobkitError("storage_version_change", "another tab deletes or upgrades the storage"), "stopped");
    } else {
      await this.#follow(session);
    }
  }

  /** Another context took the mob over: what is open here ends, and this one goes on as its follower. */
  async #follow(session: Session): Promise<void> {
    const { instance, raw } = session;
    this.current = undefined;
    this.#tell({ state: "starting", error: null });
    this.#session = (async () => {
      try {
        await instance.run(() => raw.call("shutdown", "{}"));
      } finally {
        instance.kill(new MobkitError("not_leader", "another tab took the mob over: this one follows it now"));
      }
      return await this.#open({ ...this.#build, ifLocked: "follow" });
    })();
    this.#session.catch((failure: unknown) => this.#end(failure, "stopped"));
  }

  #crashed(session: Session, error: MobkitError): void {
    if (this.current !== session) return;
    this.current = undefined;
    const leader = this.#report.state === "leader";
    if (this.#build.storage.kind === "memory") {
      this.#end(crashedError(`${error.message}; what it held was in memory only`), "crashed");
      return;
    }
    if (this.#policy.crashed() === "stop") {
      this.#end(new MobkitError("runtime_crash_loop", `the runtime crashed twice within a minute: ${error.message}`), "crashed");
      return;
    }
    this.#tell({ state: "crashed", error: toErrorData(error), restarts: this.#policy.restarts });
    // The dead instance still holds the lock of its lease, and its storage refuses its writes: take both over.
    const restarted = this.#open({ ...this.#build, ifLocked: leader ? "steal" : "follow" });
    this.#session = restarted;
    restarted.catch((failure: unknown) => this.#end(failure, "stopped"));
  }

  #end(reason: unknown, state: "crashed" | "stopped" | null): void {
    const session = this.current;
    this.current = undefined;
    this.#session = Promise.reject(reason);
    // Reported by every call from now on.
    this.#session.catch(() => {});
    this.#tell({ state: state ?? "stopped", error: state ? toErrorData(reason) : null });
    session?.instance.kill(reason as MobkitError);
  }

  #tell(change: Partial<StateReport>): void {
    this.#report = { ...this.#report, ...change };
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#report);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
