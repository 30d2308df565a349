// From loading the module to the first member ready: cold, on a restore, and after a reload.

import type { Page } from "playwright-core";
import { type Figure, grouped, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 7;
const EVENTS = 10_000;

export async function measure(lab: Lab): Promise<Figure[]> {
  const samples = new Samples("ms");
  const filling = await lab.page();
  const made = await filling.evaluate(([events, database]) => window.start.fill(events, database), [EVENTS, "stored"] as const);
  await filling.close();
  if (made < EVENTS) throw new Error(`${made} of ${EVENTS} events were stored`);
  for (let run = 0; run < RUNS; run++) {
    await started(await cold(lab), `empty-${run}`, samples, "cold, nothing stored");
    const page = await cold(lab);
    await started(page, "stored", samples, `cold, ${grouped(EVENTS)} events stored`);
    const debug = await lab.debug(page);
    await debug.send("Network.setCacheDisabled", { cacheDisabled: false });
    await page.reload();
    // The first reload fills the browser's cache, which was off before.
    await page.evaluate(() => window.start.run("stored"));
    await page.reload();
    await started(page, "stored", samples, `reloaded, ${grouped(EVENTS)} events stored`);
  }
  return [{
    title: "from loading the module to the first member",
    unit: "ms",
    better: "less",
    how: `From \`import("mobkit-web")\`, bundled by esbuild and served from this machine, to \`members()\` with the first member, on IndexedDB.
      Cold: a browser just started, with its cache off. Stored: at least ${grouped(EVENTS)} events of 100 members. Reloaded: the same page
      again, with the browser's cache. ${RUNS} runs.`,
    rows: samples.rows(),
  }];
}

/** A page in a browser that was just started and keeps nothing. */
async function cold(lab: Lab): Promise<Page> {
  await lab.restart();
  return lab.page(async (page) => {
    const debug = await lab.debug(page);
    await debug.send("Network.enable");
    await debug.send("Network.setCacheDisabled", { cacheDisabled: true });
  });
}

async function started(page: Page, database: string, samples: Samples, name: string): Promise<void> {
  const { loaded, ready } = await page.evaluate((database) => window.start.run(database), database);
  samples.add(`${name}: module compiled`, loaded);
  samples.add(`${name}: first member ready`, ready);
}
