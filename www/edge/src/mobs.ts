// Many mobs behind one address: which there are, making one, deleting one, and the contract of each below `/mobs/{name}`.
//
// | route | answer |
// |---|---|
// | `GET /healthz` | `ok`, to everybody |
// | `GET /mobs?after=&limit=` | `{mobs: [{name, created_ms}], next}`, in the order of their names |
// | `PUT /mobs/{name}` | makes a mob (201), or gives it another definition (200): `{definition}`, TOML text or an object; without a body, the host's |
// | `GET /mobs/{name}` | the mob at a glance: `mobkit/status` |
// | `DELETE /mobs/{name}` | deletes a mob with all that it holds (204); 404 if there is none |
// | `… /mobs/{name}/…` | the fetch contract of this mob |

import { isMobkitError, type MobDefinition } from "mobkit-web";
import { gate, refuse, type Caller, type GateOptions } from "./gate.js";

/** What a mob may be called, so that it is a path's part as it is. */
const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i;
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;

/** What is no fault of a definition. */
const UNAVAILABLE = new Set(["runtime_crashed", "runtime_stopped", "mob_unavailable"]);

/** A mob that there is. */
export interface MobEntry {
  name: string;
  created_ms: number;
}

/** What a mob is made of. */
export type Definition = string | MobDefinition;

/** Where the mobs are. */
export interface MobHost {
  /** Mobs after a name, in order. */
  list(after: string, limit: number): Promise<MobEntry[]>;
  /** Makes a mob, or gives one another definition; without one, the host's own. Answers whether it is new. Throws `MobkitError`s. */
  put(name: string, definition: Definition | undefined): Promise<boolean>;
  /** Answers whether there was one. */
  remove(name: string): Promise<boolean>;
  /** Gives a request of the fetch contract to a mob; undefined if there is none. */
  fetch(name: string, request: Request): Promise<Response | undefined>;
}

/** What `authorize` is told besides the request. */
export interface MobContext<Env> {
  /** Which mob the request is about; none for the list. */
  mob: string | undefined;
  env: Env;
}

/** Answers requests about the mobs of a host, behind a gate. */
export function mobRoutes<Env>(hostOf: (env: Env) => MobHost, options: GateOptions<MobContext<Env>>): (request: Request, env: Env) => Promise<Response> {
  const guarded = gate<MobContext<Env>>((request, caller, { mob, env }) => route(hostOf(env), request, mob, caller), options);
  return (request, env) => guarded(request, { mob: mobOf(new URL(request.url).pathname), env });
}

function mobOf(path: string): string | undefined {
  return path.match(/^\/mobs\/([^/]+)/)?.[1];
}

async function route(host: MobHost, request: Request, mob: string | undefined, _caller: Caller): Promise<Response> {
  const url = new URL(request.url);
  const { method } = request;
  if (url.pathname === "/healthz") return onlyWith(method, ["GET", "HEAD"]) ?? new Response(method === "HEAD" ? null : "ok", { headers: { "cache-control": "no-store" } });
  if (url.pathname === "/mobs") return onlyWith(method, ["GET"]) ?? await list(host, url.searchParams);
  if (mob === undefined) return refuse(404, "not_found", `there is no route ${url.pathname}`);
  if (!NAME.test(mob)) return refuse(400, "invalid_mob_name", "a mob's name has 1 to 64 letters, digits, dots, dashes and underscores, with a letter or digit at both ends", {}, { name: mob });
  const rest = url.pathname.slice(`/mobs/${mob}`.length);
  if (rest === "") return await manage(host, mob, request);
  return await pass(host, mob, rest, url.search, request);
}

async function manage(host: MobHost, mob: string, request: Request): Promise<Response> {
  switch (request.method) {
    case "GET": {
      const response = await pass(host, mob, "/console/rpc", "", new Request(request.url, {
        method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "mobkit/status" }),
      }));
      if (!response.ok) return response;
      const { result } = (await response.json()) as { result: object };
      return Response.json({ name: mob, ...result }, { headers: { "cache-control": "no-store" } });
    }
    case "PUT": {
      const definition = await definitionOf(request);
      if (definition instanceof Response) return definition;
      try {
        const isNew = await host.put(mob, definition);
        return Response.json({ name: mob, created: isNew }, { status: isNew ? 201 : 200, headers: { "cache-control": "no-store" } });
      } catch (error) {
        if (!isMobkitError(error)) throw error;
        // What the definition is refused for, and what fails while it is put in force.
        const status = error.code.startsWith("storage_") || UNAVAILABLE.has(error.code) ? 503 : 422;
        return refuse(status, error.code, error.message, {}, error.data ? { data: error.data } : {});
      }
    }
    case "DELETE":
      return await host.remove(mob) ? new Response(null, { status: 204 }) : noSuchMob(mob);
    default:
      return onlyWith(request.method, ["GET", "PUT", "DELETE"]) ?? noSuchMob(mob);
  }
}

async function pass(host: MobHost, mob: string, path: string, search: string, request: Request): Promise<Response> {
  // Part by part: a path that begins with two slashes would name another host.
  const url = new URL("https://mob.local");
  url.pathname = path;
  url.search = search;
  return await host.fetch(mob, new Request(url, request)) ?? noSuchMob(mob);
}

async function definitionOf(request: Request): Promise<Definition | undefined | Response> {
  const text = await request.text();
  if (text.trim() === "") return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    return refuse(400, "invalid_request", `the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const definition = body !== null && typeof body === "object" && "definition" in body ? body.definition : undefined;
  if (typeof definition === "string" || (typeof definition === "object" && definition !== null)) return definition as Definition;
  return refuse(400, "invalid_request", "definition must be TOML text or an object", {}, { field: "definition" });
}

async function list(host: MobHost, query: URLSearchParams): Promise<Response> {
  const limit = query.get("limit") ?? String(DEFAULT_PAGE);
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_PAGE) {
    return refuse(400, "invalid_request", `limit must be an integer between 1 and ${MAX_PAGE}`, {}, { field: "limit" });
  }
  const mobs = await host.list(query.get("after") ?? "", Number(limit));
  const next = mobs.length === Number(limit) ? mobs.at(-1)?.name ?? null : null;
  return Response.json({ mobs, next }, { headers: { "cache-control": "no-store" } });
}

function noSuchMob(mob: string): Response {
  return refuse(404, "mob_not_found", `there is no mob ${mob}: PUT /mobs/${mob} makes one`, {}, { mob });
}

function onlyWith(method: string, allowed: string[]): Response | undefined {
  return allowed.includes(method) ? undefined : refuse(405, "method_not_allowed", `this route takes ${allowed.join(", ")}`, { allow: allowed.join(", ") });
}
