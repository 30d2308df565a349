// The timeline: what people and members said and did, as one conversation. It follows what happens, and reads back as far as there is.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import { emptyTimeline, filtered, foldPage, foldTimeline, messagesOf, numberOf, textOf, type Timeline, type TimelineFilter, WHOLE, whatOf } from "../store/timeline.ts";
import type { ConsoleFrame, TimelinePage } from "../wire.ts";
import { count, pretty, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { Grid } from "./grid.tsx";

/** Frames that are asked for at a time; a third of them or so are rows. */
const SIZE = 1000;

export function TimelinePanel({ app }: { app: App }) {
  const timeline = useRef<Timeline>(emptyTimeline());
  const version = useSignal(0);
  const filter = useSignal<TimelineFilter>(WHOLE);
  const list = useSignal(0);
  const busy = useSignal(true);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const read = async (before?: string, signal?: AbortSignal): Promise<TimelinePage> =>
    await app.call<TimelinePage>("mobkit/console/query_timeline", { mode: "recent", limit: SIZE, ...(before === undefined ? {} : { before }) }, signal);

  // Anew when the log itself is another one: its erasure ends what was read of it.
  useEffect(() => {
    if (!app.caughtUp.value) return undefined;
    const abort = new AbortController();
    timeline.current = emptyTimeline();
    busy.value = true;
    const run = async (): Promise<void> => {
      try {
        const page = await read(undefined, abort.signal);
        if (abort.signal.aborted) return;
        foldPage(timeline.current, page);
        list.value += 1;
        version.value += 1;
        busy.value = false;
        await app.followTimeline(page.latest_cursor, abort.signal, {
          told: (events) => {
            error.value = undefined;
            if (foldTimeline(timeline.current, events)) version.value += 1;
          },
        });
      } catch (caught) {
        if (abort.signal.aborted) return;
        error.value = toConsoleError(caught);
        busy.value = false;
      }
    };
    void run();
    return () => abort.abort();
  }, [app.caughtUp.value]);

  const older = async (): Promise<void> => {
    const { before } = timeline.current;
    if (before === undefined || busy.value) return;
    busy.value = true;
    try {
      const page = await read(before);
      foldPage(timeline.current, page);
      version.value += 1;
      error.value = undefined;
    } catch (caught) {
      error.value = toConsoleError(caught);
    }
    busy.value = false;
  };

  const now = version.value;
  const chosen = filter.value;
  const rows = useMemo(() => filtered(timeline.current.rows, chosen), [now, chosen]);
  const messages = useMemo(() => messagesOf(timeline.current.rows), [now]);
  const change = (part: Partial<TimelineFilter>): void => {
    filter.value = { ...filter.value, ...part };
    list.value += 1;
  };
  const name = (frame: ConsoleFrame): string => (frame.identity.startsWith("_") ? "" : app.person(frame.identity).name);
  // Who has left is still in the timeline.
  const members = [...new Set([...app.rows.value.map((row) => row.identity), ...app.chats.keys()])];
  return (
    <section class="panel log" data-testid="timeline-panel" data-busy={busy.value} aria-labelledby="timeline-title">
      <header class="panel-head wrap">
        <h2 id="timeline-title">Timeline</h2>
        <span class="quiet" role="status" data-testid="timeline-count">
          {busy.value && rows.length === 0 ? "reading…" : `${count(rows.length)} ${rows.length === 1 ? "row" : "rows"}`}
        </span>
        <span class="spacer" />
        <button type="button" data-testid="timeline-older" disabled={timeline.current.before === undefined} aria-busy={busy.value} onClick={() => void older()}>
          Older
        </button>
        <div class="filters" role="group" aria-label="Filters">
          <select aria-label="Member" data-testid="timeline-member" value={chosen.identity} onChange={(event) => change({ identity: event.currentTarget.value })}>
            <option value="">all members</option>
            {members.map((identity) => (
              <option key={identity} value={identity}>
                {app.person(identity).name}
              </option>
            ))}
          </select>
          <select aria-label="Message" data-testid="timeline-message" value={chosen.interaction} onChange={(event) => change({ interaction: event.currentTarget.value })}>
            <option value="">all messages</option>
            {messages.map(({ interaction, words }) => (
              <option key={interaction} value={interaction}>
                {words}
              </option>
            ))}
          </select>
        </div>
        {error.value && <ErrorText what="Reading the timeline" error={error.value} />}
      </header>
      <Grid<ConsoleFrame>
        name="frame"
        label="Timeline"
        testId="timeline-list"
        columns={["#", "Time", "Who", "What", "Text"]}
        rows={rows}
        version={now}
        show={{ list: list.value, end: "end" }}
        keyOf={(frame) => numberOf(frame.cursor)}
        cells={(frame) => [numberOf(frame.cursor), <Time at={frame.timestamp_ms} exact />, name(frame), whatOf(frame), textOf(frame)]}
        attributes={(frame) => ({ "data-frame": frame.id, "data-kind": frame.kind, "data-status": frame.status, "data-identity": frame.identity })}
        detail={(frame) => ({ label: `Frame ${numberOf(frame.cursor)}`, title: `${name(frame)} ${whatOf(frame)}`, body: pretty(frame) })}
        empty={busy.value ? "Reading the timeline…" : chosen === WHOLE ? "Nothing has happened yet." : "Nothing matches."}
      />
    </section>
  );
}
