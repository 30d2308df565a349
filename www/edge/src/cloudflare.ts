// `mobkit-web/cloudflare`: mobs in Durable Objects, and the worker that routes to them.

import { DurableObject } from "cloudflare:workers";
import { MobkitError } from "mobkit-web";
import type { ObjectNamespace, ObjectState } from "./cloudflare-types.js";
import type { GateOptions } from "./gate.js";
import { NO_MOB, objectDatabase, type MobStub } from "./mob-object.js";
import { mobRoutes, type MobContext, type MobEntry, type MobHost } from "./mobs.js";

export { bearerToken, gate, tokenAuthorizer, type Authorize, type Caller, type CorsOptions, type GateOptions, type Handler, type Refusal } from "./gate.js";
export { durableObjectDriver, mobObject, type MobObjectOptions, type MobStub } from "./mob-object.js";
export { messageMob, type MessageMobOptions } from "./peers.js";
export type { Definition, MobContext, MobEntry } from "./mobs.js";

/** The one object that knows which mobs there are. */
export class MobDirectory extends DurableObject {
  readonly #state: ObjectState;

  constructor(ctx: any, env: any) {
    super(ctx, env);
    this.#state = ctx;
    objectDatabase(this.#state.storage).all("CREATE TABLE IF NOT EXISTS mobs (name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) WITHOUT ROWID");
  }

  list(after: string, limit: number): MobEntry[] {
    const rows = objectDatabase(this.#state.storage).all("SELECT name, created_ms FROM mobs WHERE name > ? ORDER BY name LIMIT ?", after, limit);
    return rows.map(([name, created_ms]) => ({ name: String(name), created_ms: Number(created_ms) }));
  }

  add(name: string): void {
    objectDatabase(this.#state.storage).all("INSERT OR IGNORE INTO mobs (name, created_ms) VALUES (?, ?)", name, Date.now());
  }

  remove(name: string): void {
    objectDatabase(this.#state.storage).all("DELETE FROM mobs WHERE name = ?", name);
  }
}

/** The directory as the worker sees it. */
interface DirectoryStub {
  list(after: string, limit: number): Promise<MobEntry[]>;
  add(name: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** What the worker needs to know. */
export interface MobWorkerOptions<Env> extends Omit<GateOptions<MobContext<Env>>, "maxConcurrent"> {
  /** The binding to the class made with `mobObject`. */
  mobs(env: Env): ObjectNamespace<any>;
  /** The binding to `MobDirectory`. */
  directory(env: Env): ObjectNamespace<any>;
  /** Decides who comes in. May be made with each request from what `env` holds. */
  authorize?: GateOptions<MobContext<Env>>["authorize"];
}

/** A worker's entry: many mobs below `/mobs/{name}`. */
export function mobWorker<Env>(options: MobWorkerOptions<Env>): { fetch(request: Request, env: Env): Promise<Response> } {
  const hostOf = (env: Env): MobHost => {
    const object = (name: string): MobStub => {
      const mobs = options.mobs(env);
      return mobs.get(mobs.idFromName(name)) as MobStub;
    };
    const directory = (): DirectoryStub => {
      const directories = options.directory(env);
      return directories.get(directories.idFromName("directory")) as DirectoryStub;
    };
    return {
      list: (after, limit) => directory().list(after, limit),
      async put(name, definition) {
        // Listed first: a mob that is not listed could not be found again.
        await directory().add(name);
        try {
          const put = await object(name).put(name, definition);
          if ("created" in put) return put.created;
          const { code, message, data } = put.error;
          throw new MobkitError(code, message, data as null);
        } finally {
          // It may be there with an earlier definition; and somebody may have deleted it meanwhile, or its entry.
          if (await object(name).exists()) await directory().add(name);
          else await directory().remove(name);
        }
      },
      async remove(name) {
        const known = await object(name).remove();
        await directory().remove(name);
        return known;
      },
      async fetch(name, request) {
        const response = await object(name).fetch(request);
        return response.headers.has(NO_MOB) ? undefined : response;
      },
    };
  };
  // How many may come at a time each object says for itself.
  const answer = mobRoutes(hostOf, { ...options, maxConcurrent: Infinity });
  return { fetch: (request, env) => answer(request, env) };
}
