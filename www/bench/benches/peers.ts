// Turns per second beside other makers' agents, on the same stub of a model server.

import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { type Figure, grouped, rotated, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";

const RUNS = 9;
const WARM_UP = 2;
const TURNS = 100;
const CROWD = 50;
const ROUNDS = 10;

export async function measure(lab: Lab): Promise<Figure[]> {
  const pages = new Map<string, Page>();
  const first = await lab.page();
  for (const name of await first.evaluate(() => window.peers.names)) {
    const page = pages.size === 0 ? first : await lab.page();
    await page.evaluate((name) => window.peers.open(name), name);
    pages.set(name, page);
  }
  /** The bytes of a conversation's first request. */
  const bytes = new Map<string, number>();
  const all = async (conversations: number, turns: number, order: "at once" | "in sequence"): Promise<Samples> => {
    const samples = new Samples("turns/s");
    for (let at = -WARM_UP; at < RUNS; at++) {
      for (const [name, page] of rotated([...pages], at + pages.size)) {
        const { perSecond, requestBytes } = await page.evaluate((args) => window.peers.run(...args), [conversations, turns, order] as const);
        if (at >= 0) samples.add(name, perSecond);
        bytes.set(name, requestBytes);
      }
    }
    return samples;
  };
  const short = await all(TURNS, 1, "in sequence");
  const long = await all(1, TURNS, "in sequence");
  const crowd = await all(CROWD, ROUNDS, "at once");
  for (const page of pages.values()) await page.evaluate(() => window.peers.close());

  const how = `\`fetch\` is a stub for everybody: it answers a chat completion at once with a stream of one word. A turn is from the
    question to the whole answer, building the request and reading the stream included; ${RUNS} runs after ${WARM_UP} to warm up, a page for
    each contender. Every answer must be the stub's word, and the stub must have been asked once for each turn, with all that was said before.`;
  const who = `They do not do the same. The package (openAiCompatible, a member for each conversation) commits message, work and answer, and
    its event log has the words as they come; on IndexedDB all of it is durable by the answer, and every transcript is found again at the end; on
    memory it is gone with the page. ToolLoopAgent (ai ${version("ai")}) keeps nothing: the page holds the messages and reads the words as they
    come. LangGraph (${version("@langchain/langgraph")}, its entry for browsers: a StateGraph of a node for the model, ChatOpenAI
    ${version("@langchain/openai")}, and one for tools) gives the whole answer; MemorySaver keeps a checkpoint of each step, gone with the page;
    without a checkpointer the page holds the messages. The package's two tools for messages between members go with every
    request, others have none: a first request has ${[...pages.keys()].map((name) => `${grouped(bytes.get(name) ?? 0)} bytes (${name})`).join(", ")}.`;
  const figure = (title: string, what: string, samples: Samples): Figure => ({ title, unit: "turns/s", better: "more", how: what, rows: samples.rows() });
  return [
    figure("turns on a stubbed fetch, in sequence, each in a new conversation", `${TURNS} conversations of one turn, one after the other. ${how} ${who}`, short),
    figure(`turns on a stubbed fetch, in sequence, in one conversation of ${TURNS} turns`, `Each request has all turns before it. Otherwise as above.`, long),
    figure(`turns on a stubbed fetch, ${CROWD} conversations at once`, `${ROUNDS} turns each, one after the other within a conversation. Otherwise as above.`, crowd),
  ];
}

/** The version of a contender's package that is installed. */
function version(name: string): string {
  return (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;
}
