// Timer wake-ups of an idle runtime in a minute.

import { setTimeout as pause } from "node:timers/promises";
import type { Page } from "playwright-core";
import { type Figure, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const PAGES = 3;
const MEMBERS = 50;
const MINUTE_MS = 60_000;
/** By then what follows the work is over: the last rows are written, the cursor is kept. */
const SETTLE_MS = 10_000;

export async function measure(lab: Lab): Promise<Figure[]> {
  await lab.runFirst("instrument");
  const pages: Page[] = [];
  for (let at = 0; at < PAGES; at++) {
    const page = await lab.page();
    await page.evaluate(([members, database]) => window.idle.rest(members, database), [MEMBERS, `idle-${at}`] as const);
    pages.push(page);
  }
  await pause(SETTLE_MS);
  const counts = (): Promise<Awaited<ReturnType<typeof count>>[]> => Promise.all(pages.map(count));
  const before = await counts();
  if (before.some(({ calls, timers }) => calls === 0 || timers === 0)) throw new Error("nothing was counted while the members worked: the page does not see what it should");
  await pause(MINUTE_MS);
  const after = await counts();
  const samples = new Samples("in a minute");
  after.forEach((now, at) => {
    const then = before[at] ?? now;
    samples.add("timers that fired", now.timers - then.timers);
    samples.add("timers that are armed at its end", now.armed);
    samples.add("messages posted", now.messages - then.messages);
    samples.add("transactions begun", now.transactions - then.transactions);
    samples.add("calls into the wasm, whatever the cause", now.calls - then.calls);
  });
  const none = { at_most: 0 };
  return [{
    title: "wake-ups of an idle runtime in a minute",
    unit: "count",
    better: "less",
    how: `${PAGES} pages in the same minute, each with a runtime on IndexedDB, ${MEMBERS} members that have worked, and readers that wait for
      events. Counted by functions put in the place of the page's timers, ports, channels, databases and of the wasm's exports
      before anything was loaded. The minute begins ${SETTLE_MS / 1_000} seconds after the last answer.`,
    rows: samples.rows({
      "timers that fired": none, "timers that are armed at its end": none, "messages posted": none, "transactions begun": none,
      "calls into the wasm, whatever the cause": none,
    }),
  }];
}

function count(page: Page) {
  return page.evaluate(() => ({ ...window.instrument.counts(), armed: window.instrument.armed() }));
}
