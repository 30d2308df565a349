// The mobs of a directory: a SQLite file each, and one that says which there are. It is open for as long as the process has the directory,
// so that a second process is told so at once.

import { mkdirSync, readdirSync } from "node:fs";
import { isMobkitError, MobkitError, type UnifiedRuntimeBuilder } from "mobkit-web";
import { Agenda } from "./agenda.js";
import { counted, isEventStream, refuse } from "./gate.js";
import { mobBuilder, pauseAfter, type MobMaker, type Remembered } from "./keeper.js";
import { MobFile, type MobFileListener } from "./mob-file.js";
import type { Definition, MobEntry, MobHost } from "./mobs.js";
import { messageMob } from "./peers.js";
import { isQuotaError, SqliteFile } from "./sqlite.js";

/** What the mobs of a directory have in common. */
export interface MobFilesOptions extends MobMaker<{ name: string }> {
  directory: string;
  /** Loads the wasm, before the first mob is built. */
  load(): Promise<void>;
  /** After how many milliseconds a mob leaves memory that nobody asks, and in which nobody works. */
  closeIdleAfter: number;
  /** Whether members may write to members of other mobs. */
  messages: boolean;
}

const INDEX = "index.sqlite";
/** So many files are looked into at start before anybody else has a turn. */
const FILES_AT_ONCE = 16;

/** The file of a mob. Capitals are marked, for some file systems take them for small letters; and no name may be one of a device. */
export function fileOf(name: string): string {
  return `mob-${name.replace(/[A-Z_]/g, (letter) => `_${letter.toLowerCase()}`)}.sqlite`;
}

/** The mob of a file; undefined for another file. */
export function mobOfFile(file: string): string | undefined {
  const marked = file.match(/^mob-([a-z0-9._-]+)\.sqlite$/)?.[1];
  const name = marked?.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return name !== undefined && fileOf(name) === file ? name : undefined;
}

/** The host of a directory's mobs. */
export class MobFiles implements MobHost, MobFileListener {
  readonly #options: MobFilesOptions;
  readonly #index: SqliteFile;
  /** Those in memory. */
  readonly #mobs = new Map<string, MobFile>();
  readonly #agenda = new Agenda();
  readonly #failures = new Map<string, number>();
  readonly #waking: Promise<void>;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  /** Takes the directory. Fails with `storage_blocked` if another process has it. What was under way in the mobs is gone on with, unasked. */
  constructor(options: MobFilesOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    this.#index = new SqliteFile(this.#path(INDEX));
    try {
      this.#index.strict(true);
      this.#index.all("CREATE TABLE IF NOT EXISTS mobs (name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) WITHOUT ROWID");
      this.#waking = this.#wakeAll(this.#indexed());
    } catch (error) {
      this.#index.close();
      throw error;
    }
  }

