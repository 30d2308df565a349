// A Deno process with an entry of ours, over the package as it is published.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** How long the process may take to listen, and to end, on a busy machine. */
const LIMIT_MS = 60_000;
const PACKAGE = dirname(fileURLToPath(import.meta.resolve("mobkit-web/package.json")));

/** A folder with an application that has the package installed. */
export class DenoProject {
  readonly directory = mkdtempSync(join(tmpdir(), "mobkit-deno-"));

  /** Copies a folder of this workspace. */
  constructor(folder: string) {
    cpSync(fileURLToPath(new URL(`../${folder}`, import.meta.url)), this.directory, { recursive: true });
    const installed = join(this.directory, "node_modules/mobkit-web");
    mkdirSync(installed, { recursive: true });
    cpSync(join(PACKAGE, "package.json"), join(installed, "package.json"));
    cpSync(join(PACKAGE, "dist"), join(installed, "dist"), { recursive: true });
    // What `npm install` would write: Deno looks for packages there, and asks no registry.
    writeFileSync(join(this.directory, "package.json"), JSON.stringify({ type: "module", dependencies: { "mobkit-web": "^0.1.0" } }));
  }

  /** Runs `deno` to its end; answers what it said. */
  run(...args: string[]): { status: number | null; said: string } {
    const { status, stdout, stderr } = spawnSync(binary(), args, { cwd: this.directory, env: environment({}), encoding: "utf8", timeout: LIMIT_MS });
    return { status, said: stdout + stderr };
  }

  start(entry: string, env: Record<string, string>, flags: string[] = ["-A"]): Promise<DenoServer> {
    return DenoServer.start(this.directory, entry, env, flags);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A process that listens. */
export class DenoServer {
  readonly #process: ChildProcess;
  readonly #said: string[] = [];
  readonly #ended: Promise<number | null>;
  url = "";

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.#ended = new Promise((resolve) => child.once("exit", resolve));
  }

  static async start(cwd: string, entry: string, env: Record<string, string>, flags: string[]): Promise<DenoServer> {
    const child = spawn(binary(), ["run", "--cached-only", "--no-prompt", ...flags, entry], { cwd, env: environment(env), stdio: ["ignore", "pipe", "pipe"] });
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));
    const server = new DenoServer(child);
    try {
      server.url = await server.#listening();
    } catch (error) {
      await server.kill();
      throw new Error(`${String(error)}\n${server.said}`);
    }
    return server;
  }

  /** What the process has said. */
  get said(): string {
    return this.#said.join("\n");
  }

  /** Kills the process as a power cut would. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  /** Asks the process to end; answers its status. One that does not end is killed, and answers null. */
  async stop(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    const limit = setTimeout(() => this.#process.kill("SIGKILL"), LIMIT_MS);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(limit);
    }
  }

  #listening(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`deno does not listen within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
      for (const stream of [this.#process.stdout, this.#process.stderr]) {
        if (!stream) continue;
        createInterface({ input: stream }).on("line", (line) => {
          this.#said.push(line);
          const url = line.match(/^listening on (http:\S+)/)?.[1];
          if (url === undefined) return;
          clearTimeout(timer);
          resolve(url);
        });
      }
      // Its streams end after it: only then is known all that it said.
      this.#process.once("close", (code) => {
        clearTimeout(timer);
        reject(new Error(`deno ended with ${code}`));
      });
    });
  }
}

const environment = (env: Record<string, string>): Record<string, string> =>
  ({ PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env });

function binary(): string {
  return join(dirname(createRequire(import.meta.url).resolve("deno/package.json")), "deno");
}
