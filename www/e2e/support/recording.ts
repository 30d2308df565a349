// What the runtime acknowledged, kept outside the browser, and held against what is stored.

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { AgentEventPayload, PersistedEvent, StructuralEvent } from "../../console/src/wire.ts";

/** A message of a transcript as `mobkit/session_history` answers. */
export interface TranscriptMessage {
  number: number;
  timestamp_ms: number;
  interaction_id: string;
  message: { role: string; from?: string; content?: unknown; text?: string; [key: string]: unknown };
}

/** What the page tells. `live` is false for what a new page reads of the past. */
export type Report =
  | { ledger: StructuralEvent[]; live: boolean }
  | { events: PersistedEvent[]; live: boolean }
  | { identity: string; transcript: TranscriptMessage[] };

/** What the plain reader finds. */
export interface Stored {
  ledger: [number, { timestamp_ms: number; kind: { type: string } }][];
  events: [number, unknown][];
  session: (TranscriptMessage & { session_id: string; work_id: string })[];
  box: WorkItem[];
  turn: { item: WorkItem; absorbed: WorkItem[] }[];
  interaction: { interaction_id: string; status: string; result?: string }[];
  member: { spec: { identity: string }; session_id: string }[];
  edge: { a: string; b: string }[];
}

interface WorkItem {
  work_id: string;
  to: string;
  content: unknown;
}

/** A message that was put into a mailbox, durably before anyone heard of it. */
interface Accepted {
  workId: string;
  to: string;
  content: string;
}

export class Recording {
  readonly ledger = new Map<number, StructuralEvent>();
  readonly events = new Map<number, PersistedEvent>();
  readonly transcripts = new Map<string, Map<number, TranscriptMessage>>();
  readonly accepted: Accepted[] = [];
  /** Numbers that have named two things. */
  readonly #renamed: string[] = [];
  /** Called for each thing that happened now, in order. */
  onLive: (what: StructuralEvent | PersistedEvent) => void = () => undefined;

  /** What was acknowledged until now: who goes on meanwhile adds nothing to it. */
  untilNow(): Recording {
    const copy = new Recording();
    for (const [cursor, entry] of this.ledger) copy.ledger.set(cursor, entry);
    for (const [seq, event] of this.events) copy.events.set(seq, event);
    for (const [identity, transcript] of this.transcripts) copy.transcripts.set(identity, new Map(transcript));
    copy.accepted.push(...this.accepted);
    copy.#renamed.push(...this.#renamed);
    return copy;
  }

  /** For another storage, whose numbers begin anew. */
  forget(): void {
    this.ledger.clear();
    this.events.clear();
    this.transcripts.clear();
    this.accepted.length = 0;
    this.#renamed.length = 0;
  }

  take(report: Report): void {
    if ("ledger" in report) {
      for (const entry of report.ledger) {
        this.#same(this.ledger, entry.cursor, entry, "ledger entry");
        if (report.live) this.onLive(entry);
      }
    } else if ("events" in report) {
      for (const event of report.events) {
        this.#same(this.events, event.seq, event, "event");
        this.#accept(event);
        if (report.live) this.onLive(event);
      }
    } else {
      let known = this.transcripts.get(report.identity);
      if (!known) this.transcripts.set(report.identity, (known = new Map()));
      for (const message of report.transcript) this.#same(known, message.number, message, `transcript entry of ${report.identity}`);
    }
  }

  /** A number never names another thing, whatever died in between. */
  #same<T>(known: Map<number, T>, number: number, what: T, name: string): void {
    const before = known.get(number);
    if (before !== undefined && !isDeepStrictEqual(what, before)) this.#renamed.push(`${name} ${number} was ${JSON.stringify(before)} and is ${JSON.stringify(what)}`);
    known.set(number, what);
  }

  #accept(event: PersistedEvent): void {
    const { identity, payload } = agentEvent(event) ?? {};
    if (identity === undefined || payload?.work_id === undefined) return;
    if (payload.type !== "user_input" && payload.type !== "peer_message") return;
    if (this.accepted.some((item) => item.workId === payload.work_id)) return;
    this.accepted.push({ workId: payload.work_id, to: identity, content: String(payload["content"]) });
  }

  /** The payloads of an interaction's events, by their type. */
  of(interactionId: string, type: string): AgentEventPayload[] {
    return [...this.events.values()].flatMap((event) => {
      const payload = agentEvent(event)?.payload;
      return payload?.type === type && payload.interaction_id === interactionId ? [payload] : [];
    });
  }

  /** Everything acknowledged is there, as it was acknowledged. */
  assertStored(stored: Stored): void {
    assert.deepEqual(this.#renamed, []);
    const ledger = new Map(stored.ledger);
    for (const [cursor, entry] of this.ledger) {
      const row = ledger.get(cursor);
      assert.ok(row, `ledger entry ${cursor} (${entry.kind}) was shown and is not stored`);
      assert.deepEqual([row.kind.type, row.timestamp_ms], [entry.kind, entry.timestamp_ms], `ledger entry ${cursor}`);
    }
    const sessions = new Map(stored.member.map((member) => [member.spec.identity, member.session_id]));
    const entries = new Map(stored.session.map((entry) => [`${entry.session_id} ${entry.number}`, entry]));
    for (const [identity, transcript] of this.transcripts) {
      for (const [number, told] of transcript) {
        const row = entries.get(`${sessions.get(identity)} ${number}`);
        assert.ok(row, `transcript entry ${number} of ${identity} was shown and is not stored`);
        assert.deepEqual([row.message, row.interaction_id], [told.message, told.interaction_id], `transcript entry ${number} of ${identity}`);
      }
    }
    const turns = stored.turn.flatMap((turn) => [turn.item, ...turn.absorbed]);
    for (const { workId, to, content } of this.accepted) {
      const open = [...stored.box, ...turns].find((item) => item.work_id === workId);
      if (open) assert.deepEqual([open.to, open.content], [to, content], `the message ${workId}`);
      else assert.ok(stored.session.some((entry) => entry.work_id === workId), `the message ${workId} to ${to} was accepted; it neither waits, nor is it worked on, nor in a transcript`);
    }
  }
}

/** An agent's event with whose it is. */
export function agentEvent(event: PersistedEvent): { identity: string; payload: AgentEventPayload } | undefined {
  if (event.event.kind !== "agent" || !event.event.payload) return undefined;
  const id = event.event.agent_id;
  return { identity: id.slice(0, id.lastIndexOf(":")), payload: event.event.payload };
}
