// A storage over SQL: one table of rows, in whatever SQLite the host has.

import type { StorageCheck, StorageDriver, StorageWrite } from "mobkit-web";

/** What a statement takes and gives. */
export type SqlValue = string | number | bigint | Uint8Array | ArrayBuffer | null;

/** A database that answers at once. */
export interface SqlDatabase {
  /** Runs a statement; answers its rows, each an array of its columns. */
  all(statement: string, ...values: (string | number | Uint8Array<ArrayBuffer>)[]): SqlValue[][];
  /** Runs the work as one transaction; rolls it back when it throws. */
  transaction<T>(work: () => T): T;
  /** Bytes in use. */
  usedBytes?(): number;
  close?(): void;
}

/** A row's limit with room for its key. Durable Objects have the tightest one: 2 MB for all columns. */
const MAX_VALUE_BYTES = 1 << 20;

/** Keeps a mob in the table `mobkit_rows` of a database. The text of keys is compared byte by byte, as the runtime expects. */
export function sqlDriver(database: SqlDatabase): StorageDriver {
  database.all("CREATE TABLE IF NOT EXISTS mobkit_rows (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
  const find = (key: string): Uint8Array | undefined => {
    const row = database.all("SELECT value FROM mobkit_rows WHERE key = ?", key)[0];
    return row && bytes(row[0]);
  };
  return {
    maxValueBytes: MAX_VALUE_BYTES,
    get: find,
    scan(from, to, reverse, limit) {
      const end = to === undefined ? "" : " AND key < ?";
      const order = reverse ? "DESC" : "ASC";
      const bounds = to === undefined ? [from] : [from, to];
      const rows = database.all(`SELECT key, value FROM mobkit_rows WHERE key >= ?${end} ORDER BY key ${order} LIMIT ?`, ...bounds, limit);
      return rows.map(([key, value]) => [key as string, bytes(value)]);
    },
    commit: (checks, writes) => database.transaction(() => {
      const failed = checks.find((check) => !holds(check, find(check[0])));
      if (failed) return failed[0];
      for (const write of writes) apply(database, write);
      return undefined;
    }),
    usage: () => [database.usedBytes?.(), undefined],
    close: () => database.close?.(),
  };
}

function holds([, expected]: StorageCheck, found: Uint8Array | undefined): boolean {
  if (expected === undefined || found === undefined) return expected === found;
  return expected.byteLength === found.byteLength && expected.every((byte, at) => byte === found[at]);
}

function apply(database: SqlDatabase, write: StorageWrite): void {
  const [key, value] = write;
  if (write.length === 1) {
    database.all("DELETE FROM mobkit_rows WHERE key = ?", key);
  } else if (write.length === 3) {
    const [from, to] = write;
    if (to === undefined) database.all("DELETE FROM mobkit_rows WHERE key >= ?", from);
    else database.all("DELETE FROM mobkit_rows WHERE key >= ? AND key < ?", from, to);
  } else {
    database.all("INSERT OR REPLACE INTO mobkit_rows (key, value) VALUES (?, ?)", key, value as Uint8Array<ArrayBuffer>);
  }
}

function bytes(value: SqlValue | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new TypeError("mobkit_rows holds a value that is no blob");
}
