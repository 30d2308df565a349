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

/** How many mobs a message may have come through, so that mobs do not talk with each other without end at somebody's expense. */
const MAX_HOPS = 8;
/** The origin of such a message: `mob:` and the mobs that it came through, the one that sends it last. */
const ORIGIN = "mob:";
const SEPARATOR = ">";
/** Milliseconds that a request for the outcome is held. */
const POLL_MS = 20_000;
const RETRY_FIRST_MS = 250;
const RETRY_LONGEST_MS = 5_000;

/**
 * The tool `message_mob {mob, member, message, wait?}`: writes to a member of another mob and, unless `wait` is false, answers with what it
 * says in the end. Each call is accepted once, whatever dies meanwhile; one that is given up ends the work that it caused.
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
      const through = [...await mobsBefore(options, context), options.mob];
      if (through.length > MAX_HOPS) throw new Error(`the message came through ${MAX_HOPS} mobs already: it goes no further`);
      // Who waits for this one's answer cannot give one.
      if (wait && through.includes(mob)) throw new Error(`${mob} may be waiting for this answer itself: write to it with wait false`);
      const accepted = await ask(options, mob, "/console/send", {
        identity: member, content: message, origin: ORIGIN + through.join(SEPARATOR),
        idempotency_key: [options.mob, context.identity, context.interactionId ?? "", context.callId].join("/"),
      }, context.signal);
      const { interaction_id } = accepted;
      if (!wait) return { accepted: true, interaction_id };
      try {
        return await outcome(options, mob, interaction_id, context.signal);
      } catch (error) {
        // Nobody hears of it if that fails too: the work ends by its own bounds then.
        if (context.signal.aborted) void rpc(options, mob, "mobkit/cancel_interaction", { interaction_id }, AbortSignal.timeout(POLL_MS)).catch(() => {});
        throw error;
      }
    },
  };
}

async function outcome(options: MessageMobOptions, mob: string, interaction_id: string, signal: AbortSignal): Promise<string> {
  for (;;) {
    const result = await rpc(options, mob, "mobkit/wait_interaction", { interaction_id, timeout_ms: POLL_MS }, signal);
    if (result.status === "completed") return result.result;
    if (result.status !== "open") throw new Error(`${mob} could not do it: ${result.error?.message ?? result.status}`);
  }
}

/** The mobs that the message which the member works on came through. */
async function mobsBefore(options: MessageMobOptions, { interactionId, signal }: ToolContext): Promise<string[]> {
  if (interactionId === null) return [];
  for await (const item of (await options.runtime()).interaction(interactionId, { signal })) {
    // What began it is not kept any more: it may have come from anywhere.
    if (item.type === "gap") return Array<string>(MAX_HOPS).fill("");
    if (item.event.kind !== "agent" || item.event.payload.type !== "user_input") continue;
    const { origin } = item.event.payload;
    return origin?.startsWith(ORIGIN) ? origin.slice(ORIGIN.length).split(SEPARATOR) : [];
  }
  return [];
}

async function rpc(options: MessageMobOptions, mob: string, method: string, params: object, signal: AbortSignal): Promise<any> {
  const { result, error } = await ask(options, mob, "/console/rpc", { jsonrpc: "2.0", id: 1, method, params }, signal);
  if (error) throw new Error(`${mob} answers: ${error.message}`);
  return result;
}

/** Asks until there is an answer: a mob that is moved or started anew has none for a moment, and what is asked may be asked again. */
async function ask(options: MessageMobOptions, mob: string, path: string, body: object, signal: AbortSignal): Promise<any> {
  for (let pause = RETRY_FIRST_MS; ; pause = Math.min(pause * 2, RETRY_LONGEST_MS)) {
    signal.throwIfAborted();
    const request = new Request(`https://mob.local${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });
    let why: string;
    try {
      const response = await options.fetch(mob, request);
      if (!response) throw new Refused(`there is no mob ${mob}`);
      const answer = (await response.json()) as { error?: string | { data?: { code?: string } }; message?: string };
      const code = typeof answer.error === "object" ? answer.error.data?.code : answer.error;
      if (response.ok && code !== "runtime_shutting_down") return answer;
      why = `${mob} answers: ${answer.message ?? code ?? `HTTP ${response.status}`}`;
      if (response.status !== 503 && code !== "runtime_shutting_down") throw new Refused(why);
    } catch (error) {
      if (error instanceof Refused || signal.aborted) throw error;
      why = String(error);
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pause);
      signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
    });
    if (signal.aborted) throw new Error(why);
  }
}

/** A refusal that another try does not change. */
class Refused extends Error {}
