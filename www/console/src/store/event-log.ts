// The event log page by page: what is asked of `mobkit/query_events`, and how its answers become rows.
// The log is asked forwards after a number, or for its newest; pages before a number are made of the former.

import { contentText, type EventsPage, type Gap, identityOf, type PersistedEvent } from "../wire.ts";
import { oneLine } from "./feed.ts";

/** Which stretch of time: all of it, the last so many minutes, or between two moments. */
export type TimeChoice = "any" | "5" | "60" | "1440" | "between";

/** What a person chose to see. */
export interface EventFilter {
  member: string;
  types: readonly string[];
  time: TimeChoice;
  /** For `between`: local times as the browser's field gives them, empty for an open end. */
  from: string;
  until: string;
}

export const ANY_EVENT: EventFilter = { member: "", types: [], time: "any", from: "", until: "" };

/** A filter with some of its choices made anew; one that leaves everything open is `ANY_EVENT` itself. */
export function changed(filter: EventFilter, part: Partial<EventFilter>): EventFilter {
  const next = { ...filter, ...part };
  return next.member === "" && next.types.length === 0 && next.time === "any" ? ANY_EVENT : next;
}

/** The types that the runtime writes, by what they are about. */
export const EVENT_TYPES: readonly (readonly [string, readonly string[]])[] = [
  ["Messages", ["user_input", "peer_message", "interaction_complete", "interaction_failed"]],
  ["Runs", ["run_started", "run_completed", "run_failed", "turn_started", "turn_completed", "retrying", "history_truncated"]],
  ["Tools", ["tool_call_requested", "tool_execution_started", "tool_execution_completed", "tool_execution_timed_out", "tool_result_received"]],
  ["Model", ["text_delta", "text_complete", "reasoning_delta", "reasoning_complete", "stream_truncated", "model_unavailable"]],
  ["Modules", ["resolved", "send", "dispatch", "supervisor.warning"]],
];

/** The part of a query that a filter means. */
export interface EventQuery {
  identity?: string;
  event_types?: string[];
  since_ms?: number;
  until_ms?: number;
}

/** A filter as a query; `now` is the moment that "the last minutes" end at. */
export function queryOf(filter: EventFilter, now: number): EventQuery {
  const query: EventQuery = {};
  if (filter.member !== "") query.identity = filter.member;
  if (filter.types.length > 0) query.event_types = [...filter.types];
  if (filter.time === "between") {
    const from = Date.parse(filter.from);
    const until = Date.parse(filter.until);
    if (!Number.isNaN(from)) query.since_ms = from;
    if (!Number.isNaN(until)) query.until_ms = until;
  } else if (filter.time !== "any") {
    query.since_ms = now - Number(filter.time) * 60_000;
  }
  return query;
}

/** One page of the log, ascending. */
export interface LogPage {
  events: PersistedEvent[];
  gaps: Gap[];
  /** Whether nothing older, and nothing newer, matches. */
  oldest: boolean;
  newest: boolean;
  /** How far the log has been read: the page goes on after this number. */
  read: number;
}

/** `mobkit/query_events`. */
export type Ask = (params: EventQuery & { limit: number; after_seq?: number }) => Promise<EventsPage>;

/** The newest events that match. */
export async function newestPage(ask: Ask, query: EventQuery, size: number): Promise<LogPage> {
  const { events, gaps = [], next_after_seq } = await ask({ ...query, limit: size });
  const oldest = events.length < size;
  return { events, gaps: oldest ? joined(gaps) : after(joined(gaps), events), oldest, newest: true, read: next_after_seq };
}

/** The events before a page. The same page, if it was the oldest. */
export async function olderPage(ask: Ask, query: EventQuery, page: LogPage, size: number): Promise<LogPage> {
  const first = page.events[0];
  const last = page.events.at(-1);
  if (!first || !last) return { ...page, oldest: true };
  let events: PersistedEvent[] = [];
  let gaps: Gap[] = [];
  // Matches are as dense before the page as in it, as a first guess; each further look goes four times as far.
  let span = Math.max(size, Math.ceil(((last.seq - first.seq) * size) / Math.max(1, page.events.length - 1)));
  let upTo = first.seq - 1;
  while (events.length < size && upTo > 0) {
    const from = Math.max(0, upTo - span);
    const part = await between(ask, query, from, upTo, size);
    events = [...part.events, ...events];
    gaps = [...part.gaps, ...gaps];
    // Before what retention took there is nothing.
    upTo = part.gaps.some(({ reason }) => reason === "retention") ? 0 : from;
    span *= 4;
  }
  if (events.length === 0) return { ...page, gaps: joined([...gaps, ...page.gaps]), oldest: true };
  const oldest = upTo === 0 && events.length <= size;
  events = events.slice(-size);
  return { events, gaps: oldest ? joined(gaps) : after(joined(gaps), events), oldest, newest: false, read: first.seq - 1 };
}

/** All matches with numbers above `from`, up to and with `upTo`. */
async function between(ask: Ask, query: EventQuery, from: number, upTo: number, size: number): Promise<{ events: PersistedEvent[]; gaps: Gap[] }> {
  const events: PersistedEvent[] = [];
  const gaps: Gap[] = [];
  let read = from;
  while (read < upTo) {
    const answer = await ask({ ...query, after_seq: read, limit: size });
    events.push(...answer.events.filter(({ seq }) => seq <= upTo));
    gaps.push(...(answer.gaps ?? []).filter((gap) => gap.from <= upTo));
    if (answer.next_after_seq <= read) break;
    read = answer.next_after_seq;
  }
  return { events, gaps };
}

