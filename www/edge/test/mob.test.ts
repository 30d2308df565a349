// The published package on an edge runtime: a mob in memory answers, over its own face, over the fetch contract, and with a model behind `fetch`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import { Workerd } from "../support/workerd.ts";

const DEMO = readFileSync(new URL("../../console/public/demo.toml", import.meta.url), "utf8");

describe("a mob on an edge runtime", () => {
  let workerd: Workerd;
  let mock: LLMock;

  before(async () => {
    workerd = await Workerd.start("mob");
    mock = new LLMock({ port: 0 });
    mock.on({}, { content: "Hello from a server." });
    await mock.start();
  });
  after(async () => {
    workerd?.close();
    await mock?.stop();
  });

  async function post(path: string, body: unknown): Promise<Response> {
    const response = await fetch(`${workerd.url}${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) assert.fail(`HTTP ${response.status}: ${await response.text()}\n${workerd.said}`);
    return response;
  }

  test("answers with the demo model, after work of all its members", async () => {
    const { outcome, members, ledger, timedOut } = (await (await post("/ask", { definition: DEMO, message: "Plan a small garden" })).json()) as Record<string, any>;
    assert.equal(outcome.status, "completed");
    assert.match(outcome.result, /Here is our answer to “Plan a small garden”/);
    assert.match(outcome.result, /researcher.*contributes[^]*writer.*contributes/);
    assert.deepEqual(members, [["lead", ["researcher", "writer"]], ["researcher", ["lead"]], ["writer", ["lead"]]]);
    assert.equal(ledger[0], "mob_created");
    assert.equal(timedOut, false);
  });

  test("streams its events while it works", async () => {
    const response = await post("/events", { definition: DEMO, message: "Plan a pond" });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    let text = "";
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!text.includes("interaction_complete")) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) assert.fail(`the stream ended early\n${text}\n${workerd.said}`);
      text += value;
    }
    await reader?.cancel();
    assert.match(text, /user_input[^]*text_delta[^]*peer_message[^]*run_completed/);
  });

  test("asks a model over fetch", async () => {
    const { outcome } = (await (await post("/ask", { definition: DEMO, message: "Hi", baseUrl: `${mock.url}/v1` })).json()) as Record<string, any>;
    assert.deepEqual([outcome.status, outcome.result], ["completed", "Hello from a server."]);
    assert.equal(mock.getRequests().length, 1);
  });
});
