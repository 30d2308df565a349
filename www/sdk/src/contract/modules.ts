// Modules, and what stands on them: routing, deliveries, schedules, gating and memory (MobKit contract, sections 14 and 15).

import type { AgentIdentity, Json, TimestampMs } from "./common.js";

/** How a module is. `failed`: it did not start, or has ended. `stopped`: it does not run, and is not started again by itself. */
export type ModuleHealth = "starting" | "healthy" | "failed" | "restarting" | "stopped";

/** When a module is started again by itself. */
export type ModuleRestartPolicy = "never" | "on_failure" | "always";

/** A change of a module's health. */
export interface ModuleHealthTransition {
  module_id: string;
  /** Nothing before its first start. */
  from?: ModuleHealth;
  to: ModuleHealth;
  /** How often it had been started again. */
  attempt: number;
}

/** A module at a glance: an entry of `mobkit/modules/list`. */
export interface ModuleStatus {
  module_id: string;
  /** None if it was never started here. */
  health?: ModuleHealth;
  /** How often it was started again since it was last fit for a minute. */
  restarts: number;
  restart_policy: ModuleRestartPolicy;
  /** What it failed with last, in this life of the runtime. */
  error?: string;
  /** The names of its tools. */
  tools: string[];
  /** The newest last. */
  transitions: ModuleHealthTransition[];
}

/** What `mobkit/routing/resolve` is asked. */
export interface RoutingResolveRequest {
  /** A member, an address, a number, a URL. */
  recipient: string;
  /** Default: `notification`. */
  channel?: string;
  /** How often a failed attempt is repeated. Default: 1; at most 10. */
  retry_max?: number;
  /** The pause before a repetition. Default: 250. */
  backoff_ms?: number;
  /** Deliveries within a minute. Default: 2. */
  rate_limit_per_minute?: number;
}

/** A rule of where something goes, over what the module `router` says. */
export interface RuntimeRoute {
  route_key: string;
  /** `*` for anybody. */
  recipient: string;
  /** `*`, or none, for any. */
  channel?: string;
  /** E.g. `webhook`, `mob_member`, `module`, `email`. */
  sink: string;
  target_module: string;
  retry_max?: number;
  backoff_ms?: number;
  rate_limit_per_minute?: number;
}

/** Where something goes. Whoever delivers shows it as it was answered. */
export interface RoutingResolution {
  route_id: string;
  recipient: string;
  channel: string;
  sink: string;
  target_module: string;
  retry_max: number;
  backoff_ms: number;
  rate_limit_per_minute: number;
}

/** How a delivery, or one attempt of it, stands. */
export type DeliveryStatus = "sending" | "transient_failure" | "sent" | "failed";

/** What `mobkit/delivery/send` is asked. */
export interface DeliverySendRequest {
  resolution: RoutingResolution;
  payload: Json;
  idempotency_key?: string;
}

/** What became of a delivery: the answer of `mobkit/delivery/send`, an entry of `mobkit/delivery/history`. */
export interface DeliveryRecord {
  delivery_id: string;
  route_id: string;
  recipient: string;
  sink: string;
  target_module: string;
  payload: Json;
  status: DeliveryStatus;
  attempts: { attempt: number; status: DeliveryStatus; backoff_ms: number }[];
  first_attempt_ms: TimestampMs;
  final_attempt_ms: TimestampMs;
  idempotency_key?: string;
  /** What carried it out: what the module says, else `mailbox`, `module` or `webhook`. */
  sink_adapter?: string;
  /** What the last attempt failed with. */
  error?: string;
}

/** When a schedule is due. */
export interface ScheduleDefinition {
  schedule_id: string;
  // `*/N` with the unit `s`, `m`, `h` or `d`, or a cron expression of five fields.
  interval: string;
  /** `UTC`, `Z`, `+HH:MM`, or a name that the host knows. */
  timezone: string;
  /** Default: true. */
  enabled?: boolean;
  /** By how much at most each occurrence is late. */
  jitter_ms?: number;
  /** Whether an occurrence that was missed is made up for. */
  catch_up?: boolean;
}

/** What a schedule does. */
export type ScheduleAction =
  | { kind: "message"; member_id: AgentIdentity; message: string }
  | { kind: "delivery"; recipient: string; channel?: string; payload: Json }
  | { kind: "tool"; module_id: string; tool: string; arguments?: Json };

/** What `mobkit/scheduling/set` is asked. */
export interface HeldSchedule {
  schedule: ScheduleDefinition;
  action: ScheduleAction;
}

