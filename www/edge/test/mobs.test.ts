// Mobs in Durable Objects of a real workerd: made, asked, streamed, evicted, killed, resumed, deleted.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Workerd } from "../support/workerd.ts";

const TOKEN = "secret-of-the-test";

describe("mobs in Durable Objects", () => {
  let workerd: Workerd;

  before(async () => {
    workerd = await Workerd.start("mobs", { objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" }, text: { TOKEN, MODEL_URL: "" } });
  });
  after(() => workerd?.close());

  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${workerd.url}${path}`, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } });

  async function json(path: string, init: RequestInit = {}): Promise<any> {
    const response = await ask(path, init);
    const text = await response.text();
    assert.ok(response.ok, `${path}: HTTP ${response.status}: ${text}\n${workerd.said}`);
    return JSON.parse(text);
  }

  async function rpc(mob: string, method: string, params: object = {}): Promise<any> {
    const answer = await json(`/mobs/${mob}/console/rpc`, { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    assert.ok(answer.result !== undefined, JSON.stringify(answer));
    return answer.result;
  }

  test("a mob is made, answers and is listed", async () => {
    assert.equal((await ask("/mobs/garden")).status, 404);
    const made = await ask("/mobs/garden", { method: "PUT" });
    assert.equal(made.status, 201, `${await made.text()}\n${workerd.said}`);
    const { interaction_id } = await rpc("garden", "mobkit/send_message", { member_id: "lead", message: "Plan a small garden" });
    const outcome = await rpc("garden", "mobkit/wait_interaction", { interaction_id });
    assert.equal(outcome.status, "completed", JSON.stringify(outcome));
    assert.match(outcome.result, /Here is our answer to “Plan a small garden”/);
    assert.deepEqual((await json("/mobs")).mobs.map((mob: any) => mob.name), ["garden"]);
  });
});
