// The roster that ought to be, as the JSON that a person edits: written from what is there, read with its faults, held against what is there.

import type { MemberEntry, MemberSpec } from "../wire.ts";

/** The present members as specs. Who is about to leave ought not to stay. */
export function specsOf(members: Iterable<MemberEntry>): MemberSpec[] {
  const specs: MemberSpec[] = [];
  for (const { agent_identity, role, labels, state } of members) {
    if (state.toLowerCase() === "retiring") continue;
    specs.push({ profile: role, identity: agent_identity, ...(labels && Object.keys(labels).length > 0 ? { labels } : {}) });
  }
  return specs;
}

/** Specs as text for people: a line for each member. */
export function specsText(specs: readonly MemberSpec[]): string {
  return specs.length === 0 ? "[]" : `[\n${specs.map((spec) => `  ${oneLineJson(spec)}`).join(",\n")}\n]`;
}

/** JSON on one line, with spaces where a person would put them. */
function oneLineJson(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(oneLineJson).join(", ")}]`;
  const fields = Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}: ${oneLineJson(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** The specs in a text, or what is wrong with it. */
export type ParsedSpecs = { specs: MemberSpec[]; fault?: undefined } | { specs?: undefined; fault: string };

/** The names that the runtime takes for a spec's two necessary fields. */
const PROFILE = ["profile", "role_name", "role"];
const IDENTITY = ["identity", "meerkat_id", "agent_identity"];

/** Reads the text. Only what the page itself needs is checked; the runtime knows the rest and says it. */
export function parseSpecs(text: string): ParsedSpecs {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { fault: `This is not JSON: ${placed(error instanceof Error ? error.message : String(error), text)}` };
  }
  if (!Array.isArray(value)) return { fault: "A list of members is expected: [ … ]." };
  const specs: MemberSpec[] = [];
  const seen = new Set<string>();
  for (const [at, entry] of value.entries()) {
    const where = `Member ${at + 1}`;
    if (entry === null || typeof entry !== "object" || Array.isArray(entry)) return { fault: `${where} is no object: { "profile": …, "identity": … }.` };
    const profile = first(entry, PROFILE);
    const identity = first(entry, IDENTITY);
    if (profile === undefined) return { fault: `${where} has no "profile".` };
    if (identity === undefined) return { fault: `${where} has no "identity".` };
    if (seen.has(identity)) return { fault: `${where} has the identity of another one: ${identity}.` };
    seen.add(identity);
    const rest = Object.fromEntries(Object.entries(entry).filter(([field]) => !PROFILE.includes(field) && !IDENTITY.includes(field)));
    specs.push({ profile, identity, ...rest });
  }
  return { specs };
}

function first(entry: object, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = (entry as Record<string, unknown>)[name];
    if (typeof value === "string" && value.trim() !== "") return value;
  }
  return undefined;
}

/** Some engines name the offset only; people look for lines. */
function placed(message: string, text: string): string {
  const offset = /at position (\d+)\b(?! \(line)/.exec(message)?.[1];
  if (offset === undefined) return message;
  const before = text.slice(0, Number(offset)).split("\n");
  return `${message} (line ${before.length} column ${(before.at(-1)?.length ?? 0) + 1})`;
}

/** What a reconciliation would do, as far as it can be known beforehand. */
export interface Plan {
  spawn: string[];
  retire: string[];
  retain: string[];
  /** Members that stay as they are though their spec says something else. */
  unheeded: { identity: string; what: string[] }[];
}

/** Holds the specs against the present members. */
export function planOf(specs: readonly MemberSpec[], members: ReadonlyMap<string, MemberEntry>): Plan {
  const plan: Plan = { spawn: [], retire: [], retain: [], unheeded: [] };
  const wanted = new Set(specs.map((spec) => spec.identity));
  for (const spec of specs) {
    const present = members.get(spec.identity);
    if (!present) {
      plan.spawn.push(spec.identity);
      continue;
    }
    plan.retain.push(spec.identity);
    const what: string[] = [];
    if (present.role !== spec.profile) what.push("profile");
    if (!sameLabels(present.labels, spec.labels)) what.push("labels");
    if (what.length > 0) plan.unheeded.push({ identity: spec.identity, what });
  }
  for (const [identity, { state }] of members) if (!wanted.has(identity) && state.toLowerCase() !== "retiring") plan.retire.push(identity);
  return plan;
}

function sameLabels(a: Record<string, string> = {}, b: unknown = {}): boolean {
  if (b === null || typeof b !== "object") return false;
  const wanted = b as Record<string, unknown>;
  const keys = new Set([...Object.keys(a), ...Object.keys(wanted)]);
  return [...keys].every((key) => a[key] === wanted[key]);
}
