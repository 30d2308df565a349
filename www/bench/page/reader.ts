// A reader of an event stream, in a page and in Node alike: cuts it into events and reads their numbers.

export class Reader {
  /** How many events came. */
  events = 0;
  /** The number of the newest one, and when it came. */
  last = 0;
  at = 0;
  readonly #ended: Promise<void>;
  #target = Infinity;
  #arrived!: () => void;
  readonly #arrival = new Promise<void>((resolve) => { this.#arrived = resolve; });

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#ended = this.#read(chunks);
    // Whoever waits for an event hears of it.
    this.#ended.catch(() => {});
  }

  /** Resolves when the event of this number has come; ends the stream. */
  async until(last: number): Promise<void> {
    this.#target = last;
    if (this.last >= last) return;
    await Promise.race([this.#arrival, this.#ended]);
    if (this.last < last) throw new Error(`a stream ended with event ${this.last} of ${last}`);
  }

  async #read(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunks) {
      text += decoder.decode(chunk, { stream: true });
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) this.#take(event);
      this.at = performance.now();
      if (this.last < this.#target) continue;
      this.#arrived();
      break;
    }
  }

  #take(event: string): void {
    if (event.startsWith(":")) {
      if (event.startsWith(": error")) throw new Error(`a stream broke: ${event}`);
      return;
    }
    const seq = Number(event.slice("id: mob:".length, event.indexOf("\n")));
    const name = event.slice(event.indexOf("event: ") + "event: ".length).split("\n", 1)[0];
    if (name === "gap" || !(seq > this.last)) throw new Error(`event ${this.last} is followed by ${event}`);
    this.events += 1;
    this.last = seq;
  }
}

/** Events per second that came to all readers together, from a moment on to the last reader's last event. */
export async function delivered(readers: Reader[], begin: number, after: number, last: number): Promise<number> {
  await Promise.all(readers.map((reader) => reader.until(last)));
  for (const { events } of readers) if (events !== last - after) throw new Error(`a reader had ${events} of ${last - after} events`);
  const end = Math.max(...readers.map(({ at }) => at));
  return readers.length * (last - after) / (end - begin) * 1_000;
}
