// Agent events: what a member does, as it does it (MobKit contract, section 19, and this project's additions).

import type { ContentBlock, ContentInput, HandlingMode, Json, Usage } from "./common.js";

/** Why a model ended its output. */
export type StopReason = "end_turn" | "tool_use" | "max_tokens" | "stop_sequence" | "content_filter" | "cancelled";

/** The class of a failed run. */
export type AgentErrorClass =
  | "llm" | "store" | "tool" | "mcp" | "session_not_found" | "budget" | "max_tokens" | "content_filtered"
  | "max_turns" | "cancelled" | "invalid_state" | "operation_not_found" | "depth_limit" | "concurrency_limit"
  | "config" | "internal" | "build" | "auth" | "callback_pending" | "structured_output" | "invalid_output_schema"
  | "hook" | "terminal" | "no_pending_boundary";

/**
 * One agent event, told apart by `type`. A later version of the runtime may add types: a `switch`
 * over `type` needs a `default` that tolerates them.
 */
export type AgentEvent =
  | { type: "run_started"; session_id: string; prompt: ContentInput; from?: string }
  | {
      type: "run_completed"; session_id: string; result: string; structured_output?: Json;
      extraction_required?: boolean; usage: Usage; terminal_cause_kind?: string;
    }
  | { type: "extraction_succeeded"; session_id: string; structured_output: Json; schema_warnings?: Json }
  | { type: "extraction_failed"; session_id: string; last_output: string; attempts: number; reason: string }
  | {
      type: "run_failed"; session_id: string; error_class: AgentErrorClass; error: string;
      terminal_cause_kind?: string; error_report?: Json;
    }
  | { type: "hook_started"; hook_id: string; point: string }
  | { type: "hook_completed"; hook_id: string; point: string; duration_ms: number }
  | { type: "hook_failed"; hook_id: string; point: string; error: string }
  | { type: "hook_denied"; hook_id: string; point: string; reason_code: string; message: string; payload?: Json }
  | { type: "turn_started"; turn_number: number }
  | { type: "reasoning_delta"; delta: string }
  | { type: "text_delta"; delta: string }
  | { type: "reasoning_complete"; content: string }
  | { type: "text_complete"; content: string }
  | { type: "server_tool_content"; id?: string; name: string; content: Json }
  | {
      type: "assistant_image_appended";
      image: {
        image_id: string; blob_ref: Json; media_type: string; width: number; height: number;
        revised_prompt?: string | null; meta?: Json;
      };
    }
  | { type: "tool_call_requested"; id: string; name: string; args: Json }
  | { type: "tool_result_received"; id: string; name: string; content?: ContentBlock[]; is_error: boolean }
  | { type: "turn_completed"; stop_reason: StopReason; usage: Usage }
  | { type: "tool_execution_started"; id: string; name: string }
  | {
      type: "tool_execution_completed"; id: string; name: string; result: string; content?: ContentBlock[];
      is_error: boolean; duration_ms: number;
    }
  | { type: "tool_execution_timed_out"; id: string; name: string; timeout_ms: number }
  | { type: "compaction_started"; input_tokens: number; estimated_history_tokens: number; message_count: number }
  | { type: "compaction_completed"; summary_tokens: number; messages_before: number; messages_after: number }
  | { type: "compaction_failed"; error: string }
  | { type: "budget_warning"; budget_type: "tokens" | "time" | "tool_calls"; used: number; limit: number; percent: number }
  | { type: "retrying"; attempt: number; max_attempts: number; error: string; delay_ms: number; retry?: Json }
  | { type: "skills_resolved"; skills: Json[]; injection_bytes: number }
  | { type: "skill_resolution_failed"; skill_key?: Json; reason: string; reference: string; error: string }
  | { type: "interaction_complete"; interaction_id: string; result: string; structured_output?: Json }
  | { type: "interaction_callback_pending"; interaction_id: string; tool_name: string; args: Json }
  | { type: "interaction_failed"; interaction_id: string; error: string }
  | { type: "stream_truncated"; reason: string }
  | {
      type: "tool_config_changed";
      payload: {
        operation: "add" | "remove" | "reload"; target: string; status: string; persisted: boolean;
        applied_at_turn?: number; domain?: string; deferred_catalog_delta?: Json;
      };
    }
  | {
      type: "background_job_completed"; job_id: string; display_name: string; status?: string;
      terminal_status: "completed" | "failed" | "aborted" | "cancelled" | "retired" | "terminated"; detail: string;
    }
  // This project's additions.
  | { type: "history_truncated"; omitted_messages: number; kept_messages: number; estimated_tokens: number }
  | {
      type: "user_input"; interaction_id: string; content: ContentInput; origin?: string;
      handling_mode: HandlingMode;
    }
  | { type: "peer_message"; from: string; content: ContentInput; interaction_id?: string }
  /** The member left the roster, or began a new incarnation. */
  | { type: "identity_retired" }
  | { type: "identity_respawned" }
  | { type: "model_unavailable"; model: string; reason: string };

/** The `type` of an agent event. */
export type AgentEventType = AgentEvent["type"];
