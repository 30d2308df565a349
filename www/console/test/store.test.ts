// The folds and the arithmetic, as tables of cases.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ChatState, emptyChat, foldChat, foldGap, settle, shownState, type ToolItem } from "../src/store/chat.ts";
import { FEED_CAPACITY, feedOfAgent, feedOfStructural, type FeedEntry, oneLine, pushFeed } from "../src/store/feed.ts";
import { layout } from "../src/store/layout.ts";
import { describeStructural, edgesOf, emptyRoster, foldRoster } from "../src/store/roster.ts";
import { atEnd, scrollTo, windowOf } from "../src/store/virtual.ts";
import { type AgentEventPayload, contentText, identityOf, type PersistedEvent, type StructuralEvent } from "../src/wire.ts";

const structural = (cursor: number, kind: string, data: Record<string, unknown> = {}): StructuralEvent => ({
  event_id: `mob-evt-${cursor}`,
  cursor,
  mob_id: "m",
  timestamp_ms: 1000 + cursor,
  kind,
  data: { type: kind, ...data },
});
const spawned = (cursor: number, identity: string, role = identity): StructuralEvent =>
  structural(cursor, "member_spawned", { agent_identity: identity, role, generation: 0, runtime_mode: "turn_driven", labels: { team: "a" } });

const agent = (seq: number, payload: AgentEventPayload, agent_id = "lead:0"): PersistedEvent => ({
  id: `evt-agent-${seq}`,
  seq,
  timestamp_ms: 1000 + seq,
  member_id: agent_id,
  event: { kind: "agent", agent_id, event_type: payload.type, payload },
});
const fold = (...payloads: AgentEventPayload[]): ChatState => {
  const chat = emptyChat("lead");
  payloads.forEach((payload, at) => foldChat(chat, agent(at + 1, payload)));
  return chat;
};
const shape = (chat: ChatState): string[] =>
  chat.items.map((item) => (item.kind === "tool" ? `tool ${item.name} ${item.status} ${item.result}` : item.kind === "notice" ? `notice ${item.code}` : `${item.kind} ${item.text}`));
const usage = (input_tokens: number, output_tokens: number) => ({ input_tokens, output_tokens });

describe("roster", () => {
  test("folds spawn, wire, unwire, reset and retire", () => {
    const roster = emptyRoster();
    const events = [
      structural(1, "mob_created", { definition: { orchestrator: { profile: "lead" } } }),
      spawned(2, "lead"),
      spawned(3, "a", "worker"),
      spawned(4, "b", "worker"),
      structural(5, "members_wired", { a: "lead", b: "a" }),
      structural(6, "members_wired_batch", { edges: [{ a: "lead", b: "b" }, { a: "a", b: "b" }] }),
      structural(7, "members_unwired", { a: "b", b: "a" }),
      structural(8, "member_reset", { agent_identity: "a", previous_generation: 0, new_generation: 1 }),
    ];
    for (const event of events) foldRoster(roster, event);
    assert.equal(roster.orchestrator, "lead");
    assert.deepEqual(edgesOf(roster.members.values()), [["a", "lead"], ["b", "lead"]]);
    assert.equal(roster.members.get("a")?.generation, 1);
    assert.equal(roster.members.get("a")?.labels["team"], "a");
    foldRoster(roster, structural(9, "member_retired", { agent_identity: "a", generation: 1, role: "worker" }));
    assert.deepEqual([...roster.members.keys()], ["lead", "b"]);
    assert.deepEqual(edgesOf(roster.members.values()), [["b", "lead"]]);
  });
  test("an entry seen twice changes nothing, and a wire to a stranger is no wire", () => {
    const roster = emptyRoster();
    assert.equal(foldRoster(roster, spawned(1, "lead")), true);
    assert.equal(foldRoster(roster, structural(1, "member_retired", { agent_identity: "lead" })), false);
    assert.equal(foldRoster(roster, structural(2, "members_wired", { a: "lead", b: "ghost" })), false);
    assert.equal(roster.members.size, 1);
    assert.equal(roster.cursor, 2);
  });
  test("a respawned member keeps its wires, an unknown kind is passed over", () => {
    const roster = emptyRoster();
    for (const event of [spawned(1, "a"), spawned(2, "b"), structural(3, "members_wired", { a: "a", b: "b" }), spawned(4, "a"), structural(5, "kind_of_tomorrow")]) foldRoster(roster, event);
    assert.deepEqual(edgesOf(roster.members.values()), [["a", "b"]]);
  });
  test("every kind has words", () => {
    assert.equal(describeStructural(spawned(1, "a", "worker")), "a joined as worker");
    assert.equal(describeStructural(structural(1, "flow_failed", { run_id: "r", flow_id: "f", reason: "x" })), "r · f · x");
    assert.equal(feedOfStructural(structural(1, "members_wired", { a: "a", b: "b" })).peer, "b");
  });
});

