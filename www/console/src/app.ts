// The state of the page: the folds of both logs as signals, and the actions of a person. Components read and call this, nothing else.

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type ClientReport, ConsoleError, rpc, type RuntimeClient, toConsoleError } from "./client.ts";
import { follow, type FollowSource } from "./follow.ts";
import { followTimeline, type TimelineHandler } from "./timeline.ts";
import { type ChatState, emptyChat, foldChat, foldGap, settle, shownState } from "./store/chat.ts";
import { ownersOf } from "./store/edges.ts";
import { ANY_EVENT, type EventFilter } from "./store/event-log.ts";
import { type FeedEntry, feedOfAgent, feedOfStructural, oneLine, pushFeed } from "./store/feed.ts";
import { Inbox } from "./store/inbox.ts";
import type { LabelRow } from "./store/labels.ts";
import { edgesOf, emptyRoster, foldRoster, type RosterState } from "./store/roster.ts";
import {
  type EdgeOwner,
  type EventsPage,
  type Gap,
  identityOf,
  type MemberEntry,
  type OwnedEdge,
  type PersistedEvent,
  persistedOf,
  type ProfileEntry,
  type RuntimeStatus,
  type StructuralEvent,
} from "./wire.ts";

/** Agent events replayed at the start; a longer history is read per member when asked for. */
export const REPLAY_LIMIT = 20_000;
/** Ledger rows kept in the page. */
export const LEDGER_LIMIT = 50_000;

/** The panels of the middle column (and, on narrow screens, the side columns too). */
export type View = "chat" | "timeline" | "ledger" | "events" | "mob" | "definition" | "storage" | "model" | "modules" | "approvals" | "members" | "activity";
/** The parts of the panel of the modules. */
export type ModulesView = "modules" | "routing" | "schedules" | "memory";

/** One row of the sidebar: the ledger's member with the listing's and the chat's knowledge. */
export interface MemberRow {
  identity: string;
  displayName: string;
  role: string;
  group: string;
  generation: number;
  state: string;
  model: string | undefined;
  error: string | undefined;
  labels: Record<string, string>;
  wiredTo: string[];
  addressable: boolean;
  /** Last words or deed, one line. */
  preview: string;
  unread: boolean;
}

/** A problem shown until a person dismisses it, or until what caused it is over. */
export interface Problem {
  id: number;
  key: string;
  error: ConsoleError;
  what: string;
}

/** A wire that just carried a message, for the picture. */
export interface Pulse {
  id: number;
  from: string;
  to: string;
}

/** How the app waits for the next picture; tests give their own. */
export type Frame = (callback: () => void) => void;

/** A hidden or starved page gets no animation frames; its title and counters should be right all the same. */
const LATEST_FRAME_MS = 150;

const browserFrame: Frame = (callback) => {
  const run = (): void => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    callback();
  };
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, LATEST_FRAME_MS);
};

/** The page's state over one `RuntimeClient`. */
export class App {
  readonly client: Signal<ClientReport>;
  readonly status = signal<RuntimeStatus | undefined>(undefined);
  readonly members = signal<ReadonlyMap<string, MemberEntry>>(new Map());
  readonly profiles = signal<ProfileEntry[]>([]);
  /** Who made each edge, by `edgeKey`; an edge that is not here yet is younger than the last listing. */
  readonly edgeOwners = signal<ReadonlyMap<string, EdgeOwner>>(new Map());
  readonly mobLabels = signal<Readonly<Record<string, string>>>({});
  /** Edits that a look at another panel must not lose; undefined while there is none. */
  readonly labelDraft = signal<LabelRow[] | undefined>(undefined);
  readonly rosterDraft = signal<string | undefined>(undefined);
  readonly eventFilter = signal<EventFilter>(ANY_EVENT);
  readonly selected = signal<string | undefined>(undefined);
  /** Messages that were typed and not sent, by member: a look at another chat must not lose them. */
  readonly messageDrafts = new Map<string, string>();
  readonly view = signal<View>("chat");
  readonly modulesView = signal<ModulesView>("modules");
  /** What waits for somebody's decision. */
  readonly inbox: Inbox;
  readonly problems = signal<Problem[]>([]);
  readonly caughtUp = signal(false);
  readonly connection = signal<{ error: ConsoleError } | undefined>(undefined);
  readonly pulses = signal<Pulse[]>([]);
  readonly historyFrom = signal(0);
  /** What serves the definition's model names, in words; undefined where they are sent as they are. */
  readonly servedBy = signal<string | undefined>(undefined);
  /** The server that has the mob, if it is not this page. */
  host: string | undefined;

