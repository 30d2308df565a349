// Mobs with modules in Durable Objects: an MCP server, an object whose tool needs an approval, and the built-in ones.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { mobObject, mobWorker } from "mobkit-web/cloudflare";
import { mcpModule } from "mobkit-web/mcp";
import { echoModel } from "../support/golden.js";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  /** An MCP server. */
  MCP_URL: string;
  /** Hears of what the tool `pay` did. */
  TILL_URL: string;
}

const DEFINITION = `
[mob]
id = "office"
[profiles.clerk]
model = "echo"
tools = { comms = false, mcp = ["docs", "desk"], gate = { desk__pay = "r3" } }
[[members]]
profile = "clerk"
identity = "lead"
[limits]
approval_timeout_ms = APPROVAL
`;

/** Mobs whose name says so decide within seconds. */
const definition = (name: string): string => DEFINITION.replace("APPROVAL", name.startsWith("hasty-") ? "3000" : "3600000");

export class Mob extends mobObject<Env>({
  wasm,
  definition: definition(""),
  mobs: ({ MOBS }) => MOBS,
  configure(builder, { name, env }) {
    return builder
      .definition(definition(name))
      .defaultModel(echoModel)
      .module("docs", mcpModule({ url: env.MCP_URL, fetch: (input, init) => fetch(input, init) }), { startTimeout: 5_000 })
      .module("desk", {
        listTools: () => [{ name: "pay", description: "pays" }],
        callTool: async (_, args) => {
          await fetch(env.TILL_URL, { method: "POST", body: JSON.stringify({ name, ...args }) });
          return "paid";
        },
      })
      .module("router")
      .module("delivery");
  },
}) {
  readonly #storage: any;

  constructor(ctx: any, env: Env) {
    super(ctx, env);
    this.#storage = ctx.storage;
  }

  /** What the object is woken for. */
  async inspect(): Promise<object> {
    return { alarm: await this.#storage.getAlarm() };
  }

  /** Ends this object as an eviction does. */
  evict(): void {
    (this as any).ctx.abort("evicted by the test");
  }
}

const worker = mobWorker<Env>({ mobs: (env) => env.MOBS, directory: (env) => env.DIRECTORY, authorize: () => ({ subject: "test" }) });

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, door, name = "", verb] = new URL(request.url).pathname.split("/");
    if (door !== "-test") return await worker.fetch(request, env);
    const stub = env.MOBS.get(env.MOBS.idFromName(name));
    if (verb !== "evict") return Response.json(await stub.inspect());
    // The call ends with the object.
    await stub.evict().catch(() => {});
    return Response.json(null);
  },
};
