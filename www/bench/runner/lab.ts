// Chromium on a profile on disk, and a site with the page of one bench.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core";
import { FLAGS } from "../../e2e/support/browser.ts";
import { serve, type Site } from "./site.ts";

/** How long a page may take for one call. */
const CALL_MS = 300_000;

export class Lab {
  readonly #site: Site;
  readonly #profile: string;
  #context: BrowserContext;
  /** Scripts that run in every page before anything else. */
  readonly #first: string[] = [];
  /** What a page threw without anybody to catch it. */
  readonly #uncaught: string[] = [];

  private constructor(site: Site, profile: string, context: BrowserContext) {
    this.#site = site;
    this.#profile = profile;
    this.#context = context;
  }

  /** The lab for the bench of this name, whose page is `page/{name}.ts`. Its profile is made in `directory`. */
  static async open(name: string, directory: string): Promise<Lab> {
    const site = await serve(name);
    const profile = mkdtempSync(join(directory, "profile-"));
    try {
      return new Lab(site, profile, await launch(profile));
    } catch (error) {
      rmSync(profile, { recursive: true, force: true });
      await site.close();
      throw error;
    }
  }

  /** The browser, in its own words. */
  get browser(): string {
    return `Chromium ${this.#context.browser()?.version() ?? "of an unknown version"}`;
  }

  /** Lets a script of `page/` run in every page from now on, before anything else. */
  async runFirst(name: string): Promise<void> {
    this.#first.push(await this.#site.script(name));
  }

  /** A new tab with the bench's page. */
  async page(prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<Page> {
    const page = await this.#context.newPage();
    page.setDefaultTimeout(CALL_MS);
    page.on("pageerror", (error) => {
      console.error(`  the page threw ${error.stack ?? error.message}`);
      this.#uncaught.push(error.message);
    });
    page.on("console", (message) => console.log(`  the page said: ${message.text()}`));
    page.on("crash", () => this.#uncaught.push("the page crashed"));
    for (const content of this.#first) await page.addInitScript({ content });
    await prepare(page);
    await page.goto(this.#site.url);
    return page;
  }

  /** The debugger's connection to a page. */
  debug(page: Page): Promise<CDPSession> {
    return this.#context.newCDPSession(page);
  }

  /** Ends the browser and starts another on the same profile. */
  async restart(): Promise<void> {
    await this.#context.close();
    this.#context = await launch(this.#profile);
  }

  /** Ends everything. Fails if a page threw what nobody caught: what was measured then is not what it seems. */
  async close(): Promise<void> {
    await this.#context.close();
    await this.#site.close();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    if (this.#uncaught.length > 0) throw new Error(`an error in the page: ${this.#uncaught[0]}`);
  }
}

function launch(profile: string): Promise<BrowserContext> {
  const executablePath = process.env["CHROMIUM"] ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error("there is no Chromium; say where it is with CHROMIUM");
  // Playwright has a channel of its own to the browser.
  const args = FLAGS.filter((flag) => !flag.startsWith("--remote-debugging"));
  return chromium.launchPersistentContext(profile, { executablePath, args });
}
