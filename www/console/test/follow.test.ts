// The SSE parser, the follower and the app over the fake runtime: cuts, resumes, gaps, stale cursors.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { App, REPLAY_LIMIT } from "../src/app.ts";
import { ConsoleError, rpc } from "../src/client.ts";
import { follow } from "../src/follow.ts";
import { type SseEvent, SseParser } from "../src/sse.ts";
import { persistedOf } from "../src/wire.ts";
import { FakeRuntime } from "./fake.ts";

const soon: (callback: () => void) => void = (callback) => void setTimeout(callback, 0);
async function until(what: string, condition: () => boolean): Promise<void> {
  for (let n = 0; n < 400; n++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`never: ${what}`);
}

describe("sse", () => {
  const text = "\ufeff: hello\r\nid: mob:1\r\nevent: text_delta\r\ndata: {\"a\":\"é🙂\"}\r\n\r\ndata:one\ndata: two\n\nevent: none\n\nid: 7\rdata: x\r\rretry: 1500\n\n";
  const expected: SseEvent[] = [
    { event: "text_delta", data: '{"a":"é🙂"}', id: "mob:1" },
    { event: "message", data: "one\ntwo", id: "mob:1" },
    { event: "message", data: "x", id: "7" },
  ];
  test("every place to cut gives the same events", () => {
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new SseParser();
      assert.deepEqual([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))], expected, `cut at ${cut}`);
      assert.equal(parser.retryMs, 1500);
    }
  });
  test("byte by byte through a decoder", () => {
    const parser = new SseParser();
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const events = [...new TextEncoder().encode(text)].flatMap((byte) => parser.push(decoder.decode(new Uint8Array([byte]), { stream: true })));
    assert.deepEqual(events, expected);
  });
});

test("an event of the stream is the entry that a query answers", () => {
  const payload = { type: "text_delta", delta: "a", interaction_id: "i" };
  const data = JSON.stringify({ member_id: "a:b:3", source: "a:b:3", timestamp_ms: 5, payload });
  assert.deepEqual(persistedOf({ id: "mob:12", event: "text_delta", data }), {
    id: "evt-agent-12",
    seq: 12,
    timestamp_ms: 5,
    member_id: "a:b:3",
    identity: "a:b",
    event: { kind: "agent", agent_id: "a:b:3", event_type: "text_delta", payload },
  });
});

describe("rpc", () => {
  test("an error carries the runtime's own code", async () => {
    const fake = new FakeRuntime();
    await assert.rejects(rpc(fake, "mobkit/send_message", { member_id: "ghost", content: "x" }), (error: unknown) => error instanceof ConsoleError && error.code === "unknown_member");
    await assert.rejects(rpc(fake, "mobkit/nope"), (error: unknown) => error instanceof ConsoleError && error.code === "-32601");
  });
});

test("streams that end as soon as they begin are asked for less and less often; what comes of one makes it a good one", async () => {
  const abort = new AbortController();
  const delays: number[] = [];
  const texts = ["", "", "", "", "", "", "id: 1\ndata: 1\n\n", ""];
  const client = { fetch: async () => new Response(texts[delays.length]) } as unknown as FakeRuntime;
  let connected = 0;
  await follow(
    client,
    { page: async (next) => ({ items: [] as number[], gaps: [], next }), streamUrl: () => "/", parse: ({ data }) => Number(data), cursorOf: (item) => item },
    { items: () => undefined, gap: () => undefined, connected: () => void (connected += 1) },
    { after: 0, signal: abort.signal, sleep: async (ms) => void (delays.push(ms) === texts.length && abort.abort()) },
  );
  assert.deepEqual(delays, [250, 500, 1000, 2000, 5000, 5000, 250, 500]);
  assert.equal(connected, texts.length);
});

