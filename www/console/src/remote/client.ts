// A mob that a server has, as the page sees it: the same contract as the page's own runtime, over the network and behind a sign-in.
//
// A request with a signal belongs to a reader, which can wait: while the server is away, or until somebody has signed in. One without is
// somebody's order. It fails at once when the server is away, for nobody wants it carried out an hour later; only the sign-in, which
// covers the page, is waited for.

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type ClientReport, type ClientState, ConsoleError, rpc, type RuntimeClient, toConsoleError } from "../client.ts";
import type { RuntimeStatus } from "../wire.ts";
import { below, type RemoteAddress } from "./address.ts";
import { browserClock, type Clock, pauseMs } from "./clock.ts";
import { verdictOf } from "./refusal.ts";
import type { Outgoing, Send } from "./relay.ts";
import { type TabStorage, TokenKeeper, tokenOf } from "./token.ts";

/** Whether somebody has to sign in before anything goes on. */
export type SignIn = { needed: false } | { needed: true; refusal: ConsoleError | undefined };

export interface RemoteEnvironment {
  send: Send;
  /** The tab's own storage, where it may be used. */
  tab?: TabStorage | undefined;
  clock?: Clock;
}

/** A server that begins no answer within this time has none. */
const ANSWER_MS = 30_000;
/** Orders may take longer: a reconciliation asks the application first. */
const ORDER_MS = 120_000;
/** A stream says something every 15 seconds; one that is silent for three times as long is dead, though nobody said so. */
const SILENCE_MS = 45_000;

export class RemoteClient implements RuntimeClient {
  readonly signIn: ReadonlySignal<SignIn>;
  /** Whether a token is in use, which can be given back. */
  readonly hasToken: ReadonlySignal<boolean>;

  readonly #signIn: Signal<SignIn> = signal({ needed: false });
  readonly #hasToken: Signal<boolean>;
  readonly #send: Send;
  readonly #clock: Clock;
  readonly #token: TokenKeeper;
  readonly #listeners = new Set<(report: ClientReport) => void>();
  /** Those who wait for the server or for a sign-in; all look again at every change. */
  readonly #waiting = new Set<() => void>();
  #report: ClientReport = { state: "starting", error: null, restarts: 0 };
  #answered = false;
  /** Set while the server is away; its abort ends the pause. */
  #away: { error: ConsoleError; pause: AbortController } | undefined;
  /** How often in a row the server was asked in vain. */
  #vain = 0;
  /** Counts sign-outs: what was begun before one is not carried out after it. */
  #visit = 0;
  readonly #closed = new AbortController();

  constructor(
    readonly address: RemoteAddress,
    environment: RemoteEnvironment,
  ) {
    this.signIn = this.#signIn;
    this.#send = environment.send;
    this.#clock = environment.clock ?? browserClock;
    this.#token = new TokenKeeper(address.base, environment.tab);
    this.#hasToken = signal(this.#token.value !== undefined);
    this.hasToken = this.#hasToken;
  }

  get state(): ClientState {
    return this.#report.state;
  }

  get error(): ClientReport["error"] {
    return this.#report.error;
  }

  get restarts(): number {
    return 0;
  }

