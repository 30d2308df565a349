// `UnifiedRuntime` and its builder: the typed face of the runtime in the wasm.

import { createInstance } from "./mobkit_web_glue.js";
import type { ContentInput, CursorInput, CursorJson, HandlingMode, Json, Labels } from "./contract/common.js";
import type {
  ConsoleFrame, ConsoleIdentityInspection, ConsoleIdentityRecord, ConsoleInteractionAccepted, ConsoleSendRequest,
  ConsoleTimelineEvent, ConsoleTimelinePage, ConsoleTimelineQuery,
} from "./contract/console.js";
import type { MobDefinition } from "./contract/definition.js";
import type { EventQuery, EventsPage, LogItem, PersistedEvent } from "./contract/event.js";
import type { MobEventsPage, MobStructuralEventEnvelope } from "./contract/mob-event.js";
import type {
  AgentDiscoverySpec, DesiredPeerEdge, EdgeMemberView, MobMemberListEntry, MobMemberSnapshot, OwnedEdge, SessionHistory,
  SpawnMemberSpec, SpawnReceipt,
} from "./contract/member.js";
import type {
  ErrorEvent, ReconcileEdgesReport, ReconcileReport, RediscoverReport, RunReport, RuntimeStatus, ShutdownReport,
} from "./contract/report.js";
import type { IfLocked } from "./controls.js";
import { bytesOf } from "./body.js";
import * as convert from "./convert.js";
import type { Accepted, InteractionOutcome } from "./convert.js";
import { MobkitError, type ErrorData } from "./error.js";
import type { RawBuildOptions, RawReader, RawResponse, RawRuntime } from "./glue.js";
import { rawModel, type Model, type ModelObject } from "./models.js";
import { startOf, type ModuleObject, type StartableModule } from "./modules/driver.js";
import { sleepWithPage } from "./page-life.js";
import type { RuntimeState, StateReport } from "./protocol.js";
import { report } from "./report.js";
import { rawStorage, type Storage } from "./storage.js";
import { EventStream, type OpenReader } from "./stream.js";
import { Supervisor } from "./supervisor.js";
import { definitionFromToml } from "./toml.js";
import { loadModule } from "./wasm.js";
import { zoneOffset } from "./zones.js";

/** Who calls a tool, and a signal that is aborted when the turn is cancelled or the call takes too long. */
export interface ToolContext {
  identity: string;
  interactionId: string | null;
  callId: string;
  signal: AbortSignal;
}

/** A tool that members may call. */
export interface Tool<Args = any> {
  name: string;
  description: string;
  /** JSON Schema of the arguments. */
  inputSchema: Json;
  /** Text is given to the model as it is, any other value as JSON. What it throws is given as an error. */
  execute(args: Args, context: ToolContext): unknown;
}

/** A tool call that waits for a decision. */
export interface ToolRequest {
  identity: string;
  interactionId: string | null;
  callId: string;
  name: string;
  args: Json;
}

/** Whether a tool call may be made. */
export type ToolDecision = { approve: true } | { approve: false; reason: string };

/** How a message is sent. */
export interface SendOptions {
  /** Default: `queue`. */
  handlingMode?: HandlingMode;
  /** Who sends; shown with the message. Default: `user`. */
  origin?: string;
  /** A message with a key that was accepted before is not sent again: its receipt is returned. */
  idempotencyKey?: string;
}

/** Which events. */
export interface EventStreamOptions {
  identity?: string;
  interactionId?: string;
  /** Exclusive; absent: from now on. */
  after?: CursorInput;
  signal?: AbortSignal;
}

/** What `build` takes. */
export interface BuildOptions {
  /**
   * What happens when another tab or worker holds the mob: `wait` until it is free, `follow` it read-only and lead when it is
   * free, `steal` it, or `fail` with `mob_locked`. Default: `wait`.
   */
  ifLocked?: IfLocked;
}

/** The signal of a tool call where there is no `AbortController`. */
const NEVER = new AbortController().signal;

/** What `runtimeOptions` takes. */
export interface RuntimeOptions {
  /**
   * After how many idle seconds delegates are retired, when neither the call that made them nor their label of that name
   * (`implicit_delegate_idle_retire_secs`) says otherwise; null for never. Default: 300.
   */
  implicitDelegateIdleRetireSecs?: number | null;
  /** How often a module with the policy `on_failure` is started again before it has been fit for a minute. Default: 1. */
  onFailureRetryBudget?: number;
  /** The same for the policy `always`. Default: 1. */
  alwaysRestartBudget?: number;
  /** The pause before a module is started again, in milliseconds; each further one is twice as long, up to 30 s. Default: 0. */
  supervisorRestartBackoffMs?: number;
  /**
   * What the rate of deliveries is counted for: a `recipient` and a sink, however they were routed, or each `route` that was resolved,
   * as the contract has it, where resolving anew begins anew. Default: `recipient`.
   */
  deliveryRateScope?: "recipient" | "route";
}

