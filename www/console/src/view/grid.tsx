// A table that renders only the rows in sight, so ten thousand cost what thirty do. Keys move in it, Enter opens a row below it.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { atEnd, scrollTo, windowOf } from "../store/virtual.ts";
import { Icon } from "./common.tsx";

/** Height of a row and of the header, which stays in sight and covers the first row's place. The style sheet has the same number. */
const ROW = 28;

export interface GridProps<Row> {
  /** Beginning of the elements' ids; the class that has the columns' widths too. */
  name: string;
  label: string;
  testId: string;
  columns: readonly string[];
  rows: readonly Row[];
  /** What tells of new rows: the list may grow in place. */
  version: unknown;
  /** Another list than before comes into sight at this end. */
  show?: { list: unknown; end: "start" | "end" };
  keyOf(row: Row): number;
  /** The cells in the order of the columns; one alone takes the whole row. */
  cells(row: Row): ComponentChildren[];
  attributes?(row: Row): Record<string, string | number | undefined>;
  /** What opens below when a row is chosen. */
  detail(row: Row): { title: string; label: string; body: string };
  /** Shown while there are no rows. */
  empty: ComponentChildren;
}

export function Grid<Row>({ name, label, testId, columns, rows, version, show, keyOf, cells, attributes, detail, empty }: GridProps<Row>) {
  const scroller = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const top = useSignal(0);
  const height = useSignal(400);
  const active = useSignal(-1);
  const open = useSignal<Row | undefined>(undefined);
  const total = rows.length;
  const view = windowOf(total, ROW, top.value, height.value);
  const current = Math.min(active.value, total - 1);
  const opened = open.value;
  const isOpen = (row: Row): boolean => open.value !== undefined && keyOf(open.value) === keyOf(row);

  // Before the first scrolling, which is held against it.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element) height.value = element.clientHeight - ROW;
  }, []);
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
    if (!element || !show) return;
    stick.current = show.end === "end";
    active.value = -1;
    if (!stick.current) element.scrollTop = 0;
  }, [show?.list]);
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
    if (open.value !== undefined) open.value = rows[active.value];
  };
  const toggle = (row: Row | undefined): void => {
    if (row !== undefined) open.value = isOpen(row) ? undefined : row;
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
      toggle(rows[current]);
    } else if (event.key === "Escape" && open.value !== undefined) {
      open.value = undefined;
    }
  };
  const idOf = (row: Row | undefined): string | undefined => (row === undefined ? undefined : `${name}-${keyOf(row)}`);
  const about = opened === undefined ? undefined : detail(opened);

  return (
    <>
      <div
        class={`log-grid ${name}-grid`}
        data-testid={testId}
        data-row-count={total}
        role="grid"
        aria-label={label}
        aria-rowcount={total + 1}
        aria-colcount={columns.length}
        tabIndex={0}
        aria-activedescendant={current >= view.first && current < view.last ? idOf(rows[current]) : undefined}
        ref={scroller}
        onScroll={onScroll}
        onKeyDown={onKeyDown}
      >
        <div class="log-header" role="rowgroup">
          <div class="log-row" role="row" aria-rowindex={1}>
            {columns.map((column) => (
              <span key={column} role="columnheader">
                {column}
              </span>
            ))}
          </div>
        </div>
        <div class="log-space" role="rowgroup" style={{ height: `${view.total}px` }}>
          {rows.slice(view.first, view.last).map((row, offset) => {
            const index = view.first + offset;
            const content = cells(row);
            return (
              <div
                key={keyOf(row)}
                id={idOf(row)}
                class={`log-row${index === current ? " current" : ""}${content.length === 1 ? " whole" : ""}`}
                role="row"
                aria-rowindex={index + 2}
                aria-selected={index === current}
                {...attributes?.(row)}
                style={{ transform: `translateY(${index * ROW}px)` }}
                onClick={() => {
                  active.value = index;
                  toggle(row);
                }}
              >
                {content.map((cell, at) => (
                  <span key={at} role="gridcell" aria-colspan={content.length === 1 ? columns.length : undefined}>
                    {cell}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {total === 0 && <p class="empty">{empty}</p>}
      {about && (
        <aside class="log-detail" aria-label={about.label}>
          <header>
            <h3>{about.title}</h3>
            <button type="button" class="icon-button" aria-label="Close the entry" onClick={() => (open.value = undefined)}>
              <Icon name="close" />
            </button>
          </header>
          <pre tabIndex={0}>{about.body}</pre>
        </aside>
      )}
    </>
  );
}
