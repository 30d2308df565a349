// Turns of agents of several makers, on the same stub of a model server.

import { timed } from "./mob.ts";
import { toolLoopAgent } from "./peers/ai-sdk.ts";
import { checkpointed, unkept } from "./peers/langgraph.ts";
import { onIndexedDb, onMemory } from "./peers/mobkit.ts";
import type { Ask, Peer, Team } from "./peers/peer.ts";
import { QUESTION, Stub, WORD } from "./peers/stub.ts";

const PEERS: Peer[] = [onMemory, onIndexedDb, toolLoopAgent, checkpointed, unkept];

/** What one run came to. */
export interface Run {
  perSecond: number;
  /** The bytes of the first request of a conversation. */
  requestBytes: number;
}

export interface PeersPage {
  names: string[];
  /** Makes this contender ready. The page is its own from then on. */
  open(name: string): Promise<void>;
  /** New conversations of so many turns each, all of them at the same time or one after the other. */
  run(conversations: number, turns: number, order: "at once" | "in sequence"): Promise<Run>;
  close(): Promise<void>;
}

declare global {
  interface Window {
    peers: PeersPage;
  }
}

const stub = new Stub();
let team: Team;

window.peers = {
  names: PEERS.map(({ name }) => name),
  async open(name) {
    const peer = PEERS.find((peer) => peer.name === name);
    if (!peer) throw new Error(`there is no contender ${name}`);
    team = await peer.open(stub.fetch);
  },
  async run(conversations, turns, order) {
    const asks = await team.begin(conversations);
    const converse = async (ask: Ask): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) {
        const answer = await ask(QUESTION);
        if (answer !== WORD) throw new Error(`the stub said “${WORD}” and the answer is “${answer}”`);
      }
    };
    const took = await timed(async () => {
      if (order === "at once") return void await Promise.all(asks.map(converse));
      for (const ask of asks) await converse(ask);
    });
    const requestBytes = await stub.settle(conversations, turns);
    return { perSecond: conversations * turns / took * 1_000, requestBytes };
  },
  close: () => team.close(),
};
