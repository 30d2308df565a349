// Reports and statuses (MobKit contract, sections 2.8 and 20.3).

import type { DefinitionChange } from "./definition.js";

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
}
