// A mob in a SQLite file of its own, while the process has to do with it: its rows, what it is made of, and its alarm.

import { existsSync, rmSync } from "node:fs";
import type { StorageDriver, UnifiedRuntimeBuilder } from "mobkit-web";
import { MobKeeper, type MobPlace, type Remembered } from "./keeper.js";
import type { SqlDatabase } from "./sql.js";
import { fileDriver, SqliteFile } from "./sqlite.js";

/** When a mob has to be woken. */
export interface Alarm {
  at: number;
  /** Somebody was at work when it was set. */
  works: boolean;
}

/** What a mob's file tells of it. */
export interface MobFileListener {
  builder(name: string, mob: Remembered): Promise<UnifiedRuntimeBuilder>;
  /** The alarm was set, or taken away. */
  armed(mob: MobFile, at: number | undefined): void;
  /** The mob may have come to rest. */
  rests(mob: MobFile): void;
}

/** What SQLite may have beside a file. */
const SUFFIXES = ["", "-wal", "-journal", "-shm"];

/** A mob's file. It is opened when it is needed, and stays open until `closeFile`. */
export class MobFile implements MobPlace {
  readonly name: string;
  readonly keeper: MobKeeper;
  readonly #path: string;
  readonly #listener: MobFileListener;
  #file: SqliteFile | undefined;
  /** How many have to do with it now: requests, event streams among them, and the host itself. */
  uses = 0;
  /** Whether members are at work. */
  works = false;

  constructor(name: string, path: string, listener: MobFileListener) {
    this.name = name;
    this.#path = path;
    this.#listener = listener;
    this.keeper = new MobKeeper(this);
  }

  exists(): boolean {
    return this.#file !== undefined || existsSync(this.#path);
  }

  database(): SqlDatabase {
    return this.#open();
  }

  driver(): StorageDriver {
    return fileDriver(this.#open());
  }

  builder(mob: Remembered): Promise<UnifiedRuntimeBuilder> {
    // The file's name counts: it may be a copy of another mob's.
    return this.#listener.builder(this.name, mob);
  }

  /**
   * Sets the alarm in this process and in the file, for the next one if this one dies. It need not be strict: work goes on by commits that
   * are, and they are in the same file.
   */
  arm(at: number | undefined, works: boolean): void {
    this.works = works;
    this.#listener.armed(this, at);
    try {
      this.#write(at, works);
    } catch (error) {
      // This process rings all the same, and the mob sets it anew then.
      console.error(`mobkit-web: the alarm of ${this.name} could not be stored`, error);
    }
    if (!works) this.#listener.rests(this);
  }

  /** The alarm that an earlier process has left, or this one. */
  alarm(): Alarm | undefined {
    if (!this.exists()) return undefined;
    const file = this.#open();
    if (file.all("SELECT 1 FROM sqlite_master WHERE name = 'mobkit_alarm'").length === 0) return undefined;
    const row = file.all("SELECT at, works FROM mobkit_alarm")[0];
    return row && { at: Number(row[0]), works: row[1] === 1 };
  }

  #write(at: number | undefined, works: boolean): void {
    const file = this.#open();
    file.strict(false);
    file.all("CREATE TABLE IF NOT EXISTS mobkit_alarm (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL, works INTEGER NOT NULL)");
    if (at === undefined) file.all("DELETE FROM mobkit_alarm");
    else file.all("INSERT OR REPLACE INTO mobkit_alarm (id, at, works) VALUES (1, ?, ?)", at, works ? 1 : 0);
  }

  ended(): void {
    this.works = false;
    this.#listener.rests(this);
  }

  async forget(): Promise<void> {
    this.closeFile();
    this.#listener.armed(this, undefined);
    for (const suffix of SUFFIXES) rmSync(this.#path + suffix, { force: true });
  }

  closeFile(): void {
    const file = this.#file;
    this.#file = undefined;
    file?.close();
  }

  #open(): SqliteFile {
    return this.#file ??= new SqliteFile(this.#path);
  }
}