/** How a module is supervised. */
export interface ModuleOptions {
  /** Whether it is started anew when it ends. Default: `on_failure`. */
  restart?: "never" | "on_failure" | "always";
  /** How long a start may take, in milliseconds. */
  startTimeout?: number;
  /** How long a call of one of its tools may take, in milliseconds. */
  callTimeout?: number;
}

/** A store for agent events. */
export interface EventLogStore {
  /** Takes events, ascending; must know one that it has by its `id`. */
  appendBatch(events: PersistedEvent[]): void | Promise<void>;
}

/** What `eventLog` takes. */
export interface EventLogOptions {
  store: EventLogStore;
  /** Which events the store is given; all, if absent. */
  filter?: (event: PersistedEvent["event"]) => boolean;
  /** Events at a time, at most. Default: 64. */
  batchSize?: number;
  /** How long the first of a batch waits for others, in milliseconds. Default: 1 000. */
  flushInterval?: number;
}

/** A store for the timeline's frames. */
export interface ConsoleLogStore {
  /** Takes a frame, unless it has one of that `dedupe_key`: then it keeps what it has. */
  appendIfAbsent(frame: ConsoleFrame): void | Promise<void>;
  /** A frame has another status. One that has that `frame_version` or a later one keeps it. */
  updateFrameStatus(update: Pick<ConsoleFrame, "id" | "status" | "frame_version" | "updated_at_ms">): void | Promise<void>;
}

/** A store for what outlives a runtime. */
export interface PersistentMetadataStore {
  getSubscriptionCursor(mobId: string): CursorInput | null | undefined | Promise<CursorInput | null | undefined>;
  setSubscriptionCursor(mobId: string, cursor: bigint): void | Promise<void>;
}

/** Edges as pairs, or as the contract has them. */
export type Edges = readonly (readonly [string, string] | DesiredPeerEdge)[];

/** A hook that takes JSON text and throws nothing: what the user's throws is reported. */
function reporting<Told>(hook: (told: Told) => void | Promise<void>): (text: string) => Promise<void> {
  return async (text) => {
    try {
      await hook(JSON.parse(text) as Told);
    } catch (error) {
      report(error);
    }
  };
}

