// The package in a page and in a worker of a real browser. Needs `cargo xtask build` (or `serve`) before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Harness } from "./harness.mjs";

let harness;
before(async () => { harness = await Harness.open(); });
after(async () => { await harness?.close(); });

/** Runs a function in a fresh tab and closes it. */
async function inPage(work, arg, first) {
  const page = await harness.page(first);
  try {
    return await page.evaluate(work, arg);
  } catch (error) {
    error.message += `\n${page.said.join("\n")}`;
    throw error;
  } finally {
    await page.close();
  }
}

test("a mob is built, asked, followed and shut down", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder().build();
    const answer = await runtime.ask("lead", "hi");
    const { interactionId, identity, repeated } = await runtime.send("lead", "again", { idempotencyKey: "k" });
    const second = await runtime.send("lead", "again", { idempotencyKey: "k" });
    const types = [];
    for await (const item of runtime.interaction(interactionId)) types.push(item.event.payload.type);
    const spawned = await runtime.spawn({ profile: "other", identity: "o1", labels: { team: "a" } });
    const wired = [await runtime.wire("lead", "o1"), await runtime.wire("lead", "o1")];
    const members = await runtime.members();
    const history = await runtime.sessionHistory("lead");
    const status = await runtime.status();
    const report = await runtime.shutdown();
    return {
      answer, identity, repeated, same: second.interactionId === interactionId && second.repeated, types, spawned: spawned.identity,
      wired, members: members.map((m) => [m.agent_identity, m.wired_to]), roles: history.messages.map((m) => m.role),
      status: [status.role, typeof status.latest_mob_cursor, status.models.m.provider], timedOut: report.drain.timed_out,
      state: runtime.state, afterwards: await codeOf(runtime.members()),
    };
  });
  assert.equal(seen.answer.status, "completed");
  assert.equal(seen.answer.result, "echo: hi");
  assert.equal(seen.answer.error, null);
  assert.deepEqual([seen.identity, seen.repeated, seen.same], ["lead", false, true]);
  assert.equal(seen.types[0], "user_input");
  assert.equal(seen.types.at(-1), "interaction_complete");
  assert.ok(seen.types.includes("text_delta"));
  assert.deepEqual(seen.wired, [true, false]);
  assert.deepEqual(seen.members, [["lead", ["o1"]], ["o1", ["lead"]]]);
  assert.deepEqual(seen.roles, ["user", "assistant", "user", "assistant"]);
  assert.deepEqual(seen.status, ["leader", "bigint", "scripted"]);
  assert.deepEqual([seen.timedOut, seen.state, seen.afterwards], [false, "stopped", "runtime_stopped"]);
});

test("events and ledger are read from a cursor, live, and by query", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder().build();
    const live = runtime.events({ identity: "lead" });
    const ledger = runtime.mobEvents({ afterSeq: 0n });
    const kinds = [];
    for await (const event of ledger) {
      kinds.push([typeof event.cursor, event.kind]);
      if (kinds.length === 2) break;
    }
    await runtime.ask("lead", "hi");
    const seqs = [];
    for await (const item of live) {
      seqs.push(item.seq);
      if (item.event.event_type === "interaction_complete") break;
    }
    const replayed = [];
    for await (const item of runtime.events({ after: seqs[0] })) {
      replayed.push(item.seq);
      if (item.seq === seqs.at(-1)) break;
    }
    const page = await runtime.queryMobEvents({ eventTypes: ["member_spawned"], limit: 5 });
    const events = await runtime.queryEvents({ identity: "lead", afterSeq: seqs[0], limit: 2 });
    const stale = await runtime.queryMobEvents({ afterSeq: 99n }).catch((error) => [error.code, error.data, error instanceof Error]);
    await runtime.shutdown();
    return {
      kinds, ascending: seqs.every((seq, i) => i === 0 || seq > seqs[i - 1]), replay: replayed.length === seqs.length - 1,
      page: page.events.map((e) => [e.kind, e.agent_identity]), resume: typeof page.resume_after_seq,
      events: events.events.map((e) => e.seq === seqs[1] || e.seq === seqs[2]), stale,
    };
  });
  assert.deepEqual(seen.kinds, [["bigint", "mob_created"], ["bigint", "member_spawned"]]);
  assert.ok(seen.ascending && seen.replay);
  assert.deepEqual(seen.page, [["member_spawned", "lead"]]);
  assert.equal(seen.resume, "bigint");
  assert.deepEqual(seen.events, [true, true]);
  assert.deepEqual(seen.stale, ["stale_event_cursor", { after_cursor: 99, latest_cursor: 2 }, true]);
});

test("bad input is answered clearly", async () => {
  const seen = await inPage(async () => {
    const full = (promise) => promise.then(() => null, (error) => ({ code: error.code, message: error.message, is: mobkit.isMobkitError(error) }));
    const runtime = await builder().build();
    const answers = {
      member: await full(runtime.ask("nobody", "hi")),
      profile: await full(runtime.spawn({ profile: "nope", identity: "x" })),
      identity: await full(runtime.spawn({ profile: "other", identity: "a/b" })),
      twice: await full(runtime.spawn({ profile: "other", identity: "lead" })),
      interaction: await full(runtime.cancel("none")),
      definition: await full(mobkit.UnifiedRuntime.builder().definition("[mob]\nid='m'\n[profiles.a]\nmodle='x'").build()),
      none: await full(mobkit.UnifiedRuntime.builder().build()),
      many: (await runtime.spawnMany([{ profile: "other", identity: "o1" }, { profile: "nope", identity: "o2" }, { profile: "other", identity: "o3" }])),
      members: (await runtime.members()).length,
    };
    await runtime.shutdown();
    return answers;
  });
  const codes = Object.fromEntries(Object.entries(seen).filter(([, v]) => v?.code).map(([k, v]) => [k, v.code]));
  assert.deepEqual(codes, {
    member: "member_not_found", profile: "profile_not_found", identity: "invalid_params", twice: "member_already_exists",
    interaction: "interaction_not_found", definition: "invalid_definition", none: "missing_required_field",
  });
  assert.match(seen.definition.message, /profiles\.a\.modle/);
  assert.ok(seen.member.is);
  assert.deepEqual([seen.many.spawned.map((r) => r.identity), seen.many.refused.code, seen.members], [["o1"], "profile_not_found", 2]);
});

