// Keeps one mob: remembers what it is made of, starts it when it is asked for, and puts another definition in its place. Where the mob's
// rows are and who wakes it is the host's business, an object's or a process'.

import { customStorage, isMobkitError, MobkitError, UnifiedRuntime, type StorageDriver, type UnifiedRuntimeBuilder } from "mobkit-web";
import { refuse } from "./gate.js";
import type { Definition } from "./mobs.js";
import type { SqlDatabase } from "./sql.js";

/** What a mob is that is kept. */
export interface Remembered {
  name: string;
  /** None: the host's own. */
  definition: Definition | undefined;
}

/** Where a mob is kept. */
export interface MobPlace {
  /** Whether there is a database: asking for one that is not there must not make it. */
  exists(): boolean;
  /** What is remembered is in a table of its own in it, `mobkit_object`. */
  database(): SqlDatabase;
  /** The mob's rows. */
  driver(): StorageDriver;
  /** The mob's builder, with its definition, models, tools and hooks. */
  builder(mob: Remembered): Promise<UnifiedRuntimeBuilder>;
  /** The mob's alarm, as the builder's. */
  arm(at: number | undefined, works: boolean): void;
  /** The mob runs no more, and nobody stopped it. */
  ended(): void;
  /** Deletes all that is stored. */
  forget(): Promise<void>;
}

/** Builders of mobs that have a definition of their own or that of all. */
export interface MobMaker<Context extends { name: string }> {
  definition: Definition | ((context: Context) => Definition) | undefined;
  configure(builder: UnifiedRuntimeBuilder, context: Context): UnifiedRuntimeBuilder | Promise<UnifiedRuntimeBuilder>;
}

/** The builder of a mob without its storage. */
export async function mobBuilder<Context extends { name: string }>(maker: MobMaker<Context>, definition: Definition | undefined, context: Context): Promise<UnifiedRuntimeBuilder> {
  const used = definition ?? (typeof maker.definition === "function" ? maker.definition(context) : maker.definition);
  if (used === undefined) throw new MobkitError("missing_required_field", "a mob needs a definition", { field: "definition" });
  return await maker.configure(UnifiedRuntime.builder().definition(used), context);
}

/** An object that is not there within 30 s of its making is reset. */
const CONFIGURE_MS = 20_000;

/** The first pause after a mob could not be woken, and the longest. */
const RETRY_FIRST_MS = 30_000;
const RETRY_LONGEST_MS = 3_600_000;

/** In how many milliseconds a mob is woken again that could not be woken so many times before. */
export function pauseAfter(failures: number): number {
  return Math.min(RETRY_FIRST_MS * 2 ** Math.min(failures, 20), RETRY_LONGEST_MS);
}

