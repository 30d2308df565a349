// The console's timeline: frames, pages and sending (MobKit contract, sections 11 and 12).

import type { ContentInput, HandlingMode, Json, Labels, TimestampMs } from "./common.js";

/** A place in the timeline: `console:` and a number. */
export type ConsoleCursor = `console:${number}` | (string & {});

/** How far what a frame tells of has come. A message is `accepted`, then `delivered` (or `delivery_failed`), then `completed`. */
export type ConsoleFrameStatus = "accepted" | "dispatching" | "delivered" | "delivery_failed" | "completed" | "redacted";

/** One frame of the timeline. Its id and its place are its event's, over restarts too. */
export interface ConsoleFrame {
  id: string;
  cursor: ConsoleCursor;
  /** Equal for the same frame, whoever stores it. */
  dedupe_key: string;
  timestamp_ms: TimestampMs;
  /** The mob's name. */
  runtime_key: string;
  /** Whose; `__console__` for frames about the timeline itself, `_system` for the first one. */
  identity: string;
  /** Which incarnation: `{identity}:{generation}`. */
  conversation_id?: string;
  /**
   * An agent event's type, where the end of a run is `interaction_complete` or `interaction_failed` unless the interaction goes on;
   * `frame_updated` (in pages alone), `replay_unavailable`, `runtime_bootstrapped`.
   */
  kind: string;
  status: ConsoleFrameStatus;
  /** Grows with the status. */
  frame_version: number;
  updated_at_ms?: TimestampMs;
  /** The event, and its type as `source_event_type`. */
  payload: { [name: string]: Json };
  source: { kind: "console_event" | "session_history" | "send" | "synthetic"; source_cursor?: string };
  source_event_id?: string;
  interaction_id?: string;
}

/** Which frames. Those of a page are always ascending. */
export interface ConsoleTimelineQuery {
  identity?: string;
  conversation_id?: string;
  /** Exclusive; with mode `since`. */
  after?: ConsoleCursor;
  /** Exclusive; with mode `recent`. */
  before?: ConsoleCursor;
  /** From a cursor or the beginning on (the default), or from the newest or a cursor back. */
  mode?: "since" | "recent";
  /** 1 to 1 000. Default: 200. */
  limit?: number;
}

/** A part of the timeline. */
export interface ConsoleTimelinePage {
  frames: ConsoleFrame[];
  /** Where the next page begins: `after` it in mode `since`, `before` it in mode `recent`. */
  next_cursor: ConsoleCursor | null;
  latest_cursor: ConsoleCursor;
  /** Whether the direction has nothing more now. */
  exhausted: boolean;
}

/** What a reader of the timeline hears: a snapshot, and then what comes. */
export type ConsoleTimelineEvent =
  | { type: "snapshot_started"; after: ConsoleCursor | null }
  | { type: "console_frame"; frame: ConsoleFrame }
  /** A frame that was told before has another status. */
  | { type: "frame_updated"; frame: ConsoleFrame }
  | { type: "snapshot_complete"; cursor: ConsoleCursor | null };

/** A person's message, sent once however often it is asked for. */
export interface ConsoleSendRequest {
  identity: string;
  content: ContentInput;
  /** Where it comes from, e.g. `console`. */
  origin: string;
  /** Equal for the same message to the same member. */
  idempotency_key: string;
  /** Default: `queue`. */
  handling_mode?: HandlingMode;
}

/** A message that the timeline has. */
export interface ConsoleInteractionAccepted {
  interaction_id: string;
  identity: string;
  conversation_id?: string;
  session_id?: string;
  /** Its `user_input` frame, and the place of that. */
  input_frame_id: string;
  cursor: ConsoleCursor;
  status: ConsoleFrameStatus;
}

/** A member as a console lists it. */
export interface ConsoleIdentityRecord {
  identity: string;
  /** Its label `display_name`, else its name. */
  display_name: string;
  runtime_key: string;
  /** `{identity}:{generation}`. */
  runtime_member_id: string;
  session_id?: string;
  visibility: "addressable" | "hidden" | "retired_readable" | "unreachable";
  addressable: boolean;
  /** Its activity. */
  health: string;
  topology_peers: string[];
  labels: Labels;
}

/** A member and those it can reach. */
export interface ConsoleIdentityInspection {
  identity: ConsoleIdentityRecord;
  peers: ConsoleIdentityRecord[];
  /** What it is doing for whoever waits for it; null when nobody does. */
  response_phase: "waiting" | "generating" | "tool-executing" | null;
}
