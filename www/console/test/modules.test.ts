// The words and decisions of the panels of the modules, and the inbox: what is asked when, and what is made of the answer.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GatingPendingEntry } from "mobkit-web";
import { App } from "../src/app.ts";
import { ConsoleError } from "../src/client.ts";
import { feedOfAgent } from "../src/store/feed.ts";
import { Inbox } from "../src/store/inbox.ts";
import { faultOf, paramsOf, payloadOf, relative, span, whoDecides, whyNot } from "../src/store/modules.ts";
import { persistedOf } from "../src/wire.ts";
import { FakeRuntime } from "./fake.ts";

const entry = (part: Partial<GatingPendingEntry> = {}): GatingPendingEntry => ({ pending_id: "p", action_id: "a", action: "publish", actor_id: "writer", risk_tier: "r3", created_at_ms: 0, deadline_at_ms: 1, ...part });
const nextTurn = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a form", () => {
  test("an error goes to the field that it is about, if the form has it", () => {
    const refused = new ConsoleError("retry_max_exceeds_cap", "Invalid params: retry_max must be <= 10");
    assert.deepEqual(faultOf(refused, ["recipient", "retry_max"]), { field: "retry_max", words: "retry_max must be <= 10" });
    assert.equal(faultOf(refused, ["recipient"]), undefined);
    assert.deepEqual(faultOf(new ConsoleError("invalid_params", "Invalid params: backoff_ms must be a number"), ["ms", "backoff_ms"])?.field, "backoff_ms");
    assert.equal(faultOf(new ConsoleError("too_many_routes", "there are 256 routes"), ["route_key"]), undefined);
    assert.equal(faultOf(undefined, ["route_key"]), undefined);
  });

  test("blank fields are left out where they may be, numbers are numbers, and what is none is sent to be refused", () => {
    assert.deepEqual(paramsOf({ recipient: " lead ", channel: " ", retry_max: "3", backoff_ms: "soon" }, ["channel"], ["retry_max", "backoff_ms"]), { recipient: "lead", retry_max: 3, backoff_ms: "soon" });
    assert.deepEqual(paramsOf({ recipient: " " }), { recipient: "" });
  });

  test("a payload is a text, or JSON", () => {
    assert.equal(payloadOf("5 apples"), "5 apples");
    assert.deepEqual(payloadOf(' {"a":1}'), { a: 1 });
    assert.throws(() => payloadOf("[1"));
  });
});

test("times are told in their two largest units", () => {
  assert.deepEqual([0, 999, 59_400, 60_000, 61_000, 3_600_000, 86_400_000 + 7_200_000].map(span), ["0 s", "1 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 d 2 h"]);
  assert.deepEqual([relative(5000, 0), relative(0, 120_000), relative(500, 0)], ["in 5 s", "2 min ago", "now"]);
});

describe("who may decide", () => {
  test("anybody with a name but the actor approves, and the actor may reject", () => {
    assert.match(whyNot(entry(), " ", "approve") ?? "", /who you are/);
    assert.match(whyNot(entry(), "writer", "approve") ?? "", /may not approve/);
    assert.equal(whyNot(entry(), "writer", "reject"), undefined);
    assert.equal(whyNot(entry(), " Anna ", "approve"), undefined);
  });

  test("only who was asked for, and nobody who has passed it on", () => {
    assert.equal(whyNot(entry({ requested_approver: "Carla" }), "Anna", "reject"), "Only Carla may decide.");
    assert.match(whyNot(entry({ escalated_by: ["Anna"] }), "Anna", "approve") ?? "", /passed it on/);
    assert.equal(whoDecides(entry({ escalated_by: ["Anna"] })), "Anybody may decide but writer and Anna: Anna passed it on.");
  });
});

test("a module's event is its, with no member", () => {
  const event = persistedOf({ id: "mob:7", event: "supervisor.warning", data: JSON.stringify({ member_id: null, source: "crm", timestamp_ms: 5, payload: { error: "it broke" } }) });
  assert.deepEqual([event.seq, event.member_id, event.event.kind], [7, null, "module"]);
  assert.equal(feedOfAgent(event)?.title, "module crm is in trouble");
});

describe("the inbox", () => {
  test("hints are one question, and the same answer is no news", async () => {
    let asked = 0;
    let news = 0;
    let pending = [entry()];
    const inbox = new Inbox(async () => ({ pending: (asked++, structuredClone(pending)) }), () => news++);
    for (let n = 0; n < 5; n++) inbox.soon();
    await nextTurn(200);
    assert.deepEqual([asked, news, inbox.count.value], [1, 1, 1]);
    const before = inbox.entries.value;
    await inbox.read();
    assert.deepEqual([asked, news], [2, 1]);
    assert.equal(inbox.entries.value, before);
    pending = [];
    await inbox.read();
    assert.deepEqual([news, inbox.count.value], [2, 0]);
  });

  test("what is asked for during a question is asked once more after it", async () => {
    let asked = 0;
    const inbox = new Inbox(async () => (asked++, await nextTurn(5), { pending: [] }), () => undefined);
    await Promise.all([inbox.read(), inbox.read(), inbox.read()]);
    assert.equal(asked, 2);
  });

  test("a runtime without it is asked once; a failure is shown until it is over", async () => {
    const none = new Inbox(async () => Promise.reject(new ConsoleError("method_not_found", "no")), () => undefined);
    await none.read();
    await none.read();
    assert.equal(none.error.value?.code, "method_not_found");
    let fails = true;
    const inbox = new Inbox(async () => (fails ? Promise.reject(new ConsoleError("storage", "gone")) : { pending: [] }), () => undefined);
    await inbox.read();
    assert.equal(inbox.error.value?.code, "storage");
    fails = false;
    await inbox.read();
    assert.equal(inbox.error.value, undefined);
  });

  test("who waits for approval shows so, and no more when it is decided", async () => {
    const fake = new FakeRuntime({ modules: true });
    const app = new App(fake, (callback) => void setTimeout(callback));
    app.connect();
    await nextTurn(20);
    fake.hold("critic");
    await app.inbox.read();
    await nextTurn(10);
    const state = (): string | undefined => app.rows.value.find((row) => row.identity === "critic")?.state;
    assert.equal(state(), "waiting_approval");
    fake.pending.length = 0;
    await app.inbox.read();
    assert.equal(state(), "idle");
    app.close();
  });
});
