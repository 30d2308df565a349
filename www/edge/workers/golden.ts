// The scenarios of `tests/golden` in Durable Objects, a mob each, behind the package's own worker.

import wasm from "mobkit-web/mobkit_web_bg.wasm";
import { mobObject, mobWorker } from "mobkit-web/cloudflare";
import { configureGolden, type Scenario } from "../support/golden.ts";

export { MobDirectory } from "mobkit-web/cloudflare";

interface Env {
  MOBS: any;
  DIRECTORY: any;
  /** The scenarios as JSON, without their steps, by the names of their mobs. */
  SCENARIOS: string;
}

export class Mob extends mobObject<Env>({
  wasm,
  configure(builder, { name, env }) {
    const scenario = (JSON.parse(env.SCENARIOS) as Record<string, Scenario>)[name];
    if (!scenario) throw new Error(`there is no scenario for ${name}`);
    return configureGolden(builder, scenario);
  },
}) {
  /** Ends this object as an eviction does: what is in memory is gone, what is stored is not. */
  evict(): void {
    (this.ctx as { abort(reason: string): void }).abort("evicted by the test");
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
    const [, door, name] = new URL(request.url).pathname.split("/");
    if (door !== "-evict") return await worker.fetch(request, env);
    try {
      await env.MOBS.get(env.MOBS.idFromName(name)).evict();
    } catch {
      // The call ends with its object.
      return new Response("evicted");
    }
    return new Response("the object went on", { status: 500 });
  },
};
