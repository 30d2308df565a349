// A runtime that exists for tests only: it speaks the fetch contract over arrays and plays a scripted mob.
// It is no model of the real runtime's durability; it lets the page be tested without wasm.

import type { ClientReport, ClientState, RuntimeClient } from "../src/client.ts";
import type { Activity, AgentEventPayload, ConsoleFrame, Gap, MemberEntry, PersistedEvent, StructuralEvent } from "../src/wire.ts";

interface FakeMember {
  identity: string;
  role: string;
  generation: number;
  activity: Activity;
  wired: Set<string>;
  labels: Record<string, string>;
}

type Listener = () => void;
const encoder = new TextEncoder();

/** Options of the scripted mob. */
export interface FakeOptions {
  /** Milliseconds between deltas; 0 runs as fast as microtasks go. */
  pace?: number;
  /** Ledger entries made up at the start, to fill the table. */
  ledgerEntries?: number;
  state?: ClientState;
  definitionChanges?: unknown[];
  /** Work waits for a model. */
  waiting?: boolean;
  /** It has modules, and what stands on them; without, it is from before there were any. */
  modules?: boolean;
}

function streamed({ member_id, timestamp_ms, event }: PersistedEvent): unknown {
  return { member_id, source: event.kind === "module" ? event.module : member_id, timestamp_ms, payload: event.payload };
}

function frameOf({ id, seq, timestamp_ms, member_id, identity, event }: PersistedEvent): ConsoleFrame {
  const payload = (event.payload ?? {}) as AgentEventPayload;
  const interaction = payload.interaction_id === undefined ? {} : { interaction_id: payload.interaction_id };
  return { id, cursor: `console:${seq}`, timestamp_ms, identity: identity ?? member_id ?? "", kind: event.event_type, status: "completed", frame_version: 1, payload, ...interaction };
}

