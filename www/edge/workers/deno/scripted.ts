// What mobs of the tests are made of that need no server: a model that does as it is told, and a module. Both say what they are asked.

import type { ModelDelta, ModelObject, ModuleObject } from "mobkit-web";

/** Calls the tool that it is told to with the arguments that it is told, and says what came of it; anything else it repeats. */
export function caller(tell: (what: string) => void = () => {}): ModelObject {
  return {
    async *stream({ messages }): AsyncGenerator<ModelDelta> {
      const last = messages.at(-1);
      const content = last && "content" in last ? last.content : "";
      const text = typeof content === "string" ? content : content.map((block: object) => ("text" in block ? String(block.text) : "")).join("");
      tell(`heard ${text}`);
      const [, name, args] = /^call ([\w-]+) (.*)$/s.exec(text) ?? [];
      if (name) yield { type: "tool_call", index: 0, name, args: args ?? "{}" } as ModelDelta;
      else yield { type: "text", text: `said: ${text}` };
      yield { type: "stop", reason: name ? "tool_use" : "end_turn" };
    },
  };
}

/** A module that writes something down, and tells nobody but the test. */
export function notes(tell: (what: string) => void): ModuleObject {
  return {
    listTools: () => [{ name: "write", inputSchema: { type: "object", properties: { text: { type: "string" } } } }],
    callTool: (_, { text }) => {
      tell(`wrote ${text}`);
      return { written: text };
    },
  };
}
