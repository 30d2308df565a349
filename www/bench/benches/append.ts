// Events appended durably per second.

import { type Figure, grouped, rotated, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 5;
const HUNDREDS = 30_000;
const SINGLES = 2_000;
const WARM_UP = 1_000;
const RUNTIME = "the package: a runtime, 100 members whose models stream";

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  const bytes = await page.evaluate(() => window.append.eventBytes());
  const [ours = "", dexie = "", ...others] = await page.evaluate(() => window.append.hundreds);
  const singles = await page.evaluate(() => window.append.singles);
  let database = 0;
  const run = (name: string, events: number): Promise<number> => {
    database += 1;
    if (name === RUNTIME) return page.evaluate(([events, database]) => window.append.runtime(events, database), [events, `append-${database}`] as const);
    return page.evaluate(([name, events, database]) => window.append.run(name, events, database), [name, events, `append-${database}`] as const);
  };
  const all = async (names: string[], events: number): Promise<Samples> => {
    const samples = new Samples("events/s");
    for (const name of names) await run(name, WARM_UP);
    for (let at = 0; at < RUNS; at++) {
      for (const name of rotated(names, at)) samples.add(name, await run(name, events));
    }
    return samples;
  };
  const fairness = `${RUNS} runs after one to warm up, each into an empty database. An event counts when its transaction's \`complete\` has come, with
    durability “relaxed” for everybody; what is stored is read again and compared after the clock has stopped. Objects are made before
    the clock runs. “The log in wasm” is the package's log, called from Rust.`;
  return [{
    title: "events appended durably, a hundred at a time",
    unit: "events/s",
    better: "more",
    how: `${grouped(HUNDREDS)} events of ${bytes} bytes, each hundred after the one before. ${fairness} “The package” is all that a runtime does for its
      members' streamed answers, with models in JavaScript, turns and transcripts; its groups are as the work makes them.`,
    rows: (await all([ours, RUNTIME, dexie, ...others], HUNDREDS)).rows({ [ours]: { times: { times: 6, of: dexie } } }),
  }, {
    title: "events appended durably, one at a time",
    unit: "events/s",
    better: "more",
    how: `${grouped(SINGLES)} events of ${bytes} bytes, each after the one before. ${fairness}`,
    rows: (await all(singles, SINGLES)).rows(),
  }];
}
