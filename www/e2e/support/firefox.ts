// Firefox over WebDriver (W3C), as far as the tests need it: plain requests to geckodriver.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** The name of an element's reference in the protocol. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
/** How long an element is waited for, and a browser to start, on a busy machine. */
const WAIT_MS = 60_000;

export class Firefox {
  readonly #driver: ChildProcess;
  readonly #session: string;

  private constructor(driver: ChildProcess, session: string) {
    this.#driver = driver;
    this.#session = session;
  }

  /** Starts the browser on a fresh profile. `GECKODRIVER` says where its driver is. */
  static async start(): Promise<Firefox> {
    const driver = spawn(process.env["GECKODRIVER"] ?? "geckodriver", ["--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
    const end = (): void => void driver.kill();
    process.once("exit", end);
    try {
      const address = await listening(driver);
      const options = { args: ["-headless", "--width=1440", "--height=900"] };
      const { sessionId } = await ask<{ sessionId: string }>("POST", `${address}/session`, { capabilities: { alwaysMatch: { browserName: "firefox", "moz:firefoxOptions": options } } });
      const firefox = new Firefox(driver, `${address}/session/${sessionId}`);
      await firefox.#post("/timeouts", { implicit: WAIT_MS, script: WAIT_MS });
      return firefox;
    } catch (error) {
      end();
      throw error;
    }
  }

  async close(): Promise<void> {
    await ask("DELETE", this.#session);
    this.#driver.kill();
  }

  async goto(url: string): Promise<void> {
    await this.#post("/url", { url });
  }

  async reload(): Promise<void> {
    await this.#post("/refresh", {});
  }

  async back(): Promise<void> {
    await this.#post("/back", {});
  }

  /** Waits for an element and returns it. */
  async find(selector: string): Promise<Element> {
    const found = await this.#post<Record<string, string>>("/element", { using: "css selector", value: selector });
    const path = `/element/${found[ELEMENT]}`;
    return {
      text: async () => await ask<string>("GET", `${this.#session}${path}/text`),
      click: async () => await this.#post(`${path}/click`, {}),
      type: async (text) => await this.#post(`${path}/value`, { text }),
    };
  }

  /** Runs a function in the page; what it returns must be JSON. */
  async run<Args extends unknown[], T>(work: (...args: Args) => T | Promise<T>, ...args: Args): Promise<T> {
    return await this.#post<T>("/execute/sync", { script: `globalThis.__name ??= (value) => value; return (${work})(...arguments);`, args });
  }

  /** Opens a tab and goes on in it. */
  async newTab(): Promise<string> {
    const { handle } = await this.#post<{ handle: string }>("/window/new", { type: "tab" });
    await this.inTab(handle);
    return handle;
  }

  async tab(): Promise<string> {
    return await ask<string>("GET", `${this.#session}/window`);
  }

  async inTab(handle: string): Promise<void> {
    await this.#post("/window", { handle });
  }

  /** Closes the tab; the next step is to choose another. */
  async closeTab(): Promise<void> {
    await ask("DELETE", `${this.#session}/window`);
  }

  /** A picture of what is in sight. */
  async screenshot(): Promise<Buffer> {
    return Buffer.from(await ask<string>("GET", `${this.#session}/screenshot`), "base64");
  }

  async #post<T>(path: string, body: unknown): Promise<T> {
    return await ask<T>("POST", `${this.#session}${path}`, body);
  }
}

export interface Element {
  text(): Promise<string>;
  click(): Promise<void>;
  type(text: string): Promise<void>;
}

async function ask<T>(method: string, url: string, body?: unknown): Promise<T> {
  const response = await fetch(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) });
  const { value } = (await response.json()) as { value: T & { error?: string; message?: string } };
  if (!response.ok) throw new Error(`${method} ${new URL(url).pathname}: ${value.error}: ${value.message}`);
  return value;
}

function listening(driver: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`geckodriver did not start: ${why}`));
    const timer = setTimeout(() => fail(`nothing within ${WAIT_MS / 1000} s`), WAIT_MS);
    driver.on("error", (error) => fail(error.message));
    driver.on("exit", (code) => fail(`it ended with ${code}`));
    if (!driver.stdout) return;
    createInterface({ input: driver.stdout }).on("line", (line) => {
      const address = /Listening on (\S+)$/.exec(line)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(`http://${address}`);
    });
  });
}
