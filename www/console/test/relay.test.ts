// The worker that carries requests to other servers, without a thread: what goes out, how fast it comes back, and how it ends.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConsoleError } from "../src/client.ts";
import { relayed, serveRelay } from "../src/remote/relay.ts";

const code = (code: string) => (error: unknown): boolean => error instanceof ConsoleError && error.code === code;

describe("the worker that carries requests", () => {
  type Listener = (event: any) => void;
  /** A worker without a thread: both sides of the relay, and the messages between them. */
  function relay(send: typeof fetch) {
    const worker: Listener[] = [];
    const page: Listener[] = [];
    serveRelay({ addEventListener: (_: string, listener: Listener) => void worker.push(listener) } as never, send);
    return {
      send: relayed({
        postMessage: (data: unknown, ports: unknown) => {
          for (const listener of worker) listener({ data: structuredClone(data), ports });
        },
        addEventListener: (_: string, listener: Listener) => void page.push(listener),
      } as never),
      fail: (message: string) => {
        for (const listener of page) listener({ message });
      },
    };
  }

  test("sends what it is given, without cookies, and follows no redirection", async () => {
    const asked: [string, RequestInit][] = [];
    const { send } = relay((async (url: string, init: RequestInit) => {
      asked.push([url, init]);
      return new Response("pong", { status: 201, headers: { "x-a": "b" } });
    }) as never);
    const response = await send("https://edge.example/x", { method: "POST", headers: { authorization: "Bearer t" }, body: "ping" });
    assert.deepEqual([response.status, response.headers.get("x-a"), await response.text()], [201, "b", "pong"]);
    const [url, init] = asked[0] ?? assert.fail("nothing was sent");
    assert.deepEqual([url, init.method, init.headers, init.body], ["https://edge.example/x", "POST", { authorization: "Bearer t" }, "ping"]);
    assert.deepEqual([init.credentials, init.redirect, init.cache, init.referrerPolicy], ["omit", "manual", "no-store", "no-referrer"]);
  });

  test("streams, no faster than they are read; a reader that leaves ends the request", async () => {
    let produced = 0;
    let cancelled = false;
    const { send } = relay((async (_: string, { signal }: RequestInit) => {
      signal?.addEventListener("abort", () => (cancelled = true));
      return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array([produced++])) }, { highWaterMark: 0 }));
    }) as never);
    const reader = (await send("https://edge.example/x", { method: "GET", headers: {} })).body?.getReader();
    for (let n = 0; n < 5; n++) assert.deepEqual((await reader?.read())?.value, new Uint8Array([n]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(produced <= 7, `${produced} chunks were read ahead`);
    await reader?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(cancelled, true);
  });

  test("aborts, fails and is dead with a reason", async () => {
    const { send, fail } = relay((async (url: string, { signal }: RequestInit) => {
      if (url.endsWith("fails")) throw new TypeError("Failed to fetch");
      if (url.endsWith("cut")) return new Response(new ReadableStream({ start: (controller) => controller.error(new TypeError("network error")) }));
      return await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    }) as never);
    const get = (name: string, signal?: AbortSignal) => send(`https://edge.example/${name}`, { method: "GET", headers: {}, ...(signal ? { signal } : {}) });
    await assert.rejects(get("fails"), (error: unknown) => code("unreachable")(error) && /Failed to fetch/.test((error as Error).message));
    await assert.rejects((await get("cut")).text(), /broke off \(network error\)/);
    const abort = new AbortController();
    const aborted = assert.rejects(get("hangs", abort.signal), { name: "AbortError" });
    abort.abort();
    await aborted;
    const dead = assert.rejects(get("hangs"), code("relay_failed"));
    fail("404");
    await dead;
    await assert.rejects(get("hangs"), code("relay_failed"));
  });
});
