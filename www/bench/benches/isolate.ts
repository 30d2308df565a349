// How many mobs live in one isolate.

import { type Figure, Samples } from "../runner/figure.ts";
import { COLLECTING, Served } from "../runner/served.ts";

const RUNS = 5;
const FIRST = 5;
const MOBS = 50;
const MEMBERS = ["lead", "researcher", "writer"];
/** What an edge provider gives an isolate. */
const ISOLATE_BYTES = 128_000_000;

/** Instances that may be there beside those of the mobs. */
const SPARE = 2;

interface Weight {
  resident: number;
  heap: number;
  /** The middle one of all instances' memories. */
  wasm: number;
}

export async function measureAlone(): Promise<Figure[]> {
  const bytes = new Samples("bytes");
  const fitting = new Samples("mobs");
  for (let run = 0; run < RUNS; run++) {
    const served = await Served.start({ pinned: true, v8Flags: COLLECTING });
    try {
      // The first ones pay for what all share.
      await work(served, await made(served, "first", FIRST));
      const start = await weigh(served, FIRST);
      const mobs = await made(served, "mob", MOBS);
      const idle = await weigh(served, FIRST + MOBS);
      await work(served, mobs);
      const worked = await weigh(served, FIRST + MOBS);
      await work(served, await made(served, "more", MOBS));
      const twice = await weigh(served, FIRST + 2 * MOBS);

      const added = (after: Weight, before: Weight, what: "resident" | "heap"): number => (after[what] - before[what]) / MOBS;
      for (const [name, after, before] of [["never asked", idle, start], ["each member asked once", worked, start], [`another ${MOBS}, asked the same`, twice, worked]] as const) {
        bytes.add(`${name}: wasm memory of its instance`, after.wasm);
        bytes.add(`${name}: JavaScript heap`, added(after, before, "heap"));
        bytes.add(`${name}: resident set`, added(after, before, "resident"));
      }
      fitting.add("by wasm memory and JavaScript heap", Math.floor(ISOLATE_BYTES / (twice.wasm + added(twice, start, "heap") / 2)));
      fitting.add("by resident set", Math.floor(ISOLATE_BYTES / (added(twice, start, "resident") / 2)));
    } finally {
      served.close();
    }
  }
  return [{
    title: "a mob in an isolate",
    unit: "bytes",
    better: "less",
    how: `${MOBS} mobs, each an object with the demo's three members and models, in a ${Served.version} in which ${FIRST} have worked before; ${RUNS} processes, everything after
      collections. An instance's wasm memory is its whole linear memory, the middle one of all; it grows by pages of 64 KiB and never shrinks. Heap and
      resident set are what the ${MOBS} add, divided by ${MOBS}. The resident set has all that the process keeps for a mob: the heap, wasm
      memory as far as it was touched, what SQLite holds, connections. V8 tells the heap to 0.1 MB, which is 2 kB a mob.`,
    rows: bytes.rows(),
  }, {
    title: "mobs in an isolate of 128 MB",
    unit: "mobs",
    better: "more",
    how: `128 000 000 bytes divided by what a mob has, over ${2 * MOBS} mobs whose members were asked once each; the worker itself, which all share, is not counted.
      A provider counts the heap and the wasm memories; the resident set has what is outside of the isolate in it too, and not what was never touched.`,
    rows: fitting.rows(),
  }];
}

async function made(served: Served, prefix: string, count: number): Promise<string[]> {
  const mobs = Array.from({ length: count }, (_, at) => `${prefix}-${at + 1}`);
  for (const mob of mobs) await served.make(mob);
  return mobs;
}

async function work(served: Served, mobs: string[]): Promise<void> {
  for (const mob of mobs) {
    for (const member of MEMBERS) await served.ask(mob, member, "Plan a small garden");
    await served.rest(mob);
  }
}

async function weigh(served: Served, mobs: number): Promise<Weight> {
  const { wasm, heap } = await served.memories();
  // A PUT tries the definition in an instance of its own, the last of which V8 may hold for a while.
  if (wasm.length < mobs || wasm.length > mobs + SPARE) throw new Error(`${mobs} mobs have ${wasm.length} instances`);
  const middle = wasm.sort((one, other) => one - other)[Math.floor(wasm.length / 2)] ?? 0;
  return { resident: served.residentBytes(), heap, wasm: middle };
}
