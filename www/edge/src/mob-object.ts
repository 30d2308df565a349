// A Durable Object that is one mob: its rows in the object's SQLite, its alarm the object's, one wasm instance.

import { DurableObject } from "cloudflare:workers";
import {
  customStorage, init, isMobkitError, memory, MobkitError, UnifiedRuntime,
  type StorageDriver, type UnifiedRuntimeBuilder, type WasmSource,
} from "mobkit-web";
import type { ObjectState, ObjectStorage } from "./cloudflare-types.js";
import { gate, refuse } from "./gate.js";
import type { Definition } from "./mobs.js";
import { sqlDriver, type SqlDatabase, type SqlValue } from "./sql.js";

/** What a class of mobs is made of. */
export interface MobObjectOptions<Env> {
  /** The compiled module: `import wasm from "mobkit-web/mobkit_web_bg.wasm"`. */
  wasm: WasmSource;
  /** What mobs are made of that were made without a definition. It is read with each start, so that a deployment changes it. */
  definition?: Definition | ((name: string, env: Env) => Definition);
  /** Gives the mob its models, tools and hooks. Called with each start, and once more to try a new definition. */
  configure(builder: UnifiedRuntimeBuilder, context: { name: string; env: Env }): UnifiedRuntimeBuilder | Promise<UnifiedRuntimeBuilder>;
  /** Requests at a time, event streams among them; more answer 503. Default: 1 024. */
  maxConcurrent?: number;
}

/** What the worker calls of an object. */
export interface MobStub {
  /** Makes the mob or gives it another definition; without one, that of the class. A failure is an answer: errors lose their shape on the way. */
  put(name: string, definition: Definition | undefined): Promise<{ created: boolean } | { error: { code: string; message: string; data: unknown } }>;
  remove(): Promise<boolean>;
  fetch(request: Request): Promise<Response>;
}

/** The answer of an object that is no mob. */
export const NO_MOB = "x-mobkit-no-mob";

/** The first pause after a start failed that an alarm asked for. */
const RETRY_FIRST_MS = 30_000;
const RETRY_LONGEST_MS = 3_600_000;

/** The object's storage as a database. */
export function objectDatabase(storage: ObjectStorage): SqlDatabase {
  return {
    all: (statement, ...values) => storage.sql.exec(statement, ...values).raw().toArray() as SqlValue[][],
    transaction: (work) => storage.transactionSync(work),
    usedBytes: () => storage.sql.databaseSize,
  };
}

/** A mob's storage in a Durable Object that has SQLite (`new_sqlite_classes` in its migration). */
export function durableObjectDriver(storage: ObjectStorage): StorageDriver {
  if (!storage.sql) throw new MobkitError("storage_unavailable", "the object's class has no SQLite: name it under new_sqlite_classes in its migration");
  return sqlDriver(objectDatabase(storage));
}

/** What an object remembers of itself. */
interface Remembered {
  name: string;
  /** None: that of the class. */
  definition: Definition | undefined;
}

/** A mob's object: what `mobObject` makes a class of. */
export class MobObject<Env> extends DurableObject<Env> {
  readonly #state: ObjectState;
  readonly #env: Env;
  readonly #gate: (request: Request, context: unknown) => Promise<Response>;
  /** The runtime, once it is built; why it could not be, else. */
  #runtime: UnifiedRuntime | undefined;
  #failure: unknown;
  /** The start that is under way. */
  #starting: Promise<void> | undefined;
  /** Ends when nobody works any more. */
  #rest: (() => void) | undefined;

  /** What the mob is made of. Asked in the constructor: a class of its own answers it. */
  protected mob(): MobObjectOptions<Env> {
    throw new TypeError("a class of mobs is made with mobObject(options)");
  }

  constructor(ctx: any, env: Env) {
    super(ctx, env);
    this.#state = ctx;
    this.#env = env;
    this.#gate = gate((request) => this.#answer(request), { authorize: () => ({}), maxConcurrent: this.mob().maxConcurrent, maxBodyBytes: Infinity });
    // Requests and alarms wait until the mob is as it was.
    void this.#state.blockConcurrencyWhile(() => this.#start());
  }

