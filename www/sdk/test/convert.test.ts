import assert from "node:assert/strict";
import { test } from "node:test";
import * as convert from "../src/convert.js";
import type { LogItem } from "../src/contract/event.js";
import type { CursorJson } from "../src/contract/common.js";

/** The first number that JavaScript has not: its neighbours are even. */
const BEYOND = 2n ** 53n + 1n;
const DIGITS = "9007199254740993";

test("row 30: a cursor beyond 2^53 goes as digits and comes back as itself, whatever carries it", () => {
  assert.notEqual(BigInt(Number(BEYOND)), BEYOND);
  assert.equal(convert.cursorArg(BEYOND), DIGITS);
  assert.deepEqual(convert.queryArg({ after_seq: BEYOND, limit: 3 }), { after_seq: DIGITS, limit: 3 });
  // As the wasm writes it.
  const read = (text: string) => JSON.parse(text.replaceAll("$", `"${DIGITS}"`));
  const entry = `{"id":"evt-agent-1","seq":$,"event":{}}`;
  assert.equal((convert.logItem(read(entry)) as { seq: bigint }).seq, BEYOND);
  assert.equal(convert.persistedEvent(read(entry)).seq, BEYOND);
  const gap = convert.logItem(read(`{"type":"gap","from":7,"to":$}`) as LogItem<CursorJson>);
  assert.deepEqual(gap, { type: "gap", from: 7n, to: BEYOND });
  assert.equal(convert.mobEvent(read(`{"cursor":$}`)).cursor, BEYOND);
  assert.deepEqual(convert.mobEventsPage(read(`{"events":[{"cursor":$}],"next_after_seq":$,"resume_after_seq":$}`)), {
    events: [{ cursor: BEYOND }], next_after_seq: BEYOND, resume_after_seq: BEYOND,
  });
  const page = convert.eventsPage(read(`{"events":[${entry}],"next_after_seq":$,"gaps":[{"from":1,"to":$}]}`));
  assert.deepEqual([page.events[0]?.seq, page.next_after_seq, page.gaps], [BEYOND, BEYOND, [{ from: 1n, to: BEYOND }]]);
  const status = convert.status(read(`{"latest_mob_cursor":$,"latest_event_cursor":0}`));
  assert.deepEqual([status.latest_mob_cursor, status.latest_event_cursor], [BEYOND, 0n]);
});

test("row 30: numbers are cursors while they are exact", () => {
  for (const [cursor, text] of [[0, "0"], [7n, "7"], ["7", "7"], [Number.MAX_SAFE_INTEGER, "9007199254740991"], [undefined, undefined]] as const) {
    assert.equal(convert.cursorArg(cursor), text);
  }
  for (const inexact of [2 ** 53, 2 ** 53 + 2, 1e21, 1.5, NaN, Infinity]) {
    assert.doesNotMatch(convert.cursorArg(inexact) ?? "", /^[0-9]+$/, `${inexact} would be taken for a cursor`);
  }
});
