// A client of mobs that are served: what the tests ask of them.

import assert from "node:assert/strict";

export class Mobs {
  readonly #url: () => string;
  readonly #token: string;
  readonly #said: () => string;

  constructor(url: () => string, token: string, said: () => string = () => "") {
    this.#url = url;
    this.#token = token;
    this.#said = said;
  }

  ask(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.#url()}${path}`, { signal: AbortSignal.timeout(60_000), ...init, headers: { authorization: `Bearer ${this.#token}`, ...init.headers } });
  }

  async json(path: string, init: RequestInit = {}): Promise<any> {
    const response = await this.ask(path, init);
    const text = await response.text();
    assert.ok(response.ok, `${path}: HTTP ${response.status}: ${text}\n${this.#said()}`);
    return text === "" ? null : JSON.parse(text);
  }

  async make(mob: string, definition?: string): Promise<void> {
    await this.json(`/mobs/${mob}`, { method: "PUT", ...(definition === undefined ? {} : { body: JSON.stringify({ definition }) }) });
  }

  async rpc(mob: string, method: string, params: object = {}): Promise<any> {
    const answer = await this.json(`/mobs/${mob}/console/rpc`, { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    assert.ok(answer.result !== undefined, `${method}: ${JSON.stringify(answer)}\n${this.#said()}`);
    return answer.result;
  }

  async send(mob: string, message: string, key?: string): Promise<string> {
    const { interaction_id } = await this.rpc(mob, "mobkit/send_message", { member_id: "lead", message, idempotency_key: key });
    return interaction_id;
  }

  /** The outcome of a conversation, whatever happens to the mob meanwhile. */
  async outcome(mob: string, interaction_id: string): Promise<any> {
    let outcome = { status: "open" };
    while (outcome.status === "open") outcome = await this.rpc(mob, "mobkit/wait_interaction", { interaction_id, timeout_ms: 30_000 });
    return outcome;
  }

  /** All agent events of a mob so far, without their cursors. */
  async events(mob: string): Promise<any[]> {
    return (await this.rpc(mob, "mobkit/query_events", { after_seq: 0 })).events.map((stored: any) => stored.event);
  }

  /** Reads an event stream up to the first event that is `last`. */
  async stream(path: string, last: (event: SseEvent) => boolean, headers: Record<string, string> = {}): Promise<SseEvent[]> {
    const ending = new AbortController();
    const response = await this.ask(path, { headers, signal: AbortSignal.any([ending.signal, AbortSignal.timeout(60_000)]) });
    assert.equal(response.status, 200, `${path}\n${this.#said()}`);
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    const events: SseEvent[] = [];
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parse(block);
        if (!event) continue;
        events.push(event);
        if (!last(event)) continue;
        ending.abort();
        return events;
      }
    }
    assert.fail(`${path} ended after ${JSON.stringify(events.at(-1))}\n${this.#said()}`);
  }
}

export interface SseEvent {
  id: string;
  event: string;
  data: any;
}

function parse(block: string): SseEvent | undefined {
  const field = (name: string): string | undefined => block.match(new RegExp(`^${name}: (.*)$`, "m"))?.[1];
  const data = field("data");
  return data === undefined ? undefined : { id: field("id") ?? "", event: field("event") ?? "message", data: JSON.parse(data) };
}

/** Waits until something is so. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
