import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK_BYTES, READ_AHEAD } from "../src/body.js";
import { isMobkitError, MobkitError } from "../src/error.js";
import { PortClient } from "../src/port-client.js";
import { PortServer, type PortHandler } from "../src/port-server.js";
import type { Port, StateReport } from "../src/protocol.js";

interface Pair {
  client: PortClient;
  server: PortServer;
  states: StateReport[];
  hello: (string | null)[];
}

const STARTING: StateReport = { state: "starting", error: null, restarts: 0 };

async function connected(handler: Partial<PortHandler>, work: (pair: Pair) => Promise<void>): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const states: StateReport[] = [];
  const hello: (string | null)[] = [];
  const client = new PortClient(port1 as unknown as Port, {
    hello: (alive) => hello.push(alive),
    state: (report) => states.push(report),
    mismatch: (protocol) => assert.fail(`mismatch with ${protocol}`),
  });
  const server = new PortServer(port2 as unknown as Port, {
    fetch: async () => new Response(null, { status: 404 }),
    control: async () => null,
    ...handler,
  }, { alive: "lock-1", state: STARTING });
  try {
    await work({ client, server, states, hello });
  } finally {
    client.end(new Error("test over"));
    server.close();
  }
}

const request = (path: string, init?: RequestInit) => new Request(`https://mob.local${path}`, init);
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

