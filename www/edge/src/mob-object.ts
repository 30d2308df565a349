// A Durable Object that is one mob: its rows in the object's SQLite, its alarm the object's, one wasm instance.

import { DurableObject } from "cloudflare:workers";
import { init, isMobkitError, MobkitError, type StorageDriver, type UnifiedRuntime, type UnifiedRuntimeBuilder, type WasmSource } from "mobkit-web";
import type { ObjectNamespace, ObjectState, ObjectStorage } from "./cloudflare-types.js";
import { gate } from "./gate.js";
import { mobBuilder, MobKeeper, pauseAfter, type Remembered } from "./keeper.js";
import type { Definition } from "./mobs.js";
import { messageMob } from "./peers.js";
import { sqlDriver, type SqlDatabase, type SqlValue } from "./sql.js";

/** What a class of mobs is made of. */
export interface MobObjectOptions<Env> {
  /** The compiled module: `import wasm from "mobkit-web/mobkit_web_bg.wasm"`. */
  wasm: WasmSource;
  /** What mobs are made of that were made without a definition. It is read with each start, so that a deployment changes it. */
  definition?: Definition | ((name: string, env: Env) => Definition);
  /** Gives the mob its models, tools and hooks. Called with each start, and once more to try a new definition. */
  configure(builder: UnifiedRuntimeBuilder, context: { name: string; env: Env }): UnifiedRuntimeBuilder | Promise<UnifiedRuntimeBuilder>;
  /** The binding to this class: with it members whose profile names the tool `message_mob` write to members of other mobs. */
  mobs?(env: Env): ObjectNamespace<any>;
  /** Requests at a time, event streams among them; more answer 503. Default: 1 024. */
  maxConcurrent?: number;
}

/** What the worker calls of an object. */
export interface MobStub {
  /** Makes the mob or gives it another definition; without one, that of the class. A failure is an answer: errors lose their shape on the way. */
  put(name: string, definition: Definition | undefined): Promise<{ created: boolean } | { error: { code: string; message: string; data: unknown } }>;
  remove(): Promise<boolean>;
  exists(): Promise<boolean>;
  fetch(request: Request): Promise<Response>;
}

/** The answer of an object that is no mob. */
export const NO_MOB = "x-mobkit-no-mob";

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

/** A mob's object: what `mobObject` makes a class of. */
export class MobObject<Env> extends DurableObject<Env> {
  readonly #state: ObjectState;
  readonly #env: Env;
  readonly #gate: (request: Request, context: unknown) => Promise<Response>;
  readonly #keeper: MobKeeper;
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
    this.#keeper = new MobKeeper({
      exists: () => true,
      database: () => this.#database,
      driver: () => durableObjectDriver(this.#state.storage),
      builder: (mob) => this.#builder(mob),
      arm: (at, works) => this.#arm(at, works),
      ended: () => this.#atRest(),
      forget: () => this.#forget(),
    });
    // Requests and alarms wait until the mob is as it was.
    void this.#state.blockConcurrencyWhile(() => this.#keeper.start());
  }

  /** The mob of this object, for methods of a class that extends this one. */
  runtime(): Promise<UnifiedRuntime> {
    return this.#keeper.running();
  }

  async put(name: string, definition: Definition | undefined): ReturnType<MobStub["put"]> {
    try {
      return { created: await this.#keeper.put(name, definition) };
    } catch (error) {
      if (isMobkitError(error)) return { error: { code: error.code, message: error.message, data: error.data } };
      console.error("mobkit-web: a mob could not be made", error);
      return { error: { code: "mob_unavailable", message: "the mob could not be started", data: null } };
    }
  }

  remove(): Promise<boolean> {
    return this.#keeper.remove();
  }

  exists(): boolean {
    return this.#keeper.remembered() !== undefined;
  }

  override fetch(request: Request): Promise<Response> {
    return this.#gate(request, undefined);
  }

  /** Never throws: an alarm whose handler does is tried six times, and then forgotten. */
  override async alarm(): Promise<void> {
    try {
      await (await this.runtime()).woken();
      this.#keeper.setField("alarm_failures", undefined);
    } catch (error) {
      if (isMobkitError(error, "mob_not_found")) return;
      console.error("mobkit-web: a mob could not be woken", error);
      await this.#tryAgainLater();
    }
  }

  async #tryAgainLater(): Promise<void> {
    const failures = Number(this.#keeper.field("alarm_failures") ?? 0);
    this.#keeper.setField("alarm_failures", String(failures + 1));
    await this.#state.storage.setAlarm(Date.now() + pauseAfter(failures));
  }

  async #answer(request: Request): Promise<Response> {
    return await this.#keeper.fetch(request) ?? new Response(null, { status: 404, headers: { [NO_MOB]: "1" } });
  }

  async #forget(): Promise<void> {
    await this.#state.storage.deleteAlarm();
    await this.#state.storage.deleteAll();
  }

  async #builder({ name, definition }: Remembered): Promise<UnifiedRuntimeBuilder> {
    const { wasm, definition: own, configure, mobs } = this.mob();
    const env = this.#env;
    await init({ wasm });
    const builder = await mobBuilder({ definition: typeof own === "function" ? () => own(name, env) : own, configure }, definition, { name, env });
    const others = mobs?.(env);
    if (!others) return builder;
    return builder.tool(messageMob({
      mob: name,
      runtime: () => this.runtime(),
      fetch: async (other, request) => {
        const response: Response = await others.get(others.idFromName(other)).fetch(request);
        return response.headers.has(NO_MOB) ? undefined : response;
      },
    }));
  }

  #arm(at: number | undefined, works: boolean): void {
    const { storage } = this.#state;
    // What this fails with breaks the object, as any write that cannot be stored: it starts anew and arms again.
    void (at === undefined ? storage.deleteAlarm() : storage.setAlarm(at));
    if (works && !this.#rest) {
      this.#state.waitUntil(new Promise<void>((rest) => { this.#rest = rest; }));
    } else if (!works) {
      this.#atRest();
    }
  }

  #atRest(): void {
    this.#rest?.();
    this.#rest = undefined;
  }

  get #database(): SqlDatabase {
    return objectDatabase(this.#state.storage);
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
