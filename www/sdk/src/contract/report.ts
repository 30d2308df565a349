// Reports and statuses (MobKit contract, sections 2.8 and 20.3).

import type { AgentIdentity } from "./common.js";
import type { DefinitionChange } from "./definition.js";
import type { DesiredPeerEdge } from "./member.js";

/** Something went wrong in the background. */
export type ErrorEvent =
  | { category: "spawn_failure"; member_id: string; profile: string; error: string }
  | { category: "reconcile_incomplete"; failures: number; skipped: number }
  // `mob_events` in place of a session: the cursor of the structural projection.
  | { category: "checkpoint_failure"; session_id: string; error: string }
  // No member: the runtime's own work was held up.
  | { category: "host_loop_crash"; member_id: string; error: string }
  | { category: "rediscover_failure"; error: string }
  | { category: "event_log_flush_failure"; error: string };

/** How the edges were brought to what they ought to be (MobKit contract, section 6.2). */
export interface ReconcileEdgesReport {
  /** As the discovery named them. */
  desired_edges: DesiredPeerEdge[];
  wired_edges: DesiredPeerEdge[];
  unwired_edges: DesiredPeerEdge[];
  retained_edges: DesiredPeerEdge[];
  /** Wired by somebody else: never removed by a reconciliation. */
  preexisting_edges: DesiredPeerEdge[];
  skipped_missing_members: DesiredPeerEdge[];
  pruned_stale_managed_edges: DesiredPeerEdge[];
  failures: { edge: DesiredPeerEdge; operation: string; error: string }[];
}

/** A whole reconciliation. `reconcile` fails with `partial_failure` and this as `data` when `mob.failures` is not empty. */
export interface ReconcileReport {
  mob: {
    desired: AgentIdentity[];
    retained: AgentIdentity[];
    spawned: { member_ref: string; agent_identity: AgentIdentity }[];
    retired: AgentIdentity[];
    failures: { agent_identity: AgentIdentity; stage: "spawn" | "retire"; error: string }[];
  };
  edges: ReconcileEdgesReport;
  routing: { router_module_loaded: boolean; active_members: AgentIdentity[]; added_route_keys: string[]; removed_route_keys: string[] };
}

/** The roster was discovered anew. */
export interface RediscoverReport {
  spawned: AgentIdentity[];
  edges: ReconcileEdgesReport;
}

/** A run from start to shutdown. */
export interface RunReport {
  serve_result: { Ok: null };
  shutdown: ShutdownReport;
}

/** What a shutdown did. */
export interface ShutdownReport {
  drain: { drained_count: number; timed_out: boolean; drain_duration_ms: number };
  module_shutdown: { terminated_modules: string[]; orphan_processes: number };
  mob_stop: { Ok: null } | { Err: string } | null;
}

/** One model by name, as `mobkit/status` shows it. */
export interface ModelStatus {
  provider: string;
  is_demo: boolean;
  availability: "ready" | "waiting";
  reason?: string;
}

/** The runtime at a glance. Cursors are numbers in the fetch contract's JSON. */
export interface RuntimeStatus<Seq = bigint> {
  contract_version: string;
  running: boolean;
  mob_id: string;
  mob_state: string;
  role: "leader" | "follower";
  latest_mob_cursor: Seq;
  latest_event_cursor: Seq;
  models: Record<string, ModelStatus>;
  definition_changes: DefinitionChange[];
  /** How the supervised tasks fare; none in a context that follows. */
  tasks: TaskHealth[];
}

/** How a supervised task fares. */
export interface TaskHealth {
  name: "mob_events" | "agent_events" | "event_log" | "persistent_metadata";
  state: "running" | "retrying" | "failed";
  /** Failed attempts since it worked last. */
  attempts: number;
  /** What it failed with last. */
  error?: string;
  failed_at_ms?: number;
  /** Events that it could not bring home, for they were deleted before. */
  lost: number;
}
