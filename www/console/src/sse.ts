// Server-sent events out of a fetch body (HTML standard, section 9.2.6), cut anywhere: inside a line, a CRLF or a character.

/** One dispatched event. `id` is the last id seen, which a resume sends as `Last-Event-ID`. */
export interface SseEvent {
  event: string;
  data: string;
  id: string;
}

/** Incremental parser: text in, whole events out. */
export class SseParser {
  #rest = "";
  #start = true;
  #event = "";
  #data: string[] = [];
  #id = "";
  /** Milliseconds that the server asked a client to wait before it reconnects, if it did. */
  retryMs: number | undefined;

  /** Takes the next piece of text and returns the events that it completes. */
  push(text: string): SseEvent[] {
    let buffer = this.#rest + text;
    if (this.#start && buffer.length > 0) {
      if (buffer.charCodeAt(0) === 0xfeff) buffer = buffer.slice(1);
      this.#start = false;
    }
    const events: SseEvent[] = [];
    let from = 0;
    for (let at = 0; at < buffer.length; at++) {
      const code = buffer.charCodeAt(at);
      if (code !== 10 && code !== 13) continue;
      // A CR at the very end may be the first half of a CRLF: wait for the next piece.
      if (code === 13 && at + 1 === buffer.length) break;
      this.#line(buffer.slice(from, at), events);
      if (code === 13 && buffer.charCodeAt(at + 1) === 10) at++;
      from = at + 1;
    }
    this.#rest = buffer.slice(from);
    return events;
  }

  #line(line: string, out: SseEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        out.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
      }
      this.#event = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}

/** The events of a response body in the batches in which they arrive; ends with the body, throws as the body does. */
export async function* sseBatches(body: ReadableStream<Uint8Array>): AsyncGenerator<SseEvent[], void, void> {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = parser.push(decoder.decode(value, { stream: true }));
      if (events.length > 0) yield events;
    }
  } finally {
    // Also when the consumer stops early: an unread body would keep the producer's stream open.
    await reader.cancel().catch(() => undefined);
  }
}
