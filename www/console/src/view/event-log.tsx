// The event log as a table with filters, page by page. The newest page grows while things happen.

import { batch, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { type ConsoleError, toConsoleError } from "../client.ts";
import {
  ANY_EVENT,
  type Ask,
  describeEvent,
  describeGap,
  type EventQuery,
  grownPage,
  type LogPage,
  type LogRow,
  memberOf,
  newerPage,
  newestPage,
  olderPage,
  queryOf,
  rowsOf,
  typeOf,
} from "../store/event-log.ts";
import { count, pretty, Time } from "./common.tsx";
import { ErrorText } from "./error.tsx";
import { EventFilters } from "./event-filters.tsx";
import { Grid } from "./grid.tsx";

/** Events on a page. */
const SIZE = 200;
/** How long new events are gathered before they are asked for. */
const GATHER_MS = 300;

type Turn = "newest" | "older" | "newer";

export function EventLog({ app }: { app: App }) {
  const filter = app.eventFilter.value;
  const page = useSignal<LogPage | undefined>(undefined);
  /** Which list is in sight, and which end of it comes first. */
  const show = useSignal<{ list: number; end: "start" | "end" }>({ list: 0, end: "end" });
  const busy = useSignal(false);
  const error = useSignal<ConsoleError | undefined>(undefined);
  const query = useRef<EventQuery>({});
  /** Counts the requests: an answer that is late, for another filter has been chosen meanwhile, is dropped. */
  const asked = useRef(0);
  /** Whoever looks here waits for a server that is away; whoever has gone does not. */
  const gone = useRef(new AbortController());
  useEffect(() => () => gone.current.abort(), []);
  const ask: Ask = (params) => app.call("mobkit/query_events", params, gone.current.signal);

  const load = async (step: () => Promise<LogPage>, end?: "start" | "end"): Promise<void> => {
    const turn = ++asked.current;
    busy.value = true;
    try {
      const next = await step();
      if (turn !== asked.current) return;
      batch(() => {
        page.value = next;
        if (end !== undefined) show.value = { list: turn, end };
        error.value = undefined;
      });
    } catch (caught) {
      if (turn === asked.current) error.value = toConsoleError(caught);
    }
    if (turn === asked.current) busy.value = false;
  };
  const go = (turn: Turn): void => {
    const from = page.value;
    if (turn === "newest" || !from) {
      query.current = queryOf(app.eventFilter.value, Date.now());
      void load(() => newestPage(ask, query.current, SIZE), "end");
    } else if (turn === "older") {
      void load(() => olderPage(ask, query.current, from, SIZE), "end");
    } else {
      void load(() => newerPage(ask, query.current, from, SIZE), "start");
    }
  };

  // Anew for another filter, and when the log itself is another one: its erasure ends what was read of it.
  useEffect(() => {
    if (!app.caughtUp.value) return;
    page.value = undefined;
    go("newest");
  }, [filter, app.caughtUp.value]);

  // What happens now comes in at the end of the newest page.
  const version = app.chatVersion.value;
  const growing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (growing.current !== undefined) return;
    const later = (): void => {
      growing.current = undefined;
      const from = page.value;
      if (!from?.newest) return;
      // A page is being loaded: what came meanwhile is asked for after it.
      if (busy.value) growing.current = setTimeout(later, GATHER_MS);
      else if (error.value) go("newest");
      else void load(() => grownPage(ask, query.current, from, SIZE));
    };
    growing.current = setTimeout(later, GATHER_MS);
  }, [version]);
  useEffect(() => () => clearTimeout(growing.current), []);

  const shown = page.value;
  const rows = useMemo(() => (shown ? rowsOf(shown, app.eventFilter.peek()) : []), [shown]);
  const first = shown?.events[0]?.seq;
  const last = shown?.events.at(-1)?.seq;
  const filtered = filter !== ANY_EVENT;
  return (
    <section class="panel log" data-testid="event-log" data-busy={busy.value} aria-labelledby="events-title">
      <header class="panel-head wrap">
        <h2 id="events-title">Events</h2>
        <span class="quiet" role="status" data-testid="event-range">
          {shown === undefined ? "reading…" : first === undefined ? "none" : `${count(shown.events.length)} from #${count(first)} to #${count(last ?? first)}${shown.newest ? ", the newest" : ""}`}
        </span>
        <span class="spacer" />
        <Pager page={shown} busy={busy.value} onGo={go} />
        <EventFilters app={app} filter={filter} onChange={(next) => (app.eventFilter.value = next)} />
        {error.value && <ErrorText what="Reading the events" error={error.value} />}
      </header>
      <Grid<LogRow>
        name="event"
        label="Agent events"
        testId="event-table"
        columns={["#", "Time", "Member", "Type", "What"]}
        rows={rows}
        version={shown}
        show={show.value}
        keyOf={(row) => row.key}
        cells={(row) => (row.gap ? [describeGap(row.gap)] : [row.key, <Time at={row.event.timestamp_ms} exact />, app.person(memberOf(row.event)).name, typeOf(row.event), describeEvent(row.event)])}
        attributes={(row) => (row.gap ? { "data-gap": row.gap.reason } : { "data-seq": row.key, "data-type": typeOf(row.event), "data-member": memberOf(row.event) })}
        detail={(row) => (row.gap ? { label: "Gap", title: "Gap", body: pretty(row.gap) } : { label: `Event ${row.key}`, title: `#${row.key} ${typeOf(row.event)}`, body: pretty(row.event) })}
        empty={shown === undefined ? "Reading the events…" : filtered ? "No event matches." : "Nothing has happened yet."}
      />
    </section>
  );
}

function Pager({ page, busy, onGo }: { page: LogPage | undefined; busy: boolean; onGo: (turn: Turn) => void }) {
  // While a page is read the buttons stay as they are, so that the focus does too; another press asks again.
  const older = page === undefined || page.oldest || page.events.length === 0;
  const newer = page === undefined || page.newest;
  return (
    <div class="pager" role="group" aria-label="Pages" aria-busy={busy}>
      <button type="button" data-testid="events-older" disabled={older} onClick={() => onGo("older")}>
        Older
      </button>
      <button type="button" data-testid="events-newer" disabled={newer} onClick={() => onGo("newer")}>
        Newer
      </button>
      <button type="button" data-testid="events-newest" disabled={newer} onClick={() => onGo("newest")}>
        Newest
      </button>
    </div>
  );
}
