// Runs before anything else in a page: sees every wasm instance, and counts what can wake a runtime up.

/** How often each thing happened. */
export interface Counts {
  /** Timers that fired, of both kinds. */
  timers: number;
  /** Messages that were posted, over ports and broadcast channels. */
  messages: number;
  /** Transactions that were begun. */
  transactions: number;
  /** Calls into the wasm, whatever caused them. */
  calls: number;
}

export interface Instrument {
  counts(): Counts;
  /** Timers that are armed. */
  armed(): number;
  /** The memories of all instances, in the order in which they were made, in bytes. */
  memories(): number[];
}

declare global {
  interface Window {
    instrument: Instrument;
  }
}

const counts: Counts = { timers: 0, messages: 0, transactions: 0, calls: 0 };
const memories: WebAssembly.Memory[] = [];
const armed = new Set<unknown>();

/** Puts a function in a method's place that gets the method first. */
function wrap(object: object, name: string, make: (original: (...args: never[]) => unknown) => (this: unknown, ...args: never[]) => unknown): void {
  const original = Reflect.get(object, name) as (...args: never[]) => unknown;
  Reflect.set(object, name, make(original));
}

for (const name of ["setTimeout", "setInterval"]) {
  const once = name === "setTimeout";
  wrap(globalThis, name, (original) => function (callback: unknown, ...rest: never[]) {
    const fire = function (this: unknown, ...args: never[]): unknown {
      counts.timers += 1;
      if (once) armed.delete(handle);
      return typeof callback === "function" ? callback.apply(this, args) : undefined;
    };
    const handle = original.call(globalThis as never, ...[fire, ...rest] as never[]);
    armed.add(handle);
    return handle;
  } as never);
}
for (const name of ["clearTimeout", "clearInterval"]) {
  wrap(globalThis, name, (original) => (handle) => {
    armed.delete(handle);
    return original.call(globalThis as never, handle);
  });
}
for (const sender of [MessagePort, BroadcastChannel]) {
  wrap(sender.prototype, "postMessage", (original) => function (...args) {
    counts.messages += 1;
    return original.apply(this as never, args);
  });
}
wrap(IDBDatabase.prototype, "transaction", (original) => function (...args) {
  counts.transactions += 1;
  return original.apply(this as never, args);
});

const Native = WebAssembly.Instance;
WebAssembly.Instance = class {
  readonly exports: WebAssembly.Exports;

  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    const { exports } = new Native(module, imports);
    this.exports = Object.fromEntries(Object.entries(exports).map(([name, value]) => {
      if (value instanceof WebAssembly.Memory) memories.push(value);
      if (typeof value !== "function") return [name, value];
      const call = (...args: unknown[]): unknown => {
        counts.calls += 1;
        return (value as (...args: unknown[]) => unknown)(...args);
      };
      return [name, call];
    })) as WebAssembly.Exports;
  }
} as typeof WebAssembly.Instance;

window.instrument = {
  counts: () => ({ ...counts }),
  armed: () => armed.size,
  memories: () => memories.map((memory) => memory.buffer.byteLength),
};
