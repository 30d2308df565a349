// The contract as data: runs a scenario of `tests/golden` against whatever answers requests. The native runner of the same files, which
// also writes them, is `src/console/tests/golden.rs`; what placeholders mean is written at the top of its `template.rs`.

import type { AgentDiscoverySpec, DesiredPeerEdge, MobDefinition, ModelDelta, ModelObject, UnifiedRuntimeBuilder } from "mobkit-web";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

/** What is asked: a method of JSON-RPC, or a request with a body or without one. */
export interface GoldenRequest {
  rpc?: { method: string; params?: Json; id?: Json };
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  json?: Json;
  text?: string;
  /** How often it is sent; the last answer counts. Default: once. */
  times?: number;
  /** What is sent between a stream's opening and its reading. */
  meanwhile?: GoldenRequest[];
}

/** What must come back; of the headers those that are named, of a stream as many events as are listed. */
export interface GoldenResponse {
  status: number;
  headers?: Record<string, string>;
  json?: Json;
  text?: string;
  sse?: Json[];
}

export interface GoldenStep {
  name: string;
  request: GoldenRequest;
  response: GoldenResponse;
}

/** What a tool of a module does: answers its arguments, never answers, answers this, or fails so. */
export type ToolRule = "echo" | "hang" | { answer: Json } | { fail: string };

/** A module of a scenario: one that is built in, or one whose tools go by rules. */
export type GoldenModule = "router" | "delivery" | { id: string; tools: Record<string, ToolRule> };

/** One file of `tests/golden`, the name of its definition replaced by the definition. */
export interface Scenario {
  name: string;
  about: string;
  definition: MobDefinition;
  discovery?: AgentDiscoverySpec[];
  edge_discovery?: "definition" | DesiredPeerEdge[];
  modules?: GoldenModule[];
  steps: GoldenStep[];
}

/** Whatever answers requests. */
export type FetchLike = (request: Request) => Promise<Response>;

/** How long a step may take on a busy machine, and how much longer with each time that its request is repeated. */
const LIMIT_MS = 20_000;
const REPEATED_MS = 250;

/** Gives a builder what a scenario asks for; the storage is the caller's. */
export function configureGolden(builder: UnifiedRuntimeBuilder, scenario: Scenario): UnifiedRuntimeBuilder {
  const { definition, discovery, edge_discovery: edges, modules = [] } = scenario;
  builder.definition(definition).model("echo", echoModel);
  if (discovery) builder.discovery(() => discovery);
  if (edges) builder.edgeDiscovery(edges === "definition" ? edges : () => edges);
  for (const module of modules) {
    if (typeof module === "string") builder.module(module);
    else builder.module(module.id, ruledModule(module.tools));
  }
  return builder;
}

/** A module whose tools do what the rules say; `src/console/tests/golden/ruled.rs` has the same. */
function ruledModule(rules: Record<string, ToolRule>) {
  return {
    listTools: () => Object.keys(rules).sort().map((name) => ({ name })),
    callTool(name: string, args: Json): Json | Promise<Json> {
      const rule = rules[name]!;
      if (rule === "echo") return args;
      if (rule === "hang") return new Promise(() => undefined);
      if ("fail" in rule) throw new Error(rule.fail);
      return rule.answer;
    },
  };
}

/**
 * The rule by which both runners' models answer the last message: `hang` never, `fail` with an error, `call {tool} {arguments}` with a call
 * and then `called`, anything else with an echo. Every answer takes five tokens and gives two.
 */