test("tools, their gate, hooks, and a model made of JavaScript", async () => {
  const seen = await inPage(async () => {
    const seen = { hooks: [], gated: [] };
    const call = (name, args) => [
      { type: "tool_call", index: 0, id: `c-${name}`, name, args: JSON.stringify(args) },
      { type: "stop", reason: "tool_use" },
    ];
    const results = (request) => request.messages.filter((m) => m.role === "tool").map((m) => [m.name, m.content, m.is_error]);
    const plan = [["add", { a: 1, b: 2 }], ["fail", {}], ["denied", {}], ["slow", {}]];
    let aborted;
    const stopped = new Promise((resolve) => { aborted = resolve; });
    const runtime = await mobkit.UnifiedRuntime.builder()
      .definition(DEFINITION)
      .model("m", scripted((request) => {
        const done = results(request).length;
        return done < plan.length ? call(...plan[done]) : JSON.stringify(results(request));
      }))
      .tool({ name: "add", description: "adds", inputSchema: { type: "object" }, execute: ({ a, b }, context) => {
        seen.context = { ...context, signal: context.signal instanceof AbortSignal };
        return { sum: a + b };
      } })
      .tool({ name: "fail", description: "fails", inputSchema: { type: "object" }, execute: () => { throw new RangeError("out of range"); } })
      .tool({ name: "denied", description: "is denied", inputSchema: { type: "object" }, execute: () => "never" })
      .tool({ name: "slow", description: "never ends", inputSchema: { type: "object" }, execute: (_, { signal }) => new Promise(() => {
        seen.slow = true;
        signal.addEventListener("abort", aborted);
      }) })
      .toolGate((request) => {
        seen.gated.push(request.name);
        return request.name === "denied" ? { approve: false, reason: "not today" } : { approve: true };
      })
      .postSpawnHook(async (identities) => {
        // A hook may call back into the runtime.
        if (seen.runtime) seen.hooks.push([identities, (await seen.runtime.members()).length]);
      })
      .build();
    seen.runtime = runtime;
    await runtime.spawn({ profile: "other", identity: "o1" });
    const { interactionId } = await runtime.send("lead", "go");
    await until(() => seen.slow);
    await runtime.cancel(interactionId);
    await stopped;
    const history = await runtime.sessionHistory("lead");
    const tools = history.messages.filter((m) => m.role === "tool").map((m) => [m.name, m.content, m.is_error]);
    await runtime.shutdown();
    const { runtime: _, ...rest } = seen;
    return { ...rest, tools: tools.slice(0, 3) };
  });
  assert.deepEqual(seen.hooks, [[["o1"], 2]]);
  assert.deepEqual(seen.gated, ["add", "fail", "denied", "slow"]);
  assert.equal(seen.context.identity, "lead");
  assert.equal(seen.context.signal, true);
  assert.equal(typeof seen.context.callId, "string");
  assert.deepEqual(seen.tools[0], ["add", '{"sum":3}', false]);
  assert.match(seen.tools[1][1], /out of range/);
  assert.equal(seen.tools[1][2], true);
  assert.match(seen.tools[2][1], /not today/);
});

test("row 20: a mob with discoveries, edges, labels and an event log is reconciled, and reports the same after a reload", async () => {
  const page = await harness.page();
  const build = async () => page.evaluate(async () => {
    globalThis.told = [];
    globalThis.wanted ??= [["w1", "w2"], { a: "lead", b: "w1" }];
    globalThis.found ??= ["w1", "w2"];
    // The application's store outlives the page, too.
    globalThis.logged = () => JSON.parse(localStorage.getItem("logged") ?? "[]");
    const runtime = await builder()
      .storage(mobkit.indexedDb("reconciled"))
      .preSpawnHook(async () => ({ tenant: 7 }))
      .discovery(async (context) => {
        told.push(["discovery", context]);
        return found.map((meerkat_id) => ({ profile: "other", meerkat_id, labels: { team: "core" } }));
      })
      .eventLog({ store: { appendBatch: (events) => { localStorage.setItem("logged", JSON.stringify([...logged(), ...events.map((event) => event.id)])); } } })
      .edgeDiscovery((members) => {
        told.push(["edges", members.map((member) => member.agent_identity)]);
        return wanted;
      })
      .postSpawnHook((identities) => { told.push(["spawned", identities]); })
      .postReconcileHook((report) => { told.push(["reconciled", report.mob.failures.length]); })
      .onError((event) => { told.push(["error", event.category]); })
      .drainTimeout(5_000).maxSessions(8)
      .build();
    globalThis.runtime = runtime;
    globalThis.look = async () => {
      const members = await runtime.members();
      const { events } = await runtime.queryMobEvents({ limit: 100 });
      const told = (await runtime.queryEvents({ limit: 1_000 })).events;
      return {
        members: members.map((member) => [member.agent_identity, member.wired_to, member.labels ?? {}]), edges: await runtime.edges(),
        events: told.map((event) => [event.id, event.member_id, event.event.event_type]), logged: logged(),
        mobLabels: await runtime.getMobLabels(), runLabels: await runtime.getRunLabels("r1"),
        ledger: events.map((event) => [Number(event.cursor), event.kind, event.mob_labels ?? {}]),
      };
    };
    return [told, await runtime.bootstrapEdgesReport()];
  });
  const [told, edges] = await build();
  assert.deepEqual(told, [
    ["spawned", ["lead"]], ["discovery", { tenant: 7 }], ["spawned", ["w1", "w2"]], ["edges", ["lead", "w1", "w2"]],
  ]);
  assert.deepEqual(edges.wired_edges, [{ a: "lead", b: "w1" }, { a: "w1", b: "w2" }]);
  const seen = await page.evaluate(async () => {
    told.length = 0;
    const found = await runtime.findMembers("team", "core");
    const ensured = [await runtime.ensureMember({ profile: "other", identity: "w1" }), await runtime.ensureMember({ profile: "other", identity: "w3" })];
    await runtime.setMobLabels({ env: "prod" });
    await runtime.setRunLabels("r1", { ticket: "42" });
    await runtime.setRunLabels("r2", { ticket: "43" });
    await runtime.deleteRunLabels("r2");
    wanted = [["w2", "w3"]];
    const report = await runtime.reconcile(["lead", "w2", "w3"].map((identity) => ({ profile: "other", identity })));
    const partial = await runtime.reconcile([{ profile: "other", identity: "lead" }, { profile: "nope", identity: "x" }, { profile: "other", identity: "w2" },
      { profile: "other", identity: "w3" }]).catch((error) => ({ code: error.code, failures: error.data.mob.failures }));
    const bad = [];
    for (const edges of [[["w2", "w2"]], [["w2"]], "none"]) {
      wanted = edges;
      bad.push(await runtime.reconcileEdges().catch((error) => [error.code, error.message]));
    }
    wanted = [["w2", "w3"]];
    return { found: found.map((member) => member.agent_identity), ensured: ensured.map((member) => member.labels ?? {}), report, partial, bad, told, r2: await runtime.getRunLabels("r2") };
  });
  assert.deepEqual(seen.found, ["w1", "w2"]);
  assert.deepEqual(seen.ensured, [{ team: "core" }, {}]);
  assert.deepEqual([seen.report.mob.retired, seen.report.mob.retained], [["w1"], ["lead", "w2", "w3"]]);
  assert.deepEqual(seen.report.edges.wired_edges, [{ a: "w2", b: "w3" }]);
  assert.equal(seen.report.edges.pruned_stale_managed_edges.length, 2);
  assert.equal(seen.partial.code, "partial_failure");
  assert.deepEqual(seen.partial.failures.map(({ agent_identity, stage }) => [agent_identity, stage]), [["x", "spawn"]]);
  assert.deepEqual(seen.bad.map(([code]) => code), ["discovery_failed", "discovery_failed", "discovery_failed"]);
  assert.match(seen.bad[0][1], /from w2 to itself/);
  assert.deepEqual(seen.r2, {});
  assert.deepEqual(seen.told.filter(([what]) => what === "reconciled"), [["reconciled", 0], ["reconciled", 1]]);
  const before = await page.evaluate(async () => {
    await runtime.ask("w2", "hi");
    await runtime.flush();
    return look();
  });
  assert.deepEqual([before.mobLabels, before.runLabels], [{ env: "prod" }, { ticket: "42" }]);
  assert.ok(before.ledger.every(([, , labels]) => labels.env === "prod"));
  assert.deepEqual(before.members.map(([identity, wiredTo]) => [identity, wiredTo]), [["lead", []], ["w2", ["w3"]], ["w3", ["w2"]]]);
  assert.deepEqual(before.edges.map(({ a, b, owner }) => [a, b, owner]), [["w2", "w3", "discovery"]]);
  assert.ok(before.events.some(([, member, type]) => member === "w2:0" && type === "run_completed"));
  assert.deepEqual(before.logged, before.events.map(([id]) => id));

  await page.reload();
  await page.evaluate(() => globalThis.loaded);
  await page.evaluate(() => { globalThis.wanted = [["w2", "w3"]]; globalThis.found = ["w2", "w3"]; });
  const [again, rewired] = await build();
  // Whom the discovery names is there.
  assert.deepEqual(again, [["discovery", { tenant: 7 }], ["edges", ["lead", "w2", "w3"]]]);
  assert.deepEqual(rewired.retained_edges, [{ a: "w2", b: "w3" }]);
  assert.deepEqual(await page.evaluate(() => look()), before);
  const logged = await page.evaluate(async () => {
    await runtime.ask("w2", "again");
    await runtime.flush();
    const { events, logged } = await look();
    globalThis.found = ["w1", "w2"];
    return [logged, events.map(([id]) => id)];
  });
  assert.ok(logged[1].length > before.events.length);
  assert.deepEqual(logged[0], logged[1], "each once");
  const fresh = await page.evaluate(async () => {
    const report = await runtime.rediscover();
    const members = (await runtime.members()).map((member) => member.agent_identity);
    const retired = await runtime.reset();
    const stop = new AbortController();
    const run = runtime.run(stop);
    stop.abort();
    return { report, members, retired, run: (await run).shutdown.mob_stop };
  });
  assert.deepEqual(fresh.report.spawned, ["w1", "w2"]);
  assert.deepEqual([fresh.members, fresh.retired], [["w1", "w2"], ["w1", "w2"]]);
  assert.deepEqual(fresh.run, { Ok: null });
  await page.close();
});

