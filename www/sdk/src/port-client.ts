// The page's end of one connection: sends requests and controls over a port and puts the answers together.

import { BodyReceiver, bytesOf, READ_AHEAD } from "./body.js";
import { fromErrorData, MobkitError } from "./error.js";
import { PROTOCOL_VERSION, type ClientMessage, type Port, type StateReport, type WorkerMessage } from "./protocol.js";

/** What the connection tells its owner. */
export interface PortClientEvents {
  hello(alive: string | null): void;
  state(report: StateReport): void;
  /** The worker speaks another protocol; nothing will be answered. */
  mismatch(protocol: number): void;
}

interface Pending {
  resolve(value: Response | unknown): void;
  reject(reason: unknown): void;
  /** Once the answer has begun. */
  receiver?: BodyReceiver;
  release(): void;
}

/** Statuses whose responses have no body (Fetch standard). */
const NULL_BODY_STATUS = new Set([101, 103, 204, 205, 304]);

/** One connection. */
export class PortClient {
  readonly #port: Port;
  readonly #events: PortClientEvents;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #ended: unknown;

  constructor(port: Port, events: PortClientEvents) {
    this.#port = port;
    this.#events = events;
    port.addEventListener("message", this.#onMessage);
    port.start?.();
  }

  /** Sends a request and resolves with its response as soon as that begins. */
  async fetch(request: Request): Promise<Response> {
    const signal = request.signal;
    signal.throwIfAborted();
    const body = await bytesOf(request);
    const { method, url } = request;
    const headers = [...request.headers] as [string, string][];
    return await this.#ask(signal, (id) => {
      this.#post({ t: "request", id, method, url, headers, body, credit: READ_AHEAD }, body ? [body.buffer] : []);
    }) as Response;
  }

  /** Sends a control and resolves with its value or its stream. */
  control(name: string, payload: unknown, signal?: AbortSignal): Promise<unknown> {
    return this.#ask(signal, (id) => this.#post({ t: "control", id, name, payload, credit: READ_AHEAD }));
  }

  /** Sends a control that nobody waits for. */
  notify(name: string, payload: unknown): void {
    // The answer is of no interest, and the page may be gone before it comes.
    this.control(name, payload).catch(() => {});
  }

  /** Ends the connection: everything open fails with `reason`. */
  end(reason: unknown): void {
    if (this.#ended !== undefined) return;
    this.#post({ t: "close" });
    this.#ended = reason;
    this.#port.removeEventListener("message", this.#onMessage);
    this.#port.close?.();
    for (const pending of [...this.#pending.values()]) {
      pending.release();
      pending.reject(reason);
      pending.receiver?.error(reason);
    }
    this.#pending.clear();
  }

  #ask(signal: AbortSignal | undefined, post: (id: number) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      if (signal?.aborted) return reject(signal.reason);
      const id = this.#nextId++;
      const onAbort = () => {
        this.#drop(id, true);
        reject(signal?.reason);
        pending.receiver?.error(signal?.reason);
      };
      const pending: Pending = { resolve, reject, release: () => signal?.removeEventListener("abort", onAbort) };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(id, pending);
      try {
        post(id);
      } catch (error) {
        // A payload that cannot be cloned is the caller's mistake.
        this.#drop(id, false);
        reject(error);
      }
    });
  }

  readonly #onMessage = (event: MessageEvent): void => {
    const message = event.data as WorkerMessage;
    switch (message.t) {
      case "hello":
        if (message.protocol === PROTOCOL_VERSION) this.#events.hello(message.alive);
        else this.#events.mismatch(message.protocol);
        return;
      case "state":
        this.#events.state({ state: message.state, error: message.error, restarts: message.restarts });
        return;
    }
    const pending = this.#pending.get(message.id);
    // An answer to something that was aborted meanwhile.
    if (!pending) return;
    switch (message.t) {
      case "response": {
        const { status, statusText, headers } = message;
        const init = { status, statusText, headers };
        if (message.body && !NULL_BODY_STATUS.has(status)) {
          pending.resolve(new Response(this.#receive(message.id, pending).stream, init));
        } else {
          this.#drop(message.id, message.body);
          pending.resolve(new Response(null, init));
        }
        break;
      }
      case "result":
        if (message.stream) {
          pending.resolve(this.#receive(message.id, pending).stream);
        } else {
          this.#drop(message.id, false);
          pending.resolve(message.value);
        }
        break;
      case "chunk":
        pending.receiver?.chunk(message.bytes as Uint8Array<ArrayBuffer>);
        break;
      case "end":
        this.#drop(message.id, false);
        pending.receiver?.end();
        break;
      case "error": {
        this.#drop(message.id, false);
        const error = fromErrorData(message.error);
        pending.reject(error);
        pending.receiver?.error(error);
        break;
      }
    }
  };

  #receive(id: number, pending: Pending): BodyReceiver {
    pending.receiver = new BodyReceiver(
      (chunks) => this.#post({ t: "credit", id, chunks }),
      () => this.#drop(id, true),
    );
    return pending.receiver;
  }

  #drop(id: number, tellWorker: boolean): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.release();
    if (tellWorker) this.#post({ t: "abort", id });
  }

  #post(message: ClientMessage, transfer?: Transferable[]): void {
    if (this.#ended === undefined) this.#port.postMessage(message, transfer);
  }
}

/** The error of a connection whose other side speaks another protocol. */
export function mismatchError(protocol: number): MobkitError {
  return new MobkitError(
    "protocol_mismatch",
    `the worker speaks version ${protocol} of the message protocol, this page version ${PROTOCOL_VERSION}: load both from the same build`,
    { worker: protocol, page: PROTOCOL_VERSION },
  );
}
