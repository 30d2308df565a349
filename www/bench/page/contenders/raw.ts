// IndexedDB itself, with as little around it as there can be.

import { type Contender, done, type Event, groups, type Store, Tally } from "./contender.ts";
import { eventMaker } from "./log.ts";

const STORE = "events";

/** A row for each event. */
export function rawRows(name: string, { perTransaction, page }: { perTransaction: number; page: number }): Contender {
  return {
    name,
    async open(database) {
      const make = await eventMaker();
      const db = await open(database, "seq");
      let prepared: Event[][] = [];
      return {
        prepare(first, count) {
          prepared = groups(Array.from({ length: count }, (_, at) => make(first + at)), perTransaction);
        },
        append: () => write(db, prepared, (store, group) => group.forEach((event) => store.add(event))),
        async replay(after) {
          const tally = new Tally();
          for (let at = after;;) {
            const events: Event[] = await done(db.transaction(STORE).objectStore(STORE).getAll(IDBKeyRange.lowerBound(at, true), page));
            for (const event of events) tally.add(event);
            if (events.length < page) return tally;
            at = tally.last;
          }
        },
        close: async () => db.close(),
      } satisfies Store;
    },
  };
}

/** One record for many events, and one transaction for each record. */
export function rawRecords(name: string, { perRecord, page }: { perRecord: number; page: number }): Contender {
  interface Record {
    first: number;
    events: Event[];
  }
  return {
    name,
    async open(database) {
      const make = await eventMaker();
      const db = await open(database, "first");
      let prepared: Event[][] = [];
      return {
        prepare(first, count) {
          prepared = groups(Array.from({ length: count }, (_, at) => make(first + at)), perRecord);
        },
        append: () => write(db, prepared, (store, events) => store.add({ first: events[0]?.seq ?? 0, events } satisfies Record)),
        async replay(after) {
          const tally = new Tally();
          // The record that the cursor lies in begins at most so far before it.
          for (let at = after - perRecord;;) {
            const records: Record[] = await done(db.transaction(STORE).objectStore(STORE).getAll(IDBKeyRange.lowerBound(at, true), page));
            for (const { events } of records) for (const event of events) if (event.seq > after) tally.add(event);
            const last = records.at(-1);
            if (!last || records.length < page) return tally;
            at = last.first;
          }
        },
        close: async () => db.close(),
      } satisfies Store;
    },
  };
}

function open(database: string, keyPath: string): Promise<IDBDatabase> {
  const request = indexedDB.open(database, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath });
  return done(request);
}

/** A transaction for each group, each after the one before is complete. */
async function write(db: IDBDatabase, groups: Event[][], put: (store: IDBObjectStore, group: Event[]) => void): Promise<void> {
  for (const group of groups) {
    const transaction = db.transaction(STORE, "readwrite", { durability: "relaxed" });
    const complete = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    put(transaction.objectStore(STORE), group);
    transaction.commit();
    await complete;
  }
}
