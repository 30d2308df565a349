// The timeline's rows: what is shown, in which words, and how what comes later changes them; and the stream that is followed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RuntimeClient } from "../src/client.ts";
import { emptyTimeline, filtered, foldPage, foldTimeline, isShown, messagesOf, numberOf, textOf, TIMELINE_LIMIT, WHOLE, whatOf } from "../src/store/timeline.ts";
import { followTimeline } from "../src/timeline.ts";
import type { ConsoleFrame, TimelineEvent } from "../src/wire.ts";

const frame = (at: number, kind = "text_complete", more: Partial<ConsoleFrame> = {}): ConsoleFrame => ({
  id: `evt-agent-${at}`,
  cursor: `console:${at}`,
  timestamp_ms: at,
  identity: "lead",
  kind,
  status: "completed",
  frame_version: 1,
  payload: { content: `words ${at}` },
  ...more,
});
const told = (...frames: ConsoleFrame[]): TimelineEvent[] => frames.map((one) => ({ type: "console_frame", frame: one }));
const numbers = (rows: readonly ConsoleFrame[]): number[] => rows.map(({ cursor }) => numberOf(cursor));

describe("rows", () => {
  test("what a person reads is shown, in words", () => {
    const cases: [ConsoleFrame, string, string][] = [
      [frame(1, "user_input", { status: "delivered", payload: { content: [{ type: "text", text: "build\na house" }] } }), "message, delivered", "build a house"],
      [frame(1, "user_input", { status: "delivery_failed" }), "message, delivery failed", "words 1"],
      [frame(1, "peer_message", { payload: { from: "ann", content: "done" } }), "from a peer", "ann: done"],
      [frame(1), "says", "words 1"],
      [frame(1, "tool_execution_completed", { payload: { name: "peers", result: "[]", is_error: false } }), "tool", "peers: []"],
      [frame(1, "tool_execution_completed", { payload: { name: "now", result: "no clock", is_error: true } }), "tool", "now failed: no clock"],
      [frame(1, "interaction_complete", { payload: { result: "all done" } }), "done", "all done"],
      [frame(1, "interaction_failed", { payload: { error: "cancelled" } }), "failed", "cancelled"],
      [frame(1, "run_failed", { payload: { error: "interrupted" } }), "run failed", "interrupted"],
      [frame(1, "model_unavailable", { payload: { model: "m", reason: "no key" } }), "waits", "for the model m: no key"],
      [frame(1, "identity_retired", { payload: {} }), "left", "the mob"],
      [frame(1, "replay_unavailable", { payload: { requested_cursor: "console:3", latest_cursor: "console:9", reason: "unclean_stop" } }), "missing", "what was between console:3 and console:9: unclean stop"],
    ];
    for (const [one, what, text] of cases) assert.deepEqual([isShown(one), whatOf(one), textOf(one)], [true, what, text]);
    for (const kind of ["text_delta", "run_started", "run_completed", "turn_started", "turn_completed", "tool_call_requested", "frame_updated", "something_new"]) {
      assert.equal(isShown(frame(1, kind)), false, kind);
    }
  });

  test("each frame is there once, whatever a stream tells again", () => {
    const timeline = emptyTimeline();
    assert.equal(foldTimeline(timeline, told(frame(1), frame(2, "text_delta"), frame(4))), true);
    assert.equal(foldTimeline(timeline, told(frame(1), frame(4))), false);
    assert.equal(foldTimeline(timeline, told(frame(5, "text_delta"))), false);
    assert.deepEqual([numbers(timeline.rows), timeline.latest], [[1, 4], 5]);
  });

  test("an update replaces its frame, an older one does not, and one that is not loaded is nothing", () => {
    const timeline = emptyTimeline();
    const message = (status: string, frame_version: number): ConsoleFrame => frame(3, "user_input", { status, frame_version });
    foldTimeline(timeline, told(frame(1), message("accepted", 1), frame(5)));
    const update = (one: ConsoleFrame): boolean => foldTimeline(timeline, [{ type: "frame_updated", frame: one }]);
    assert.equal(update(message("completed", 3)), true);
    assert.equal(update(message("delivered", 2)), false);
    assert.equal(update(frame(2, "user_input", { frame_version: 9 })), false);
    assert.deepEqual(timeline.rows.map(({ status }) => status), ["completed", "completed", "completed"]);
    assert.equal(whatOf(timeline.rows[1] as ConsoleFrame), "message, completed");
  });

  test("older pages come before, without a frame twice", () => {
    const timeline = emptyTimeline();
    const page = (frames: ConsoleFrame[], exhausted: boolean) => ({ frames, exhausted, next_cursor: frames[0]?.cursor ?? null, latest_cursor: "console:9" });
    foldPage(timeline, page([frame(6), frame(7, "text_delta"), frame(9)], false));
    assert.deepEqual([numbers(timeline.rows), timeline.latest, timeline.before], [[6, 9], 9, "console:6"]);
    foldTimeline(timeline, told(frame(9), frame(10)));
    foldPage(timeline, page([frame(3), frame(4), frame(6)], false));
    foldPage(timeline, page([frame(1)], true));
    assert.deepEqual([numbers(timeline.rows), timeline.latest, timeline.before], [[1, 3, 4, 6, 9, 10], 10, undefined]);
  });

  test("more than are kept go out at the beginning, where older ones can be read again", () => {
    const timeline = emptyTimeline();
    for (let at = 1; at <= TIMELINE_LIMIT + 500; at += 500) foldTimeline(timeline, told(...Array.from({ length: 500 }, (_, more) => frame(at + more))));
    assert.equal(timeline.rows.length, TIMELINE_LIMIT);
    assert.deepEqual([numberOf(timeline.rows[0]?.cursor ?? ""), timeline.before], [501, "console:501"]);
  });

  test("one member, one message, or both", () => {
    const rows = [
      frame(1, "user_input", { interaction_id: "i", payload: { content: "first" } }),
      frame(2, "peer_message", { identity: "ann", interaction_id: "i" }),
      frame(3, "replay_unavailable", { identity: "__console__" }),
      frame(4, "user_input", { identity: "ann", interaction_id: "j", payload: { content: "second" } }),
    ];
    assert.equal(filtered(rows, WHOLE), rows);
    assert.deepEqual(numbers(filtered(rows, { identity: "ann", interaction: "" })), [2, 3, 4]);
    assert.deepEqual(numbers(filtered(rows, { identity: "", interaction: "i" })), [1, 2, 3]);
    assert.deepEqual(numbers(filtered(rows, { identity: "ann", interaction: "i" })), [2, 3]);
    assert.deepEqual(messagesOf(rows), [
      { interaction: "j", words: "second" },
      { interaction: "i", words: "first" },
    ]);
  });
});

