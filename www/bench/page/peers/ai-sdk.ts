// The AI SDK's agent. It keeps nothing: the page holds each conversation's messages and hands all of them in.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { type ModelMessage, ToolLoopAgent } from "ai";
import type { Peer } from "./peer.ts";
import { BASE_URL, MODEL, SYSTEM } from "./stub.ts";

export const toolLoopAgent: Peer = {
  name: "AI SDK ToolLoopAgent",
  async open(fetch) {
    const provider = createOpenAICompatible({ name: "stub", baseURL: BASE_URL, includeUsage: true, fetch });
    const agent = new ToolLoopAgent({ model: provider(MODEL), instructions: SYSTEM });
    return {
      begin: async (conversations) => Array.from({ length: conversations }, () => {
        const messages: ModelMessage[] = [];
        return async (text) => {
          messages.push({ role: "user", content: text });
          const result = await agent.stream({ messages });
          let answer = "";
          for await (const piece of result.textStream) answer += piece;
          messages.push(...(await result.response).messages);
          return answer;
        };
      }),
      close: async () => {},
    };
  },
};