test("a build whose discovery fails holds nothing back", async () => {
  const seen = await inPage(async () => {
    const attempt = (fail) => fail(builder().storage(mobkit.indexedDb("late"))).build({ ifLocked: "fail" }).then(() => "built", (error) => [error.code, error.message]);
    const failures = [
      await attempt((builder) => builder.preSpawnHook(() => { throw new Error("no tenant"); })),
      await attempt((builder) => builder.discovery(async () => { throw new Error("offline"); })),
      await attempt((builder) => builder.discovery(() => [{ profile: "other", meerkat_id: "x", colour: "red" }])),
      await attempt((builder) => builder.maxSessions(0)),
    ];
    return [...failures, await attempt((builder) => builder)];
  });
  assert.deepEqual(seen.map((failure) => failure[0]), ["pre_spawn_hook_failed", "discovery_failed", "discovery_failed", "conflicting_configuration", "b"]);
  assert.match(seen[0][1], /no tenant/);
  assert.match(seen[1][1], /offline/);
  assert.match(seen[2][1], /colour/);
});

test("row 14: a faulty configuration is found before a database is made, a lock asked for or a hook called", async () => {
  const seen = await inPage(async () => {
    const called = [];
    const made = [];
    const { open } = IDBFactory.prototype;
    IDBFactory.prototype.open = function (...args) { made.push(args[0]); return open.apply(this, args); };
    const { request } = LockManager.prototype;
    LockManager.prototype.request = function (...args) { made.push(args[0]); return request.apply(this, args); };
    const attempt = (spoil) => {
      const whole = builder(mobkit.indexedDb("faulty")).preSpawnHook(() => { called.push("pre-spawn"); }).discovery(() => { called.push("discovery"); return []; });
      return codeOf(spoil(whole).build({ ifLocked: "steal" }));
    };
    const codes = {
      definition: await attempt((builder) => builder.definition("[mob]\nid = 'm'\n[[members]]\nprofile = 'ghost'\nidentity = 'a'")),
      sessions: await attempt((builder) => builder.maxSessions(0)),
      drain: await attempt((builder) => builder.drainTimeout(-1)),
      start: await attempt((builder) => builder.start("the beginning")),
      inexact: await attempt((builder) => builder.start(2 ** 53)),
      batch: await attempt((builder) => builder.eventLog({ store: { appendBatch() {} }, batchSize: 1.5 })),
      locked: await codeOf(builder(mobkit.indexedDb("faulty")).build({ ifLocked: "perhaps" })),
    };
    const before = made.length;
    const runtime = await builder(mobkit.indexedDb("faulty")).build();
    await runtime.shutdown();
    return { codes, before, called, counted: made.length > before };
  });
  const params = "invalid_params";
  assert.deepEqual(seen, {
    codes: { definition: "invalid_definition", sessions: "conflicting_configuration", drain: params, start: params, inexact: params, batch: params, locked: params },
    before: 0, called: [], counted: true,
  });
});