/** Waits for what other tasks bring about; the test's own time limit is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settled();
}

test("a request and its response cross unchanged", async () => {
  await connected({
    fetch: async (req) => new Response(`${req.method} ${new URL(req.url).pathname} ${req.headers.get("x-a")} ${await req.text()}`, {
      status: 201, statusText: "made", headers: { "content-type": "text/x-test" },
    }),
  }, async ({ client }) => {
    const response = await client.fetch(request("/console/rpc", { method: "POST", headers: { "x-a": "1" }, body: "grüß" }));
    assert.equal(response.status, 201);
    assert.equal(response.statusText, "made");
    assert.equal(response.headers.get("content-type"), "text/x-test");
    assert.equal(await response.text(), "POST /console/rpc 1 grüß");
  });
});

test("a request without a body crosses from a browser that cannot tell", async () => {
  await connected({ fetch: async (req) => new Response(`${req.method} ${req.body === null}`) }, async ({ client }) => {
    for (const method of ["GET", "POST"]) {
      // Firefox has no `Request.body`.
      const plain = Object.defineProperty(request("/x", { method }), "body", { value: undefined });
      assert.equal(await (await client.fetch(plain)).text(), `${method} true`);
    }
  });
});

test("hello and states arrive in order", async () => {
  await connected({}, async ({ server, states, hello }) => {
    server.state({ state: "leader", error: null, restarts: 1 });
    await until(() => states.length === 2);
    assert.deepEqual(hello, ["lock-1"]);
    assert.deepEqual(states.map((s) => [s.state, s.restarts]), [["starting", 0], ["leader", 1]]);
  });
});

test("statuses without a body", async () => {
  await connected({ fetch: async () => new Response(null, { status: 204 }) }, async ({ client }) => {
    const response = await client.fetch(request("/"));
    assert.equal(response.status, 204);
    assert.equal(response.body, null);
  });
});

test("a large body crosses whole, cut into chunks", async () => {
  const bytes = new Uint8Array(3 * CHUNK_BYTES + 17).map((_, i) => i % 251);
  await connected({ fetch: async () => new Response(bytes) }, async ({ client }) => {
    const response = await client.fetch(request("/"));
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
  });
});

test("a reader that does not read holds the source back", async () => {
  let made = 0;
  const source = () => new ReadableStream<Uint8Array>({
    pull(controller) {
      made += 1;
      controller.enqueue(new Uint8Array([made]));
    },
  }, { highWaterMark: 0 });
  await connected({ fetch: async () => new Response(source()) }, async ({ client }) => {
    const response = await client.fetch(request("/"));
    await settled();
    assert.ok(made <= READ_AHEAD, `${made} chunks were made for a reader that reads none`);
    const reader = response.body!.getReader();
    for (let i = 0; i < 100; i++) assert.equal((await reader.read()).value![0], (i + 1) % 256);
    await settled();
    assert.ok(made <= 100 + READ_AHEAD, `${made} chunks were made for a reader that read 100`);
    await reader.cancel();
  });
});

test("cancelling the body cancels its source", async () => {
  let cancelled!: () => void;
  const gone = new Promise<void>((resolve) => { cancelled = resolve; });
  const source = new ReadableStream<Uint8Array>({
    start(controller) { controller.enqueue(new Uint8Array([1])); },
    cancel() { cancelled(); },
  });
  await connected({ fetch: async () => new Response(source) }, async ({ client }) => {
    const reader = (await client.fetch(request("/"))).body!.getReader();
    await reader.read();
    await reader.cancel();
    await gone;
  });
});

test("abort before the response rejects and aborts the request's signal", async () => {
  let seen: AbortSignal | undefined;
  await connected({
    fetch: (req) => {
      seen = req.signal;
      return new Promise((_, reject) => req.signal.addEventListener("abort", () => reject(req.signal.reason)));
    },
  }, async ({ client }) => {
    const abort = new AbortController();
    const answer = client.fetch(request("/", { signal: abort.signal }));
    answer.catch(() => {});
    await until(() => seen !== undefined);
    abort.abort();
    await assert.rejects(answer, { name: "AbortError" });
    await until(() => seen!.aborted);
  });
});

test("abort in the body errors the reader and cancels the source", async () => {
  let cancelled = false;
  const source = () => new ReadableStream<Uint8Array>({
    start(controller) { controller.enqueue(new Uint8Array([1])); },
    cancel() { cancelled = true; },
  });
  await connected({ fetch: async () => new Response(source()) }, async ({ client }) => {
    const abort = new AbortController();
    const reader = (await client.fetch(request("/", { signal: abort.signal }))).body!.getReader();
    await reader.read();
    abort.abort();
    await assert.rejects(reader.read(), { name: "AbortError" });
    await until(() => cancelled);
  });
});

test("an error crosses as a MobkitError with code and data", async () => {
  await connected({
    control: async () => { throw new MobkitError("not_leader", "another tab holds the mob", { holder: "x" }); },
    fetch: async () => { throw new TypeError("no such thing"); },
  }, async ({ client }) => {
    await assert.rejects(client.control("take_over", null), (error) => {
      assert.ok(isMobkitError(error, "not_leader"));
      assert.deepEqual(error.data, { holder: "x" });
      return true;
    });
    await assert.rejects(client.fetch(request("/")), (error) => {
      assert.ok(isMobkitError(error, "error"));
      assert.deepEqual(error.data, { name: "TypeError", message: "no such thing" });
      return true;
    });
  });
});

test("an error in the middle of a body reaches the reader", async () => {
  let fail!: () => void;
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array([1]));
      fail = () => controller.error(new MobkitError("runtime_crashed", "boom"));
    },
  });
  await connected({ fetch: async () => new Response(source) }, async ({ client }) => {
    const reader = (await client.fetch(request("/"))).body!.getReader();
    await reader.read();
    fail();
    await assert.rejects(reader.read(), (error) => isMobkitError(error, "runtime_crashed"));
  });
});

test("controls answer with values and with streams", async () => {
  await connected({
    control: async (name, payload) => name === "export"
      ? new Blob(["a\n", "b\n"]).stream()
      : { name, payload },
  }, async ({ client }) => {
    assert.deepEqual(await client.control("usage", { a: [1] }), { name: "usage", payload: { a: [1] } });
    assert.equal(await new Response(await client.control("export", null) as ReadableStream).text(), "a\nb\n");
  });
});

test("a payload that cannot be cloned rejects at the caller", async () => {
  await connected({}, async ({ client }) => {
    await assert.rejects(client.control("start", { f: () => 1 }), { name: "DataCloneError" });
  });
});

test("the end of the connection fails everything open", async () => {
  const source = new ReadableStream<Uint8Array>({ start(controller) { controller.enqueue(new Uint8Array([1])); } });
  await connected({
    fetch: (req) => req.url.endsWith("/body") ? Promise.resolve(new Response(source)) : new Promise(() => {}),
  }, async ({ client }) => {
    const never = client.fetch(request("/never"));
    const reader = (await client.fetch(request("/body"))).body!.getReader();
    await reader.read();
    client.end(new MobkitError("runtime_crashed", "gone"));
    await assert.rejects(never, (error) => isMobkitError(error, "runtime_crashed"));
    await assert.rejects(reader.read(), (error) => isMobkitError(error, "runtime_crashed"));
    await assert.rejects(client.control("usage", null), (error) => isMobkitError(error, "runtime_crashed"));
  });
});
