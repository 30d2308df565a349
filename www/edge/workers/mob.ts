// A worker with a mob in memory, over the published package. A request has a runtime of its own, which ends with it.

import { demoModel, init, openAiCompatible, UnifiedRuntime } from "mobkit-web";
import wasm from "mobkit-web/mobkit_web_bg.wasm";

interface Asked {
  definition: string;
  message: string;
  /** A server with OpenAI-compatible chat completions, in place of the demo. */
  baseUrl?: string;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const { definition, message, baseUrl } = (await request.json()) as Asked;
    await init({ wasm });
    const runtime = await UnifiedRuntime.builder()
      .definition(definition)
      .defaultModel(baseUrl === undefined ? demoModel({ pace: 1 }) : openAiCompatible({ baseUrl, apiKey: "k" }))
      .build();
    if (new URL(request.url).pathname === "/events") {
      // The answer is the contract's own stream: the mob works while it is read.
      await runtime.send("lead", message);
      return await runtime.fetch("https://mob.local/mob/events?after_seq=0");
    }
    const outcome = await runtime.ask("lead", message);
    const members = (await runtime.members()).map((member) => [member.agent_identity, member.wired_to]);
    const ledger = await runtime.queryMobEvents({ afterSeq: 0n });
    const report = await runtime.shutdown();
    return Response.json({ outcome, members, ledger: ledger.events.map((event) => event.kind), timedOut: report.drain.timed_out });
  },
};
