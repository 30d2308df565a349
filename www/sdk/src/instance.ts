// One wasm instance, and its death.
//
// On stable Rust a panic in wasm cannot be unwound: what it left behind is not to be touched again. So every export is
// guarded. The first exception that leaves one kills the instance; from then on late callbacks (timers, promises,
// database events that were under way) fall into nothing, everything open is rejected, and what was started in the
// instance cannot write any more.

import type { Glue } from "./glue.js";
import { crashedError, type MobkitError } from "./error.js";

/** Makes the glue of one instance around the given `WebAssembly`. */
export type InstanceFactory = (webAssembly: typeof WebAssembly) => Glue;

/** What a dead instance answers. The glue takes apart the answers of fallible calls: zero is success, and no value. */
const NOTHING = Object.freeze([0, 0, 0, 0]);

/** One wasm instance. */
export class WasmInstance {
  readonly glue: Glue;
  #error: MobkitError | undefined;
  #panic: string | undefined;
  readonly #onCrash = new Set<(error: MobkitError) => void>();

  constructor(createInstance: InstanceFactory, module: WebAssembly.Module) {
    this.glue = createInstance(this.#guardedWebAssembly());
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

  /** Ends the instance on purpose: nothing runs in it any more. */
  kill(error: MobkitError): void {
    if (this.#error) return;
    this.#error = error;
    const callbacks = [...this.#onCrash];
    this.#onCrash.clear();
    for (const callback of callbacks) callback(error);
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
