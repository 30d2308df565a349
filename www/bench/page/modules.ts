// Calls of modules, routes that are matched and schedules that are looked for, on memory.

import { memory, workerModule, type UnifiedRuntime } from "mobkit-web";
import { callsPerSecond } from "./calls.ts";
import { echo } from "./echo.ts";
import { builder } from "./mob.ts";

export interface ModulesPage {
  /** Builds a runtime with a module in the page, the same in a worker, and so many routes. */
  open(routes: number): Promise<void>;
  /** Calls of a module's tool per second. */
  calls(module: "page" | "worker", calls: number, atOnce: number): Promise<number>;
  /** Milliseconds of one resolution; the route that applies is the last of all. */
  resolve(runs: number): Promise<number[]>;
  /** Milliseconds of one evaluation of schedules with this interval, each in a zone of its own. */
  evaluate(interval: string, zones: string[], runs: number): Promise<number[]>;
}

declare global {
  interface Window {
    modules: ModulesPage;
  }
}

let runtime: UnifiedRuntime;

/** How long each of some runs took. */
async function timed(runs: number, run: (at: number) => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  for (let at = 0; at < runs; at++) {
    const begin = performance.now();
    await run(at);
    took.push(performance.now() - begin);
  }
  return took;
}

window.modules = {
  async open(routes) {
    runtime = await (await builder(memory()))
      .module("page", echo)
      .module("worker", workerModule(() => new Worker("/modules.worker.js", { type: "module" })))
      .module("router")
      .module("delivery")
      .build();
    await callsPerSecond((at) => runtime.call("mobkit/routing/routes/add", {
      route_key: `route-${String(at).padStart(6, "0")}`, recipient: at === routes - 1 ? "*" : `member-${at}`, sink: "pager", target_module: "delivery",
    }), routes, 100);
  },
  async calls(module, calls, atOnce) {
    return await callsPerSecond(async (at) => {
      const { result } = await runtime.call<{ result: { at: number } }>("mobkit/call_tool", { module_id: module, tool: "say", arguments: { at } });
      if (result.at !== at) throw new Error(`${module} answered ${JSON.stringify(result)} to ${at}`);
    }, calls, atOnce);
  },
  resolve: (runs) => timed(runs, async (at) => {
    const { sink } = await runtime.call<{ sink: string }>("mobkit/routing/resolve", { recipient: `nobody-${at}` });
    if (sink !== "pager") throw new Error(`it goes to ${sink}`);
  }),
  evaluate: (interval, zones, runs) => timed(runs, async (at) => {
    // Just before it comes again: as far back as can be.
    const tick_ms = Date.UTC(2028, 1, 28, 0, 0, at);
    const schedules = zones.map((timezone) => ({ schedule_id: timezone, interval, timezone, jitter_ms: 0 }));
    const { due_triggers } = await runtime.call<{ due_triggers: unknown[] }>("mobkit/scheduling/evaluate", { schedules, tick_ms });
    if (due_triggers.length > 0) throw new Error("something is due");
  }),
};
