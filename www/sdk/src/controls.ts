// The controls of a hosted runtime: what a page may ask of the worker beside requests.

import type { ErrorData } from "./error.js";
import type { RuntimeState } from "./protocol.js";

/** Which model the worker gives to every model name of the definition. */
export type ModelChoice =
  /** The embedded scripted model: no network. */
  | { kind: "demo"; pace?: number }
  /**
   * A server with OpenAI-compatible chat completions. `model` replaces the definition's model names in requests;
   * without it they are sent as they are. The key stays in the memory of page and worker.
   */
  | { kind: "openai"; baseUrl: string; apiKey?: string; model?: string; headers?: Record<string, string> }
  /** No model: work waits, as `model_unavailable`, until one is configured. */
  | { kind: "none" };

/** What happens when another context holds the mob. */
export type IfLocked = "wait" | "follow" | "steal" | "fail";

/** What `start` takes. */
export interface StartOptions {
  /** The definition as TOML text. */
  definitionToml: string;
  /** The name of the IndexedDB storage; null for memory, which a reload empties. */
  storageName: string | null;
  model?: ModelChoice;
  /** Default: `follow`. */
  ifLocked?: IfLocked;
}

/** The answer of `start`, `take_over` and `erase`. */
export interface StateAnswer {
  state: RuntimeState;
}

/** The answer of `test_model`: one short request to the model, outside of any mob. */
export type ModelTest =
  | { ok: true; provider: string; text: string; elapsed_ms: number }
  | { ok: false; error: ErrorData; elapsed_ms: number };

/** What is stored and how much. */
export interface StorageUsage {
  /** Rows of this mob's storage and the bytes of their keys and values. */
  rows: number;
  bytes: number;
  /** What the browser counts for this origin, and what it allows; null where it does not say. */
  origin_usage: number | null;
  origin_quota: number | null;
}

/** Controls by name: payload and answer. */
export interface Controls {
  /** In place of what runs. If the definition is wrong it fails with `invalid_definition`, and what runs goes on. */
  start: { payload: StartOptions; answer: StateAnswer };
  configure_model: { payload: ModelChoice; answer: { models: string[] } };
  test_model: { payload: ModelChoice; answer: ModelTest };
  /** Makes this runtime the leader: the context that held the mob becomes a follower. */
  take_over: { payload: void; answer: StateAnswer };
  usage: { payload: void; answer: StorageUsage };
  /** Every row of the storage as JSON lines. */
  export: { payload: void; answer: ReadableStream<Uint8Array> };
  /** Stops the runtime and deletes its storage. `start` begins anew. */
  erase: { payload: void; answer: StateAnswer };
  /** The page was hidden: what is pending is written now. */
  page_hidden: { payload: void; answer: null };
  /** The page goes to sleep: whatever bars it from the browser's back-forward cache is let go at once. `wake` undoes it. */
  sleep: { payload: void; answer: null };
  /** The page is back. Answered when the worker can be watched again; the runtime starts meanwhile. */
  wake: { payload: void; answer: null };
  /** Ends the runtime in good order. `start` begins anew. */
  stop: { payload: void; answer: StateAnswer };
}

/** The name of a control. */
export type ControlName = keyof Controls;
