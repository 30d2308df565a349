// What the wasm package exports, as this package uses it. `src/web/bindings` is the other side of every line here.
//
// Values cross as JSON text: one string per call or batch is the cheapest crossing there is, and the wasm needs no second
// serialiser. `convert.ts` makes the typed values of it.

/** The generated glue of one instance. */
export interface Glue {
  initSync(options: { module: WebAssembly.Module }): unknown;
  /** Installs the panic hook: `callback` is called once with the message, before the instance traps. */
  onPanic(callback: (message: string) => void): void;
  /** Builds a runtime, restoring what its storage holds. */
  buildRuntime(options: RawBuildOptions): Promise<RawRuntime>;
  /** One short request to a model, outside of any mob. Answers JSON text `{provider, text}`. */
  testModel(model: RawModel): Promise<string>;
}

export type DefinitionFormat = "toml" | "json";

/** A storage, by kind. */
export type RawStorage = { kind: "memory" } | { kind: "indexedDb"; name: string };

/** A model, by kind. */
export type RawModel =
  | {
      kind: "openai"; baseUrl: string; apiKey: string | undefined; model: string | undefined;
      headers: Record<string, string> | undefined; fetch: typeof fetch | undefined;
    }
  | { kind: "demo"; pace: number | undefined }
  | { kind: "js"; model: unknown };

/** A tool: its definition and the function behind it. */
export interface RawTool {
  name: string;
  description: string;
  inputSchema: unknown;
  execute: (args: unknown, context: unknown) => unknown;
}

/** What `buildRuntime` takes. */
export interface RawBuildOptions {
  definition: string;
  definitionFormat: DefinitionFormat;
  storage: RawStorage;
  models: { name: string; model: RawModel }[];
  /** For every model name of the definition that is not in `models`. */
  defaultModel: RawModel | undefined;
  tools: RawTool[];
  toolGate: ((request: unknown) => unknown) | undefined;
  onError: ((event: unknown) => void) | undefined;
  postSpawnHook: ((identities: string[]) => unknown) | undefined;
  ifLocked: string;
}

/** One runtime. Calls take and give plain values; everything typed is in `runtime.ts`. */
export interface RawRuntime {
  readonly mobId: string;
  /** `leader` or `follower`. */
  readonly role: string;
  /** One method of the runtime by name; arguments and answer are JSON text. */
  call(method: string, args: string): Promise<string>;
  /** A reader that begins at the moment of the call. The arguments are JSON text. */
  open(kind: "events" | "interaction" | "mobEvents", args: string): RawReader;
  /** Without a name: the default model. Returns the model names of the definition that it stands for now. */
  setModel(name: string | undefined, model: RawModel | undefined): string[];
  fetch(method: string, url: string, headers: [string, string][], body: Uint8Array | null): Promise<RawResponse>;
  /** Resolves with the new role when this context gained or lost the mob, with undefined when the runtime ended. */
  roleChanged(): Promise<string | undefined>;
  free(): void;
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
  readonly body: Uint8Array | RawBody | undefined;
}

/** A body that is still being made. */
export interface RawBody {
  next(): Promise<Uint8Array | undefined>;
  close(): void;
}
