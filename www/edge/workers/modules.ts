// Mobs with modules in Durable Objects. What happens in them is said where a test reads it without calling an object, which would wake it.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { mobObject, mobWorker } from "mobkit-web/cloudflare";
import { mcpModule } from "mobkit-web/mcp";
import { caller, notes } from "./deno/scripted.ts";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  /** An MCP server. */
  MCP_URL: string;
  /** What the module of mobs whose names begin with `slow-` posts to before it has started. */
  SLOW_URL: string;
}

export class Mob extends mobObject<Env>({
  wasm,
  configure(builder, { name, env }) {
    const tell = (what: string): void => console.log(`${name} ${what}`);
    const slow = async (): Promise<void> => void await fetch(env.SLOW_URL, { method: "POST", body: JSON.stringify(name) });
    tell("starts");
    builder.defaultModel(caller(tell)).module("notes", { ...notes(tell), ...(name.startsWith("slow-") ? { start: slow } : {}) });
    builder.module("router").module("delivery");
    if (name.startsWith("mcp-")) builder.module("everything", mcpModule({ url: env.MCP_URL, fetch: (url, init) => fetch(url, init), listen: !name.startsWith("mcp-deaf") }));
    if (name.startsWith("mcp-patient")) builder.runtimeOptions({ onFailureRetryBudget: 20, supervisorRestartBackoffMs: 200 });
    return builder;
  },
}) {
  override async alarm(): Promise<void> {
    console.log(`${(this as any).ctx.id} rings`);
    await super.alarm();
  }

  async armed(): Promise<number | null> {
    return await (this as any).ctx.storage.getAlarm();
  }

  /** Ends this object as an eviction does: what is in memory is gone, what is stored is not. */
  evict(): void {
    (this as any).ctx.abort("evicted by the test");
  }
}

const worker = mobWorker<Env>({
  mobs: (env) => env.MOBS,
  directory: (env) => env.DIRECTORY,
  authorize: () => ({}),
});

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // The tests' own door, which no application has.
    const [, door, name = "", verb] = new URL(request.url).pathname.split("/");
    if (door !== "-test") return await worker.fetch(request, env);
    const id = env.MOBS.idFromName(name);
    switch (verb) {
      case "id":
        return Response.json(String(id));
      case "evict":
        // The call ends with the object.
        await env.MOBS.get(id).evict().catch(() => {});
        return Response.json(null);
      default:
        return Response.json(await env.MOBS.get(id).armed());
    }
  },
};