/** Collects what a runtime is made of. */
export class UnifiedRuntimeBuilder {
  readonly #options: Omit<RawBuildOptions, "definition" | "storage" | "ifLocked" | "zoneOffset"> = {
    models: [], defaultModel: undefined, tools: [], modules: [], toolGate: undefined, onError: undefined, postSpawnHook: undefined,
    postReconcileHook: undefined, preSpawnHook: undefined, discovery: undefined, edgeDiscovery: undefined, drainTimeout: undefined,
    maxSessions: undefined, runtimeOptions: undefined, consoleVisibility: undefined, eventLog: undefined, consoleLog: undefined, persistentMetadata: undefined, onMobEvent: undefined, start: undefined, wake: undefined, consoleConfig: undefined,
  };
  #definition: string | MobDefinition | undefined;
  #storage: Storage | undefined;

  /** The mob: TOML text, or an object as the JSON form has it. */
  definition(definition: string | MobDefinition): this {
    this.#definition = definition;
    return this;
  }

  /** Where the mob lives: `indexedDb(name)`, `memory()` or `customStorage(driver)`. Default: memory. */
  storage(storage: Storage): this {
    this.#storage = storage;
    return this;
  }

  /** What a model name of the definition stands for. */
  model(name: string, model: Model | ModelObject): this {
    this.#options.models.push({ name, model: rawModel(model) });
    return this;
  }

  /** What every model name of the definition stands for that `model` does not name. */
  defaultModel(model: Model | ModelObject): this {
    this.#options.defaultModel = rawModel(model);
    return this;
  }

  /** A tool for every member whose profile does not choose among them. */
  tool<Args>(tool: Tool<Args>): this {
    const { name, description, inputSchema } = tool;
    this.#options.tools.push({
      name, description, inputSchema,
      execute: async (args, context, signal) => {
        const value = await tool.execute(JSON.parse(args) as Args, { ...JSON.parse(context) as Omit<ToolContext, "signal">, signal: signal ?? NEVER });
        return typeof value === "string" ? value : JSON.stringify(value ?? null);
      },
    });
    return this;
  }

  /**
   * A module, which gives tools: an object with `listTools` and `callTool`, a `workerModule`, an `mcpModule`. Without one `id` names
   * a module that the runtime has built in: `router` or `delivery`. It is started with the runtime, and anew after a restart of either.
   */
  module(id: string, module?: ModuleObject | StartableModule, options: ModuleOptions = {}): this {
    const { modules } = this.#options;
    if (typeof id !== "string" || !id) throw new TypeError(`a module's id must be a non-empty string, not ${String(id) || '""'}`);
    if (modules.some((other) => other.id === id)) throw new TypeError(`there is a module ${id} already`);
    const { restart, startTimeout, callTimeout } = options;
    if (restart !== undefined && !["never", "on_failure", "always"].includes(restart)) throw new TypeError(`module ${id}: restart must be never, on_failure or always, not ${String(restart)}`);
    for (const [name, value] of Object.entries({ startTimeout, callTimeout })) {
      if (value !== undefined && !(Number.isFinite(value) && value > 0)) throw new TypeError(`module ${id}: ${name} must be a positive number of milliseconds, not ${String(value)}`);
    }
    modules.push({ id, start: module === undefined ? undefined : startOf(module, `module ${id}`), restart, startTimeout, callTimeout });
    return this;
  }

  /** Asked before every tool call. What it throws denies the call. */
  toolGate(gate: (request: ToolRequest) => ToolDecision | Promise<ToolDecision>): this {
    this.#options.toolGate = async (request) => JSON.stringify(await gate(JSON.parse(request) as ToolRequest));
    return this;
  }

  /** Told of everything that goes wrong in the background. */
  onError(hook: (event: ErrorEvent) => void): this {
    this.#options.onError = reporting(hook);
    return this;
  }

  /** Called after members were spawned, with their identities; `spawn` waits for it. What it throws is reported, not passed on. */
  postSpawnHook(hook: (identities: string[]) => void | Promise<void>): this {
    this.#options.postSpawnHook = reporting(hook);
    return this;
  }

  /** Called with the report of each `reconcile`, which waits for it. What it throws is reported, not passed on. */
  postReconcileHook(hook: (report: ReconcileReport) => void | Promise<void>): this {
    this.#options.postReconcileHook = reporting(hook);
    return this;
  }

  /** Called once by `build`, before the discovery, which is given what it returns. What it throws fails the build. */
  preSpawnHook(hook: () => Json | Promise<Json>): this {
    this.#options.preSpawnHook = async () => JSON.stringify(await hook() ?? null);
    return this;
  }

  /** Who ought to be in the mob: `build` spawns whom it misses, `rediscover` asks again. What it throws fails them and changes nothing. */
  discovery(discover: (context: Json) => AgentDiscoverySpec[] | Promise<AgentDiscoverySpec[]>): this {
    this.#options.discovery = async (context) => JSON.stringify(await discover(JSON.parse(context) as Json));
    return this;
  }

  /**
   * Who ought to be wired to whom: `build`, `reconcile`, `reconcileEdges` and `rediscover` ask it. What it throws fails them. `"definition"`
   * stands for the definition's wiring rules: what was unwired meanwhile is mended then.
   */
  edgeDiscovery(discover: "definition" | ((members: EdgeMemberView[]) => Edges | Promise<Edges>)): this {
    this.#options.edgeDiscovery = discover === "definition" ? discover : async (members) => JSON.stringify(await discover(JSON.parse(members) as EdgeMemberView[]));
    return this;
  }

  /** How long `shutdown` waits for what is under way to be written, in milliseconds. Default: 30 000. */
  drainTimeout(milliseconds: number): this {
    this.#options.drainTimeout = milliseconds;
    return this;
  }

  /**
   * A store of your own that is given the agent events too: in order, at least once, each under one `id`, in batches. What it throws is
   * tried again; nothing is dropped. Without one the runtime's own log is all there is, and `queryEvents` reads it.
   */
  eventLog({ store, filter, batchSize, flushInterval }: EventLogOptions): this {
    this.#options.eventLog = {
      append: async (text) => {
        const events = (JSON.parse(text) as PersistedEvent<CursorJson>[]).map(convert.persistedEvent);
        const wanted = filter ? events.filter((event) => filter(event.event)) : events;
        if (wanted.length > 0) await store.appendBatch(wanted);
      },
      batchSize, flushInterval,
    };
    return this;
  }

  /**
   * A store of your own that is given the timeline's frames too: in order, at least once. What it throws is tried again; nothing is
   * dropped. The timeline itself needs none.
   */
  consoleLogStore(store: ConsoleLogStore): this {
    this.#options.consoleLog = async (text) => {
      for (const event of JSON.parse(text) as ConsoleTimelineEvent[]) {
        if (event.type === "console_frame") await store.appendIfAbsent(event.frame);
        if (event.type === "frame_updated") {
          const { id, status, frame_version, updated_at_ms } = event.frame;
          await store.updateFrameStatus({ id, status, frame_version, ...(updated_at_ms === undefined ? {} : { updated_at_ms }) });
        }
      }
    };
    return this;
  }

  /** A store of your own for the cursor of the structural subscription. What it has says where `onMobEvent` goes on. */
  persistentMetadata(store: PersistentMetadataStore): this {
    this.#options.persistentMetadata = {
      get: async (text) => JSON.stringify(convert.cursorArg(await store.getSubscriptionCursor(JSON.parse(text) as string) ?? undefined) ?? null),
      set: async (text) => {
        const [mobId, cursor] = JSON.parse(text) as [string, CursorJson];
        await store.setSubscriptionCursor(mobId, BigInt(cursor));
      },
    };
    return this;
  }

  /** Told of each structural event, in order, over reloads too: once, or over a crash at least once. It must not take long. */
  onMobEvent(hook: (event: MobStructuralEventEnvelope) => void): this {
    const told = reporting((event: MobStructuralEventEnvelope<CursorJson>) => hook(convert.mobEvent(event)));
    this.#options.onMobEvent = (text) => { void told(text); };
    return this;
  }

  /** Where `onMobEvent` begins when nothing says how far it had come: at what comes next (the default), at the first entry, or after a cursor. */
  start(start: "latest" | "earliest" | CursorInput): this {
    this.#options.start = convert.cursorArg(start);
    return this;
  }

  /** The contract's options that have a meaning here. An unknown one fails the build. */
  runtimeOptions(options: RuntimeOptions): this {
    this.#options.runtimeOptions = options;
    return this;
  }

  /** Which members `consoleIdentities` lists: all (the default), or all but delegates of the role `delegate`. */
  consoleVisibility(policy: "allow_all" | "hide_implicit_delegate_members"): this {
    this.#options.consoleVisibility = policy;
    return this;
  }

  /**
   * An alarm for a host that may be evicted, or die, and be called back: it is set to a time in milliseconds since the epoch, in place of
   * any earlier one, or taken away. When it rings, open the mob if it is not, and call `woken`. It is set while members are at work (`works`),
   * and for those that are to be retired for being idle; an idle mob has none. Without it timers do what they can.
   */
  alarm(arm: (at: number | undefined, works: boolean) => void): this {
    this.#options.wake = (at, works) => {
      try {
        arm(at, works);
      } catch (error) {
        report(error);
      }
    };
    return this;
  }

  /**
   * What `GET /console/experience` tells consoles of their looks, as it is: `title`, `brand`, `appearance`, `environment`, `layout`, `rail`,
   * `sidebar`, `agent_list`, `actions`. Anything else fails the build.
   */
  consoleConfig(config: Record<string, Json>): this {
    this.#options.consoleConfig = config;
    return this;
  }

  /** How many transcripts of members that are not at work stay in memory. Default: 64. */
  maxSessions(sessions: number): this {
    this.#options.maxSessions = sessions;
    return this;
  }

  /**
   * Fails as `build` would for what is wrong with the definition: it is built in memory, and ended again. Nothing of yours is called
   * meanwhile: no model, hook, discovery or store.
   */
  async check(): Promise<void> {
    const { tools, maxSessions, runtimeOptions, consoleVisibility, consoleConfig } = this.#options;
    const bare = new UnifiedRuntimeBuilder();
    Object.assign(bare.#options, { tools, maxSessions, runtimeOptions, consoleVisibility, consoleConfig });
    bare.#definition = this.#definition;
    await (await bare.build()).shutdown();
  }

  /** Builds the runtime and restores what its storage holds. */
  async build(options: BuildOptions = {}): Promise<UnifiedRuntime> {
    if (this.#definition === undefined) {
      throw new MobkitError("missing_required_field", "a runtime needs a definition", { field: "definition" });
    }
    const build: RawBuildOptions = {
      ...this.#options,
      definition: typeof this.#definition === "string" ? definitionFromToml(this.#definition) : this.#definition,
      storage: this.#storage ? rawStorage(this.#storage) : { kind: "memory" },
      zoneOffset,
      ifLocked: options.ifLocked ?? "wait",
    };
    const supervisor = await Supervisor.open({ createInstance, module: await loadModule(), build });
    if (typeof window !== "undefined") {
      const leave = sleepWithPage(window, supervisor);
      supervisor.onState(({ state }) => { if (state === "stopped") leave(); });
    }
    return new UnifiedRuntime(supervisor);
  }
}

