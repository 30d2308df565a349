// The live feed: one line for each thing a person cares about, from both logs. Deltas and bookkeeping do not show.

import { contentText, identityOf, type PersistedEvent, type StructuralEvent } from "../wire.ts";
import { describeStructural } from "./roster.ts";

/** One line of the feed. */
export interface FeedEntry {
  /** `e{seq}` or `m{cursor}`: unique over both logs. */
  id: string;
  at: number;
  identity: string | undefined;
  /** Second member of an entry that connects two. */
  peer: string | undefined;
  tone: "plain" | "talk" | "tool" | "good" | "warn" | "error" | "structure";
  title: string;
  detail: string;
  /** Takes the place of the member's last line if that has the same topic. */
  topic?: string;
}

/** Lines kept; older ones are in the logs. */
export const FEED_CAPACITY = 400;

/** Inserts by time (newest last) and keeps the newest; entries of two logs arrive nearly sorted. */
export function pushFeed(feed: FeedEntry[], entry: FeedEntry): void {
  if (entry.topic !== undefined) {
    const last = feed.findLastIndex((other) => other.identity === entry.identity);
    if (feed[last]?.topic === entry.topic) feed.splice(last, 1);
  }
  let at = feed.length;
  while (at > 0 && (feed[at - 1]?.at ?? 0) > entry.at) at--;
  feed.splice(at, 0, entry);
  if (feed.length > FEED_CAPACITY) feed.splice(0, feed.length - FEED_CAPACITY);
}

/** A text as one line without the marks of Markdown, for places where it is not rendered. */
export function oneLine(text: string, length = 160): string {
  const line = text
    .slice(0, length * 4)
    .replace(/^\s*(?:#{1,6}|>|[-*+]|\d+\.)\s+/gm, "")
    .replace(/\|?(?:\s*:?-{3,}:?\s*\|)+/g, " ")
    .replace(/[*`|]+/g, " ")
    .replace(/\s+/g, " ")
    .replace(/ ([,.;:!?])/g, "$1")
    .trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

const str = (value: unknown): string => (typeof value === "string" ? value : value == null ? "" : JSON.stringify(value));

/** The line for a module's event, if it deserves one. */
function feedOfModule({ seq, timestamp_ms, event }: PersistedEvent & { event: { kind: "module" } }): FeedEntry | undefined {
  const p = (event.payload ?? {}) as Record<string, unknown>;
  const failed = str(p["error"]);
  const of = { id: `e${seq}`, at: timestamp_ms, identity: undefined, peer: undefined, detail: oneLine(failed) };
  if (event.event_type === "supervisor.warning") return { ...of, tone: "warn", title: `module ${event.module} is in trouble` };
  if (event.event_type === "dispatch" && p["schedule_id"] !== undefined) return { ...of, tone: failed === "" ? "structure" : "warn", title: `schedule ${str(p["schedule_id"])} was due`, topic: `schedule ${str(p["schedule_id"])}` };
  return undefined;
}

/** The line for an event of a member or a module, if it deserves one. */
export function feedOfAgent(event: PersistedEvent): FeedEntry | undefined {
  if (event.event.kind === "module") return feedOfModule(event as PersistedEvent & { event: { kind: "module" } });
  const p = event.event.payload ?? { type: event.event.event_type };
  const line = (tone: FeedEntry["tone"], title: string, detail = "", peer?: string): FeedEntry => ({
    id: `e${event.seq}`,
    at: event.timestamp_ms,
    identity: event.event.kind === "agent" ? identityOf(event.event.agent_id) : undefined,
    peer,
    tone,
    title,
    detail: oneLine(detail),
  });
  switch (event.event.event_type) {
    case "user_input":
      return line("talk", "was asked", contentText(p["content"]));
    case "peer_message":
      return line("talk", "heard from", contentText(p["content"]), str(p["from"]) || "a peer");
    case "run_started":
      return line("plain", "started to work");
    case "tool_call_requested":
      // The message itself shows as the peer's `peer_message`.
      if (p["name"] === "send_message") return undefined;
      return line("tool", `called ${str(p["name"])}`, Object.keys((p["args"] as object | undefined) ?? {}).length > 0 ? JSON.stringify(p["args"]) : "");
    case "tool_result_received":
      return p["is_error"] ? line("warn", `${str(p["name"])} failed`, contentText(p["content"])) : undefined;
    case "tool_execution_timed_out":
      return line("warn", `${str(p["name"])} timed out`);
    case "run_completed":
      return line("good", "finished", str(p["result"]));
    case "run_failed": {
      const cause = str(p["terminal_cause_kind"]);
      if (cause === "interrupted") return line("warn", "was interrupted", "The work goes on from what is stored.");
      // The interaction has told it already.
      if (cause === "interaction_ended") return undefined;
      if (p["error_class"] === "cancelled" || cause === "cancelled") return line("warn", "was stopped");
      return { ...line("error", "failed", str(p["error"])), topic: "failing" };
    }
    case "interaction_failed":
      if (p["error"] === "cancelled") return line("warn", "was stopped");
      return { ...line("error", "could not answer", str(p["error"]) || str(p["reason"])), topic: "failing" };
    case "retrying":
      return { ...line("warn", `tries again (${str(p["attempt"])}/${str(p["max_attempts"])})`, str(p["error"])), topic: "failing" };
    case "stream_truncated":
      return line("warn", "lost the model's stream", str(p["reason"]));
    case "model_unavailable":
      return line("warn", `waits for ${str(p["model"])}`, str(p["reason"]));
    case "history_truncated":
      return line("plain", "left out older messages", `${str(p["omitted_messages"])} omitted`);
    default:
      return undefined;
  }
}

/** The line for a ledger entry. */
export function feedOfStructural(event: StructuralEvent): FeedEntry {
  const data = event.data;
  const two = event.kind === "members_wired" || event.kind === "members_unwired";
  const titles: Record<string, string> = {
    mob_created: "mob created",
    member_spawned: "joined",
    member_retired: "retired",
    member_reset: "was reset",
    members_wired: "wired",
    members_unwired: "unwired",
    members_wired_batch: "wired",
  };
  return {
    id: `m${event.cursor}`,
    at: event.timestamp_ms,
    identity: two ? str(data["a"]) : event.agent_identity,
    peer: two ? str(data["b"]) : undefined,
    tone: "structure",
    title: titles[event.kind] ?? event.kind.replaceAll("_", " "),
    detail: event.kind === "member_spawned" ? `as ${str(data["role"])}` : two || event.kind === "member_retired" || event.kind === "mob_created" ? "" : oneLine(describeStructural(event)),
  };
}
