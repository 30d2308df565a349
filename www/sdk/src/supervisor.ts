// Keeps one runtime alive: builds it in an instance of its own and builds it anew, once and visibly, when that one dies. While it
// follows another context, a successor waits for the lock and takes its place when the lock is free.

import { crashedError, isMobkitError, MobkitError, toErrorData } from "./error.js";
import { crossing, type RawBuildOptions, type RawEnd, type RawModel, type RawRuntime } from "./glue.js";
import { WasmInstance, type InstanceFactory } from "./instance.js";
import type { RuntimeState, StateReport } from "./protocol.js";
import { report } from "./report.js";
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
  /** The instance that waits for the lock while this context follows. */
  #successor: WasmInstance | undefined;
  /** The instance in which the runtime is being built. */
  #opening: WasmInstance | undefined;
  /** A crashed instance whose locks its successor is to take over. */
  #bequeathed: WasmInstance | undefined;
  /** Resolves at the end of the sleep; undefined while awake. */
  #asleep: Promise<void> | undefined;
  #wake: () => void = () => {};

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
    const session = await this.#session;
    const { instance, raw } = session;
    const [text, objects] = model ? crossing(model) : [undefined, []];
    const names = await instance.run(() => raw.setModel(name, text, objects));
    if (name === undefined) {
      this.#build = { ...this.#build, defaultModel: model };
    } else {
      const others = this.#build.models.filter((entry) => entry.name !== name);
      this.#build = { ...this.#build, models: model ? [...others, { name, model }] : others };
    }
    // Whoever was built meanwhile was given what there was before.
    if (this.#successor && this.current) this.#queue(this.current);
    return await this.#session === session ? names : await this.setModel(name, model);
  }

  /**
   * Ends the runtime in good order: everything still open ends, later calls fail with `runtime_stopped`. Its lease is kept until
   * `release` is called: whoever takes its place steals it, and nobody comes between.
   */
  async shutdown(): Promise<{ report: string; release: () => void }> {
    const { instance, raw } = await this.#session;
    // What happens to it from now on is not answered with a restart.
    this.current = undefined;
    this.#dismissSuccessor();
    instance.keepLocks();
    const release = () => instance.releaseLocks();
    try {
      return { report: await instance.run(() => raw.call("shutdown", "{}")), release };
    } catch (error) {
      release();
      throw error;
    } finally {
      const reason = new MobkitError("runtime_stopped", "the runtime was shut down");
      this.#end(reason, null);
      instance.kill(reason);
    }
  }

  /**
   * For a page that goes to sleep: lets go of the lease at once. The runtime stands still with the page and is built anew when
   * that wakes; what it still does until then the fencing token keeps out, once somebody else leads.
   */
  sleep(): void {
    if (this.#asleep || this.#build.storage.kind === "memory") return;
    const asleep = new Promise<void>((wake) => { this.#wake = wake; });
    this.#asleep = asleep;
    this.#bequeathed?.releaseLocks();
    // What is being built is built anew after the sleep.
    if (this.#opening) end(this.#opening, asleepError());
    const session = this.current;
    if (!session) return;
    const { instance, raw } = session;
    this.current = undefined;
    this.#dismissSuccessor();
    instance.releaseLocks();
    this.#tell({ state: "starting", error: null });
    this.#session = asleep
      // If another context leads now, there is nothing left to be written: a failure is no news.
      .then(() => instance.run(() => raw.call("shutdown", "{}")).catch(() => {}))
      .then(() => {
        end(instance, asleepError());
        return this.#open({ ...this.#build, ifLocked: "follow" });
      });
    this.#session.catch((failure: unknown) => this.#end(failure, "stopped"));
  }

  /** Starts a sleeping runtime anew: as leader if nobody leads meanwhile. */
  wake(): void {
    this.#asleep = undefined;
    this.#wake();
  }

  async #open(build: RawBuildOptions): Promise<Session> {
    await this.#asleep;
    const instance = this.#instance();
    this.#opening = instance;
    let session: Session;
    try {
      session = await this.#create(instance, build);
    } catch (error) {
      // Put to sleep in the middle of it, which says nothing of who leads after the sleep.
      if (instance.error?.code === "page_asleep") return await this.#open({ ...build, ifLocked: build.ifLocked === "steal" ? "follow" : build.ifLocked });
      throw error;
    } finally {
      if (this.#opening === instance) this.#opening = undefined;
    }
    if (this.#report.state === "stopped") {
      const reason = new MobkitError("runtime_stopped", "the runtime was shut down");
      end(session.instance, reason);
      throw reason;
    }
    this.#enter(session);
    return session;
  }

  #instance(): WasmInstance {
    return new WasmInstance(this.#options.createInstance, this.#options.module);
  }

  async #create(instance: WasmInstance, build: RawBuildOptions): Promise<Session> {
    try {
      return { instance, raw: await instance.run(() => instance.glue.buildRuntime(...crossing(build))) };
    } catch (error) {
      // Whatever the failed build left behind must not go on in the background.
      end(instance, new MobkitError("runtime_stopped", "the runtime could not be built"));
      throw error;
    }
  }

  #enter(session: Session): void {
    const { instance, raw } = session;
    this.current = session;
    // Nobody waits for the builds that may follow: what their discoveries fail with must not end what was open.
    this.#build = { ...this.#build, reopen: true };
    instance.onCrash((error) => this.#crashed(session, error));
    this.#tell({ state: raw.role as RuntimeState, error: null });
    void this.#watch(session);
    if (raw.role === "follower") this.#queue(session);
  }

  /**
   * Has a successor of this follower wait for the lock, in an instance of its own: the browser's queue decides who leads next.
   * The follower serves until the successor is there.
   */
  #queue(follower: Session): void {
    this.#dismissSuccessor();
    const instance = this.#instance();
    this.#successor = instance;
    this.#create(instance, { ...this.#build, ifLocked: "wait" }).then((session) => {
      if (this.#successor === instance) this.#succeed(follower, session);
    }, (error: unknown) => {
      // Otherwise it was dismissed.
      if (this.#successor !== instance) return;
      this.#successor = undefined;
      if (isMobkitError(error, "runtime_crashed")) follower.instance.kill(error);
      else this.#end(error, "stopped");
    });
  }

  #dismissSuccessor(): void {
    const successor = this.#successor;
    this.#successor = undefined;
    if (successor) end(successor, new MobkitError("runtime_stopped", "the lock is not waited for any more"));
  }

  /** The lock was free: this context leads now. */
  #succeed(follower: Session, session: Session): void {
    this.#successor = undefined;
    this.#session = Promise.resolve(session);
    this.#enter(session);
    const over = new MobkitError("role_changed", "this tab leads the mob now: ask again");
    // It has nothing to lose.
    follower.instance.run(() => follower.raw.call("shutdown", "{}")).catch(() => {}).finally(() => end(follower.instance, over));
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
    } else if (this.#build.storage.kind === "driver") {
      // Without locks there is no following: whoever opens it leads, and two that did so again and again would take it from each other.
      this.#end(new MobkitError("not_leader", "another runtime took the mob over"), "stopped");
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
        end(instance, new MobkitError("not_leader", "another tab took the mob over: this one follows it now"));
      }
      return await this.#open({ ...this.#build, ifLocked: "follow" });
    })();
    this.#session.catch((failure: unknown) => this.#end(failure, "stopped"));
  }

  #crashed(session: Session, error: MobkitError): void {
    if (this.current !== session) return;
    this.current = undefined;
    this.#dismissSuccessor();
    const leader = this.#report.state === "leader";
    const release = () => {
      this.#bequeathed = undefined;
      session.instance.releaseLocks();
    };
    if (this.#build.storage.kind === "memory") {
      this.#end(crashedError(`${error.message}; what it held was in memory only`), "crashed");
      return;
    }
    if (this.#policy.crashed() === "stop") {
      this.#end(new MobkitError("runtime_crash_loop", `the runtime crashed twice within a minute: ${error.message}`), "crashed");
      release();
      return;
    }
    this.#tell({ state: "crashed", error: toErrorData(error), restarts: this.#policy.restarts });
    this.#bequeathed = session.instance;
    // The dead instance still holds the lock of its lease, and its storage refuses its writes: take both over.
    const restarted = this.#open({ ...this.#build, ifLocked: leader ? "steal" : "follow" });
    this.#session = restarted;
    restarted.catch((failure: unknown) => this.#end(failure, "stopped")).finally(release);
  }

  #end(reason: unknown, state: "crashed" | "stopped" | null): void {
    const session = this.current;
    this.current = undefined;
    this.#dismissSuccessor();
    this.#session = Promise.reject(reason);
    // Reported by every call from now on.
    this.#session.catch(() => {});
    this.#tell({ state: state ?? "stopped", error: state ? toErrorData(reason) : null });
    if (session) end(session.instance, reason as MobkitError);
  }

  #tell(change: Partial<StateReport>): void {
    this.#report = { ...this.#report, ...change };
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#report);
      } catch (error) {
        report(error);
      }
    }
  }
}

function asleepError(): MobkitError {
  return new MobkitError("page_asleep", "the page was put to sleep: ask again");
}

/** Ends an instance whose place nobody takes. */
function end(instance: WasmInstance, reason: MobkitError): void {
  instance.kill(reason);
  instance.releaseLocks();
}
