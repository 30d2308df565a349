// The roster and the wiring as a fold of the structural ledger. Pure: a state, an event, the next state in place.

import type { StructuralEvent } from "../wire.ts";

/** A member as the ledger knows it. */
export interface RosterMember {
  identity: string;
  role: string;
  generation: number;
  labels: Record<string, string>;
  runtimeMode: string;
  wiredTo: Set<string>;
  /** Ledger time of the member's present generation. */
  since: number;
}

/** Everything that the ledger says about who is in the mob and who knows whom. */
export interface RosterState {
  mobId: string;
  cursor: number;
  members: Map<string, RosterMember>;
  /** Profile of the orchestrator, if the definition names one. */
  orchestrator: string | undefined;
}

/** The roster before the first event. */
export function emptyRoster(): RosterState {
  return { mobId: "", cursor: 0, members: new Map(), orchestrator: undefined };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** Applies one event; an entry that was seen already changes nothing. Returns whether roster or wiring changed. */
export function foldRoster(state: RosterState, event: StructuralEvent): boolean {
  if (event.cursor <= state.cursor) return false;
  state.cursor = event.cursor;
  state.mobId = event.mob_id;
  const data = event.data;
  switch (event.kind) {
    case "mob_created": {
      const orchestrator = (data["definition"] as { orchestrator?: unknown } | undefined)?.orchestrator;
      // A definition may name the profile alone.
      state.orchestrator = text(orchestrator) || text((orchestrator as { profile?: unknown } | undefined)?.profile) || undefined;
      return true;
    }
    case "member_spawned": {
      const identity = text(data["agent_identity"]) || text(event.agent_identity);
      if (!identity) return false;
      const known = state.members.get(identity);
      state.members.set(identity, {
        identity,
        role: text(data["role"]) || known?.role || "",
        generation: number(data["generation"]),
        labels: (data["labels"] as Record<string, string> | undefined) ?? {},
        runtimeMode: text(data["runtime_mode"]),
        wiredTo: known?.wiredTo ?? new Set(),
        since: event.timestamp_ms,
      });
      return true;
    }
    case "member_retired": {
      const identity = text(data["agent_identity"]) || text(event.agent_identity);
      if (!state.members.delete(identity)) return false;
      for (const other of state.members.values()) other.wiredTo.delete(identity);
      return true;
    }
    case "member_reset": {
      const member = state.members.get(text(data["agent_identity"]) || text(event.agent_identity));
      if (!member) return false;
      member.generation = number(data["new_generation"]);
      member.since = event.timestamp_ms;
      return true;
    }
    case "members_wired":
      return wire(state, text(data["a"]), text(data["b"]), true);
    case "members_unwired":
      return wire(state, text(data["a"]), text(data["b"]), false);
    case "members_wired_batch": {
      const edges = (data["edges"] as { a?: unknown; b?: unknown }[] | undefined) ?? [];
      let changed = false;
      for (const edge of edges) changed = wire(state, text(edge.a), text(edge.b), true) || changed;
      return changed;
    }
    case "mob_reset":
      state.members.clear();
      return true;
    default:
      return false;
  }
}

function wire(state: RosterState, a: string, b: string, on: boolean): boolean {
  const left = state.members.get(a);
  const right = state.members.get(b);
  if (!left || !right) return false;
  const was = left.wiredTo.has(b);
  if (on) {
    left.wiredTo.add(b);
    right.wiredTo.add(a);
  } else {
    left.wiredTo.delete(b);
    right.wiredTo.delete(a);
  }
  return was !== on;
}

/** Each wire once, as pairs in the order of their names. */
export function edgesOf(members: Iterable<{ identity: string; wiredTo: Iterable<string> }>): [string, string][] {
  const edges: [string, string][] = [];
  for (const member of members) for (const peer of member.wiredTo) if (member.identity < peer) edges.push([member.identity, peer]);
  return edges.sort((x, y) => (x[0] === y[0] ? (x[1] < y[1] ? -1 : 1) : x[0] < y[0] ? -1 : 1));
}

/** One line of prose for a ledger entry. */
export function describeStructural(event: StructuralEvent): string {
  const data = event.data;
  const get = (key: string): string => {
    const value = data[key];
    return value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
  };
  switch (event.kind) {
    case "mob_created":
      return `mob ${event.mob_id} created`;
    case "member_spawned":
      return `${get("agent_identity")} joined as ${get("role")}${number(data["generation"]) > 0 ? `, generation ${get("generation")}` : ""}`;
    case "member_retired":
      return `${get("agent_identity")} retired`;
    case "member_reset":
      return `${get("agent_identity")} reset to generation ${get("new_generation")}`;
    case "members_wired":
      return `${get("a")} – ${get("b")}`;
    case "members_unwired":
      return `${get("a")} – ${get("b")}`;
    case "members_wired_batch":
      return ((data["edges"] as { a: string; b: string }[] | undefined) ?? []).map((edge) => `${edge.a} – ${edge.b}`).join(", ");
    case "member_kickoff_updated": {
      const kickoff = data["kickoff"] as { phase?: unknown } | undefined;
      return `${get("member")} kickoff ${text(kickoff?.phase)}`;
    }
    case "external_peer_wired":
    case "external_peer_unwired":
      return `${get("local")} – ${get("peer_name") || get("spec")}`;
    case "operator_action_recorded":
      return get("tool_name");
    case "topology_violation":
      return `${get("from_role")} → ${get("to_role")}`;
    default:
      return ["run_id", "flow_id", "step_id", "reason"].map((key) => get(key)).filter(Boolean).join(" · ");
  }
}
