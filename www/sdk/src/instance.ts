// One wasm instance, and its death.
//
// On stable Rust a panic in wasm cannot be unwound: what it left behind is not to be touched again. So every export is
// guarded. The first exception that leaves one kills the instance; from then on late callbacks (timers, promises,
// database events that were under way) fall into nothing, everything open is rejected, and what was started in the
// instance cannot write any more.
//
// What the browser does or keeps for an instance must end with it too, and nothing in there can say so any more. So the glue
// sees some of the page's globals through this file: the instance's death aborts every signal that it made, and its locks are
// let go from here.

import type { Glue } from "./glue.js";
import { crashedError, type MobkitError } from "./error.js";

/** What the glue of an instance sees in place of the page's globals of these names. */
export interface InstanceGlobals {
  WebAssembly: typeof WebAssembly;
  AbortController: typeof AbortController;
  navigator: { locks: Pick<LockManager, "request"> | undefined };
}

/** Makes the glue of one instance. */
export type InstanceFactory = (globals: InstanceGlobals) => Glue;

/** What a dead instance answers. The glue takes apart the answers of fallible calls: zero is success, and no value. */
const NOTHING = Object.freeze([0, 0, 0, 0]);

/** One wasm instance. */
export class WasmInstance {
  readonly glue: Glue;
  #error: MobkitError | undefined;
  #panic: string | undefined;
  readonly #onCrash = new Set<(error: MobkitError) => void>();
  readonly #death = new AbortController();
  #locksAreKept = false;
  #releaseLocks!: () => void;
  readonly #locksReleased = new Promise<void>((resolve) => { this.#releaseLocks = resolve; });

  constructor(createInstance: InstanceFactory, module: WebAssembly.Module) {
    this.glue = createInstance({
      WebAssembly: this.#guardedWebAssembly(),
      AbortController: this.#mortalAbortController(),
      navigator: { locks: this.#guardedLocks() },
    });
    this.glue.initSync({ module });
    this.glue.onPanic((message) => { this.#panic = message; });
  }

  /** Why the instance is dead. */
  get error(): MobkitError | undefined {
    return this.#error;
  }

  /** Calls back when the instance dies. The function that is returned ends that. */
  onCrash(callback: (error: MobkitError) => void): () => void {
    this.#onCrash.add(callback);
    return () => this.#onCrash.delete(callback);
  }

  /** Runs a call into the instance; fails with `runtime_crashed` if the instance is dead or dies before the answer. */
  run<T>(call: () => T | Promise<T>): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      if (this.#error) return reject(this.#error);
      const leave = this.onCrash(reject);
      const settle = <V>(then: (value: V) => void) => (value: V) => {
        leave();
        then(value);
      };
      try {
        Promise.resolve(call()).then(settle(resolve), settle(reject));
      } catch (error) {
        leave();
        // If the call itself killed the instance, `reject` was called with the crash before.
        reject(error);
      }
    });
  }

  /**
   * Ends the instance on purpose: nothing runs in it any more, and what it has under way is aborted. Locks that it holds stay
   * held, so that whoever takes its place can steal them before anybody else gets them; `releaseLocks` ends that.
   */
  kill(error: MobkitError): void {
    if (this.#error) return;
    this.#error = error;
    const callbacks = [...this.#onCrash];
    this.#onCrash.clear();
    for (const callback of callbacks) callback(error);
    this.#death.abort(error);
  }

  /** From now on a lock that the wasm lets go stays held until `releaseLocks`. */
  keepLocks(): void {
    this.#locksAreKept = true;
  }

  /** Lets go of all locks. */
  releaseLocks(): void {
    this.#releaseLocks();
  }

  /** Controllers whose signals are aborted by the death of the instance too. */
  #mortalAbortController(): typeof AbortController {
    const death = this.#death.signal;
    return class extends AbortController {
      readonly #signal = AbortSignal.any([super.signal, death]);

      override get signal(): AbortSignal {
        return this.#signal;
      }
    };
  }

  #guardedLocks(): InstanceGlobals["navigator"]["locks"] {
    const { locks } = globalThis.navigator ?? {};
    if (!locks) return undefined;
    const request = (name: string, options: LockOptions, granted: LockGrantedCallback<unknown>): Promise<unknown> =>
      locks.request(name, options, (lock) => {
        if (!lock) return granted(lock);
        // Granted in the moment of its death: the lock opens again at once.
        if (this.#error) return undefined;
        const letGo = Promise.resolve(granted(lock)).then(() => this.#locksAreKept ? this.#locksReleased : undefined);
        return Promise.race([letGo, this.#locksReleased]);
      });
    return { request: request as LockManager["request"] };
  }

  #guardedWebAssembly(): typeof WebAssembly {
    const Native = globalThis.WebAssembly;
    const guard = (call: (...args: unknown[]) => unknown) => (...args: unknown[]): unknown => {
      if (this.#error) return NOTHING;
      try {
        return call(...args);
      } catch (error) {
        // A panic has said why; a stack overflow or an exception of an import that nobody caught says it here.
        this.kill(crashedError(`the runtime crashed: ${this.#panic ?? String(error)}`));
        throw error;
      }
    };
    class GuardedInstance {
      readonly exports: WebAssembly.Exports;

      constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
        const exports = new Native.Instance(module, imports).exports;
        this.exports = Object.fromEntries(Object.entries(exports).map(([name, value]) =>
          [name, typeof value === "function" ? guard(value as (...args: unknown[]) => unknown) as typeof value : value]));
      }
    }
    return Object.create(Native, { Instance: { value: GuardedInstance } }) as typeof WebAssembly;
  }
}
