// Events as they are stored and streamed (MobKit contract, sections 1, 9 and 10.4).

import type { AgentEvent } from "./agent-event.js";
import type { CursorInput, Json, TimestampMs } from "./common.js";

/** An event of an agent or of a module. The payload of an agent event names its interaction when it has one. */
export type UnifiedEvent =
  | {
      kind: "agent"; agent_id: string; event_type: string;
      payload: AgentEvent & { interaction_id?: string; work_id?: string };
    }
  | { kind: "module"; module: string; event_type: string; payload: Json };

/** One entry of the event log. `Seq` is `bigint` in objects of this package, `CursorJson` in the fetch contract's JSON. */
export interface PersistedEvent<Seq = bigint> {
  type?: undefined;
  id: string;
  seq: Seq;
  timestamp_ms: TimestampMs;
  member_id: string | null;
  event: UnifiedEvent;
}

/** Entries `from` to `to` (both included) of a log are not there: retention took them, or the last run ended uncleanly. */
export interface EventGap<Seq = bigint> {
  type: "gap";
  from: Seq;
  to: Seq;
  reason: "retention" | "unclean_stop";
}

/** What an event stream yields: entries in order, and gaps where entries are missing. */
export type LogItem<Seq = bigint> = PersistedEvent<Seq> | EventGap<Seq>;

/** A filter over the ledger or the event log. Every field is optional; an empty `event_types` means any. */
export interface EventQuery {
  /** Inclusive. */
  since_ms?: TimestampMs;
  /** Exclusive. */
  until_ms?: TimestampMs;
  member_id?: string;
  identity?: string;
  mob_id?: string;
  run_id?: string;
  step_id?: string;
  event_types?: string[];
  limit?: number;
  /** Exclusive. */
  after_seq?: CursorInput;
}

/** A page of agent events, ascending. */
export interface EventsPage<Seq = bigint> {
  events: PersistedEvent<Seq>[];
  next_after_seq: Seq;
  gaps: { from: Seq; to: Seq; reason: EventGap["reason"] }[];
}
