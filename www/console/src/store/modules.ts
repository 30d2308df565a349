// Words and small decisions of the panels of the modules: what fields mean, what an error is about, who may decide.

import type { GatingDecision, GatingPendingEntry, ScheduleAction } from "mobkit-web";
import type { ConsoleError } from "../client.ts";

/** The parameter that the contract's refusals are about. */
const FIELDS: Readonly<Record<string, string>> = {
  empty_route_key: "route_key",
  empty_recipient: "recipient",
  invalid_recipient: "recipient",
  invalid_channel: "channel",
  empty_sink: "sink",
  invalid_sink: "sink",
  empty_target_module: "target_module",
  invalid_route_target: "target_module",
  retry_max_exceeds_cap: "retry_max",
  invalid_rate_limit_per_minute: "rate_limit_per_minute",
  empty_schedule_id: "schedule_id",
  invalid_interval: "interval",
  invalid_timezone: "timezone",
  entity_required: "entity",
  topic_required: "topic",
  fact_required: "fact",
};

/** What is wrong with a field of a form. */
export interface Fault {
  field: string;
  words: string;
}

/** Which of a form's fields an error is about, if it is about one. */
export function faultOf(error: ConsoleError | undefined, fields: readonly string[]): Fault | undefined {
  if (!error) return undefined;
  const words = error.message.replace(/^Invalid params: /, "");
  const named = FIELDS[error.code] ?? (error.code === "invalid_params" ? fields.find((field) => new RegExp(`\\b${field}\\b`).test(words)) : undefined);
  return named !== undefined && fields.includes(named) ? { field: named, words } : undefined;
}

/** The texts of a form as parameters: blank ones that may be left out are, and numbers are numbers. What is none is sent as it is, to be refused. */
export function paramsOf(texts: Readonly<Record<string, string>>, optional: readonly string[] = [], numbers: readonly string[] = []): Record<string, string | number> {
  const params: Record<string, string | number> = {};
  for (const [name, text] of Object.entries(texts)) {
    const trimmed = text.trim();
    if (trimmed === "" && optional.includes(name)) continue;
    params[name] = numbers.includes(name) && /^\d{1,15}$/.test(trimmed) ? Number(trimmed) : trimmed;
  }
  return params;
}

/** What was typed as a payload: JSON if it looks like an object or a list, else a text. Throws what is wrong with the JSON. */
export function payloadOf(text: string): unknown {
  return /^\s*[[{]/.test(text) ? JSON.parse(text) : text;
}

/** A stretch of time in its two largest units, `3 h 20 min`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const units: [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const at = units.findIndex(([size]) => seconds >= size);
  const [first, second] = [units[at], units[at + 1]];
  if (!first) return "0 s";
  const rest = second ? Math.floor((seconds % first[0]) / second[0]) : 0;
  return `${Math.floor(seconds / first[0])} ${first[1]}${second && rest > 0 ? ` ${rest} ${second[1]}` : ""}`;
}

/** A moment as seen from another, `in 5 min` or `2 h ago`. */
export function relative(at: number, now: number): string {
  const away = at - now;
  if (Math.abs(away) < 1000) return "now";
  return away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
}

/** What a schedule does, in a line. */
export function describeAction(action: ScheduleAction): string {
  switch (action.kind) {
    case "message":
      return `tells ${action.member_id}: ${action.message}`;
    case "delivery":
      return `delivers to ${action.recipient}${action.channel === undefined ? "" : ` on ${action.channel}`}: ${typeof action.payload === "string" ? action.payload : JSON.stringify(action.payload)}`;
    case "tool":
      return `calls ${action.tool} of ${action.module_id}${action.arguments === undefined ? "" : ` with ${JSON.stringify(action.arguments)}`}`;
  }
}

/** Why somebody may not decide so about something; undefined if they may. The runtime has the last word. */
export function whyNot(entry: GatingPendingEntry, approver: string, decision: GatingDecision): string | undefined {
  const name = approver.trim();
  if (name === "") return "Say above who you are.";
  if (entry.requested_approver !== undefined && entry.requested_approver !== name) return `Only ${entry.requested_approver} may decide.`;
  if (entry.escalated_by?.includes(name)) return `${name} has passed it on, and decides about it no more.`;
  if (decision === "approve" && entry.actor_id === name) return "Who asks may not approve it.";
  return undefined;
}

/** Who may decide, in a sentence. */
export function whoDecides(entry: GatingPendingEntry): string {
  const not = [entry.actor_id, ...(entry.escalated_by ?? [])];
  if (entry.requested_approver !== undefined) return `Only ${entry.requested_approver} may decide.`;
  return `Anybody may decide but ${not.join(" and ")}${not.length > 1 ? `: ${not.slice(1).join(" and ")} passed it on.` : ", who asks."}`;
}
