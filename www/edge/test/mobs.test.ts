// Mobs in Durable Objects of a real workerd, with a model server that others wrote: made, asked, streamed, evicted, killed, resumed, deleted.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Mobs, until } from "../support/mobs.ts";
import { ModelServer } from "../support/model-server.ts";
import { Workerd } from "../support/workerd.ts";

const TOKEN = "secret-of-the-test";

describe("mobs in Durable Objects", () => {
  let workerd: Workerd;
  let model: ModelServer;
  const mobs = new Mobs(() => workerd.url, TOKEN, () => workerd.said);

  before(async () => {
    model = await ModelServer.start();
    model.mock.on({}, { content: "Hello from a server." });
    workerd = await Workerd.start("mobs", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { TOKEN, MODEL_URL: model.url, PACE: "5", FROZEN: "" } });
  });
  after(async () => {
    workerd?.close();
    await model?.close();
  });

  const behind = async (mob: string, verb: string): Promise<any> => await (await fetch(`${workerd.url}/-test/${mob}/${verb}`)).json();
  /** Resolves when the object has nothing to wake for. */
  const unarmed = (mob: string): Promise<void> => until(`${mob} is idle`, async () => (await behind(mob, "inspect")).alarm === null);

  test("a mob is made, answers, is listed, and deleted with all that it holds", async () => {
    const missing = await mobs.ask("/mobs/demo-garden/console/identities");
    assert.deepEqual([missing.status, (await missing.json()).error], [404, "mob_not_found"]);
    assert.deepEqual((await behind("demo-garden", "inspect")).tables, [], "one that was only asked for holds nothing");
    const made = await mobs.ask("/mobs/demo-garden", { method: "PUT" });
    assert.deepEqual([made.status, await made.json()], [201, { name: "demo-garden", created: true }]);
    const outcome = await mobs.outcome("demo-garden", await mobs.send("demo-garden", "Plan a small garden"));
    assert.equal(outcome.status, "completed", JSON.stringify(outcome));
    assert.match(outcome.result, /Here is our answer to “Plan a small garden”[^]*researcher.*contributes[^]*writer.*contributes/);
    assert.deepEqual((await mobs.json("/mobs")).mobs.map((mob: any) => mob.name), ["demo-garden"]);
    assert.equal((await mobs.json("/mobs/demo-garden")).mob_state, "running");
    await unarmed("demo-garden");
    assert.equal((await mobs.ask("/mobs/demo-garden", { method: "DELETE" })).status, 204);
    assert.equal((await mobs.ask("/mobs/demo-garden", { method: "DELETE" })).status, 404);
    assert.deepEqual(await behind("demo-garden", "inspect"), { alarm: null, tables: [] });
    assert.deepEqual((await mobs.json("/mobs")).mobs, []);
  });

  test("many mobs are listed page by page", async () => {
    for (const name of ["c", "a", "b"]) await mobs.make(`list-${name}`);
    const names = (page: any): string[] => page.mobs.map((mob: any) => mob.name);
    const first = await mobs.json("/mobs?after=list-&limit=2");
    assert.deepEqual([names(first), first.next], [["list-a", "list-b"], "list-b"]);
    const second = await mobs.json(`/mobs?after=${first.next}&limit=2`);
    assert.deepEqual([names(second), second.next], [["list-c"], null]);
    for (const wrong of ["0", "x", "1001", "-1", ""]) assert.equal((await mobs.ask(`/mobs?limit=${wrong}`)).status, 400, wrong);
    for (const name of ["-x", "x-", "a%2Fb", "x".repeat(65), "%F0%9F%98%80"]) assert.equal((await mobs.ask(`/mobs/${name}`, { method: "PUT" })).status, 400, name);
  });

  test("a definition is replaced; one that is refused leaves the mob as it was", async () => {
    await mobs.make("defined");
    const refused = await mobs.ask("/mobs/defined", { method: "PUT", body: JSON.stringify({ definition: "[mob" }) });
    assert.equal(refused.status, 422);
    assert.match((await refused.json()).error, /definition/);
    for (const body of ["{", "[]", '{"definition":5}']) assert.equal((await mobs.ask("/mobs/defined", { method: "PUT", body })).status, 400, body);
    assert.equal((await mobs.rpc("defined", "mobkit/list_members")).length, 3);
    const unmade = await mobs.ask("/mobs/never", { method: "PUT", body: JSON.stringify({ definition: "x = 1" }) });
    assert.equal(unmade.status, 422);
    assert.ok(!(await mobs.json("/mobs?limit=1000")).mobs.some((mob: any) => mob.name === "never"));
    assert.deepEqual(await behind("never", "inspect"), { alarm: null, tables: [] });
    const { definition } = { definition: await mobs.rpc("defined", "mobkit/definition") };
    definition.profiles.solo = { model: "demo" };
    const replaced = await mobs.json("/mobs/defined", { method: "PUT", body: JSON.stringify({ definition }) });
    assert.equal(replaced.created, false);
    await behind("defined", "evict");
    assert.ok((await mobs.rpc("defined", "mobkit/profiles")).profiles.some((profile: any) => profile.name === "solo"), "it holds over an eviction");
  });

  test("a model server that others wrote answers, and the stream is read on from a cursor after an eviction", async () => {
    await mobs.make("streamed");
    const id = await mobs.send("streamed", "Hi");
    const isEnd = ({ event }: { event: string }): boolean => event === "interaction_complete";
    const first = await mobs.stream("/mobs/streamed/mob/events?after_seq=0", isEnd);
    assert.match(first.map(({ event }) => event).join(" "), /user_input.*run_started.*text_delta.*run_completed.*interaction_complete/);
    assert.equal((await mobs.outcome("streamed", id)).result, "Hello from a server.");
    await behind("streamed", "evict");
    const middle = first[Math.floor(first.length / 2)]!;
    const again = await mobs.stream("/mobs/streamed/mob/events?after_seq=0", isEnd, { "last-event-id": middle.id });
    assert.deepEqual(again, first.slice(first.indexOf(middle) + 1));
  });

  test("evicted in mid-conversation it goes on by itself, and every answer comes once", async () => {
    await mobs.make("evicted");
    model.hold();
    const before = model.arrived;
    const id = await mobs.send("evicted", "Hello?");
    await until("the model is asked", () => model.arrived === before + 1);
    await behind("evicted", "evict");
    // Nobody calls it: its alarm does.
    await until("the model is asked again", () => model.arrived === before + 2);
    model.release();
    const outcome = await mobs.outcome("evicted", id);
    assert.deepEqual([outcome.status, outcome.result], ["completed", "Hello from a server."]);
    const events = await mobs.events("evicted");
    const count = (type: string): number => events.filter((event) => event.payload?.type === type || event.type === type).length;
    assert.equal(count("interaction_complete"), 1, JSON.stringify(events));
    await unarmed("evicted");
  });

  test("SIGKILL in mid-conversation: another process over the same disk goes on by itself", async () => {
    await mobs.make("killed");
    model.hold();
    const before = model.arrived;
    const id = await mobs.send("killed", "Hello?", "once");
    await until("the model is asked", () => model.arrived === before + 1);
    await workerd.killAndRestart();
    await until("the model is asked again", () => model.arrived === before + 2);
    model.release();
    assert.equal((await mobs.outcome("killed", id)).result, "Hello from a server.");
    assert.equal(await mobs.send("killed", "Hello?", "once"), id, "the key is known");
    assert.equal((await mobs.json("/mobs?limit=1000")).mobs.some((mob: any) => mob.name === "killed"), true);
  });

  test("an alarm whose handler fails is set again until it does not", async () => {
    await mobs.make("alarmed");
    model.hold();
    const before = model.arrived;
    const id = await mobs.send("alarmed", "Hello?");
    await until("the model is asked", () => model.arrived === before + 1);
    await behind("alarmed", "fail/on");
    await behind("alarmed", "evict");
    await until("the alarm has failed twice", () => (workerd.said.match(/a mob could not be woken/g) ?? []).length >= 2, 60_000);
    const refused = await mobs.ask("/mobs/alarmed/console/identities");
    assert.deepEqual([refused.status, (await refused.json()).error], [503, "mob_unavailable"]);
    await behind("alarmed", "fail/off");
    await until("the model is asked again", () => model.arrived === before + 2, 60_000);
    model.release();
    assert.equal((await mobs.outcome("alarmed", id)).status, "completed");
    await unarmed("alarmed");
  });

  test("members write to members of other mobs, and not without end", async () => {
    await mobs.make("talk-one");
    await mobs.make("talk-two");
    const call = (args: object): string => `call message_mob ${JSON.stringify(args)}`;
    /** What the tool has answered to a member of this mob, and whether that was an error. */
    const answers = async (mob: string): Promise<[string, boolean][]> =>
      (await mobs.events(mob)).map((event) => event.payload).filter((payload) => payload.type === "tool_result_received").map((payload) => [JSON.stringify(payload.content ?? payload.result), payload.is_error]);
    const tell = async (mob: string, message: string): Promise<void> => {
      assert.equal((await mobs.outcome(mob, await mobs.send(mob, message))).status, "completed");
    };
    await tell("talk-one", call({ mob: "talk-two", member: "lead", message: "hello there" }));
    assert.deepEqual((await mobs.events("talk-two")).filter(({ payload }) => payload.type === "user_input").map(({ payload }) => [payload.content, payload.origin]), [["hello there", "mob:talk-one"]]);
    await tell("talk-one", call({ mob: "talk-three", member: "lead", message: "hello" }));
    await tell("talk-one", call({ mob: "talk-one", member: "writer", message: "hello" }));
    await tell("talk-one", call({ mob: "talk-two", member: "nobody", message: "hello" }));
    await tell("talk-one", call({ mob: "talk-two", member: "lead" }));
    const heard = await answers("talk-one");
    assert.deepEqual(heard.map(([, isError]) => isError), [false, true, true, true, true], JSON.stringify(heard));
    assert.match(heard.map(([text]) => text).join("\n"), /echo: hello there[^]*there is no mob talk-three[^]*send_message[^]*nobody[^]*message must be a non-empty string/);
    // Over the death of the other mob the tool waits on.
    const long = call({ mob: "talk-two", member: "writer", message: "hang" });
    const waiting = await mobs.send("talk-one", long);
    await until("the other one works", async () => (await mobs.events("talk-two")).some(({ payload }) => payload.content === "hang"));
    await behind("talk-two", "evict");
    const [{ interaction_id: hanging }] = (await mobs.events("talk-two")).map(({ payload }) => payload).filter(({ content }) => content === "hang");
    assert.equal((await mobs.rpc("talk-two", "mobkit/cancel_interaction", { interaction_id: hanging })).accepted, true);
    assert.equal((await mobs.outcome("talk-one", waiting)).status, "completed");
    assert.match((await answers("talk-one")).at(-1)![0], /talk-two could not do it/);
    // One that waits for an answer is not waited for.
    await tell("talk-one", call({ mob: "talk-two", member: "lead", message: call({ mob: "talk-one", member: "lead", message: "and you" }) }));
    assert.match((await answers("talk-two")).at(-1)![0], /may be waiting for this answer itself/);
    // Each hands the message on to the other: ten messages in one another.
    let message = "the end";
    for (let level = 0; level < 10; level++) message = call({ mob: level % 2 === 0 ? "talk-one" : "talk-two", member: "lead", message, wait: false });
    await tell("talk-one", message);
    await until("the last is refused", async () => [...(await answers("talk-one")), ...(await answers("talk-two"))].some(([text]) => /came through 8 mobs already/.test(text)));
    assert.ok(![...(await mobs.events("talk-one")), ...(await mobs.events("talk-two"))].some(({ payload }) => payload.content === "the end"));
  });

  test("a hundred mobs side by side; one that panics comes back and harms no other", async () => {
    model.release();
    const names = Array.from({ length: 100 }, (_, at) => `side-${at}`);
    await Promise.all(names.map((name) => mobs.make(name)));
    const ids = await Promise.all(names.map((name) => mobs.send(name, `Hello from ${name}`)));
    assert.equal(await behind("side-7", "panic"), "runtime_crashed");
    const outcomes = await Promise.all(names.map((name, at) => mobs.outcome(name, ids[at]!)));
    assert.deepEqual(outcomes.map((outcome) => outcome.result), names.map(() => "Hello from a server."));
    assert.equal((await mobs.outcome("side-7", await mobs.send("side-7", "More"))).result, "Hello from a server.");
    assert.equal((await mobs.rpc("side-8", "mobkit/query_events", { event_types: ["user_input"], after_seq: 0 })).events.length, 1, "each has its own log");
  });
});

describe("clocks that stand still", () => {
  let workerd: Workerd;
  const mobs = new Mobs(() => workerd.url, TOKEN, () => workerd.said);
  before(async () => {
    workerd = await Workerd.start("mobs", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { TOKEN, MODEL_URL: "", PACE: "1", FROZEN: "1" } });
  });
  after(() => workerd?.close());

  test("a conversation of many turns and timers comes to its end, and its alarm is taken away", async () => {
    await mobs.make("demo-still");
    const id = await mobs.send("demo-still", "Plan a garden");
    const outcome = await mobs.outcome("demo-still", id);
    assert.match(outcome.result, /Here is our answer[^]*researcher.*contributes[^]*writer.*contributes/);
    const { events } = await mobs.rpc("demo-still", "mobkit/query_events", { after_seq: 0 });
    assert.ok(new Set(events.map((event: any) => event.timestamp_ms)).size <= 3, "the clock stood still");
    assert.deepEqual(events.map((event: any) => event.seq), events.map((_: unknown, at: number) => at + events[0].seq));
    await until("it is idle", async () => (await (await fetch(`${workerd.url}/-test/demo-still/inspect`)).json() as { alarm: number | null }).alarm === null);
  });
});
