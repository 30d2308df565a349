// Calls of modules, a routing table that is large, and schedules that come rarely.

import { type Figure, grouped, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 7;
const ROUTES = 10_000;
const AT_ONCE = 100;
/** Calls of a run, one after the other and at once. */
const CALLS: Record<number, number> = { 1: 1_000, [AT_ONCE]: 5_000 };
/** The 29th of February, and what comes every night. */
const RARE = "0 0 29 2 *";
const DAILY = "30 2 * * *";

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  await page.evaluate((routes) => window.modules.open(routes), ROUTES);
  const calls = new Samples("calls/s");
  for (let run = 0; run <= RUNS; run++) {
    for (const module of ["page", "worker"] as const) {
      for (const atOnce of [1, AT_ONCE]) {
        const perSecond = await page.evaluate(([module, calls, atOnce]) => window.modules.calls(module, calls, atOnce), [module, CALLS[atOnce] ?? 0, atOnce] as const);
        if (run > 0) calls.add(`in ${module === "page" ? "the page" : "a worker"}, ${atOnce === 1 ? "one after the other" : `${atOnce} at once`}`, perSecond);
      }
    }
  }
  const routed = new Samples("ms");
  for (const took of (await page.evaluate((runs) => window.modules.resolve(runs), 50)).slice(10)) routed.add("resolve", took);
  const zones = await page.evaluate(() => Intl.supportedValuesOf("timeZone").slice(0, 256));
  const scheduled = new Samples("ms");
  for (const [name, interval, of] of [
    ["a leap day, one schedule", RARE, ["Europe/Berlin"]],
    ["a leap day, 256 schedules in as many zones", RARE, zones],
    ["every night, 256 schedules in as many zones", DAILY, zones],
  ] as const) {
    const took = await page.evaluate(([interval, zones, runs]) => window.modules.evaluate(interval, zones, runs), [interval, [...of] as string[], RUNS + 1] as const);
    for (const value of took.slice(1)) scheduled.add(name, value);
  }
  await page.close();
  return [
    {
      title: "calls of a module's tool, by the runtime's owner",
      unit: "calls/s",
      better: "more",
      how: `\`mobkit/call_tool\` of a tool that answers its arguments, on memory. ${grouped(CALLS[1] ?? 0)} calls one after the other,
        ${grouped(CALLS[AT_ONCE] ?? 0)} calls of ${AT_ONCE} callers; ${RUNS} runs after one to warm up.`,
      rows: calls.rows(),
    },
    {
      title: `something routed by the last of ${grouped(ROUTES)} routes`,
      unit: "ms",
      better: "less",
      how: "From the call of `mobkit/routing/resolve` to its answer, which is kept: the module `router` is asked, all routes are looked at, and a commit is made, on memory.",
      rows: routed.rows(),
    },
    {
      title: "schedules looked at, a day before the 29th of February of 2028",
      unit: "ms",
      better: "less",
      how: `\`mobkit/scheduling/evaluate\` with schedules of one interval, whose time zones the browser is asked about. A leap day is as
        far back as four years; ${RUNS} runs after one to warm up.`,
      rows: scheduled.rows({ "a leap day, one schedule": { at_most: 5 } }),
    },
  ];
}
