// When a runtime that died is started anew: once and visibly, never in a loop.

/** A second crash within this time after a restart ends the restarts. */
export const CRASH_LOOP_WINDOW_MS = 60_000;

/** Counts crashes and decides. */
export class RestartPolicy {
  /** Restarts so far. */
  restarts = 0;
  #lastRestart: number | undefined;
  readonly #now: () => number;

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
  }

  /** A crash happened: start anew (counted as a restart), or stop because this is a crash loop. */
  crashed(): "restart" | "stop" {
    const now = this.#now();
    const loop = this.#lastRestart !== undefined && now - this.#lastRestart < CRASH_LOOP_WINDOW_MS;
    if (loop) return "stop";
    this.#lastRestart = now;
    this.restarts += 1;
    return "restart";
  }
}
