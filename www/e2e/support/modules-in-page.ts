// Runs in a page of `modules.ts`: a mob with modules, as a page of an application builds one, and what a test asks of it. All that comes and
// goes is JSON, for the tests drive more than one kind of browser.

import { indexedDb, isMobkitError, UnifiedRuntime, workerModule, type BuildOptions, type ModelObject, type ModuleOptions, type RuntimeOptions } from "mobkit-web";
import { mcpModule } from "mobkit-web/mcp";

/** What a mob is made of; its one member is `lead`. */
export interface Opening {
  storage: string;
  /** What the member has; more than the modules named here it may not use. */
  tools?: { mcp?: readonly string[]; gate?: Record<string, "r0" | "r1" | "r2" | "r3"> };
  /** The module in a Web Worker. */
  calc?: ModuleOptions;
  /** The MCP server. */
  docs?: ModuleOptions & { url: string };
  /** The modules that are built in. */
  routing?: boolean;
  runtime?: RuntimeOptions;
  ifLocked?: BuildOptions["ifLocked"];
}

/** An error, as the tests compare them. */
export interface Refusal {
  code: string;
  message: string;
  data: unknown;
}

/** Text in JSON: what a member's model does. `call <tool> <arguments>` calls one, and what comes of it is the answer. */
const model: ModelObject = {
  async *stream({ messages }) {
    const last = messages.at(-1);
    if (last?.role === "tool") {
      yield { type: "text", text: `${last.is_error ? "error" : "answer"}: ${last.content}` };
      return yield { type: "stop", reason: "end_turn" };
    }
    const said = last?.role === "user" ? String(last.content) : "";
    const [, name, args] = /^call (\S+) (.*)$/.exec(said) ?? [];
    if (name === undefined) {
      yield { type: "text", text: `heard: ${said}` };
      return yield { type: "stop", reason: "end_turn" };
    }
    yield { type: "tool_call", index: 0, id: crypto.randomUUID(), name, args: args ?? "{}" };
    yield { type: "stop", reason: "tool_use" };
  },
};

let runtime: UnifiedRuntime;
/** All that the module made, the newest last. */
const workers: Worker[] = [];
const begun = new Map<string, Promise<unknown>>();

async function open({ storage, tools, calc, docs, routing, runtime: options, ifLocked = "wait" }: Opening): Promise<string> {
  const builder = UnifiedRuntime.builder()
    .definition({ id: "tested", profiles: { lead: { model: "m", tools: tools ?? {} } }, members: [{ profile: "lead", identity: "lead" }] })
    .storage(indexedDb(storage))
    .model("m", model)
    .tool({ name: "pay", description: "Pays", inputSchema: { type: "object" }, execute: async () => (await fetch("/paid", { method: "POST" })).text() });
  if (options) builder.runtimeOptions(options);
  if (routing) builder.module("router").module("delivery");
  if (calc) {
    builder.module("calc", workerModule(() => {
      const worker = new Worker("/calc.js", { type: "module" });
      workers.push(worker);
      return worker;
    }), calc);
  }
  if (docs) {
    const { url, ...rest } = docs;
    builder.module("docs", mcpModule({ url }), rest);
  }
  runtime = await builder.build({ ifLocked });
  return runtime.state;
}

const site = {
  open,
  state: () => runtime.state,
  workers: () => workers.length,
  /** Ends the newest worker, behind the module's back. */
  terminate: () => workers.at(-1)?.terminate(),
  call: (method: string, params: object = {}) => runtime.call<any>(method as "mobkit/status", params),
  /** The error of a call that must have one. */
  refused: async (method: string, params: object = {}): Promise<Refusal> => {
    const answer: unknown = await runtime.call(method as "mobkit/status", params).catch((error: unknown) => {
      if (isMobkitError(error)) return { code: error.code, message: error.message, data: error.data };
      throw error;
    });
    if (typeof (answer as Refusal | null)?.code !== "string") throw new Error(`${method} was not refused: ${JSON.stringify(answer)}`);
    return answer as Refusal;
  },
  ask: async (text: string) => {
    const { status, result, error } = await runtime.ask("lead", text);
    return { status, result, error };
  },
  send: async (text: string) => (await runtime.send("lead", text)).interactionId,
  /** Begins one of the others, which `end` waits for. */
  begin: (key: string, name: "call" | "refused" | "ask", ...args: [any, any?]) => {
    const work = (site[name] as (...args: unknown[]) => Promise<unknown>)(...args);
    work.catch(() => {});
    begun.set(key, work);
  },
  end: (key: string) => begun.get(key) as Promise<any>,
  shutdown: async () => { await runtime.shutdown(); },
};

export type Site = typeof site;

declare global {
  /** For the test. */
  var site: Site;
}

globalThis.site = site;
