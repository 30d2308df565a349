// JSON-RPC calls through `runtime.fetch`, on memory.

import { memory, type UnifiedRuntime } from "mobkit-web";
import { body, CALLS, callsPerSecond, result } from "./calls.ts";
import { open, spawn, workers } from "./mob.ts";

export interface RpcPage {
  /** Builds a runtime with so many members. */
  open(members: number): Promise<void>;
  /** Calls per second. */
  run(name: string, calls: number, atOnce: number): Promise<number>;
}

declare global {
  interface Window {
    rpc: RpcPage;
  }
}

let runtime: UnifiedRuntime;

async function rpc(body: string): Promise<unknown> {
  const response = await runtime.fetch("/console/rpc", { method: "POST", headers: { "content-type": "application/json" }, body });
  return result(await response.text());
}

window.rpc = {
  async open(members) {
    runtime = await open(memory());
    await spawn(runtime, workers("member", members));
  },
  async run(name, calls, atOnce) {
    const call = CALLS[name];
    if (!call) throw new Error(`there is no call ${name}`);
    const perSecond = await callsPerSecond((at) => rpc(call(at)), calls, atOnce);
    if (name.includes("labels")) {
      const { labels } = await rpc(body("mobkit/mob_labels/get")) as { labels: { at?: string } };
      if (Number(labels.at) < calls - atOnce) throw new Error(`the last of ${calls} labels is ${labels.at}`);
    }
    return perSecond;
  },
};
