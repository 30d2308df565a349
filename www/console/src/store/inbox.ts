// What waits for somebody's decision. Asked for when something has happened that may have changed it, and every few seconds by who looks:
// that its time is over is written down by the next call.

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type { GatingPendingEntry } from "mobkit-web";
import { type ConsoleError, toConsoleError } from "../client.ts";

/** How long after a hint it is asked for: one answer for many of them. */
const SOON_MS = 150;

export class Inbox {
  /** Undefined until it is known. */
  readonly entries = signal<readonly GatingPendingEntry[] | undefined>(undefined);
  readonly error = signal<ConsoleError | undefined>(undefined);
  readonly count: ReadonlySignal<number> = computed(() => this.entries.value?.length ?? 0);
  /** The members of whom a tool call waits. */
  readonly held: ReadonlySignal<ReadonlySet<string>> = computed(() => new Set(this.entries.value?.flatMap(({ tool_call }) => tool_call?.member_id ?? [])));

  readonly #ask: (signal: AbortSignal) => Promise<{ pending: GatingPendingEntry[] }>;
  readonly #changed: () => void;
  #text = "";
  #soon: ReturnType<typeof setTimeout> | undefined;
  #reading: AbortController | undefined;
  #again = false;
  /** A runtime from before there was something to decide. */
  #none = false;

  constructor(ask: (signal: AbortSignal) => Promise<{ pending: GatingPendingEntry[] }>, changed: () => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** Something has happened after which it may be another. */
  soon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.read();
    }, SOON_MS);
  }

  /** Asks now, or once more after what is being asked. */
  async read(): Promise<void> {
    if (this.#none) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    const reading = new AbortController();
    this.#reading = reading;
    do {
      this.#again = false;
      try {
        const { pending } = await this.#ask(reading.signal);
        if (reading.signal.aborted) return;
        this.#take(pending);
      } catch (caught) {
        if (reading.signal.aborted) return;
        const error = toConsoleError(caught);
        this.#none = error.code === "method_not_found" || error.code === "-32601";
        this.error.value = error;
      }
    } while (this.#again);
    this.#reading = undefined;
  }

  #take(pending: GatingPendingEntry[]): void {
    const text = JSON.stringify(pending);
    this.error.value = undefined;
    if (this.entries.peek() !== undefined && text === this.#text) return;
    const first = this.entries.peek() === undefined && pending.length === 0;
    this.#text = text;
    this.entries.value = pending;
    if (!first) this.#changed();
  }

  /** Forgets what it knew. */
  close(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#reading?.abort();
    this.#reading = undefined;
    this.#none = false;
    batch(() => {
      this.entries.value = undefined;
      this.error.value = undefined;
    });
  }
}
