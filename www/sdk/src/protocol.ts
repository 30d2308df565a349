// The messages between a page and the worker that hosts its runtime.
//
// A page sends requests (fetch-shaped) and controls, each under a number of its own choosing; the worker answers each
// number once, with a response, a result or an error. Bodies cross in chunks: streams do not transfer in every browser.
// The receiver grants credit, one chunk per credit, so a slow reader holds the sender back instead of filling memory.

import type { ErrorData } from "./error.js";

/** Both sides must speak the same version: a page may meet a worker from an older cache. */
export const PROTOCOL_VERSION = 1;

/** What a page posts to the worker itself, with one port: everything else goes over that port. */
export interface ConnectMessage {
  t: "mobkit-connect";
  protocol: number;
}

/** The state of a hosted runtime. */
export type RuntimeState = "starting" | "leader" | "follower" | "crashed" | "stopped";

/** Everything a client needs to know about the state of the runtime. */
export interface StateReport {
  state: RuntimeState;
  /** Why it is `crashed` or `stopped`, or why the last start failed. */
  error: ErrorData | null;
  /** How often the runtime was started anew after a crash. */
  restarts: number;
}

/** From the page. */
export type ClientMessage =
  | {
      t: "request"; id: number; method: string; url: string; headers: [string, string][];
      body: Uint8Array | null; credit: number;
    }
  | { t: "control"; id: number; name: string; payload: unknown; credit: number }
  /** The reader of a body has room for that many chunks more. */
  | { t: "credit"; id: number; chunks: number }
  /** The answer, or the rest of its body, is not wanted any more. */
  | { t: "abort"; id: number }
  | { t: "close" };

/** From the worker. */
export type WorkerMessage =
  /** First message. The worker holds the Web Lock `alive` as long as it lives; null where there are no Web Locks. */
  | { t: "hello"; protocol: number; alive: string | null }
  | ({ t: "state" } & StateReport)
  | { t: "response"; id: number; status: number; statusText: string; headers: [string, string][]; body: boolean }
  | { t: "result"; id: number; value: unknown; stream: boolean }
  | { t: "chunk"; id: number; bytes: Uint8Array }
  | { t: "end"; id: number }
  | { t: "error"; id: number; error: ErrorData };

/** The part of `MessagePort` that the protocol uses; `Worker` and a worker's global scope have it too. */
export interface Port {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  start?(): void;
  close?(): void;
}
