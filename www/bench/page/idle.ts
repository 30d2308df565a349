// A mob at rest: it has worked, readers follow it, and there is nothing to do.

import { indexedDb, type UnifiedRuntime } from "mobkit-web";
import { askAll, open, spawn, workers } from "./mob.ts";

export interface IdlePage {
  /** Builds a runtime with so many members, lets each work once and two readers follow. */
  rest(members: number, database: string): Promise<void>;
}

declare global {
  interface Window {
    idle: IdlePage;
  }
}

/** Kept, with its readers: a runtime that nobody holds does nothing for another reason. */
const kept: { runtime: UnifiedRuntime; readers: unknown[] }[] = [];

window.idle = {
  async rest(members, database) {
    const specs = workers("member", members);
    const runtime = await open(indexedDb(database));
    await spawn(runtime, specs);
    await askAll(runtime, specs);
    await runtime.flush();
    kept.push({ runtime, readers: [runtime.events().next(), runtime.mobEvents().next()] });
  },
};
