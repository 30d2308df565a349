// The door of a server in front of the fake runtime: asks for a token, and can be shut. A `Send` for the remote's client.

import type { Outgoing, Send } from "../src/remote/relay.ts";
import type { FakeRuntime } from "./fake.ts";

export const BASE = "https://edge.example/mobs/demo";

export class Door {
  /** Tokens that are let in. */
  readonly valid = new Set<string>();
  /** Tokens that are known, and why they are not let in. */
  readonly refused = new Map<string, string>();
  /** Answers instead of the mob, in this order. */
  readonly instead: (() => Response | Promise<Response>)[] = [];
  /** Nobody answers at all. */
  down = false;
  /** Requests never get an answer. */
  mute = false;
  readonly asked: { url: string; method: string; headers: Record<string, string>; body: string | undefined }[] = [];

  constructor(readonly runtime: FakeRuntime) {}

  readonly send: Send = async (url, request) => {
    this.asked.push({ url, method: request.method, headers: request.headers, body: request.body });
    await Promise.resolve();
    request.signal?.throwIfAborted();
    if (this.mute) {
      return await new Promise((_, reject) => request.signal?.addEventListener("abort", () => reject(request.signal?.reason)));
    }
    if (this.down) throw Object.assign(new TypeError("Failed to fetch"), { code: "unreachable" });
    const other = this.instead.shift();
    return other ? await other() : await this.#answer(url, request);
  };

  async #answer(url: string, { method, headers, body, signal }: Outgoing): Promise<Response> {
    if (!url.startsWith(`${BASE}/`)) return new Response("not found", { status: 404 });
    const token = /^Bearer (.+)$/.exec(headers["authorization"] ?? "")?.[1];
    if (token === undefined) return refusal(401, "missing_credentials");
    if (!this.valid.has(token)) return refusal(401, this.refused.get(token) ?? "invalid_token");
    return await this.runtime.fetch(url.slice(BASE.length), { method, ...(body === undefined ? {} : { body }), ...(signal ? { signal } : {}) });
  }
}

export function refusal(status: number, reason: string, headers: Record<string, string> = {}): Response {
  const error = status === 401 ? "unauthorized" : reason;
  return Response.json({ error, reason, message: `the server says: ${reason}` }, { status, headers });
}
