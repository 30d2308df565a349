// LangGraph's agent loop, a graph of a node for the model and one for tools, from its entry for browsers. Its checkpointer keeps every
// step of a thread in memory; it has none for browsers that is durable. Without one the page holds the messages.
//
// The ready-made `createReactAgent` is deprecated there. The answer is taken from the state, and not from `streamMode: "messages"`: the
// callbacks that carry the words wait in one queue in the background, and with twenty runs at once the runs end before them.

import { ToolNode, toolsCondition } from "@langchain/langgraph/prebuilt";
import { MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph/web";
import { ChatOpenAI } from "@langchain/openai";
import type { Peer } from "./peer.ts";
import { BASE_URL, MODEL, SYSTEM } from "./stub.ts";

type Message = typeof MessagesAnnotation.State["messages"][number];

export const checkpointed: Peer = {
  name: "LangGraph, MemorySaver",
  async open(fetch) {
    const agent = loop(fetch, new MemorySaver());
    return {
      begin: async (conversations) => Array.from({ length: conversations }, () => {
        const config = { configurable: { thread_id: crypto.randomUUID() } };
        return async (text) => {
          const { messages } = await agent.invoke({ messages: [question(text)] }, config);
          return messages.at(-1)?.text ?? "";
        };
      }),
      close: async () => {},
    };
  },
};

export const unkept: Peer = {
  name: "LangGraph, no checkpointer",
  async open(fetch) {
    const agent = loop(fetch);
    return {
      begin: async (conversations) => Array.from({ length: conversations }, () => {
        let said: Message[] = [];
        return async (text) => {
          ({ messages: said } = await agent.invoke({ messages: [...said, question(text)] }));
          return said.at(-1)?.text ?? "";
        };
      }),
      close: async () => {},
    };
  },
};

const question = (text: string) => ({ role: "user", content: text });

function loop(fetch: typeof globalThis.fetch, checkpointer?: MemorySaver) {
  const llm = new ChatOpenAI({ model: MODEL, apiKey: "none", configuration: { baseURL: BASE_URL, fetch, dangerouslyAllowBrowser: true } });
  const system = { role: "system", content: SYSTEM };
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("agent", async ({ messages }, config) => {
      const stream = await llm.stream([system, ...messages], config);
      const first = await stream.next();
      if (first.done) throw new Error("the model answered nothing");
      let answer = first.value;
      for await (const piece of stream) answer = answer.concat(piece);
      return { messages: [answer] };
    })
    .addNode("tools", new ToolNode([]))
    .addEdge(START, "agent")
    .addConditionalEdges("agent", toolsCondition)
    .addEdge("tools", "agent");
  return graph.compile(checkpointer ? { checkpointer } : {});
}
