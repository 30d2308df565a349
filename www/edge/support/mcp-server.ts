// The reference server of MCP, from npm, over Streamable HTTP.

import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createServer } from "node:net";

const SERVER = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");
/** How long it may take to listen on a busy machine. */
const LIMIT_MS = 60_000;

export class McpServer {
  #process: ChildProcess | undefined;

  private constructor(readonly port: number) {}

  static async start(): Promise<McpServer> {
    const server = new McpServer(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/mcp`;
  }

  /** Starts it, at the same port as before. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [SERVER, "streamableHttp"], { env: { ...process.env, PORT: String(this.port) }, stdio: "ignore" });
    this.#process = child;
    process.once("exit", () => child.kill("SIGKILL"));
    const late = Date.now() + LIMIT_MS;
    // Anything that is answered is a sign of life.
    while (!(await fetch(this.url).then(() => true, () => false))) {
      if (Date.now() > late || child.exitCode !== null) throw new Error("the MCP server does not listen");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("there is no port"))));
    });
  });
}
