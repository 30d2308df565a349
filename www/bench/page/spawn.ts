// New members, durable when the call resolves.

import { deleteStorage, indexedDb, memory } from "mobkit-web";
import { open, spawn, timed, workers } from "./mob.ts";

export type Way = "one call" | "a call for each" | "one call, on memory";

export interface SpawnPage {
  /** Milliseconds until so many members are there, in a mob that had none. */
  run(way: Way, members: number, database: string): Promise<number>;
}

declare global {
  interface Window {
    spawn: SpawnPage;
  }
}

window.spawn = {
  async run(way, members, database) {
    const specs = workers("member", members);
    const durable = way !== "one call, on memory";
    const runtime = await open(durable ? indexedDb(database) : memory());
    const took = await timed(() => way === "a call for each" ? Promise.all(specs.map((spec) => runtime.spawn(spec))) : spawn(runtime, specs));
    await runtime.shutdown();
    if (!durable) return took;
    const again = await open(indexedDb(database));
    const found = (await again.members()).length;
    await again.shutdown();
    await deleteStorage(database);
    if (found !== members) throw new Error(`${members} members were spawned and ${found} are there`);
    return took;
  },
};
