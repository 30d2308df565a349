// `mobkit-web/deno`: mobs in SQLite files, served by a process of one's own.

import { readFile } from "node:fs/promises";
import { init, MobkitError, type UnifiedRuntimeBuilder, type WasmSource } from "mobkit-web";
import type { GateOptions } from "./gate.js";
import { MobFiles } from "./mob-files.js";
import { mobRoutes, type Definition, type MobContext } from "./mobs.js";

export { bearerToken, gate, tokenAuthorizer, type Authorize, type Caller, type CorsOptions, type GateOptions, type Handler, type Refusal } from "./gate.js";
export { messageMob, type MessageMobOptions } from "./peers.js";
export type { Definition, MobContext, MobEntry } from "./mobs.js";
export { sqliteDriver } from "./sqlite.js";

/** What `openMobs` needs to know. */
export interface OpenMobsOptions extends GateOptions<MobContext<undefined>> {
  /** Where the mobs' files are. It is made if there is none. One process at a time has it. */
  directory: string;
  /** What mobs are made of that were made without a definition. It is read with each start, so that a deployment changes it. */
  definition?: Definition | ((name: string) => Definition);
  /** Gives the mob its models, tools and hooks. Called with each start, and once more to try a new definition. */
  configure(builder: UnifiedRuntimeBuilder, context: { name: string }): UnifiedRuntimeBuilder | Promise<UnifiedRuntimeBuilder>;
  /** Whether members may write to members of other mobs, by the tool `message_mob`. Default: no. */
  messageMobs?: boolean;
  /** Where the wasm comes from. Default: the file in this package. */
  wasm?: WasmSource;
  /** After how many milliseconds a mob is closed that nobody asks, and in which nobody works. The next request opens it. Default: 5 minutes. */
  closeIdleAfter?: number;
}

/** What `serveMobs` needs to know. */
export interface ServeMobsOptions extends OpenMobsOptions {
  /** Default: 8000; 0 for any that is free. */
  port?: number;
  /** Default: `0.0.0.0`. */
  hostname?: string;
  /** Ends the server in good order, as `shutdown`. */
  signal?: AbortSignal;
}

/** Mobs that are open. */
export interface Mobs {
  /** Answers a request: the routes of `mobkit-web/serve`, behind the door. */
  fetch(request: Request): Promise<Response>;
  /** Ends all mobs in good order. What is under way goes on when the directory is opened again. */
  close(): Promise<void>;
}

/** A server that runs. */
export interface MobServer {
  readonly hostname: string;
  readonly port: number;
  /** Ends all mobs and event streams in good order, answers what was asked, and stops. */
  shutdown(): Promise<void>;
  /** Resolves when it has stopped. */
  readonly finished: Promise<void>;
}

const DEFAULT_CLOSE_IDLE_AFTER_MS = 5 * 60_000;
/** How long a shutdown waits for answers that are still being read. */
const LAST_ANSWERS_MS = 5_000;

/**
 * Opens the mobs of a directory, for a server of one's own, in Deno or in Node 22.5 and later. Fails with `storage_blocked` if another
 * process has the directory. What was under way when the last process ended, however it did, goes on at once.
 */
export function openMobs(options: OpenMobsOptions): Mobs {
  const { directory, definition, wasm, closeIdleAfter = DEFAULT_CLOSE_IDLE_AFTER_MS } = options;
  const files = new MobFiles({
    directory,
    closeIdleAfter,
    messages: options.messageMobs ?? false,
    definition: typeof definition === "function" ? ({ name }) => definition(name) : definition,
    configure: (builder, context) => options.configure(builder, context),
    load: once(() => load(wasm)),
  });
  const answer = mobRoutes<undefined>(() => files, options);
  return { fetch: (request) => answer(request, undefined), close: () => files.close() };
}

/** Opens the mobs of a directory, as `openMobs`, and serves them with `Deno.serve`: many mobs below `/mobs/{name}`. */
export function serveMobs(options: ServeMobsOptions): MobServer {
  const deno = (globalThis as { Deno?: { serve?: DenoServe } }).Deno;
  if (!deno?.serve) throw new MobkitError("host_unsupported", "serveMobs needs Deno; give openMobs({…}).fetch to the server of this host");
  const { port = 8000, hostname = "0.0.0.0", signal } = options;
  const mobs = openMobs(options);
  const hard = new AbortController();
  let server: DenoServer;
  try {
    server = deno.serve({ port, hostname, signal: hard.signal, onListen: () => {} }, (request) => mobs.fetch(request));
  } catch (error) {
    void mobs.close();
    throw error;
  }
  const stop = async (): Promise<void> => {
    const stopped = server.shutdown();
    const limit = setTimeout(() => hard.abort(), LAST_ANSWERS_MS);
    // Their ends end the event streams, which the server waits for.
    await mobs.close();
    await stopped.finally(() => clearTimeout(limit));
  };
  let stopping: Promise<void> | undefined;
  const shutdown = (): Promise<void> => stopping ??= stop();
  // What it fails with, `finished` tells.
  const end = (): void => void shutdown().catch(() => {});
  if (signal?.aborted) end();
  else signal?.addEventListener("abort", end, { once: true });
  return {
    hostname: server.addr.hostname,
    port: server.addr.port,
    shutdown,
    finished: server.finished.then(() => stopping),
  };
}

/** What is used of `Deno.serve`. */
type DenoServe = (
  options: { port: number; hostname: string; signal: AbortSignal; onListen: () => void },
  handler: (request: Request) => Promise<Response>,
) => DenoServer;

interface DenoServer {
  readonly addr: { hostname: string; port: number };
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
}

async function load(wasm: WasmSource | undefined): Promise<void> {
  const file = new URL("../mobkit_web_bg.wasm", import.meta.url);
  // Imported from a server of modules the file is there too.
  const own = (): WasmSource | Promise<WasmSource> => file.protocol === "file:" ? readFile(file) : file;
  await init({ wasm: wasm ?? await own() });
}

/** The answer of the first call that succeeds, for all. */
function once(call: () => Promise<void>): () => Promise<void> {
  let called: Promise<void> | undefined;
  return () => called ??= call().catch((error: unknown) => {
    called = undefined;
    throw error;
  });
}