/** The events after a page: a full page of them, or else the newest page. */
export async function newerPage(ask: Ask, query: EventQuery, page: LogPage, size: number): Promise<LogPage> {
  const { events, gaps = [], next_after_seq } = await ask({ ...query, after_seq: page.read, limit: size });
  if (events.length < size) return await newestPage(ask, query, size);
  return { events, gaps: joined(gaps), oldest: false, newest: false, read: next_after_seq };
}

/** The newest page with what has come since; as much goes out at its beginning as is too much. */
export async function grownPage(ask: Ask, query: EventQuery, page: LogPage, size: number): Promise<LogPage> {
  const answer = await ask({ ...query, after_seq: page.read, limit: size });
  // Nothing of the page is left, and there may be more than was asked for.
  if (answer.events.length === size) return await newestPage(ask, query, size);
  const all = [...page.events, ...answer.events];
  const events = all.slice(-size);
  const cut = events.length < all.length;
  const gaps = joined([...page.gaps, ...(answer.gaps ?? [])]);
  return { events, gaps: cut ? after(gaps, events) : gaps, oldest: page.oldest && !cut, newest: true, read: answer.next_after_seq };
}

/** The gaps behind a page's first event. */
function after(gaps: Gap[], events: readonly PersistedEvent[]): Gap[] {
  const first = events[0]?.seq ?? 0;
  return gaps.filter((gap) => gap.to > first);
}

/** Gaps in order, the pieces of one put together: a look that begins inside of a gap sees the rest of it. */
function joined(gaps: readonly Gap[]): Gap[] {
  const out: Gap[] = [];
  for (const gap of [...gaps].sort((a, b) => a.from - b.from)) {
    const before = out.at(-1);
    if (before && before.reason === gap.reason && gap.from <= before.to + 1) before.to = Math.max(before.to, gap.to);
    else out.push({ ...gap });
  }
  return out;
}

/** A row of the table: an event, or numbers that hold none. */
export type LogRow = { key: number; event: PersistedEvent; gap?: undefined } | { key: number; gap: Gap; event?: undefined };

/**
 * A page's rows, each gap where it is missing something. A gap has no time: whoever asks for a stretch of time sees those
 * between two events of it, and whoever finds nothing sees none.
 */
export function rowsOf(page: Pick<LogPage, "events" | "gaps">, filter: EventFilter): LogRow[] {
  const { events } = page;
  const first = events[0]?.seq;
  const last = events.at(-1)?.seq;
  let { gaps } = page;
  if (first === undefined || last === undefined) gaps = filter === ANY_EVENT ? gaps : [];
  else if (filter.time !== "any") gaps = gaps.filter((gap) => gap.from > first && gap.to < last);
  const rows: LogRow[] = [];
  let at = 0;
  for (const event of events) {
    for (let gap = gaps[at]; gap && gap.from < event.seq; gap = gaps[++at]) rows.push({ key: gap.from, gap });
    rows.push({ key: event.seq, event });
  }
  for (const gap of gaps.slice(at)) rows.push({ key: gap.from, gap });
  return rows;
}

/** What a gap says. */
export function describeGap({ from, to, reason }: Gap): string {
  const count = to - from + 1;
  const which = from === to ? `Number ${from} holds no event` : `Numbers ${from} to ${to} hold no events`;
  if (reason === "retention") return `${count === 1 ? "An older event was" : `${count} older events were`} discarded, to keep the log within its bounds.`;
  return reason === "unclean_stop" ? `${which}: the runtime ended without a proper stop, and went on with fresh numbers.` : `${which}: ${reason}.`;
}

/** Whose event it is: a member's or a module's. */
export function memberOf(event: PersistedEvent): string {
  if (event.event.kind === "module") return event.event.module;
  return event.identity ?? (event.member_id === null ? "" : identityOf(event.member_id));
}

export function typeOf(event: PersistedEvent): string {
  return event.event.event_type;
}

/** Fields that say what an event belongs to, not what happened. */
const BOOKKEEPING = new Set(["type", "interaction_id", "work_id", "session_id", "id"]);
/** The field that tells most, for events that have one of them. */
const TELLING = ["delta", "content", "result", "error", "reason", "prompt"];

/** One line about an event: its words if it has some, else its fields. */
export function describeEvent(event: PersistedEvent): string {
  const payload = event.event.payload;
  if (payload === null || typeof payload !== "object") return payload === undefined ? "" : oneLine(JSON.stringify(payload), 200);
  const fields = payload as Record<string, unknown>;
  const name = typeof fields["name"] === "string" ? fields["name"] : typeof fields["from"] === "string" ? `from ${fields["from"]}` : "";
  const telling = TELLING.map((field) => fields[field]).find((value) => value !== undefined && value !== null && value !== "");
  if (telling !== undefined) return oneLine([name, contentText(telling)].filter(Boolean).join(": "), 200);
  const rest = Object.entries(fields).filter(([field]) => !BOOKKEEPING.has(field) && field !== "name");
  return oneLine([name, ...rest.map(([field, value]) => `${field}=${typeof value === "string" ? value : JSON.stringify(value)}`)].filter(Boolean).join(" "), 200);
}
