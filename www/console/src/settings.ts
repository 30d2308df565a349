// What the page remembers between visits. Never a key: those live in memory, and only in the worker once they were given.

import { type Signal, signal } from "@preact/signals";

/** Which model serves the mob. `needsKey` says that a key was given last time and has to be given again. */
export type ModelChoice = { kind: "demo" } | { kind: "openai"; baseUrl: string; model: string; needsKey: boolean };
export type Theme = "system" | "light" | "dark";

/** The browser's news of a change that another tab made. */
export type StorageNews = Pick<StorageEvent, "key" | "newValue">;

/** The remembered choices of one storage name. Tabs share them, but for the open chat. */
export class Settings {
  readonly theme: Signal<Theme>;
  readonly model: Signal<ModelChoice>;
  /** A definition that the person wrote here, in place of the one that the page was served with. */
  readonly definition: Signal<string | undefined>;
  readonly selected: Signal<string | undefined>;
  /** Definition changes that the person has read, as one text. */
  readonly seenChanges: Signal<string>;
  /** The name in which the person decides what waits for approval. */
  readonly approver: Signal<string>;

  readonly #prefix: string;
  readonly #store: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined;
  readonly #takers = new Map<string, (text: string | null) => void>();

  constructor(storageName: string, store: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined) {
    this.#prefix = `mobkit-console/${storageName}/`;
    this.#store = store;
    this.theme = this.#remember<Theme>("theme", "system", (value) => value === "light" || value === "dark" || value === "system");
    this.model = this.#remember<ModelChoice>("model", { kind: "demo" }, isModelChoice);
    this.definition = this.#remember<string | undefined>("definition", undefined, (value) => typeof value === "string");
    this.selected = this.#remember<string | undefined>("selected", undefined, (value) => typeof value === "string", false);
    this.seenChanges = this.#remember<string>("seen-changes", "", (value) => typeof value === "string");
    this.approver = this.#remember<string>("approver", "", (value) => typeof value === "string");
  }

  /** Takes what another tab has chosen. */
  take({ key, newValue }: StorageNews): void {
    if (key !== null) this.#takers.get(key)?.(newValue);
  }

  #remember<T>(name: string, initial: T, valid: (value: unknown) => boolean, shared = true): Signal<T> {
    const key = this.#prefix + name;
    const read = (text: string | null): T => {
      try {
        const stored: unknown = JSON.parse(text ?? "null");
        if (valid(stored)) return stored as T;
      } catch {
        // Text that is not ours.
      }
      return initial;
    };
    let stored: string | null = null;
    try {
      stored = this.#store?.getItem(key) ?? null;
    } catch {
      // A store that a browser's policy forbids: the page starts with its defaults.
    }
    const state = signal(read(stored));
    if (shared) this.#takers.set(key, (text) => (state.value = read(text)));
    let first = true;
    state.subscribe((next) => {
      if (first) {
        first = false;
        return;
      }
      try {
        if (next === undefined) this.#store?.removeItem(key);
        else this.#store?.setItem(key, JSON.stringify(next));
      } catch (error) {
        console.warn("mobkit-console: a setting could not be remembered", name, error);
      }
    });
    return state;
  }
}

function isModelChoice(value: unknown): boolean {
  if (!value || typeof value !== "object") return false;
  const choice = value as Record<string, unknown>;
  return choice["kind"] === "demo" || (choice["kind"] === "openai" && typeof choice["baseUrl"] === "string" && typeof choice["model"] === "string");
}
