// Follows the timeline's stream: told from a place on, taken up again where it broke off.

import { ConsoleError, type RuntimeClient, toConsoleError } from "./client.ts";
import { sseBatches } from "./sse.ts";
import type { TimelineEvent } from "./wire.ts";

/** What the follower tells. */
export interface TimelineHandler {
  told(events: TimelineEvent[]): void;
  /** The connection broke; a retry follows. */
  lost?(error: ConsoleError): void;
  /** There is no such place: other storage than before. The follower has ended. */
  stale?(error: ConsoleError): void;
}

const NAMES = new Set(["snapshot_started", "console_frame", "frame_updated", "snapshot_complete"]);
const RETRY_MS = [250, 500, 1000, 2000, 5000];

/** Follows until `signal` aborts. */
export async function followTimeline(
  client: RuntimeClient,
  handler: TimelineHandler,
  options: { after: string; signal: AbortSignal; sleep?: (ms: number) => Promise<void> },
): Promise<void> {
  const { signal } = options;
  const sleep = options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  let { after } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const response = await client.fetch(`/console/timeline/stream?after=${encodeURIComponent(after)}`, { headers: { accept: "text/event-stream" }, signal });
      if (response.status === 409) {
        handler.stale?.(new ConsoleError("replay_unavailable", "The timeline is shorter than what this page has already seen"));
        return;
      }
      if (!response.ok || !response.body) throw new ConsoleError("http_error", `The timeline answered HTTP ${response.status}`);
      for await (const batch of sseBatches(response.body)) {
        if (signal.aborted) return;
        failures = 0;
        const events = batch.filter(({ event }) => NAMES.has(event));
        handler.told(events.map(({ data }) => JSON.parse(data) as TimelineEvent));
        after = events.at(-1)?.id || after;
      }
      throw new ConsoleError("stream_ended", "The timeline's stream ended");
    } catch (caught) {
      if (signal.aborted) return;
      handler.lost?.(toConsoleError(caught));
      await sleep(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] ?? 5000);
    }
  }
}
