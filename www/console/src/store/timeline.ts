// The timeline as rows: which frames a person reads, in which words, and how what comes later changes them.

import type { ConsoleFrame, TimelineEvent, TimelinePage } from "../wire.ts";
import { contentText } from "../wire.ts";
import { oneLine } from "./feed.ts";

/** Rows that are kept; more go out at the beginning. */
export const TIMELINE_LIMIT = 20_000;

/** What has been read of the timeline. */
export interface Timeline {
  /** Those that are shown, ascending, each once. */
  rows: ConsoleFrame[];
  /** Up to where everything was told. */
  latest: number;
  /** Where older ones end, for the next look back; undefined when there are none. */
  before: string | undefined;
}

export const emptyTimeline = (): Timeline => ({ rows: [], latest: 0, before: undefined });

/** The number in `console:7`. */
export function numberOf(cursor: string): number {
  return Number(cursor.slice(cursor.indexOf(":") + 1));
}

type Words = [what: string, text: (payload: Record<string, unknown>) => string];

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const failed = (payload: Record<string, unknown>): string => text(payload["error"]);

/** What a person reads, by kind. Deltas and the bookkeeping of runs and turns are not among it. */
const WORDS: Readonly<Record<string, Words>> = {
  user_input: ["message", (payload) => contentText(payload["content"])],
  peer_message: ["from a peer", (payload) => `${text(payload["from"])}: ${contentText(payload["content"])}`],
  text_complete: ["says", (payload) => text(payload["content"])],
  tool_execution_completed: ["tool", (payload) => `${text(payload["name"])}${payload["is_error"] === true ? " failed" : ""}: ${text(payload["result"])}`],
  tool_execution_timed_out: ["tool", (payload) => `${text(payload["name"])} took too long`],
  interaction_complete: ["done", (payload) => text(payload["result"])],
  interaction_failed: ["failed", failed],
  run_failed: ["run failed", failed],
  retrying: ["asks again", failed],
  model_unavailable: ["waits", (payload) => `for the model ${text(payload["model"])}: ${text(payload["reason"])}`],
  history_truncated: ["forgets", (payload) => `${String(payload["omitted_messages"])} older messages were left out of the request`],
  identity_retired: ["left", () => "the mob"],
  identity_respawned: ["begins anew", () => "with an empty transcript"],
  replay_unavailable: ["missing", (payload) => `what was between ${text(payload["requested_cursor"])} and ${text(payload["latest_cursor"])}: ${text(payload["reason"]).replace("_", " ")}`],
  runtime_bootstrapped: ["begins", () => "the mob"],
};

/** Whether a frame is a row. */
export function isShown({ kind }: ConsoleFrame): boolean {
  return kind in WORDS;
}

/** What happened, in a word or two; a message says how far it has come. */
export function whatOf(frame: ConsoleFrame): string {
  const what = WORDS[frame.kind]?.[0] ?? frame.kind;
  return frame.kind === "user_input" ? `${what}, ${frame.status.replace("_", " ")}` : what;
}

/** A frame's own words, in one line. */
export function textOf(frame: ConsoleFrame): string {
  return oneLine(WORDS[frame.kind]?.[1](frame.payload) ?? "", 240);
}

/** Folds what was told. Answers whether a row changed. */
export function foldTimeline(timeline: Timeline, events: readonly TimelineEvent[]): boolean {
  let changed = false;
  for (const event of events) {
    if (event.type === "console_frame") {
      const at = numberOf(event.frame.cursor);
      // A stream that was taken up again may begin a little earlier.
      if (at <= timeline.latest) continue;
      timeline.latest = at;
      if (!isShown(event.frame)) continue;
      timeline.rows.push(event.frame);
      changed = true;
    } else if (event.type === "frame_updated") {
      changed = replace(timeline, event.frame) || changed;
    }
  }
  if (timeline.rows.length > TIMELINE_LIMIT) {
    timeline.rows.splice(0, timeline.rows.length - TIMELINE_LIMIT);
    timeline.before = timeline.rows[0]?.cursor;
  }
  return changed;
}

/** Another status of a frame. One that is not loaded is read as it is by then. */
function replace({ rows }: Timeline, frame: ConsoleFrame): boolean {
  const wanted = numberOf(frame.cursor);
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numberOf(rows[middle]?.cursor ?? "") < wanted) low = middle + 1;
    else high = middle;
  }
  const known = rows[low];
  if (known?.id !== frame.id || known.frame_version >= frame.frame_version) return false;
  rows[low] = frame;
  return true;
}

/** Puts a page of older frames before what is there; the first page begins the timeline. */
export function foldPage(timeline: Timeline, page: TimelinePage): void {
  const first = timeline.rows[0];
  const before = first ? numberOf(first.cursor) : Number.POSITIVE_INFINITY;
  const older = page.frames.filter((frame) => isShown(frame) && numberOf(frame.cursor) < before);
  timeline.rows.unshift(...older);
  if (!first) timeline.latest = Math.max(timeline.latest, numberOf(page.latest_cursor));
  timeline.before = page.exhausted ? undefined : (page.next_cursor ?? undefined);
}

/** What a person chose to see. */
export interface TimelineFilter {
  identity: string;
  interaction: string;
}

export const WHOLE: TimelineFilter = { identity: "", interaction: "" };

/** The rows of one member, of one message with all that followed from it, or both. Holes are always among them. */
export function filtered(rows: readonly ConsoleFrame[], { identity, interaction }: TimelineFilter): readonly ConsoleFrame[] {
  if (identity === "" && interaction === "") return rows;
  return rows.filter(
    (frame) => frame.kind === "replay_unavailable" || ((identity === "" || frame.identity === identity) && (interaction === "" || frame.interaction_id === interaction)),
  );
}

/** The last messages, newest first, to choose one from. */
export function messagesOf(rows: readonly ConsoleFrame[], most = 50): { interaction: string; words: string }[] {
  const messages: { interaction: string; words: string }[] = [];
  for (let at = rows.length - 1; at >= 0 && messages.length < most; at--) {
    const frame = rows[at];
    if (frame?.kind === "user_input" && frame.interaction_id !== undefined) messages.push({ interaction: frame.interaction_id, words: oneLine(textOf(frame), 48) });
  }
  return messages;
}