test("row 30: cursors beyond 2^53 are exact, and numbers are taken while they are", async () => {
  const page = await harness.page();
  const beyond = 2n ** 53n + 1n;
  // As if so much had happened before: the numbers up to here were reserved.
  await page.evaluate(async (digits) => {
    const runtime = await builder(mobkit.indexedDb("far")).build();
    const { next_after_seq } = await runtime.queryEvents();
    for (const cursor of [0, 0n, "0", Number(next_after_seq)]) await runtime.queryEvents({ afterSeq: cursor });
    await runtime.shutdown();
    const opened = indexedDB.open((await indexedDB.databases()).find(({ name }) => name.includes("far")).name);
    await new Promise((resolve) => { opened.onsuccess = resolve; });
    const database = opened.result;
    const [name] = database.objectStoreNames;
    const transaction = database.transaction(name, "readwrite");
    const row = new TextEncoder().encode(`\u0001{"reserved":${digits}}`);
    for (const log of ["events", "ledger"]) transaction.objectStore(name).put(row, `mob/tested/${log}/block`);
    await new Promise((resolve, reject) => { transaction.oncomplete = resolve; transaction.onabort = reject; });
    database.close();
  }, String(beyond - 1n));
  const seen = await page.evaluate(async () => {
    const given = [];
    const cursors = [];
    const runtime = await builder(mobkit.indexedDb("far"))
      .eventLog({ store: { appendBatch: (events) => { given.push(...events.map((event) => event.seq)); } } })
      .persistentMetadata({ getSubscriptionCursor: () => undefined, setSubscriptionCursor: (_, cursor) => { cursors.push(cursor); } })
      .build();
    await runtime.ask("lead", "hi");
    await runtime.flush();
    const { events, gaps, next_after_seq } = await runtime.queryEvents({ limit: 1_000 });
    const seqs = events.map((event) => event.seq);
    const rest = [];
    for await (const item of runtime.events({ after: seqs[2] })) {
      rest.push(item.seq);
      if (item.seq === seqs.at(-1)) break;
    }
    const from = (await runtime.queryEvents({ afterSeq: String(seqs[2]), limit: 1_000 })).events.map((event) => event.seq);
    const spawned = await runtime.spawn({ profile: "other", identity: "o1" }).then(() => runtime.queryMobEvents({ eventTypes: ["member_spawned"], limit: 1 }));
    const status = await runtime.status();
    const after = await runtime.queryMobEvents({ afterSeq: spawned.events[0].cursor - 1n });
    const stale = await runtime.queryMobEvents({ afterSeq: 2n ** 64n - 1n }).catch((error) => error.data);
    const refused = [];
    for (const cursor of [2 ** 53, 2 ** 53 + 2, 1e21, -1, 0.5]) refused.push(await codeOf(runtime.queryEvents({ afterSeq: cursor })));
    const safe = await codeOf(runtime.queryEvents({ afterSeq: Number.MAX_SAFE_INTEGER, limit: 1 }));
    await runtime.shutdown();
    return {
      seqs, gaps, next_after_seq, rest, from, given, cursors, spawned: spawned.events[0].cursor, latest: status.latest_mob_cursor,
      after: after.events.map((event) => event.cursor), stale, refused, safe,
    };
  });
  await page.close();
  assert.equal(seen.seqs[0], beyond);
  assert.ok(seen.seqs.length > 5 && seen.seqs.every((seq, at) => seq === beyond + BigInt(at)));
  assert.equal(seen.next_after_seq, seen.seqs.at(-1));
  assert.deepEqual([seen.rest, seen.from], [seen.seqs.slice(3), seen.seqs.slice(3)]);
  assert.deepEqual(seen.given, seen.seqs);
  assert.deepEqual([seen.spawned, seen.latest, seen.after], [beyond, beyond, [beyond]]);
  assert.equal(seen.cursors.at(-1), beyond);
  assert.deepEqual(seen.stale, { after_cursor: "18446744073709551615", latest_cursor: String(beyond) });
  assert.deepEqual([seen.refused, seen.safe], [Array(5).fill("invalid_params"), "resolved"]);
});

test("row 6: an idle runtime wakes no timer for a minute", async () => {
  const page = await harness.page(() => {
    // What could wake it: every timer of the page, and every message to itself.
    globalThis.armed = new Map();
    globalThis.woken = { timers: 0, messages: 0 };
    globalThis.alarm = setTimeout;
    for (const kind of ["Timeout", "Interval"]) {
      const set = globalThis[`set${kind}`];
      const clear = globalThis[`clear${kind}`];
      globalThis[`set${kind}`] = (callback, after, ...args) => {
        const handle = set(() => {
          if (kind === "Timeout") armed.delete(handle);
          woken.timers++;
          callback(...args);
        }, after);
        armed.set(handle, `${kind} of ${after} ms`);
        return handle;
      };
      globalThis[`clear${kind}`] = (handle) => { armed.delete(handle); clear(handle); };
    }
    for (const sender of [MessagePort, BroadcastChannel]) {
      const { postMessage } = sender.prototype;
      sender.prototype.postMessage = function (...args) { woken.messages++; return postMessage.apply(this, args); };
    }
  });
  await page.evaluate(async () => {
    globalThis.kept = await builder(mobkit.indexedDb("idle"))
      .discovery(() => ["o1", "o2"].map((meerkat_id) => ({ profile: "other", meerkat_id })))
      .edgeDiscovery(() => [["o1", "o2"]])
      .eventLog({ store: { appendBatch() {} } })
      .persistentMetadata({ getSubscriptionCursor: () => undefined, setSubscriptionCursor() {} })
      .build();
    for (const name of ["lead", "o1", "o2"]) await kept.ask(name, "hi");
    globalThis.readers = [kept.events().next(), kept.mobEvents().next(), (await kept.fetch("/healthz")).text()];
  });
  // What follows the work comes to its end.
  await page.waitForFunction(() => armed.size === 0, null, { polling: 20 });
  const before = await page.evaluate(() => ({ ...woken }));
  assert.ok(before.timers > 0 && before.messages > 0, "the page sees what wakes it");
  // A minute of the page's own time, as fast as nothing happens in it.
  const debug = await page.context().newCDPSession(page);
  const over = new Promise((resolve) => debug.once("Emulation.virtualTimeBudgetExpired", resolve));
  await page.evaluate(() => { alarm(() => { globalThis.rung = true; }, 59_000); });
  await debug.send("Emulation.setVirtualTimePolicy", { policy: "pauseIfNetworkFetchesPending", budget: 60_000 });
  await over;
  await debug.send("Emulation.setVirtualTimePolicy", { policy: "advance" });
  const after = await page.evaluate(() => [{ ...woken }, [...armed.values()], globalThis.rung]);
  assert.deepEqual(after, [before, [], true], "the test's own alarm alone has rung");
  assert.equal(await page.evaluate(async () => (await kept.ask("o1", "are you there?")).result), "echo: are you there?");
  await page.close();
});

