// Models: what a definition's model names stand for.

import type { ContentInput, Json, Usage } from "./contract/common.js";
import type { StopReason } from "./contract/agent-event.js";
import { ObjectHandle, type RawModel } from "./glue.js";

/** A server that speaks OpenAI-compatible chat completions. */
export interface OpenAiCompatibleOptions {
  /** Up to and including the version, such as `http://localhost:11434/v1`. */
  baseUrl: string;
  /** Sent as a bearer token. Kept in memory only. */
  apiKey?: string;
  /** Sent instead of the model name of the definition. */
  model?: string;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Used instead of the global `fetch`: a proxy, or a test. */
  fetch?: typeof fetch;
}

/** What a model object is asked. */
export interface ModelRequest {
  model: string;
  system: string;
  messages: ModelMessage[];
  tools: { name: string; description: string; input_schema: Json }[];
  max_output_tokens: number | null;
  params: Json;
}

/** One message of a model request. */
export type ModelMessage =
  | { role: "user"; content: ContentInput; from?: string }
  | { role: "assistant"; text: string; reasoning?: string; tool_calls?: { id: string; name: string; args: Json }[] }
  | { role: "tool"; call_id: string; name: string; content: string; is_error: boolean };

/** One piece of a model's answer. */
export type ModelDelta =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  /** Pieces of one call share its index; `args` are pieces of JSON text. */
  | { type: "tool_call"; index: number; id?: string; name?: string; args?: string }
  | { type: "usage"; usage: Usage }
  | { type: "stop"; reason: StopReason };

/** A model made of JavaScript: an async generator of deltas. */
export interface ModelObject {
  /** Shown as the model's provider. Default: `js`. */
  provider?: string;
  /** How many tokens a request may hold. */
  contextTokens?: number;
  /** Answers one request. The signal is aborted when the turn is cancelled. */
  stream(request: ModelRequest, options: { signal: AbortSignal }): AsyncIterable<ModelDelta>;
}

declare const modelBrand: unique symbol;

/** A model for the builder. */
export interface Model {
  readonly [modelBrand]: true;
}

const raws = new WeakMap<object, RawModel>();

/** A model behind an OpenAI-compatible server. */
export function openAiCompatible(options: OpenAiCompatibleOptions): Model {
  const { baseUrl, apiKey, model, headers, fetch } = options;
  return branded({ kind: "openai", baseUrl, apiKey, model, headers: Object.entries(headers ?? {}), fetch });
}

/** The embedded scripted model: no network. `pace` is the delay between pieces of text in milliseconds. */
export function demoModel(options: { pace?: number } = {}): Model {
  return branded({ kind: "demo", pace: options.pace });
}

/** A model made of JavaScript. The builder takes the object itself as well. */
export function jsModel(model: ModelObject): Model {
  return branded({ kind: "js", model: new ObjectHandle(model) });
}

/** What crosses into the wasm. */
export function rawModel(model: Model | ModelObject): RawModel {
  return raws.get(model) ?? { kind: "js", model: new ObjectHandle(model) };
}

function branded(raw: RawModel): Model {
  const model = Object.freeze({}) as Model;
  raws.set(model, raw);
  return model;
}