  onState(callback: (report: ClientReport) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  /** Waits until the mob is there and answers. Fails if something else is at its address. */
  async open(signal: AbortSignal): Promise<void> {
    try {
      await rpc<RuntimeStatus>(this, "mobkit/status", {}, signal);
    } catch (caught) {
      const error = toConsoleError(caught);
      if (error.code !== "bad_response" && error.code !== "http_error") throw error;
      throw new ConsoleError("no_mob_here", `No mob answers at ${this.address.base}. Is the address right? (${error.message})`, error.data);
    }
  }

  async fetch(input: string, init: RequestInit = {}): Promise<Response> {
    const url = below(this.address, input);
    const signal = init.signal ?? undefined;
    const visit = this.#visit;
    if (init.body !== undefined && init.body !== null && typeof init.body !== "string") throw new ConsoleError("invalid_params", "only text can be sent to a remote mob");
    for (;;) {
      await this.#pass(signal, visit);
      const token = this.#token.value;
      let response: Response;
      try {
        response = await this.#attempt(url, init, token, signal ? ANSWER_MS : ORDER_MS);
      } catch (caught) {
        signal?.throwIfAborted();
        const error = toConsoleError(caught);
        this.#lost(error, undefined);
        if (!signal) throw error;
        continue;
      }
      const verdict = await verdictOf(response, this.#clock.now());
      switch (verdict.kind) {
        case "answer":
          this.#found();
          return response;
        case "unauthorized":
          this.#refused(token, verdict.error);
          break;
        case "forbidden":
          if (!signal) throw verdict.error;
          this.#refused(token, verdict.error);
          break;
        case "busy":
          this.#found();
          if (!signal) throw verdict.error;
          await this.#clock.sleep(verdict.waitMs + pauseMs(0, this.#clock.random()), AbortSignal.any([signal, this.#closed.signal]));
          break;
        case "away":
          this.#lost(verdict.error, verdict.waitMs);
          if (!signal) throw verdict.error;
          break;
        case "refused":
          this.#found();
          throw verdict.error;
      }
    }
  }

  /** What only the page's own runtime can be told. */
  control(name: string): Promise<never> {
    return Promise.reject(new ConsoleError("not_here", `${name}: this is done where the mob runs, not from here`));
  }

  /** Tries a token, and goes on with it if it is accepted; fails with the reason if it is not. */
  async useToken(text: string, keep: boolean): Promise<void> {
    const token = tokenOf(text);
    if (token === undefined) throw new ConsoleError("invalid_token", "This is no token: one has no spaces in it, and no letters but those of plain English.");
    const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "mobkit/status", params: {} }) };
    const response = await this.#attempt(below(this.address, "/console/rpc"), request, token, ANSWER_MS);
    const verdict = await verdictOf(response, this.#clock.now());
    if (verdict.kind !== "answer") throw verdict.error;
    discard(response);
    this.#token.take(token, keep);
    this.#hasToken.value = true;
    this.#signIn.value = { needed: false };
    this.#found();
    this.#wake();
  }

  /** Forgets the token. What is under way ends, and is not begun again by whoever signs in next. */
  signOut(): void {
    this.#visit += 1;
    this.#forget();
    this.#signIn.value = { needed: true, refusal: undefined };
    this.#tell("starting", null);
    this.#wake();
  }

  /** Asks a server that is away now, not after the pause. */
  retryNow(): void {
    this.#vain = 0;
    this.#away?.pause.abort();
  }

  close(): void {
    this.#closed.abort();
    this.#away?.pause.abort();
    this.#tell("stopped", null);
    this.#wake();
  }