test("stores of one's own are fed over a failure and a reload, and say how they fare", async () => {
  const page = await harness.page();
  const live = (known) => page.evaluate(async (known) => {
    const seen = { batches: [], cursors: [], heard: [], errors: [] };
    let refuses = known === null;
    const runtime = await builder().storage(mobkit.indexedDb("stores"))
      .eventLog({
        store: { appendBatch: async (events) => {
          if (refuses) throw new Error("the other side is down");
          seen.batches.push(events.map((event) => [event.id, typeof event.seq, event.event.event_type]));
        } },
        filter: (event) => event.event_type !== "text_delta", batchSize: 16, flushInterval: 50,
      })
      .persistentMetadata({
        getSubscriptionCursor: async (mobId) => (mobId === "tested" ? known : undefined),
        setSubscriptionCursor: (mobId, cursor) => { seen.cursors.push(cursor); },
      })
      .start("earliest")
      .onMobEvent((event) => { seen.heard.push(event.cursor); throw new Error("a hook may throw"); })
      .onError((event) => { seen.errors.push(event.error); })
      .build();
    addEventListener("error", (event) => event.preventDefault());
    const task = async () => (await runtime.status()).tasks.find(({ name }) => name === "event_log");
    await runtime.ask("lead", "hi");
    seen.health = [];
    if (refuses) {
      seen.refused = await codeOf(runtime.flush());
      seen.health.push(await task());
      refuses = false;
    }
    await runtime.flush();
    seen.health.push(await task());
    const { events } = await runtime.queryEvents({ limit: 1_000 });
    seen.own = events.filter((event) => event.event.event_type !== "text_delta").map((event) => event.id);
    await runtime.shutdown();
    return seen;
  }, known);
  const first = await live(null);
  assert.equal(first.refused, "host_store_failed");
  assert.deepEqual(first.health.map(({ state }) => state), ["retrying", "running"]);
  assert.equal(first.health[0].error, "the other side is down; will retry");
  assert.match(first.errors[0], /event log flush failed: the other side is down; will retry/);
  assert.deepEqual(first.batches.flat().map(([id]) => id), first.own);
  assert.ok(first.batches.every((batch) => batch.length <= 16) && first.batches.flat().every(([, seq]) => seq === "bigint"));
  assert.deepEqual(first.heard, [1n, 2n]);
  assert.equal(first.cursors.at(-1), 2n);
  await page.reload();
  await page.evaluate(() => globalThis.loaded);
  const second = await live("1");
  assert.deepEqual(second.heard, [2n]);
  assert.deepEqual(second.batches.flat().map(([id]) => id), second.own.slice(first.own.length));
  await page.close();
});

