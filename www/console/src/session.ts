// One page's life: reads the definition, starts the runtime in its worker, follows it; tells what went wrong if it does not start. With a
// remote mob there is nothing to start: the page waits until it answers, and follows it.

import { batch, effect, type Signal, signal, untracked } from "@preact/signals";
import { App } from "./app.ts";
import { ConsoleError, type RuntimeClient, toConsoleError } from "./client.ts";
import type { RemoteClient } from "./remote/client.ts";
import type { ModelChoice, Settings } from "./settings.ts";

/** What the worker's `start` control takes. */
export interface StartRequest {
  definitionToml: string;
  storageName: string;
  model: ModelRequest;
  ifLocked: "follow";
}

/** A model as the worker makes it; a key travels to the worker's memory and is stored nowhere. */
export type ModelRequest = { kind: "demo" } | { kind: "openai"; baseUrl: string; model?: string; apiKey?: string } | { kind: "none" };

/** Where the start stands. */
export type Boot = { phase: "starting" } | { phase: "ready" } | { phase: "failed"; error: ConsoleError };

/** What the page gives to a session. */
export interface SessionEnvironment {
  storageName: string;
  settings: Settings;
  /** The definition that the page was served with. */
  servedDefinition(): Promise<string>;
  /** The mob is a server's; then it is the session's client too. */
  remote?: RemoteClient;
}

/** The page's one session. */
export class Session {
  readonly app: App;
  readonly boot: Signal<Boot> = signal({ phase: "starting" });
  /** The definition in force, once the start has read it. */
  readonly definition = signal("");
  /** What serves the models now; it differs from the remembered choice while a key is missing. */
  readonly model: Signal<ModelRequest> = signal({ kind: "none" });

  /** The settings' words for what is in use. */
  #chosenDefinition: string | undefined;
  #chosenModel: ModelChoice;
  #opening: AbortController | undefined;

  constructor(
    readonly client: RuntimeClient,
    readonly env: SessionEnvironment,
  ) {
    this.app = new App(client);
    this.#chosenModel = env.settings.model.value;
    this.model.value = modelRequest(this.#chosenModel);
    if (env.remote) {
      this.app.host = env.remote.address.host;
      // What serves its models is its own affair, and no other tab of this browser leads it.
      return;
    }
    effect(() => {
      const model = this.model.value;
      this.app.servedBy.value = model.kind === "demo" ? "demo model" : model.kind === "none" ? "no model" : model.model ? `model ${model.model}` : undefined;
    });
    this.#obeyOtherTabs();
  }

  /** The tab that leads may be given another definition or model: a follower leads with the same ones when its turn comes. */
  #obeyOtherTabs(): void {
    const follows = (): boolean => this.boot.value.phase === "ready" && this.app.client.value.state === "follower";
    effect(() => {
      if (this.settings.definition.value === this.#chosenDefinition || !follows()) return;
      void untracked(() => this.#anew());
    });
    effect(() => {
      const choice = this.settings.model.value;
      if (choice === this.#chosenModel || !follows()) return;
      void untracked(() => this.app.attempt("Changing the model", () => this.#configure(choice, modelRequest(choice))));
    });
  }

  get settings(): Settings {
    return this.env.settings;
  }

  /** The server's mob that the page shows, if it is not its own. */
  get remote(): RemoteClient | undefined {
    return this.env.remote;
  }

  /** Starts the runtime and begins to follow it. */
  async start(): Promise<void> {
    this.boot.value = { phase: "starting" };
    if (this.remote) return await this.#open(this.remote);
    this.#booted(await failureOf(this.#startWith(this.settings.definition.value)));
  }

  /** Waits for a remote mob, as long as that takes: until somebody has signed in, and the server answers. */
  async #open(remote: RemoteClient): Promise<void> {
    this.#opening?.abort();
    const { signal } = (this.#opening = new AbortController());
    const failure = await failureOf(remote.open(signal));
    if (!signal.aborted) this.#booted(failure);
  }

  /** Gives the token back. Whoever signs in next may be somebody else, and finds nothing of what was here. */
  signOut(): void {
    if (!this.remote) return;
    this.app.close();
    this.remote.signOut();
    this.app.forget();
    this.settings.selected.value = undefined;
    this.settings.seenChanges.value = "";
    this.settings.approver.value = "";
    void this.start();
  }

  /**
   * Starts anew with another definition over the same storage; the worker goes on leading meanwhile. A definition that is wrong
   * is refused, and the mob goes on with the one that it has.
   */
  async useDefinition(toml: string | undefined): Promise<void> {
    const before = this.#chosenDefinition;
    if (this.boot.value.phase !== "ready") this.boot.value = { phase: "starting" };
    this.app.close();
    const failure = await failureOf(this.#startWith(toml));
    this.app.clear();
    if (failure && (this.client.state === "leader" || this.client.state === "follower")) {
      this.#chosenDefinition = before;
      this.app.connect();
      throw failure;
    }
    this.settings.definition.value = toml;
    this.settings.seenChanges.value = "";
    this.#booted(failure);
  }

  /** Starts with a definition, or with the one that the page was served with. */
  async #startWith(chosen: string | undefined): Promise<void> {
    this.#chosenDefinition = chosen;
    const definitionToml = chosen ?? (await this.env.servedDefinition());
    // What cannot be started is shown, to be mended.
    if (this.boot.value.phase === "starting") this.definition.value = definitionToml;
    const request: StartRequest = { definitionToml, storageName: this.env.storageName, model: this.model.value, ifLocked: "follow" };
    await this.client.control("start", request);
    this.definition.value = definitionToml;
  }

  #booted(failure: ConsoleError | undefined): void {
    batch(() => {
      this.boot.value = failure ? { phase: "failed", error: failure } : { phase: "ready" };
      if (!failure) this.app.connect();
    });
  }

  /** Deletes everything stored and starts anew. */
  async erase(): Promise<void> {
    this.app.close();
    try {
      await this.client.control("erase");
    } catch (error) {
      this.app.connect();
      throw error;
    }
    await this.#anew();
  }

  /** Starts with what the settings say, in place of what runs. */
  async #anew(): Promise<void> {
    this.app.close();
    this.app.clear();
    await this.start();
  }

  /** Gives the mob another model from now on, and remembers the choice without its key. */
  async useModel(choice: ModelChoice, apiKey: string): Promise<void> {
    const remembered = choice.kind === "openai" ? { ...choice, needsKey: apiKey !== "" } : choice;
    await this.#configure(remembered, modelRequest(choice, apiKey));
    this.settings.model.value = remembered;
    await this.app.refresh();
  }

  async #configure(choice: ModelChoice, request: ModelRequest): Promise<void> {
    this.#chosenModel = choice;
    await this.client.control("configure_model", request);
    this.model.value = request;
  }
}

function failureOf(work: Promise<void>): Promise<ConsoleError | undefined> {
  return work.then(() => undefined, toConsoleError);
}

/** A choice as a request. Without the key that it needs there is no model: work waits instead of failing. */
export function modelRequest(choice: ModelChoice, apiKey = ""): ModelRequest {
  if (choice.kind === "demo") return { kind: "demo" };
  if (choice.needsKey && apiKey === "") return { kind: "none" };
  return { kind: "openai", baseUrl: choice.baseUrl, ...(choice.model ? { model: choice.model } : {}), ...(apiKey ? { apiKey } : {}) };
}
