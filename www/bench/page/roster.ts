// A mob as a whole: reconciled, wired by a discovery, and looked up in its ledger.

import { deleteStorage, indexedDb, UnifiedRuntime, type SpawnMemberSpec } from "mobkit-web";
import { answering, open, spawn, timed, workers } from "./mob.ts";

export interface RosterPage {
  /** Milliseconds of each of so many reconciliations of `members` members, of which one in a hundred is another each time. */
  reconcile(members: number, runs: number, database: string): Promise<number[]>;
  /** Milliseconds of each of so many reconciliations of `edges` wanted edges, of which one in a hundred is another each time. */
  edges(members: number, edges: number, runs: number, database: string): Promise<number[]>;
  /** Milliseconds of each of so many queries for one of about `entries` entries, by member; and of as many that look at every entry. */
  query(entries: number, runs: number, database: string): Promise<{ sparse: number[]; whole: number[]; entries: number }>;
  /** How often the cursor of the structural subscription was written for so many events, ten of them every 20 ms. */
  cursorWrites(events: number, database: string): Promise<number>;
}

declare global {
  interface Window {
    roster: RosterPage;
  }
}

/** How many spawns one call has. */
const AT_ONCE = 500;

window.roster = {
  async reconcile(members, runs, database) {
    const runtime = await open(indexedDb(database));
    const specs = workers("member", members);
    await spawn(runtime, specs, AT_ONCE);
    const took = [];
    for (let run = 0; run < runs; run++) {
      const desired = changed(specs, run);
      took.push(await timed(async () => {
        const { mob } = await runtime.reconcile(desired);
        const expected = run === 0 ? members / 100 : members / 50;
        if (mob.spawned.length !== expected && mob.spawned.length !== members / 100) throw new Error(`${mob.spawned.length} were spawned`);
      }));
    }
    const found = (await runtime.members()).length;
    if (found !== members) throw new Error(`${members} members are wanted and ${found} are there`);
    await end(runtime, database);
    return took;
  },

  async edges(members, edges, runs, database) {
    let wanted: [string, string][] = [];
    const runtime = await UnifiedRuntime.builder().definition(DEFINITION).storage(indexedDb(database)).model("scripted", answering)
      .edgeDiscovery(() => wanted).build();
    const names = workers("member", members);
    await spawn(runtime, names, AT_ONCE);
    const all = pairs(names.map((spec) => spec.identity ?? ""), edges + runs * (edges / 100));
    wanted = all.slice(0, edges);
    await runtime.reconcileEdges();
    const took = [];
    for (let run = 1; run <= runs; run++) {
      // A window that moves on: some leave at its beginning, as many come at its end.
      const from = run * (edges / 100);
      wanted = all.slice(from, from + edges);
      took.push(await timed(async () => {
        const report = await runtime.reconcileEdges();
        if (report.wired_edges.length !== edges / 100 || report.unwired_edges.length !== edges / 100) throw new Error("another edge was changed");
      }));
    }
    await end(runtime, database);
    return took;
  },

  async query(entries, runs, database) {
    const runtime = await open(indexedDb(database));
    await spawn(runtime, workers("member", entries), AT_ONCE);
    const { latest_mob_cursor } = await runtime.status();
    const sparse = [];
    const whole = [];
    for (let run = 0; run < runs; run++) {
      const identity = `member-${1 + Math.floor((run + 0.5) * (entries / runs))}`;
      sparse.push(await timed(async () => {
        const { events } = await runtime.queryMobEvents({ identity });
        if (events.length !== 1) throw new Error(`${events.length} entries about ${identity}`);
      }));
      whole.push(await timed(async () => {
        const { events } = await runtime.queryMobEvents({ untilMs: 1 });
        if (events.length > 0) throw new Error("an entry of the past");
      }));
    }
    await end(runtime, database);
    return { sparse, whole, entries: Number(latest_mob_cursor) };
  },

  async cursorWrites(events, database) {
    let writes = 0;
    const runtime = await UnifiedRuntime.builder().definition(DEFINITION).storage(indexedDb(database)).model("scripted", answering)
      .persistentMetadata({ getSubscriptionCursor: () => null, setSubscriptionCursor: () => { writes++; } })
      .start("earliest").build();
    const specs = workers("member", events);
    for (let at = 0; at < events; at += 10) {
      await spawn(runtime, specs.slice(at, at + 10));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await end(runtime, database);
    return writes;
  },
};

const DEFINITION = `
[mob]
id = "bench"
[profiles.worker]
model = "scripted"
`;

async function end(runtime: UnifiedRuntime, database: string): Promise<void> {
  await runtime.shutdown();
  await deleteStorage(database);
}

/** One in a hundred has another name in each run. */
function changed(specs: SpawnMemberSpec[], run: number): SpawnMemberSpec[] {
  return specs.map((spec, at) => (at % 100 === run % 100 ? { profile: "worker", identity: `other-${run}-${at}` } : spec));
}

/** So many different pairs. */
function pairs(names: string[], count: number): [string, string][] {
  const found: [string, string][] = [];
  for (let apart = 1; found.length < count; apart++) {
    for (let at = 0; at + apart < names.length && found.length < count; at++) found.push([names[at] ?? "", names[at + apart] ?? ""]);
  }
  return found;
}
