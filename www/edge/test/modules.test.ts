// Modules, approvals and schedules of mobs in Durable Objects of a real workerd: evicted, killed, and left alone.

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { McpServer } from "../support/mcp-server.ts";
import { Mobs, until } from "../support/mobs.ts";
import { Workerd } from "../support/workerd.ts";

/** Takes what is posted. */
class Till {
  readonly #server: Server;
  readonly taken: { body: any; key: string | undefined }[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<Till> {
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (piece) => (text += piece));
      request.on("end", () => {
        till.taken.push({ body: JSON.parse(text), key: request.headers["idempotency-key"] as string | undefined });
        response.end();
      });
    });
    const till = new Till(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return till;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  of(mob: string): number {
    return this.taken.filter(({ body }) => body.name === mob).length;
  }

  close(): void {
    this.#server.close();
  }
}

describe("modules of mobs in Durable Objects", () => {
  let workerd: Workerd;
  let till: Till;
  let mcp: McpServer;
  const mobs = new Mobs(() => workerd.url, "any", () => workerd.said);

  before(async () => {
    [mcp, till] = await Promise.all([McpServer.start(), Till.open()]);
    workerd = await Workerd.start("modules", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { MCP_URL: mcp.url, TILL_URL: till.url } });
  });
  after(async () => {
    workerd?.close();
    till?.close();
    await mcp?.kill();
  });

  const behind = async (mob: string, verb: string): Promise<any> => await (await fetch(`${workerd.url}/-test/${mob}/${verb}`)).json();
  const pending = async (mob: string): Promise<any[]> => (await mobs.rpc(mob, "mobkit/gating/pending")).pending;
  const alarm = async (mob: string): Promise<number | null> => (await behind(mob, "inspect")).alarm;
  const results = async (mob: string): Promise<string[]> =>
    (await mobs.events(mob)).filter(({ event_type }) => event_type === "tool_result_received").map(({ payload }) => payload.content[0].text);

  async function asked(mob: string): Promise<{ id: string; entry: any }> {
    await mobs.make(mob);
    const id = await mobs.send(mob, 'call desk__pay {"euros":5}', "once");
    await until("it is to be decided about", async () => (await pending(mob)).length === 1);
    return { id, entry: (await pending(mob))[0] };
  }

  test("an MCP server that others wrote serves a member, also after an eviction and its own death", async () => {
    await mobs.make("reader");
    const ask = async (words: string): Promise<void> => {
      const outcome = await mobs.outcome("reader", await mobs.send("reader", `call docs__echo {"message":"${words}"}`));
      assert.equal(outcome.status, "completed", JSON.stringify(outcome));
      const said = await results("reader");
      assert.match(said.at(-1) ?? "", new RegExp(words), JSON.stringify(said));
    };
    await ask("first");
    await behind("reader", "evict");
    await ask("second");
    await mcp.kill();
    const failed = await mobs.ask("/mobs/reader/console/rpc", {
      method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "docs/echo", params: { message: "third" } }),
    });
    assert.match((await failed.json()).error.data.code, /^module_(connection_failed|crashed|not_loaded)$/);
    await mcp.start();
    await mobs.rpc("reader", "mobkit/spawn_member", { module_id: "docs" });
    await ask("fourth");
  });

  test("a call that waits for a decision survives an eviction and SIGKILL, and keeps no object awake", async () => {
    const { id, entry } = await asked("payer");
    assert.deepEqual([entry.tool_call.tool, entry.tool_call.args, entry.actor_id], ["desk__pay", { euros: 5 }, "lead"]);
    await until("nothing else is to wake for", async () => (await alarm("payer")) === entry.deadline_at_ms);
    await behind("payer", "evict");
    assert.deepEqual(await pending("payer"), [entry]);
    await workerd.killAndRestart();
    assert.deepEqual(await pending("payer"), [entry]);
    assert.equal(till.of("payer"), 0);
    await mobs.rpc("payer", "mobkit/gating/decide", { pending_id: entry.pending_id, approver_id: "carl", decision: "approve" });
    assert.equal((await mobs.outcome("payer", id)).status, "completed");
    assert.equal(till.of("payer"), 1);
    assert.deepEqual((await results("payer")).at(-1), "paid");
    await until("there is nothing to wake for", async () => (await alarm("payer")) === null);
  });

  test("nobody decides: the alarm alone denies the call, and the member goes on", async () => {
    const { id } = await asked("hasty-one");
    await behind("hasty-one", "evict");
    // Nobody calls until it is over.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    const lines = (await mobs.rpc("hasty-one", "mobkit/gating/audit")).entries.map((line: any) => line.event_type);
    assert.deepEqual(lines, ["pending_created", "timeout_fallback"]);
    assert.equal((await mobs.outcome("hasty-one", id)).status, "completed");
    assert.match((await results("hasty-one")).at(-1) ?? "", /denied: nobody decided in time/);
    assert.equal(till.of("hasty-one"), 0);
  });

  test("a schedule is kept by the alarm though the object is evicted, and makes up once for what was missed", async () => {
    await mobs.make("clock");
    await mobs.rpc("clock", "mobkit/scheduling/set", {
      schedule: { schedule_id: "tick", interval: "*/2s", timezone: "Europe/Berlin" }, action: { kind: "message", member_id: "lead", message: "tick" },
    });
    const fired = async (): Promise<number> => (await mobs.rpc("clock", "mobkit/scheduling/list")).schedules[0].fired;
    await behind("clock", "evict");
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    const alone = await fired();
    assert.ok(alone >= 2 && alone <= 5, `${alone} times in seven seconds that nobody called`);
    await workerd.kill();
    const before = alone;
    await new Promise((resolve) => setTimeout(resolve, 9_000));
    await workerd.restart();
    const after = await fired();
    assert.ok(after >= before + 1 && after <= before + 3, `${before} times before, ${after} after nine seconds without a process: once for what was missed`);
    await mobs.rpc("clock", "mobkit/scheduling/delete", { schedule_id: "tick" });
    await until("there is nothing to wake for", async () => (await alarm("clock")) === null);
    const heard = (await mobs.events("clock")).filter(({ event_type, payload }) => event_type === "user_input" && payload.origin === "schedule").length;
    assert.ok(heard >= after && heard <= after + 2, `${heard} messages of ${after}`);
  });

  test("a delivery is posted to a webhook, once for its key", async () => {
    await mobs.make("sender");
    const resolution = await mobs.rpc("sender", "mobkit/routing/resolve", { recipient: till.url });
    const send = (): Promise<any> => mobs.rpc("sender", "mobkit/delivery/send", { resolution, payload: { name: "sender" }, idempotency_key: "k" });
    const record = await send();
    assert.deepEqual([record.status, record.sink_adapter], ["sent", "webhook"], JSON.stringify(record));
    await behind("sender", "evict");
    assert.deepEqual(await send(), record);
    const posted = till.taken.filter(({ body }) => body.payload?.name === "sender");
    assert.deepEqual(posted.map(({ key }) => key), ["delivery-000000"]);
  });
});
