// From the contract's JSON to the objects of this package and back: the one place that knows which fields differ.
//
// Cursors are `bigint` here and numbers there, from 2^53 on strings of digits; on the way in they always go as digits.
// Options and receipts are camelCase here. Everything else is passed on unchanged.

import type { EventsPage, LogItem, PersistedEvent } from "./contract/event.js";
import type { MobEventsPage, MobStructuralEventEnvelope } from "./contract/mob-event.js";
import type { AgentErrorClass } from "./contract/agent-event.js";
import type { CursorInput, CursorJson, Usage } from "./contract/common.js";
import type { SessionHistory, SpawnReceipt, TranscriptMessage } from "./contract/member.js";
import type { RuntimeStatus } from "./contract/report.js";

/** A message was accepted and is durable. */
export interface Accepted {
  /** What to follow. */
  interactionId: string;
  identity: string;
  sessionId: string;
  /** It had been accepted before, under the same idempotency key. */
  repeated: boolean;
}

/** How an interaction ended. */
export interface InteractionOutcome {
  interactionId: string;
  status: "completed" | "failed" | "cancelled";
  /** The last words of the member that was asked; empty when it said nothing. */
  result: string;
  /** Why it failed or was cancelled. */
  error: { class: AgentErrorClass; message: string } | null;
  /** Tokens of all members that worked on it. */
  usage: Usage;
  /** Turns of all members that worked on it. */
  turns: number;
}

/** JSON text of arguments. */
export function args(value: unknown): string {
  return JSON.stringify(value ?? {});
}

/** A cursor as JSON takes it. A number that is not exact is written as no cursor is, and is refused. */
export function cursorArg(cursor: CursorInput | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  return typeof cursor === "number" && !Number.isSafeInteger(cursor) ? cursor.toExponential() : String(cursor);
}

/** A query as JSON takes it. */
export function queryArg<Query extends { after_seq?: CursorInput }>(query: Query): unknown {
  return { ...query, after_seq: cursorArg(query.after_seq) };
}

/** An entry or a gap of the event log; converted in place, for there are many. */
export function logItem(item: LogItem<CursorJson>): LogItem {
  if (item.type === "gap") return { ...item, from: BigInt(item.from), to: BigInt(item.to) };
  return Object.assign(item, { seq: BigInt(item.seq) });
}

/** An agent event on its way to a store. */
export function persistedEvent(event: PersistedEvent<CursorJson>): PersistedEvent {
  return { ...event, seq: BigInt(event.seq) };
}

/** A ledger entry. */
export function mobEvent(event: MobStructuralEventEnvelope<CursorJson>): MobStructuralEventEnvelope {
  return { ...event, cursor: BigInt(event.cursor) };
}

/** A page of ledger entries. */
export function mobEventsPage(page: MobEventsPage<CursorJson>): MobEventsPage {
  return {
    events: page.events.map(mobEvent),
    next_after_seq: BigInt(page.next_after_seq),
    resume_after_seq: BigInt(page.resume_after_seq),
  };
}

/** A page of agent events. */
export function eventsPage(page: EventsPage<CursorJson>): EventsPage {
  return {
    events: page.events.map((event) => ({ ...event, seq: BigInt(event.seq) })),
    next_after_seq: BigInt(page.next_after_seq),
    gaps: page.gaps.map((gap) => ({ ...gap, from: BigInt(gap.from), to: BigInt(gap.to) })),
  };
}

/** The status of the runtime. */
export function status(value: RuntimeStatus<CursorJson>): RuntimeStatus {
  return {
    ...value,
    latest_mob_cursor: BigInt(value.latest_mob_cursor),
    latest_event_cursor: BigInt(value.latest_event_cursor),
  };
}

/** The receipt of a message. */
export function accepted(value: { interaction_id: string; member_id: string; session_id: string; repeated: boolean }): Accepted {
  const { interaction_id, member_id, session_id, repeated } = value;
  return { interactionId: interaction_id, identity: member_id, sessionId: session_id, repeated };
}

/** A receipt of a new incarnation, as the contract has it. */
export type RawReceipt = Omit<SpawnReceipt, "identity"> & { meerkat_id: string };

/** The receipt of a new incarnation. */
export function receipt({ meerkat_id, generation, fence_token, session_id }: RawReceipt): SpawnReceipt {
  return { identity: meerkat_id, generation, fence_token, session_id };
}

type RawMessage = Pick<TranscriptMessage, "number" | "timestamp_ms" | "interaction_id"> & { message: Omit<TranscriptMessage, "number" | "timestamp_ms" | "interaction_id"> };

/** A window of a transcript. */
export function history({ messages, total }: { messages: RawMessage[]; total: number }): SessionHistory {
  return { messages: messages.map(({ message, ...rest }) => ({ ...message, ...rest }) as TranscriptMessage), total };
}

/** The end of an interaction. */
export function outcome(value: Omit<InteractionOutcome, "interactionId"> & { interaction_id: string }): InteractionOutcome {
  const { interaction_id, ...rest } = value;
  return { interactionId: interaction_id, ...rest };
}