describe("chat", () => {
  test("tries that failed are told by the last of them, and by the failure of all", () => {
    const retry = (attempt: number): AgentEventPayload => ({ type: "retrying", attempt, max_attempts: 3, error: "cut", delay_ms: 500 });
    const start: AgentEventPayload = { type: "run_started", prompt: "x", from: "user" };
    const texts = (chat: ChatState): string[] => chat.items.map((item) => (item.kind === "tool" ? "" : item.text));
    assert.deepEqual(texts(fold(start, retry(2), retry(3))), ["x", "Tries again in 500 ms (3 of 3): cut"]);
    const failed: AgentEventPayload[] = [{ type: "run_failed", error: "cut", error_class: "terminal" }, { type: "interaction_failed", error: "cut" }];
    assert.deepEqual(texts(fold(start, retry(2), retry(3), ...failed)), ["x", "cut"]);
    // What was said in between stays, and what it answered to.
    assert.deepEqual(texts(fold(start, retry(2), { type: "text_complete", content: "a" }, retry(2))), ["x", "Tries again in 500 ms (2 of 3): cut", "a", "Tries again in 500 ms (2 of 3): cut"]);
  });
  test("a question, a streamed answer, tokens", () => {
    const chat = fold(
      { type: "user_input", interaction_id: "i", content: "hello", origin: "console" },
      { type: "run_started", prompt: "hello", from: "user", interaction_id: "i" },
      { type: "text_delta", delta: "Hi " },
      { type: "text_delta", delta: "there" },
      { type: "text_complete", content: "Hi there" },
      { type: "turn_completed", stop_reason: "end_turn", usage: usage(10, 5) },
      { type: "run_completed", result: "Hi there", usage: usage(10, 5), interaction_id: "i" },
      { type: "interaction_complete", interaction_id: "i", result: "Hi there" },
    );
    assert.deepEqual(shape(chat), ["user hello", "assistant Hi there"]);
    assert.deepEqual(chat.tokens, { input: 10, output: 5, runs: 1 });
    assert.equal(chat.run, undefined);
    assert.equal(chat.openInteractions.size, 0);
  });
  test("thoughts and text that are completed only when the answer is stored show once", () => {
    const chat = fold(
      { type: "run_started", prompt: "x", from: "user" },
      { type: "reasoning_delta", delta: "Think" },
      { type: "text_delta", delta: "I spl" },
      { type: "peer_message", from: "b", content: "hello", work_id: "w" },
      { type: "text_delta", delta: "it it" },
      { type: "reasoning_complete", content: "Thinking" },
      { type: "text_complete", content: "I split it" },
      { type: "tool_call_requested", id: "1", name: "now", args: {} },
      { type: "turn_completed", stop_reason: "tool_use", usage: usage(1, 1) },
      { type: "reasoning_delta", delta: "Again" },
      { type: "text_delta", delta: "Do" },
      { type: "retrying", attempt: 1, max_attempts: 3, error: "cut.", delay_ms: 500 },
      { type: "text_delta", delta: "Done" },
      { type: "text_complete", content: "Done" },
    );
    assert.deepEqual(shape(chat), ["user x", "reasoning Thinking", "assistant I spl", "peer hello", "assistant it it", "tool now requested ", "notice retrying", "assistant Done"]);
    assert.ok(chat.items.every((item) => !("open" in item) || !item.open));
  });
  test("a message waits as queued until its run begins", () => {
    const chat = fold({ type: "user_input", interaction_id: "i", content: "one" }, { type: "user_input", interaction_id: "j", content: "two" }, { type: "run_started", prompt: "one", from: "user", interaction_id: "i" });
    assert.deepEqual(chat.items.map((item) => item.kind === "user" && item.queued), [false, true]);
  });
  test("tool calls fold in by id, also two at once", () => {
    const chat = fold(
      { type: "run_started", prompt: "x", from: "user" },
      { type: "tool_call_requested", id: "1", name: "now", args: {} },
      { type: "tool_call_requested", id: "2", name: "send_message", args: { to: "a" } },
      { type: "tool_execution_started", id: "1", name: "now" },
      { type: "tool_execution_started", id: "2", name: "send_message" },
      { type: "tool_execution_completed", id: "2", name: "send_message", result: "sent", content: [], is_error: false, duration_ms: 3 },
      { type: "tool_execution_completed", id: "1", name: "now", result: "boom", content: [], is_error: true, duration_ms: 9 },
      { type: "tool_result_received", id: "1", name: "now", content: [{ type: "text", text: "boom!" }], is_error: true },
      { type: "tool_result_received", id: "2", name: "send_message", content: [{ type: "text", text: "sent" }], is_error: false },
      { type: "tool_call_requested", id: "3", name: "slow", args: {} },
      { type: "tool_execution_timed_out", id: "3", name: "slow", timeout_ms: 50 },
      { type: "tool_result_received", id: "3", name: "slow", content: [], is_error: true },
    );
    assert.deepEqual(shape(chat).slice(1), ["tool now failed boom!", "tool send_message done sent", "tool slow timed_out No answer within 50 ms"]);
    assert.equal((chat.items[1] as ToolItem).durationMs, 9);
  });
  test("stream_truncated drops the half-said message only", () => {
    const chat = fold(
      { type: "run_started", prompt: "x", from: "user" },
      { type: "text_delta", delta: "whole" },
      { type: "text_complete", content: "whole" },
      { type: "tool_call_requested", id: "1", name: "now", args: {} },
      { type: "text_delta", delta: "hal" },
      { type: "stream_truncated", reason: "cut" },
      { type: "retrying", attempt: 1, max_attempts: 3, error: "cut.", delay_ms: 500 },
      { type: "text_delta", delta: "half" },
      { type: "text_complete", content: "half" },
    );
    assert.deepEqual(shape(chat), ["user x", "assistant whole", "tool now requested ", "notice stream_truncated", "notice retrying", "assistant half"]);
  });
  test("an interrupted run drops what was half said, also behind a gap, and its tools are interrupted", () => {
    const chat = fold(
      { type: "run_started", prompt: "x", from: "user", interaction_id: "i" },
      { type: "tool_call_requested", id: "1", name: "now", args: {} },
      { type: "text_delta", delta: "half" },
    );
    foldGap(chat, { from: 4, to: 1024, reason: "unclean_stop" }, 0);
    foldChat(chat, agent(1025, { type: "run_failed", error_class: "terminal", terminal_cause_kind: "interrupted", error: "interrupted" }));
    foldChat(chat, agent(1026, { type: "run_started", prompt: "x", from: "user", interaction_id: "i" }));
    assert.deepEqual(shape(chat), ["user x", "tool now interrupted ", "notice interrupted"]);
    assert.notEqual(chat.run, undefined);
  });
  test("a gap in a chat at rest shows nothing", () => {
    const chat = fold({ type: "run_started", prompt: "x", from: "user" }, { type: "run_completed", result: "y", usage: usage(1, 1) });
    foldGap(chat, { from: 3, to: 9, reason: "unclean_stop" }, 0);
    assert.deepEqual(shape(chat), ["user x", "assistant y"]);
    assert.equal(foldChat(chat, agent(9, { type: "text_delta", delta: "late" })), false);
  });
  test("failures: usage of turns counts, a stop is no error, the same failure is told once", () => {
    const failed = fold(
      { type: "run_started", prompt: "x", from: "user", interaction_id: "i" },
      { type: "turn_completed", stop_reason: "tool_use", usage: usage(7, 3) },
      { type: "run_failed", error_class: "llm", error: "HTTP 500" },
      { type: "interaction_failed", interaction_id: "i", error: "HTTP 500" },
    );
    assert.deepEqual(shape(failed), ["user x", "notice llm"]);
    assert.deepEqual(failed.tokens, { input: 7, output: 3, runs: 1 });
    assert.equal(failed.lastError, "HTTP 500");
    const stopped = fold({ type: "run_started", prompt: "x", from: "user" }, { type: "text_delta", delta: "so far" }, { type: "run_failed", error_class: "cancelled", error: "cancelled" });
    assert.deepEqual(shape(stopped), ["user x", "assistant so far", "notice cancelled"]);
    assert.equal(stopped.lastError, undefined);
  });
  test("peers: a message waits, its run takes it, nothing shows twice; an instruction without a writer shows", () => {
    const chat = fold(
      { type: "run_started", prompt: "You are new here" },
      { type: "run_completed", result: "ok", usage: usage(1, 1) },
      { type: "peer_message", from: "a", content: "do this" },
      { type: "run_started", prompt: "do this", from: "a" },
      { type: "run_completed", result: "done", usage: usage(1, 1) },
      { type: "run_started", prompt: "do this", from: "a" },
    );
    assert.deepEqual(shape(chat), ["peer You are new here", "assistant ok", "peer do this", "assistant done"]);
  });
  test("work items name their messages: equal texts are two messages, a repeated run is none", () => {
    const chat = fold(
      { type: "peer_message", from: "a", content: "go", work_id: "w1", interaction_id: "i" },
      { type: "peer_message", from: "a", content: "go", work_id: "w2", interaction_id: "i" },
      { type: "run_started", prompt: "go", from: "a", work_id: "w2", interaction_id: "i" },
      { type: "run_failed", error_class: "terminal", terminal_cause_kind: "interrupted", error: "x" },
      { type: "run_started", prompt: "go", from: "a", work_id: "w2", interaction_id: "i" },
    );
    assert.deepEqual(chat.items.map((item) => (item.kind === "peer" ? item.queued : item.kind)), [true, false, "notice"]);
    settle(chat, "i");
    assert.ok(chat.items.every((item) => item.kind !== "peer" || !item.queued));
  });
  test("what a cancelled stream delivers late is not shown", () => {
    const chat = fold({ type: "run_started", prompt: "x", from: "user" }, { type: "text_delta", delta: "so " }, { type: "run_failed", error_class: "cancelled", error: "cancelled" }, { type: "text_delta", delta: "far" });
    assert.deepEqual(shape(chat), ["user x", "assistant so ", "notice cancelled"]);
  });
  test("a cancelled interaction says once that it was stopped; steering does not wait", () => {
    const chat = fold(
      { type: "user_input", interaction_id: "i", content: "x", work_id: "w" },
      { type: "run_started", prompt: "x", from: "user", interaction_id: "i", work_id: "w" },
      { type: "user_input", interaction_id: "j", content: "rather y", handling_mode: "steer", work_id: "v" },
      { type: "interaction_failed", interaction_id: "i", error: "cancelled" },
      { type: "run_failed", error_class: "cancelled", error: "cancelled", terminal_cause_kind: "interaction_ended", interaction_id: "i" },
    );
    assert.deepEqual(shape(chat), ["user x", "user rather y", "notice cancelled"]);
    assert.ok(chat.items.every((item) => item.kind !== "user" || !item.queued));
    assert.deepEqual([...chat.openInteractions], ["j"]);
    assert.deepEqual(shape(fold({ type: "interaction_failed", interaction_id: "i", error: "cancelled" })), ["notice cancelled"]);
  });
  test("work that waits for a model says so once and is over with the next run", () => {
    const chat = fold({ type: "model_unavailable", model: "gpt", reason: "no key" }, { type: "model_unavailable", model: "gpt", reason: "no key" });
    assert.deepEqual(shape(chat), ["notice model_unavailable"]);
    assert.equal(shownState(undefined, chat), "waiting_model");
    foldChat(chat, agent(3, { type: "run_started", prompt: "x", from: "user" }));
    assert.equal(shownState(undefined, chat), "running");
  });
  test("an event seen twice, an unknown type and an event of a module change nothing", () => {
    const chat = fold({ type: "text_delta", delta: "a" });
    assert.equal(foldChat(chat, agent(1, { type: "text_delta", delta: "a" })), false);
    assert.equal(foldChat(chat, agent(2, { type: "of_tomorrow" })), false);
    assert.equal(foldChat(chat, { id: "x", seq: 3, timestamp_ms: 0, member_id: null, event: { kind: "module", module: "m", event_type: "t" } }), false);
    assert.deepEqual(shape(chat), ["assistant a"]);
  });
  test("states of a row", () => {
    const cases: [Parameters<typeof shownState>[0], string][] = [
      [{ state: "Retiring", activity: "running" }, "retiring"],
      [{ state: "active", activity: "broken" }, "broken"],
      [{ state: "active", activity: "dormant" }, "dormant"],
      [{ state: "active", activity: "waiting_model" }, "waiting_model"],
      [{ state: "active", activity: "idle" }, "idle"],
      [undefined, "idle"],
    ];
    for (const [entry, expected] of cases) assert.equal(shownState(entry, undefined), expected);
  });
});

