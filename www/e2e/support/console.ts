// The console as a person meets it, and the means to wait for what they wait for.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { BrowserContext, Locator, Page } from "playwright-core";
import { Recording, type Report, type Stored } from "./recording.ts";

export const id = (name: string): string => `[data-testid="${name}"]`;

/** The storage that the console uses when its address names none. */
export const STORAGE = "mobkit-console";

const READER = readFileSync(new URL("stored.js", import.meta.url), "utf8");

/** Reads a storage with plain JavaScript, in a document of the same origin that has none of our code. */
export async function readStored(context: BrowserContext, site: string, name = STORAGE): Promise<Stored> {
  const page = await context.newPage();
  try {
    await page.goto(`${site}nothing-is-here`);
    return await page.evaluate(`${READER}(${JSON.stringify(name)})`);
  } finally {
    await page.close();
  }
}

/** The test's compiler names functions with a helper, which functions that run in the page then look for there. */
export const NAMES = "globalThis.__name ??= (value) => value;";

let bundle: Promise<string> | undefined;

/** Lets a recording hear what every page of a context is told. */
export async function observe(context: BrowserContext, recording: Recording): Promise<void> {
  bundle ??= build({
    entryPoints: [fileURLToPath(new URL("in-page.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    logLevel: "warning",
  }).then((result) => result.outputFiles[0]?.text ?? "");
  await context.exposeFunction("mobReport", (report: Report) => recording.take(report));
  await context.addInitScript({ content: `${NAMES}${await bundle}` });
}

/** What a person sees of a mob at rest. */
export interface Sight {
  roster: string[];
  wiring: string;
  chats: Record<string, string[]>;
  ledger: string[];
  cursors: { mob: number; events: number };
}

export interface OpenOptions {
  storage?: string;
  /** Milliseconds between the demo model's words; the console's own choice if none. */
  pace?: number;
}

export class Console {
  /** What must not happen: uncaught errors, errors on the console, violations of the policy. */
  readonly faults: string[] = [];

  private constructor(readonly page: Page) {
    page.on("pageerror", (error) => this.faults.push(`uncaught: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.faults.push(`console: ${message.text()}`);
    });
  }

  /** Opens an address in a new tab, whatever it shows. */
  static async visit(context: BrowserContext, address: string): Promise<Console> {
    const page = await context.newPage();
    const console = new Console(page);
    await page.goto(address);
    return console;
  }

  /** Opens the page in a new tab and waits until it shows the mob. */
  static async open(context: BrowserContext, site: string, options: OpenOptions = {}): Promise<Console> {
    const console = await Console.visit(context, options.storage === undefined ? site : `${site}?storage=${options.storage}`);
    await console.ready();
    if (options.pace !== undefined) await console.pace(options.pace);
    return console;
  }

  get(name: string): Locator {
    return this.page.locator(id(name));
  }

  async ready(): Promise<void> {
    await this.page.locator(`${id("mobkit-console")}[data-boot="ready"]:is([data-client-state="leader"], [data-client-state="follower"])`).waitFor();
    await this.member("lead").waitFor();
    await this.page.locator(`${id("chat-inspector")}[data-identity]`).waitFor();
  }

  /** Waits until this tab leads the mob, and says so. */
  async leads(): Promise<void> {
    await this.page.locator(`${id("mobkit-console")}[data-client-state="leader"]`).waitFor();
    await this.get("follower-banner").waitFor({ state: "detached" });
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.ready();
  }

  member(identity: string, state = ""): Locator {
    return this.page.locator(`${id("sidebar-list")} [data-identity="${identity}"]${state === "" ? "" : `[data-state="${state}"]`}`);
  }

  async tab(name: string): Promise<void> {
    await this.get(`tab-${name}`).click();
  }

  /** Chooses a member's chat. */
  async chat(identity: string): Promise<Locator> {
    await this.member(identity).click();
    const chat = this.page.locator(`${id("chat-inspector")}[data-identity="${identity}"]`);
    await chat.waitFor();
    return chat.locator(id("chat-events"));
  }

  /** Sends a message to the chosen member; it is accepted when this returns. */
  async say(text: string): Promise<void> {
    const field = this.get("chat-form").locator("textarea");
    await field.fill(text);
    await field.press("Enter");
    await this.page.waitForFunction((selector) => document.querySelector<HTMLTextAreaElement>(selector)?.value === "", `${id("chat-form")} textarea`);
  }

  /** The demo's answers to a task, as far as they are complete. */
  answers(task: string): Locator {
    return this.get("chat-events").locator('[data-kind="assistant"][data-open="false"]').filter({ hasText: `Here is our answer to “${task}”` });
  }

  /** Waits until nobody works. */
  async rest(timeout = 60_000): Promise<void> {
    await this.page.waitForFunction(
      (list) => {
        const rows = [...document.querySelectorAll<HTMLElement>(`${list} [data-identity]`)];
        return rows.length > 0 && rows.every((row) => row.dataset["state"] === "idle" || row.dataset["state"] === "dormant");
      },
      id("sidebar-list"),
      { timeout },
    );
  }

  /** Everything that a person can see of the mob, which must be at rest. Ends in the lead's chat. */
  async sight(): Promise<Sight> {
    await this.tab("chat");
    const roster = await this.get("sidebar-list").locator("[data-identity]").evaluateAll((rows) =>
      rows.map((row) => `${(row as HTMLElement).dataset["identity"]} ${(row as HTMLElement).dataset["role"]}`));
    const chats: Record<string, string[]> = {};
    for (const row of [...roster].reverse()) {
      const identity = row.split(" ")[0] ?? "";
      const chat = await this.chat(identity);
      chats[identity] = await chat.locator("[data-kind]").evaluateAll((items) => items.map((item) => {
        const copy = item.cloneNode(true) as HTMLElement;
        // Times are shown in another way on the next day.
        for (const time of copy.querySelectorAll("time")) time.remove();
        return `${copy.dataset["kind"]}: ${copy.textContent}`;
      }));
    }
    const wiring = `${await this.get("topology-node-count").textContent()} ${await this.get("topology-edge-count").textContent()}`;
    await this.tab("ledger");
    await this.get("ledger-table").locator('[role="row"][data-cursor]').first().waitFor();
    const ledger = await this.get("ledger-table").locator('[role="row"][data-cursor]').evaluateAll((rows) => rows.map((row) => row.textContent ?? ""));
    await this.tab("chat");
    const status = await this.rpc<{ latest_mob_cursor: number; latest_event_cursor: number }>("mobkit/status");
    return { roster, wiring, chats, ledger, cursors: { mob: status.latest_mob_cursor, events: status.latest_event_cursor } };
  }

  /** Asks the runtime itself, beside the console. Needs `observe`. */
  async rpc<T>(method: string, params: unknown = {}): Promise<T> {
    return await this.page.evaluate(async ([method, params]) => {
      if (!window.mob) throw new Error("nobody observes this page");
      return (await window.mob.rpc(method as string, params)) as never;
    }, [method, params] as const);
  }

  async control<T>(name: string, payload?: unknown): Promise<T> {
    return await this.page.evaluate(async ([name, payload]) => {
      if (!window.mob) throw new Error("nobody observes this page");
      return (await window.mob.control(name as string, payload)) as never;
    }, [name, payload] as const);
  }

  /** Makes the demo model quicker or slower than it is for people. */
  async pace(milliseconds: number): Promise<void> {
    await this.control("configure_model", { kind: "demo", pace: milliseconds });
  }

  /** Puts another definition in force, as a person does. */
  async define(edit: (toml: string) => string): Promise<void> {
    await this.tab("definition");
    const field = this.get("definition-text");
    const before = await field.inputValue();
    const after = edit(before);
    assert.notEqual(after, before, "the edit changes nothing");
    await field.fill(after);
    await this.get("definition-apply").click();
    await this.page.getByRole("button", { name: "Undo the edit" }).waitFor({ state: "detached" });
    await this.tab("chat");
  }

  assertNoFaults(...allowed: RegExp[]): void {
    assert.deepEqual(this.faults.filter((fault) => !allowed.some((pattern) => pattern.test(fault))), []);
  }

  async close(): Promise<void> {
    await this.page.close();
  }
}

/** Waits until `ready` holds. For what is not in the page. */
export async function until(what: string, ready: () => boolean, timeout = 60_000): Promise<void> {
  const end = Date.now() + timeout;
  while (!ready()) {
    if (Date.now() > end) throw new Error(`not within ${timeout / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Closes all tabs but the browser's first, without which it would end. */
export async function closeTabs(context: BrowserContext): Promise<void> {
  for (const page of context.pages().slice(1)) await page.close();
}
