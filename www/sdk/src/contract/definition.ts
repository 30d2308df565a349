// The definition of a mob as an object (MobKit contract, section 18.4). TOML text says the same, with `[mob]` around `id` and
// `orchestrator`. A field that is not listed is an error that names its path.

import type { ContentInput, Json, Labels } from "./common.js";

/** What the members of one role are. */
export interface Profile {
  /** The name of a model given to the builder. */
  model: string;
  /** The system prompt's first part. */
  instructions?: string;
  /** Names of the definition's skills; their texts follow the instructions. */
  skills?: string[];
  /**
   * The tools by name (all of the builder's, if left out); `comms: false` takes `send_message` and `peers` away, `mob: true` gives
   * `delegate` and `mob_spawn_member`. `mcp` names the modules whose tools members of this role have, as `{module}__{tool}`; `gate` says by
   * the names of tools how much is at stake in a call: one of `r3` waits until somebody decides.
   */
  tools?: string[] | { comms?: boolean; mob?: boolean; names?: string[]; mcp?: readonly string[]; gate?: Record<string, "r0" | "r1" | "r2" | "r3"> };
  /** What peers are told about members of this role. */
  peer_description?: string;
  external_addressable?: boolean;
  /** Passed to the model's server unchanged. */
  provider_params?: { [name: string]: Json };
  /** Tokens of one answer at most. */
  max_output_tokens?: number;
  /** Tokens of history that the model is shown at most; what is left out is a `history_truncated` event. */
  history_tokens?: number;
}

/** Bounds; each has a default. */
export interface Limits {
  /** How often work may pass from member to member in one interaction. */
  max_hops?: number;
  max_turns_per_interaction?: number;
  max_turns_per_run?: number;
  max_tokens_per_interaction?: number;
  tool_timeout_ms?: number;
  /** How long a tool call waits for somebody's decision; a day, if left out. Then it is denied. */
  approval_timeout_ms?: number;
  /** How long a model may be silent. */
  model_idle_timeout_ms?: number;
}

/** A member that a new mob begins with. */
export interface InitialMember {
  profile: string;
  identity: string;
  labels?: Labels;
  initial_message?: ContentInput;
}

/** A mob: its profiles, how they are wired, and whom it begins with. */
export interface MobDefinition {
  id: string;
  orchestrator?: string | { profile: string };
  profiles: Record<string, Profile>;
  wiring?: { auto_wire_orchestrator?: boolean; role_wiring?: { a: string; b: string }[] };
  skills?: Record<string, string | { content: string }>;
  limits?: Limits;
  members?: InitialMember[];
}

/** One difference between the definition that was stored and the one that is in force now. */
export interface DefinitionChange {
  /** Such as `profiles.reviewer.model`; members go by their identity: `members.lead.profile`. */
  path: string;
  kind: "added" | "removed" | "changed";
  old?: Json;
  new?: Json;
}
