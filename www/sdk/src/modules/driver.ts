// What every module becomes for the runtime: a driver that takes and gives JSON text. Here: its types, and the driver of a plain object.

import type { Json } from "../contract/common.js";

/** A tool of a module. */
export interface ModuleTool {
  name: string;
  description?: string | undefined;
  /** JSON Schema of the arguments; absent: any object. */
  inputSchema?: Json | undefined;
}

/** For whom a tool is called. */
export interface ModuleCaller {
  identity?: string;
  interactionId?: string;
  callId?: string;
  deliveryId?: string;
}

/** What a tool is called with, beside its arguments. The signal is aborted when nobody waits for the result any more. */
export interface ModuleCallContext extends ModuleCaller {
  signal: AbortSignal;
}

/** Something that happened in a module. */
export interface ModuleEvent {
  event_type: string;
  payload: Json;
}

/** What a module may tell the runtime of, while it runs. */
export interface ModuleStartContext {
  emit(event: ModuleEvent): void;
  /** The module is broken: as if it had crashed. */
  fail(reason: unknown): void;
}

/** A module as an object. */
export interface ModuleObject {
  listTools(): ModuleTool[] | Promise<ModuleTool[]>;
  callTool(name: string, args: any, context: ModuleCallContext): unknown;
  /** Called before all else, and anew at every restart. */
  start?(context: ModuleStartContext): void | Promise<void>;
  stop?(): void | Promise<void>;
}

/** One run of a module, from a start to its end. What it rejects with is an `Error` whose `name` is a {@link ModuleErrorName}. */
export interface ModuleDriver {
  /** JSON of the tools, each with name, description and inputSchema. */
  tools(): Promise<string>;
  /** Arguments, context (a {@link ModuleCaller}) and result are JSON. */
  call(name: string, args: string, context: string, signal: AbortSignal | undefined): Promise<string>;
  stop(): Promise<void>;
  /** Resolves with the reason when the module ends by itself; neither when it is stopped nor ever with an error. */
  readonly ended: Promise<string>;
  /** Calls back whenever there may be other tools than before; not all modules can tell. */
  changed?(listener: () => void): void;
}

/** A module that makes its own driver, such as `workerModule` and `mcpModule` return. */
export interface StartableModule {
  /** Told by it from a module that is an object, whichever copy of this package made it. */
  readonly kind: "startable";
  start(emit: (event: string) => void): Promise<ModuleDriver>;
}

const NAMES = ["ConnectionFailed", "ToolListFailed", "ToolNotFound", "ToolCallFailed", "CloseFailed", "InvalidToolPayload", "ModuleCrashed"] as const;

/** What can go wrong with a module. */
export type ModuleErrorName = (typeof NAMES)[number];

/** The signal of a call that cannot be cancelled. */
const NEVER = new AbortController().signal;

/** The text of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.message || thrown.name;
}

/** An error of that name. */
export function moduleError(name: ModuleErrorName, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { name });
}

/** What was thrown, under that name; under its own if it is an error of a module already. */
export function asModuleError(name: ModuleErrorName, thrown: unknown): Error {
  return thrown instanceof Error && (NAMES as readonly string[]).includes(thrown.name) ? thrown : moduleError(name, messageOf(thrown), thrown);
}

/** JSON of a value. `what` names it in the error. Undefined is null; a function or symbol is an error as a cycle is. */
export function jsonOf(value: unknown, what: string): string {
  let why = `a ${typeof value}`;
  try {
    const text = JSON.stringify(value ?? null) as string | undefined;
    if (text !== undefined) return text;
  } catch (error) {
    why = messageOf(error);
  }
  throw moduleError("InvalidToolPayload", `${what} cannot be JSON: ${why}`);
}

/** A promise and the function that settles it. */
export function settled(): [promise: Promise<string>, settle: (reason: string) => void] {
  let settle!: (reason: string) => void;
  return [new Promise((resolve) => { settle = resolve; }), settle];
}

/** Checks tools and encodes them. */
export function encodedTools(tools: unknown): string {
  const wrong = (field: string, expected: string, value: unknown): never => {
    throw moduleError("ToolListFailed", `${field} must be ${expected}, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}`);
  };
  if (!Array.isArray(tools)) return wrong("what listTools() returns", "an array", tools);
  const names = new Set<string>();
  return jsonOf(tools.map((tool: ModuleTool | null, at) => {
    const { name, description = "", inputSchema = { type: "object" } } = tool ?? wrong(`tools[${at}]`, "an object", tool);
    if (typeof name !== "string" || !name || names.has(name)) wrong(`tools[${at}].name`, "a non-empty string that no other tool has", name);
    names.add(name);
    if (typeof description !== "string") wrong(`tools[${at}].description`, "a string", description);
    if (typeof inputSchema !== "object" || !inputSchema) wrong(`tools[${at}].inputSchema`, "a JSON Schema object", inputSchema);
    return { name, description, inputSchema };
  }), "the list of tools");
}

/** Starts a module that is an object. */
export async function startObject(module: ModuleObject, emit: (event: string) => void): Promise<ModuleDriver> {
  const [ended, end] = settled();
  let stopped = false;
  /** The result of the module's own code, and its errors under one name. */
  const named = async <T>(name: ModuleErrorName, work: () => T | Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw asModuleError(name, error);
    }
  };
  await named("ConnectionFailed", () => module.start?.({
    emit: (event) => {
      const { event_type, payload } = event;
      if (typeof event_type !== "string" || !event_type) throw new TypeError(`event_type must be a non-empty string, not ${String(event_type)}`);
      const text = jsonOf({ event_type, payload: payload ?? null }, `the event ${event_type}`);
      if (!stopped) emit(text);
    },
    fail: (reason) => { if (!stopped) end(messageOf(reason)); },
  }));
  return {
    ended,
    tools: () => named("ToolListFailed", async () => encodedTools(await module.listTools())),
    call: (name, args, context, signal) => named("ToolCallFailed", async () =>
      jsonOf(await module.callTool(name, JSON.parse(args), { ...JSON.parse(context) as ModuleCaller, signal: signal ?? NEVER }), `the result of the tool ${name}`)),
    stop: () => {
      stopped = true;
      return named("CloseFailed", () => module.stop?.());
    },
  };
}

/** The start function of a module of either form. `what` names the module in the error. */
export function startOf(module: ModuleObject | StartableModule, what: string): StartableModule["start"] {
  const functions = Object(module) as Record<string, unknown>;
  if (functions["kind"] === "startable") return (emit) => (module as StartableModule).start(emit);
  for (const [name, required] of [["listTools", true], ["callTool", true], ["start", false], ["stop", false]] as const) {
    const value = functions[name];
    if (typeof value !== "function" && (required || value !== undefined)) throw new TypeError(`${what}: ${name} must be a function, not ${String(value)}`);
  }
  return (emit) => startObject(module as ModuleObject, emit);
}
