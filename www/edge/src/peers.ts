// Mobs that reach each other: a tool by which members write to members of other mobs, over the fetch contract.

import type { Tool, ToolContext, UnifiedRuntime } from "mobkit-web";

/** What the tool needs. */
export interface MessageMobOptions {
  /** The name of the mob that has the tool. */
  mob: string;
  /** The mob that has the tool. */
  runtime(): Promise<UnifiedRuntime>;
  /** Gives a request of the fetch contract to another mob; undefined if there is none. */
  fetch(mob: string, request: Request): Promise<Response | undefined>;
  /** Which mobs may be written to. Default: all. */
  allow?: (mob: string) => boolean;
}

interface MessageArgs {
  mob: string;
  member: string;
  message: string;
  wait?: boolean;
}

/** How often a message may cause another one in another mob, so that mobs do not talk with each other without end at somebody's expense. */
const MAX_HOPS = 8;
/** What the origin of such a message is: the mob that it comes from, and which hop it is. */
const ORIGIN = /^mob:(.+)#(\d+)$/;

/**
 * The tool `message_mob {mob, member, message, wait?}`: writes to a member of another mob and, unless `wait` is false, answers with what it
 * says in the end. Each call is accepted once, whatever dies meanwhile.
 */
export function messageMob(options: MessageMobOptions): Tool<MessageArgs> {
  return {
    name: "message_mob",
    description: "Writes to a member of another mob and returns its answer, or, with wait false, only that it was accepted.",
    inputSchema: {
      type: "object",
      properties: {
        mob: { type: "string", description: "the name of the other mob" },
        member: { type: "string", description: "the member that is written to" },
        message: { type: "string" },
        wait: { type: "boolean", description: "whether to wait for the answer; default true" },
      },
      required: ["mob", "member", "message"],
      additionalProperties: false,
    },
    async execute({ mob, member, message, wait = true }, context) {
      for (const [name, value] of Object.entries({ mob, member, message })) {
        if (typeof value !== "string" || value.trim() === "") throw new Error(`${name} must be a non-empty string`);
      }
      if (mob === options.mob) throw new Error(`${mob} is this mob: write to its members with send_message`);
      if (options.allow?.(mob) === false) throw new Error(`this mob may not write to ${mob}`);
      const hop = await hopsOf(options, context) + 1;
      if (hop > MAX_HOPS) throw new Error(`mobs have caused messages to each other ${MAX_HOPS} times in a row: this one is not sent`);
      const accepted = await ask(options, mob, "/console/send", {
        identity: member, content: message, origin: `mob:${options.mob}#${hop}`,
        idempotency_key: [options.mob, context.identity, context.interactionId ?? "", context.callId].join("/"),
      }, context.signal);
      if (!wait) return { accepted: true, interaction_id: accepted.interaction_id };
      const { result, error } = await ask(options, mob, "/console/rpc", {
        jsonrpc: "2.0", id: 1, method: "mobkit/wait_interaction", params: { interaction_id: accepted.interaction_id },
      }, context.signal);
      if (error) throw new Error(`${mob} answers: ${error.message}`);
      if (result.status !== "completed") throw new Error(`${mob} could not do it: ${result.error?.message ?? result.status}`);
      return result.result;
    },
  };
}

/** How many hops the message has behind it that the member works on. */
async function hopsOf(options: MessageMobOptions, { interactionId }: ToolContext): Promise<number> {
  if (interactionId === null) return 0;
  for await (const item of (await options.runtime()).interaction(interactionId)) {
    if (item.type === "gap" || item.event.kind !== "agent" || item.event.payload.type !== "user_input") continue;
    return Number(item.event.payload.origin?.match(ORIGIN)?.[2] ?? 0);
  }
  return 0;
}

async function ask(options: MessageMobOptions, mob: string, path: string, body: object, signal: AbortSignal): Promise<any> {
  const request = new Request(`https://mob.local${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
  const response = await options.fetch(mob, request);
  if (!response) throw new Error(`there is no mob ${mob}`);
  const answer = (await response.json()) as { error?: string; message?: string };
  if (!response.ok) throw new Error(`${mob} answers: ${answer.message ?? answer.error ?? `HTTP ${response.status}`}`);
  return answer;
}
