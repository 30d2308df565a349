// The shim on an edge runtime: what has no window, no document and no storage of a browser.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Workerd } from "../support/workerd.ts";

/** A case that waits in vain is ended. */
const LIMIT_MS = 60_000;

const workerd = await Workerd.start("suite");
after(() => workerd.close());

const get = (path: string): Promise<Response> => fetch(`${workerd.url}${path}`, { signal: AbortSignal.timeout(LIMIT_MS) });
const cases = (await (await get("/cases")).json()) as string[];

test("this is an edge runtime", async () => {
  assert.deepEqual(await (await get("/globals")).json(), { window: "undefined", document: "undefined", indexedDB: "undefined", Worker: "undefined", locks: "undefined" });
  assert.ok(cases.length > 20);
});

for (const name of cases) {
  test(name, async () => {
    const response = await get(`/run/${name}`);
    const text = await response.text();
    assert.equal(response.status, 200, `${text}\n${workerd.said}`);
  });
}
