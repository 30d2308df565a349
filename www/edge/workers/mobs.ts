// Many mobs in Durable Objects, as an application would have them; and behind its back what tests need.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { bearerToken, mobObject, mobWorker } from "mobkit-web/cloudflare";
import { demoModel, openAiCompatible } from "mobkit-web";
import { echoModel } from "../support/golden.js";
import definition from "../../console/public/demo.toml";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  TOKEN: string;
  /** A server with OpenAI-compatible chat completions, in place of the demo. */
  MODEL_URL: string;
  /** Milliseconds between the demo's words. */
  PACE: string;
  /** `1` for clocks that stand still while code runs, and between one request from outside and the next. */
  FROZEN: string;
}

/** The mobs that fail to start, as long as this process lives. */
const failing = new Set<string>();
/** Alarms ring so many times sooner than they are set to. */
const HURRY = 30;

export class Mob extends mobObject<Env>({
  wasm,
  definition,
  mobs: ({ MOBS }) => MOBS,
  configure(builder, { name, env }) {
    if (failing.has(name)) throw new Error(`the test lets ${name} fail`);
    if (name.startsWith("talk-")) return builder.defaultModel(echoModel);
    const model = name.startsWith("demo-") || !env.MODEL_URL ? demoModel({ pace: Number(env.PACE) }) : openAiCompatible({ baseUrl: env.MODEL_URL, apiKey: "k" });
    return builder.defaultModel(model);
  },
}) {
  readonly #storage: any;

  constructor(ctx: any, env: Env) {
    super(hurried(ctx), env);
    this.#storage = ctx.storage;
  }

  /** What the object's storage says of itself. */
  async inspect(): Promise<object> {
    const tables = this.#storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'");
    return { alarm: await this.#storage.getAlarm(), tables: tables.raw().toArray().flat() };
  }

  /** Ends this object as an eviction does: what is in memory is gone, what is stored is not. */
  evict(): void {
    (this as any).ctx.abort("evicted by the test");
  }

  fail(name: string, fails: boolean): void {
    if (fails) failing.add(name);
    else failing.delete(name);
  }

  /** Makes the wasm panic: randomness is the one thing that can be broken from outside. */
  async panic(): Promise<string> {
    const runtime = await this.runtime();
    crypto.getRandomValues = () => {
      delete (crypto as any).getRandomValues;
      throw new Error("no randomness");
    };
    return await runtime.send("lead", "panic").then(() => "accepted", (error) => error.code);
  }
}

let frozenAt = Date.now();
const now = Date.now.bind(Date);

/** Clocks as a deployed worker has them, only more so: they do not even move with timers and answers. */
function freeze(): void {
  frozenAt = now();
  Date.now = () => frozenAt;
  performance.now = () => 0;
}

function hurried(ctx: any): any {
  const { storage } = ctx;
  const setAlarm = storage.setAlarm.bind(storage);
  Object.defineProperty(storage, "setAlarm", { value: (at: number) => setAlarm(now() + (at - Date.now()) / HURRY) });
  return ctx;
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
    if (env.FROZEN === "1") freeze();
    // The tests' own door, which no application has.
    const [, door, name = "", verb, argument] = new URL(request.url).pathname.split("/");
    if (door !== "-test") return await worker.fetch(request, env);
    const stub = env.MOBS.get(env.MOBS.idFromName(name));
    switch (verb) {
      case "evict":
        // The call ends with the object.
        await stub.evict().catch(() => {});
        return Response.json(null);
      case "fail":
        await stub.fail(name, argument === "on");
        return Response.json(null);
      case "panic":
        return Response.json(await stub.panic());
      default:
        return Response.json(await stub.inspect());
    }
  },
};
