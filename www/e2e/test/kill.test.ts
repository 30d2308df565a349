// Death at any moment: the browser, the worker alone, the page alone. What was acknowledged is stored, and the work that was
// under way is finished, with one answer.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import type { PersistedEvent, StructuralEvent } from "../../console/src/wire.ts";
import { Profile } from "../support/browser.ts";
import { Console, observe, readStored, until } from "../support/console.ts";
import { Random } from "../support/random.ts";
import { agentEvent, Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

const KILLS = 20;
/** Milliseconds between the demo's words: quick, and still with room between two events. */
const PACE = 4;

type Happening = StructuralEvent | PersistedEvent;

/** What happened, in a word. */
const named = (what: Happening): string => ("seq" in what ? `${what.event.kind === "agent" ? what.event.agent_id : what.event.module} ${what.event.event_type}` : what.kind);

describe("killed in the middle of the work", () => {
  const random = new Random();
  let server: Server;
  let recording: Recording;
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;
  /** How many things happen for one task. */
  let length = 0;

  before(async () => {
    server = await startServer();
    recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url, { pace: PACE });
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  /** Says what happens from the acceptance of `task` on, until `stop` says to. Resolves with the interaction's id. */
  function watch(task: string, stop: (count: number, what: Happening, completed: boolean) => boolean): Promise<string> {
    return new Promise((resolve) => {
      let interaction = "";
      let count = 0;
      recording.onLive = (what) => {
        const payload = "seq" in what ? agentEvent(what)?.payload : undefined;
        if (interaction === "" && payload?.type === "user_input" && payload["content"] === task) interaction = payload.interaction_id ?? "";
        if (interaction === "") return;
        count += 1;
        if (!stop(count, what, payload?.type === "interaction_complete")) return;
        recording.onLive = () => undefined;
        resolve(interaction);
      };
    });
  }

  /** The task was done once, by the runtime's own word and by what is stored. */
  async function assertAnsweredOnce(task: string, interaction: string): Promise<void> {
    await until(`the answer to “${task}”`, () => recording.of(interaction, "interaction_complete").length > 0);
    await console.rest();
    assert.equal(recording.of(interaction, "interaction_complete").length, 1, "completions");
    assert.equal(recording.of(interaction, "interaction_failed").length, 0, "failures");
    const stored = await readStored(context, server.url);
    recording.assertStored(stored);
    assert.equal(stored.interaction.find((entry) => entry.interaction_id === interaction)?.status, "completed");
    const of = (role: string): string[] => stored.session.filter((entry) => entry.interaction_id === interaction && entry.message.role === role && entry.message.from === undefined).map((entry) => String(entry.message.text ?? entry.message.content));
    assert.deepEqual(of("user"), [task], "what the person said");
    assert.equal(of("assistant").filter((text) => text.includes(`Here is our answer to “${task}”`)).length, 1, "final answers");
    assert.ok((await console.answers(task).count()) >= 1, "the chat shows the answer");
    assert.deepEqual([stored.box, stored.turn], [[], []], "nothing is left over");
  }

  test("a run without a kill shows the moments that there are", async (t) => {
    t.diagnostic(`seed ${random.seed}`);
    const task = "Task 0: plan an outing";
    const done = watch(task, (count, _, completed) => {
      length = count;
      return completed;
    });
    await console.say(task);
    const interaction = await done;
    await assertAnsweredOnce(task, interaction);
    console.assertNoFaults();
    assert.ok(length > KILLS, `only ${length} things happened`);
  });

  // Each moment is drawn from its own twentieth of the run, so that all of it is covered; two of them end less than the browser.
  const victims = Array.from({ length: KILLS }, () => "browser");
  const worker = random.below(KILLS);
  victims[worker] = "worker";
  victims[(worker + 1 + random.below(KILLS - 1)) % KILLS] = "page";

  for (const [index, victim] of victims.entries()) {
    test(`kill ${index + 1}, of the ${victim}: nothing acknowledged is lost, and one answer comes`, async (t) => {
      const slice = length / KILLS;
      const moment = 1 + Math.floor(index * slice) + random.below(Math.max(1, Math.floor(slice)));
      const task = `Task ${index + 1}: plan an outing`;
      let killed: Promise<unknown> = Promise.resolve();
      const done = watch(task, (count, what, completed) => {
        if (count < moment && !completed) return false;
        t.diagnostic(`seed ${random.seed}: killed the ${victim} at event ${count} of about ${length}, ${named(what)}`);
        killed = end(victim);
        return true;
      });
      // The answer to the click may die with the browser; that the message was accepted is known from its event.
      const said = console.say(task).catch(() => undefined);
      const interaction = await done;
      await killed;
      await said;
      if (victim === "browser") context = await profile.launch();
      // A page whose worker was killed has a new one already, which goes on while the storage is read.
      const acknowledged = recording.untilNow();
      acknowledged.assertStored(await readStored(context, server.url));
      if (victim === "worker") await console.ready();
      else console = await Console.open(context, server.url);
      await console.pace(PACE);
      await assertAnsweredOnce(task, interaction);
      if (victim !== "worker") console.assertNoFaults();
    });
  }

  /** Ends one of the three, without a word to it. */
  async function end(victim: string): Promise<void> {
    const { page } = console;
    if (victim === "browser") {
      await profile.kill();
    } else if (victim === "page") {
      const crashed = page.waitForEvent("crash");
      const session = await context.newCDPSession(page);
      void session.send("Page.crash").catch(() => undefined);
      await crashed;
      await page.close();
    } else {
      const before = await page.evaluateHandle(() => {
        window.mob?.worker.terminate();
        return window.mob;
      });
      await page.waitForFunction((before) => window.mob !== before, before);
    }
  }
});
