// The MCP client's transport, watched: it retries on its own and reports little, while a module has to know when its connection is lost.

import { StreamableHTTPClientTransport, type StreamableHTTPClientTransportOptions } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { JSONRPCMessage, RequestId } from "@modelcontextprotocol/sdk/types.js";

type Fetch = NonNullable<StreamableHTTPClientTransportOptions["fetch"]>;
type SendOptions = Parameters<StreamableHTTPClientTransport["send"]>[1];

/** How long the last event may be on its way through the parser after its stream has ended, in milliseconds. */
const PARSED_MS = 100;

/**
 * Tells once or oftener that the connection is lost: the server cannot be reached, does not know the session, or broke off an answer
 * that cannot be taken up again. Doubts it when the first stream of events fails: some servers refuse it in such a way, but in Firefox so does
 * one that was open to a server that is gone, unless an event has come on it; a response begins there with its first byte.
 */
export class WatchedTransport extends StreamableHTTPClientTransport {
  /** Requests without an answer. */
  readonly #open: Set<RequestId>;
  /** Those of them whose answer may be taken up again where it broke off. */
  readonly #resumable: Set<RequestId>;

  constructor(url: URL, options: StreamableHTTPClientTransportOptions & { fetch: Fetch }, lost: (reason: string) => void, doubt: () => void) {
    const open = new Set<RequestId>();
    const resumable = new Set<RequestId>();
    super(url, { ...options, fetch: watched(options.fetch, open, resumable, lost, doubt) });
    this.#open = open;
    this.#resumable = resumable;
    // The client calls this before its own.
    this.onmessage = (message) => {
      if (!("method" in message) && message.id !== undefined) this.#answered(message.id);
    };
  }

  #answered(id: RequestId): void {
    this.#open.delete(id);
    this.#resumable.delete(id);
  }

  override async send(message: JSONRPCMessage | JSONRPCMessage[], options?: SendOptions): Promise<void> {
    if (Array.isArray(message) || !("method" in message)) return await super.send(message, options);
    if (!("id" in message)) {
      // No answer comes to a request that was cancelled.
      if (message.method === "notifications/cancelled") this.#answered(message.params?.["requestId"] as RequestId);
      return await super.send(message, options);
    }
    const { id } = message;
    this.#open.add(id);
    const onresumptiontoken = (token: string): void => {
      if (this.#open.has(id)) this.#resumable.add(id);
      options?.onresumptiontoken?.(token);
    };
    return await super.send(message, { ...options, onresumptiontoken });
  }
}

function watched(inner: Fetch, open: Set<RequestId>, resumable: Set<RequestId>, lost: (reason: string) => void, doubt: () => void): Fetch {
  /** Whether the server was ever reached with a session, and whether it had a stream of events open. */
  let connected = false;
  let streamed = false;
  return async (url, init) => {
    const headers = new Headers(init?.headers);
    const session = headers.has("mcp-session-id");
    // The first stream of events is an offer that a server need not take, and may refuse in any way. One that is opened anew has to open.
    const again = init?.method === "GET" && (streamed || headers.has("last-event-id"));
    const counts = init?.method === "POST" ? connected : again;
    let response: Response;
    try {
      response = await inner(url, init);
    } catch (error) {
      if (!init?.signal?.aborted) {
        if (counts) lost(String(error));
        else if (init?.method === "GET") doubt();
      }
      throw error;
    }
    if (init?.method === "POST" && response.ok) connected = true;
    if (init?.method === "GET" && response.ok) streamed = true;
    if (!response.ok && counts) {
      // No answer is taken up again then.
      if ((again && resumable.size > 0) || (session && await endsSession(response))) lost(`HTTP ${response.status}`);
    }
    const id = requestId(init);
    const streams = response.ok && response.body && response.headers.get("content-type")?.startsWith("text/event-stream");
    return id === undefined || !streams ? response : told(response, () => {
      setTimeout(() => {
        if (open.has(id) && !resumable.has(id) && !init?.signal?.aborted) lost("the server broke off an answer");
      }, PARSED_MS);
    });
  };
}

/** Whether a response says that the session is over: 404 by the protocol; many servers say 400 and why. */
async function endsSession(response: Response): Promise<boolean> {
  if (response.status !== 400) return response.status === 404;
  return /session/i.test(await response.clone().text().catch(() => ""));
}

/** The id of the JSON-RPC request that a body holds. */
function requestId(init: RequestInit | undefined): RequestId | undefined {
  if (init?.method !== "POST" || typeof init.body !== "string") return undefined;
  const { id, method } = JSON.parse(init.body) as { id?: RequestId; method?: string };
  return method === undefined ? undefined : id;
}

/** The same response; `over` is called when its body has ended, well or badly. */
function told(response: Response, over: () => void): Response {
  const reader = response.body!.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { value, done } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      over();
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
}
