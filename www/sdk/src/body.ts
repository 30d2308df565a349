// Bodies: the bytes of a request, and the sending and the receiving end of one stream over a port, in chunks with credit.

/** No chunk is larger, so that credit bounds memory. */
export const CHUNK_BYTES = 64 * 1024;

/** How many chunks a receiver asks for ahead of its reader. */
export const READ_AHEAD = 8;

/** The bytes of a request; null if there are none. Not every browser has the request's `body` to ask. */
export async function bytesOf(request: Request): Promise<Uint8Array<ArrayBuffer> | null> {
  if (request.body === null) return null;
  const bytes = new Uint8Array(await request.arrayBuffer());
  return bytes.byteLength === 0 ? null : bytes;
}

/** Sends one stream, a chunk per credit. */
export class BodySender {
  #credit: number;
  #cancelled = false;
  #granted: (() => void) | undefined;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(stream: ReadableStream<Uint8Array>, credit: number) {
    this.#reader = stream.getReader();
    this.#credit = credit;
  }

  /** The receiver has room for more chunks. */
  grant(chunks: number): void {
    this.#credit += chunks;
    this.#wake();
  }

  /** The receiver wants no more: the source is cancelled, so that what produces it stops. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#wake();
    // The source has nobody left to tell that its cancellation failed.
    this.#reader.cancel().catch(() => {});
  }

  /** Reads and sends until the source ends (true) or the receiver cancels (false). Fails as the source fails. */
  async run(send: (bytes: Uint8Array) => void): Promise<boolean> {
    for (;;) {
      // Credit first: nothing is read that could not be sent, so back pressure reaches the source.
      if (!(await this.#hasCredit())) return false;
      const { done, value } = await this.#reader.read();
      if (this.#cancelled) return false;
      if (done) return true;
      for (let at = 0; at < value.byteLength; at += CHUNK_BYTES) {
        if (!(await this.#hasCredit())) return false;
        this.#credit -= 1;
        // A copy: the chunk's buffer is transferred, and the source's may be shared with others.
        send(value.slice(at, at + CHUNK_BYTES));
      }
    }
  }

  async #hasCredit(): Promise<boolean> {
    while (this.#credit <= 0 && !this.#cancelled) {
      await new Promise<void>((resolve) => { this.#granted = resolve; });
    }
    return !this.#cancelled;
  }

  #wake(): void {
    this.#granted?.();
    this.#granted = undefined;
  }
}

/** Receives one stream; grants credit as the reader makes room. */
export class BodyReceiver {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #open = true;
  /** Chunks granted and not yet here. The first `READ_AHEAD` were granted with the request. */
  #outstanding = READ_AHEAD;

  constructor(grant: (chunks: number) => void, cancelled: () => void) {
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => { this.#controller = controller; },
      pull: (controller) => {
        const room = (controller.desiredSize ?? 0) - this.#outstanding;
        // Half the read-ahead at a time, so that a fast reader does not cost a message per chunk.
        if (room < READ_AHEAD / 2) return;
        this.#outstanding += room;
        grant(room);
      },
      cancel: () => {
        this.#open = false;
        cancelled();
      },
    }, new CountQueuingStrategy({ highWaterMark: READ_AHEAD }));
  }

  chunk(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#open) return;
    this.#outstanding -= 1;
    this.#controller.enqueue(bytes);
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#controller.close();
  }

  error(reason: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#controller.error(reason);
  }
}