describe("feed", () => {
  test("trouble that goes on takes one line for each member", () => {
    const feed: FeedEntry[] = [];
    const push = (seq: number, payload: AgentEventPayload, who: string): void => {
      const entry = feedOfAgent(agent(seq, payload, `${who}:0`));
      if (entry) pushFeed(feed, entry);
    };
    push(1, { type: "run_started" }, "lead");
    push(2, { type: "retrying", attempt: 2, max_attempts: 3, error: "cut" }, "lead");
    push(3, { type: "retrying", attempt: 2, max_attempts: 3, error: "cut" }, "ann");
    push(4, { type: "retrying", attempt: 3, max_attempts: 3, error: "cut" }, "lead");
    assert.deepEqual(feed.map((entry) => [entry.identity, entry.title]), [["lead", "started to work"], ["ann", "tries again (2/3)"], ["lead", "tries again (3/3)"]]);
    push(5, { type: "run_failed", error: "cut" }, "lead");
    push(6, { type: "interaction_failed", error: "cut" }, "lead");
    push(7, { type: "run_started" }, "lead");
    push(8, { type: "run_failed", error: "cut" }, "lead");
    assert.deepEqual(feed.map((entry) => [entry.identity, entry.title]), [
      ["lead", "started to work"], ["ann", "tries again (2/3)"], ["lead", "could not answer"], ["lead", "started to work"], ["lead", "failed"],
    ]);
  });
  const entry = (id: string, at: number): FeedEntry => ({ id, at, identity: undefined, peer: undefined, tone: "plain", title: "", detail: "" });
  test("keeps the order of time and its capacity", () => {
    const feed: FeedEntry[] = [];
    for (const at of [1, 3, 2, 5, 4]) pushFeed(feed, entry(String(at), at));
    assert.deepEqual(feed.map((line) => line.at), [1, 2, 3, 4, 5]);
    for (let at = 6; at < 1000; at++) pushFeed(feed, entry(String(at), at));
    assert.equal(feed.length, FEED_CAPACITY);
    assert.equal(feed.at(-1)?.at, 999);
  });
  test("one line without marks", () => {
    const cases: [string, string][] = [
      ["I ask **a** and `b`.", "I ask a and b."],
      ["# Title\n\n- one\n- two", "Title one two"],
      ["| who | what |\n|---|:---:|\n| a | b |", "who what a b"],
      ["snake_case - stays 1. here", "snake_case - stays 1. here"],
      ["x".repeat(200), `${"x".repeat(159)}…`],
    ];
    for (const [text, expected] of cases) assert.equal(oneLine(text), expected);
  });
  test("shows deeds, not deltas", () => {
    assert.equal(feedOfAgent(agent(1, { type: "text_delta", delta: "x" })), undefined);
    assert.equal(feedOfAgent(agent(1, { type: "tool_call_requested", id: "1", name: "send_message", args: {} })), undefined);
    assert.equal(feedOfAgent(agent(1, { type: "run_failed", error_class: "llm", error: "boom" }))?.tone, "error");
    assert.equal(feedOfAgent(agent(1, { type: "run_completed", result: "a\nb" }, "rev-2:4"))?.identity, "rev-2");
  });
});

