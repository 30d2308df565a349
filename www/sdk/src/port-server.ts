// The worker's end of one connection: answers requests and controls that come over a port.

import { BodySender } from "./body.js";
import { MobkitError, toErrorData } from "./error.js";
import { PROTOCOL_VERSION, type ClientMessage, type Port, type StateReport, type WorkerMessage } from "./protocol.js";

/** What answers. */
export interface PortHandler {
  /** Answers one request. The request's signal is aborted when the page does not want the answer any more. */
  fetch(request: Request): Promise<Response>;
  /** Answers one control with a value that can be posted, or with a stream of bytes. */
  control(name: string, payload: unknown, signal: AbortSignal): Promise<unknown>;
}

interface Open {
  readonly abort: AbortController;
  sender?: BodySender;
  /** Credit that came before the body did. */
  credit: number;
}

/** One connection. */
export class PortServer {
  readonly #port: Port;
  readonly #handler: PortHandler;
  readonly #onClose: () => void;
  readonly #open = new Map<number, Open>();
  #closed = false;

  constructor(port: Port, handler: PortHandler, options: { alive: string | null; state: StateReport; onClose?: () => void }) {
    this.#port = port;
    this.#handler = handler;
    this.#onClose = options.onClose ?? (() => {});
    port.addEventListener("message", this.#onMessage);
    port.start?.();
    this.#post({ t: "hello", protocol: PROTOCOL_VERSION, alive: options.alive });
    this.state(options.state);
  }

  /** Tells the page about a new state. */
  state(report: StateReport): void {
    this.#post({ t: "state", ...report });
  }

  /** Ends the connection: everything open is aborted. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#port.removeEventListener("message", this.#onMessage);
    for (const open of this.#open.values()) this.#abort(open);
    this.#open.clear();
    this.#port.close?.();
    this.#onClose();
  }

  readonly #onMessage = (event: MessageEvent): void => {
    const message = event.data as ClientMessage;
    switch (message.t) {
      case "request":
        void this.#serve(message.id, message.credit, async (signal, open) => {
          const response = await this.#handler.fetch(new Request(message.url, {
            method: message.method,
            headers: message.headers,
            body: message.body as BodyInit | null,
            signal,
          }));
          if (signal.aborted) {
            await response.body?.cancel();
            return;
          }
          const { status, statusText } = response;
          this.#post({
            t: "response", id: message.id, status, statusText,
            headers: [...response.headers], body: response.body !== null,
          });
          if (response.body) await this.#send(message.id, open, response.body);
        });
        break;
      case "control":
        void this.#serve(message.id, message.credit, async (signal, open) => {
          const value = await this.#handler.control(message.name, message.payload, signal);
          if (value instanceof ReadableStream) {
            this.#post({ t: "result", id: message.id, value: null, stream: true });
            await this.#send(message.id, open, value as ReadableStream<Uint8Array>);
          } else {
            this.#post({ t: "result", id: message.id, value, stream: false });
          }
        });
        break;
      case "credit": {
        const open = this.#open.get(message.id);
        if (open?.sender) open.sender.grant(message.chunks);
        else if (open) open.credit += message.chunks;
        break;
      }
      case "abort": {
        const open = this.#open.get(message.id);
        if (open) this.#abort(open);
        break;
      }
      case "close":
        this.close();
        break;
    }
  };

  async #serve(id: number, credit: number, answer: (signal: AbortSignal, open: Open) => Promise<void>): Promise<void> {
    const open: Open = { abort: new AbortController(), credit };
    this.#open.set(id, open);
    try {
      await answer(open.abort.signal, open);
    } catch (error) {
      // After an abort nobody waits for this number any more.
      if (!open.abort.signal.aborted) this.#post({ t: "error", id, error: toErrorData(error) });
    } finally {
      this.#open.delete(id);
    }
  }

  async #send(id: number, open: Open, stream: ReadableStream<Uint8Array>): Promise<void> {
    const sender = new BodySender(stream, open.credit);
    open.sender = sender;
    if (open.abort.signal.aborted) sender.cancel();
    const ended = await sender.run((bytes) => this.#post({ t: "chunk", id, bytes }, [bytes.buffer as ArrayBuffer]));
    if (ended) this.#post({ t: "end", id });
  }

  #abort(open: Open): void {
    open.abort.abort(new MobkitError("aborted", "the caller does not want the answer any more"));
    open.sender?.cancel();
  }

  #post(message: WorkerMessage, transfer?: Transferable[]): void {
    if (!this.#closed) this.#port.postMessage(message, transfer);
  }
}
