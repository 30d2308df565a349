// Who takes part: agents that are asked and answer, with everything in mind that was said in the same conversation before.

/** One way to have agents. */
export interface Peer {
  name: string;
  /** Makes it ready, with a model that is reached by this `fetch`. */
  open(fetch: typeof globalThis.fetch): Promise<Team>;
}

/** What is ready. */
export interface Team {
  /** Makes so many new conversations, before the clock runs. */
  begin(conversations: number): Promise<Ask[]>;
  /** Ends it. Whoever says that something is kept sees that it is. */
  close(): Promise<void>;
}

/** One turn of a conversation: from the question to the whole answer. */
export type Ask = (text: string) => Promise<string>;
