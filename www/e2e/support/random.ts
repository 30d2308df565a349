// Draws that can be repeated: a failing run prints its seed, and `MOBKIT_E2E_SEED` runs it again.

import { randomInt } from "node:crypto";

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed = Number(process.env["MOBKIT_E2E_SEED"] ?? randomInt(2 ** 32))) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** A whole number from 0 to below `end` (mulberry32). */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }
}