  readonly roster: RosterState = emptyRoster();
  readonly chats = new Map<string, ChatState>();
  readonly feed: FeedEntry[] = [];
  readonly ledger: StructuralEvent[] = [];
  readonly rosterVersion = signal(0);
  readonly chatVersion = signal(0);
  readonly feedVersion = signal(0);
  readonly ledgerVersion = signal(0);
  /** Grows when a module has told something, or there is something else to decide: what stands on modules is read anew. */
  readonly modulesVersion = signal(0);

  readonly rows: ReadonlySignal<MemberRow[]>;
  readonly people: ReadonlySignal<ReadonlyMap<string, MemberRow>>;
  readonly edges: ReadonlySignal<[string, string][]>;
  readonly totals: ReadonlySignal<{ input: number; output: number; running: number }>;
  readonly waiting: ReadonlySignal<{ identity: string; model: string; reason: string } | undefined>;
  readonly readOnly: ReadonlySignal<boolean>;

  readonly #client: RuntimeClient;
  readonly #frame: Frame;
  #follow: AbortController | undefined;
  #dirty = new Set<Signal<number>>();
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #nextId = 1;
  #unread = new Set<string>();
  #logsRead = 0;
  #lastEventAt = 0;
  #complete = new Set<string>();

  constructor(client: RuntimeClient, frame: Frame = browserFrame) {
    this.#client = client;
    this.#frame = frame;
    this.inbox = new Inbox(
      (signal) => rpc(client, "mobkit/gating/pending", {}, signal),
      () => {
        this.#touch(this.modulesVersion);
        // Who waits, and who does so no more.
        if (this.#follow) this.#refreshSoon();
      },
    );
    this.client = signal({ state: client.state, error: client.error, restarts: client.restarts });
    this.readOnly = computed(() => this.client.value.state !== "leader");
    this.rows = computed(() => {
      this.rosterVersion.value;
      this.chatVersion.value;
      return this.#rows(this.members.value, this.selected.value, this.inbox.held.value);
    });
    this.people = computed(() => new Map(this.rows.value.map((row) => [row.identity, row])));
    this.edges = computed(() => {
      this.rosterVersion.value;
      return edgesOf(this.roster.members.values());
    });
    this.totals = computed(() => {
      this.chatVersion.value;
      const sum = { input: 0, output: 0, running: 0 };
      for (const chat of this.chats.values()) {
        sum.input += chat.tokens.input + chat.turnUsage.input;
        sum.output += chat.tokens.output + chat.turnUsage.output;
        if (chat.run) sum.running += 1;
      }
      return sum;
    });
    this.waiting = computed(() => {
      this.chatVersion.value;
      for (const chat of this.chats.values()) {
        if (chat.waitingFor && !chat.run) return { identity: chat.identity, ...chat.waitingFor };
      }
      for (const member of this.members.value.values()) {
        if (member.activity !== "waiting_model") continue;
        const model = member.model ?? "";
        return { identity: member.agent_identity, model, reason: this.status.value?.models[model]?.reason ?? "" };
      }
      return undefined;
    });
    client.onState((report) => {
      const before = this.client.value.state;
      this.client.value = report;
      const serves = report.state === "leader" || report.state === "follower";
      if (serves && report.state !== before && this.#follow) this.#refreshSoon();
    });
  }

  /** Begins to follow the runtime; the client must be started. */
  connect(): void {
    this.#follow?.abort();
    const abort = new AbortController();
    this.#follow = abort;
    this.#logsRead = 0;
    void this.#run(abort.signal);
  }

  /** Ends all following. */
  close(): void {
    this.#follow?.abort();
    this.inbox.close();
    clearTimeout(this.#refresh);
    this.#refresh = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let from = 0;
    try {
      await this.refresh(signal);
      from = Math.max(0, (this.status.value?.latest_event_cursor ?? 0) - REPLAY_LIMIT);
    } catch (error) {
      if (signal.aborted) return;
      this.report("Reading the status", error, "status");
    }
    if (signal.aborted) return;
    this.historyFrom.value = from;
    const lost = (error: ConsoleError): void => {
      this.connection.value = { error };
    };
    const found = (): void => {
      if (this.connection.value) this.connection.value = undefined;
    };
    const stale = (): void => {
      // The storage is another one than before (erased, or exchanged): all that the page knows is void.
      if (signal.aborted) return;
      this.clear();
      this.connect();
    };
    await Promise.all([
      follow(this.#client, structuralSource(this.#client), {
        items: (events, live) => {
          found();
          this.#onStructural(events, live);
        },
        gap: () => undefined,
        caughtUp: () => {
          found();
          this.#caughtUp();
        },
        connected: found,
        disconnected: lost,
        stale,
      }, { after: 0, signal }),
      follow(this.#client, agentSource(this.#client), {
        items: (events, live) => {
          found();
          this.#onAgent(events, live);
        },
        gap: (gap) => this.#onGap(gap),
        caughtUp: () => {
          found();
          this.#caughtUp();
        },
        connected: found,
        disconnected: lost,
        stale,
      }, { after: from, signal }),
    ]);
  }

  /** Called by each log; the page is complete when both have been read. */
  #caughtUp(): void {
    this.#logsRead += 1;
    batch(() => {
      // At once and together: who looks at a complete page must not see rows from before.
      this.rosterVersion.value += 1;
      this.chatVersion.value += 1;
      if (this.#logsRead === 2) this.caughtUp.value = true;
    });
  }

  /** Forgets everything that came from the runtime. */
  clear(): void {
    Object.assign(this.roster, emptyRoster());
    this.chats.clear();
    this.feed.length = 0;
    this.ledger.length = 0;
    this.#unread.clear();
    this.#complete.clear();
    this.#lastEventAt = 0;
    this.inbox.close();
    batch(() => {
      this.members.value = new Map();
      this.edgeOwners.value = new Map();
      this.mobLabels.value = {};
      this.labelDraft.value = undefined;
      this.rosterDraft.value = undefined;
      this.eventFilter.value = ANY_EVENT;
      this.status.value = undefined;
      this.caughtUp.value = false;
      for (const version of [this.rosterVersion, this.chatVersion, this.feedVersion, this.ledgerVersion]) version.value += 1;
    });
  }

  /** Forgets what the person did here, too. */
  forget(): void {
    this.clear();
    this.messageDrafts.clear();
    batch(() => {
      this.selected.value = undefined;
      this.view.value = "chat";
      this.problems.value = [];
      this.connection.value = undefined;
    });
  }

  #onStructural(events: StructuralEvent[], live: boolean): void {
    let changed = false;
    for (const event of events) {
      changed = foldRoster(this.roster, event) || changed;
      this.ledger.push(event);
      pushFeed(this.feed, feedOfStructural(event));
    }
    if (this.ledger.length > LEDGER_LIMIT) this.ledger.splice(0, this.ledger.length - LEDGER_LIMIT);
    this.#touch(this.ledgerVersion, this.feedVersion);
    if (changed) this.#touch(this.rosterVersion);
    if (live) this.#refreshSoon();
  }

