// Many times at which something is to happen, and one timer for the earliest: none while there is nothing to happen.

/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

interface Entry {
  /** Milliseconds since the epoch. */
  at: number;
  ring: () => void;
}

export class Agenda {
  readonly #entries = new Map<string, Entry>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer rings. */
  #next = Infinity;

  /** Sets a time, in place of the key's earlier one. `ring` must not throw. */
  set(key: string, at: number, ring: () => void): void {
    this.#entries.set(key, { at, ring });
    if (at < this.#next) this.#arm(at);
  }

  /** Takes a time away. The timer may ring for nothing then, once. */
  delete(key: string): void {
    if (this.#entries.delete(key) && this.#entries.size === 0) this.#disarm();
  }

  /** Takes all away. */
  clear(): void {
    this.#entries.clear();
    this.#disarm();
  }

  #ring(): void {
    const now = Date.now();
    this.#disarm();
    const due = [...this.#entries].filter(([, { at }]) => at <= now);
    for (const [key] of due) this.#entries.delete(key);
    for (const [, { ring }] of due) ring();
    let next = Infinity;
    for (const { at } of this.#entries.values()) next = Math.min(next, at);
    if (next < this.#next) this.#arm(next);
  }

  #arm(at: number): void {
    this.#disarm();
    this.#next = at;
    this.#timer = setTimeout(() => this.#ring(), Math.min(Math.max(at - Date.now(), 0), LONGEST_MS));
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#next = Infinity;
  }
}