  /** The mob of this object, for methods of a class that extends this one. */
  async runtime(): Promise<UnifiedRuntime> {
    await this.#start();
    if (this.#runtime) return this.#runtime;
    throw this.#failure ?? new MobkitError("mob_not_found", "this object is no mob");
  }

  async put(name: string, definition: Definition | undefined): ReturnType<MobStub["put"]> {
    try {
      return { created: await this.#put(name, definition) };
    } catch (error) {
      if (!isMobkitError(error)) throw error;
      return { error: { code: error.code, message: error.message, data: error.data } };
    }
  }

  async remove(): Promise<boolean> {
    const known = this.#remembered() !== undefined;
    await this.#stop();
    await this.#state.storage.deleteAlarm();
    await this.#state.storage.deleteAll();
    return known;
  }

  override fetch(request: Request): Promise<Response> {
    return this.#gate(request, undefined);
  }

  /** Never throws: an alarm whose handler does is tried six times, and then forgotten. */
  override async alarm(): Promise<void> {
    try {
      await (await this.runtime()).woken();
      this.#database.all("DELETE FROM mobkit_object WHERE field = 'alarm_failures'");
    } catch (error) {
      if (isMobkitError(error, "mob_not_found")) return;
      console.error("mobkit-web: a mob could not be woken", error);
      await this.#tryAgainLater();
    }
  }

  async #tryAgainLater(): Promise<void> {
    const failures = Number(this.#field("alarm_failures") ?? 0);
    this.#setField("alarm_failures", String(failures + 1));
    await this.#state.storage.setAlarm(Date.now() + Math.min(RETRY_FIRST_MS * 2 ** Math.min(failures, 20), RETRY_LONGEST_MS));
  }

  async #answer(request: Request): Promise<Response> {
    if (this.#remembered() === undefined) return new Response(null, { status: 404, headers: { [NO_MOB]: "1" } });
    await this.#start();
    if (this.#runtime) return await this.#runtime.fetch(request);
    // What went wrong is in the object's own log: it may name what strangers must not see.
    const code = isMobkitError(this.#failure) ? this.#failure.code : "mob_unavailable";
    return refuse(503, code, "the mob could not be started", { "retry-after": "5" });
  }

  async #put(name: string, definition: Definition | undefined): Promise<boolean> {
    const before = this.#remembered();
    const after: Remembered = { name, definition };
    await this.#try(after);
    await this.#stop();
    this.#remember(after);
    await this.#start();
    if (this.#runtime) return before === undefined;
    // It was good a moment ago, so it is the storage, or the host: the mob goes on with what it had.
    const failure = this.#failure;
    if (before) {
      this.#remember(before);
      this.#failure = undefined;
      await this.#start();
    } else {
      await this.remove();
    }
    throw failure;
  }

  /** Builds the mob in memory and ends it again: what is wrong with a definition is known before the one in force is given up. */
  async #try(mob: Remembered): Promise<void> {
    const runtime = await (await this.#builder(mob)).storage(memory()).alarm(() => {}).build();
    await runtime.shutdown();
  }

  /** Starts what is there to be started. Never fails: whoever asks for the mob hears why. */
  #start(): Promise<void> {
    if (this.#runtime) return Promise.resolve();
    this.#starting ??= this.#open().finally(() => { this.#starting = undefined; });
    return this.#starting;
  }

  async #open(): Promise<void> {
    this.#failure = undefined;
    try {
      const remembered = this.#remembered();
      if (!remembered) return;
      const builder = (await this.#builder(remembered))
        .storage(customStorage(durableObjectDriver(this.#state.storage)))
        .alarm((at, works) => this.#arm(at, works));
      const runtime = await builder.build({ ifLocked: "steal" });
      runtime.onState(({ state }) => {
        if (state === "stopped" || (state === "crashed" && runtime.report.error?.code === "runtime_crash_loop")) this.#ended(runtime);
      });
      this.#runtime = runtime;
    } catch (error) {
      this.#failure = error;
      console.error("mobkit-web: the mob could not be started", error);
    }
  }

  #ended(runtime: UnifiedRuntime): void {
    if (this.#runtime === runtime) this.#runtime = undefined;
    this.#rest?.();
  }

  async #builder({ name, definition }: Remembered): Promise<UnifiedRuntimeBuilder> {
    const mob = this.mob();
    await init({ wasm: mob.wasm });
    const used = definition ?? (typeof mob.definition === "function" ? mob.definition(name, this.#env) : mob.definition);
    if (used === undefined) throw new MobkitError("missing_required_field", "a mob needs a definition", { field: "definition" });
    const context = { name, env: this.#env };
    return await mob.configure(UnifiedRuntime.builder().definition(used), context);
  }

  async #stop(): Promise<void> {
    await this.#starting;
    const runtime = this.#runtime;
    this.#runtime = undefined;
    if (runtime && runtime.state !== "stopped") await runtime.shutdown();
  }

  #arm(at: number | undefined, works: boolean): void {
    const { storage } = this.#state;
    // What this fails with breaks the object, as any write that cannot be stored: it starts anew and arms again.
    void (at === undefined ? storage.deleteAlarm() : storage.setAlarm(at));
    if (works && !this.#rest) {
      this.#state.waitUntil(new Promise<void>((rest) => { this.#rest = rest; }));
    } else if (!works) {
      this.#rest?.();
      this.#rest = undefined;
    }
  }

  get #database(): SqlDatabase {
    return objectDatabase(this.#state.storage);
  }

  #remembered(): Remembered | undefined {
    // An object that somebody only asked for stays without a table, and costs nothing.
    if (this.#database.all("SELECT 1 FROM sqlite_master WHERE name = 'mobkit_object'").length === 0) return undefined;
    const name = this.#field("name");
    const definition = this.#field("definition");
    return name === undefined ? undefined : { name, definition: definition === undefined ? undefined : JSON.parse(definition) as Definition };
  }

  #remember({ name, definition }: Remembered): void {
    this.#database.all("CREATE TABLE IF NOT EXISTS mobkit_object (field TEXT PRIMARY KEY, value TEXT NOT NULL)");
    this.#database.transaction(() => {
      this.#setField("name", name);
      if (definition === undefined) this.#database.all("DELETE FROM mobkit_object WHERE field = 'definition'");
      else this.#setField("definition", JSON.stringify(definition));
    });
  }

  #field(field: string): string | undefined {
    return this.#database.all("SELECT value FROM mobkit_object WHERE field = ?", field)[0]?.[0] as string | undefined;
  }

  #setField(field: string, value: string): void {
    this.#database.all("INSERT OR REPLACE INTO mobkit_object (field, value) VALUES (?, ?)", field, value);
  }
}

/** The class of a mob's object, to be extended and exported by the worker's script. */
export function mobObject<Env>(options: MobObjectOptions<Env>): new (ctx: any, env: Env) => MobObject<Env> {
  return class extends MobObject<Env> {
    protected override mob(): MobObjectOptions<Env> {
      return options;
    }
  };
}
