// The structural ledger as a table that renders only the rows in sight, so ten thousand entries cost what thirty do.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { describeStructural } from "../store/roster.ts";
import { atEnd, scrollTo, windowOf } from "../store/virtual.ts";
import type { StructuralEvent } from "../wire.ts";
import { count, Icon, pretty, Time } from "./common.tsx";

/** Height of a row and of the header, which stays in sight and covers the first row's place. The style sheet has the same number. */
const ROW = 28;

export function Ledger({ app }: { app: App }) {
  const scroller = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const top = useSignal(0);
  const height = useSignal(400);
  const active = useSignal(-1);
  const open = useSignal<number | undefined>(undefined);
  const search = useSignal("");
  const kind = useSignal("");
  const version = app.ledgerVersion.value;

  const kinds = useComputed(() => {
    app.ledgerVersion.value;
    return [...new Set(app.ledger.map((event) => event.kind))].sort();
  });
  const filtered = useComputed<readonly StructuralEvent[]>(() => {
    app.ledgerVersion.value;
    const words = search.value.trim().toLowerCase();
    const only = kind.value;
    if (words === "" && only === "") return app.ledger;
    return app.ledger.filter((event) => (only === "" || event.kind === only) && (words === "" || `${event.cursor} ${event.kind} ${describeStructural(event)}`.toLowerCase().includes(words)));
  });
  // The array grows in place: its length is read at every version.
  const rows = filtered.value;
  const total = rows.length;
  const view = windowOf(total, ROW, top.value, height.value);
  const current = Math.min(active.value, total - 1);
  const detail = open.value === undefined ? undefined : rows.find((event) => event.cursor === open.value);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight - ROW;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && stick.current) element.scrollTop = element.scrollHeight;
  }, [version, total, height.value]);

  const onScroll = (): void => {
    const element = scroller.current;
    if (!element) return;
    top.value = element.scrollTop;
    // The height before this picture: an entry that opens below makes the table smaller, which is no scrolling away.
    stick.current = atEnd(total, ROW, element.scrollTop, height.value);
  };
  const go = (index: number): void => {
    const element = scroller.current;
    if (!element || total === 0) return;
    active.value = Math.max(0, Math.min(total - 1, index));
    element.scrollTop = scrollTo(active.value, ROW, element.scrollTop, element.clientHeight - ROW);
    if (open.value !== undefined) open.value = rows[active.value]?.cursor;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height.value / ROW) - 1);
    const from = current < 0 ? total : current;
    const steps: Record<string, number> = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: from + page, PageUp: from - page, Home: 0, End: total - 1 };
    const to = steps[event.key];
    if (to !== undefined) {
      event.preventDefault();
      go(to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      const cursor = rows[current]?.cursor;
      open.value = open.value === cursor ? undefined : cursor;
    } else if (event.key === "Escape" && open.value !== undefined) {
      open.value = undefined;
    }
  };

  return (
    <section class="panel ledger" aria-labelledby="ledger-title">
      <header class="panel-head">
        <h2 id="ledger-title">Ledger</h2>
        <span class="quiet">
          {total === app.ledger.length ? count(total) : `${count(total)} of ${count(app.ledger.length)}`} {total === 1 ? "entry" : "entries"}
        </span>
        <span class="spacer" />
        <select aria-label="Kind" value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
          <option value="">all kinds</option>
          {kinds.value.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <input class="search" type="search" aria-label="Search the ledger" placeholder="Search" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      </header>
      <div
        class="ledger-grid"
        data-testid="ledger-table"
        data-row-count={total}
        role="grid"
        aria-label="Structural ledger"
        aria-rowcount={total + 1}
        aria-colcount={4}
        tabIndex={0}
        aria-activedescendant={current >= view.first && current < view.last ? `ledger-${rows[current]?.cursor}` : undefined}
        ref={scroller}
        onScroll={onScroll}
        onKeyDown={onKeyDown}
      >
        <div class="ledger-header" role="rowgroup">
          <div class="ledger-row" role="row" aria-rowindex={1}>
            <span role="columnheader">#</span>
            <span role="columnheader">Time</span>
            <span role="columnheader">Kind</span>
            <span role="columnheader">What</span>
          </div>
        </div>
        <div class="ledger-space" role="rowgroup" style={{ height: `${view.total}px` }}>
          {rows.slice(view.first, view.last).map((event, offset) => {
            const index = view.first + offset;
            return (
              <div
                key={event.cursor}
                id={`ledger-${event.cursor}`}
                class={`ledger-row${index === current ? " current" : ""}`}
                role="row"
                aria-rowindex={index + 2}
                aria-selected={index === current}
                data-cursor={event.cursor}
                data-kind={event.kind}
                style={{ transform: `translateY(${index * ROW}px)` }}
                onClick={() => {
                  active.value = index;
                  open.value = open.value === event.cursor ? undefined : event.cursor;
                }}
              >
                <span role="gridcell" class="num">
                  {event.cursor}
                </span>
                <span role="gridcell">
                  <Time at={event.timestamp_ms} exact />
                </span>
                <span role="gridcell" class="kind">
                  {event.kind}
                </span>
                <span role="gridcell" class="what">
                  {describeStructural(event)}
                </span>
              </div>
            );
          })}
        </div>
      </div>
      {total === 0 && <p class="empty">{app.ledger.length === 0 ? "The ledger is empty." : "No entry matches."}</p>}
      {detail && (
        <aside class="ledger-detail" aria-label={`Entry ${detail.cursor}`}>
          <header>
            <h3>
              #{detail.cursor} {detail.kind}
            </h3>
            <button type="button" class="icon-button" aria-label="Close the entry" onClick={() => (open.value = undefined)}>
              <Icon name="close" />
            </button>
          </header>
          <pre tabIndex={0}>{pretty(detail)}</pre>
        </aside>
      )}
    </section>
  );
}
