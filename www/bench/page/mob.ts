// A mob of workers on a scripted model, through the public face of the package.

import { init, UnifiedRuntime, UnifiedRuntimeBuilder, type Model, type ModelObject, type SpawnMemberSpec, type Storage } from "mobkit-web";
import wasm from "mobkit-web/mobkit_web_bg.wasm";

const DEFINITION = `
[mob]
id = "bench"
[profiles.worker]
model = "scripted"
`;

/** What every scripted model answers, in so many words. */
export const ANSWER = "done";

/** Answers at once with one piece of text. */
export const answering: ModelObject = {
  async *stream() {
    yield { type: "text", text: ANSWER };
    yield { type: "stop", reason: "end_turn" };
  },
};

/** Words that make the event of one piece about 330 bytes as it is stored. */
const PIECE = "the quick brown fox jumps over the lazy dog and goes on to look for another one behind it. ";

/** Streams so many pieces of text, far enough apart that each is an event of its own: the runtime merges what comes in one turn of the event loop. */
export function streaming(pieces: number): ModelObject {
  return {
    async *stream() {
      for (let piece = 0; piece < pieces; piece++) {
        await nextTurn();
        await nextTurn();
        yield { type: "text", text: PIECE };
      }
      yield { type: "stop", reason: "end_turn" };
    },
  };
}

const { port1, port2 } = new MessageChannel();
const waiting: (() => void)[] = [];
port2.onmessage = () => waiting.shift()?.();

/** The next turn of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    port1.postMessage(null);
  });
}

/** A runtime over what the storage holds. */
export async function open(storage: Storage, model: Model | ModelObject = answering): Promise<UnifiedRuntime> {
  return (await builder(storage, model)).build();
}

/** The mob's builder. */
export async function builder(storage: Storage, model: Model | ModelObject = answering): Promise<UnifiedRuntimeBuilder> {
  await init({ wasm });
  return UnifiedRuntime.builder().definition(DEFINITION).storage(storage).model("scripted", model);
}

/** `count` workers by the names `{prefix}-1` and so on. */
export function workers(prefix: string, count: number): SpawnMemberSpec[] {
  return Array.from({ length: count }, (_, at) => ({ profile: "worker", identity: `${prefix}-${at + 1}` }));
}

/** Spawns them, so many at a time. */
export async function spawn(runtime: UnifiedRuntime, specs: SpawnMemberSpec[], atOnce = specs.length): Promise<void> {
  for (let at = 0; at < specs.length; at += atOnce) {
    const { refused } = await runtime.spawnMany(specs.slice(at, at + atOnce));
    if (refused) throw new Error(`a member was refused: ${refused.message}`);
  }
}

/** Asks a member once, and sees that it answered. */
export async function ask(runtime: UnifiedRuntime, identity: string, text = "go on"): Promise<string> {
  const { status, error, result } = await runtime.ask(identity, text);
  if (status !== "completed") throw new Error(`${identity} ${status}: ${error?.message ?? "without a reason"}`);
  return result;
}

/** Asks all of them at once. */
export async function askAll(runtime: UnifiedRuntime, specs: SpawnMemberSpec[]): Promise<void> {
  await Promise.all(specs.map(({ identity }) => ask(runtime, identity ?? "")));
}

/** The number of the newest agent event. */
export async function latestEvent(runtime: UnifiedRuntime): Promise<number> {
  return Number((await runtime.status()).latest_event_cursor);
}

/** Milliseconds that it takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}