describe("app", () => {
  test("a message sets off work that shows in every fold", async () => {
    const fake = new FakeRuntime();
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value && app.rows.value.length === 3);
    assert.deepEqual(app.rows.value.map((row) => row.identity), ["lead", "critic", "researcher"]);
    assert.deepEqual(app.edges.value, [["critic", "lead"], ["lead", "researcher"]]);
    await app.send("lead", "Plan a trip");
    await until("answered", () => app.chat("lead").tokens.runs === 3 && app.chat("lead").openInteractions.size === 0);
    assert.deepEqual(app.chat("lead").items.map((item) => item.kind), ["user", "reasoning", "assistant", "tool", "tool", "peer", "assistant", "peer", "assistant"]);
    assert.deepEqual(app.chat("critic").items.map((item) => item.kind), ["peer", "assistant", "tool"]);
    assert.ok(app.chat("lead").items.every((item) => !("queued" in item) || !item.queued));
    assert.ok(app.feed.some((line) => line.title === "finished"));
    app.close();
  });

  test("the moment the logs are read, the rows are in the order of the roster", async () => {
    for (let n = 0; n < 20; n++) {
      const app = new App(new FakeRuntime(), (callback) => void setTimeout(callback, 20));
      let first: string | undefined;
      app.caughtUp.subscribe((caughtUp) => {
        if (caughtUp) first = app.rows.value[0]?.identity;
      });
      app.connect();
      await until("caught up", () => app.caughtUp.value);
      assert.equal(first, "lead");
      app.close();
    }
  });

  test("a broken stream is resumed without loss or repetition", async () => {
    const fake = new FakeRuntime();
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value);
    fake.emit("lead", { type: "text_delta", delta: "a" });
    await until("a", () => app.chat("lead").items.length === 1);
    fake.cutStreams();
    fake.emit("lead", { type: "text_delta", delta: "b" });
    fake.ledger("members_unwired", { a: "critic", b: "lead" });
    await until("lost", () => app.connection.value !== undefined);
    await until("b", () => app.chat("lead").items[0]?.kind === "assistant" && (app.chat("lead").items[0] as { text: string }).text === "ab");
    await until("found", () => app.connection.value === undefined);
    assert.deepEqual(app.ledger.map((event) => event.cursor), app.ledger.map((_, at) => at + 1));
    app.close();
  });

  test("storage that was erased under the page starts the page anew", async () => {
    const fake = new FakeRuntime({ ledgerEntries: 50 });
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value && app.ledger.length === 56);
    fake.structural.length = 0;
    fake.ledger("mob_created", { definition: {} });
    fake.spawn("solo", "lead");
    fake.cutStreams();
    await until("anew", () => app.ledger.length === 2 && app.rows.value.some((row) => row.identity === "solo"));
    app.close();
  });

  test("10 000 ledger entries are read in pages, in order", async () => {
    const fake = new FakeRuntime({ ledgerEntries: 10_000 });
    const app = new App(fake, soon);
    app.connect();
    await until("read", () => app.ledger.length === 10_006);
    assert.ok(app.ledger.every((event, at) => event.cursor === at + 1));
    app.close();
  });

  test("a failing action is shown, and forgotten when it works", async () => {
    const fake = new FakeRuntime();
    const app = new App(fake, soon);
    fake.failNext.set("mobkit/retire_member", { code: -32000, message: "storage is full", data: { code: "quota_exceeded" } });
    await app.attempt("Retiring critic", () => app.change("mobkit/retire_member", { member_id: "critic" }));
    assert.equal(app.problems.value[0]?.error.code, "quota_exceeded");
    await app.attempt("Retiring critic", () => app.change("mobkit/retire_member", { member_id: "critic" }));
    assert.deepEqual(app.problems.value, []);
  });

  test("Stop cancels the interaction; the whole history of one member can be read alone", async () => {
    const fake = new FakeRuntime({ pace: 2 });
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value);
    await app.send("lead", "Count");
    await until("running", () => app.chat("lead").run !== undefined);
    await app.stopMember("lead");
    await until("stopped", () => app.chat("lead").items.at(-1)?.kind === "notice");
    const before = app.chat("lead").items.length;
    await app.loadWholeHistory("lead");
    assert.equal(app.chat("lead").items.length, before);
    app.close();
  });

  test("of a very long log the newest part is read, and a member's earlier history on demand", async () => {
    const fake = new FakeRuntime();
    fake.emit("critic", { type: "user_input", interaction_id: "old", content: "the very first" });
    fake.emit("critic", { type: "interaction_complete", interaction_id: "old", result: "" });
    for (let n = 0; n < REPLAY_LIMIT + 500; n++) fake.emit("lead", { type: "text_delta", delta: "." });
    const app = new App(fake, soon);
    app.connect();
    await until("caught up", () => app.caughtUp.value);
    assert.equal(app.chat("critic").items.length, 0);
    assert.equal(app.isPartial("critic"), true);
    await app.loadWholeHistory("critic");
    assert.equal(app.chat("critic").items.length, 1);
    assert.equal(app.isPartial("critic"), false);
    await app.loadWholeHistory("lead");
    assert.equal((app.chat("lead").items[0] as { text: string }).text.length, REPLAY_LIMIT + 500);
    fake.emit("lead", { type: "text_delta", delta: "!" });
    await until("live again", () => (app.chat("lead").items[0] as { text: string }).text.endsWith("!"));
    app.close();
  });

  test("work that waits for a model is told", async () => {
    const fake = new FakeRuntime({ waiting: true });
    const app = new App(fake, soon);
    app.connect();
    await until("told", () => app.waiting.value?.identity === "lead");
    assert.match(app.waiting.value?.reason ?? "", /memory only/);
    app.close();
  });
});
