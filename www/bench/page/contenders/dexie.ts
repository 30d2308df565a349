// Dexie, as its documentation has it: `bulkAdd` resolves when its transaction is complete.

import { Dexie, type EntityTable } from "dexie";
import { type Contender, type Event, groups, type Store, Tally } from "./contender.ts";
import { eventMaker } from "./log.ts";

export function dexie(name: string, { perCall, page }: { perCall: number; page: number }): Contender {
  return {
    name,
    async open(database) {
      const make = await eventMaker();
      const db = new Dexie(database, { chromeTransactionDurability: "relaxed" }) as Dexie & { events: EntityTable<Event, "seq"> };
      db.version(1).stores({ events: "seq" });
      await db.open();
      let prepared: Event[][] = [];
      return {
        prepare(first, count) {
          prepared = groups(Array.from({ length: count }, (_, at) => make(first + at)), perCall);
        },
        async append() {
          for (const events of prepared) await db.events.bulkAdd(events);
        },
        async replay(after) {
          const tally = new Tally();
          for (let at = after;;) {
            const events = await db.events.where("seq").above(at).limit(page).toArray();
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
