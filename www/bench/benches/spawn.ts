// The time to spawn fifty members durably.

import type { Way } from "../page/spawn.ts";
import { type Figure, rotated, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 15;
const MEMBERS = 50;
const WARM_UP = 3;
const WAYS: Way[] = ["one call", "a call for each", "one call, on memory"];

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  const samples = new Samples("ms");
  for (let at = -WARM_UP; at < RUNS; at++) {
    for (const way of rotated(WAYS, at + WARM_UP)) {
      const took = await page.evaluate(([way, members, database]) => window.spawn.run(way, members, database), [way, MEMBERS, `spawn-${at}-${way}`] as const);
      if (at >= 0) samples.add(way, took);
    }
  }
  return [{
    title: `${MEMBERS} members spawned durably`,
    unit: "ms",
    better: "less",
    how: `From the call to its answer, by when roster and ledger are on disk (durability “strict”), in a runtime just built over an empty
      database; another runtime then finds all of them. ${RUNS} runs after ${WARM_UP} to warm up. On memory for comparison: what is
      not storage.`,
    rows: samples.rows({ "one call": { at_most: 20 } }),
  }];
}
