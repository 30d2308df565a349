// Time and chance as the remote's client uses them; tests give their own.

export interface Clock {
  now(): number;
  /** Ends after `ms`, or at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** At least 0 and less than 1. */
  random(): number;
}

export const browserClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    }),
};

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * How long to wait before a server that is away is asked for the nth time (from 0). The pauses double, and each is somewhere in the
 * upper half of its length: of many pages that lost one server, not all come back in the same moment.
 */
export function pauseMs(attempt: number, random: number): number {
  const full = Math.min(FIRST_MS * 2 ** attempt, LONGEST_MS);
  return Math.round(full * (0.5 + random / 2));
}
