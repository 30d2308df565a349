import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModuleDriver } from "../src/modules/driver.js";
import { mcpModule, type McpModuleOptions } from "../src/modules/mcp.js";

interface Request {
  id?: number;
  method: string;
  params: Record<string, any>;
}

const json = (body: unknown) => new Response(JSON.stringify(body), { headers: { "content-type": "application/json", "mcp-session-id": "s1" } });
const named = (name: string, message: RegExp) => (error: Error) => error instanceof Error && error.name === name && message.test(error.message);

/** A stream of server-sent events and what writes to it. */
function events() {
  let control!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (given) => { control = given; } });
  return {
    response: new Response(body, { headers: { "content-type": "text/event-stream" } }),
    say: (message: unknown) => control.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(message)}\n\n`)),
    close: () => control.close(),
  };
}

/** A driver of a server that is a function: `answer` gives the result of a request, or a whole response. */
async function served(
  answer: (request: Request, init: RequestInit) => unknown,
  work: (driver: ModuleDriver) => Promise<void>,
  { stream = () => new Response(null, { status: 405 }), ...options }: Partial<McpModuleOptions> & { stream?: () => Response | Promise<Response> } = {},
) {
  const fetch: McpModuleOptions["fetch"] = async (_, init = {}) => {
    if (init.method === "GET") return stream();
    if (init.method === "DELETE") return new Response(null, { status: 200 });
    const request = JSON.parse(init.body as string) as Request;
    if (request.id === undefined) return new Response(null, { status: 202 });
    const result = request.method === "initialize"
      ? { protocolVersion: request.params["protocolVersion"], capabilities: { tools: { listChanged: true } }, serverInfo: { name: "fake", version: "1" } }
      : await answer(request, init);
    return result instanceof Response ? result : json({ jsonrpc: "2.0", id: request.id, result });
  };
  const driver = await mcpModule({ url: "https://mcp.test/mcp", fetch, ...options }).start(() => {});
  try {
    await work(driver);
  } finally {
    await driver.stop();
  }
}

const call = (driver: ModuleDriver) => driver.call("t", "{}", "{}", undefined);

/** The reason of the end, or that there was none so far. */
async function endOf(driver: ModuleDriver): Promise<string> {
  await new Promise(setImmediate);
  return await Promise.race([driver.ended, new Promise<string>((resolve) => setImmediate(() => resolve("none")))]);
}

test("all pages of tools are listed, with the headers given; a server that gives pages without end is refused", async () => {
  const asked: unknown[] = [];
  await served(({ params }, init) => {
    asked.push(params?.["cursor"], new Headers(init.headers).get("x-key"));
    const at = Number(params?.["cursor"] ?? 0);
    return { tools: [{ name: `t${at}`, inputSchema: { type: "object" } }], ...(at < 2 && { nextCursor: String(at + 1) }) };
  }, async (driver) => {
    assert.deepEqual(JSON.parse(await driver.tools()).map((tool: { name: string }) => tool.name), ["t0", "t1", "t2"]);
    assert.deepEqual(asked, [undefined, "k", "1", "k", "2", "k"]);
  }, { headers: { "x-key": "k" } });
  await served(() => ({ tools: [], nextCursor: "same" }), async (driver) => {
    await assert.rejects(driver.tools(), named("ToolListFailed", /the cursor same twice/));
  });
});

test("a change of the tools is told", async () => {
  const stream = events();
  await served(() => ({ tools: [] }), async (driver) => {
    const changed = new Promise<void>((resolve) => driver.changed!(resolve));
    stream.say({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
    await changed;
  }, { stream: () => stream.response });
});

test("a session that is over and a server that is out of reach are the end; a status that passes is not", async () => {
  const ends: [string, () => Response, RegExp, string][] = [
    ["ToolCallFailed", () => new Response("busy", { status: 503 }), /HTTP 503: .*busy/, "none"],
    ["ToolCallFailed", () => new Response("no field", { status: 400 }), /HTTP 400/, "none"],
    ["ConnectionFailed", () => new Response(null, { status: 404 }), /is lost: HTTP 404/, "the connection to https://mcp.test/mcp is lost: HTTP 404"],
    ["ConnectionFailed", () => new Response("No valid session ID", { status: 400 }), /is lost: HTTP 400/, "the connection to https://mcp.test/mcp is lost: HTTP 400"],
    ["ConnectionFailed", () => { throw new TypeError("fetch failed"); }, /fetch failed/, "the connection to https://mcp.test/mcp is lost: TypeError: fetch failed"],
  ];
  for (const [name, answer, message, end] of ends) {
    await served(answer, async (driver) => {
      await assert.rejects(call(driver), named(name, message));
      assert.equal(await endOf(driver), end);
    });
  }
});

test("a stream of events that is not offered is no loss", async () => {
  for (const stream of [() => new Response(null, { status: 404 }), () => { throw new TypeError("refused"); }]) {
    await served(() => ({ content: [{ type: "text", text: "yes" }] }), async (driver) => {
      assert.deepEqual([await call(driver), await endOf(driver)], [`"yes"`, "none"]);
    }, { stream });
  }
});

test("when the stream of events fails before it has begun, the server is asked whether it is there", async () => {
  let fail!: (error: Error) => void;
  const begun = new Promise<Response>((_, reject) => { fail = reject; });
  let pings = 0;
  await served(({ method }) => {
    assert.equal(method, "ping");
    pings += 1;
    throw new TypeError("fetch failed");
  }, async (driver) => {
    assert.equal(await endOf(driver), "none");
    fail(new TypeError("broken off"));
    assert.equal(await driver.ended, "the connection to https://mcp.test/mcp is lost: TypeError: fetch failed");
    assert.equal(pings, 1);
  }, { stream: () => begun });
});

test("an answer that is broken off is the end", async () => {
  await served(() => {
    const { response, close } = events();
    close();
    return response;
  }, async (driver) => {
    await assert.rejects(call(driver), named("ConnectionFailed", /broke off an answer/));
    assert.match(await driver.ended, /broke off/);
  });
});

test("what is no address is refused at once", () => {
  assert.throws(() => mcpModule({ url: "mcp" }), /url must be an absolute URL, not "mcp"/);
});

test("one that does not listen asks for no stream, but takes up an answer that broke off", async () => {
  const asked: (string | null)[] = [];
  const fetch: McpModuleOptions["fetch"] = async (_, init = {}) => {
    if (init.method === "GET") {
      asked.push(new Headers(init.headers).get("last-event-id"));
      return new Response(`id: 2\ndata: ${JSON.stringify({ jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: "late" }] } })}\n\n`, { headers: { "content-type": "text/event-stream" } });
    }
    if (init.method === "DELETE") return new Response(null, { status: 200 });
    const request = JSON.parse(init.body as string) as Request;
    if (request.id === undefined) return new Response(null, { status: 202 });
    if (request.method !== "initialize") return new Response("id: 1\nretry: 1\ndata: \n\n", { headers: { "content-type": "text/event-stream" } });
    return json({ jsonrpc: "2.0", id: request.id, result: { protocolVersion: request.params["protocolVersion"], capabilities: { tools: {} }, serverInfo: { name: "fake", version: "1" } } });
  };
  const driver = await mcpModule({ url: "https://mcp.test/mcp", fetch, listen: false }).start(() => {});
  assert.equal(await endOf(driver), "none");
  assert.equal(await call(driver), '"late"');
  assert.deepEqual(asked, ["1"]);
  await driver.stop();
});
