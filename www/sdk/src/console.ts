// Several runtimes in one console: their members under namespaces, their timelines told together.

import type {
  ConsoleCursor, ConsoleFrame, ConsoleIdentityInspection, ConsoleIdentityRecord, ConsoleInteractionAccepted, ConsoleSendRequest,
  ConsoleTimelineEvent, ConsoleTimelineQuery,
} from "./contract/console.js";
import { MobkitError, toErrorData, type ErrorData } from "./error.js";
import type { UnifiedRuntime } from "./runtime.js";

/** A runtime of a console. */
export interface ConsoleRuntime {
  /** Tells it from the others: frames and members carry it. */
  runtimeKey: string;
  /** Members are called `{namespace}/{identity}` then. */
  namespace?: string;
  runtime: Pick<UnifiedRuntime, "timeline" | "consoleSend" | "consoleIdentities" | "inspectIdentity">;
}

/** Of each runtime, where its timeline is to be gone on with. */
export type ConsoleCursors = Readonly<Record<string, ConsoleCursor>>;

/** What one of the timelines tells, and whose. One that ends, or cannot go on, says so; the others go on. */
export type AggregatedEvent =
  | (ConsoleTimelineEvent & { runtime_key: string })
  | { type: "source_ended"; runtime_key: string; error: ErrorData | null };

/** What `timeline` takes. */
export interface AggregateOptions extends Pick<ConsoleTimelineQuery, "limit"> {
  /** Where to go on, for those runtimes that are named. */
  after?: ConsoleCursors;
  signal?: AbortSignal;
}

/**
 * A console over several runtimes. Each keeps its own cursors: what `timeline` has told is gone on with by the last
 * `console_frame`'s `cursor` of each `runtime_key`.
 */
export class ConsoleAggregator {
  readonly #sources = new Map<string, ConsoleRuntime>();

  /** Adds a runtime. Its key and its namespace must be its own. */
  register(source: ConsoleRuntime): this {
    const { runtimeKey, namespace } = source;
    if (runtimeKey === "" || this.#sources.has(runtimeKey)) throw invalid("runtimeKey", runtimeKey);
    const taken = [...this.#sources.values()].some((other) => namespace !== undefined && other.namespace === namespace);
    if (namespace === "" || namespace?.includes("/") || taken) throw invalid("namespace", namespace ?? "");
    this.#sources.set(runtimeKey, source);
    return this;
  }

  /** Takes a runtime out. Answers whether it was there. */
  unregister(runtimeKey: string): boolean {
    return this.#sources.delete(runtimeKey);
  }

  /**
   * The members of all runtimes, by name. Of two with one name, which only runtimes without a namespace can have, the one whose
   * session is the younger is listed: session ids sort by their making.
   */
  async identities(): Promise<ConsoleIdentityRecord[]> {
    const lists = await Promise.all([...this.#sources.values()].map(async (source) => (await source.runtime.consoleIdentities()).map((record) => named(source, record))));
    const byName = new Map<string, ConsoleIdentityRecord>();
    for (const record of lists.flat()) {
      const known = byName.get(record.identity);
      if (!known || (record.session_id ?? "") > (known.session_id ?? "")) byName.set(record.identity, record);
    }
    return [...byName.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  }

  /** A member and those it can reach. */
  async inspectIdentity(identity: string): Promise<ConsoleIdentityInspection> {
    const { source, own } = await this.#find(identity);
    const { identity: record, peers, ...rest } = await source.runtime.inspectIdentity(own);
    return { ...rest, identity: named(source, record), peers: peers.map((peer) => named(source, peer)) };
  }

  /** Sends a message to a member of whichever runtime. */
  async send(request: ConsoleSendRequest): Promise<ConsoleInteractionAccepted & { runtime_key: string }> {
    const { source, own } = await this.#find(request.identity);
    const accepted = await source.runtime.consoleSend({ ...request, identity: own });
    return { ...accepted, identity: nameOf(source, accepted.identity), runtime_key: source.runtimeKey };
  }

  /** All timelines, told together: each in its own order, and among each other as they come. Leaving the loop ends all of them. */
  async *timeline({ after = {}, limit, signal }: AggregateOptions = {}): AsyncGenerator<AggregatedEvent, void, undefined> {
    const ending = new AbortController();
    const end = () => ending.abort(signal?.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener("abort", end, { once: true });
    type Told = { source: ConsoleRuntime; told: AggregatedEvent; more: (() => Promise<Told>) | undefined };
    const open = (source: ConsoleRuntime): (() => Promise<Told>) => {
      const place = after[source.runtimeKey];
      const query = { ...(place === undefined ? {} : { after: place }), ...(limit === undefined ? {} : { limit }), signal: ending.signal };
      const stream = source.runtime.timeline(query);
      const ended = (error: ErrorData | null): Told => ({ source, told: { type: "source_ended", runtime_key: source.runtimeKey, error }, more: undefined });
      const next = async (): Promise<Told> => {
        try {
          const { done, value } = await stream.next();
          return done ? ended(null) : { source, told: told(source, value), more: next };
        } catch (error) {
          return ended(toErrorData(error));
        }
      };
      return next;
    };
    try {
      const waiting = new Map([...this.#sources.values()].map((source) => [source, open(source)()]));
      while (waiting.size > 0) {
        const { source, told: event, more } = await Promise.race(waiting.values());
        if (signal?.aborted) throw signal.reason;
        if (more) waiting.set(source, more());
        else waiting.delete(source);
        yield event;
      }
    } finally {
      signal?.removeEventListener("abort", end);
      ending.abort();
    }
  }

  /** The runtime that a name belongs to, and what the member is called there. */
  async #find(identity: string): Promise<{ source: ConsoleRuntime; own: string }> {
    const slash = identity.indexOf("/");
    if (slash > 0) {
      const source = [...this.#sources.values()].find(({ namespace }) => namespace === identity.slice(0, slash));
      if (source) return { source, own: identity.slice(slash + 1) };
    } else {
      const record = (await this.identities()).find((known) => known.identity === identity);
      const source = record && this.#sources.get(record.runtime_key);
      if (source) return { source, own: identity };
    }
    throw new MobkitError("member_not_found", `mob member not found: ${identity}`, { member_id: identity });
  }
}

function invalid(field: string, value: string): MobkitError {
  return new MobkitError("invalid_input", `invalid ${field}: ${JSON.stringify(value)} is empty, taken, or has a slash`, { field });
}

/** Frames about the timeline itself are nobody's. */
function nameOf({ namespace }: ConsoleRuntime, identity: string): string {
  return namespace === undefined || identity.startsWith("_") ? identity : `${namespace}/${identity}`;
}

function named(source: ConsoleRuntime, record: ConsoleIdentityRecord): ConsoleIdentityRecord {
  return {
    ...record, identity: nameOf(source, record.identity), runtime_key: source.runtimeKey,
    topology_peers: record.topology_peers.map((peer) => nameOf(source, peer)),
  };
}

function framed(source: ConsoleRuntime, frame: ConsoleFrame): ConsoleFrame {
  const { conversation_id: conversation } = frame;
  return {
    ...frame, identity: nameOf(source, frame.identity), runtime_key: source.runtimeKey,
    ...(conversation === undefined ? {} : { conversation_id: nameOf(source, conversation) }),
  };
}

function told(source: ConsoleRuntime, event: ConsoleTimelineEvent): AggregatedEvent {
  const runtime_key = source.runtimeKey;
  return "frame" in event ? { ...event, frame: framed(source, event.frame), runtime_key } : { ...event, runtime_key };
}
