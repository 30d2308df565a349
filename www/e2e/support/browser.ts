// Chromium on a profile on disk, started by us so that it can be killed: everything that survives a kill is in the profile.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

export const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-session-crashed-bubble",
  "--hide-crash-restore-bubble",
  "--disable-breakpad",
  "--password-store=basic",
  // A tab in the background works as fast as one in front.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--window-size=1440,900",
  "--remote-debugging-port=0",
];
/** How long a browser may take to start on a busy machine. */
const START_MS = 60_000;

/** A directory that a browser keeps everything in; it outlives each browser that runs on it. */
export class Profile {
  readonly directory = mkdtempSync(join(tmpdir(), "mobkit-e2e-"));
  #running: Chromium | undefined;
  /** What every browser on this profile is prepared with. */
  readonly #prepare: (context: BrowserContext) => Promise<void>;

  constructor(prepare: (context: BrowserContext) => Promise<void> = async () => {}) {
    this.#prepare = prepare;
  }

  /** Starts the browser; the one before must be closed or killed. */
  async launch(): Promise<BrowserContext> {
    if (this.#running) throw new Error("a browser runs on this profile");
    // A killed browser leaves its lock behind.
    for (const name of ["SingletonLock", "SingletonCookie", "SingletonSocket"]) rmSync(join(this.directory, name), { force: true });
    this.#running = await Chromium.start(this.directory);
    const [context] = this.#running.browser.contexts();
    if (!context) throw new Error("the browser has no context");
    context.setDefaultTimeout(30_000);
    await this.#prepare(context);
    return context;
  }

  /** Ends the browser as a user does. */
  async close(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.close();
  }

  /** Ends the browser as a power button does: no process of it runs another instruction. */
  async kill(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.kill();
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

class Chromium {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(
    process: ChildProcess,
    ended: Promise<void>,
    readonly browser: Browser,
  ) {
    this.#process = process;
    this.#ended = ended;
  }

  static async start(directory: string): Promise<Chromium> {
    const executable = process.env["CHROMIUM"] ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
    if (executable === undefined) throw new Error("there is no Chromium; say where it is with CHROMIUM");
    // In a process group of its own, which one signal ends.
    const child = spawn(executable, [...FLAGS, `--user-data-dir=${directory}`, "about:blank"], { detached: true, stdio: ["ignore", "ignore", "pipe"] });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const group = (): void => killGroup(child);
    process.once("exit", group);
    void ended.then(() => process.removeListener("exit", group));
    try {
      return new Chromium(child, ended, await chromium.connectOverCDP(await endpoint(child)));
    } catch (error) {
      killGroup(child);
      throw error;
    }
  }

  async close(): Promise<void> {
    const session = await this.browser.newBrowserCDPSession();
    await session.send("Browser.close").catch(() => undefined);
    await this.#ended;
    await this.browser.close();
  }

  async kill(): Promise<void> {
    killGroup(this.#process);
    await this.#ended;
    await this.browser.close();
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // Gone already.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function endpoint(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = setTimeout(() => reject(new Error(`Chromium did not start within ${START_MS / 1000} s\n${said}`)), START_MS);
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`Chromium did not start: ${why}\n${said}`));
    };
    child.on("error", (error) => fail(error.message));
    child.on("exit", (code) => fail(`it ended with ${code}`));
    if (!child.stderr) return;
    createInterface({ input: child.stderr }).on("line", (line) => {
      said += `${line}\n`;
      const url = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}
