// A server that is posted to.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Posted {
  headers: Record<string, unknown>;
  body: any;
}

export class Webhook {
  readonly posted: Posted[] = [];
  /** What the next requests are answered; 200 when there is nothing more. */
  readonly statuses: number[] = [];
  readonly #waiting: (() => void)[] = [];
  #isHeld = false;
  readonly #server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => { text += chunk; });
    request.on("end", () => {
      this.posted.push({ headers: request.headers, body: JSON.parse(text) });
      const answer = (): void => { response.writeHead(this.statuses.shift() ?? 200).end(); };
      if (this.#isHeld) this.#waiting.push(answer);
      else answer();
    });
  });

  static async start(): Promise<Webhook> {
    const webhook = new Webhook();
    await new Promise<void>((resolve) => webhook.#server.listen(0, "127.0.0.1", resolve));
    return webhook;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** From now on requests wait. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Those that wait are answered, and those that come. */
  release(): void {
    this.#isHeld = false;
    for (const answer of this.#waiting.splice(0)) answer();
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
