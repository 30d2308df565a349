// Events read again after a cursor, from storage and not from memory.

import { indexedDb } from "mobkit-web";
import { type Contender, type Replayed, type Store } from "./contenders/contender.ts";
import { dexie } from "./contenders/dexie.ts";
import { eventMaker, log } from "./contenders/log.ts";
import { rawRecords, rawRows } from "./contenders/raw.ts";
import { askAll, latestEvent, open, spawn, streaming, timed, workers } from "./mob.ts";

const perTransaction = 100;

const CONTENDERS: Record<string, Contender> = Object.fromEntries([
  log("the log in wasm", 100),
  dexie("Dexie, pages of 256", { perCall: 100, page: 256 }),
  dexie("Dexie, pages of 4 096", { perCall: 100, page: 4_096 }),
  rawRows("IndexedDB, rows in pages of 256", { perTransaction, page: 256 }),
  rawRows("IndexedDB, rows in pages of 4 096", { perTransaction, page: 4_096 }),
  rawRecords("IndexedDB, 64 records of 100 events at a time", { perRecord: 100, page: 64 }),
].map((contender) => [contender.name, contender]));

const MEMBERS = 100;

export interface ReplayPage {
  contenders: string[];
  /** Stores the events to be read. */
  fill(contender: string, events: number, database: string): Promise<void>;
  /** Events per second after the cursor. */
  run(contender: string, events: number, after: number, database: string): Promise<number>;
  /** Lets the members of a runtime stream so many events at least; answers how many there are. */
  fillRuntime(events: number, database: string): Promise<number>;
  /** Events per second after the cursor, up to `events`. */
  runtime(events: number, after: number, database: string): Promise<number>;
}

declare global {
  interface Window {
    replay: ReplayPage;
  }
}

window.replay = {
  contenders: Object.keys(CONTENDERS),
  fill: (name, events, database) => using(name, database, async (store) => {
    store.prepare(1, events);
    await store.append();
  }),
  run: (name, events, after, database) => using(name, database, async (store) => {
    const make = await eventMaker();
    let found: Replayed | undefined;
    const took = await timed(async () => {
      found = await store.replay(after);
    });
    const letters = make(1).event.delta.length * (events - after);
    if (found?.events !== events - after || found.last !== events || found.letters !== letters) {
      throw new Error(`${name} has ${JSON.stringify({ ...found })} of ${events - after} events`);
    }
    return found.events / took * 1_000;
  }),
  async fillRuntime(events, database) {
    const specs = workers("member", MEMBERS);
    const runtime = await open(indexedDb(database), streaming(Math.ceil(events / MEMBERS)));
    await spawn(runtime, specs);
    await askAll(runtime, specs);
    const latest = await latestEvent(runtime);
    await runtime.shutdown();
    return latest;
  },
  async runtime(events, after, database) {
    // A runtime just built has nothing in memory.
    const runtime = await open(indexedDb(database));
    let found = 0;
    let letters = 0;
    const took = await timed(async () => {
      for await (const item of runtime.events({ after })) {
        if (item.type === "gap") throw new Error(`the runtime's log has a gap from ${item.from} to ${item.to}`);
        found += 1;
        if (item.event.kind === "agent" && item.event.payload.type === "text_delta") letters += item.event.payload.delta.length;
        if (item.seq >= events) break;
      }
    });
    await runtime.shutdown();
    if (found !== events - after || letters === 0) throw new Error(`the runtime read ${found} of ${events - after} events`);
    return found / took * 1_000;
  },
};

async function using<T>(name: string, database: string, work: (store: Store) => Promise<T>): Promise<T> {
  const contender = CONTENDERS[name];
  if (!contender) throw new Error(`there is no contender ${name}`);
  const store = await contender.open(database);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
