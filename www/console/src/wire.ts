// The fetch contract as the page sees it: shapes of the JSON that crosses, nothing else.
// Fields keep the contract's own snake_case.

/** What a member is doing. `state` says whether it belongs to the mob, `activity` what it is busy with. */
export type Activity = "dormant" | "idle" | "running" | "waiting_model" | "waiting_approval" | "broken";

/** An entry of `mobkit/list_members`. */
export interface MemberEntry {
  agent_identity: string;
  role: string;
  state: string;
  status?: string;
  activity?: Activity;
  model?: string;
  runtime_mode?: string;
  wired_to: string[];
  labels?: Record<string, string>;
  error?: string;
  is_final?: boolean;
}

/** Tokens of one model call or of a whole run. */
export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_creation_tokens?: number;
  cache_read_tokens?: number;
}

/** A message's content: text, or a list of blocks of which the page shows the text ones. */
export type ContentInput = string | ContentBlock[];
export type ContentBlock = { type: "text"; text: string } | { type: string; [key: string]: unknown };

/** An agent event as the log stores it; every `type` of the contract may come, and unknown ones too. */
export interface AgentEventPayload {
  type: string;
  interaction_id?: string;
  work_id?: string;
  [key: string]: unknown;
}

/** An entry of the agent-event log (`mobkit/query_events`). */
export interface PersistedEvent {
  id: string;
  seq: number;
  timestamp_ms: number;
  /** `identity:generation` of the member, null for events of modules. */
  member_id: string | null;
  identity?: string;
  event:
    | { kind: "agent"; agent_id: string; event_type: string; payload?: AgentEventPayload }
    | { kind: "module"; module: string; event_type: string; payload?: unknown };
}

/** The data of an event of `/mob/events`; its `id` is `mob:` and the number in the log, its `event` the type. */
export interface StreamedEvent {
  /** Null for a module's, which is the source. */
  member_id: string | null;
  source: string;
  timestamp_ms: number;
  payload: AgentEventPayload;
}

/** The log's entry out of an event of `/mob/events`. */
export function persistedOf({ id, event, data }: { id: string; event: string; data: string }): PersistedEvent {
  const { member_id, source, timestamp_ms, payload } = JSON.parse(data) as StreamedEvent;
  const seq = Number(id.slice(id.indexOf(":") + 1));
  if (member_id === null) return { id, seq, timestamp_ms, member_id, event: { kind: "module", module: source, event_type: event, payload } };
  return {
    id: `evt-agent-${seq}`,
    seq,
    timestamp_ms,
    member_id,
    identity: identityOf(member_id),
    event: { kind: "agent", agent_id: member_id, event_type: event, payload },
  };
}

/** A hole in a log that the log itself declares. */
export interface Gap {
  from: number;
  to: number;
  reason: string;
}

/** The answer of `mobkit/query_events`, ascending. `next_after_seq` says how far the log was read. */
export interface EventsPage {
  events: PersistedEvent[];
  next_after_seq: number;
  gaps?: Gap[];
}

/** Who made an edge: the definition's rules, the edge discovery, or somebody by a command. */
export type EdgeOwner = "definition" | "discovery" | "hand";

/** Two members that can reach each other. */
export interface Edge {
  a: string;
  b: string;
}

/** An entry of `mobkit/list_edges`. */
export interface OwnedEdge extends Edge {
  owner: EdgeOwner;
}

/** A member that ought to be there, for `mobkit/reconcile_members`; more fields of the contract may come along. */
export interface MemberSpec {
  profile: string;
  identity: string;
  labels?: Record<string, string>;
  [field: string]: unknown;
}

/** `mobkit/reconcile_edges`: how the edges were brought to what they ought to be. */
export interface EdgesReport {
  wired_edges: Edge[];
  unwired_edges: Edge[];
  retained_edges: Edge[];
  preexisting_edges: Edge[];
  skipped_missing_members: Edge[];
  pruned_stale_managed_edges: Edge[];
  failures: { edge: Edge; operation: string; error: string }[];
}

