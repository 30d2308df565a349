// A long ledger, every entry a real one: the table shows its beginning and its end and renders the rows in sight alone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, observe, readStored } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

const ENTRIES = 10_000;
/** Calls that are under way at once. */
const BATCH = 500;
/** Rows that may be rendered: those in sight on the test's screen, as many again above and below. */
const RENDERED = 80;

describe("a ledger of ten thousand entries", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;

  before(async () => {
    server = await startServer();
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url);
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  /** The cursors of the rows that are rendered, in order. */
  const rendered = async (): Promise<number[]> => {
    const rows = console.get("ledger-table").locator('[role="row"][data-cursor]');
    return await rows.evaluateAll((rows) => rows.map((row) => Number((row as HTMLElement).dataset["cursor"])));
  };

  const rowOf = (cursor: number) => console.get("ledger-table").locator(`[role="row"][data-cursor="${cursor}"]`);

  /** What the rows at both ends say. Leaves the table at its end. */
  async function ends(total: number): Promise<(string | null)[]> {
    await console.tab("ledger");
    await console.page.waitForFunction((total) => document.querySelector<HTMLElement>('[data-testid="ledger-table"]')?.dataset["rowCount"] === String(total), total);
    await console.get("ledger-table").focus();
    const texts = [];
    for (const [key, cursor] of [["Home", 1], ["End", total]] as const) {
      await console.page.keyboard.press(key);
      await rowOf(cursor).waitFor();
      texts.push(await rowOf(cursor).textContent());
    }
    return texts;
  }

  /** Goes through the whole table and sees at each step the rows that belong there, and few others. */
  async function scroll(total: number): Promise<void> {
    const steps = await console.page.evaluate(async (steps) => {
      const table = document.querySelector<HTMLElement>('[data-testid="ledger-table"]');
      if (!table) throw new Error("there is no table");
      const seen: { place: number; rows: number[] }[] = [];
      for (let step = 0; step <= steps; step++) {
        const place = step / steps;
        table.scrollTop = (table.scrollHeight - table.clientHeight) * place;
        // The event of a picture, then the picture after it.
        for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
        const box = table.getBoundingClientRect();
        const rows = [...table.querySelectorAll<HTMLElement>('[role="row"][data-cursor]')];
        const inSight = rows.filter((row) => row.getBoundingClientRect().bottom > box.top && row.getBoundingClientRect().top < box.bottom);
        seen.push({ place, rows: [rows.length, Number(inSight[0]?.dataset["cursor"]), Number(inSight.at(-1)?.dataset["cursor"])] });
      }
      return seen;
    }, 100);
    for (const { place, rows: [count = 0, first = 0, last = 0] } of steps) {
      assert.ok(count > 10 && count <= RENDERED, `${count} rows are rendered at ${place}`);
      assert.ok(first <= place * total + 1 && last >= place * total - 1 && last - first < count, `${first} to ${last} are in sight at ${place}`);
    }
  }

  test("shows its beginning and its end, and renders the rows in sight alone; a reload changes nothing", async (t) => {
    const { latest_mob_cursor: before } = await console.rpc<{ latest_mob_cursor: number }>("mobkit/status");
    const started = Date.now();
    const changed = await console.page.evaluate(async ({ entries, batch }) => {
      let changed = 0;
      for (let done = 0; done < entries; done += batch) {
        const calls = Array.from({ length: batch }, (_, at) => window.mob?.rpc<{ changed?: boolean }>(at % 2 === 0 ? "mobkit/unwire_members" : "mobkit/wire_members", { a: "lead", b: "writer" }));
        changed += (await Promise.all(calls)).length;
      }
      return changed;
    }, { entries: ENTRIES, batch: BATCH });
    assert.equal(changed, ENTRIES);
    t.diagnostic(`${ENTRIES} changes took ${Date.now() - started} ms`);
    const total = before + ENTRIES;
    const shown = await ends(total);
    t.diagnostic(`the last was in sight after ${Date.now() - started} ms`);
    await scroll(total);
    assert.equal(await console.get("topology-edge-count").textContent(), "2");

    await console.reload();
    assert.deepEqual(await ends(total), shown);
    t.diagnostic(`after the reload ${Date.now() - started} ms`);
    await scroll(total);
    const few = await rendered();
    assert.ok(few.includes(total) && few.length <= RENDERED);

    // What happens now is in sight at the end.
    await console.rpc("mobkit/unwire_members", { a: "lead", b: "writer" });
    await rowOf(total + 1).waitFor();
    const { ledger } = await readStored(context, server.url);
    assert.equal(ledger.length, total + 1);
    console.assertNoFaults();
  });
});