  #onAgent(events: PersistedEvent[], live: boolean): void {
    let listing = false;
    for (const event of events) {
      this.#lastEventAt = event.timestamp_ms;
      const entry = feedOfAgent(event);
      if (entry) {
        pushFeed(this.feed, entry);
        this.#touch(this.feedVersion);
      }
      if (event.event.kind !== "agent") {
        if (live) {
          this.#touch(this.modulesVersion);
          if (event.event.module === "gating") this.inbox.soon();
        }
        continue;
      }
      const identity = identityOf(event.event.agent_id);
      foldChat(this.chat(identity), event);
      const type = event.event.event_type;
      if (type === "interaction_complete" || type === "interaction_failed") {
        const interaction = event.event.payload?.interaction_id;
        for (const chat of this.chats.values()) settle(chat, interaction);
      }
      if (!live) continue;
      // A call that is asked for may have to wait; one that goes on, or has ended, does so no more.
      if (type === "tool_call_requested") this.inbox.soon();
      else if (this.inbox.held.peek().has(identity) && GOES_ON.has(type)) this.inbox.soon();
      if (this.members.peek().get(identity)?.activity === "waiting_approval" && GOES_ON.has(type)) listing = true;
      if (type === "peer_message" && entry?.peer) this.#pulse(entry.peer, identity);
      if (type === "run_completed" || type === "run_failed" || type === "model_unavailable") {
        listing = true;
        if (identity !== this.selected.value) this.#unread.add(identity);
      }
    }
    this.#touch(this.chatVersion);
    if (listing) this.#refreshSoon();
  }

  #onGap(gap: Gap): void {
    for (const chat of this.chats.values()) foldGap(chat, gap, this.#lastEventAt);
    this.#touch(this.chatVersion);
    // Before the first event that is left there is nothing that a gap could stand between.
    if (this.#lastEventAt === 0) return;
    pushFeed(this.feed, {
      id: `g${gap.from}`,
      at: this.#lastEventAt,
      identity: undefined,
      peer: undefined,
      tone: "structure",
      title: gap.reason === "retention" ? "older events were discarded" : "the runtime was restarted",
      detail: "",
    });
    this.#touch(this.feedVersion);
  }

  #pulse(from: string, to: string): void {
    const pulse = { id: this.#nextId++, from, to };
    this.pulses.value = [...this.pulses.value.slice(-11), pulse];
    setTimeout(() => {
      this.pulses.value = this.pulses.value.filter((other) => other !== pulse);
    }, 1600);
  }

  /** Bumps versions once per picture, however many events came. */
  #touch(...versions: Signal<number>[]): void {
    const idle = this.#dirty.size === 0;
    for (const version of versions) this.#dirty.add(version);
    if (!idle) return;
    this.#frame(() => {
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      batch(() => {
        for (const version of dirty) version.value += 1;
      });
    });
  }

  #refreshSoon(): void {
    if (this.#refresh !== undefined) return;
    this.#refresh = setTimeout(() => {
      this.#refresh = undefined;
      this.refresh().catch((error: unknown) => this.report("Reading the roster", error, "refresh"));
    }, 120);
  }

  /** Reads status, members, edges, labels and profiles anew. With a signal it waits for a server that is away. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const [status, members, profiles, edges, labels] = await Promise.all([
      rpc<RuntimeStatus>(this.#client, "mobkit/status", {}, signal),
      rpc<MemberEntry[]>(this.#client, "mobkit/list_members", {}, signal),
      rpc<{ profiles: ProfileEntry[] }>(this.#client, "mobkit/profiles", {}, signal),
      rpc<{ edges: OwnedEdge[] }>(this.#client, "mobkit/list_edges", {}, signal),
      rpc<{ labels: Record<string, string> }>(this.#client, "mobkit/mob_labels/get", {}, signal),
    ]);
    batch(() => {
      this.status.value = status;
      this.members.value = new Map(members.map((member) => [member.agent_identity, member]));
      this.profiles.value = profiles.profiles;
      this.edgeOwners.value = ownersOf(edges.edges);
      this.mobLabels.value = labels.labels ?? {};
    });
    this.dismissKey("refresh");
    this.dismissKey("status");
  }

  /** What a member is called and what it is; one that has left keeps its identity as its name. */
  person(identity: string): { name: string; role: string } {
    const known = this.people.value.get(identity);
    return { name: known?.displayName ?? identity, role: known?.role ?? identity };
  }

  /** A member's chat, made when first asked for. */
  chat(identity: string): ChatState {
    let chat = this.chats.get(identity);
    if (!chat) {
      chat = emptyChat(identity);
      this.chats.set(identity, chat);
    }
    return chat;
  }

  /** Reads a member's whole history from the log's beginning and puts it in place of the loaded part. */
  async loadWholeHistory(identity: string): Promise<void> {
    const whole = emptyChat(identity);
    let after = 0;
    for (;;) {
      const page = await rpc<EventsPage>(this.#client, "mobkit/query_events", { identity, after_seq: after, limit: 1000 });
      let gaps = page.gaps ?? [];
      for (const event of page.events) {
        for (const gap of gaps) if (gap.to < event.seq) foldGap(whole, gap, event.timestamp_ms);
        gaps = gaps.filter((gap) => gap.to >= event.seq);
        foldChat(whole, event);
      }
      // Live events go on arriving meanwhile: the chats are exchanged when nothing that the page has seen is missing.
      if (whole.cursor >= this.chat(identity).cursor || page.next_after_seq <= after) break;
      after = page.next_after_seq;
    }
    if (whole.cursor >= this.chat(identity).cursor) {
      this.chats.set(identity, whole);
      this.#complete.add(identity);
    }
    this.#touch(this.chatVersion);
  }

  /** Whether a member's chat may have begun before what is loaded. */
  isPartial(identity: string): boolean {
    return this.historyFrom.value > 0 && !this.#complete.has(identity);
  }

  #rows(members: ReadonlyMap<string, MemberEntry>, selected: string | undefined, held: ReadonlySet<string>): MemberRow[] {
    const rows: MemberRow[] = [];
    const names = new Set([...this.roster.members.keys(), ...members.keys()]);
    for (const identity of names) {
      const known = this.roster.members.get(identity);
      const listed = members.get(identity);
      // Between a ledger entry and the next listing, the ledger is right about who is there.
      if (!known && this.roster.cursor > 0 && listed?.state?.toLowerCase() !== "retiring") continue;
      const chat = this.chats.get(identity);
      const labels = { ...known?.labels, ...listed?.labels };
      rows.push({
        identity,
        displayName: labels["display_name"] ?? identity,
        role: listed?.role ?? known?.role ?? "",
        group: labels["console_group"] ?? labels["group"] ?? listed?.role ?? known?.role ?? "",
        generation: known?.generation ?? chat?.generation ?? 0,
        state: shownState(listed, chat, held.has(identity)),
        model: listed?.model,
        error: listed?.error ?? chat?.lastError,
        labels,
        wiredTo: [...(known?.wiredTo ?? listed?.wired_to ?? [])].sort(),
        addressable: labels["addressable"] !== "false",
        preview: chat ? previewOf(chat) : "",
        unread: identity !== selected && this.#unread.has(identity),
      });
    }
    return rows.sort((a, b) => rank(a, this.roster.orchestrator) - rank(b, this.roster.orchestrator) || (a.group === b.group ? compare(a.identity, b.identity) : compare(a.group, b.group)));
  }

  // ---- what a person does -------------------------------------------------------------------------------------------

  /** Shows a problem; a later one with the same key takes its place. */
  report(what: string, error: unknown, key = `${what}`): void {
    const problem: Problem = { id: this.#nextId++, key, what, error: toConsoleError(error) };
    this.problems.value = [...this.problems.value.filter((other) => other.key !== key), problem].slice(-5);
  }

  dismiss(id: number): void {
    this.problems.value = this.problems.value.filter((problem) => problem.id !== id);
  }

  dismissKey(key: string): void {
    if (this.problems.value.some((problem) => problem.key === key)) this.problems.value = this.problems.value.filter((problem) => problem.key !== key);
  }

  /** Runs an action; a failure is shown and answered with `undefined`. */
  async attempt<T>(what: string, action: () => Promise<T>): Promise<T | undefined> {
    try {
      const value = await action();
      this.dismissKey(what);
      return value;
    } catch (error) {
      this.report(what, error);
      return undefined;
    }
  }

  select(identity: string | undefined): void {
    batch(() => {
      this.selected.value = identity;
      this.view.value = "chat";
    });
    if (identity !== undefined) this.#unread.delete(identity);
  }

  /** Sends a person's message. Throws, so that the composer can keep the text. */
  async send(member_id: string, content: string, handling_mode: "queue" | "steer" = "queue"): Promise<void> {
    // The key makes a repeated delivery of the same click harmless.
    await this.call("mobkit/send_message", { member_id, content, handling_mode, origin: "console", idempotency_key: crypto.randomUUID() });
  }

  /** Ends the work that a person set off with this member, wherever in the mob it is, or else the member's own turn. */
  async stopMember(identity: string): Promise<void> {
    const chat = this.chats.get(identity);
    const interactions = new Set(chat?.openInteractions);
    if (chat?.run?.interactionId) interactions.add(chat.run.interactionId);
    let stopped = false;
    for (const interaction_id of interactions) {
      const { accepted } = await this.call<{ accepted: boolean }>("mobkit/cancel_interaction", { interaction_id });
      stopped ||= accepted;
    }
    if (!stopped) await this.call("mobkit/force_cancel_member", { member_id: identity });
  }

  /** Any RPC method. With a signal it is a reading, which waits for a server that is away; without, an order, which fails. */
  async call<T = unknown>(method: string, params: unknown = {}, signal?: AbortSignal): Promise<T> {
    return rpc<T>(this.#client, method, params, signal);
  }

  /** The timeline from a place on. Ends where there is no such place: then the logs are others too, and the page begins anew. */
  async followTimeline(after: string, signal: AbortSignal, handler: TimelineHandler): Promise<void> {
    await followTimeline(this.#client, handler, { after, signal });
  }

  /** Any control of the worker. */
  async control<T = unknown>(name: string, payload?: unknown): Promise<T> {
    return (await this.#client.control(name, payload)) as T;
  }

  /** A structural command, and the listing after it. */
  async change(method: string, params: unknown): Promise<void> {
    await this.call(method, params);
    await this.refresh();
  }
}

/** What a member does after a call has waited for a decision. */
const GOES_ON = new Set(["tool_execution_started", "tool_result_received", "run_completed", "run_failed", "interaction_failed"]);

function agentSource(client: RuntimeClient): FollowSource<PersistedEvent> {
  return {
    async page(after_seq, limit, signal) {
      const page = await rpc<EventsPage>(client, "mobkit/query_events", { after_seq, limit }, signal);
      return { items: page.events, gaps: page.gaps ?? [], next: page.next_after_seq };
    },
    streamUrl: (after) => `/mob/events?after_seq=${after}`,
    parse: persistedOf,
    cursorOf: (event) => event.seq,
  };
}

function structuralSource(client: RuntimeClient): FollowSource<StructuralEvent> {
  return {
    async page(after_seq, limit, signal) {
      const page = await rpc<{ events: StructuralEvent[]; next_after_seq: number; resume_after_seq?: number }>(
        client,
        "mobkit/mob_events/query",
        { after_seq, limit },
        signal,
      );
      return { items: page.events, gaps: [], next: page.resume_after_seq ?? page.next_after_seq };
    },
    streamUrl: (after) => `/mobkit/mob_events/stream?after_seq=${after}`,
    parse: ({ data }) => JSON.parse(data) as StructuralEvent,
    cursorOf: (event) => event.cursor,
  };
}

const collator = new Intl.Collator(undefined, { numeric: true });
const compare = (a: string, b: string): number => collator.compare(a, b);
const rank = (row: MemberRow, orchestrator: string | undefined): number => (orchestrator !== undefined && row.role === orchestrator ? 0 : 1);

function previewOf(chat: ChatState): string {
  for (let at = chat.items.length - 1; at >= 0 && at > chat.items.length - 12; at--) {
    const item = chat.items[at];
    if (!item) continue;
    if (item.kind === "tool") return item.name === "send_message" ? `→ ${String((item.args as { to?: unknown }).to ?? "peer")}` : item.name;
    if (item.kind === "reasoning") return "thinking…";
    if (item.kind === "notice" && item.tone === "info") continue;
    return oneLine(item.text, 120);
  }
  return "";
}