/** A schedule as it stands: an entry of `mobkit/scheduling/list`. */
export interface ScheduleView extends HeldSchedule {
  schedule: Required<ScheduleDefinition>;
  /** When it is due next, and after that; nothing while it is not enabled. */
  next_ms: TimestampMs[];
  /** The occurrence that was last. */
  last_due_ms?: TimestampMs;
  /** How often it has done what it does. */
  fired: number;
  /** What it failed with last. */
  error?: string;
}

/** How much is at stake. `r2` is written down, `r3` waits until somebody approves. */
export type RiskTier = "r0" | "r1" | "r2" | "r3";

/** What becomes of an action. */
export type GatingOutcome = "allowed" | "allowed_with_audit" | "pending_approval" | "safe_draft";

/** What somebody decides. */
export type GatingDecision = "approve" | "reject" | "escalate";

/** What somebody wants to do: what `mobkit/gating/evaluate` is asked. */
export interface GatingEvaluateRequest {
  action: string;
  actor_id: string;
  risk_tier: RiskTier;
  rationale?: string;
  /** Who is to decide; anybody but the actor if it is not said. */
  requested_approver?: string;
  /** Who is told that there is something to decide; with `approval_channel`. */
  approval_recipient?: string;
  approval_channel?: string;
  /** Default: 60 000. */
  approval_timeout_ms?: number;
  /** What it is about, for conflicts in memory. */
  entity?: string;
  topic?: string;
}

/** Whether it may be done. */
export interface GatingEvaluateResult {
  action_id: string;
  action: string;
  actor_id: string;
  risk_tier: RiskTier;
  outcome: GatingOutcome;
  pending_id?: string;
  fallback_reason?: string;
}

/** What somebody has to decide: an entry of `mobkit/gating/pending`. */
export interface GatingPendingEntry {
  pending_id: string;
  action_id: string;
  action: string;
  /** May not approve it. */
  actor_id: string;
  risk_tier: RiskTier;
  rationale?: string;
  /** Then nobody else decides. */
  requested_approver?: string;
  approval_recipient?: string;
  approval_channel?: string;
  approval_route_id?: string;
  approval_delivery_id?: string;
  created_at_ms: TimestampMs;
  /** Then it is a draft. */
  deadline_at_ms: TimestampMs;
  /** Who passed it on, and decides about it no more. */
  escalated_by?: string[];
  /** The tool call that waits for it. */
  tool_call?: { member_id: AgentIdentity; interaction_id: string; call_id: string; tool: string; args: Json };
}

/** What `mobkit/gating/decide` is asked. */
export interface GatingDecideRequest {
  pending_id: string;
  approver_id: string;
  decision: GatingDecision;
  reason?: string;
}

/** What came of a decision. */
export interface GatingDecisionResult {
  pending_id: string;
  action_id: string;
  approver_id: string;
  decision: GatingDecision;
  outcome: GatingOutcome;
  decided_at_ms: TimestampMs;
  reason?: string;
  /** What there is to decide now, after an escalation. */
  next_pending_id?: string;
}

/** A line of the record of what was allowed and decided. */
export interface GatingAuditEntry {
  audit_id: string;
  timestamp_ms: TimestampMs;
  /**
   * `evaluated`, `pending_created`, `conflict_blocked`, `memory_conflict_lookup_failed`, `approved`, `rejected`, `escalated`,
   * `timeout_fallback`, `pending_evicted`, `withdrawn`, `notified`.
   */
  event_type: string;
  action_id: string;
  pending_id?: string;
  actor_id: string;
  risk_tier: RiskTier;
  outcome: GatingOutcome;
  /** Particulars, and what the action is. */
  detail: { action: string; [name: string]: Json };
}

/** A store of memory. */
export type MemoryStore = "knowledge_graph" | "vector" | "timeline" | "todo" | "top_of_mind";

/** What `mobkit/memory/index` remembers: a fact, or that there is a conflict, or both. */
export interface MemoryIndexRequest {
  entity: string;
  topic: string;
  /** Default: `knowledge_graph`. */
  store?: MemoryStore;
  fact?: string;
  metadata?: Json;
  conflict?: boolean;
  conflict_reason?: string;
}

/** What `mobkit/memory/query` is asked. What is left out is left open. */
export interface MemoryQueryRequest {
  entity?: string;
  topic?: string;
  store?: MemoryStore;
}

/** A fact. */
export interface MemoryAssertion {
  assertion_id: string;
  entity: string;
  topic: string;
  store: MemoryStore;
  fact: string;
  metadata?: Json;
  indexed_at_ms: TimestampMs;
}

/** Facts about one topic of one entity contradict each other. */
export interface MemoryConflictSignal {
  entity: string;
  topic: string;
  store: MemoryStore;
  reason?: string;
  updated_at_ms: TimestampMs;
}
