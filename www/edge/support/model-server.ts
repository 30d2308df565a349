// A model server that others wrote, behind a door that can be held shut: what arrives meanwhile waits.

import { createServer, request as send, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { LLMock } from "@copilotkit/aimock";

export class ModelServer {
  readonly mock = new LLMock({ port: 0 });
  readonly #server: Server;
  readonly #waiting: (() => void)[] = [];
  #isHeld = false;
  /** Requests that have arrived, held or not. */
  arrived = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.arrived += 1;
      const pass = (): void => {
        // Whoever asked has died meanwhile.
        if (request.destroyed) return;
        const onward = send(`${this.mock.url}${request.url}`, { method: request.method, headers: request.headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        // A client that went away is no concern of the mock's.
        onward.on("error", () => response.destroy());
        request.pipe(onward);
      };
      if (this.#isHeld) this.#waiting.push(pass);
      else pass();
    });
  }

  static async start(): Promise<ModelServer> {
    const server = new ModelServer();
    await server.mock.start();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** From now on requests wait. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Those that wait go on, and those that come. */
  release(): void {
    this.#isHeld = false;
    for (const pass of this.#waiting.splice(0)) pass();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.mock.stop();
  }
}
