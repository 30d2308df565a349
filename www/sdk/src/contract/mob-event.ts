// The structural ledger (MobKit contract, sections 10.3 and 18.5).

import type { Json, Labels, TimestampMs } from "./common.js";

/** The kinds of ledger entries. */
export type MobEventKind =
  | "mob_created" | "mob_completed" | "mob_destroying" | "mob_destroy_storage_finalizing" | "mob_reset"
  | "member_spawned" | "member_retired" | "member_reset" | "member_kickoff_updated"
  | "members_wired" | "members_wired_batch" | "members_unwired"
  | "external_peer_wired" | "external_peer_unwired"
  | "flow_started" | "flow_completed" | "flow_failed" | "flow_canceled"
  | "step_dispatched" | "step_target_completed" | "step_target_failed"
  | "step_completed" | "step_failed" | "step_skipped"
  | "topology_violation" | "operator_action_recorded" | "supervisor_escalation";

/** One ledger entry as it is shown. `data` is the entry itself, with its own `type`. */
export interface MobStructuralEventEnvelope<Seq = bigint> {
  /** Always `mob-evt-{cursor}`. */
  event_id: string;
  cursor: Seq;
  mob_id: string;
  timestamp_ms: TimestampMs;
  kind: MobEventKind;
  run_id?: string;
  step_id?: string;
  agent_identity?: string;
  mob_labels?: Labels;
  run_labels?: Labels;
  data: { type: MobEventKind; [field: string]: Json };
}

/** A page of ledger entries, ascending. Page on with `resume_after_seq`. */
export interface MobEventsPage<Seq = bigint> {
  events: MobStructuralEventEnvelope<Seq>[];
  next_after_seq: Seq;
  resume_after_seq: Seq;
}