/**
 * A running mob.
 *
 * When the wasm crashes, what is open fails with `runtime_crashed` and the runtime is built anew from its storage, once;
 * calls made meanwhile wait for it. `onState` tells. A second crash within a minute, or a crash of a runtime in memory,
 * is its end.
 */
export class UnifiedRuntime {
  readonly #supervisor: Supervisor;

  /** @internal Use `UnifiedRuntime.builder()`. */
  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  /** A builder. */
  static builder(): UnifiedRuntimeBuilder {
    return new UnifiedRuntimeBuilder();
  }

  /** Whether this context leads the mob, follows it, or is on its way there. */
  get state(): RuntimeState {
    return this.#supervisor.report.state;
  }

  /** State, its reason, and how often the runtime was built anew after a crash. */
  get report(): StateReport {
    return this.#supervisor.report;
  }

  /** How often the runtime was built anew after a crash. */
  get restarts(): number {
    return this.#supervisor.report.restarts;
  }

  /** Calls back at every change of state. The function that is returned ends that. */
  onState(callback: (report: StateReport) => void): () => void {
    return this.#supervisor.onState(callback);
  }

  /** The runtime at a glance. */
  async status(): Promise<RuntimeStatus> {
    return convert.status(await this.#call("mobkit/status"));
  }

  /** The roster. */
  members(): Promise<MobMemberListEntry[]> {
    return this.#call("mobkit/list_members");
  }

  /** One member in detail. */
  memberStatus(identity: string): Promise<MobMemberSnapshot> {
    return this.#call("mobkit/member_status", { member_id: identity });
  }

  /** Adds a member. Durable when it resolves. */
  async spawn(spec: SpawnMemberSpec): Promise<SpawnReceipt> {
    return convert.receipt(await this.#call("mobkit/spawn_member", spec));
  }

  /** Adds members in one batch: those before the first that is refused, and why that one was. */
  async spawnMany(specs: SpawnMemberSpec[]): Promise<{ spawned: SpawnReceipt[]; refused: ErrorData | null }> {
    const { spawned, refused } = await this.#call<{ spawned: convert.RawReceipt[]; refused: ErrorData | null }>("mobkit/spawn_many", { specs });
    return { spawned: spawned.map(convert.receipt), refused };
  }

  /** Takes a member off the roster. */
  async retire(identity: string): Promise<void> {
    await this.#call("mobkit/retire_member", { member_id: identity });
  }

  /** Retires a member and spawns it anew with the next generation and the same wiring. */
  async respawn(identity: string): Promise<SpawnReceipt> {
    return convert.receipt(await this.#call("mobkit/respawn_member", { member_id: identity }));
  }

  /** Spawns a member unless one of its name is there, which stays as it is. */
  ensureMember(spec: SpawnMemberSpec): Promise<MobMemberListEntry> {
    return this.#call("mobkit/ensure_member", spec);
  }

  /** One row of the roster. */
  member(identity: string): Promise<MobMemberListEntry> {
    return this.#call("mobkit/get_member", { member_id: identity });
  }

  /** The members with this label. */
  findMembers(key: string, value: string): Promise<MobMemberListEntry[]> {
    return this.#call("mobkit/find_members", { label_key: key, label_value: value });
  }

  /**
   * Brings the roster to these members in one batch: whoever is not named is retired, whoever is missing is spawned, whoever is there
   * stays as it is. Then the edges follow, if there is an edge discovery. Fails with `partial_failure`, with the report as its data,
   * when a member could not be made.
   */
  reconcile(specs: SpawnMemberSpec[]): Promise<ReconcileReport> {
    return this.#call("mobkit/reconcile_members", { specs });
  }

  /** Brings the wiring to what the edge discovery says. Edges that somebody else wired are never removed. */
  reconcileEdges(): Promise<ReconcileEdgesReport> {
    return this.#call("mobkit/reconcile_edges");
  }

  /** The wiring, and who made each edge. */
  async edges(): Promise<OwnedEdge[]> {
    return (await this.#call<{ edges: OwnedEdge[] }>("mobkit/list_edges")).edges;
  }

  /** What `build` did to the edges; null without an edge discovery. */
  bootstrapEdgesReport(): Promise<ReconcileEdgesReport | null> {
    return this.#call("mobkit/bootstrap_edges_report");
  }

  /** Asks the discovery, and if it answers replaces everybody by those that it names. Null without a discovery. */
  async rediscover(): Promise<RediscoverReport | null> {
    const report = await this.#call<RediscoverReport | { status: string }>("mobkit/rediscover");
    return "status" in report ? null : report;
  }

  /** Retires everybody. The ledger goes on. Resolves with who left. */
  async reset(): Promise<string[]> {
    const { retired } = await this.#call<{ retired: string[] }>("mobkit/reset_all");
    return retired;
  }

  /** Replaces the mob's labels; an empty object removes them. Structural events show them when they are read. */
  async setMobLabels(labels: Labels): Promise<void> {
    await this.#call("mobkit/mob_labels/set", { labels });
  }

  /** The mob's labels. */
  async getMobLabels(): Promise<Labels> {
    return (await this.#call<{ labels: Labels }>("mobkit/mob_labels/get")).labels;
  }

  /** Removes the mob's labels. */
  async deleteMobLabels(): Promise<void> {
    await this.#call("mobkit/mob_labels/delete");
  }

  /** Replaces the labels of a run of a flow. */
  async setRunLabels(runId: string, labels: Labels): Promise<void> {
    await this.#call("mobkit/run_labels/set", { run_id: runId, labels });
  }

  /** The labels of a run. */
  async getRunLabels(runId: string): Promise<Labels> {
    return (await this.#call<{ labels: Labels }>("mobkit/run_labels/get", { run_id: runId })).labels;
  }

  /** Removes the labels of a run. */
  async deleteRunLabels(runId: string): Promise<void> {
    await this.#call("mobkit/run_labels/delete", { run_id: runId });
  }

  /** Lets two members reach each other. Resolves with whether that changed anything, as all methods do that may change nothing. */
  wire(a: string, b: string): Promise<boolean> {
    return this.#changed("mobkit/wire_members", { a, b });
  }

  /** Undoes `wire`. */
  unwire(a: string, b: string): Promise<boolean> {
    return this.#changed("mobkit/unwire_members", { a, b });
  }

  /** Sends a message to a member. When it resolves the message is accepted and durable. */
  async send(identity: string, content: ContentInput, options: SendOptions = {}): Promise<Accepted> {
    return convert.accepted(await this.#call("mobkit/send_message", { member_id: identity, ...sendArgs(content, options) }));
  }

  /**
   * Sends a message and waits for the end of the interaction, whoever works on it. Aborting the signal cancels the interaction.
   */
  async ask(identity: string, content: ContentInput, options: SendOptions & { signal?: AbortSignal } = {}): Promise<InteractionOutcome> {
    const { signal } = options;
    signal?.throwIfAborted();
    const { interactionId } = await this.send(identity, content, options);
    const answer = this.#call<Parameters<typeof convert.outcome>[0]>("mobkit/wait_interaction", { interaction_id: interactionId });
    if (!signal) return convert.outcome(await answer);
    const onAbort = () => {
      // The caller is told of the abort, whether or not the cancellation comes in time.
      this.cancel(interactionId).catch(() => {});
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      return convert.outcome(await untilAborted(answer, signal));
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The events of one interaction, from its first to its last. */
  interaction(interactionId: string, options: { signal?: AbortSignal } = {}): EventStream<LogItem> {
    return this.#stream("interaction", { interaction_id: interactionId }, convert.logItem, options.signal);
  }

  /** Cancels an interaction: running turns end, waiting work is dropped. */
  async cancel(interactionId: string): Promise<boolean> {
    const { accepted } = await this.#call<{ accepted: boolean }>("mobkit/cancel_interaction", { interaction_id: interactionId });
    return accepted;
  }

  /** Cancels the turn that a member is in. */
  async cancelTurn(identity: string): Promise<boolean> {
    const { accepted } = await this.#call<{ accepted: boolean }>("mobkit/force_cancel_member", { member_id: identity });
    return accepted;
  }

  /** Cancels every open interaction. Resolves with how many there were. */
  async cancelAll(): Promise<number> {
    const { cancelled } = await this.#call<{ cancelled: number }>("mobkit/cancel_all");
    return cancelled;
  }

  /** Stops all work; what waits stays waiting, over a reload too. */
  stop(): Promise<boolean> {
    return this.#changed("mobkit/stop");
  }

  /** Undoes `stop`. */
  resume(): Promise<boolean> {
    return this.#changed("mobkit/resume");
  }

  /** The definition in force. */
  definition(): Promise<MobDefinition> {
    return this.#call("mobkit/definition");
  }

  /** Agent and module events: live from now on, or after a cursor. */
  events(options: EventStreamOptions = {}): EventStream<LogItem> {
    const { identity, interactionId, after, signal } = options;
    const args = { identity, interaction_id: interactionId, after: convert.cursorArg(after) };
    return this.#stream("events", args, convert.logItem, signal);
  }

  /** The structural ledger: every entry once, in order; live from now on, or after a cursor. */
  mobEvents(options: { afterSeq?: CursorInput; signal?: AbortSignal } = {}): EventStream<MobStructuralEventEnvelope> {
    return this.#stream("mobEvents", { after: convert.cursorArg(options.afterSeq) }, convert.mobEvent, options.signal);
  }

  /** A page of the structural ledger. */
  async queryMobEvents(query: EventQueryOptions | EventQuery = {}): Promise<MobEventsPage> {
    return convert.mobEventsPage(await this.#call("mobkit/mob_events/query", convert.queryArg(snakeQuery(query))));
  }

  /** A page of agent events. Without a cursor the newest `limit`, ascending. */
  async queryEvents(query: EventQueryOptions | EventQuery = {}): Promise<EventsPage> {
    return convert.eventsPage(await this.#call("mobkit/query_events", convert.queryArg(snakeQuery(query))));
  }

  /**
   * The console's timeline: the newest frames, or those after a cursor, and then what comes. Reads on from storage however slow its
   * reader is. Fails with `replay_unavailable` for a cursor that there is not.
   */
  timeline({ signal, ...query }: ConsoleTimelineQuery & { signal?: AbortSignal } = {}): EventStream<ConsoleTimelineEvent> {
    return this.#stream<ConsoleTimelineEvent, ConsoleTimelineEvent>("timeline", { query }, (event) => event, signal);
  }

  /** A page of the timeline: from a cursor or the beginning on, or the newest. */
  queryTimeline(query: ConsoleTimelineQuery = {}): Promise<ConsoleTimelinePage> {
    return this.#call("mobkit/console/query_timeline", query);
  }

  /** Sends a message once for each idempotency key of a member and an origin. When it resolves the message is accepted and durable. */
  consoleSend(request: ConsoleSendRequest): Promise<ConsoleInteractionAccepted> {
    return this.#call("mobkit/console/send", request);
  }

  /** All members as a console lists them. */
  async consoleIdentities(): Promise<ConsoleIdentityRecord[]> {
    return (await this.#call<{ identities: ConsoleIdentityRecord[] }>("mobkit/console/list_identities")).identities;
  }

  /** A member and those it can reach. */
  inspectIdentity(identity: string): Promise<ConsoleIdentityInspection> {
    return this.#call("mobkit/console/inspect_identity", { identity });
  }

  /** A window of a member's transcript, oldest first. */
  async sessionHistory(identity: string, window: { offset?: number; limit?: number } = {}): Promise<SessionHistory> {
    return convert.history(await this.#call("mobkit/session_history", { member_id: identity, limit: WHOLE_HISTORY, ...window }));
  }

  /** Replaces what a model name stands for; null takes it away, and its work waits. Holds over a crash, not over a reload. */
  async setModel(name: string, model: Model | ModelObject | null): Promise<void> {
    await this.#supervisor.setModel(name, model === null ? undefined : rawModel(model));
  }

  /** Replaces the default model. Resolves with the model names of the definition that it stands for. */
  setDefaultModel(model: Model | ModelObject | null): Promise<string[]> {
    return this.#supervisor.setModel(undefined, model === null ? undefined : rawModel(model));
  }

  /**
   * Keeps bytes with the mob, at most 25 MiB; durable when it resolves with their id, which is that of the same bytes everywhere:
   * `sha256:` and the hash of media type and bytes.
   */
  async putBlob(blob: Blob | { type: string; bytes: Uint8Array }): Promise<string> {
    const bytes = "bytes" in blob && blob.bytes instanceof Uint8Array ? blob.bytes : new Uint8Array(await (blob as Blob).arrayBuffer());
    // A type's parameters are not part of the name.
    const type = blob.type.split(";")[0]?.trim() || "application/octet-stream";
    const { instance, raw } = await this.#supervisor.session();
    return await instance.run(() => raw.putBlob(type, bytes));
  }

  /** The bytes of an id. Fails with `blob_not_found`. */
  async getBlob(id: string): Promise<Blob> {
    const response = await this.fetch(`/blobs/${encodeURIComponent(id)}`);
    if (response.ok) return await response.blob();
    const { error, message } = (await response.json()) as { error: string; message: string };
    throw new MobkitError(error, message, { blob_id: id });
  }

  /** Forgets the bytes of an id. Resolves with whether there were any. */
  deleteBlob(id: string): Promise<boolean> {
    return this.#call("deleteBlob", { blob_id: id });
  }

  /**
   * Calls a method of the contract by its name, with its parameters and its answer as they are there: those of modules, routing,
   * deliveries, schedules, gating and memory, such as `mobkit/routing/resolve`. `{module}/{tool}` calls a tool of a module.
   */
  call<Answer = Json>(method: `${string}/${string}`, params: object = {}): Promise<Answer> {
    return this.#call(method, params);
  }

  /** Answers a request of the fetch contract: `POST /console/rpc`, event streams, `GET /healthz`. */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = input instanceof Request
      ? new Request(input, init)
      : new Request(new URL(input, "https://mob.local"), init);
    const { signal } = request;
    signal.throwIfAborted();
    const body = await bytesOf(request) ?? undefined;
    const { instance, raw } = await this.#supervisor.session();
    const answer = instance.run(() => raw.fetch(request.method, request.url, [...request.headers] as [string, string][], body));
    // A response that comes after the abort is closed unread.
    answer.then((response) => { if (signal.aborted) closeBody(response); }, () => {});
    const response = await untilAborted(answer, signal);
    return toResponse(response, (call) => instance.run(call), signal);
  }

  /** The builder's alarm rang: what is due is done when it resolves. */
  async woken(): Promise<void> {
    await this.#call("woken");
  }

  /** Writes what is pending. */
  async flush(): Promise<void> {
    await this.#call("flush");
  }

  /** Ends the runtime in good order: turns are interrupted, everything is written, the lease is released. */
  async shutdown(): Promise<ShutdownReport> {
    const { report, release } = await this.#supervisor.shutdown();
    release();
    return JSON.parse(report) as ShutdownReport;
  }

  /** Runs until the signal is aborted, then shuts down. */
  async run({ signal }: { signal: AbortSignal }): Promise<RunReport> {
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    return { serve_result: { Ok: null }, shutdown: await this.shutdown() };
  }

  /** @internal For a worker, which does not see its page go to sleep. */
  sleep(): void {
    this.#supervisor.sleep();
  }

  /** @internal Undoes `sleep`. */
  wake(): void {
    this.#supervisor.wake();
  }

  /** @internal As `shutdown`, with the lease kept until the function that is returned is called. */
  async handOver(): Promise<() => void> {
    const { release } = await this.#supervisor.shutdown();
    return release;
  }

  async #call<T>(method: string, args?: unknown): Promise<T> {
    const text = convert.args(args);
    const { instance, raw } = await this.#supervisor.session();
    return JSON.parse(await instance.run(() => raw.call(method, text))) as T;
  }

  async #changed(method: string, args?: unknown): Promise<boolean> {
    const { changed } = await this.#call<{ changed: boolean }>(method, args);
    return changed;
  }

  #stream<Item, T>(kind: Parameters<RawRuntime["open"]>[0], args: unknown, from: (item: Item) => T, signal?: AbortSignal): EventStream<T> {
    const text = convert.args(args);
    return new EventStream<T>(this.#open((raw) => raw.open(kind, text)), from as (item: never) => T, signal);
  }

  /** Opens at once when a session is there, so that "from now on" means from this call on. */
  async #open(open: (raw: RawRuntime) => RawReader): Promise<OpenReader> {
    const { instance, raw } = this.#supervisor.current ?? await this.#supervisor.session();
    return { instance, reader: open(raw) };
  }
}

/** Lets `await using runtime = …` shut the runtime down, where the language has it. */
export interface UnifiedRuntime {
  [Symbol.asyncDispose](): Promise<void>;
}

if (Symbol.asyncDispose) {
  UnifiedRuntime.prototype[Symbol.asyncDispose] = async function (this: UnifiedRuntime) {
    if (this.state !== "stopped" && this.state !== "crashed") await this.shutdown();
  };
}

/** More messages than any transcript has. */
const WHOLE_HISTORY = 200_000;

/** A query with the names of this package; `EventQuery` itself is taken as well. */
export interface EventQueryOptions {
  /** Inclusive. */
  sinceMs?: number;
  /** Exclusive. */
  untilMs?: number;
  identity?: string;
  memberId?: string;
  runId?: string;
  stepId?: string;
  eventTypes?: string[];
  limit?: number;
  /** Exclusive. */
  afterSeq?: CursorInput;
}

const QUERY_NAMES: Record<string, string> = {
  sinceMs: "since_ms", untilMs: "until_ms", memberId: "member_id", runId: "run_id", stepId: "step_id",
  eventTypes: "event_types", afterSeq: "after_seq",
};

function snakeQuery(query: EventQueryOptions | EventQuery): EventQuery {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [QUERY_NAMES[name] ?? name, value]));
}

function sendArgs(content: ContentInput, options: SendOptions) {
  return {
    content, handling_mode: options.handlingMode, origin: options.origin ?? "host", idempotency_key: options.idempotencyKey,
  };
}

/** The promise's value, or the signal's reason if that comes first. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function closeBody(response: RawResponse): void {
  if ("close" in response.body) response.body.close();
}

function toResponse(raw: RawResponse, run: <T>(call: () => Promise<T>) => Promise<Awaited<T>>, signal: AbortSignal): Response {
  const { status, headers, body } = raw;
  const init = { status, headers };
  if (body instanceof Uint8Array) {
    // Some statuses allow no body, not even an empty one.
    return new Response(body.byteLength === 0 ? null : body as Uint8Array<ArrayBuffer>, init);
  }
  let onAbort = () => {};
  return new Response(new ReadableStream<Uint8Array>({
    start(controller) {
      onAbort = () => {
        body.close();
        controller.error(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    },
    async pull(controller) {
      try {
        const chunk = await run(() => body.next());
        if (signal.aborted) return;
        if (chunk) return controller.enqueue(chunk);
        signal.removeEventListener("abort", onAbort);
        controller.close();
      } catch (error) {
        signal.removeEventListener("abort", onAbort);
        throw error;
      }
    },
    cancel() {
      signal.removeEventListener("abort", onAbort);
      body.close();
    },
  }, { highWaterMark: 0 }), init);
}
