// What a host of one's own gives the package, in a real browser: storage, an alarm, the console's looks; and bytes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Harness } from "./harness.mjs";

let harness;
before(async () => { harness = await Harness.open(); });
after(async () => { await harness?.close(); });

async function inPage(work) {
  const page = await harness.page();
  try {
    await page.evaluate(() => {
      /** Rows in a map; every call takes a while, and they take effect in their order. */
      globalThis.mapDriver = (rows = new Map()) => {
        let turn = Promise.resolve();
        const later = (work) => (...args) => turn = turn.catch(() => {}).then(() => new Promise((resolve) => setTimeout(resolve, 1))).then(() => work(...args));
        const sorted = () => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
        const same = (a, b) => a === undefined || b === undefined ? a === b : a.join() === b.join();
        const driver = {
          rows, fails: undefined, closed: 0, maxValueBytes: 1 << 16,
          get: later((key) => rows.get(key)),
          scan: later((from, to, reverse, limit) => {
            const hits = sorted().filter(([key]) => key >= from && (to === undefined || key < to));
            return (reverse ? hits.reverse() : hits).slice(0, limit);
          }),
          commit: later((checks, writes) => {
            if (driver.fails) throw driver.fails;
            const failed = checks.find(([key, value]) => !same(rows.get(key), value));
            if (failed) return failed[0];
            for (const write of writes) {
              const [from, to] = write;
              if (write.length === 1) rows.delete(from);
              else if (write.length === 2) rows.set(from, to);
              else for (const [key] of sorted()) if (key >= from && (to === undefined || key < to)) rows.delete(key);
            }
            return undefined;
          }),
          close: () => { driver.closed += 1; },
        };
        return driver;
      };
    });
    return await page.evaluate(work);
  } catch (error) {
    error.message += `\n${page.said.join("\n")}`;
    throw error;
  } finally {
    await page.close();
  }
}

test("a mob lives in a storage of one's own, over a shutdown and over a crash", async () => {
  const seen = await inPage(async () => {
    const driver = mapDriver();
    const first = await builder(mobkit.customStorage(driver)).build();
    await first.ask("lead", "remember me");
    await first.shutdown();
    const second = await builder(mobkit.customStorage(driver)).build();
    const history = (await second.sessionHistory("lead")).messages;
    breakRandomness();
    const crash = await codeOf(second.send("lead", "panic"));
    const after = (await second.ask("lead", "after")).result;
    // A third opens it beside the second, which is retired by its token.
    const third = await builder(mobkit.customStorage(driver)).build();
    const late = await codeOf(second.ask("lead", "late"));
    const asked = (await third.ask("lead", "third")).result;
    await third.shutdown();
    await until(() => second.state === "stopped");
    return { stopped: second.report.error.code, closed: driver.closed >= 1, history: history.length, crash, after, late, asked, keys: [...driver.rows.keys()].every((key) => /^[\x20-\x7e]+$/.test(key)) };
  });
  assert.deepEqual([seen.history, seen.crash, seen.after, seen.asked, seen.keys, seen.closed], [2, "runtime_crashed", "echo: after", "echo: third", true, true]);
  assert.deepEqual([seen.late, seen.stopped], ["not_leader", "not_leader"]);
});

test("what a storage of one's own throws is told by its kind, and nothing is half done", async () => {
  const seen = await inPage(async () => {
    const driver = mapDriver();
    const runtime = await builder(mobkit.customStorage(driver)).build();
    const codes = [];
    for (const [name, message] of [["QuotaExceededError", "no room"], ["Error", "database or disk is full"], ["Error", "odd"]]) {
      driver.fails = Object.assign(new Error(message), { name });
      codes.push(await codeOf(runtime.spawn({ profile: "other", identity: "o1" })));
      driver.fails = undefined;
    }
    const members = (await runtime.members()).length;
    await runtime.spawn({ profile: "other", identity: "o1" });
    const large = await codeOf(runtime.send("lead", "x".repeat(70_000)));
    const answers = { codes, members, large, then: (await runtime.ask("lead", "then")).result };
    await runtime.shutdown();
    const broken = await codeOf(builder(mobkit.customStorage({ maxValueBytes: 10 })).build());
    const strange = await codeOf(builder(mobkit.customStorage({ ...mapDriver(), get: () => "text" })).build());
    return { ...answers, broken, strange };
  });
  assert.deepEqual(seen, {
    codes: ["storage_quota_exceeded", "storage_quota_exceeded", "storage_failed"], members: 1, large: "storage_value_too_large", then: "echo: then",
    broken: "storage_failed", strange: "storage_failed",
  });
});

test("the alarm is set while somebody works and taken away when nobody does", async () => {
  const seen = await inPage(async () => {
    const set = [];
    const runtime = await builder().alarm((at, works) => set.push([at === undefined ? null : at > Date.now() && at < Date.now() + 60_000, works])).build();
    await runtime.ask("lead", "hi");
    await until(() => set.at(-1)?.[0] === null);
    await runtime.woken();
    await runtime.shutdown();
    return set;
  });
  assert.deepEqual(seen.slice(0, 3), [[null, false], [true, true], [null, false]]);
});

