// The contract's golden files against mobs in Durable Objects of a real workerd, over HTTP.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type BeforeStep, runGolden, type Scenario } from "../support/golden.ts";
import { evictedScenario, mayEvict } from "../support/golden-evicted.ts";
import { goldenScenarios } from "../support/golden-files.ts";
import { Workerd } from "../support/workerd.ts";

const scenarios = goldenScenarios();
const EVICTED = "evicted-";

describe("golden files in workerd", () => {
  let workerd: Workerd;

  before(async () => {
    const mobs = scenarios.flatMap(({ name, steps: _, ...scenario }) => [name, EVICTED + name].map((mob) => [mob, scenario]));
    workerd = await Workerd.start("golden", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { SCENARIOS: JSON.stringify(Object.fromEntries(mobs)) } });
  });
  after(async () => {
    // Asked to end, it would wait for streams that it does not know to be given up.
    await workerd?.kill();
    workerd?.close();
  });

  /** Makes a mob of a scenario and does the steps against it. */
  async function run(mob: string, scenario: Scenario, beforeStep?: BeforeStep): Promise<void> {
    const made = await fetch(`${workerd.url}/mobs/${mob}`, { method: "PUT", body: JSON.stringify({ definition: scenario.definition }) });
    assert.equal(made.status, 201, `${await made.text()}\n${workerd.said}`);
    await runGolden((request) => overTheWire(`${workerd.url}/mobs/${mob}`, request), scenario, beforeStep);
  }

  async function evict(mob: string): Promise<void> {
    const response = await fetch(`${workerd.url}/-evict/${mob}`);
    assert.equal(await response.text(), "evicted");
  }

  for (const scenario of scenarios) {
    test(`${scenario.name}: ${scenario.about}`, () => run(scenario.name, scenario));
  }

  for (const scenario of scenarios) {
    test(`${scenario.name}, evicted between steps`, async () => {
      const mob = EVICTED + scenario.name;
      await run(mob, evictedScenario(scenario), async (step, index) => {
        if (index > 0 && mayEvict(scenario.name, step.name)) await evict(mob);
      });
    });
  }
});

/** Sends a request of the contract to a mob of the worker. */
async function overTheWire(base: string, request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = request.body === null ? null : await request.arrayBuffer();
  return await fetch(`${base}${pathname}${search}`, { method: request.method, headers: request.headers, body });
}
