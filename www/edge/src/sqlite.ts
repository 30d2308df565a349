// A SQLite file as a database, over `node:sqlite`, which Deno and Node have built in.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { MobkitError, type StorageDriver } from "mobkit-web";
import { sqlDriver, type SqlDatabase, type SqlValue } from "./sql.js";

/** What SQLite refuses, by its codes (`sqlite3.h`) and by its words: Deno's errors have no code. */
const REFUSALS = [
  { code: 13, words: "database or disk is full", as: "full" },
  { code: 11, words: "malformed", as: "storage_corrupt" },
  { code: 26, words: "file is not a database", as: "storage_corrupt" },
  { code: 5, words: "database is locked", as: "storage_blocked" },
  { code: 14, words: "unable to open database file", as: "storage_unavailable" },
  { code: 8, words: "readonly database", as: "storage_unavailable" },
] as const;

/** What people are told of them. */
const MESSAGES = {
  storage_corrupt: "is damaged, or no database",
  storage_blocked: "is open elsewhere, in this process or another one: one at a time may have it",
  storage_unavailable: "cannot be opened, or not be written",
  storage_failed: "cannot be read or written",
};

/** A file that is open. Nobody else can open it meanwhile; when the process ends, however it does, it is free. */
export class SqliteFile implements SqlDatabase {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #isWal: boolean;
  #isStrict: boolean | undefined;
  /** The disk was full at the last try. */
  #isFull = false;

  /** Opens or makes the file. Fails with `storage_blocked`, `storage_corrupt`, `storage_unavailable` or `storage_failed`, whose data is `{path}`. */
  constructor(path: string) {
    this.#path = path;
    this.#database = this.#try(() => new DatabaseSync(path, { timeout: 0 }));
    try {
      // The lock is the operating system's on the file itself, so that a killed process leaves none behind. Before the first
      // reading: then the index of the log is in memory, and no third file is needed.
      this.all("PRAGMA locking_mode = EXCLUSIVE");
      this.#isWal = this.all("PRAGMA journal_mode = WAL")[0]?.[0] === "wal";
      this.strict(false);
      this.transaction(() => {});
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /**
   * Whether what is committed from now on must survive a power cut. What was committed survives the end of the process either way: it is
   * the operating system's then. Each strict commit makes those before it as safe as itself, for the log is one file.
   */
  strict(isStrict: boolean): void {
    // Without a log (a file system that cannot have one) less could damage the file.
    const wanted = isStrict || !this.#isWal;
    if (this.#isStrict === wanted) return;
    this.all(`PRAGMA synchronous = ${wanted ? "FULL" : "NORMAL"}`);
    this.#isStrict = wanted;
  }

  all(statement: string, ...values: (string | number | Uint8Array<ArrayBuffer>)[]): SqlValue[][] {
    return this.#try(() => {
      const rows = this.#prepared(statement).all(...values) as SqlValue[][] | Record<string, SqlValue>[];
      return rows.map((row) => Array.isArray(row) ? row : Object.values(row));
    });
  }

  transaction<T>(work: () => T): T {
    if (this.#isFull) this.#makeRoom();
    this.all("BEGIN IMMEDIATE");
    try {
      const answer = work();
      this.all("COMMIT");
      this.#isFull = false;
      return answer;
    } catch (error) {
      this.#isFull = isQuotaError(error);
      this.#rollBack();
      throw error;
    }
  }

  usedBytes(): number {
    return Number(this.all("PRAGMA page_count")[0]?.[0] ?? 0) * Number(this.all("PRAGMA page_size")[0]?.[0] ?? 0);
  }

  close(): void {
    this.#statements.clear();
    this.#try(() => this.#database.close());
  }

  #prepared(statement: string): StatementSync {
    const known = this.#statements.get(statement);
    if (known) return known;
    const prepared = this.#database.prepare(statement);
    prepared.setReturnArrays?.(true);
    this.#statements.set(statement, prepared);
    return prepared;
  }

  /** Brings the log into the file, so that it begins anew: a full disk leaves that half done, and then even a deletion needs more. */
  #makeRoom(): void {
    try {
      this.all("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      // There is still none: the transaction that follows finds out whether it needs any.
      if (!isQuotaError(error)) throw error;
    }
  }

  /** SQLite has ended the transaction itself when the disk was full. */
  #rollBack(): void {
    if (this.#database.isTransaction === false) return;
    try {
      this.#database.exec("ROLLBACK");
    } catch (error) {
      if (!String(error).includes("no transaction is active")) throw this.#refused(error);
    }
  }

  #try<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.#refused(error);
    }
  }

  #refused(error: unknown): unknown {
    if (!(error instanceof Error) || (error as { code?: unknown }).code !== "ERR_SQLITE_ERROR") return error;
    // The lower byte: the rest says more of the same.
    const code = Number((error as { errcode?: number }).errcode ?? 0) & 0xff;
    const kind = REFUSALS.find((refusal) => refusal.code === code || error.message.includes(refusal.words))?.as ?? "storage_failed";
    if (kind === "full") return new DOMException(`there is no room for ${this.#path}: ${error.message}`, "QuotaExceededError");
    return new MobkitError(kind, `${this.#path} ${MESSAGES[kind]}: ${error.message}`, { path: this.#path }, { cause: error });
  }
}

/** Whether a disk was full. */
export function isQuotaError(error: unknown): error is DOMException {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

/** The rows of a mob in an open file. Closing it leaves the file open. */
export function fileDriver(file: SqliteFile): StorageDriver {
  const driver = sqlDriver({ all: (...call) => file.all(...call), transaction: (work) => file.transaction(work), usedBytes: () => file.usedBytes() });
  return {
    ...driver,
    commit(checks, writes, strict) {
      file.strict(strict);
      return driver.commit(checks, writes, strict);
    },
  };
}

/**
 * Keeps a mob in a SQLite file: `customStorage(sqliteDriver("mob.sqlite"))`. The file is opened, or made, at once; it fails with
 * `storage_blocked` if it is open elsewhere, in this process or another one, `storage_corrupt` or `storage_unavailable`.
 */
export function sqliteDriver(path: string): StorageDriver {
  let open: { file: SqliteFile; driver: StorageDriver } | undefined;
  // A runtime that starts anew after a crash comes back to what it has closed.
  const driver = (): StorageDriver => {
    if (!open) {
      const file = new SqliteFile(path);
      open = { file, driver: fileDriver(file) };
    }
    return open.driver;
  };
  return {
    maxValueBytes: driver().maxValueBytes,
    get: (key) => driver().get(key),
    scan: (...range) => driver().scan(...range),
    commit: (...batch) => driver().commit(...batch),
    usage: () => driver().usage?.() ?? [undefined, undefined],
    close() {
      open?.file.close();
      open = undefined;
    },
  };
}
