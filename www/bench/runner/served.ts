// Mobs served by workerd, a process of its own, and a client of them.

import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { createRequire } from "node:module";
import { Workerd, type WorkerOptions } from "../../edge/support/workerd.ts";
import { body, result } from "../page/calls.ts";

/** How long a mob may take for one answer. */
const CALL_MS = 120_000;

/** Flags of V8 with which memory can be weighed. */
export const COLLECTING = ["--expose-gc", "--trace-gc"];
/** More than whose lines V8's buffer holds. */
const COLLECTIONS = 200;

export class Served {
  /** Reuses connections, as many as there are requests at a time. */
  #agent = new Agent({ keepAlive: true, noDelay: true });
  readonly #workerd: Workerd;

  private constructor(workerd: Workerd) {
    this.#workerd = workerd;
  }

  /** Starts workerd with `edge/workers/bench.ts`. */
  static async start(options: WorkerOptions = {}): Promise<Served> {
    return new Served(await Workerd.start("bench", { ...options, objects: { MOBS: "Mob", DIRECTORY: "MobDirectory" } }));
  }

  /** The runtime, in its own words. */
  static get version(): string {
    return `workerd ${(createRequire(createRequire(import.meta.url).resolve("edge/package.json"))("workerd/package.json") as { version: string }).version}`;
  }

  /** Makes a mob, of the demo's definition or another one. */
  async make(mob: string, definition?: string): Promise<void> {
    await this.text("PUT", `/mobs/${mob}`, definition === undefined ? undefined : JSON.stringify({ definition }));
  }

  async rpc(mob: string, method: string, params: object = {}): Promise<any> {
    return result(await this.call(mob, body(method, params)));
  }

  /** The answer's text to a call's. */
  call(mob: string, body: string): Promise<string> {
    return this.text("POST", `/mobs/${mob}/console/rpc`, body);
  }

  /** Asks a member, and sees that it answered. */
  async ask(mob: string, member_id: string, message: string): Promise<void> {
    const { interaction_id } = await this.rpc(mob, "mobkit/send_message", { member_id, message });
    const { status, error } = await this.rpc(mob, "mobkit/wait_interaction", { interaction_id });
    if (status !== "completed") throw new Error(`${member_id} of ${mob} ${status}: ${JSON.stringify(error)}`);
  }

  /** The number of a mob's newest event. */
  async latestEvent(mob: string): Promise<number> {
    return Number((await this.rpc(mob, "mobkit/status")).latest_event_cursor);
  }

  /** Opens an event stream; resolves when it has begun. */
  async stream(path: string): Promise<IncomingMessage> {
    return await this.#send("GET", path);
  }

  async text(method: string, path: string, body?: string): Promise<string> {
    let text = "";
    for await (const chunk of (await this.#send(method, path, body)).setEncoding("utf8")) text += chunk;
    return text;
  }

  /** Lets the object of a mob end as an eviction does, when it has nothing to do. */
  async evict(mob: string): Promise<void> {
    await this.rest(mob);
    await this.text("POST", `/-bench/evict/${mob}`);
  }

  /** Resolves when a mob has nothing to wake for. */
  async rest(mob: string): Promise<void> {
    const end = performance.now() + CALL_MS;
    while (await this.text("GET", `/-bench/rests/${mob}`) !== "true") {
      if (performance.now() > end) throw new Error(`${mob} does not come to rest`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** The wasm memories of all instances, and the JavaScript heap in use, in bytes, after a collection. Only with the flags `COLLECTING`. */
  async memories(): Promise<{ wasm: number[]; heap: number }> {
    const collections = (): string[] => [...this.#workerd.said.matchAll(/Mark-Compact [\d.]+ \([\d.]+\) -> ([\d.]+) /g)].map(([, after]) => after ?? "");
    const before = collections().length;
    // V8 tells of collections through a buffer, whose end is a collection of ours when it comes after some of them.
    for (let collected = 0; collected < COLLECTIONS; collected++) {
      const wasm = JSON.parse(await this.text("GET", "/-bench/memories")) as number[];
      const told = collections();
      if (collected > 2 && told.length > before) return { wasm, heap: Number(told.at(-1)) * 2 ** 20 };
    }
    throw new Error("V8 tells of no collection");
  }

  /** Bytes of the process that are in memory. */
  residentBytes(): number {
    const kilobytes = readFileSync(`/proc/${this.#workerd.pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB$/m)?.[1];
    if (kilobytes === undefined) throw new Error("the system does not say how much of a process is in memory");
    return Number(kilobytes) * 1_024;
  }

  /** Kills the process. What is stored stays. */
  async kill(): Promise<void> {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true, noDelay: true });
    await this.#workerd.kill();
  }

  /** Starts a process after `kill`; resolves when it listens. */
  restart(): Promise<void> {
    return this.#workerd.restart();
  }

  close(): void {
    this.#agent.destroy();
    this.#workerd.close();
  }

  #send(method: string, path: string, body?: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${method} ${path}: ${why}\n${this.#workerd.said}`));
      const sent = request(`${this.#workerd.url}${path}`, { method, agent: this.#agent, timeout: CALL_MS }, (response) => {
        if ((response.statusCode ?? 500) < 300) return resolve(response);
        response.resume();
        fail(`HTTP ${response.statusCode}`);
      });
      sent.on("timeout", () => sent.destroy(new Error("no answer")));
      sent.on("error", (error) => fail(error.message));
      sent.end(body);
    });
  }
}
