// Events read again after a cursor per second.

import { type Figure, grouped, rotated, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 7;
const EVENTS = 20_000;
const AFTER = 150;
const RUNTIME = "the package: a runtime's events";

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  const names = await page.evaluate(() => window.replay.contenders);
  const database = (name: string): string => `replay-${names.indexOf(name)}`;
  for (const name of names) await page.evaluate(([name, events, database]) => window.replay.fill(name, events, database), [name, EVENTS, database(name)] as const);
  const made = await page.evaluate(([events, database]) => window.replay.fillRuntime(events, database), [EVENTS, "replay"] as const);
  const run = (name: string): Promise<number> => {
    if (name === RUNTIME) return page.evaluate(([events, after, database]) => window.replay.runtime(events, after, database), [made, AFTER, "replay"] as const);
    return page.evaluate(([name, events, after, database]) => window.replay.run(name, events, after, database), [name, EVENTS, AFTER, database(name)] as const);
  };
  const contenders = [names[0] ?? "", RUNTIME, ...names.slice(1)];
  for (const name of contenders) await run(name);
  const samples = new Samples("events/s");
  for (let at = 0; at < RUNS; at++) {
    for (const name of rotated(contenders, at)) samples.add(name, await run(name));
  }
  const aim = { at_least: 300_000 };
  return [{
    title: "events replayed after a cursor",
    unit: "events/s",
    better: "more",
    how: `${grouped(EVENTS)} events of about 330 bytes on disk, read from the cursor ${AFTER} to the end in ${RUNS} runs after one to warm up, over a
      connection just opened: nothing is in the readers' memory. Every event is decoded and looked at. “The log in wasm” gives Rust
      values; the others give JavaScript objects, “the package” from ${grouped(made)} events of 100 members' streamed answers.`,
    rows: samples.rows({ [contenders[0] ?? ""]: aim, [RUNTIME]: aim }),
  }];
}
