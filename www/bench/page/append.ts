// Events made durable: each run begins with an empty database and ends with reading it again.

import { deleteStorage, indexedDb } from "mobkit-web";
import { type Contender, erase } from "./contenders/contender.ts";
import { dexie } from "./contenders/dexie.ts";
import { eventMaker, log } from "./contenders/log.ts";
import { rawRecords, rawRows } from "./contenders/raw.ts";
import { askAll, latestEvent, open, spawn, streaming, timed, workers } from "./mob.ts";

const page = 256;

/** Who stores a hundred events at a time. */
const HUNDREDS = [
  log("the log in wasm, 100 events a commit", 100),
  dexie("Dexie bulkAdd, 100 rows a call", { perCall: 100, page }),
  rawRows("IndexedDB, 100 rows a transaction", { perTransaction: 100, page }),
  rawRecords("IndexedDB, 100 events as one record", { perRecord: 100, page }),
];

/** Who stores one event at a time. */
const SINGLES = [
  log("the log in wasm, one event a commit", 1),
  dexie("Dexie bulkAdd, one row a call", { perCall: 1, page }),
  rawRows("IndexedDB, one row a transaction", { perTransaction: 1, page }),
];

const CONTENDERS: Record<string, Contender> = Object.fromEntries([...HUNDREDS, ...SINGLES].map((contender) => [contender.name, contender]));

/** Members that stream at once. */
const MEMBERS = 100;

export interface AppendPage {
  hundreds: string[];
  singles: string[];
  /** The bytes of an event's JSON. */
  eventBytes(): Promise<number>;
  /** Events per second of a contender. */
  run(contender: string, events: number, database: string): Promise<number>;
  /** Events per second of a runtime whose members stream about so many. */
  runtime(events: number, database: string): Promise<number>;
}

declare global {
  interface Window {
    append: AppendPage;
  }
}

window.append = {
  hundreds: HUNDREDS.map(({ name }) => name),
  singles: SINGLES.map(({ name }) => name),
  async eventBytes() {
    const make = await eventMaker();
    const { seq: _, ...event } = make(1);
    return JSON.stringify(event).length;
  },
  async run(name, events, database) {
    const contender = CONTENDERS[name];
    if (!contender) throw new Error(`there is no contender ${name}`);
    const store = await contender.open(database);
    store.prepare(1, events);
    const took = await timed(() => store.append());
    await store.close();
    await assertStored(contender, events, database);
    await erase(database);
    return events / took * 1_000;
  },
  async runtime(events, database) {
    const specs = workers("member", MEMBERS);
    const runtime = await open(indexedDb(database), streaming(Math.ceil(events / MEMBERS)));
    await spawn(runtime, specs);
    const before = await latestEvent(runtime);
    const took = await timed(() => askAll(runtime, specs));
    const made = await latestEvent(runtime) - before;
    if (made < events) throw new Error(`the runtime made ${made} events where ${events} were expected: pieces were merged`);
    await runtime.shutdown();
    const again = await open(indexedDb(database));
    let found = 0;
    for await (const item of again.events({ after: before })) {
      if (item.type === "gap") throw new Error(`the runtime's log has a gap from ${item.from} to ${item.to}`);
      found += 1;
      if (found === made) break;
    }
    await again.shutdown();
    await deleteStorage(database);
    return made / took * 1_000;
  },
};

/** Reads everything again, over a connection of its own. */
async function assertStored(contender: Contender, events: number, database: string): Promise<void> {
  const make = await eventMaker();
  const letters = make(1).event.delta.length * events;
  const store = await contender.open(database);
  const found = await store.replay(0);
  await store.close();
  if (found.events !== events || found.last !== events || found.letters !== letters) {
    throw new Error(`${contender.name} stored ${events} events and has ${JSON.stringify({ ...found })}`);
  }
}