export const echoModel: ModelObject = {
  provider: "golden",
  async *stream({ messages }, { signal }): AsyncGenerator<ModelDelta> {
    const last = messages.at(-1);
    const usage: ModelDelta = { type: "usage", usage: { input_tokens: 5, output_tokens: 2 } };
    const text = last?.role === "user" ? textOf(last.content) : undefined;
    const call = text === undefined ? null : /^call ([^ ]+)(?: (.*))?$/s.exec(text);
    if (text === "hang" || text === "fail") {
      yield usage;
      if (text === "fail") throw new Error("told to fail");
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    if (call) yield { type: "tool_call", index: 0, name: call[1], args: call[2] ?? "{}" } as ModelDelta;
    else yield { type: "text", text: text === undefined ? "called" : `echo: ${text}` };
    yield usage;
    yield { type: "stop", reason: call ? "tool_use" : "end_turn" };
  },
};

function textOf(content: string | readonly object[]): string {
  if (typeof content === "string") return content;
  return content.map((block) => ("text" in block ? String(block.text) : "")).join("");
}

/** What a caller does between two steps. */
export type BeforeStep = (step: GoldenStep, index: number) => Promise<void>;

/** Does a scenario's steps against `fetchLike`; throws an error that names everything in which the answers differ. */
export async function runGolden(fetchLike: FetchLike, scenario: Scenario, beforeStep?: BeforeStep): Promise<void> {
  const captures = new Captures();
  const found: string[] = [];
  for (const [index, step] of scenario.steps.entries()) {
    const { name, request, response: want } = step;
    const at = `${scenario.name}: ${JSON.stringify(name)}`;
    try {
      await beforeStep?.(step, index);
      const asked = captures.fill(request as Json) as GoldenRequest;
      const limit = LIMIT_MS + REPEATED_MS * (asked.times ?? 1);
      const got = await withLimit(limit, (signal) => ask(fetchLike, asked, want, signal));
      captures.differences(`${at}: response`, want as unknown as Json, got, found);
    } catch (error) {
      found.push(`${at}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (found.length > 0) throw new Error(found.join("\n"));
}

/** Sends a step's request, as often as `times` says, and what is sent `meanwhile`; answers the last response. */
async function ask(fetchLike: FetchLike, request: GoldenRequest, want: GoldenResponse, signal: AbortSignal): Promise<JsonObject> {
  for (let time = 1; time < (request.times ?? 1); time++) await (await fetchLike(requestOf(request))).arrayBuffer();
  const response = await fetchLike(requestOf(request));
  for (const other of request.meanwhile ?? []) {
    const answer = await responseOf(await fetchLike(requestOf(other)), { status: 200 }, signal);
    const { json = null } = answer;
    if (answer.status !== 200 || (isObject(json) && "error" in json)) throw new Error(`meanwhile: ${JSON.stringify(answer)}`);
  }
  return await responseOf(response, want, signal);
}

/** Runs a step, and gives it up when it takes too long: then its signal is aborted. */
async function withLimit<T>(limit: number, step: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`no answer for ${limit} ms`);
      controller.abort(error);
      reject(error);
    }, limit);
  });
  try {
    return await Promise.race([step(controller.signal), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

function requestOf(request: GoldenRequest): Request {
  const { rpc, path = "/console/rpc", method = "POST", text } = request;
  const json = rpc ? { jsonrpc: "2.0", ...rpc } : request.json;
  const headers: Record<string, string> = json === undefined ? {} : { "content-type": "application/json" };
  const body = text ?? (json === undefined ? null : JSON.stringify(json));
  return new Request(`https://mob.local${path}`, { method, headers: { ...headers, ...request.headers }, body });
}

/** What came back, in the form of a golden response. */
async function responseOf(response: Response, want: GoldenResponse, signal: AbortSignal): Promise<JsonObject> {
  const got: JsonObject = { status: response.status };
  const header = (name: string): [string, string][] => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value]];
  };
  if (want.headers) got.headers = Object.fromEntries(Object.keys(want.headers).flatMap(header));
  const type = response.headers.get("content-type");
  if (type === "text/event-stream") {
    if (!want.sse) throw new Error("a stream was not wanted");
    got.sse = await firstEvents(response, want.sse.length, signal);
    return got;
  }
  const text = await response.text();
  if (type === "application/json" && text !== "") got.json = JSON.parse(text) as Json;
  else got.text = text;
  return got;
}

async function firstEvents(response: Response, count: number, signal: AbortSignal): Promise<Json[]> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) throw new Error("a stream without a body");
  // Cancelling is best effort: the stream may have ended by itself.
  signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
  const events: Json[] = [];
  let text = "";
  try {
    while (events.length < count) {
      const end = text.indexOf("\n\n");
      if (end >= 0) {
        const event = eventOf(text.slice(0, end));
        if (event) events.push(event);
        text = text.slice(end + 2);
        continue;
      }
      const { done, value } = await reader.read();
      if (done) throw new Error(`the stream ended after ${events.length} events instead of ${count}: ${JSON.stringify(events)}`);
      text += value;
    }
  } finally {
    await reader.cancel();
  }
  return events;
}

/** An event of a block; none of a comment. */
function eventOf(block: string): Json | undefined {
  const event: JsonObject = {};
  for (const line of block.split("\n")) {
    const [name, value] = split(line, ": ");
    if (name === "data") event.data = JSON.parse(value) as Json;
    else if (name !== "") event[name] = value;
  }
  return Object.keys(event).length > 0 ? event : undefined;
}

