// What a bench answers. `xtask/src/bench/figure.rs` reads it.

import type { Lab } from "./lab.ts";

/** A module of `benches/`: one measures in pages, another one without a browser. */
export type Bench = { measure(lab: Lab): Promise<Figure[]> } | { measureAlone(): Promise<Figure[]> };

/** One table of numbers of the same unit. */
export interface Figure {
  title: string;
  unit: string;
  better: "more" | "less";
  /** How it is measured, for whoever wants to know what the number means. */
  how: string;
  rows: Row[];
}

/** What one contender came to, or one circumstance: a value for each run. */
export interface Row {
  name: string;
  samples: number[];
  aim?: Aim;
}

/** What the median shall be. */
export type Aim = { at_least: number } | { at_most: number } | { times: { times: number; of: string } };

/** Values by row, in the order in which the rows were first named. */
export class Samples {
  readonly #unit: string;
  readonly #rows = new Map<string, number[]>();

  constructor(unit: string) {
    this.#unit = unit;
  }

  add(name: string, value: number): void {
    const digits = value >= 100 ? 0 : 2;
    console.log(`  ${name}: ${value.toFixed(digits)} ${this.#unit}`);
    const samples = this.#rows.get(name);
    if (samples) samples.push(value);
    else this.#rows.set(name, [value]);
  }

  /** The rows, with the aims of those that have one. */
  rows(aims: Record<string, Aim> = {}): Row[] {
    for (const name of Object.keys(aims)) if (!this.#rows.has(name)) throw new Error(`“${name}” has an aim and no value`);
    return [...this.#rows].map(([name, samples]) => ({ name, samples, ...(aims[name] ? { aim: aims[name] } : {}) }));
  }
}

/** The names, beginning with another one in each run: what comes first or follows a heavy one must not do so every time. */
export function rotated<T>(items: readonly T[], run: number): T[] {
  const first = run % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** `12345` as `12 345`. */
export function grouped(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, " ");
}
