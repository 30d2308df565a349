// Mobs in Durable Objects, to be measured: models without network, and behind the objects' backs what a bench asks and does.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { mobObject, mobWorker } from "mobkit-web/cloudflare";
import { demoModel, type ModelObject } from "mobkit-web";
import definition from "../../console/public/demo.toml";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
}

/** The memories of all instances that are still there. */
const memories = new Set<WeakRef<WebAssembly.Memory>>();
const Native = WebAssembly.Instance;
Object.defineProperty(WebAssembly, "Instance", {
  value: class {
    readonly exports: WebAssembly.Exports;

    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      this.exports = new Native(module, imports).exports;
      for (const value of Object.values(this.exports)) if (value instanceof WebAssembly.Memory) memories.add(new WeakRef(value));
    }
  },
});

/** Words that make the event of one piece about 330 bytes as it is stored. */
const PIECE = "the quick brown fox jumps over the lazy dog and goes on to look for another one behind it. ";

/** Streams as many pieces of text as the last message says, far enough apart that each is an event of its own. */
const streaming: ModelObject = {
  async *stream({ messages }) {
    const last = messages.findLast(({ role }) => role === "user");
    const pieces = Number(JSON.stringify(last).match(/\d+ pieces/)?.[0].split(" ")[0] ?? 1);
    for (let piece = 0; piece < pieces; piece++) {
      // The runtime merges what comes in one turn of the event loop.
      await nextTurn();
      await nextTurn();
      yield { type: "text", text: PIECE };
    }
    yield { type: "stop", reason: "end_turn" };
  },
};

/** The next turn of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

export class Mob extends mobObject<Env>({
  wasm,
  definition,
  configure: (builder) => builder.model("streaming", streaming).defaultModel(demoModel({ pace: 0 })),
}) {
  /** Ends this object as an eviction does: what is in memory is gone, what is stored is not. */
  evict(): void {
    (this as any).ctx.abort("evicted by the bench");
  }

  /** Whether the object has nothing to wake for. */
  async rests(): Promise<boolean> {
    return (await (this as any).ctx.storage.getAlarm()) === null;
  }
}

const worker = mobWorker<Env>({
  mobs: (env) => env.MOBS,
  directory: (env) => env.DIRECTORY,
  authorize: () => ({}),
});

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // The benches' own door, which no application has.
    const [, door, verb, name = ""] = new URL(request.url).pathname.split("/");
    if (door !== "-bench") return await worker.fetch(request, env);
    const stub = (): any => env.MOBS.get(env.MOBS.idFromName(name));
    switch (verb) {
      case "evict":
        // The call ends with the object.
        await stub().evict().catch(() => {});
        return Response.json(null);
      case "rests":
        return Response.json(await stub().rests());
      case "memories":
        // Exposed by a flag of V8.
        (globalThis as any).gc();
        return Response.json([...memories].flatMap((memory) => memory.deref()?.buffer.byteLength ?? []));
      default:
        return new Response(null, { status: 404 });
    }
  },
};
