// The shim on an edge runtime: what has no window, no document and no storage of a browser. And storage in Durable Objects.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Workerd } from "../support/workerd.ts";

/** A case that waits in vain is ended. */
const LIMIT_MS = 60_000;

const workerd = await Workerd.start("suite", { objects: { ROWS: "Rows" } });
after(() => workerd.close());

const get = (path: string): Promise<Response> => fetch(`${workerd.url}${path}`, { signal: AbortSignal.timeout(LIMIT_MS) });
const cases = (await (await get("/cases")).json()) as string[];
const storageCases = (await (await get("/storage")).json()) as string[];

test("this is an edge runtime", async () => {
  assert.deepEqual(await (await get("/globals")).json(), { window: "undefined", document: "undefined", indexedDB: "undefined", Worker: "undefined", locks: "undefined" });
  assert.ok(cases.length > 20);
  assert.ok(storageCases.length > 12);
});

for (const path of [...cases.map((name) => `/run/${name}`), ...storageCases.map((name) => `/storage/${name}`)]) {
  test(path, async () => {
    const response = await get(path);
    const text = await response.text();
    assert.equal(response.status, 200, `${text}\n${workerd.said}`);
  });
}
