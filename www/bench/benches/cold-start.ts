// From a request to the first answer of a mob that is not in memory.

import { type Figure, grouped, Samples } from "../runner/figure.ts";
import { Served } from "../runner/served.ts";

const RUNS = 30;
const PROCESSES = 10;
const EVENTS = 1_000;
const WORKED = "worked";
const NEW = "new";

export async function measureAlone(): Promise<Figure[]> {
  const served = await Served.start();
  try {
    const answer = (mob: string): Promise<number> => timed(() => served.rpc(mob, "mobkit/status"));
    await served.make(WORKED);
    while (await served.latestEvent(WORKED) < EVENTS) await served.ask(WORKED, "lead", "Plan a small garden");
    const made = await served.latestEvent(WORKED);
    await served.make(NEW);

    const samples = new Samples("ms");
    for (let run = -1; run < RUNS; run++) {
      const add = (name: string, value: number): void => {
        if (run >= 0) samples.add(name, value);
      };
      await served.evict(WORKED);
      add(`evicted, ${grouped(EVENTS)} events stored`, await answer(WORKED));
      add("the same mob again, in memory", await answer(WORKED));
      await served.evict(NEW);
      add("evicted, never worked", await answer(NEW));
      const another = `another-${run + 1}`;
      const making = await timed(() => served.make(another));
      add("newly made, until its PUT is answered", making);
      add("newly made, until its first call is answered too", making + await answer(another));
    }

    const fresh = new Samples("ms");
    for (let at = 0; at < PROCESSES; at++) {
      for (const [mob, what] of [[WORKED, `a mob with ${grouped(EVENTS)} events stored`], [NEW, "a mob that never worked"]] as const) {
        await served.rest(mob);
        await served.kill();
        fresh.add("from its start until it listens", await timed(() => served.restart()));
        fresh.add(`its first request, to ${what}`, await answer(mob));
      }
    }
    return [{
      title: "the first answer of a mob that is not in memory",
      unit: "ms",
      better: "less",
      how: `${Served.version} on this machine, asked for \`mobkit/status\` by Node over a connection that is open. The mobs are the demo's, with three members; one
        has worked until ${grouped(made)} events were stored, and is at rest. An object is evicted by \`ctx.abort\`; the worker and the compiled module
        stay. A PUT tries the definition in memory first. ${RUNS} runs after one to warm up.`,
      rows: samples.rows(),
    }, {
      title: "the first answer of a fresh process",
      unit: "ms",
      better: "less",
      how: `The process was killed, and another one started over what it had stored: ${2 * PROCESSES} times, each for one of the mobs above. The first request makes
        its connection, and what it reads lies in the system's cache.`,
      rows: fresh.rows(),
    }];
  } finally {
    served.close();
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}
