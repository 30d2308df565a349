// Time that passes when the test says so.

import type { Clock } from "../src/remote/clock.ts";

export class ManualClock implements Clock {
  /** What `random` answers. */
  chance = 1;
  #now = 1_000_000;
  readonly #sleepers = new Set<{ at: number; ms: number; wake: () => void }>();

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { at: this.#now + ms, ms, wake: (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", sleeper.wake);
        resolve();
      } };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", sleeper.wake);
    });
  }

  /** How long those who sleep have been told to, shortest first. */
  get pauses(): number[] {
    return [...this.#sleepers].map(({ ms }) => ms).sort((a, b) => a - b);
  }

  /** Lets time pass, and everything happen that comes of it. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      const next = [...this.#sleepers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
      await settled();
    }
    this.#now = end;
  }
}

/** Lets everything happen that needs no time. */
export async function settled(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
}
