// Follows a log: first pages from a cursor, then the SSE stream from where the pages ended; reconnects where it broke off.
// Every entry is handed on exactly once and in order, whatever the connection does.

import { ConsoleError, type RuntimeClient, toConsoleError } from "./client.ts";
import { type SseEvent, sseBatches } from "./sse.ts";
import type { Gap } from "./wire.ts";

/** What differs between the logs. */
export interface FollowSource<T> {
  /** One page of entries after a cursor, ascending; `next` is the cursor to go on from. */
  page(after: number, limit: number, signal: AbortSignal): Promise<{ items: T[]; gaps: Gap[]; next: number }>;
  /** Address of the live stream after a cursor. */
  streamUrl(after: number): string;
  /** An entry out of an SSE event. */
  parse(event: SseEvent): T;
  cursorOf(item: T): number;
}

/** What the follower tells. */
export interface FollowHandler<T> {
  items(items: T[], live: boolean): void;
  gap(gap: Gap): void;
  /** The pages are read; what comes now is live. */
  caughtUp?(): void;
  /** The stream is open; what comes now comes as it happens. */
  connected?(): void;
  /** The connection broke; a retry follows after `delayMs`. */
  disconnected?(error: ConsoleError, delayMs: number): void;
  /** The log is shorter than the cursor: other storage than before. The follower has ended. */
  stale?(error: ConsoleError): void;
}

/** Page size of the replay. */
export const PAGE = 1000;
const RETRY_MS = [250, 500, 1000, 2000, 5000];
/** A stream that has lasted so long was a good one. Others end as soon as they begin: those are not asked for ever faster. */
const STEADY_MS = 10_000;

/** Follows until `signal` aborts. `after` is the cursor to begin behind (0: the whole log). */
export async function follow<T>(
  client: RuntimeClient,
  source: FollowSource<T>,
  handler: FollowHandler<T>,
  options: { after: number; signal: AbortSignal; sleep?: (ms: number) => Promise<void> },
): Promise<void> {
  const { signal } = options;
  const sleep = options.sleep ?? ((ms: number) => abortableSleep(ms, signal));
  let cursor = options.after;
  let failures = 0;
  let opened: number | undefined;
  let told = false;

  const take = (items: T[], live: boolean): void => {
    const fresh = items.filter((item) => {
      const at = source.cursorOf(item);
      if (at <= cursor) return false;
      cursor = at;
      return true;
    });
    if (fresh.length > 0) handler.items(fresh, live);
  };

  while (!signal.aborted) {
    try {
      for (;;) {
        const page = await source.page(cursor, PAGE, signal);
        if (signal.aborted) return;
        let rest = page.items;
        for (const gap of page.gaps) {
          if (gap.to <= cursor) continue;
          const split = rest.findIndex((item) => source.cursorOf(item) > gap.to);
          const before = split < 0 ? rest : rest.slice(0, split);
          rest = split < 0 ? [] : rest.slice(split);
          take(before, told);
          handler.gap(gap);
          cursor = Math.max(cursor, gap.to);
        }
        take(rest, told);
        cursor = Math.max(cursor, page.next);
        // A short page is the end, or a server that pages smaller: either way the stream goes on from here.
        if (page.items.length < PAGE) break;
      }
      if (!told) {
        told = true;
        handler.caughtUp?.();
      }
      const response = await client.fetch(source.streamUrl(cursor), { headers: { accept: "text/event-stream" }, signal });
      if (response.status === 410) {
        const data = await response.json().catch(() => undefined);
        handler.stale?.(new ConsoleError("stale_cursor", "The log is shorter than what this page has already seen", data));
        return;
      }
      if (!response.ok || !response.body) throw new ConsoleError("http_error", `The event stream answered HTTP ${response.status}`);
      opened = performance.now();
      handler.connected?.();
      for await (const batch of sseBatches(response.body)) {
        if (signal.aborted) return;
        failures = 0;
        let items: T[] = [];
        for (const event of batch) {
          if (event.event === "gap") {
            take(items, true);
            items = [];
            const gap = JSON.parse(event.data) as Gap;
            handler.gap(gap);
            cursor = Math.max(cursor, gap.to);
          } else {
            items.push(source.parse(event));
          }
        }
        take(items, true);
      }
      // The stream ended without an error: the runtime stopped or restarts. Ask again, not at once.
      throw new ConsoleError("stream_ended", "The event stream ended");
    } catch (caught) {
      if (signal.aborted) return;
      const error = toConsoleError(caught);
      if (error.code === "stale_cursor" || error.code === "event_query_stale" || error.code === "stale_event_cursor" || error.code === "-32010") {
        handler.stale?.(error);
        return;
      }
      if (opened !== undefined && performance.now() - opened >= STEADY_MS) failures = 0;
      opened = undefined;
      const delay = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 5000;
      failures += 1;
      handler.disconnected?.(error, delay);
      await sleep(delay);
    }
  }
}

function abortableSleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
