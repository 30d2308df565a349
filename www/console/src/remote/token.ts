// The token that a person signed in with: in the page's memory, and in the tab's storage if the person says so. Nowhere else.

/** The part of a `Storage` that is used; it must be the tab's own (`sessionStorage`). */
export type TabStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** The text of a header can carry nothing else (RFC 6750, section 2.1, and what servers make of it in practice). */
const VISIBLE = /^[\x21-\x7e]+$/;

/** What a person typed or pasted, as a token; undefined if it cannot be one. */
export function tokenOf(text: string): string | undefined {
  const token = text.trim().replace(/^bearer\s+/i, "");
  return VISIBLE.test(token) ? token : undefined;
}

/** Keeps one remote's token. */
export class TokenKeeper {
  readonly #key: string;
  readonly #tab: TabStorage | undefined;
  #token: string | undefined;

  /** One remote's token is never read for another: the key has the whole address. */
  constructor(base: string, tab: TabStorage | undefined) {
    this.#key = `mobkit-console/token/${base}`;
    this.#tab = tab;
    try {
      this.#token = tokenOf(tab?.getItem(this.#key) ?? "");
    } catch {
      // A storage that a browser's policy forbids: the person signs in at each visit.
    }
  }

  get value(): string | undefined {
    return this.#token;
  }

  /** Takes a token, and keeps it for the tab if asked to; answers whether it is kept. */
  take(token: string, keep: boolean): boolean {
    this.forget();
    this.#token = token;
    if (!keep || !this.#tab) return false;
    try {
      this.#tab.setItem(this.#key, token);
      return true;
    } catch (error) {
      console.warn("mobkit-console: the token could not be kept for this tab", error);
      return false;
    }
  }

  forget(): void {
    this.#token = undefined;
    try {
      this.#tab?.removeItem(this.#key);
    } catch (error) {
      console.warn("mobkit-console: the token could not be taken out of this tab's storage", error);
    }
  }
}
