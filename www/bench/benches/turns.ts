// Turns per second, on memory and on IndexedDB.

import type { Kind } from "../page/turns.ts";
import { type Figure, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 5;
const TURNS = 300;
const MEMBERS = 300;
const ROUNDS = 3;
const KINDS: Kind[] = ["memory", "IndexedDB"];

export async function measure(lab: Lab): Promise<Figure[]> {
  const samples = new Samples("turns/s");
  for (const kind of KINDS) {
    const page = await lab.page();
    const database = `turns-${kind}`;
    await page.evaluate(([kind, members, database]) => window.turns.open(kind, members, database), [kind, MEMBERS, database] as const);
    const inSequence = (run: number): Promise<number> => page.evaluate(([turns, name]) => window.turns.inSequence(turns, name), [TURNS, `single-${run}`] as const);
    const atOnce = (): Promise<number> => page.evaluate((rounds) => window.turns.atOnce(rounds), ROUNDS);
    await inSequence(0);
    await atOnce();
    for (let run = 1; run <= RUNS; run++) {
      samples.add(`${kind}, one member in sequence`, await inSequence(run));
      samples.add(`${kind}, ${MEMBERS} members at once`, await atOnce());
    }
    await page.evaluate(([kind, database]) => window.turns.close(kind, database), [kind, database] as const);
    await page.close();
  }
  return [{
    title: "turns with a scripted model",
    unit: "turns/s",
    better: "more",
    how: `A model in JavaScript that answers one word at once; a turn is one \`ask\` from the call to the answer, and on IndexedDB
      message, work and answer are durable by then, each in its turn. In sequence: ${TURNS} turns of a new member, whose conversation grows.
      At once: ${ROUNDS} times ${MEMBERS} asks together, in each run of the same members, whose conversations grow; only 64 transcripts
      stay in memory, so that nearly every turn reads its own again. ${RUNS} runs after one to warm up.`,
    rows: samples.rows(),
  }];
}