  /** Waits until a request may go out. */
  async #pass(signal: AbortSignal | undefined, visit: number): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closed.signal.aborted) throw new ConsoleError("runtime_stopped", "The connection to the mob was closed");
      if (visit !== this.#visit) throw new ConsoleError("signed_out", "You have signed out before this was done");
      if (this.#away && !signal) throw this.#away.error;
      if (!this.#away && !this.#signIn.value.needed) return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        this.#waiting.add(done);
        signal?.addEventListener("abort", done);
      });
    }
  }

  /** One request over the network. */
  async #attempt(url: string, init: RequestInit, token: string | undefined, limitMs: number): Promise<Response> {
    const { body } = init;
    const given = init.signal ?? undefined;
    const limit = new AbortController();
    const over = new AbortController();
    const outgoing: Outgoing = {
      method: init.method ?? "GET",
      headers: { ...Object.fromEntries(new Headers(init.headers)), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      ...(typeof body === "string" ? { body } : {}),
      signal: AbortSignal.any([...(given ? [given] : []), limit.signal, this.#closed.signal]),
    };
    void this.#clock.sleep(limitMs, over.signal).then(() => {
      if (!over.signal.aborted) limit.abort(new ConsoleError("unreachable", `${this.address.host} has not answered within ${limitMs / 1000} seconds`));
    });
    try {
      const response = await this.#send(url, outgoing);
      return response.headers.get("content-type")?.startsWith("text/event-stream") ? this.#watched(response) : response;
    } finally {
      over.abort();
    }
  }

  /** A stream that fails when it has been silent for too long: a connection that was cut on the way ends on the server's side only. */
  #watched(response: Response): Response {
    if (!response.body) return response;
    const reader = response.body.getReader();
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const heard = new AbortController();
        const silence = this.#clock.sleep(SILENCE_MS, heard.signal).then(() => {
          if (heard.signal.aborted) return undefined;
          throw new ConsoleError("stream_silent", `${this.address.host} has said nothing for ${SILENCE_MS / 1000} seconds`);
        });
        try {
          const next = await Promise.race([reader.read(), silence.then(() => undefined)]);
          if (!next || next.done) return controller.close();
          controller.enqueue(next.value);
        } catch (error) {
          // Nobody reads it any further; that it cannot be cancelled either is nothing to add.
          reader.cancel(error).catch(() => undefined);
          throw error;
        } finally {
          heard.abort();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
    return new Response(stream, { status: response.status, statusText: response.statusText, headers: response.headers });
  }

  #refused(token: string | undefined, error: ConsoleError): void {
    this.#arrived();
    // Another token has come meanwhile, or another request has asked for one.
    if (token !== this.#token.value || this.#signIn.value.needed) return;
    this.#forget();
    this.#signIn.value = { needed: true, refusal: error };
    this.#tell("starting", error);
    this.#wake();
  }

  #forget(): void {
    this.#token.forget();
    this.#hasToken.value = false;
  }

  #found(): void {
    this.#vain = 0;
    this.#arrived();
    // An answer to what was asked before a sign-out says nothing about who is here now.
    if (!this.#signIn.value.needed) this.#tell("leader", null);
  }

  /** The server is there, whatever it says. */
  #arrived(): void {
    this.#answered = true;
    if (!this.#away) return;
    this.#away = undefined;
    this.#wake();
  }

  #lost(error: ConsoleError, waitMs: number | undefined): void {
    if (this.#away || this.#closed.signal.aborted) return;
    this.#away = { error, pause: new AbortController() };
    if (!this.#signIn.value.needed) this.#tell(this.#answered ? "crashed" : "starting", error);
    void this.#ask(waitMs);
  }

  /** Asks until the server answers, with growing pauses. */
  async #ask(waitMs: number | undefined): Promise<void> {
    let least = waitMs;
    while (this.#away) {
      const { pause } = this.#away;
      await this.#clock.sleep(Math.max(pauseMs(this.#vain++, this.#clock.random()), least ?? 0), AbortSignal.any([pause.signal, this.#closed.signal]));
      if (this.#closed.signal.aborted || !this.#away) return;
      this.#away.pause = new AbortController();
      least = await this.#probe();
    }
  }

  /** Asks once what a page asks first; answers how long the server wants to be left alone. */
  async #probe(): Promise<number | undefined> {
    const token = this.#token.value;
    const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "mobkit/status", params: {} }) };
    try {
      const response = await this.#attempt(below(this.address, "/console/rpc"), request, token, ANSWER_MS);
      const verdict = await verdictOf(response, this.#clock.now());
      switch (verdict.kind) {
        case "away":
          this.#still(verdict.error);
          return verdict.waitMs;
        case "unauthorized":
        case "forbidden":
          this.#vain = 0;
          this.#refused(token, verdict.error);
          return undefined;
        case "answer":
          discard(response);
          this.#found();
          return undefined;
        default:
          this.#found();
          return undefined;
      }
    } catch (caught) {
      this.#still(toConsoleError(caught));
      return undefined;
    }
  }

  /** The latest reason is the one to show. */
  #still(error: ConsoleError): void {
    if (!this.#away) return;
    this.#away.error = error;
    if (!this.#signIn.value.needed && this.#report.error?.message !== error.message) this.#tell(this.#report.state, error);
  }

  #tell(state: ClientState, error: ConsoleError | null): void {
    if (this.#report.state === "stopped" || (this.#report.state === state && this.#report.error === error)) return;
    this.#report = { state, error, restarts: 0 };
    for (const listener of [...this.#listeners]) listener(this.#report);
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** Leaves a response unread. */
function discard(response: Response): void {
  // It is of no interest any more, and so is whether it could be told.
  response.body?.cancel().catch(() => undefined);
}
