// Requests to other servers go out from a worker: the page's policy lets it talk to its own server only, so that nothing that gets into
// the page can carry anything out of it, and a worker's script has a policy of its own. Each request has a channel of its own.

import { ConsoleError } from "../client.ts";

/** A request as it goes out. */
export interface Outgoing {
  method: string;
  headers: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/** Sends a request; fails if there is no response, with a sentence. */
export type Send = (url: string, request: Outgoing) => Promise<Response>;

interface SendMessage extends Omit<Outgoing, "signal"> {
  t: "send";
  url: string;
}
/** One chunk is sent for each `pull`, so that a slow reader holds up the server and not this computer's memory. */
type ToWorker = "pull" | "cancel";
type FromWorker =
  | { t: "head"; status: number; statusText: string; headers: [string, string][] }
  | { t: "chunk"; bytes: Uint8Array<ArrayBuffer> }
  | { t: "end" }
  | { t: "failed"; message: string };

/** The side of a worker that the page uses. */
export type RelayWorker = Pick<Worker, "postMessage" | "addEventListener">;

/** Statuses whose responses have no body (Fetch standard). */
const NULL_BODY_STATUS = new Set([101, 103, 204, 205, 304]);

/** The page's side. */
export function relayed(worker: RelayWorker): Send {
  const open = new Set<(error: ConsoleError) => void>();
  let broken: ConsoleError | undefined;
  worker.addEventListener("error", (event) => {
    const { message } = event as ErrorEvent;
    broken = new ConsoleError("relay_failed", `The part of this page that reaches other servers could not be loaded or has failed. Reload the page.${message ? ` (${message})` : ""}`);
    for (const fail of [...open]) fail(broken);
  });
  return (url, { signal, ...request }) =>
    new Promise<Response>((resolve, reject) => {
      if (broken) return reject(broken);
      if (signal?.aborted) return reject(signal.reason);
      const { port1: port, port2 } = new MessageChannel();
      const tell = (message: ToWorker): void => port.postMessage(message);
      let body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
      let pulled: (() => void) | undefined;
      const over = (): void => {
        open.delete(fail);
        signal?.removeEventListener("abort", abort);
        port.close();
        pulled?.();
      };
      const fail = (error: unknown): void => {
        over();
        reject(error);
        body?.error(error);
      };
      const abort = (): void => {
        tell("cancel");
        fail(signal?.reason);
      };
      open.add(fail);
      signal?.addEventListener("abort", abort);
      port.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        switch (data.t) {
          case "head": {
            const { status, statusText, headers } = data;
            if (NULL_BODY_STATUS.has(status)) return resolve(new Response(null, { status, statusText, headers }));
            const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
              start: (controller) => void (body = controller),
              pull: () => {
                tell("pull");
                return new Promise((resolve) => void (pulled = resolve));
              },
              cancel: () => {
                tell("cancel");
                over();
              },
            });
            return resolve(new Response(stream, { status, statusText, headers }));
          }
          case "chunk":
            body?.enqueue(data.bytes);
            pulled?.();
            return;
          case "end":
            body?.close();
            return over();
          case "failed":
            return fail(new ConsoleError("unreachable", data.message));
        }
      };
      worker.postMessage({ t: "send", url, ...request } satisfies SendMessage, [port2]);
    });
}

/** The worker's side: `scope` is the worker's global scope. */
export function serveRelay(scope: Pick<EventTarget, "addEventListener">, send: typeof fetch = fetch): void {
  scope.addEventListener("message", (event) => {
    const { data, ports } = event as MessageEvent<SendMessage>;
    const port = ports[0];
    if (data?.t === "send" && port) void carry(data, port, send);
  });
}

async function carry({ url, method, headers, body }: SendMessage, port: MessagePort, send: typeof fetch): Promise<void> {
  const tell = (message: FromWorker, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const abort = new AbortController();
  let wanted: () => void = () => undefined;
  let asked = 0;
  let answered = false;
  port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    if (data === "cancel") abort.abort();
    else asked += 1;
    wanted();
  };
  try {
    const response = await send(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      signal: abort.signal,
      // A token is for the address that the person named, and for no other that this one may point to.
      redirect: "manual",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    if (response.type === "opaqueredirect") return tell({ t: "failed", message: "The server sends this address on to another one. Give that one, for a token is sent to no address that was not named." });
    const { status, statusText } = response;
    answered = true;
    tell({ t: "head", status, statusText, headers: [...response.headers] as [string, string][] });
    const reader = response.body?.getReader();
    while (reader && !abort.signal.aborted) {
      while (asked === 0 && !abort.signal.aborted) await new Promise<void>((resolve) => void (wanted = resolve));
      if (abort.signal.aborted) break;
      const { done, value } = await reader.read();
      if (done) break;
      asked -= 1;
      // A copy: the chunk's buffer is transferred, and may be a part of a larger one.
      const bytes = value.slice();
      tell({ t: "chunk", bytes }, [bytes.buffer]);
    }
    tell({ t: "end" });
  } catch (error) {
    // After a cancellation nobody listens; what a port that is closed is told goes nowhere.
    const reason = error instanceof Error ? error.message : String(error);
    // A browser tells a page no more than this, lest it find out about networks that it has no business with.
    tell({ t: "failed", message: answered ? `The answer broke off (${reason}).` : `The server is down, or the network is, or the server does not let this site ask (${reason}).` });
  } finally {
    port.close();
  }
}
