// Calls over the fetch contract: JSON-RPC and its errors. Everything the page asks of a runtime goes through here.

/** Where the runtime of this page stands. */
export type ClientState = "starting" | "leader" | "follower" | "crashed" | "stopped";

/** A state with its reason, as `onState` reports it. */
export interface ClientReport {
  state: ClientState;
  /** Why it is `crashed` or `stopped`, or why the last start failed. */
  error: { code: string; message: string; data?: unknown } | null;
  /** How often the runtime was started anew after a crash. */
  restarts: number;
}

/** What the page needs of a runtime, wherever that runs: `mobkit-web/client` gives it for one in a worker. */
export interface RuntimeClient {
  fetch(input: string, init?: RequestInit): Promise<Response>;
  control(name: string, payload?: unknown): Promise<unknown>;
  readonly state: ClientState;
  readonly error: ClientReport["error"];
  readonly restarts: number;
  onState(callback: (report: ClientReport) => void): () => void;
  close(): void;
}

/** An error as a person should see it: the stable code, a sentence, and what else is known. */
export class ConsoleError extends Error {
  override readonly name = "ConsoleError";
  constructor(
    readonly code: string,
    message: string,
    readonly data: unknown = undefined,
  ) {
    super(message);
  }
}

/** Any thrown thing as a `ConsoleError`; errors of the package carry `code` and `data`. */
export function toConsoleError(error: unknown): ConsoleError {
  if (error instanceof ConsoleError) return error;
  if (error && typeof error === "object") {
    const { code, message, data, name } = error as { code?: unknown; message?: unknown; data?: unknown; name?: unknown };
    return new ConsoleError(
      typeof code === "string" ? code : typeof name === "string" ? name : "error",
      typeof message === "string" && message !== "" ? message : String(error),
      data,
    );
  }
  return new ConsoleError("error", String(error));
}

let nextId = 1;

/** One JSON-RPC call; a JSON-RPC error becomes a `ConsoleError` with the runtime's own code. */
export async function rpc<T>(client: RuntimeClient, method: string, params: unknown = {}, signal?: AbortSignal): Promise<T> {
  const response = await client.fetch("/console/rpc", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: nextId++, method, params }),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  let answer: { result?: T; error?: { code: number; message: string; data?: any } } | null;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new ConsoleError("bad_response", `${method}: the answer is not JSON (HTTP ${response.status})`, text.slice(0, 400));
  }
  // Whatever stands before a runtime has errors of its own, which are a word and no object.
  if (answer?.error && typeof answer.error === "object") {
    const { code, message, data } = answer.error;
    throw new ConsoleError(typeof data?.code === "string" ? data.code : String(code), message, data);
  }
  if (!response.ok) throw new ConsoleError("http_error", `${method}: HTTP ${response.status}`, text.slice(0, 400));
  if (answer === null || typeof answer !== "object" || !("result" in answer)) throw new ConsoleError("bad_response", `${method}: the answer is no JSON-RPC`, text.slice(0, 400));
  return answer.result as T;
}