test("bytes are kept under the name that the contract gives them, served, sent in forms, and forgotten", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder(mobkit.indexedDb("blobs")).build();
    const gif = new Blob(["GIF89a!"], { type: "image/gif" });
    const id = await runtime.putBlob(gif);
    const again = await runtime.putBlob({ type: "image/gif", bytes: new TextEncoder().encode("GIF89a!") });
    const large = new Uint8Array(3_000_000).map((_, at) => at % 251);
    const largeId = await runtime.putBlob({ type: "application/x-large", bytes: large });
    await runtime.shutdown();
    const reopened = await builder(mobkit.indexedDb("blobs")).build();
    const found = await reopened.getBlob(id);
    const back = new Uint8Array(await (await reopened.getBlob(largeId)).arrayBuffer());
    const form = new FormData();
    form.set("payload", JSON.stringify({ jsonrpc: "2.0", id: 1, method: "mobkit/console/send", params: { identity: "lead", origin: "page", idempotency_key: "k", content: [{ type: "text", text: "look" }, { type: "image", upload_id: "a" }] } }));
    form.set("file:a", new File([gif], "a.gif", { type: "image/gif" }));
    const sent = await (await reopened.fetch("/console/rpc/multipart", { method: "POST", body: form })).json();
    await reopened.fetch("/console/rpc", { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 2, method: "mobkit/wait_interaction", params: { interaction_id: sent.result?.interaction_id } }) });
    const { events } = await reopened.queryEvents({ eventTypes: ["user_input"] });
    const answers = {
      id, same: again === id, type: found.type, text: await found.text(), large: back.length === large.length && back.every((byte, at) => byte === large[at]),
      sent: sent.result?.status, image: events[0]?.event.payload.content[1],
      deleted: [await reopened.deleteBlob(id), await reopened.deleteBlob(id)], gone: await codeOf(reopened.getBlob(id)), wrong: await codeOf(reopened.getBlob("x")),
      untyped: (await reopened.getBlob(await reopened.putBlob({ type: "", bytes: large }))).type, essence: (await reopened.getBlob(await reopened.putBlob(new Blob(["a"], { type: "text/plain;charset=utf-8" })))).type, mistyped: await codeOf(reopened.putBlob({ type: "text", bytes: large })), huge: await codeOf(reopened.putBlob({ type: "a/b", bytes: new Uint8Array((25 << 20) + 1) })),
    };
    await reopened.shutdown();
    await mobkit.deleteStorage("blobs");
    return answers;
  });
  assert.deepEqual(seen, {
    id: "sha256:481108a1c61fc47e623f189181546c8ea108f1c405afd18d63a73cd78e242010", same: true, type: "image/gif", text: "GIF89a!", large: true,
    sent: "accepted", image: { type: "image", media_type: "image/gif", data: "R0lGODlhIQ==" },
    deleted: [true, false], gone: "blob_not_found", wrong: "invalid_blob_id", untyped: "application/octet-stream", essence: "text/plain", mistyped: "invalid_input", huge: "invalid_input",
  });
});

test("a check calls nothing of the application's, and fails for what is wrong with the definition", async () => {
  const seen = await inPage(async () => {
    const called = [];
    const call = (name) => () => { called.push(name); throw new Error(name); };
    const full = (definition) => mobkit.UnifiedRuntime.builder().definition(definition).storage(mobkit.customStorage({ maxValueBytes: 1 << 20, get: call("storage") }))
      .model("m", { stream: call("model") }).preSpawnHook(call("pre")).discovery(call("discovery")).edgeDiscovery(call("edges")).postSpawnHook(call("post"))
      .onMobEvent(call("event")).persistentMetadata({ getSubscriptionCursor: call("get"), setSubscriptionCursor: call("set") }).eventLog({ store: { appendBatch: call("log") } }).alarm(call("alarm"));
    await full(DEFINITION + "\n[[members]]\nprofile = \"other\"\nidentity = \"o9\"\ninitial_message = \"begin\"\n").check();
    return { called, wrong: await codeOf(full("[mob]\nid = 5").check()) };
  });
  assert.deepEqual(seen.called, []);
  assert.match(seen.wrong, /definition/);
});

test("the console hears of its looks, and only of those that there are", async () => {
  const seen = await inPage(async () => {
    const runtime = await builder().consoleConfig({ title: "My mob", brand: { color: "teal" } }).build();
    const { console_config } = await (await runtime.fetch("/console/experience")).json();
    await runtime.shutdown();
    return { console_config, wrong: await codeOf(builder().consoleConfig({ titel: "x" }).build()) };
  });
  assert.deepEqual(seen.console_config, { title: "My mob", brand: { color: "teal" } });
  assert.match(seen.wrong, /invalid/);
});
