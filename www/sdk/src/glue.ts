// What the wasm package exports, as this package uses it. `src/web/bindings` is the other side of every line here.
//
// Values cross as JSON text: one string per call or batch is the cheapest crossing there is, and the wasm needs no second
// serialiser. Functions and objects cross in a list beside the text, which names them by their place. `convert.ts` makes the
// typed values of it.

import type { ModuleDriver } from "./modules/driver.js";

/** The generated glue of one instance. */
export interface Glue {
  initSync(options: { module: WebAssembly.Module }): unknown;
  /** Installs the panic hook: `callback` is called once with the message, before the instance traps. */
  onPanic(callback: (message: string) => void): void;
  /** Builds a runtime, restoring what its storage holds. The options are the text of a `RawBuildOptions`. */
  buildRuntime(options: string, objects: unknown[]): Promise<RawRuntime>;
  /** One short request to a model, outside of any mob. Answers JSON text `{provider, text}`. */
  testModel(model: string, objects: unknown[]): Promise<string>;
}

/** A storage, by kind. */
export type RawStorage = { kind: "memory" } | { kind: "indexedDb"; name: string } | { kind: "driver"; driver: ObjectHandle };

/** A model, by kind. */
export type RawModel =
  | {
      kind: "openai"; baseUrl: string; apiKey: string | undefined; model: string | undefined;
      headers: [string, string][]; fetch: typeof fetch | undefined;
    }
  | { kind: "demo"; pace: number | undefined }
  | { kind: "js"; model: ObjectHandle };

/** An object that crosses as it is. Functions do so by themselves. */
export class ObjectHandle {
  readonly object: object;

  constructor(object: object) {
    this.object = object;
  }
}

/** A tool: its definition and the function behind it. The function takes and gives text; it may throw. */
export interface RawTool {
  name: string;
  description: string;
  inputSchema: unknown;
  execute: (args: string, context: string, signal: AbortSignal | undefined) => Promise<string>;
}

/** A store for agent events; its functions take and give JSON text, and may throw. */
export interface RawEventLog {
  append: (events: string) => Promise<void>;
  batchSize: number | undefined;
  flushInterval: number | undefined;
}

/** A module: where its start function is, and how it is supervised. Without a function: one that the runtime has built in. */
export interface RawModule {
  id: string;
  /** Called for every start and restart. It takes a function that takes the JSON text of an event. */
  start: ((emit: (event: string) => void) => Promise<ModuleDriver>) | undefined;
  restart: "never" | "on_failure" | "always" | undefined;
  /** Milliseconds. */
  startTimeout: number | undefined;
  callTimeout: number | undefined;
}

/** What `buildRuntime` takes. */
export interface RawBuildOptions {
  definition: unknown;
  storage: RawStorage;
  models: { name: string; model: RawModel }[];
  /** For every model name of the definition that is not in `models`. */
  defaultModel: RawModel | undefined;
  tools: RawTool[];
  modules: RawModule[];
  /** Takes and gives JSON text; it may throw. */
  toolGate: ((request: string) => Promise<string>) | undefined;
  /** Takes JSON text; does not throw. */
  onError: ((event: string) => void) | undefined;
  /** Takes JSON text; does not throw. */
  postSpawnHook: ((identities: string) => Promise<void>) | undefined;
  /** Takes JSON text; does not throw. */
  postReconcileHook: ((report: string) => Promise<void>) | undefined;
  /** Gives JSON text; it may throw. */
  preSpawnHook: (() => Promise<string>) | undefined;
  /** Take and give JSON text; they may throw. */
  discovery: ((context: string) => Promise<string>) | undefined;
  edgeDiscovery: ((members: string) => Promise<string>) | "definition" | undefined;
  /** Milliseconds. */
  drainTimeout: number | undefined;
  maxSessions: number | undefined;
  /** A word. */
  consoleVisibility: string | undefined;
  runtimeOptions: object | undefined;
  /** Milliseconds that a zone is ahead of UTC at an instant; undefined for a zone that is not known. */
  zoneOffset: (zone: string, at: number) => number | undefined;
  eventLog: RawEventLog | undefined;
  /** Takes JSON text; it may throw. */
  consoleLog: ((told: string) => Promise<void>) | undefined;
  /** Take JSON text; `get` gives it. They may throw. */
  persistentMetadata: { get: (mobId: string) => Promise<string>; set: (mobIdAndCursor: string) => Promise<void> } | undefined;
  /** Takes JSON text; does not throw. */
  onMobEvent: ((event: string) => void) | undefined;
  /** `latest`, `earliest` or a cursor. */
  start: string | undefined;
  ifLocked: string;
  consoleConfig: object | undefined;
  /** Takes milliseconds since the epoch, or undefined, and whether somebody is at work; does not throw. */
  wake: ((at: number | undefined, works: boolean) => void) | undefined;
  /** It was open before: a discovery that fails is reported, and what is stored goes on. */
  reopen?: true;
}

/** Why a runtime cannot go on. */
export type RawEnd =
  /** Another context took the mob over. */
  | "retired"
  /** Another context deletes or upgrades the storage. */
  | "version_change"
  /** The storage ended unasked: what was under way is of unknown outcome. */
  | "lost"
  /** It was shut down. */
  | "closed";

/** One runtime. Calls take and give plain values; everything typed is in `runtime.ts`. */
export interface RawRuntime {
  /** `leader` or `follower`. */
  readonly role: string;
  /** One method of the runtime by name; arguments and answer are JSON text. */
  call(method: string, args: string): Promise<string>;
  /** A reader that begins at the moment of the call. The arguments are JSON text. */
  open(kind: "events" | "interaction" | "mobEvents" | "timeline", args: string): RawReader;
  /** Without a name: the default model. Returns the model names that it stands for now. */
  setModel(name: string | undefined, model: string | undefined, objects: unknown[]): string[];
  fetch(method: string, url: string, headers: [string, string][], body: Uint8Array | undefined): Promise<RawResponse>;
  /** Answers the id. */
  putBlob(mediaType: string, bytes: Uint8Array): Promise<string>;
  /** Resolves when the runtime cannot go on. */
  ended(): Promise<RawEnd>;
}

/** A batch reader. */
export interface RawReader {
  /** JSON text of an array: at least one and at most `max` items, as soon as there are any; undefined at the end. */
  next(max: number): Promise<string | undefined>;
  close(): void;
}

/** A response; the body is read chunk by chunk, or given whole. */
export interface RawResponse {
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: Uint8Array | RawBody;
}

/** A body that is still being made. */
export interface RawBody {
  next(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** The JSON text of a value and the list of the functions and objects in it. */
export function crossing(value: unknown): [text: string, objects: unknown[]] {
  const objects: unknown[] = [];
  const text = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === "function") return objects.push(part) - 1;
    if (part instanceof ObjectHandle) return objects.push(part.object) - 1;
    return part;
  });
  return [text, objects];
}