/** The keeper of one mob. What changes it comes one after the other. */
export class MobKeeper {
  readonly #place: MobPlace;
  /** The runtime, once it is built; why it could not be, else. */
  #runtime: UnifiedRuntime | undefined;
  #failure: unknown;
  /** The start that is under way, for all who wait for it. */
  #starting: Promise<void> | undefined;
  /** Ends with the last change that is under way. */
  #turn: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(place: MobPlace) {
    this.#place = place;
  }

  /** Whether the mob runs now. */
  get runs(): boolean {
    return this.#runtime !== undefined;
  }

  /** The mob; starts it if it does not run. Fails with `mob_not_found` if there is none, or with what the start fails with. */
  async running(): Promise<UnifiedRuntime> {
    await this.start();
    if (this.#runtime) return this.#runtime;
    throw this.#failure ?? new MobkitError("mob_not_found", "there is no such mob");
  }

  /** Gives the mob a request; starts it if it does not run. Undefined if there is none. */
  async fetch(request: Request): Promise<Response | undefined> {
    if (!this.#runtime && this.remembered() === undefined) return undefined;
    await this.start();
    if (this.#runtime) return await this.#runtime.fetch(request);
    // It was deleted meanwhile.
    if (this.#failure === undefined) return undefined;
    // What went wrong is told to whoever runs the host: it may name what strangers must not see.
    const code = isMobkitError(this.#failure) ? this.#failure.code : "mob_unavailable";
    return refuse(503, code, "the mob could not be started", { "retry-after": "5" });
  }

  /** Starts what is there to be started. Never fails: whoever asks for the mob hears why. */
  start(): Promise<void> {
    if (this.#runtime) return Promise.resolve();
    this.#starting ??= this.#inTurn(() => this.#open()).finally(() => { this.#starting = undefined; });
    return this.#starting;
  }

  /** Ends the runtime, if it may be when its turn has come; the next call of `running` starts it again. */
  stop(may: () => boolean): Promise<void> {
    return this.#inTurn(async () => {
      if (may()) await this.#halt();
    });
  }

  /** Ends the runtime for good. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#inTurn(() => this.#halt());
  }

  /** Makes the mob or gives it another definition; answers whether it is new. The earlier one goes on when the new one is refused. */
  put(name: string, definition: Definition | undefined): Promise<boolean> {
    return this.#inTurn(() => this.#put(name, definition));
  }

  /** Deletes the mob; answers whether there was one. */
  remove(): Promise<boolean> {
    return this.#inTurn(async () => {
      const isKnown = this.remembered() !== undefined;
      await this.#halt();
      await this.#place.forget();
      return isKnown;
    });
  }

  async #put(name: string, definition: Definition | undefined): Promise<boolean> {
    const before = this.remembered();
    const after: Remembered = { name, definition };
    await this.#try(after);
    await this.#halt();
    // Whatever fails from here on is the storage, or the host: the definition was good a moment ago.
    try {
      this.#remember(after);
      await this.#open();
      if (this.#runtime) return before === undefined;
      throw this.#failure;
    } catch (failure) {
      if (before) {
        this.#remember(before);
        await this.#open();
      } else {
        await this.#place.forget();
      }
      throw failure;
    }
  }

  /** What is wrong with a definition is known before the one in force is given up. */
  async #try(mob: Remembered): Promise<void> {
    await (await this.#builder(mob)).check();
  }

  /** The mob's builder, or that the application takes too long to make it: nobody is to wait for it without end. */
  async #builder(mob: Remembered): Promise<UnifiedRuntimeBuilder> {
    let limit: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      limit = setTimeout(() => reject(new MobkitError("mob_unavailable", `the mob was not configured within ${CONFIGURE_MS / 1000} s`)), CONFIGURE_MS);
    });
    try {
      return await Promise.race([this.#place.builder(mob), late]);
    } finally {
      clearTimeout(limit);
    }
  }

  async #open(): Promise<void> {
    if (this.#runtime) return;
    this.#failure = undefined;
    try {
      if (this.#isClosed) throw new MobkitError("runtime_stopped", "the host shuts down");
      const mob = this.remembered();
      if (!mob) return;
      const builder = (await this.#builder(mob))
        .storage(customStorage(this.#place.driver()))
        .alarm((at, works) => this.#place.arm(at, works));
      const runtime = await builder.build({ ifLocked: "steal" });
      runtime.onState(({ state }) => {
        if (state === "stopped" || (state === "crashed" && runtime.report.error?.code === "runtime_crash_loop")) this.#ended(runtime);
      });
      this.#runtime = runtime;
    } catch (error) {
      this.#failure = error;
      if (!this.#isClosed) console.error("mobkit-web: the mob could not be started", error);
    }
  }

  #ended(runtime: UnifiedRuntime): void {
    if (this.#runtime === runtime) this.#runtime = undefined;
    this.#place.ended();
  }

  async #halt(): Promise<void> {
    const runtime = this.#runtime;
    this.#runtime = undefined;
    if (!runtime || runtime.state === "stopped") return;
    try {
      await runtime.shutdown();
    } catch (error) {
      // It has ended all the same, and what was answered is stored.
      if (!isMobkitError(error, "runtime_crashed")) console.error("mobkit-web: a mob ended in disorder", error);
    }
  }

  /** Runs when all that was asked for before is done, however it ended. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    // Whoever asked for it hears of the failure; the next in turn has nothing to do with it.
    this.#turn = done.catch(() => {});
    return done;
  }

  /** What the mob is made of; undefined if there is none. */
  remembered(): Remembered | undefined {
    // A place that somebody only asked about stays without a table, and costs nothing.
    if (!this.#place.exists()) return undefined;
    if (this.#place.database().all("SELECT 1 FROM sqlite_master WHERE name = 'mobkit_object'").length === 0) return undefined;
    const name = this.field("name");
    const definition = this.field("definition");
    return name === undefined ? undefined : { name, definition: definition === undefined ? undefined : JSON.parse(definition) as Definition };
  }

  #remember({ name, definition }: Remembered): void {
    const database = this.#place.database();
    database.all("CREATE TABLE IF NOT EXISTS mobkit_object (field TEXT PRIMARY KEY, value TEXT NOT NULL)");
    database.transaction(() => {
      this.setField("name", name);
      this.setField("definition", definition === undefined ? undefined : JSON.stringify(definition));
    });
  }

  /** What else is remembered. Only for a mob that there is. */
  field(field: string): string | undefined {
    return this.#place.database().all("SELECT value FROM mobkit_object WHERE field = ?", field)[0]?.[0] as string | undefined;
  }

  setField(field: string, value: string | undefined): void {
    if (value === undefined) this.#place.database().all("DELETE FROM mobkit_object WHERE field = ?", field);
    else this.#place.database().all("INSERT OR REPLACE INTO mobkit_object (field, value) VALUES (?, ?)", field, value);
  }
}
