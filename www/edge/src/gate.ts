// The door of a mob that is served: who may come in, from which sites, with how much, and how many at a time.

import { isMobkitError } from "mobkit-web";

/** Who asks, as far as `authorize` says. */
export interface Caller {
  /** Whom the credentials name. */
  subject?: string;
}

/** Why somebody may not come in. */
export interface Refusal {
  /** 401 (the default) when other credentials may help, 403 when they will not, 503 when it cannot be told now. */
  status?: 401 | 403 | 503;
  /** A snake_case word: `missing_credentials`, `invalid_token`, `expired_token`, … */
  reason: string;
  /** For people. */
  message?: string;
}

/** Whether a request may come in: who asks, or why not. */
export type Authorize<Context = unknown> = (request: Request, context: Context) => Caller | Refusal | Promise<Caller | Refusal>;

/** From which sites pages may ask. */
export interface CorsOptions {
  /** Origins such as `https://console.example`; `*` for every site. */
  origins: "*" | readonly string[] | ((origin: string) => boolean);
  /** For how many seconds browsers remember the answer. Default: 600. */
  maxAge?: number;
}

/** What a gate looks at. */
export interface GateOptions<Context = unknown> {
  /** Without it every route but `GET /healthz` answers 401: an open door has to be said, by `authorize: () => ({})`. */
  authorize?: Authorize<Context> | undefined;
  /** Without it browsers let only pages of the same site in. */
  cors?: CorsOptions | undefined;
  /** Longer bodies answer 413. Default: 4 MiB. */
  maxBodyBytes?: number | undefined;
  /** Requests at a time, event streams among them; more answer 503. Default: 1 024. */
  maxConcurrent?: number | undefined;
}

/** Answers a request that came in. */
export type Handler<Context = unknown> = (request: Request, caller: Caller, context: Context) => Response | Promise<Response>;

const DEFAULT_MAX_BODY_BYTES = 4 << 20;
const DEFAULT_MAX_CONCURRENT = 1024;
/** What a page may send and read beyond what every page may. */
const ALLOWED_HEADERS = "authorization, content-type, last-event-id, idempotency-key";
const ALLOWED_METHODS = "GET, HEAD, POST, PUT, DELETE";
const EXPOSED_HEADERS = "retry-after, www-authenticate";

/** The credentials of a request: the bearer token, or the query's `auth_token` for what cannot set headers, as an `EventSource`. */
export function bearerToken(request: Request): string | undefined {
  const header = request.headers.get("authorization");
  const bearer = header?.match(/^bearer +([^\s]+) *$/i)?.[1];
  if (header !== null) return bearer;
  return new URL(request.url).searchParams.get("auth_token") || undefined;
}

/**
 * Lets in whoever sends this secret as its bearer token. How long the comparison takes says nothing of where they differ: hashes are
 * compared.
 */
