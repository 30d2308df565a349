// Many mobs in Durable Objects, as an application would have them.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { bearerToken, mobObject, mobWorker } from "mobkit-web/cloudflare";
import { demoModel, openAiCompatible, type UnifiedRuntimeBuilder } from "mobkit-web";
import definition from "../../console/public/demo.toml";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  TOKEN: string;
  /** A server with OpenAI-compatible chat completions, in place of the demo. */
  MODEL_URL: string;
  /** A mob of this name cannot be started while `faults` says so. */
}

/** Names of mobs that fail to start, in this process: the tests set them. */
const failing = new Set<string>();

class Base extends mobObject<Env>({
  wasm,
  definition,
  configure(builder: UnifiedRuntimeBuilder, { name, env }) {
    if (failing.has(name)) throw new Error(`the test lets ${name} fail`);
    return builder.defaultModel(env.MODEL_URL ? openAiCompatible({ baseUrl: env.MODEL_URL, apiKey: "k" }) : demoModel({ pace: 1 }));
  },
}) {}

export class Mob extends Base {
  /** What the object's storage says of itself. */
  async inspect(): Promise<object> {
    const { storage } = (this as any).ctx;
    return { alarm: await storage.getAlarm(), tables: storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'").raw().toArray().flat() };
  }

  /** Ends this object as an eviction does: what is in memory is gone, what is stored is not. */
  evict(): void {
    (this as any).ctx.abort("evicted by the test");
  }

  fail(name: string, fails: boolean): void {
    if (fails) failing.add(name);
    else failing.delete(name);
  }
}

const worker = mobWorker<Env>({
  mobs: (env) => env.MOBS,
  directory: (env) => env.DIRECTORY,
  authorize: (request, { env }) => {
    const token = bearerToken(request);
    if (token === undefined) return { reason: "missing_credentials" };
    return token === env.TOKEN ? { subject: "test" } : { reason: "invalid_token" };
  },
  cors: { origins: ["https://console.example"] },
});

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // The tests' own door, which no application has.
    const [, door, name, verb, argument] = new URL(request.url).pathname.split("/");
    if (door === "-test") {
      const stub = env.MOBS.get(env.MOBS.idFromName(name));
      if (verb === "evict") await stub.evict().catch(() => {});
      else if (verb === "fail") await stub.fail(name, argument === "on");
      else return Response.json(await stub.inspect());
      return new Response("ok");
    }
    return await worker.fetch(request, env);
  },
};
