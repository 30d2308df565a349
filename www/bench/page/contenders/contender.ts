// Who takes part: everybody stores the same events, and has them durable when a promise of theirs resolves.

/** An event as the JavaScript contenders store it. */
export interface Event {
  /** Its number, from 1. */
  seq: number;
  event: { delta: string };
}

/** What reading found. */
export interface Replayed {
  events: number;
  /** The last one's number. */
  last: number;
  /** Letters of all texts: they prove that each event was decoded. */
  letters: number;
}

/** An open database. */
export interface Store {
  /** Makes the events from the number `first` on, before the clock runs. */
  prepare(first: number, count: number): void;
  /** Stores what was prepared; all of it is durable when it resolves. */
  append(): Promise<void>;
  /** Reads everything after a cursor, oldest first. */
  replay(after: number): Promise<Replayed>;
  close(): Promise<void>;
}

/** A way to store events. */
export interface Contender {
  name: string;
  open(database: string): Promise<Store>;
}

/** Adds up what is read. */
export class Tally implements Replayed {
  events = 0;
  last = 0;
  letters = 0;

  add({ seq, event }: Event): void {
    this.events += 1;
    this.last = seq;
    this.letters += event.delta.length;
  }
}

/** Settles with a request. */
export function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** How long a connection that was closed may take to be gone. */
const CLOSING_MS = 5_000;

/** Deletes a database. It fails if one of ours is still open. */
export function erase(database: string): Promise<unknown> {
  const request = indexedDB.deleteDatabase(database);
  return new Promise((resolve, reject) => {
    // The browser may still be busy with the closing.
    request.onblocked = () => setTimeout(() => reject(new Error(`${database} is still open`)), CLOSING_MS);
    request.onsuccess = resolve;
    request.onerror = () => reject(request.error);
  });
}

/** The events in groups of so many. */
export function groups(events: Event[], size: number): Event[][] {
  return Array.from({ length: Math.ceil(events.length / size) }, (_, at) => events.slice(at * size, (at + 1) * size));
}
