// JSON-RPC calls per second, in a page and in a Durable Object.

import { CALLS, callsPerSecond, result } from "../page/calls.ts";
import { type Figure, grouped, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";
import { Served } from "../runner/served.ts";

const RUNS = 5;
const MEMBERS = 3;
const AT_ONCE = 100;
/** Calls of a run, one after the other and at once. */
const PAGE = { 1: 1_000, [AT_ONCE]: 5_000 };
const EDGE = { 1: 300, [AT_ONCE]: 2_000 };

const circumstance = (atOnce: number): string => atOnce === 1 ? "one after the other" : `${atOnce} at once`;

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  await page.evaluate((members) => window.rpc.open(members), MEMBERS);
  const inPage = await all(PAGE, Object.keys(CALLS), (name, calls, atOnce) =>
    page.evaluate((args) => window.rpc.run(...args), [name, calls, atOnce] as const));
  await page.close();

  const served = await Served.start();
  try {
    await served.make("mob");
    const door = "GET /healthz, answered by the worker alone";
    const atEdge = await all(EDGE, [...Object.keys(CALLS), door], async (name, calls, atOnce) => {
      const call = CALLS[name];
      const perSecond = await callsPerSecond(async (at) => call ? result(await served.call("mob", call(at))) : served.text("GET", "/healthz"), calls, atOnce);
      if (name.includes("labels")) {
        const { labels } = await served.rpc("mob", "mobkit/mob_labels/get");
        if (Number(labels.at) < calls - atOnce) throw new Error(`the last of ${calls} labels is ${labels.at}`);
      }
      return perSecond;
    });
    return [{
      title: "JSON-RPC calls through a runtime's fetch, in a page",
      unit: "calls/s",
      better: "more",
      how: `\`POST /console/rpc\` to a runtime on memory with ${MEMBERS} members, from building the request to the parsed answer. ${grouped(PAGE[1])} calls
        one after the other, ${grouped(PAGE[AT_ONCE])} calls of ${AT_ONCE} callers; ${RUNS} runs after one to warm up.`,
      rows: inPage.rows(),
    }, {
      title: "JSON-RPC calls to a mob in a Durable Object",
      unit: "calls/s",
      better: "more",
      how: `${Served.version} on this machine, a worker made with \`mobWorker\`, and one mob with ${MEMBERS} members in its object. The client is Node, over connections
        that stay open, on the same processors: what the worker alone answers shows what both can do at most. A write is answered when the
        object's storage has confirmed it. ${grouped(EDGE[1])} calls one after the other, ${grouped(EDGE[AT_ONCE])} calls of ${AT_ONCE} callers; ${RUNS} runs after one to warm up.`,
      rows: atEdge.rows(),
    }];
  } finally {
    served.close();
  }
}

async function all(counts: Record<number, number>, names: string[], run: (name: string, calls: number, atOnce: number) => Promise<number>): Promise<Samples> {
  const samples = new Samples("calls/s");
  for (let at = 0; at <= RUNS; at++) {
    for (const name of names) {
      for (const atOnce of [1, AT_ONCE]) {
        const perSecond = await run(name, counts[atOnce] ?? 0, atOnce);
        if (at > 0) samples.add(`${name}, ${circumstance(atOnce)}`, perSecond);
      }
    }
  }
  return samples;
}
