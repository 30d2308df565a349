// The package: a member of one mob for each conversation.

import { indexedDb, memory, openAiCompatible, type Storage } from "mobkit-web";
import { ask, open, spawn, workers } from "../mob.ts";
import type { Peer } from "./peer.ts";
import { BASE_URL, MODEL } from "./stub.ts";

const DATABASE = "peers";

export const onMemory = member("the package, on memory", memory);
export const onIndexedDb = member("the package, on IndexedDB", () => indexedDb(DATABASE), true);

function member(name: string, storage: () => Storage, durable = false): Peer {
  return {
    name,
    async open(fetch) {
      const model = openAiCompatible({ baseUrl: BASE_URL, model: MODEL, fetch });
      const runtime = await open(storage(), model);
      /** How many turns each member had. */
      const had = new Map<string, number>();
      let groups = 0;
      return {
        async begin(conversations) {
          groups += 1;
          const specs = workers(`group-${groups}`, conversations);
          await spawn(runtime, specs);
          return specs.map(({ identity = "" }) => async (text) => {
            had.set(identity, (had.get(identity) ?? 0) + 1);
            return ask(runtime, identity, text);
          });
        },
        async close() {
          await runtime.shutdown();
          if (!durable) return;
          const again = await open(storage(), model);
          for (const [identity, turns] of had) {
            const { total } = await again.sessionHistory(identity, { limit: 1 });
            if (total !== 2 * turns) throw new Error(`${identity} had ${turns} turns and has ${total} messages in its transcript`);
          }
          await again.shutdown();
        },
      };
    },
  };
}
