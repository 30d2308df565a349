// Async iterators over the batch readers of an instance.

import type { RawReader } from "./glue.js";
import type { WasmInstance } from "./instance.js";
import { isMobkitError } from "./error.js";

/** How many items cross the boundary at once. */
const BATCH = 256;

/** An open reader and the instance it lives in. */
export interface OpenReader {
  instance: WasmInstance;
  reader: RawReader;
}

/**
 * Items in order, as they come. Leaving the loop closes the reader. It ends when the runtime is shut down, fails with
 * `runtime_crashed` when the runtime dies, and with the signal's reason when the signal is aborted.
 */
export class EventStream<T> implements AsyncIterableIterator<T> {
  #opened: Promise<OpenReader>;
  #buffer: T[] = [];
  #at = 0;
  #done = false;
  readonly #convert: (item: never) => T;
  readonly #signal: AbortSignal | undefined;
  /** Concurrent calls of `next` are answered in order. */
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #abort!: (reason: unknown) => void;
  readonly #aborted: Promise<never>;

  constructor(opened: Promise<OpenReader>, convert: (item: never) => T, signal?: AbortSignal) {
    this.#opened = opened;
    this.#convert = convert;
    this.#signal = signal;
    this.#aborted = new Promise((_, reject) => { this.#abort = reject; });
    // Both are reported by `next`; nobody need have called it.
    this.#aborted.catch(() => {});
    opened.catch(() => {});
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    // What is there already needs no turn: most of the time of a replay would go into taking it.
    if (this.#waiting === 0 && !this.#done && this.#at < this.#buffer.length && !this.#signal?.aborted) {
      return Promise.resolve({ done: false, value: this.#buffer[this.#at++] as T });
    }
    this.#waiting++;
    const next = this.#turn.then(() => this.#next()).finally(() => this.#waiting--);
    this.#turn = next.catch(() => {});
    return next;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#finish();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    if (this.#signal?.aborted) throw this.#signal.reason;
    if (this.#done) return { done: true, value: undefined };
    if (this.#at === this.#buffer.length) {
      try {
        const { instance, reader } = await Promise.race([this.#opened, this.#aborted]);
        const batch = await Promise.race([instance.run(() => reader.next(BATCH)), this.#aborted]);
        // It may have been left while the batch was on its way.
        if (batch === undefined || this.#done) {
          this.#finish();
          return { done: true, value: undefined };
        }
        this.#buffer = (JSON.parse(batch) as never[]).map(this.#convert);
        this.#at = 0;
      } catch (error) {
        this.#finish();
        if (isMobkitError(error, "runtime_stopped")) return { done: true, value: undefined };
        throw error;
      }
    }
    return { done: false, value: this.#buffer[this.#at++] as T };
  }

  readonly #onAbort = (): void => {
    this.#abort(this.#signal?.reason);
    this.#finish();
  };

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#buffer = [];
    this.#at = 0;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    // A reader that never opened has nothing to close.
    this.#opened.then(({ instance, reader }) => instance.error ?? reader.close(), () => {});
  }
}