export function tokenAuthorizer(secret: string): Authorize {
  if (secret === "") throw new TypeError("the secret is empty");
  const hash = async (text: string): Promise<string> =>
    String(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
  let expected: Promise<string> | undefined;
  return async (request): Promise<Caller | Refusal> => {
    const token = bearerToken(request);
    if (token === undefined) return { reason: "missing_credentials", message: "a bearer token is needed" };
    expected ??= hash(secret);
    if (await hash(token) !== await expected) return { reason: "invalid_token", message: "the token is not good" };
    return {};
  };
}

/** The same request with this body and without its credentials: whoever answers it needs none. */
export function withoutCredentials(request: Request, body: Uint8Array<ArrayBuffer> | null = null): Request {
  const url = new URL(request.url);
  // By hand: what else is in the query stays as it came, mistakes included.
  url.search = url.search.slice(1).split("&").filter((field) => !new URLSearchParams(field).has("auth_token")).join("&");
  const headers = new Headers(request.headers);
  headers.delete("authorization");
  headers.delete("cookie");
  return new Request(url, { method: request.method, headers, body, signal: request.signal });
}

/** A JSON answer of the door itself. */
export function refuse(status: number, error: string, message: string, headers: Record<string, string> = {}, more: object = {}): Response {
  return Response.json({ error, message, ...more }, { status, headers: { "cache-control": "no-store", ...headers } });
}

/** Puts a handler behind a door. What comes out never throws. */
export function gate<Context = unknown>(handler: Handler<Context>, options: GateOptions<Context>): (request: Request, context: Context) => Promise<Response> {
  const { authorize, cors, maxBodyBytes = DEFAULT_MAX_BODY_BYTES, maxConcurrent = DEFAULT_MAX_CONCURRENT } = options;
  let open = 0;

  async function admit(request: Request, context: Context): Promise<Response> {
    if (open >= maxConcurrent) return refuse(503, "too_many_requests", `${maxConcurrent} requests are open already`, { "retry-after": "1" });
    open += 1;
    let isCounted = true;
    const leave = (): void => {
      if (isCounted) open -= 1;
      isCounted = false;
    };
    try {
      const response = await answer(request, context);
      if (response.body === null || !isEventStream(response)) {
        leave();
        return response;
      }
      return new Response(counted(response.body, leave), response);
    } catch (error) {
      leave();
      return failed(error);
    }
  }

  async function answer(request: Request, context: Context): Promise<Response> {
    let caller: Caller = {};
    if (!isHealth(request)) {
      const decision = authorize
        ? await authorize(request, context)
        : { reason: "no_authorization", message: "this server lets nobody in: it was given no `authorize`" };
      if ("reason" in decision) return unauthorized(decision);
      caller = decision;
    }
    const bytes = await bodyWithin(request, maxBodyBytes);
    if (bytes === undefined) return refuse(413, "payload_too_large", `a body may have ${maxBodyBytes} bytes`, {}, { max_bytes: maxBodyBytes });
    return await handler(withoutCredentials(request, bytes), caller, context);
  }

  return async (request, context) => {
    const origin = request.headers.get("origin");
    const allowed = origin !== null && cors !== undefined && allows(cors, origin);
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method")) {
      return new Response(null, { status: 204, headers: allowed ? preflight(cors, origin) : { vary: "origin" } });
    }
    const response = await admit(request, context);
    if (cors === undefined) return response;
    const headers = new Headers(response.headers);
    headers.append("vary", "origin");
    if (allowed) {
      headers.set("access-control-allow-origin", cors.origins === "*" ? "*" : origin);
      headers.set("access-control-expose-headers", EXPOSED_HEADERS);
    }
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  };
}

/** Whether a response goes on for as long as somebody reads it. */
export function isEventStream(response: Response): boolean {
  return (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
}

function isHealth(request: Request): boolean {
  return (request.method === "GET" || request.method === "HEAD") && new URL(request.url).pathname === "/healthz";
}

function unauthorized({ status = 401, reason, message }: Refusal): Response {
  const names = { 401: "unauthorized", 403: "forbidden", 503: "authorization_unavailable" } as const;
  const headers: Record<string, string> = status === 401 ? { "www-authenticate": "Bearer" } : status === 503 ? { "retry-after": "5" } : {};
  return refuse(status, names[status], message ?? reason.replaceAll("_", " "), headers, { reason });
}

function failed(error: unknown): Response {
  if (isMobkitError(error, "runtime_crashed") || isMobkitError(error, "runtime_stopped")) return refuse(503, error.code, error.message, { "retry-after": "1" });
  console.error("mobkit-web: a request failed", error);
  // Of what went wrong inside strangers hear nothing but that.
  return refuse(500, "internal_error", "the request could not be answered");
}

function allows({ origins }: CorsOptions, origin: string): boolean {
  if (origins === "*") return true;
  return typeof origins === "function" ? origins(origin) : origins.includes(origin);
}

function preflight(cors: CorsOptions, origin: string): Record<string, string> {
  return {
    vary: "origin",
    "access-control-allow-origin": cors.origins === "*" ? "*" : origin,
    "access-control-allow-methods": ALLOWED_METHODS,
    "access-control-allow-headers": ALLOWED_HEADERS,
    "access-control-max-age": String(cors.maxAge ?? 600),
  };
}

/** The bytes of a body; null without one, undefined if it is too long. No more is read than may be. */
async function bodyWithin(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer> | null | undefined> {
  if (request.body === null) return null;
  // Such a body says nothing (RFC 9110, section 9.3.1), and no request can be made with it.
  if (request.method === "GET" || request.method === "HEAD") {
    await request.body.cancel();
    return null;
  }
  const reader = request.body.getReader();
  if (Number(request.headers.get("content-length") ?? 0) > limit) {
    await reader.cancel().catch(() => {});
    return undefined;
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > limit) {
      await reader.cancel().catch(() => {});
      return undefined;
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** The same body, read as it is asked for; tells when it has ended, however it did. */
export function counted(body: ReadableStream<Uint8Array>, ended: () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        ended();
        controller.close();
      } catch (error) {
        ended();
        throw error;
      }
    },
    async cancel(reason) {
      ended();
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
