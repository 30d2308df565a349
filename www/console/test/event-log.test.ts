// The event log's pages, over a log that answers as the runtime does.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ANY_EVENT, type Ask, changed, describeEvent, describeGap, type EventFilter, grownPage, type LogPage, newerPage, newestPage, olderPage, queryOf, rowsOf } from "../src/store/event-log.ts";
import type { AgentEventPayload, Gap, PersistedEvent } from "../src/wire.ts";

const event = (seq: number, payload: AgentEventPayload = { type: seq % 10 === 0 ? "rare" : "common" }): PersistedEvent => ({
  id: `evt-agent-${seq}`,
  seq,
  // A clock that stands still and is set back: pages must not depend on it.
  timestamp_ms: seq < 500 ? 9000 : 1000,
  member_id: "lead:0",
  identity: "lead",
  event: { kind: "agent", agent_id: "lead:0", event_type: payload.type, payload },
});

/** Numbers from `first` to `last`, without those in the gaps. */
class Log {
  readonly asked: unknown[] = [];
  constructor(
    readonly last: number,
    readonly gaps: Gap[] = [],
  ) {}
  get events(): PersistedEvent[] {
    return Array.from({ length: this.last }, (_, at) => event(at + 1)).filter(({ seq }) => !this.gaps.some((gap) => seq >= gap.from && seq <= gap.to));
  }
  ask: Ask = async (params) => {
    this.asked.push(params);
    const matches = this.events.filter(({ event: { event_type }, seq }) => seq > (params.after_seq ?? 0) && (!params.event_types || params.event_types.includes(event_type)));
    const events = params.after_seq === undefined ? matches.slice(-params.limit) : matches.slice(0, params.limit);
    const full = events.length === params.limit;
    const next = params.after_seq !== undefined && full ? (events.at(-1)?.seq ?? 0) : this.last;
    const from = params.after_seq ?? (full ? (events[0]?.seq ?? 0) : 0);
    return { events, next_after_seq: next, gaps: this.gaps.flatMap((gap) => (gap.to > from && gap.from <= next ? [{ ...gap, from: Math.max(gap.from, from + 1) }] : [])) };
  };
}
const seqs = (page: LogPage): [number, number, number] => [page.events.length, page.events[0]?.seq ?? 0, page.events.at(-1)?.seq ?? 0];

describe("pages", () => {
  test("back from the newest to the oldest and forth again, every event once", async () => {
    const log = new Log(1050);
    const seen: number[] = [];
    let page = await newestPage(log.ask, {}, 100);
    assert.deepEqual([page.newest, page.oldest, ...seqs(page)], [true, false, 100, 951, 1050]);
    for (;;) {
      seen.unshift(...page.events.map(({ seq }) => seq));
      if (page.oldest) break;
      page = await olderPage(log.ask, {}, page, 100);
    }
    assert.deepEqual(seen, Array.from({ length: 1050 }, (_, at) => at + 1));
    assert.deepEqual(seqs(page), [50, 1, 50]);
    for (let n = 0; n < 9; n++) page = await newerPage(log.ask, {}, page, 100);
    assert.deepEqual(seqs(page), [100, 851, 950]);
    page = await newerPage(log.ask, {}, page, 100);
    assert.deepEqual([page.newest, ...seqs(page)], [false, 100, 951, 1050]);
    page = await newerPage(log.ask, {}, page, 100);
    assert.deepEqual([page.newest, ...seqs(page)], [true, 100, 951, 1050]);
  });
  test("of a filter that few events match", async () => {
    const log = new Log(5000);
    const query = { event_types: ["rare"] };
    const newest = await newestPage(log.ask, query, 20);
    assert.deepEqual(seqs(newest), [20, 4810, 5000]);
    const asked = log.asked.length;
    const older = await olderPage(log.ask, query, newest, 20);
    assert.deepEqual([older.oldest, ...seqs(older)], [false, 20, 4610, 4800]);
    assert.ok(log.asked.length - asked <= 4, `${log.asked.length - asked} queries`);
  });
  test("exactly one page is the oldest as soon as somebody looks before it", async () => {
    const log = new Log(100);
    const page = await newestPage(log.ask, {}, 100);
    assert.equal(page.oldest, false);
    const same = await olderPage(log.ask, {}, page, 100);
    assert.deepEqual([same.oldest, same.newest, ...seqs(same)], [true, true, 100, 1, 100]);
    assert.deepEqual(seqs(await olderPage(log.ask, {}, await newestPage(new Log(0).ask, {}, 100), 100)), [0, 0, 0]);
  });
  test("hold the gaps that lie in them, in one piece; nothing is looked for before what retention took", async () => {
    const log = new Log(400, [{ from: 1, to: 120, reason: "retention" }, { from: 310, to: 330, reason: "unclean_stop" }]);
    let page = await newestPage(log.ask, {}, 100);
    assert.deepEqual([seqs(page), page.gaps.map(({ from, to }) => [from, to])], [[100, 280, 400], [[310, 330]]]);
    page = await olderPage(log.ask, {}, page, 100);
    assert.deepEqual([seqs(page), page.gaps.length], [[100, 180, 279], 0]);
    const asked = log.asked.length;
    page = await olderPage(log.ask, {}, page, 100);
    assert.deepEqual([page.oldest, seqs(page), page.gaps.at(-1)?.to], [true, [59, 121, 179], 120]);
    assert.ok(log.asked.length - asked <= 2);
  });
  test("the newest one grows with the log, and is full at most", async () => {
    const log = new Log(90);
    let page = await newestPage(log.ask, {}, 100);
    for (const [last, expected] of [[95, [95, 1, 95]], [130, [100, 31, 130]], [900, [100, 801, 900]], [900, [100, 801, 900]]] as const) {
      page = await grownPage(new Log(last).ask, {}, page, 100);
      assert.deepEqual(seqs(page), expected);
    }
    assert.deepEqual([page.oldest, page.newest, page.read], [false, true, 900]);
  });
});

