// Members: what is asked for and what is shown (MobKit contract, section 18.3).

import type { AgentIdentity, ContentInput, Json, Labels, TimestampMs } from "./common.js";

/** Whether a member acts on its own or only when its turn is driven. In this version all act on their own. */
export type RuntimeMode = "autonomous_host" | "turn_driven";

/** A member to spawn. `profile` and `meerkat_id` are other names of `role_name` and `identity`. */
export type SpawnMemberSpec =
  & ({ role_name: string; profile?: never } | { profile: string; role_name?: never })
  & ({ identity: AgentIdentity; meerkat_id?: never } | { meerkat_id: AgentIdentity; identity?: never })
  & {
    initial_message?: ContentInput;
    context?: Json;
    labels?: Labels;
    additional_instructions?: string[];
    model_override?: string;
    system_prompt_override?: string;
    /** The session that it has. Its transcript goes on when its member leaves in the same reconciliation; it must not be another member's. */
    resume_session_id?: string;
  };

/** A member that ought to be there: what a discovery answers with. */
export interface AgentDiscoverySpec {
  profile: string;
  meerkat_id: AgentIdentity;
  labels?: Labels;
  context?: Json;
  additional_instructions?: string[];
  resume_session_id?: string;
}

/** A member as an edge discovery sees it. */
export interface EdgeMemberView {
  agent_identity: AgentIdentity;
  role: string;
  wired_to: AgentIdentity[];
  labels: Labels;
}

/** An edge, whichever end is named first. */
export type DesiredPeerEdge = { a: AgentIdentity; b: AgentIdentity };

/** An edge and who made it: the definition's rules, a reconciliation as the edge discovery wanted it, or somebody else. */
export type OwnedEdge = DesiredPeerEdge & { owner: "definition" | "discovery" | "hand" };

/** A member that was spawned. */
export interface SpawnReceipt {
  identity: AgentIdentity;
  /** Its incarnation. */
  generation: number;
  /** Acts for this incarnation show it. */
  fence_token: number;
  /** Its transcript. */
  session_id: string;
}

/** What a member does at the moment. */
export type MemberActivity = "dormant" | "idle" | "running" | "waiting_model" | "waiting_approval" | "broken";

/** One row of the roster. */
export interface MobMemberListEntry {
  agent_identity: AgentIdentity;
  role: string;
  runtime_mode: RuntimeMode;
  state: "active" | "retiring";
  wired_to: AgentIdentity[];
  labels?: Labels;
  status: "active" | "retiring" | "broken" | "completed" | "unknown";
  error?: string;
  is_final: boolean;
  kickoff?: Json;
  peer_id?: string;
  activity: MemberActivity;
  model?: string;
}

/** One member in detail. */
export interface MobMemberSnapshot {
  status: string;
  output_preview: string | null;
  error: string | null;
  tokens_used: number;
  is_final: boolean;
  current_session_id?: string;
  peer_connectivity?: Json;
  kickoff?: Json;
}

/** A message of a member's transcript. */
export type TranscriptMessage = { number: number; timestamp_ms: TimestampMs; interaction_id: string } & (
  | { role: "user"; content: ContentInput; from?: string }
  | { role: "assistant"; text: string; reasoning?: string; tool_calls?: { id: string; name: string; args: Json }[] }
  | { role: "tool"; call_id: string; name: string; content: string; is_error: boolean }
);

/** A window of a member's transcript. */
export interface SessionHistory {
  messages: TranscriptMessage[];
  total: number;
}
