// Turns of members whose model answers at once.

import { indexedDb, memory, type Storage, type UnifiedRuntime } from "mobkit-web";
import { ask, askAll, open, spawn, timed, workers } from "./mob.ts";

export type Kind = "memory" | "IndexedDB";

const storage = (kind: Kind, database: string): Storage => kind === "memory" ? memory() : indexedDb(database);

export interface TurnsPage {
  /** Builds a runtime with so many members. */
  open(kind: Kind, members: number, database: string): Promise<void>;
  /** Turns per second of a new member that is asked so often, each time after the answer before. */
  inSequence(turns: number, member: string): Promise<number>;
  /** Turns per second of all members, each asked so often, all at the same time. */
  atOnce(rounds: number): Promise<number>;
  /** Ends the runtime. On IndexedDB another one is built, to see that every member's transcript is whole. */
  close(kind: Kind, database: string): Promise<void>;
}

declare global {
  interface Window {
    turns: TurnsPage;
  }
}

let runtime: UnifiedRuntime;
let crowd = workers("crowd", 0);
/** How many turns each member had. */
let had = new Map<string, number>();

const count = (identity: string, turns: number): unknown => had.set(identity, (had.get(identity) ?? 0) + turns);

window.turns = {
  async open(kind, members, database) {
    crowd = workers("crowd", members);
    had = new Map();
    runtime = await open(storage(kind, database));
    await spawn(runtime, crowd);
  },
  async inSequence(turns, member) {
    await runtime.spawn({ profile: "worker", identity: member });
    const took = await timed(async () => {
      for (let turn = 0; turn < turns; turn++) await ask(runtime, member);
    });
    count(member, turns);
    return turns / took * 1_000;
  },
  async atOnce(rounds) {
    const took = await timed(async () => {
      for (let round = 0; round < rounds; round++) await askAll(runtime, crowd);
    });
    for (const { identity } of crowd) count(identity ?? "", rounds);
    return rounds * crowd.length / took * 1_000;
  },
  async close(kind, database) {
    if (kind === "memory") return void await runtime.shutdown();
    await runtime.shutdown();
    const again = await open(storage(kind, database));
    for (const [identity, turns] of had) {
      const { total } = await again.sessionHistory(identity, { limit: 1 });
      if (total !== 2 * turns) throw new Error(`${identity} had ${turns} turns and has ${total} messages in its transcript`);
    }
    await again.shutdown();
  },
};
