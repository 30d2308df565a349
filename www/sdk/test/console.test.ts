import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsoleAggregator, type AggregatedEvent, type ConsoleRuntime } from "../src/console.js";
import type { ConsoleFrame, ConsoleIdentityRecord, ConsoleTimelineEvent } from "../src/contract/console.js";
import { MobkitError } from "../src/error.js";

const record = (identity: string, session_id = "s", topology_peers: string[] = []): ConsoleIdentityRecord => ({
  identity, display_name: identity, runtime_key: "m", runtime_member_id: `${identity}:0`, session_id, visibility: "addressable",
  addressable: true, health: "idle", topology_peers, labels: {},
});
const frame = (at: number, identity = "lead"): ConsoleTimelineEvent => ({
  type: "console_frame",
  frame: { id: `evt-agent-${at}`, cursor: `console:${at}`, identity, conversation_id: `${identity}:0`, runtime_key: "m", kind: "text_complete" } as ConsoleFrame,
});

/** A runtime that tells these events, and then nothing until it is left; or fails. */
function fake(members: ConsoleIdentityRecord[], events: (ConsoleTimelineEvent | Error)[] = [], stays = false) {
  const seen = { sent: [] as string[], queries: [] as unknown[], closed: 0 };
  const runtime = {
    consoleIdentities: async () => members,
    inspectIdentity: async (identity: string) => ({ identity: members.find((one) => one.identity === identity)!, peers: members }),
    consoleSend: async (request: { identity: string }) => {
      seen.sent.push(request.identity);
      return { interaction_id: "i", identity: request.identity, input_frame_id: "f", cursor: "console:1", status: "accepted" };
    },
    timeline: ({ signal, ...query }: { signal: AbortSignal }) => {
      seen.queries.push(query);
      const rest = [...events];
      return {
        next: async () => {
          if (signal.aborted) throw signal.reason;
          const event = rest.shift();
          if (event instanceof Error) throw event;
          if (event || !stays) return { done: event === undefined, value: event };
          return await new Promise((_, reject) => signal.addEventListener("abort", () => {
            seen.closed++;
            reject(signal.reason);
          }));
        },
      };
    },
  };
  return { seen, runtime: runtime as unknown as ConsoleRuntime["runtime"] };
}

test("members stand under their runtime's namespace, and of two with one name the younger session's is listed", async () => {
  const [a, b, c] = [fake([record("lead", "1", ["ann"]), record("ann")]), fake([record("lead", "2")]), fake([record("lead", "3")])];
  const all = new ConsoleAggregator()
    .register({ runtimeKey: "a", namespace: "acme", runtime: a.runtime })
    .register({ runtimeKey: "b", runtime: b.runtime })
    .register({ runtimeKey: "c", runtime: c.runtime });
  const list = await all.identities();
  assert.deepEqual(list.map(({ identity, runtime_key }) => [identity, runtime_key]), [["acme/ann", "a"], ["acme/lead", "a"], ["lead", "c"]]);
  assert.deepEqual(list[1]?.topology_peers, ["acme/ann"]);
  assert.deepEqual((await all.inspectIdentity("acme/lead")).peers.map(({ identity }) => identity), ["acme/lead", "acme/ann"]);
  const request = { content: "c", origin: "o", idempotency_key: "k" };
  const sent = await all.send({ ...request, identity: "acme/lead" });
  assert.deepEqual([sent.identity, sent.runtime_key, a.seen.sent], ["acme/lead", "a", ["lead"]]);
  await all.send({ ...request, identity: "lead" });
  assert.deepEqual([b.seen.sent, c.seen.sent], [[], ["lead"]]);
  for (const nobody of ["nobody", "other/lead", "/lead"]) {
    await assert.rejects(all.send({ ...request, identity: nobody }), (error: MobkitError) => error.code === "member_not_found");
  }
  assert.equal(all.unregister("c"), true);
  assert.deepEqual((await all.identities()).map(({ runtime_key }) => runtime_key), ["a", "a", "b"]);
});

test("a key and a namespace are one runtime's alone", () => {
  const { runtime } = fake([]);
  const all = new ConsoleAggregator().register({ runtimeKey: "a", namespace: "n", runtime });
  const cases: [Omit<ConsoleRuntime, "runtime">, string][] = [
    [{ runtimeKey: "a" }, "runtimeKey"], [{ runtimeKey: "" }, "runtimeKey"], [{ runtimeKey: "b", namespace: "n" }, "namespace"],
    [{ runtimeKey: "b", namespace: "" }, "namespace"], [{ runtimeKey: "b", namespace: "x/y" }, "namespace"],
  ];
  for (const [source, field] of cases) {
    assert.throws(() => all.register({ ...source, runtime }), (error: MobkitError) => error.code === "invalid_input" && error.message.includes(field));
  }
});

test("timelines are told together, each in its order, and one that fails ends alone", async () => {
  const a = fake([], [{ type: "snapshot_started", after: null }, frame(1), frame(2, "__console__"), frame(3)]);
  const b = fake([], [frame(7), new MobkitError("replay_unavailable", "gone", {})]);
  const all = new ConsoleAggregator().register({ runtimeKey: "a", namespace: "acme", runtime: a.runtime }).register({ runtimeKey: "b", runtime: b.runtime });
  const events: AggregatedEvent[] = [];
  for await (const event of all.timeline({ after: { a: "console:0" }, limit: 5 })) events.push(event);
  const of = (key: string) => events.filter(({ runtime_key }) => runtime_key === key).map((event) => ("frame" in event ? [event.frame.cursor, event.frame.identity, event.frame.runtime_key] : event.type));
  assert.deepEqual(of("a"), ["snapshot_started", ["console:1", "acme/lead", "a"], ["console:2", "__console__", "a"], ["console:3", "acme/lead", "a"], "source_ended"]);
  assert.deepEqual(of("b"), [["console:7", "lead", "b"], "source_ended"]);
  const ends = events.flatMap((event) => (event.type === "source_ended" ? [[event.runtime_key, event.error?.code ?? null]] : []));
  assert.deepEqual(Object.fromEntries(ends as [string, string | null][]), { a: null, b: "replay_unavailable" });
  assert.deepEqual([a.seen.queries, b.seen.queries], [[{ after: "console:0", limit: 5 }], [{ limit: 5 }]]);
});

test("a quiet runtime holds no other up; leaving the loop, or the signal, ends all", async () => {
  const [quiet, busy] = [fake([], [], true), fake([], [frame(1), frame(2), frame(3)], true)];
  const all = new ConsoleAggregator().register({ runtimeKey: "quiet", runtime: quiet.runtime }).register({ runtimeKey: "busy", runtime: busy.runtime });
  let heard = 0;
  for await (const event of all.timeline()) if (event.runtime_key === "busy" && ++heard === 3) break;
  assert.deepEqual([heard, quiet.seen.closed], [3, 1]);

  const abort = new AbortController();
  const reason = new Error("enough");
  const reading = (async () => {
    for await (const event of all.timeline({ signal: abort.signal })) if ("frame" in event && event.frame.cursor === "console:3") abort.abort(reason);
  })();
  await assert.rejects(reading, reason);
  assert.equal(quiet.seen.closed, 2);
  await assert.rejects(all.timeline({ signal: abort.signal }).next(), reason);
});