describe("the stream", () => {
  const sse = (...events: [id: string, event: string, data: unknown][]): string => events.map(([id, event, data]) => `${id === "" ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
  /** A client that answers each request with the next of these. */
  function client(answers: (Response | Error)[], asked: string[]): RuntimeClient {
    const fetch = async (url: string): Promise<Response> => {
      asked.push(url);
      const answer = answers.shift();
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error("nothing more");
      return answer;
    };
    return { fetch } as unknown as RuntimeClient;
  }

  test("is taken up again behind the last id, and tells nothing of comments", async () => {
    const abort = new AbortController();
    const [asked, heard, lost]: [string[], string[], number[]] = [[], [], []];
    const one = told(frame(7))[0];
    const two = told(frame(8))[0];
    const answers = [
      new Response(`: keep-alive\n\n${sse(["", "snapshot_started", { type: "snapshot_started", after: "console:6" }], ["console:7", "console_frame", one], ["console:7", "snapshot_complete", { type: "snapshot_complete", cursor: "console:7" }])}`),
      new Error("offline"),
      new Response(sse(["", "frame_updated", { type: "frame_updated", frame: frame(7) }], ["console:8", "console_frame", two])),
    ];
    await followTimeline(client(answers, asked), {
      told: (events) => heard.push(...events.map(({ type }) => type)),
      lost: () => lost.push(1),
    }, {
      after: "console:6",
      signal: abort.signal,
      sleep: async () => {
        if (answers.length === 0) abort.abort();
      },
    });
    assert.deepEqual(asked, ["console:6", "console:7", "console:7"].map((after) => `/console/timeline/stream?after=${encodeURIComponent(after)}`));
    assert.deepEqual(heard, ["snapshot_started", "console_frame", "snapshot_complete", "frame_updated", "console_frame"]);
    assert.equal(lost.length, 3);
  });

  test("ends where there is no such place", async () => {
    let stale = "";
    await followTimeline(client([Response.json({ error: "replay_unavailable" }, { status: 409 })], []), {
      told: () => assert.fail("nothing is told"),
      stale: ({ code }) => (stale = code),
    }, { after: "console:99", signal: new AbortController().signal });
    assert.equal(stale, "replay_unavailable");
  });
});
