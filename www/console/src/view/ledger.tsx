// The structural ledger as a table.

import { useComputed, useSignal } from "@preact/signals";
import type { App } from "../app.ts";
import { describeStructural } from "../store/roster.ts";
import type { StructuralEvent } from "../wire.ts";
import { count, pretty, Time } from "./common.tsx";
import { Grid } from "./grid.tsx";

export function Ledger({ app }: { app: App }) {
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

  return (
    <section class="panel log" aria-labelledby="ledger-title">
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
      <Grid
        name="ledger"
        label="Structural ledger"
        testId="ledger-table"
        columns={["#", "Time", "Kind", "What"]}
        rows={rows}
        version={version}
        keyOf={(event) => event.cursor}
        cells={(event) => [event.cursor, <Time at={event.timestamp_ms} exact />, event.kind, describeStructural(event)]}
        attributes={(event) => ({ "data-cursor": event.cursor, "data-kind": event.kind })}
        detail={(event) => ({ label: `Entry ${event.cursor}`, title: `#${event.cursor} ${event.kind}`, body: pretty(event) })}
        empty={app.ledger.length === 0 ? "The ledger is empty." : "No entry matches."}
      />
    </section>
  );
}
