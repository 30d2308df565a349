// What it costs to bring a large mob to what it ought to be, and to find something in its ledger.

import { type Figure, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 7;
const EDGES = 100_000;
const ENTRIES = 50_000;
const EVENTS = 10_000;

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  const reconciled = new Samples("ms");
  for (const members of [1_000, 10_000]) {
    const took = await page.evaluate(([members, runs]) => window.roster.reconcile(members, runs, `roster-${members}`), [members, RUNS] as const);
    for (const value of took) reconciled.add(`${members} members`, value);
  }
  for (const value of await page.evaluate(([edges, runs]) => window.roster.edges(1_000, edges, runs, "edges"), [EDGES, RUNS] as const)) {
    reconciled.add(`${EDGES} edges among 1000 members`, value);
  }
  const looked = new Samples("ms");
  const found = await page.evaluate(([entries, runs]) => window.roster.query(entries, runs, "query"), [ENTRIES, RUNS] as const);
  for (const value of found.sparse) looked.add("one entry, by its member", value);
  for (const value of found.whole) looked.add("none, by its time: every entry is looked at", value);
  const written = new Samples("writes");
  written.add(`${EVENTS} events`, await page.evaluate((events) => window.roster.cursorWrites(events, "cursor"), EVENTS));
  return [
    {
      title: "a mob brought to what it ought to be, one in a hundred changed",
      unit: "ms",
      better: "less",
      how: `From the call of reconcile (or reconcileEdges) to its answer, by when roster, wiring and ledger are on disk (durability
        “strict”). Each run wants one in a hundred to be another than before: those leave and as many come. ${RUNS} runs in one
        runtime on IndexedDB. The call with what is wanted crosses to the wasm as JSON text, and so does the report.`,
      rows: reconciled.rows(),
    },
    {
      title: `a look into a ledger of ${found.entries} entries`,
      unit: "ms",
      better: "less",
      how: `queryMobEvents in a runtime on IndexedDB. By member: through the index. By time: without one. ${RUNS} runs.`,
      rows: looked.rows(),
    },
    {
      title: "writes of the subscription's cursor to a store of one's own",
      unit: "writes",
      better: "less",
      how: "Ten members spawned every 20 ms until there are as many events. Counted by the store.",
      rows: written.rows({ [`${EVENTS} events`]: { at_most: 100 } }),
    },
  ];
}
