// Runs in a page: scenarios of `tests/golden` against the package, with the rows in IndexedDB.

import { deleteStorage, indexedDb, UnifiedRuntime } from "mobkit-web";
import { configureGolden, runGolden, type Scenario } from "../../edge/support/golden.ts";

declare global {
  /** Does a scenario, given as JSON; answers in what it differs, an empty text if in nothing. */
  var golden: (scenario: string) => Promise<string>;
}

globalThis.golden = async (scenario) => {
  try {
    await run(JSON.parse(scenario) as Scenario);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

async function run(scenario: Scenario): Promise<void> {
  const name = `golden-${scenario.name}`;
  const runtime = await configureGolden(UnifiedRuntime.builder().storage(indexedDb(name)), scenario).build();
  try {
    await runGolden((request) => runtime.fetch(request), scenario);
  } finally {
    await runtime.shutdown();
    await deleteStorage(name);
  }
}
