// The contract's golden files against the package, in Node and in memory.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { before, describe, test } from "node:test";
import { init, memory, UnifiedRuntime } from "mobkit-web";
import { Captures, configureGolden, runGolden, type GoldenStep } from "../support/golden.ts";
import { goldenScenarios, isOfRoute, placeholderCases, routes } from "../support/golden-files.ts";

const scenarios = goldenScenarios();
const steps: [string, GoldenStep][] = scenarios.flatMap(({ name, steps }) => steps.map((step): [string, GoldenStep] => [`${name}: ${JSON.stringify(step.name)}`, step]));

/** A field of an answer that is an object. */
const field = (value: unknown, name: string): unknown => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined);

/** Fails when something of the table has no answer or no error, or when something is wrong already. */
function assertCovered(table: string[], answered: Set<string>, refused: Set<string>, wrong: string[]): void {
  for (const entry of table) {
    if (!answered.has(entry)) wrong.push(`${entry}: no golden answer`);
    if (!refused.has(entry)) wrong.push(`${entry}: no golden error`);
  }
  assert.deepEqual(wrong, []);
}

describe("golden files", () => {
  before(async () => {
    await init({ wasm: readFileSync(createRequire(import.meta.url).resolve("mobkit-web/mobkit_web_bg.wasm")) });
  });

  for (const scenario of scenarios) {
    test(`${scenario.name}: ${scenario.about}`, async () => {
      const runtime = await configureGolden(UnifiedRuntime.builder().storage(memory()), scenario).build();
      try {
        await runGolden((request) => runtime.fetch(request), scenario);
      } finally {
        await runtime.shutdown();
      }
    });
  }

  test("placeholders stand for what they say", () => {
    const { cases, request, filled } = placeholderCases();
    const captures = new Captures();
    for (const { want, got, differs } of cases) {
      const found: string[] = [];
      captures.differences("$", want, got, found);
      assert.deepEqual(found.map((one) => one.split(": ")[0]), differs, JSON.stringify(want));
    }
    assert.deepEqual(captures.fill(request), filled);
    assert.throws(() => captures.fill("{{never}}"), /nothing is known of never/);
  });

  test("an answer that differs is found, by scenario, step and place", async () => {
    const [scenario] = scenarios;
    assert.ok(scenario);
    const step: GoldenStep = { name: "s", request: { method: "GET", path: "/" }, response: { status: 200, json: { a: [1] } } };
    const found = runGolden(async () => Response.json({ a: [2] }, { status: 201 }), { ...scenario, name: "n", steps: [step] });
    await assert.rejects(found, { message: 'n: "s": response.status: wanted 200, got 201\nn: "s": response.json.a[0]: wanted 1, got 2' });
  });

  test("there is an answer and an error of every method, and of no other", async () => {
    const [scenario] = scenarios;
    assert.ok(scenario);
    const runtime = await configureGolden(UnifiedRuntime.builder(), scenario).build();
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "mobkit/capabilities" });
    const answer = (await (await runtime.fetch("/console/rpc", { method: "POST", body })).json()) as { result: { methods: string[] } };
    await runtime.shutdown();
    const { methods } = answer.result;
    const [answered, refused, wrong] = [new Set<string>(), new Set<string>(), [] as string[]];
    for (const [at, { request, response }] of steps) {
      const error = field(response.json, "error");
      if (!request.rpc || field(error, "code") === -32601) continue;
      const { method } = request.rpc;
      // Whatever does not begin so is a tool of a module.
      if (!method.startsWith("mobkit/")) continue;
      if (!methods.includes(method)) wrong.push(`${at}: there is no method ${method}`);
      if (error !== undefined) refused.add(method);
      else if (field(response.json, "result") !== undefined) answered.add(method);
    }
    assertCovered(methods, answered, refused, wrong);
  });

  test("there is an answer and an error of every route, and of no other", () => {
    const table = routes();
    assert.ok(table.length >= 10);
    const [answered, refused, wrong] = [new Set<string>(), new Set<string>(), [] as string[]];
    for (const [at, { request, response }] of steps) {
      const { method = "POST", path = "/console/rpc" } = request;
      const error = field(response.json, "error");
      const known = table.filter(([, route]) => isOfRoute(route, path));
      if (known.length === 0 && error !== "not_found") wrong.push(`${at}: there is no route ${path}`);
      for (const [wanted, route] of known) {
        if (response.status >= 400 || error !== undefined) refused.add(`${wanted} ${route}`);
        else if (wanted === method) answered.add(`${wanted} ${route}`);
      }
    }
    assertCovered(table.map((route) => route.join(" ")), answered, refused, wrong);
  });
});
