// A model server that is none: a `fetch` that answers chat completions at once, with a stream of one word.

/** What every contender asks. */
export const QUESTION = "go on";

/** What the stub answers. */
export const WORD = "done";

/** The address that the stub stands in for. Nothing is there: a request that went past the stub would fail. */
export const BASE_URL = "http://stub.invalid/v1";

export const MODEL = "stub";

/** What contenders are told that say nothing to the model by themselves. */
export const SYSTEM = "You are a worker. Answer in one word.";

const encoder = new TextEncoder();

/** The answer as a server sends it, an event at a time. Each answer has an id of its own: LangGraph tells messages apart by it. */
function events(id: string): Uint8Array[] {
  const chunk = (choice: object, more: object = {}): string =>
    `data: ${JSON.stringify({ id, object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL, choices: [{ index: 0, ...choice }], ...more })}\n\n`;
  return [
    chunk({ delta: { role: "assistant", content: WORD }, finish_reason: null }),
    chunk({ delta: {}, finish_reason: "stop" }, { usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } }),
    "data: [DONE]\n\n",
  ].map((event) => encoder.encode(event));
}

/** What is looked at in a request's body. */
interface Body {
  stream?: boolean;
  messages: { role: string; content: unknown }[];
}

export class Stub {
  /** The bodies since they were last looked at. They are read when the clock has stopped. */
  #bodies: BodyInit[] = [];
  #answers = 0;

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const address = input instanceof Request ? input.url : String(input);
    if (address !== `${BASE_URL}/chat/completions` || init?.method !== "POST" || !init.body) {
      throw new TypeError(`the stub knows nothing of ${init?.method ?? "GET"} ${address}`);
    }
    this.#bodies.push(init.body);
    this.#answers += 1;
    const id = `chatcmpl-${this.#answers}`;
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const event of events(id)) controller.enqueue(event);
        controller.close();
      },
    });
    return new Response(stream, { status: 200, headers: { "content-type": "text/event-stream" } });
  };

  /**
   * Forgets the requests. Before, it sees that they were those of so many conversations of so many turns each: one for each turn, for a
   * stream, with all that was said until then and the question at the end. Answers the bytes of the shortest one.
   */
  async settle(conversations: number, turns: number): Promise<number> {
    const bodies = await Promise.all(this.#bodies.map((body) => new Response(body).text()));
    this.#bodies = [];
    if (bodies.length !== conversations * turns) throw new Error(`the stub was asked ${bodies.length} times for ${conversations * turns} turns`);
    const asked = new Array<number>(turns).fill(0);
    for (const body of bodies) {
      const { stream, messages } = JSON.parse(body) as Body;
      const said = messages.filter(({ role }) => role !== "system");
      const turn = (said.length - 1) / 2;
      const whole = said.every(({ role, content }, at) => at % 2 === 0 ? role === "user" && says(content, QUESTION) : role === "assistant" && says(content, WORD));
      if (stream !== true || !whole || asked[turn] === undefined) throw new Error(`a request is not a turn of these conversations: ${body}`);
      asked[turn] += 1;
    }
    const other = asked.findIndex((count) => count !== conversations);
    if (other >= 0) throw new Error(`${asked[other]} requests were for turn ${other + 1} of ${conversations} conversations`);
    return Math.min(...bodies.map((body) => encoder.encode(body).length));
  }
}

/** Whether a message is this text, as such or as the one block of it. */
function says(content: unknown, text: string): boolean {
  return content === text || JSON.stringify(content) === JSON.stringify([{ type: "text", text }]);
}
