// Runtimes with members that have nothing to do. They stay open, so that what they weigh can be weighed.

import { indexedDb, memory, type UnifiedRuntime } from "mobkit-web";
import { open, spawn, workers } from "./mob.ts";

/** As many as a page spawns at a time. */
const AT_ONCE = 50;

export interface MemoryPage {
  /** Builds a runtime over what the database holds, or in memory if none is named. Answers how many members it has. */
  open(database?: string): Promise<number>;
  /** Spawns so many members in the runtime that was built last. */
  spawn(members: number): Promise<void>;
  /** Ends the runtime that was built last. */
  close(): Promise<void>;
}

declare global {
  interface Window {
    memory: MemoryPage;
  }
}

/** All that were built: a runtime that nobody holds any more may be collected. */
const runtimes: UnifiedRuntime[] = [];

/** How often members were spawned: their names tell them apart. */
let groups = 0;

function last(): UnifiedRuntime {
  const runtime = runtimes.at(-1);
  if (!runtime) throw new Error("no runtime was built");
  return runtime;
}

window.memory = {
  async open(database) {
    const runtime = await open(database === undefined ? memory() : indexedDb(database));
    runtimes.push(runtime);
    return (await runtime.members()).length;
  },
  async spawn(members) {
    groups += 1;
    await spawn(last(), workers(`idle-${groups}`, members), AT_ONCE);
  },
  async close() {
    await last().shutdown();
    runtimes.pop();
  },
};