  async list(after: string, limit: number): Promise<MobEntry[]> {
    if (this.#isClosed) throw new MobkitError("runtime_stopped", "the server shuts down");
    const rows = this.#index.all("SELECT name, created_ms FROM mobs WHERE name > ? ORDER BY name LIMIT ?", after, limit);
    return rows.map(([name, created_ms]) => ({ name: String(name), created_ms: Number(created_ms) }));
  }

  put(name: string, definition: Definition | undefined): Promise<boolean> {
    return this.#use(name, async (mob) => {
      try {
        const isNew = await mob.keeper.put(name, definition);
        this.#add(name);
        return isNew;
      } catch (error) {
        if (!isQuotaError(error)) throw error;
        throw new MobkitError("storage_quota_exceeded", error.message, { name: error.name, message: error.message }, { cause: error });
      }
    });
  }

  remove(name: string): Promise<boolean> {
    return this.#use(name, async (mob) => {
      // The file first: a mob that is listed and has none is not listed after the next start.
      const isKnown = await mob.keeper.remove();
      this.#index.all("DELETE FROM mobs WHERE name = ?", name);
      this.#failures.delete(name);
      return isKnown;
    });
  }

  async fetch(name: string, request: Request): Promise<Response | undefined> {
    if (this.#isClosed) return shutsDown();
    const mob = this.#enter(name);
    const leave = once(() => this.#leave(mob));
    try {
      const response = await mob.keeper.fetch(request);
      if (response && response.body !== null && isEventStream(response)) return new Response(counted(response.body, leave), response);
      leave();
      return response;
    } catch (error) {
      leave();
      if (this.#isClosed) return shutsDown();
      if (isMobkitError(error, "runtime_stopped")) return refuse(503, "mob_restarts", "the mob was given another definition meanwhile: ask again", { "retry-after": "1" });
      throw error;
    }
  }

  /** Ends all mobs in good order and lets go of the directory. What is under way goes on with the next process. */
  close(): Promise<void> {
    return this.#closing ??= this.#end();
  }

  async #end(): Promise<void> {
    this.#isClosed = true;
    this.#agenda.clear();
    await Promise.all([...this.#mobs.values()].map((mob) => mob.keeper.close()));
    await this.#waking;
    for (const mob of this.#mobs.values()) this.#release(mob);
    this.#index.close();
  }

  async builder(name: string, { definition }: Remembered): Promise<UnifiedRuntimeBuilder> {
    await this.#options.load();
    const builder = await mobBuilder(this.#options, definition, { name });
    if (!this.#options.messages) return builder;
    return builder.tool(messageMob({
      mob: name,
      runtime: () => this.#use(name, (mob) => mob.keeper.running()),
      fetch: (other, request) => this.fetch(other, request),
    }));
  }

  armed(mob: MobFile, at: number | undefined): void {
    if (at === undefined || this.#isClosed) this.#agenda.delete(`alarm/${mob.name}`);
    else this.#agenda.set(`alarm/${mob.name}`, at, () => void this.#wake(mob.name));
    if (mob.works) this.#agenda.delete(`idle/${mob.name}`);
  }

  rests(mob: MobFile): void {
    if (mob.uses > 0 || this.#isClosed) return;
    if (!mob.keeper.runs) this.#release(mob);
    else if (!mob.works) this.#agenda.set(`idle/${mob.name}`, Date.now() + this.#options.closeIdleAfter, () => void this.#close(mob));
  }

  /** The mobs that there are, by their files. */
  #indexed(): string[] {
    const files = readdirSync(this.#options.directory).flatMap((file) => mobOfFile(file) ?? []);
    const listed = new Set(this.#index.all("SELECT name FROM mobs").map(([name]) => String(name)));
    for (const name of files) {
      // Put there by hand, or by a process that died before it was listed.
      if (!listed.delete(name) && this.#isMob(name)) this.#add(name);
    }
    for (const name of listed) this.#index.all("DELETE FROM mobs WHERE name = ?", name);
    return files;
  }

  #isMob(name: string): boolean {
    const mob = new MobFile(name, this.#path(fileOf(name)), this);
    try {
      return mob.keeper.remembered() !== undefined;
    } catch (error) {
      // Listed: whoever asks for it hears what is wrong.
      console.error(`mobkit-web: ${fileOf(name)} cannot be read`, error);
      return true;
    } finally {
      mob.closeFile();
    }
  }

  #add(name: string): void {
    this.#index.all("INSERT OR IGNORE INTO mobs (name, created_ms) VALUES (?, ?)", name, Date.now());
  }

  /** Looks for the alarms that an earlier process has left. */
  async #wakeAll(names: string[]): Promise<void> {
    const waking: Promise<void>[] = [];
    for (const [at, name] of names.entries()) {
      if (at % FILES_AT_ONCE === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      if (this.#isClosed) return;
      const mob = this.#enter(name);
      try {
        const alarm = mob.alarm();
        // One that does not start holds up no other.
        if (alarm?.works) waking.push(this.#wake(name));
        else if (alarm) this.armed(mob, alarm.at);
      } catch (error) {
        console.error(`mobkit-web: ${fileOf(name)} cannot be read`, error);
      } finally {
        this.#leave(mob);
      }
    }
    await Promise.all(waking);
  }

  /** An alarm rang. Never fails: it is set anew. */
  async #wake(name: string): Promise<void> {
    try {
      await this.#use(name, async (mob) => (await mob.keeper.running()).woken());
      this.#failures.delete(name);
    } catch (error) {
      if (this.#isClosed || isMobkitError(error, "mob_not_found")) return;
      console.error(`mobkit-web: the mob ${name} could not be woken`, error);
      const failures = this.#failures.get(name) ?? 0;
      this.#failures.set(name, failures + 1);
      this.#agenda.set(`alarm/${name}`, Date.now() + pauseAfter(failures), () => void this.#wake(name));
    }
  }

  async #use<T>(name: string, work: (mob: MobFile) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new MobkitError("runtime_stopped", "the server shuts down");
    const mob = this.#enter(name);
    try {
      return await work(mob);
    } finally {
      this.#leave(mob);
    }
  }

  #enter(name: string): MobFile {
    let mob = this.#mobs.get(name);
    if (!mob) {
      mob = new MobFile(name, this.#path(fileOf(name)), this);
      this.#mobs.set(name, mob);
    }
    mob.uses += 1;
    this.#agenda.delete(`idle/${name}`);
    return mob;
  }

  #leave(mob: MobFile): void {
    mob.uses -= 1;
    this.rests(mob);
  }

  /** Ends a mob that nobody has asked for long. */
  async #close(mob: MobFile): Promise<void> {
    mob.uses += 1;
    await mob.keeper.stop(() => mob.uses === 1 && !mob.works);
    this.#leave(mob);
  }

  #release(mob: MobFile): void {
    this.#agenda.delete(`idle/${mob.name}`);
    // Another one may have come in its place.
    if (this.#mobs.get(mob.name) === mob) this.#mobs.delete(mob.name);
    try {
      mob.closeFile();
    } catch (error) {
      console.error(`mobkit-web: the file of ${mob.name} could not be closed`, error);
    }
  }

  #path(file: string): string {
    return `${this.#options.directory.replace(/[\\/]+$/, "")}/${file}`;
  }
}

function shutsDown(): Response {
  return refuse(503, "shutting_down", "the server shuts down", { "retry-after": "1" });
}

function once(call: () => void): () => void {
  let isCalled = false;
  return () => {
    if (!isCalled) call();
    isCalled = true;
  };
}
