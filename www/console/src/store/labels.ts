// Labels as rows that a person edits, and as the map that the runtime keeps.

/** One row of the editor. The id keeps a row's field in place while its key is being typed. */
export interface LabelRow {
  id: number;
  key: string;
  value: string;
}

/** Labels as rows, in the order of their keys. */
export function rowsOfLabels(labels: Readonly<Record<string, string>>): LabelRow[] {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value], id) => ({ id, key, value }));
}

/** What is wrong with each row, by its id: a value without a key, a key that another row has already. Empty rows are no fault. */
export function labelFaults(rows: readonly LabelRow[]): Map<number, string> {
  const faults = new Map<number, string>();
  const seen = new Set<string>();
  for (const { id, key, value } of rows) {
    const name = key.trim();
    if (name === "") {
      if (value.trim() !== "") faults.set(id, "A label needs a key.");
    } else if (seen.has(name)) {
      faults.set(id, `There is a label “${name}” already.`);
    } else {
      seen.add(name);
    }
  }
  return faults;
}

/** The map that the rows mean; the rows must be without fault. */
export function labelsOfRows(rows: readonly LabelRow[]): Record<string, string> {
  // Without a prototype, a key such as `__proto__` would be a label like any other; `fromEntries` defines it as one.
  return Object.fromEntries(rows.flatMap(({ key, value }) => (key.trim() === "" ? [] : [[key.trim(), value]])));
}

/** Labels that the page shows in another way: the name, and whose delegate it is. */
const SHOWN_OTHERWISE = new Set(["display_name", "source_mob_id"]);

/** A member's labels as `key: value`, without those that this page shows in another way. */
export function shownLabels(labels: Readonly<Record<string, string>>): [string, string][] {
  return rowsOfLabels(labels).flatMap(({ key, value }) => (SHOWN_OTHERWISE.has(key) ? [] : [[key, value]]));
}
