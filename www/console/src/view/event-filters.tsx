// What of the event log is shown: whose events, of which types, from when.

import { useEffect, useRef } from "preact/hooks";
import type { App } from "../app.ts";
import { ANY_EVENT, changed, EVENT_TYPES, type EventFilter, type TimeChoice } from "../store/event-log.ts";

const TIMES: readonly (readonly [TimeChoice, string])[] = [
  ["any", "any time"],
  ["5", "last 5 minutes"],
  ["60", "last hour"],
  ["1440", "last 24 hours"],
  ["between", "between…"],
];

export function EventFilters({ app, filter, onChange }: { app: App; filter: EventFilter; onChange: (filter: EventFilter) => void }) {
  // Who has left is still in the log.
  const members = [...new Set([...app.rows.value.map((row) => row.identity), ...app.chats.keys(), ...(filter.member === "" ? [] : [filter.member])])];
  const change = (part: Partial<EventFilter>): void => onChange(changed(filter, part));
  return (
    <div class="filters" role="group" aria-label="Filters" data-testid="event-filters">
      <select aria-label="Member" value={filter.member} onChange={(event) => change({ member: event.currentTarget.value })}>
        <option value="">all members</option>
        {members.map((identity) => (
          <option key={identity} value={identity}>
            {app.person(identity).name}
          </option>
        ))}
      </select>
      <Types chosen={filter.types} onChange={(types) => change({ types })} />
      <select aria-label="Time" value={filter.time} onChange={(event) => change({ time: event.currentTarget.value as TimeChoice })}>
        {TIMES.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
      {filter.time === "between" && (
        <>
          <label class="moment">
            From <input type="datetime-local" step="1" value={filter.from} onChange={(event) => change({ from: event.currentTarget.value })} />
          </label>
          <label class="moment">
            Until <input type="datetime-local" step="1" value={filter.until} onChange={(event) => change({ until: event.currentTarget.value })} />
          </label>
        </>
      )}
      {filter !== ANY_EVENT && (
        <button type="button" data-testid="events-clear" onClick={() => onChange(ANY_EVENT)}>
          Clear
        </button>
      )}
    </div>
  );
}

/** The types as boxes to tick, in a list that opens; a whole group is ticked at once. */
function Types({ chosen, onChange }: { chosen: readonly string[]; onChange: (types: string[]) => void }) {
  const root = useRef<HTMLDetailsElement>(null);
  const close = (): void => {
    if (root.current) root.current.open = false;
  };
  useEffect(() => {
    const outside = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) close();
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, []);
  const set = (types: readonly string[], on: boolean): void => onChange([...chosen.filter((type) => !types.includes(type)), ...(on ? types : [])]);
  return (
    <details
      class="types"
      ref={root}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !root.current?.open) return;
        close();
        root.current.querySelector("summary")?.focus();
      }}
    >
      <summary data-testid="event-types">{chosen.length === 0 ? "all types" : chosen.length === 1 ? chosen[0] : `${chosen.length} types`}</summary>
      <div class="types-list">
        {EVENT_TYPES.map(([group, types]) => (
          <fieldset key={group}>
            <legend>
              <label class="check">
                <input type="checkbox" checked={types.every((type) => chosen.includes(type))} onChange={(event) => set(types, event.currentTarget.checked)} />
                {group}
              </label>
            </legend>
            {types.map((type) => (
              <label key={type} class="check">
                <input type="checkbox" checked={chosen.includes(type)} onChange={(event) => set([type], event.currentTarget.checked)} />
                <code>{type}</code>
              </label>
            ))}
          </fieldset>
        ))}
      </div>
    </details>
  );
}