test("the timeline is paged, followed, resumed after a reload, and fed to a store of one's own", async () => {
  const first = await inPage(async () => {
    const kept = new Map();
    const runtime = await builder(mobkit.indexedDb("timeline")).consoleLogStore({
      appendIfAbsent: (frame) => { if (!kept.has(frame.id)) kept.set(frame.id, frame); },
      updateFrameStatus: async ({ id, ...update }) => {
        if (kept.get(id).frame_version < update.frame_version) Object.assign(kept.get(id), update);
      },
    }).build();
    const told = runtime.timeline();
    const request = { identity: "lead", content: "hi", origin: "console", idempotency_key: "k" };
    const accepted = await runtime.consoleSend(request);
    const again = await runtime.consoleSend(request);
    const statuses = [];
    const names = [];
    for await (const event of told) {
      names.push(event.type);
      if (event.frame?.id === accepted.input_frame_id) statuses.push(event.frame.status);
      if (event.type === "console_frame" && event.frame.kind === "interaction_complete") break;
    }
    const refused = await codeOf(runtime.consoleSend({ ...request, content: "other" }));
    const ahead = await codeOf(runtime.queryTimeline({ after: "console:99999" }));
    const identities = await runtime.consoleIdentities();
    const lead = await runtime.inspectIdentity("lead");
    await runtime.flush();
    const page = await runtime.queryTimeline();
    await runtime.shutdown();
    return {
      accepted, again, statuses, names, refused, ahead, page, identities: identities.map((one) => [one.identity, one.visibility]),
      lead: [lead.identity.runtime_member_id, lead.response_phase], kept: [...kept.values()],
    };
  });
  assert.equal(first.accepted.status, "accepted");
  assert.equal(first.again.interaction_id, first.accepted.interaction_id);
  assert.equal(first.statuses.at(-1), "completed");
  assert.equal(first.names[0], "snapshot_started");
  assert.ok(first.names.includes("snapshot_complete"));
  assert.deepEqual([first.refused, first.ahead], ["idempotency_conflict", "replay_unavailable"]);
  assert.deepEqual(first.identities, [["lead", "addressable"]]);
  assert.deepEqual(first.lead, ["lead:0", null]);
  const own = first.page.frames.filter(({ kind }) => kind !== "frame_updated" && kind !== "runtime_bootstrapped");
  assert.deepEqual(first.kept, own);
  assert.equal(own.filter(({ kind }) => kind === "user_input").length, 1);

  const after = own[3].cursor;
  const second = await inPage(async (after) => {
    const runtime = await builder(mobkit.indexedDb("timeline")).build();
    const page = await runtime.queryTimeline();
    const resumed = [];
    for await (const event of runtime.timeline({ after })) {
      if (event.type === "console_frame") resumed.push(event.frame.id);
      if (event.type === "snapshot_complete") break;
    }
    const backwards = [];
    let query = { mode: "recent", limit: 4 };
    for (;;) {
      const { frames, next_cursor, exhausted } = await runtime.queryTimeline(query);
      backwards.unshift(...frames);
      if (exhausted) break;
      query = { ...query, before: next_cursor };
    }
    const response = await runtime.fetch(`/console/timeline/stream?after=${after}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("event: snapshot_complete")) text += (await reader.read()).value;
    await reader.cancel();
    await runtime.shutdown();
    return { page, resumed, backwards, ids: [...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1]) };
  }, after);
  assert.deepEqual(second.page.frames, first.page.frames);
  assert.deepEqual(second.backwards, first.page.frames);
  assert.deepEqual(second.resumed, own.slice(4).map(({ id }) => id));
  assert.deepEqual(second.ids, [...own.slice(4).map(({ cursor }) => cursor), first.page.latest_cursor]);
});

test("a member delegates, the answer comes back, and who is idle leaves after a reload too", async () => {
  const first = await inPage(async () => {
    const definition = { id: "d", profiles: { lead: { model: "m", tools: { mob: true } }, delegate: { model: "m" } }, members: [{ profile: "lead", identity: "lead" }] };
    globalThis.delegating = () => mobkit.UnifiedRuntime.builder()
      .definition(definition)
      .storage(mobkit.indexedDb("delegates"))
      .model("m", scripted((request) => {
        const last = request.messages.at(-1);
        if (request.system.includes("`mason`")) return "bricks are laid";
        if (last.role === "tool") return "I wait.";
        if (last.from) return `${last.from} says: ${last.content}`;
        return [
          { type: "tool_call", index: 0, id: "c1", name: "delegate", args: { task: "lay bricks", name: "mason", idle_retire_secs: 1 } },
          { type: "stop", reason: "tool_use" },
        ];
      }));
    const runtime = await delegating().runtimeOptions({ implicitDelegateIdleRetireSecs: null }).build();
    const wrong = await codeOf(mobkit.UnifiedRuntime.builder().definition(definition).runtimeOptions({ idle: 1 }).build());
    const answer = await runtime.ask("lead", "build a wall");
    const members = await runtime.members();
    const hidden = (await runtime.consoleIdentities()).map(({ identity }) => identity);
    return { answer, wrong, members: members.map((member) => [member.agent_identity, member.wired_to, member.labels]), hidden };
  });
  assert.equal(first.wrong, "invalid_params");
  assert.deepEqual([first.answer.status, first.answer.result], ["completed", "mason says: bricks are laid"]);
  assert.deepEqual(first.members.map(([name, wired]) => [name, wired]), [["lead", ["mason"]], ["mason", ["lead"]]]);
  assert.deepEqual(first.members[1][2], { implicit_delegate_idle_retire_secs: "1", source_mob_id: "d.lead" });
  assert.deepEqual(first.hidden, ["lead", "mason"]);
  // The page is gone without a farewell; the next one retires who is due.
  const later = await inPage(async () => {
    const runtime = await mobkit.UnifiedRuntime.builder()
      .definition({ id: "d", profiles: { lead: { model: "m", tools: { mob: true } }, delegate: { model: "m" } }, members: [{ profile: "lead", identity: "lead" }] })
      .storage(mobkit.indexedDb("delegates")).model("m", scripted(() => "")).consoleVisibility("hide_implicit_delegate_members").build();
    const listed = (await runtime.consoleIdentities()).map(({ identity }) => identity);
    await until(async () => (await runtime.members()).length === 1);
    const { events } = await runtime.queryMobEvents({ eventTypes: ["member_retired"] });
    await runtime.shutdown();
    return { listed, retired: events.map((event) => event.agent_identity) };
  });
  assert.deepEqual(later, { listed: ["lead"], retired: ["mason"] });
});

test("row 3: a slow subscriber reads five thousand events in order, once each", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder().storage(mobkit.indexedDb("slow")).build();
    const slow = runtime.mobEvents({ afterSeq: 0n });
    const first = (await slow.next()).value;
    const name = (at) => `m${String(at).padStart(4, "0")}`;
    for (let at = 0; at < 5_000; at += 250) {
      await runtime.spawnMany(Array.from({ length: 250 }, (_, i) => ({ profile: "other", identity: name(at + i) })));
    }
    const cursors = [first.cursor];
    let spawned = 0;
    for await (const event of slow) {
      cursors.push(event.cursor);
      if (event.kind === "member_spawned") spawned++;
      if (event.agent_identity === name(4_999)) break;
    }
    await runtime.shutdown();
    return { spawned, dense: cursors.every((cursor, at) => cursor === BigInt(at + 1)) };
  });
  assert.deepEqual(seen, { spawned: 5_001, dense: true });
});

test("signals: ask cancels its interaction, a loop ends", async () => {
  const seen = await inPage(async () => {
    const runtime = await mobkit.UnifiedRuntime.builder().definition(DEFINITION)
      .model("m", { async *stream(_, { signal }) {
        yield { type: "text", text: "…" };
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      } }).build();
    const failed = (async () => {
      for await (const item of runtime.events()) if (item.event.event_type === "interaction_failed") return item.event.payload.interaction_id;
    })();
    const abort = new AbortController();
    const asked = runtime.ask("lead", "hi", { signal: abort.signal }).then(() => "answered", (error) => error.name);
    const loop = (async () => {
      let count = 0;
      try {
        for await (const item of runtime.events({ signal: abort.signal })) {
          count += 1;
          if (item.event.event_type === "text_delta") abort.abort();
        }
      } catch (error) {
        return [count > 0, error.name];
      }
    })();
    const answers = [await asked, await loop, typeof await failed];
    await runtime.shutdown();
    return answers;
  });
  assert.deepEqual(seen, ["AbortError", [true, "AbortError"], "string"]);
});

test("the fetch contract, with a stream that is cancelled", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder().build();
    const health = await runtime.fetch("/healthz");
    const rpc = await runtime.fetch(new Request("https://mob.local/console/rpc", {
      method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 7, method: "mobkit/list_members", params: {} }),
    }));
    const stream = await runtime.fetch("/mobkit/mob_events/stream?after_seq=0");
    const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("mob-evt-2")) text += (await reader.read()).value;
    await reader.cancel();
    const stale = await runtime.fetch("/mobkit/mob_events/stream?after_seq=99");
    const abort = new AbortController();
    const other = await runtime.fetch("/mob/events", { signal: abort.signal });
    const reading = codeOf(drained(other.body));
    abort.abort();
    const answers = {
      health: [health.status, await health.text()], rpc: (await rpc.json()).result.length,
      type: stream.headers.get("content-type"), stale: [stale.status, (await stale.json()).error], aborted: await reading,
    };
    await runtime.shutdown();
    return answers;
  });
  assert.deepEqual(seen, {
    health: [200, "ok"], rpc: 1, type: "text/event-stream", stale: [410, "event_query_stale"], aborted: "AbortError",
  });
});

test("a reload finds everything; export, size and deletion need no runtime", async () => {
  const page = await harness.page();
  await page.evaluate(async () => {
    const runtime = await builder(mobkit.indexedDb("kept")).build();
    await runtime.spawn({ profile: "other", identity: "o1" });
    await runtime.wire("lead", "o1");
    await runtime.ask("lead", "remember me");
  });
  await page.reload();
  const seen = await page.evaluate(async () => {
    await loaded;
    const runtime = await builder(mobkit.indexedDb("kept")).build();
    const members = (await runtime.members()).map((m) => [m.agent_identity, m.wired_to.length]);
    const history = (await runtime.sessionHistory("lead")).messages.map((m) => m.content ?? m.text);
    await runtime.flush();
    const size = await mobkit.storageSize("kept");
    const lines = (await new Response(mobkit.exportStorage("kept")).text()).trim().split("\n").map((line) => JSON.parse(line));
    const changed = new Promise((resolve) => runtime.onState((report) => report.state === "stopped" && resolve(report.error.code)));
    await mobkit.deleteStorage("kept");
    return {
      members, history, rows: size.rows === lines.length, bytes: size.bytes > 1000, keys: lines.every((l, i) => i === 0 || l.key > lines[i - 1].key),
      formats: lines.every((l) => l.format >= 1), ended: await changed, gone: await mobkit.storageSize("kept"),
      none: await codeOf(drained(mobkit.exportStorage("never"))),
      made: (await indexedDB.databases()).some((d) => d.name.includes("never")),
    };
  });
  await page.close();
  assert.deepEqual(seen, {
    members: [["lead", 1], ["o1", 1]], history: ["remember me", "echo: remember me"], rows: true, bytes: true, keys: true, formats: true,
    ended: "storage_version_change", gone: { rows: 0, bytes: 0 }, none: "storage_not_found", made: false,
  });
});

test("row 32: a panic rejects what is open, retires its instance, restarts once, and a loop stops; another runtime in the page is not harmed", async () => {
  const seen = await inPage(async () => {
    const other = await builder().build();
    const runtime = await builder(mobkit.indexedDb("crashing")).build();
    await runtime.ask("lead", "before");
    const states = [];
    runtime.onState((report) => states.push([report.state, report.error?.code ?? null, report.restarts]));
    const loop = codeOf((async () => { for await (const _ of runtime.events()); })());
    const stream = await runtime.fetch("/mob/events");
    const body = codeOf(drained(stream.body));
    breakRandomness();
    const sent = await runtime.send("lead", "panic").catch((error) => [error.code, error.message]);
    const answers = { sent, loop: await loop, body: await body };
    // Waits for the fresh instance.
    answers.members = (await runtime.members()).length;
    answers.history = (await runtime.sessionHistory("lead")).messages.length;
    answers.asked = (await runtime.ask("lead", "after")).result;
    answers.other = (await other.ask("lead", "unharmed")).result;
    breakRandomness();
    answers.second = await codeOf(runtime.send("lead", "panic"));
    answers.afterwards = await codeOf(runtime.members());
    answers.states = states;
    answers.otherStill = (await other.ask("lead", "still")).result;
    // The dead instances hold nothing that could bar this.
    await mobkit.deleteStorage("crashing");
    await other.shutdown();
    return answers;
  });
  assert.equal(seen.sent[0], "runtime_crashed");
  assert.match(seen.sent[1], /getRandomValues/);
  assert.deepEqual([seen.loop, seen.body, seen.members, seen.history, seen.asked], ["runtime_crashed", "runtime_crashed", 1, 2, "echo: after"]);
  assert.deepEqual([seen.other, seen.otherStill], ["echo: unharmed", "echo: still"]);
  assert.deepEqual([seen.second, seen.afterwards], ["runtime_crashed", "runtime_crash_loop"]);
  assert.deepEqual(seen.states, [
    ["crashed", "runtime_crashed", 1], ["leader", null, 1], ["crashed", "runtime_crash_loop", 1],
  ]);
});

test("two tabs: one leads, one follows and takes over", async () => {
  const [one, two] = [await harness.page(), await harness.page()];
  await one.evaluate(async () => {
    globalThis.runtime = await builder(mobkit.indexedDb("shared")).build();
    await runtime.ask("lead", "from one");
  });
  const followed = await two.evaluate(async () => {
    const locked = await codeOf(builder(mobkit.indexedDb("shared")).build({ ifLocked: "fail" }));
    globalThis.runtime = await builder(mobkit.indexedDb("shared")).build({ ifLocked: "follow" });
    const history = await runtime.sessionHistory("lead");
    return [locked, runtime.state, history.messages.length, await codeOf(runtime.ask("lead", "from two"))];
  });
  assert.deepEqual(followed, ["mob_locked", "follower", 2, "not_leader"]);
  const live = two.evaluate(async () => {
    for await (const event of runtime.mobEvents()) if (event.kind === "member_spawned") return event.agent_identity;
  });
  await two.evaluate(() => 0);
  await one.evaluate(() => runtime.spawn({ profile: "other", identity: "o1" }));
  assert.equal(await live, "o1");

  const taken = await two.evaluate(async () => {
    await runtime.shutdown();
    globalThis.runtime = await builder(mobkit.indexedDb("shared")).build({ ifLocked: "steal" });
    return [runtime.state, (await runtime.ask("lead", "from two")).result];
  });
  assert.deepEqual(taken, ["leader", "echo: from two"]);
  const left = await one.evaluate(async () => {
    await until(() => runtime.state === "follower");
    await until(async () => (await runtime.sessionHistory("lead")).messages.length === 4);
    return [runtime.restarts, (await runtime.members()).length, await codeOf(runtime.send("lead", "x"))];
  });
  assert.deepEqual(left, [0, 2, "not_leader"]);

  // The one that leads goes, and the other's turn has come.
  const led = one.evaluate(async () => {
    const streams = [codeOf((async () => { for await (const _ of runtime.mobEvents()); })())];
    const states = [];
    const leads = new Promise((resolve) => runtime.onState((report) => {
      states.push(report.state);
      if (report.state === "leader") resolve();
    }));
    await leads;
    return [states, await Promise.all(streams), (await runtime.ask("lead", "from one again")).result, (await runtime.status()).role];
  });
  await one.evaluate(() => 0);
  await two.close();
  assert.deepEqual(await led, [["leader"], ["resolved"], "echo: from one again", "leader"]);
  await one.close();
});

test("a leader that crashes goes on leading; one that crashes in a loop leaves the mob to its follower", async () => {
  const [one, two] = [await harness.page(), await harness.page()];
  await one.evaluate(async () => { globalThis.runtime = await builder(mobkit.indexedDb("looping")).build(); });
  await two.evaluate(async () => {
    globalThis.runtime = await builder(mobkit.indexedDb("looping")).build({ ifLocked: "follow" });
    globalThis.states = [];
    runtime.onState((report) => states.push(report.state));
  });
  const first = await one.evaluate(async () => {
    breakRandomness();
    return [await codeOf(runtime.send("lead", "panic")), (await runtime.ask("lead", "after")).result, runtime.state];
  });
  assert.deepEqual(first, ["runtime_crashed", "echo: after", "leader"]);
  assert.deepEqual(await two.evaluate(() => states), []);
  const second = await one.evaluate(async () => {
    breakRandomness();
    return [await codeOf(runtime.send("lead", "panic")), runtime.state];
  });
  assert.deepEqual(second, ["runtime_crashed", "crashed"]);
  const led = await two.evaluate(async () => {
    await until(() => runtime.state === "leader");
    return [states, (await runtime.ask("lead", "from two")).result];
  });
  assert.deepEqual(led, [["leader"], "echo: from two"]);
  await Promise.all([one.close(), two.close()]);
});

test("a crash aborts the requests to models and the tools that are under way", async () => {
  const page = await harness.page();
  const failed = new Promise((resolve) => page.on("requestfailed", (request) => resolve([new URL(request.url()).pathname, request.failure().errorText])));
  const asked = page.waitForRequest(/hangs/);
  await page.evaluate(async () => {
    const call = [{ type: "tool_call", index: 0, id: "c", name: "slow", args: "{}" }, { type: "stop", reason: "tool_use" }];
    globalThis.signals = {};
    globalThis.runtime = await mobkit.UnifiedRuntime.builder()
      .definition(`${DEFINITION}${["js", "tool", "http"].map((name) => `[profiles.${name}]\nmodel="${name}"\n[[members]]\nprofile="${name}"\nidentity="${name}"\n`).join("")}`)
      .storage(mobkit.indexedDb("aborted"))
      .model("m", scripted(() => "never asked"))
      .model("js", { async *stream(_, { signal }) { await new Promise(() => { signals.js = signal; }); } })
      .model("tool", scripted(() => call))
      .model("http", mobkit.openAiCompatible({ baseUrl: `${location.origin}/hangs` }))
      .tool({ name: "slow", description: "never ends", inputSchema: { type: "object" }, execute: (_, { signal }) => new Promise(() => { signals.tool = signal; }) })
      .build();
    for (const name of ["js", "tool", "http"]) await runtime.send(name, "go");
    await until(() => signals.js && signals.tool);
  });
  await asked;
  const seen = await page.evaluate(async () => {
    const [before, { js, tool }] = [[signals.js.aborted, signals.tool.aborted], signals];
    breakRandomness();
    await codeOf(runtime.send("lead", "panic"));
    return [before, [js.reason.code, tool.reason.code]];
  });
  assert.deepEqual(seen, [[false, false], ["runtime_crashed", "runtime_crashed"]]);
  assert.deepEqual(await failed, ["/hangs/chat/completions", "net::ERR_ABORTED"]);
  await page.close();
});

test("a page with a runtime can sleep in the back-forward cache, and goes on when it is back", async () => {
  const page = await harness.page();
  await page.evaluate(async () => {
    globalThis.runtime = await builder(mobkit.indexedDb("asleep")).build();
    globalThis.forgetful = await builder().build();
    await runtime.ask("lead", "before");
    await forgetful.ask("lead", "before");
    globalThis.states = [];
    runtime.onState((report) => states.push(report.state));
    globalThis.reading = codeOf((async () => { for await (const _ of runtime.events()); })());
  });
  await page.goto(`${harness.origin}/elsewhere`);
  const held = await page.evaluate(async () => (await navigator.locks.query()).held.length);
  await page.evaluate(() => history.back());
  await page.waitForFunction(() => globalThis.runtime !== undefined, null, { polling: 20 });
  const seen = await page.evaluate(async () => [
    (await runtime.ask("lead", "after")).result, (await runtime.sessionHistory("lead")).messages.length, states, await reading,
    (await forgetful.sessionHistory("lead")).messages.length, runtime.restarts,
  ]);
  assert.equal(held, 0);
  assert.deepEqual(seen, ["echo: after", 4, ["starting", "leader"], "resolved", 2, 0]);
  await page.close();
});

test("a crash restarts a mob whose discovery fails by then: what is stored goes on, and the failure is reported", async () => {
  const seen = await inPage(async () => {
    let online = true;
    const errors = [];
    const runtime = await builder(mobkit.indexedDb("offline"))
      .discovery(async () => {
        if (!online) throw new Error("no net");
        return [{ profile: "other", meerkat_id: "found" }];
      })
      .onError((event) => errors.push(`${event.category}: ${event.error}`))
      .build();
    online = false;
    breakRandomness();
    await codeOf(runtime.send("lead", "hi"));
    // Waits for the fresh instance.
    const members = (await runtime.members()).map((member) => member.agent_identity);
    const answer = (await runtime.ask("lead", "still there?")).result;
    await until(() => errors.length > 0);
    await runtime.shutdown();
    return { members, answer, errors };
  });
  assert.deepEqual(seen.members, ["found", "lead"]);
  assert.equal(seen.answer, "echo: still there?");
  assert.match(seen.errors.join("; "), /rediscover_failure: .*no net/);
});

test("a build that crashes holds nothing back", async () => {
  const seen = await inPage(async () => {
    breakRandomness();
    const crashed = await codeOf(builder(mobkit.indexedDb("stillborn")).build());
    const runtime = await builder(mobkit.indexedDb("stillborn")).build({ ifLocked: "fail" });
    const result = (await runtime.ask("lead", "hi")).result;
    await runtime.shutdown();
    await until(async () => {
      const { held, pending } = await navigator.locks.query();
      return ![...held, ...pending].some((lock) => lock.name.includes("stillborn"));
    });
    return [crashed, result];
  });
  assert.deepEqual(seen, ["runtime_crashed", "echo: hi"]);
});

test("a runtime in a worker: start, talk, configure, kill the worker, erase", async () => {
  const seen = await inPage(async () => {
    const workers = [];
    const hosted = client.connectRuntime(() => {
      const worker = new Worker("/worker.js", { type: "module" });
      workers.push(worker);
      return worker;
    });
    const states = [];
    hosted.onState((report) => states.push(report.state));
    const rpc = async (method, params) => {
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const answer = await (await hosted.fetch("/console/rpc", { method: "POST", body })).json();
      if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.data?.code });
      return answer.result;
    };
    const say = async (content) => {
      const { interaction_id } = await rpc("mobkit/send_message", { member_id: "lead", content });
      await until(async () => (await rpc("mobkit/query_events", { event_types: ["interaction_complete"] })).events
        .some((e) => e.event.payload.interaction_id === interaction_id));
    };
    const start = { definitionToml: DEFINITION, storageName: "hosted", model: { kind: "none" } };
    const answers = { bad: await codeOf(hosted.control("start", { ...start, definitionToml: "[mob]" })) };
    answers.started = await hosted.control("start", start);
    await rpc("mobkit/send_message", { member_id: "lead", content: "waits for a model" });
    await until(async () => (await rpc("mobkit/list_members", {}))[0].activity === "waiting_model");
    answers.configured = await hosted.control("configure_model", { kind: "demo", pace: 0 });
    await until(async () => (await rpc("mobkit/list_members", {}))[0].activity === "idle");
    await say("hello");
    answers.tested = await hosted.control("test_model", { kind: "demo", pace: 0 });
    answers.unreachable = await hosted.control("test_model", { kind: "openai", baseUrl: "http://127.0.0.1:9/v1", model: "x" });
    await hosted.control("page_hidden");
    const usage = await hosted.control("usage");
    answers.usage = [usage.rows > 0, usage.bytes > 0, typeof usage.origin_quota];
    const exported = await new Response(await hosted.control("export")).text();
    answers.exported = exported.trim().split("\n").every((line) => JSON.parse(line).key.length > 0);

    const stream = await hosted.fetch("/mob/events");
    const body = codeOf(drained(stream.body));
    workers[0].terminate();
    answers.body = await body;
    await until(() => hosted.state === "leader");
    answers.workers = workers.length;
    await say("still there?");
    answers.history = (await rpc("mobkit/session_history", { member_id: "lead" })).total;
    answers.erased = await hosted.control("erase");
    answers.gone = (await indexedDB.databases()).some((d) => d.name.includes("hosted"));
    answers.refused = await codeOf(hosted.fetch("/healthz"));
    answers.states = states;
    hosted.close();
    return answers;
  });
  assert.equal(seen.bad, "invalid_definition");
  assert.deepEqual(seen.started, { state: "leader" });
  assert.deepEqual(seen.configured, { models: ["m"] });
  assert.deepEqual([seen.tested.ok, seen.tested.provider, seen.tested.text.length > 0], [true, "demo", true]);
  assert.equal(seen.unreachable.ok, false);
  assert.deepEqual(seen.usage, [true, true, "number"]);
  assert.equal(seen.exported, true);
  assert.deepEqual([seen.body, seen.workers, seen.history], ["runtime_crashed", 2, 6]);
  assert.deepEqual([seen.erased, seen.gone, seen.refused], [{ state: "stopped" }, false, "runtime_stopped"]);
  assert.deepEqual(seen.states, ["starting", "starting", "stopped", "starting", "leader", "crashed", "starting", "starting", "leader", "stopped", "stopped"]);
});
