import assert from "node:assert/strict";
import { test } from "node:test";
import { fromErrorData, isMobkitError, MobkitError, toErrorData } from "../src/error.js";

const CASES: [string, unknown, string | undefined, boolean][] = [
  ["our own", new MobkitError("a", "b"), undefined, true],
  ["our own with the code", new MobkitError("a", "b"), "a", true],
  ["our own with another code", new MobkitError("a", "b"), "c", false],
  ["another copy's", Object.assign(new Error("b"), { name: "MobkitError", code: "a", data: null }), "a", true],
  ["a plain error", new Error("b"), undefined, false],
  ["a system error with a code", Object.assign(new Error("b"), { code: "ENOENT" }), "ENOENT", false],
  ["null", null, undefined, false],
  ["a string", "MobkitError", undefined, false],
];

for (const [name, error, code, expected] of CASES) {
  test(`isMobkitError: ${name}`, () => assert.equal(isMobkitError(error, code), expected));
}

test("an error survives the way through data", () => {
  const error = fromErrorData(structuredClone(toErrorData(new MobkitError("stale_event_cursor", "stale", { latest_cursor: 3 }))));
  assert.ok(error instanceof Error);
  assert.equal(error.name, "MobkitError");
  assert.equal(error.code, "stale_event_cursor");
  assert.deepEqual(error.data, { latest_cursor: 3 });
});

test("a DOM exception keeps its name and message", () => {
  const data = toErrorData(new DOMException("disk full", "QuotaExceededError"));
  assert.deepEqual(data, { code: "error", message: "disk full", data: { name: "QuotaExceededError", message: "disk full" } });
  assert.equal(toErrorData(new DOMException("stop", "AbortError")).code, "aborted");
});