export class FakeRuntime implements RuntimeClient {
  state: ClientState;
  readonly structural: StructuralEvent[] = [];
  readonly events: PersistedEvent[] = [];
  readonly gaps: Gap[] = [];
  mobLabels: Record<string, string> = {};
  /** Edges that an edge discovery has made, as `a b`; the lead's own are the definition's, all others are made by hand. */
  readonly discovered = new Set<string>();
  readonly members = new Map<string, FakeMember>();
  readonly modules: any[] = [
    { module_id: "router", health: "healthy", restarts: 0, restart_policy: "on_failure", tools: ["routing.resolve"], transitions: [{ module_id: "router", to: "starting", attempt: 0 }, { module_id: "router", from: "starting", to: "healthy", attempt: 0 }] },
    { module_id: "crm", health: "stopped", restarts: 1, restart_policy: "always", tools: [], error: "the worker ended: out of memory", transitions: [{ module_id: "crm", from: "healthy", to: "failed", attempt: 0 }, { module_id: "crm", from: "failed", to: "restarting", attempt: 1 }, { module_id: "crm", from: "restarting", to: "stopped", attempt: 1 }] },
  ];
  readonly pending: any[] = [];
  readonly calls: { method: string; params: any }[] = [];
  /** Set to make the next call of a method fail. */
  readonly failNext = new Map<string, { code: number | string; message: string; data?: unknown }>();
  /** Cuts every open stream when called. */
  readonly #streams = new Set<() => void>();
  readonly #stateListeners = new Set<(report: ClientReport) => void>();
  readonly error = null;
  readonly restarts = 0;
  readonly #listeners = new Set<Listener>();
  readonly #cancelled = new Set<string>();
  model: { kind: string; baseUrl?: string; model?: string } = { kind: "demo" };
  readonly #options: FakeOptions;
  #clock = 1_763_900_000_000;
  #skip = 0;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.state = options.state ?? "leader";
    this.ledger("mob_created", { definition: { id: "demo", orchestrator: { profile: "lead" } } });
    this.spawn("lead", "lead");
    this.spawn("researcher", "researcher");
    this.spawn("critic", "critic");
    this.wire("lead", "researcher");
    this.wire("critic", "lead");
    for (let n = 0; n < (options.ledgerEntries ?? 0); n++) {
      this.ledger(n % 2 === 0 ? "members_unwired" : "members_wired", { a: "critic", b: "lead" });
    }
  }

  // ---- making things happen ------------------------------------------------------------------------------------------

  ledger(kind: string, data: Record<string, unknown>, agent_identity?: string): void {
    const cursor = this.structural.length + 1;
    this.structural.push({
      event_id: `mob-evt-${cursor}`,
      cursor,
      mob_id: "demo",
      timestamp_ms: (this.#clock += 7),
      kind,
      ...(agent_identity === undefined ? {} : { agent_identity }),
      data: { type: kind, ...data },
    });
    this.#wake();
  }

  emit(identity: string, payload: AgentEventPayload): void {
    const generation = this.members.get(identity)?.generation ?? 0;
    const seq = (this.events.at(-1)?.seq ?? 0) + 1 + this.#skip;
    this.#skip = 0;
    const agent_id = `${identity}:${generation}`;
    this.events.push({
      id: `evt-agent-${seq}`,
      seq,
      timestamp_ms: (this.#clock += 11),
      member_id: agent_id,
      identity,
      event: { kind: "agent", agent_id, event_type: payload.type, payload },
    });
    this.#wake();
  }

  /** An event of a module. */
  tell(module: string, event_type: string, payload: unknown): void {
    const seq = (this.events.at(-1)?.seq ?? 0) + 1;
    this.events.push({ id: `evt-${module}-${seq}`, seq, timestamp_ms: (this.#clock += 11), member_id: null, event: { kind: "module", module, event_type, payload } });
    this.#wake();
  }

  /** Numbers that no event will have, as after a stop that was not clean. */
  gap(count: number): void {
    const from = (this.events.at(-1)?.seq ?? 0) + 1;
    this.gaps.push({ from, to: from + count - 1, reason: "unclean_stop" });
    this.#skip = count;
    this.emit("lead", { type: "run_started", prompt: "after the gap" });
  }

  spawn(identity: string, role: string, labels: Record<string, string> = {}): void {
    this.members.set(identity, { identity, role, generation: 0, activity: "idle", wired: new Set(), labels });
    this.ledger("member_spawned", { agent_identity: identity, generation: 0, fence_token: this.members.size, role, runtime_mode: "turn_driven", labels }, identity);
  }

  retire(identity: string): void {
    this.members.delete(identity);
    for (const member of this.members.values()) member.wired.delete(identity);
    this.ledger("member_retired", { agent_identity: identity, generation: 0 }, identity);
  }

  wire(a: string, b: string): void {
    this.members.get(a)?.wired.add(b);
    this.members.get(b)?.wired.add(a);
    this.ledger("members_wired", { a, b });
  }

  setState(state: ClientState): void {
    this.state = state;
    for (const listener of this.#stateListeners) listener({ state, error: null, restarts: 0 });
  }

  /** Ends every open stream, as a restart of the worker does. */
  cutStreams(): void {
    for (const cut of [...this.#streams]) cut();
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  async #pause(): Promise<void> {
    const pace = this.#options.pace ?? 0;
    if (pace > 0) await new Promise((resolve) => setTimeout(resolve, pace));
    else await Promise.resolve();
  }

  async #say(identity: string, interaction_id: string, text: string): Promise<boolean> {
    for (const word of text.split(/(?<= )/)) {
      if (this.#cancelled.has(interaction_id)) return false;
      this.emit(identity, { type: "text_delta", delta: word, interaction_id });
      await this.#pause();
    }
    this.emit(identity, { type: "text_complete", content: text, interaction_id });
    return true;
  }

  #stopRun(identity: string, interaction_id: string): void {
    const member = this.members.get(identity);
    if (member) member.activity = "idle";
    this.emit(identity, { type: "run_failed", session_id: "s", error_class: "cancelled", error: "cancelled", interaction_id });
  }

  #endRun(identity: string, interaction_id: string, result: string, prompt: string): void {
    const member = this.members.get(identity);
    if (member) member.activity = "idle";
    const usage = { input_tokens: 120 + prompt.length, output_tokens: 60 };
    this.emit(identity, { type: "turn_completed", stop_reason: "end_turn", usage, interaction_id });
    this.emit(identity, { type: "run_completed", session_id: "s", result, extraction_required: false, usage, interaction_id });
  }

  #send(from: string, to: string, content: string, interaction_id: string): string {
    const id = `call-${this.events.length}`;
    const work_id = `work-${this.events.length}`;
    const of = { interaction_id };
    this.emit(from, { type: "tool_call_requested", id, name: "send_message", args: { to, content }, ...of });
    this.emit(from, { type: "tool_execution_started", id, name: "send_message", ...of });
    this.emit(to, { type: "peer_message", from, content, work_id, ...of });
    this.emit(from, { type: "tool_execution_completed", id, name: "send_message", result: "delivered", content: [], is_error: false, duration_ms: 4, ...of });
    this.emit(from, { type: "tool_result_received", id, name: "send_message", content: [{ type: "text", text: "delivered" }], is_error: false, ...of });
    return work_id;
  }

  /** The whole job: the asked member splits it, its peers work one after the other, the last answer brings the summary. */
  async #work(identity: string, prompt: string, interaction_id: string, work_id: string): Promise<void> {
    const member = this.members.get(identity);
    if (!member) return;
    const start = (who: string, text: string, from: string, work: string): void => {
      const other = this.members.get(who);
      if (other) other.activity = "running";
      this.emit(who, { type: "run_started", session_id: "s", prompt: text, from, interaction_id, work_id: work });
      this.emit(who, { type: "turn_started", turn_number: 1, interaction_id });
    };
    start(identity, prompt, "user", work_id);
    const peers = [...member.wired].sort();
    if (peers.length === 0) {
      const alone = `My part is done: ${prompt}`;
      if (!(await this.#say(identity, interaction_id, alone))) return this.#stopRun(identity, interaction_id);
      this.#endRun(identity, interaction_id, alone, prompt);
      this.emit(identity, { type: "interaction_complete", interaction_id, result: alone });
      return;
    }
    this.emit(identity, { type: "reasoning_delta", delta: `The task has ${peers.length} parts; I split it.`, interaction_id });
    await this.#pause();
    const plan = `I will ask **${peers.join("** and **")}**.`;
    if (!(await this.#say(identity, interaction_id, plan))) return this.#stopRun(identity, interaction_id);
    const parts = peers.map((peer, index) => this.#send(identity, peer, `Part ${index + 1} of: ${prompt}`, interaction_id));
    this.#endRun(identity, interaction_id, plan, prompt);
    let answer = "";
    for (const [index, peer] of peers.entries()) {
      const part = `Part ${index + 1} of: ${prompt}`;
      start(peer, part, identity, parts[index] ?? "");
      const finding = `My part is done: ${part}`;
      if (!(await this.#say(peer, interaction_id, finding))) return this.#stopRun(peer, interaction_id);
      const reply = this.#send(peer, identity, finding, interaction_id);
      this.#endRun(peer, interaction_id, finding, part);
      start(identity, finding, peer, reply);
      const last = index === peers.length - 1;
      answer = last
        ? `Here is what we found about *${prompt}*:\n\n| who | finding |\n|---|---|\n${peers.map((name) => `| ${name} | done |`).join("\n")}\n\n1. The first half holds.\n2. The second half needs care.\n\n\`\`\`rust\nlet mob = Mob::new();\n\`\`\``
        : `${peer} has answered; I wait for ${peers[index + 1]}.`;
      if (!(await this.#say(identity, interaction_id, answer))) return this.#stopRun(identity, interaction_id);
      this.#endRun(identity, interaction_id, answer, finding);
    }
    this.emit(identity, { type: "interaction_complete", interaction_id, result: answer });
  }

  // ---- the contract --------------------------------------------------------------------------------------------------

  async fetch(input: string, init?: RequestInit): Promise<Response> {
    const request = { url: input, signal: init?.signal ?? undefined, body: init?.body };
    const url = new URL(request.url, "https://mob.local");
    if (url.pathname === "/console/rpc") {
      const call = JSON.parse(String(request.body)) as { id: number; method: string; params: any };
      this.calls.push({ method: call.method, params: call.params });
      const planned = this.failNext.get(call.method);
      if (planned) this.failNext.delete(call.method);
      const answer = planned ? { error: { ...planned, code: Number(planned.code) } } : this.#rpc(call.method, call.params ?? {});
      return Response.json({ jsonrpc: "2.0", id: call.id, ...answer });
    }
    if (url.pathname === "/mobkit/mob_events/stream") {
      return this.#stream(Number(url.searchParams.get("after_seq")), this.structural, (event) => event.cursor, (event) => `id: mob-evt-${event.cursor}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`, request.signal);
    }
    if (url.pathname === "/mob/events") {
      return this.#stream(Number(url.searchParams.get("after_seq")), this.events, (event) => event.seq, (event) => `id: mob:${event.seq}\nevent: ${event.event.event_type}\ndata: ${JSON.stringify(streamed(event))}\n\n`, request.signal);
    }
    if (url.pathname === "/console/timeline/stream") {
      const told = (event: PersistedEvent): string => `id: console:${event.seq}\nevent: console_frame\ndata: ${JSON.stringify({ type: "console_frame", frame: frameOf(event) })}\n\n`;
      return this.#stream(Number(url.searchParams.get("after")?.slice(8)), this.events, (event) => event.seq, told, request.signal);
    }
    return new Response("not found", { status: 404 });
  }

  #stream<T>(after: number, source: T[], cursorOf: (item: T) => number, frame: (item: T) => string, signal: AbortSignal | undefined): Response {
    const latest = source.length > 0 ? cursorOf(source[source.length - 1] as T) : 0;
    if (after > latest) return Response.json({ error: "event_query_stale", after_cursor: after, latest_cursor: latest }, { status: 410 });
    let cursor = after;
    let listener: Listener = () => undefined;
    let cut: Listener = () => undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(encoder.encode(": keep-alive\n\n"));
        listener = () => {
          let text = "";
          for (let at = source.length - 1; at >= 0 && cursorOf(source[at] as T) > cursor; at--) text = frame(source[at] as T) + text;
          if (text === "") return;
          cursor = cursorOf(source[source.length - 1] as T);
          controller.enqueue(encoder.encode(text));
        };
        cut = () => {
          this.#listeners.delete(listener);
          this.#streams.delete(cut);
          controller.close();
        };
        this.#listeners.add(listener);
        this.#streams.add(cut);
        listener();
        signal?.addEventListener("abort", () => {
          this.#listeners.delete(listener);
          this.#streams.delete(cut);
          controller.error(signal.reason);
        });
      },
      cancel: () => {
        this.#listeners.delete(listener);
        this.#streams.delete(cut);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  #entry(member: FakeMember): MemberEntry {
    return {
      agent_identity: member.identity,
      role: member.role,
      state: "active",
      status: "active",
      activity: this.#options.waiting && member.role === "lead" ? "waiting_model" : member.activity,
      model: "demo",
      runtime_mode: "turn_driven",
      wired_to: [...member.wired].sort(),
      labels: member.labels,
    };
  }

  #queryEvents(params: any): { result: unknown } {
    const after: number | undefined = params.after_seq;
    const limit: number = params.limit ?? 256;
    const matches = this.events.filter(
      (event) =>
        (after === undefined || event.seq > after) &&
        (!params.identity || event.identity === params.identity) &&
        (!params.event_types?.length || params.event_types.includes(event.event.event_type)) &&
        event.timestamp_ms >= (params.since_ms ?? 0) &&
        event.timestamp_ms < (params.until_ms ?? Infinity),
    );
    const latest = this.events.at(-1)?.seq ?? 0;
    const events = after === undefined ? matches.slice(-limit) : matches.slice(0, limit);
    const next = after !== undefined && events.length === limit ? (events.at(-1)?.seq ?? after) : Math.max(latest, after ?? 0);
    const first = after === undefined ? (events.length === limit ? (events[0]?.seq ?? 0) : 0) : after;
    return { result: { events, next_after_seq: next, gaps: this.gaps.filter((gap) => gap.to > first && gap.from <= next) } };
  }

  #edgesReport(): Record<string, unknown> {
    const names = ["desired_edges", "wired_edges", "unwired_edges", "retained_edges", "preexisting_edges", "skipped_missing_members", "pruned_stale_managed_edges", "failures"];
    return Object.fromEntries(names.map((name) => [name, []]));
  }

  /** Only a profile that exists can be spawned; everybody else is, all the same. */
  #reconcile(specs: any[]): { result: unknown } | { error: { code: number; message: string; data?: unknown } } {
    const wanted = new Map(specs.map((spec) => [spec.identity, spec]));
    const mob = { desired: [...wanted.keys()], retained: [] as string[], spawned: [] as unknown[], retired: [] as string[], failures: [] as unknown[] };
    for (const identity of [...this.members.keys()]) {
      if (wanted.has(identity)) mob.retained.push(identity);
      else {
        mob.retired.push(identity);
        this.retire(identity);
      }
    }
    for (const [agent_identity, spec] of wanted) {
      if (this.members.has(agent_identity)) continue;
      if (!["lead", "researcher", "critic"].includes(spec.profile)) mob.failures.push({ agent_identity, stage: "spawn", error: `profile not found: ${spec.profile}` });
      else {
        this.spawn(agent_identity, spec.profile, spec.labels);
        mob.spawned.push({ member_ref: agent_identity, agent_identity });
      }
    }
    const report = { mob, edges: this.#edgesReport(), routing: { router_module_loaded: false, active_members: [], added_route_keys: [], removed_route_keys: [] } };
    return mob.failures.length === 0 ? { result: report } : { error: { code: -32000, message: "a member could not be made", data: { code: "partial_failure", ...report } } };
  }

  #rpc(method: string, params: any): { result: unknown } | { error: { code: number; message: string; data?: unknown } } {
    const unknown = (id: string) => ({ error: { code: -32001, message: `mob member not found: ${id}`, data: { code: "unknown_member", identity: id } } });
    const writes = /send_message|cancel|spawn|retire|respawn|wire|stop|resume|reconcile|rediscover|set$/;
    if (this.state === "follower" && writes.test(method)) return { error: { code: -32004, message: "another tab holds the mob", data: { code: "not_leader" } } };
    const page = <T>(source: T[], cursorOf: (item: T) => number, keep: (item: T) => boolean = () => true) => {
      const after = params.after_seq ?? 0;
      const events = source.filter((item) => cursorOf(item) > after && keep(item)).slice(0, params.limit ?? 256);
      const next = events.length > 0 ? cursorOf(events[events.length - 1] as T) : after;
      return { result: { events, next_after_seq: next, resume_after_seq: next, gaps: [] } };
    };
    switch (method) {
      case "mobkit/status":
        return {
          result: {
            contract_version: "0.5.0",
            running: true,
            mob_id: "demo",
            mob_state: "running",
            role: this.state === "follower" ? "follower" : "leader",
            latest_mob_cursor: this.structural.length,
            latest_event_cursor: this.events.at(-1)?.seq ?? 0,
            models: {
              demo: this.#options.waiting
                ? { provider: "openai", is_demo: false, availability: "waiting", reason: "the key is kept in memory only and must be given again" }
                : { provider: this.model.kind === "demo" ? "demo" : "openai", is_demo: this.model.kind === "demo", availability: "ready" },
            },
            definition_changes: this.#options.definitionChanges ?? [],
          },
        };
      case "mobkit/list_members":
        return { result: [...this.members.values()].map((member) => this.#entry(member)) };
      case "mobkit/profiles":
        return { result: { profiles: ["lead", "researcher", "critic"].map((name) => ({ name, model: "demo", peer_description: `The ${name}` })) } };
      case "mobkit/mob_events/query":
        return page(this.structural, (event) => event.cursor);
      case "mobkit/query_events":
        return this.#queryEvents(params);
      case "mobkit/console/query_timeline": {
        const before = params.before === undefined ? Infinity : Number(params.before.slice(8));
        const older = this.events.filter(({ seq }) => seq < before);
        const frames = older.slice(-params.limit).map(frameOf);
        return { result: { frames, next_cursor: frames[0]?.cursor ?? null, latest_cursor: `console:${this.events.at(-1)?.seq ?? 0}`, exhausted: older.length <= params.limit } };
      }
      case "mobkit/list_edges": {
        const edges = [...this.members.values()].flatMap(({ identity: a, wired }) => [...wired].filter((b) => a < b).map((b) => ({ a, b, owner: this.discovered.has(`${a} ${b}`) ? "discovery" : a === "lead" || b === "lead" ? "definition" : "hand" })));
        return { result: { edges } };
      }
      case "mobkit/mob_labels/get":
        return { result: { labels: this.mobLabels } };
      case "mobkit/mob_labels/set":
        this.mobLabels = params.labels ?? {};
        return { result: { accepted: true } };
      case "mobkit/reconcile_members":
        return this.#reconcile(params.specs);
      case "mobkit/reconcile_edges":
        return { result: this.#edgesReport() };
      case "mobkit/rediscover":
        return { result: { status: "no_discovery_configured" } };
      case "mobkit/send_message": {
        if (!this.members.has(params.member_id)) return unknown(params.member_id);
        const interaction_id = `int-${this.calls.length}`;
        this.emit(params.member_id, { type: "user_input", interaction_id, content: params.content, origin: "console", handling_mode: params.handling_mode ?? "queue", work_id: interaction_id });
        void this.#work(params.member_id, params.content, interaction_id, interaction_id);
        return { result: { accepted: true, member_id: params.member_id, session_id: "s", interaction_id } };
      }
      case "mobkit/cancel_interaction":
        this.#cancelled.add(params.interaction_id);
        for (const event of this.events) {
          if (event.event.event_type !== "user_input" || event.event.kind !== "agent" || event.event.payload?.interaction_id !== params.interaction_id) continue;
          this.emit((event.member_id ?? "").replace(/:\d+$/, ""), { type: "interaction_failed", interaction_id: params.interaction_id, error: "cancelled" });
          break;
        }
        return { result: { accepted: true } };
      case "mobkit/spawn_member":
        if (params.module_id !== undefined) return this.#moves(params.module_id, "healthy");
        if (this.members.has(params.meerkat_id)) return { error: { code: -32602, message: `mob member already exists: ${params.meerkat_id}`, data: { code: "member_already_exists" } } };
        this.spawn(params.meerkat_id, params.profile, params.labels);
        return { result: { accepted: true, meerkat_id: params.meerkat_id } };
      case "mobkit/retire_member":
        if (!this.members.has(params.member_id)) return unknown(params.member_id);
        this.retire(params.member_id);
        return { result: { accepted: true } };
      case "mobkit/respawn_member": {
        const member = this.members.get(params.member_id);
        if (!member) return unknown(params.member_id);
        member.generation += 1;
        this.ledger("member_reset", { agent_identity: member.identity, previous_generation: member.generation - 1, new_generation: member.generation }, member.identity);
        return { result: { accepted: true } };
      }
      case "mobkit/wire_members":
        this.wire(params.a, params.b);
        return { result: { accepted: true } };
      case "mobkit/unwire_members":
        this.members.get(params.a)?.wired.delete(params.b);
        this.members.get(params.b)?.wired.delete(params.a);
        this.ledger("members_unwired", { a: params.a, b: params.b });
        return { result: { accepted: true } };
      case "mobkit/modules/list":
      case "mobkit/modules/stop":
      case "mobkit/routing/routes/list":
      case "mobkit/delivery/history":
      case "mobkit/scheduling/list":
      case "mobkit/gating/pending":
      case "mobkit/gating/decide":
      case "mobkit/gating/audit":
      case "mobkit/memory/stores":
      case "mobkit/memory/query":
        return this.#options.modules ? this.#modulesRpc(method.slice(7), params) : { error: { code: -32601, message: `Method not found: ${method}` } };
      case "mobkit/force_cancel_member":
      case "mobkit/stop":
      case "mobkit/resume":
        return { result: { accepted: true } };
      default:
        return { error: { code: -32601, message: `Method not found: ${method}` } };
    }
  }

  #moves(module_id: string, health: string): { result: unknown } {
    const module = this.modules.find((other) => other.module_id === module_id);
    module.transitions.push({ module_id, from: module.health, to: health, attempt: module.restarts });
    module.health = health;
    return { result: { accepted: true, module_id } };
  }

  #modulesRpc(method: string, params: any): { result: unknown } | { error: { code: number; message: string; data?: unknown } } {
    const at = 1_763_900_000_000;
    switch (method) {
      case "modules/list":
        return { result: { modules: structuredClone(this.modules) } };
      case "modules/stop":
        return this.#moves(params.module_id, "stopped");
      case "routing/routes/list":
        return { result: { routes: [{ route_key: "alerts", recipient: "*", channel: "alerts", sink: "mob_member", target_module: "delivery", retry_max: 1 }] } };
      case "delivery/history": {
        const record = { delivery_id: "delivery-000001", route_id: "route-000001", recipient: "lead", sink: "webhook", target_module: "delivery", payload: { text: "x".repeat(400) }, status: "failed", attempts: [{ attempt: 1, status: "transient_failure", backoff_ms: 250 }, { attempt: 2, status: "failed", backoff_ms: 0 }], first_attempt_ms: at, final_attempt_ms: at + 300, sink_adapter: "webhook", error: "HTTP 503" };
        return { result: { deliveries: [params.recipient, params.sink].some((wanted) => wanted !== undefined && wanted !== "lead" && wanted !== "webhook") ? [] : [record] } };
      }
      case "scheduling/list":
        return { result: { limit: 256, schedules: [{ schedule: { schedule_id: "morning", interval: "0 9 * * 1-5", timezone: "UTC", enabled: true, jitter_ms: 0, catch_up: false }, action: { kind: "message", member_id: "lead", message: "Good morning" }, next_ms: [Date.now() + 90_000], fired: 0, error: "it was late" }] } };
      case "gating/pending":
        return { result: { pending: structuredClone(this.pending) } };
      case "gating/decide": {
        const found = this.pending.findIndex((entry) => entry.pending_id === params.pending_id);
        if (found < 0) return { error: { code: -32602, message: `Invalid params: unknown pending_id '${params.pending_id}'`, data: { code: "unknown_pending_id" } } };
        this.pending.splice(found, 1);
        return { result: { pending_id: params.pending_id, action_id: "gate-action-1", approver_id: params.approver_id, decision: params.decision, outcome: "allowed", decided_at_ms: at } };
      }
      case "gating/audit":
        return { result: { entries: [{ audit_id: "gate-audit-1", timestamp_ms: at, event_type: "evaluated", action_id: "gate-action-0", actor_id: "lead", risk_tier: "r2", outcome: "allowed_with_audit", detail: { rationale: "small" } }] } };
      case "memory/stores":
        return { result: { stores: ["knowledge_graph", "vector", "timeline", "todo", "top_of_mind"].map((store) => ({ store, record_count: store === "vector" ? 2 : 0 })) } };
      default:
        return { result: { assertions: [{ assertion_id: "memory-assert-1", entity: "garden", topic: "water", store: "vector", fact: "wet ".repeat(300), metadata: { by: "scout" }, indexed_at_ms: at }], conflicts: [{ entity: "garden", topic: "water", store: "vector", reason: "It is dry.", updated_at_ms: at }] } };
    }
  }

  /** Something that somebody has to decide; with a member, it is a tool call of its. */
  hold(member_id: string, pending_id = "gate-pending-1"): void {
    this.pending.push({ pending_id, action_id: "gate-action-1", action: "send_message", actor_id: member_id, risk_tier: "r3", created_at_ms: Date.now(), deadline_at_ms: Date.now() + 600_000, tool_call: { member_id, call_id: "c", tool: "send_message", args: { to: "critic", content: "long ".repeat(80) } } });
  }

  async control(name: string, payload?: any): Promise<any> {
    this.calls.push({ method: `control:${name}`, params: payload });
    const planned = this.failNext.get(`control:${name}`);
    if (planned) {
      this.failNext.delete(`control:${name}`);
      throw Object.assign(new Error(planned.message), { name: "MobkitError", ...planned });
    }
    switch (name) {
      case "take_over":
        this.setState("leader");
        return undefined;
      case "configure_model":
        this.model = payload;
        return undefined;
      case "test_model":
        if (payload.kind === "openai" && payload.apiKey === "wrong") return { ok: false, error: { code: "auth", message: "HTTP 401: invalid key" }, elapsed_ms: 20 };
        return { ok: true, provider: payload.kind, text: "pong", elapsed_ms: 12 };
      case "usage":
        return { rows: 412, bytes: 183_204, origin_usage: 1_240_000, origin_quota: 60_000_000_000 };
      case "export":
        return new Response('{"key":"meta/schema"}\n').body;
      default:
        return undefined;
    }
  }

  onState(callback: (report: ClientReport) => void): () => void {
    this.#stateListeners.add(callback);
    return () => this.#stateListeners.delete(callback);
  }

  close(): void {
    this.setState("stopped");
    this.cutStreams();
  }
}
