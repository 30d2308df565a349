// Runs in the page beside the console, on a connection of its own to the same worker: tells the test what the runtime has
// answered and shown, and lets the test ask the runtime itself. The console knows nothing of it.

import { connectRuntime, type RuntimeClient } from "mobkit-web/client";
import { rpc } from "../../console/src/client.ts";
import { follow } from "../../console/src/follow.ts";
import { identityOf, type PersistedEvent, persistedOf, type StructuralEvent } from "../../console/src/wire.ts";
import type { Report, TranscriptMessage } from "./recording.ts";

declare global {
  interface Window {
    /** Set by the test. */
    mobReport?: (report: Report) => Promise<void>;
    /** For the test. */
    mob?: Observer;
  }
}

/** Events after which a transcript has grown. */
const GROWN = new Set(["run_started", "turn_completed", "tool_result_received", "run_completed", "run_failed", "interaction_complete"]);

export class Observer {
  readonly client: RuntimeClient;
  readonly #end = new AbortController();
  readonly #known = new Map<string, number>();

  constructor(readonly worker: Worker) {
    this.client = connectRuntime(worker, { locks: undefined, page: undefined });
    const options = { after: 0, signal: this.#end.signal };
    const rest = { gap: () => undefined };
    void follow(this.client as never, {
      page: async (after_seq, limit) => {
        const page = await this.rpc<{ events: StructuralEvent[]; next_after_seq: number }>("mobkit/mob_events/query", { after_seq, limit });
        return { items: page.events, gaps: [], next: page.next_after_seq };
      },
      streamUrl: (after) => `/mobkit/mob_events/stream?after_seq=${after}`,
      parse: ({ data }) => JSON.parse(data) as StructuralEvent,
      cursorOf: (event) => event.cursor,
    }, { ...rest, items: (ledger, live) => this.#tell({ ledger, live }) }, options);
    void follow(this.client as never, {
      page: async (after_seq, limit) => {
        const page = await this.rpc<{ events: PersistedEvent[]; next_after_seq: number; gaps: [] }>("mobkit/query_events", { after_seq, limit });
        return { items: page.events, gaps: page.gaps, next: page.next_after_seq };
      },
      streamUrl: (after) => `/mob/events?after_seq=${after}`,
      parse: persistedOf,
      cursorOf: (event) => event.seq,
    }, { ...rest, items: (events, live) => this.#onEvents(events, live) }, options);
  }

  rpc<T>(method: string, params: unknown = {}): Promise<T> {
    return rpc<T>(this.client as never, method, params);
  }

  control(name: string, payload?: unknown): Promise<unknown> {
    const control = this.client.control.bind(this.client) as (name: string, payload: unknown) => Promise<unknown>;
    return control(name, payload);
  }

  end(): void {
    this.#end.abort();
    this.client.close();
  }

  #tell(report: Report): void {
    void window.mobReport?.(report);
  }

  #onEvents(events: PersistedEvent[], live: boolean): void {
    this.#tell({ events, live });
    const grown = new Set<string>();
    for (const { event } of events) if (event.kind === "agent" && GROWN.has(event.event_type)) grown.add(identityOf(event.agent_id));
    for (const identity of grown) void this.#readTranscript(identity);
  }

  async #readTranscript(identity: string): Promise<void> {
    const offset = this.#known.get(identity) ?? 0;
    const { messages } = await this.rpc<{ messages: TranscriptMessage[] }>("mobkit/session_history", { member_id: identity, offset, limit: 1000 });
    if (messages.length === 0 || this.#end.signal.aborted) return;
    this.#known.set(identity, Math.max(this.#known.get(identity) ?? 0, offset + messages.length));
    this.#tell({ identity, transcript: messages });
  }
}

// The console's worker is met at its birth; one that takes the place of a dead one too.
const PlainWorker = window.Worker;
window.Worker = class extends PlainWorker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    window.mob?.end();
    window.mob = new Observer(this);
  }
};
