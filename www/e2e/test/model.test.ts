// A real OpenAI-compatible server that this project did not write: streaming, tools, and its ways to fail.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { type ChatCompletionRequest, LLMock } from "@copilotkit/aimock";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, id, observe, readStored, until } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

const KEY = "sk-e2e-not-for-the-disk";

/** The text of the newest message that is no tool's result, and whether results came after it. */
function newest(request: ChatCompletionRequest): { text: string; after: number } {
  const at = request.messages.findLastIndex((message) => message.role === "user");
  return { text: String(request.messages[at]?.content ?? ""), after: request.messages.slice(at + 1).filter((message) => message.role === "tool").length };
}

/** The scripted lead and its specialists: what a language model might do with the demo's definition. */
function reply(request: ChatCompletionRequest): { content: string } | { content?: string; toolCalls: { name: string; arguments: string }[] } {
  const { text, after } = newest(request);
  const tell = (to: string, content: string) => ({ name: "send_message", arguments: JSON.stringify({ to, content }) });
  if (text === "Answer with one word: hello.") return { content: "hello" };
  if (text.startsWith("[message from lead]")) return after > 0 ? { content: "I told the lead." } : { toolCalls: [tell("lead", `My part is done — fertig ✓ 🙂`)] };
  if (text.startsWith("[message from ")) {
    const told = request.messages.filter((message) => message.role === "user" && String(message.content).startsWith("[message from ")).length;
    return { content: told % 2 === 0 ? "**Final**: both parts are in — 完了 🙂" : "One part is in; I wait for the other." };
  }
  if (!text.startsWith("Split ")) return { content: `You said: ${text}. It was a pleasure to hear so — ありがとう 🙂` };
  return after > 0 ? { content: "I asked both." } : { content: "I ask both.", toolCalls: [tell("researcher", "Find the facts"), tell("writer", "Write it down")] };
}

describe("an OpenAI-compatible server", () => {
  let server: Server;
  let mock: LLMock;
  let profile: Profile;
  let context: BrowserContext;
  let recording: Recording;
  let console: Console;

  before(async () => {
    server = await startServer();
    mock = new LLMock({ port: 0, chunkSize: 7, auth: { apiKeys: [KEY] } });
    mock.on({}, reply);
    await mock.start();
    recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url);
  });
  after(async () => {
    await profile?.remove();
    await mock?.stop();
    server?.close();
  });
  beforeEach(() => {
    mock.clearChaos();
    mock.clearRequests();
  });

  async function settings(key: string): Promise<void> {
    await console.tab("model");
    const panel = console.get("model-settings");
    await panel.locator('input[name="kind"][value="openai"]').check();
    await panel.locator('input[name="base-url"]').fill(`${mock.url}/v1`);
    await panel.locator('input[name="model"]').fill("some-model");
    await panel.locator('input[name="api-key"]').fill(key);
  }

  async function use(key: string): Promise<void> {
    await settings(key);
    await console.get("model-use").click();
    await console.get("model-in-use").waitFor();
    await console.tab("chat");
  }

  const said = (text: string) => console.get("chat-events").locator('[data-kind="assistant"][data-open="false"]').filter({ hasText: text });

  test("a wrong key is told by the test, a right one is put to use", async () => {
    await settings("wrong");
    await console.get("model-test").click();
    await console.get("model-settings").getByText("refused the credentials").waitFor();
    await console.page.locator(`${id("model-settings")} input[name="api-key"]`).fill(KEY);
    await console.get("model-test").click();
    await console.get("model-test-ok").waitFor();
    await use(KEY);
    assert.match((await console.get("model-chip").textContent()) ?? "", /some-model/);
  });

  test("streams, calls tools, and the mob answers", async () => {
    await console.say("Split this, please");
    await said("Final: both parts are in — 完了 🙂").waitFor();
    await console.rest();
    assert.equal(await console.get("chat-events").locator('[data-kind="tool"][data-status="done"]').count(), 2);
    const deltas = [...recording.events.values()].filter((event) => event.event.event_type === "text_delta");
    assert.ok(deltas.length > 3, `it came in ${deltas.length} pieces`);
    const body = mock.getRequests()[0]?.body as ChatCompletionRequest;
    assert.equal(body.stream, true);
    assert.equal(body.model, "some-model");
    assert.deepEqual(body.tools?.map((tool) => tool.function.name).sort(), ["peers", "send_message"]);
  });

  const chaos = [
    { name: "HTTP 500", config: { dropRate: 1 }, told: /HTTP 500/ },
    { name: "HTTP 429", config: { rateLimitRate: 1 }, told: /slow down/ },
    { name: "malformed JSON", config: { malformedRate: 1 }, told: /malformed/ },
    { name: "a cut connection", config: { disconnectRate: 1 }, told: /could not reach|cut/ },
  ];
  for (const { name, config } of chaos) {
    test(`${name}: it asks again, and answers once`, async () => {
      mock.setChaos(config);
      await console.say(`Say ${name}`);
      await until("the server failed", () => mock.getRequests().some((entry) => entry.response.chaosAction !== undefined));
      mock.clearChaos();
      await said(`You said: Say ${name}.`).waitFor();
      await console.rest();
      assert.equal(await said(`You said: Say ${name}.`).count(), 1);
    });
  }

  test("a stream cut in the middle: it asks again, and answers once", async () => {
    let cuts = 0;
    mock.prependFixture({
      match: { predicate: (request) => newest(request).text === "Cut me off" && cuts++ === 0 },
      response: { content: "This is the beginning of a long answer that never comes to its end" },
      truncateAfterChunks: 3,
    });
    await console.say("Cut me off");
    await said("You said: Cut me off.").waitFor();
    await console.rest();
    assert.equal(await said("You said: Cut me off.").count(), 1);
    assert.ok(mock.getRequests().length >= 2);
    const stored = await readStored(context, server.url);
    const answers = stored.session.filter((entry) => entry.message.role === "assistant" && entry.message.text?.includes("Cut me off"));
    assert.equal(answers.length, 1);
  });

  test("a server that goes on failing: the chat says why, and the mob works again afterwards", async () => {
    const [{ config, told } = { config: {}, told: /./ }] = chaos;
    mock.setChaos(config);
    await console.say("Fail for good");
    const notice = console.get("chat-events").locator('[data-kind="notice"].tone-error').last();
    await notice.waitFor();
    assert.match((await notice.textContent()) ?? "", told);
    await console.rest();
    mock.clearChaos();
    await console.say("And now?");
    await said("You said: And now?").waitFor();
  });

  test("the key is stored nowhere, and asked for again when work waits for it", async () => {
    await console.rest();
    await console.reload();
    const remembered = await console.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
    assert.ok(remembered.includes(mock.url) && !remembered.includes(KEY));
    assert.ok(!JSON.stringify(await readStored(context, server.url)).includes(KEY));
    await console.say("Wait for the key");
    await console.get("waiting-banner").waitFor();
    await console.member("lead", "waiting_model").waitFor();
    await use(KEY);
    await said("You said: Wait for the key.").waitFor();
    await console.rest();
    assert.equal(await said("You said: Wait for the key.").count(), 1);
  });

  test("nothing went wrong that nobody wanted", () => {
    // What the server did on purpose, the browser reports as failed requests.
    console.assertNoFaults(/Failed to load resource|net::ERR_/);
  });
});