/** `mobkit/reconcile_members`; the data of the error `partial_failure` too. */
export interface ReconcileReport {
  mob: {
    retained: string[];
    spawned: { agent_identity: string }[];
    retired: string[];
    failures: { agent_identity: string; stage: "spawn" | "retire"; error: string }[];
  };
  edges: EdgesReport;
}

/** `mobkit/rediscover`. */
export type RediscoverAnswer = { status: "no_discovery_configured" } | { status?: undefined; spawned: string[]; edges: EdgesReport };

/** An entry of the structural ledger as projected (`mobkit/mob_events/query`, the SSE stream). */
export interface StructuralEvent {
  event_id: string;
  cursor: number;
  mob_id: string;
  timestamp_ms: number;
  kind: string;
  run_id?: string;
  step_id?: string;
  agent_identity?: string;
  mob_labels?: Record<string, string>;
  run_labels?: Record<string, string>;
  data: Record<string, unknown>;
}

/** `mobkit/status`. */
export interface RuntimeStatus {
  contract_version: string;
  running: boolean;
  mob_id: string;
  mob_state: string;
  role: "leader" | "follower";
  latest_mob_cursor: number;
  latest_event_cursor: number;
  models: Record<string, ModelStatus>;
  definition_changes: DefinitionChange[];
  /** How each supervised task fares. */
  tasks?: TaskHealth[];
}

/** A supervised task of the runtime. */
export interface TaskHealth {
  name: string;
  state: "running" | "retrying" | "failed";
  /** Failed attempts since it worked last. */
  attempts: number;
  error?: string;
  failed_at_ms?: number;
  lost: number;
}

/** A frame of the timeline. */
export interface ConsoleFrame {
  id: string;
  /** `console:` and a number. */
  cursor: string;
  timestamp_ms: number;
  identity: string;
  kind: string;
  status: string;
  frame_version: number;
  payload: Record<string, unknown>;
  interaction_id?: string;
}

/** A page of the timeline (`mobkit/console/query_timeline`), ascending. */
export interface TimelinePage {
  frames: ConsoleFrame[];
  next_cursor: string | null;
  latest_cursor: string;
  exhausted: boolean;
}

/** An event of the timeline's stream. */
export type TimelineEvent =
  | { type: "snapshot_started"; after: string | null }
  | { type: "console_frame"; frame: ConsoleFrame }
  | { type: "frame_updated"; frame: ConsoleFrame }
  | { type: "snapshot_complete"; cursor: string | null };

/** One model name of the definition and what serves it. */
export interface ModelStatus {
  provider: string;
  is_demo: boolean;
  availability: string;
  reason?: string;
}

/** One thing that an edited definition changed over stored state. */
export interface DefinitionChange {
  /** For example `profiles.reviewer.model`. */
  path: string;
  kind: "added" | "removed" | "changed";
  old?: unknown;
  new?: unknown;
}

/** A profile that a person may spawn. */
export interface ProfileEntry {
  name: string;
  model: string;
  peer_description?: string;
}

/** Plain text of a content input; blocks that are not text are named in brackets. */
export function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content == null ? "" : JSON.stringify(content);
  return content
    .map((block: unknown) => {
      if (typeof block === "string") return block;
      const { type, text } = (block ?? {}) as { type?: unknown; text?: unknown };
      return typeof text === "string" ? text : `[${typeof type === "string" ? type : "content"}]`;
    })
    .join("\n");
}

/** The identity in a runtime id: `lead:3` is generation 3 of `lead`. */
export function identityOf(agentId: string): string {
  const colon = agentId.lastIndexOf(":");
  return colon > 0 && /^\d+$/.test(agentId.slice(colon + 1)) ? agentId.slice(0, colon) : agentId;
}
