// Bytes per idle member at a thousand members.

import type { CDPSession, Page } from "playwright-core";
import { type Figure, grouped, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 5;
const MEMBERS = 1_000;

interface Weight {
  /** The JavaScript heap in use, after a collection. */
  heap: number;
  /** The wasm memory of the instance that was made last. */
  wasm: number;
}

export async function measure(lab: Lab): Promise<Figure[]> {
  await lab.runFirst("instrument");
  const samples = new Samples("bytes");
  const page = await lab.page();
  await opened(page, "stored");
  await page.evaluate((members) => window.memory.spawn(members), MEMBERS);
  await page.evaluate(() => window.memory.close());
  await page.close();
  for (let run = 0; run < RUNS; run++) {
    await spawned(lab, samples);
    await restored(lab, samples);
  }
  return [{
    title: `an idle member, at ${grouped(MEMBERS)}`,
    unit: "bytes",
    better: "less",
    how: `What ${grouped(MEMBERS)} members that never worked add to the wasm memory and to the page's JavaScript heap in use after a collection
      (Chromium's debugger: HeapProfiler.collectGarbage, Runtime.getHeapUsage), divided by ${grouped(MEMBERS)}; a page of its own for each of
      ${RUNS} runs. Spawned: before and after spawning them, 50 at a time, on IndexedDB; with the first, their
      ledger entries stay in memory too, where the newest 1 024 are kept. Restored: a runtime that finds them
      stored, against one that finds an empty database. Wasm memory grows by pages of 64 KiB and never shrinks, so it is a
      high-water mark. What the browser's own processes hold is not counted.`,
    rows: samples.rows(),
  }];
}

async function spawned(lab: Lab, samples: Samples): Promise<void> {
  const page = await lab.page();
  const debug = await lab.debug(page);
  await opened(page, `empty-${crypto.randomUUID()}`);
  const before = await weigh(page, debug);
  await page.evaluate((members) => window.memory.spawn(members), MEMBERS);
  const after = await weigh(page, debug);
  await page.evaluate((members) => window.memory.spawn(members), MEMBERS);
  const twice = await weigh(page, debug);
  await page.evaluate(() => window.memory.close());
  await page.close();
  add(samples, "spawned", difference(after, before));
  add(samples, `spawned after another ${grouped(MEMBERS)}`, difference(twice, after));
}

async function restored(lab: Lab, samples: Samples): Promise<void> {
  const page = await lab.page();
  const debug = await lab.debug(page);
  // The first runtime pays for what all of them share, the second tells what an instance weighs, the third has the members.
  await opened(page, `empty-${crypto.randomUUID()}`);
  const first = await weigh(page, debug);
  await opened(page, `empty-${crypto.randomUUID()}`);
  const second = await weigh(page, debug);
  const found = await opened(page, "stored");
  const third = await weigh(page, debug);
  await page.evaluate(() => window.memory.close());
  await page.close();
  if (found !== MEMBERS) throw new Error(`${found} of ${MEMBERS} members were restored`);
  const { heap, wasm } = difference(third, second);
  // Every instance has a wasm memory of its own, and its glue is on the heap.
  add(samples, "restored", { heap: heap - difference(second, first).heap, wasm });
}

function difference(after: Weight, before: Weight): Weight {
  return { heap: after.heap - before.heap, wasm: after.wasm - before.wasm };
}

function add(samples: Samples, name: string, { heap, wasm }: Weight): void {
  samples.add(`${name}, both together`, (heap + wasm) / MEMBERS);
  samples.add(`${name}, wasm memory`, wasm / MEMBERS);
  samples.add(`${name}, JavaScript heap`, heap / MEMBERS);
}

function opened(page: Page, database: string): Promise<number> {
  return page.evaluate((database) => window.memory.open(database), database);
}

async function weigh(page: Page, debug: CDPSession): Promise<Weight> {
  // What the first collection lets finalizers free goes with the second.
  await debug.send("HeapProfiler.collectGarbage");
  await debug.send("HeapProfiler.collectGarbage");
  const { usedSize } = await debug.send("Runtime.getHeapUsage");
  const memories = await page.evaluate(() => window.instrument.memories());
  return { heap: usedSize, wasm: memories.at(-1) ?? 0 };
}