describe("virtual list", () => {
  test("windows", () => {
    assert.deepEqual(windowOf(10_000, 28, 0, 280, 2), { first: 0, last: 12, offset: 0, total: 280_000 });
    assert.deepEqual(windowOf(10_000, 28, 2800, 280, 2), { first: 98, last: 112, offset: 98 * 28, total: 280_000 });
    assert.deepEqual(windowOf(10_000, 28, 9e9, 280, 2), { first: 9988, last: 10_000, offset: 9988 * 28, total: 280_000 });
    assert.deepEqual(windowOf(3, 28, 50, 280, 2), { first: 0, last: 3, offset: 0, total: 84 });
    assert.deepEqual(windowOf(0, 28, 0, 280), { first: 0, last: 0, offset: 0, total: 0 });
  });
  test("scrolls as little as it must", () => {
    assert.equal(scrollTo(5, 28, 0, 280), 0);
    assert.equal(scrollTo(20, 28, 0, 280), 308);
    assert.equal(scrollTo(2, 28, 280, 280), 56);
    assert.equal(atEnd(100, 28, 2520, 280), true);
    assert.equal(atEnd(100, 28, 0, 280), false);
  });
});

describe("layout", () => {
  const members = (n: number) => Array.from({ length: n }, (_, at) => ({ identity: `m${at}`, role: at === 0 ? "lead" : "worker" }));
  const star = (n: number): [string, string][] => Array.from({ length: n - 1 }, (_, at) => ["m0", `m${at + 1}`]);
  for (const n of [0, 1, 2, 3, 5, 6, 30, 61, 200]) {
    test(`${n} members stand apart, inside, and always in the same place`, () => {
      const places = layout(members(n), star(Math.max(1, n)), "m0");
      assert.equal(places.size, n);
      const all = [...places.values()];
      for (const place of all) assert.ok(place.x >= 0 && place.x <= 1 && place.y >= 0 && place.y <= 1);
      let nearest = 1;
      for (let a = 0; a < all.length; a++) for (let b = a + 1; b < all.length; b++) nearest = Math.min(nearest, Math.hypot(all[a]!.x - all[b]!.x, all[a]!.y - all[b]!.y));
      assert.ok(n < 2 || nearest > 0.01, `nearest ${nearest}`);
      assert.deepEqual(layout(members(n).reverse(), star(Math.max(1, n)), "m0"), places);
    });
  }
});

describe("wire", () => {
  test("content and identities", () => {
    assert.equal(contentText("a"), "a");
    assert.equal(contentText([{ type: "text", text: "a" }, { type: "image", media_type: "image/png" }]), "a\n[image]");
    assert.equal(contentText(undefined), "");
    assert.equal(identityOf("lead:12"), "lead");
    assert.equal(identityOf("a:b"), "a:b");
  });
});