function split(text: string, at: string): [string, string] {
  const found = text.indexOf(at);
  return found < 0 ? [text, ""] : [text.slice(0, found), text.slice(found + at.length)];
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const isWhole = (value: Json): boolean => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** What a kind stands for as a whole value, and how much of a text it takes, where `next` is what comes after it. */
const KINDS: Record<string, { is(value: Json): boolean; span(text: string, next: string | undefined): number }> = {
  "*": { is: () => true, span: (text, next) => (next === undefined ? text.length : text.indexOf(next)) },
  uuid: {
    is: (value) => typeof value === "string" && value.length === 36 && UUID.test(value),
    span: (text) => (UUID.test(text) ? 36 : -1),
  },
  ms: { is: isWhole, span: digits },
  cursor: { is: (value) => (typeof value === "string" ? /^\d+$/.test(value) : isWhole(value)), span: digits },
};

function digits(text: string): number {
  return /^\d+/.exec(text)?.[0].length ?? -1;
}

type Piece = string | { kind: string; name: string | undefined };

function pieces(text: string): Piece[] {
  return text.split(/(\{\{.*?\}\})/).flatMap((part): Piece[] => {
    const inner = /^\{\{(.*)\}\}$/.exec(part)?.[1];
    if (inner === undefined) return part === "" ? [] : [part];
    const [first, rest] = split(inner, ":");
    const [kind, name] = rest !== "" ? [first, rest] : first in KINDS ? [first, undefined] : ["*", first];
    if (!(kind in KINDS)) throw new Error(`no such kind of value: ${part}`);
    return [{ kind, name }];
  });
}

const asText = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));
const isObject = (value: Json): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** What the placeholders of a scenario stand for. */
export class Captures {
  readonly #values = new Map<string, Json>();

  /** Keeps a value under a name; false, when it is not the one that is kept there. */
  #bind(name: string | undefined, value: Json): boolean {
    if (name === undefined) return true;
    const known = this.#values.get(name);
    if (known === undefined) this.#values.set(name, value);
    return known === undefined || asText(known) === asText(value);
  }

  /** Everything in which an answer differs from the golden one. */
  differences(at: string, want: Json, got: Json, found: string[]): void {
    const say = JSON.stringify;
    if (isObject(want) && isObject(got)) {
      for (const [key, value] of Object.entries(want)) {
        const given = got[key];
        if (given === undefined) found.push(`${at}.${key}: missing; wanted ${say(value)}`);
        else this.differences(`${at}.${key}`, value, given, found);
      }
      for (const key of Object.keys(got)) if (!(key in want)) found.push(`${at}.${key}: not wanted; got ${say(got[key])}`);
    } else if (Array.isArray(want) && Array.isArray(got)) {
      want.slice(0, got.length).forEach((value, index) => this.differences(`${at}[${index}]`, value, got[index] ?? null, found));
      if (want.length !== got.length) found.push(`${at}: wanted ${want.length} entries, got ${got.length}: ${say(got)}`);
    } else if (typeof want === "string" && want.includes("{{")) {
      if (!this.#standsFor(want, got)) found.push(`${at}: wanted ${want}${this.#described(want)}, got ${say(got)}`);
    } else if (want !== got) {
      found.push(`${at}: wanted ${say(want)}, got ${say(got)}`);
    }
  }

  #described(template: string): string {
    const isKnown = pieces(template).every((piece) => typeof piece === "string" || (piece.name !== undefined && this.#values.has(piece.name)));
    return isKnown ? ` = ${JSON.stringify(this.#filled(template))}` : "";
  }

  #standsFor(template: string, got: Json): boolean {
    const parts = pieces(template);
    const [only] = parts;
    if (parts.length === 1 && typeof only === "object") return KINDS[only.kind]!.is(got) && this.#bind(only.name, got);
    if (typeof got !== "string") return false;
    let text = got;
    for (const [index, part] of parts.entries()) {
      let taken: number;
      if (typeof part === "string") {
        taken = text.startsWith(part) ? part.length : -1;
      } else {
        const next = parts[index + 1];
        const known = part.name === undefined ? undefined : this.#values.get(part.name);
        if (known === undefined) taken = KINDS[part.kind]!.span(text, typeof next === "string" ? next : undefined);
        else taken = text.startsWith(asText(known)) ? asText(known).length : -1;
        if (taken >= 0 && !this.#bind(part.name, text.slice(0, taken))) return false;
      }
      if (taken < 0) return false;
      text = text.slice(taken);
    }
    return text === "";
  }

  /** A request with what was kept put into it. */
  fill(request: Json): Json {
    if (typeof request === "string") return request.includes("{{") ? this.#filled(request) : request;
    if (Array.isArray(request)) return request.map((one) => this.fill(one));
    if (!isObject(request)) return request;
    return Object.fromEntries(Object.entries(request).map(([key, value]) => [key, this.fill(value)]));
  }

  #filled(template: string): Json {
    const known = (name: string | undefined): Json => {
      const value = name === undefined ? undefined : this.#values.get(name);
      if (value === undefined) throw new Error(`${template}: nothing is known of ${name ?? "a value without a name"}`);
      return value;
    };
    const parts = pieces(template);
    const [only] = parts;
    if (parts.length === 1 && typeof only === "object") return known(only.name);
    return parts.map((part) => (typeof part === "string" ? part : asText(known(part.name)))).join("");
  }
}