describe("a filter", () => {
  test("with nothing chosen is the open one, whatever was chosen before", () => {
    const one = changed(ANY_EVENT, { member: "lead" });
    assert.deepEqual(one, { ...ANY_EVENT, member: "lead" });
    assert.equal(changed(one, { member: "" }), ANY_EVENT);
  });
  test("says nothing of what it leaves open", () => assert.deepEqual(queryOf(ANY_EVENT, 1e6), {}));
  test("names member, types and time", () => {
    assert.deepEqual(queryOf({ ...ANY_EVENT, member: "lead", types: ["run_started"], time: "5" }, 1e6), { identity: "lead", event_types: ["run_started"], since_ms: 700_000 });
    assert.deepEqual(queryOf({ ...ANY_EVENT, time: "between", from: "2026-01-02T03:04:05", until: "" }, 0), { since_ms: new Date(2026, 0, 2, 3, 4, 5).getTime() });
  });
});

describe("rows", () => {
  test("gaps stand where numbers are missing", () => {
    const gap = (from: number, to: number): Gap => ({ from, to, reason: "unclean_stop" });
    const page = { events: [event(5), event(9)], gaps: [gap(1, 4), gap(6, 8), gap(10, 12)] };
    const rows = (filter: EventFilter, of = page): string[] => rowsOf(of, filter).map((row) => (row.gap ? `gap ${row.key}` : `${row.key}`));
    assert.deepEqual(rows(ANY_EVENT), ["gap 1", "5", "gap 6", "9", "gap 10"]);
    assert.deepEqual(rows({ ...ANY_EVENT, time: "5" }), ["5", "gap 6", "9"]);
    assert.deepEqual(rows({ ...ANY_EVENT, member: "x" }, { ...page, events: [] }), []);
    assert.deepEqual(rows(ANY_EVENT, { ...page, events: [] }), ["gap 1", "gap 6", "gap 10"]);
  });
  test("an event is a line", () => {
    const lines: [AgentEventPayload, string][] = [
      [{ type: "text_delta", delta: "so", interaction_id: "i" }, "so"],
      [{ type: "peer_message", from: "lead", content: [{ type: "text", text: "do **it**" }] }, "lead: do it"],
      [{ type: "tool_call_requested", id: "c", name: "send_message", args: { to: "w" } }, 'send_message args={"to":"w"}'],
      [{ type: "turn_started", turn_number: 2, interaction_id: "i" }, "turn_number=2"],
    ];
    for (const [payload, expected] of lines) assert.ok(describeEvent(event(1, payload)).endsWith(expected), describeEvent(event(1, payload)));
    assert.match(describeGap({ from: 3, to: 3, reason: "unclean_stop" }), /^Number 3 holds no event/);
    assert.match(describeGap({ from: 1, to: 9, reason: "retention" }), /^9 older events were discarded/);
  });
});
