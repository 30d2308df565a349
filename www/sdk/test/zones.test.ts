// What the host knows of time zones: over the nights in which clocks are put forward and back, and what is no zone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { zoneOffset } from "../src/zones.js";

const MINUTE = 60_000;

test("offsets are those of the instant, to the second", () => {
  const cases: [string, string, number][] = [
    ["UTC", "2026-03-29T00:59:59Z", 0],
    ["Europe/Berlin", "2026-03-29T00:59:59.999Z", 60],
    ["Europe/Berlin", "2026-03-29T01:00:00Z", 120],
    ["Europe/Berlin", "2026-10-25T00:59:59Z", 120],
    ["Europe/Berlin", "2026-10-25T01:00:00Z", 60],
    ["America/New_York", "2026-11-01T05:59:59Z", -240],
    ["America/New_York", "2026-11-01T06:00:00Z", -300],
    ["Australia/Lord_Howe", "2026-04-04T14:59:59Z", 660],
    ["Australia/Lord_Howe", "2026-04-04T15:00:00Z", 630],
    ["Asia/Kathmandu", "1999-12-31T23:59:59Z", 345],
    ["Pacific/Apia", "2011-12-30T12:00:00Z", 840],
    ["europe/berlin", "2026-07-01T00:00:00Z", 120],
  ];
  for (const [zone, at, minutes] of cases) assert.equal(zoneOffset(zone, Date.parse(at)), minutes * MINUTE, `${zone} at ${at}`);
});

test("midnight is the beginning of a day and not the end of the one before", () => {
  assert.equal(zoneOffset("Europe/Berlin", Date.parse("2026-01-31T23:00:00Z")), 60 * MINUTE);
});

test("what is no zone, or no instant, is undefined", () => {
  for (const zone of ["Mars/Olympus", "", "+1:0", "Europe"]) assert.equal(zoneOffset(zone, 0), undefined, zone);
  for (const at of [NaN, 1e20, -1e20]) assert.equal(zoneOffset("Europe/Berlin", at), undefined, String(at));
});

test("many spellings of one zone do not fill the memory", () => {
  for (let at = 0; at < 2_000; at++) {
    const zone = [..."america/argentina/buenos_aires"].map((letter, place) => (at >> (place % 11)) & 1 ? letter.toUpperCase() : letter).join("");
    assert.equal(zoneOffset(zone, 0), -180 * MINUTE);
  }
});
