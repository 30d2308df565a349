// A mob that a server has: a real runtime in this process behind real HTTP, a token and CORS, as a page of another origin meets it.

import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { demoModel, init, memory, UnifiedRuntime } from "mobkit-web";

const WASM = new URL("../../sdk/dist/mobkit_web_bg.wasm", import.meta.url);
const DEMO = new URL("../../console/public/demo.toml", import.meta.url);
/** Below this path the mob is served; the door knows no other. */
const PATH = "/mobs/demo";

/** What the door has let in or not. */
export interface Asked {
  method: string;
  path: string;
  token: string | undefined;
  status: number;
}

export class RemoteMob {
  /** Tokens that are let in. */
  readonly tokens = new Set<string>();
  /** Tokens that were let in once. */
  readonly expired = new Set<string>();
  readonly asked: Asked[] = [];
  readonly #streams = new Set<ServerResponse>();
  #server: Server | undefined;
  #port = 0;

  private constructor(readonly runtime: UnifiedRuntime) {}

  static async start(options: { pace?: number; modules?: string[] } = {}): Promise<RemoteMob> {
    await init({ wasm: readFileSync(WASM) });
    const builder = UnifiedRuntime.builder();
    for (const module of options.modules ?? []) builder.module(module);
    const runtime = await builder
      .definition(readFileSync(DEMO, "utf8"))
      .storage(memory())
      .defaultModel(demoModel({ pace: options.pace ?? 1 }))
      .build();
    const mob = new RemoteMob(runtime);
    await mob.up();
    return mob;
  }

  /** The mob's address, without a slash at its end. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}${PATH}`;
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Listens, where it did before if it did. The mob itself has worked on meanwhile. */
  async up(): Promise<void> {
    const server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        // A client that has gone hears nothing; one that is there sees its connection end.
        if (!response.destroyed) response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Is gone from the network, with every connection. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  /** Asks the mob itself, beside whoever looks on. */
  async rpc(method: string, params: unknown): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await this.runtime.fetch(new Request("https://mob.local/console/rpc", { method: "POST", headers: { "content-type": "application/json" }, body }));
    return await answer.json();
  }

  /** Ends every open stream, as servers do when they start anew. */
  cut(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  /** A token that was let in is so no more, and whoever came with it is put out. */
  expire(token: string): void {
    this.tokens.delete(token);
    this.expired.add(token);
    this.cut();
  }

  async close(): Promise<void> {
    await this.down();
    await this.runtime.shutdown();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? "/";
    response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
    response.setHeader("vary", "origin");
    if (request.method === "OPTIONS") {
      response.setHeader("access-control-allow-methods", "GET, POST");
      response.setHeader("access-control-allow-headers", "authorization, content-type, last-event-id");
      response.writeHead(204).end();
      return;
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const refused = this.#refusal(url, token);
    if (refused) {
      this.#note(request, token, refused.status);
      response.writeHead(refused.status, { "content-type": "application/json" }).end(JSON.stringify(refused.body));
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const answer = await this.runtime.fetch(new Request(`https://mob.local${url.slice(PATH.length)}`, {
      method: request.method ?? "GET",
      headers: Object.entries(request.headers).flatMap(([name, value]): [string, string][] => (typeof value === "string" && name !== "authorization" ? [[name, value]] : [])),
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
      signal: gone.signal,
    }));
    this.#note(request, token, answer.status);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.flushHeaders();
    await this.#pipe(answer, response);
  }

  /** What the door answers instead of the mob. */
  #refusal(url: string, token: string | undefined): { status: number; body: unknown } | undefined {
    const path = url.split("?")[0] ?? "";
    if (!path.startsWith(`${PATH}/`)) return { status: 404, body: { error: "not_found" } };
    if (path === `${PATH}/healthz`) return undefined;
    const unauthorized = (reason: string, message: string) => ({ status: 401, body: { error: "unauthorized", reason, message } });
    if (token === undefined) return unauthorized("missing_credentials", "a bearer token is needed");
    if (this.expired.has(token)) return unauthorized("expired_token", "the token's time is over");
    if (!this.tokens.has(token)) return unauthorized("invalid_token", "the token is not one of ours");
    return undefined;
  }

  async #pipe(answer: Response, response: ServerResponse): Promise<void> {
    const reader = answer.body?.getReader();
    this.#streams.add(response);
    try {
      while (reader && !response.destroyed) {
        const { done, value } = await reader.read();
        if (done) break;
        if (!response.write(value)) await new Promise<void>((resolve) => {
          response.once("drain", resolve);
          response.once("close", resolve);
        });
      }
      response.end();
    } catch (error) {
      // The reading ends with the client that was read for.
      if (!response.destroyed) throw error;
    } finally {
      this.#streams.delete(response);
      await reader?.cancel().catch(() => undefined);
    }
  }

  #note({ method = "", url = "" }: IncomingMessage, token: string | undefined, status: number): void {
    this.asked.push({ method, path: url, token, status });
  }
}
