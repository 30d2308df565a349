// The demo model reads what it is told: with other members, another definition and other wires it works with what it finds.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BrowserContext } from "playwright-core";
import { Profile } from "../support/browser.ts";
import { Console, observe, STORAGE } from "../support/console.ts";
import { Recording } from "../support/recording.ts";
import { type Server, startServer } from "../support/server.ts";

describe("the demo model proves itself", () => {
  let server: Server;
  let profile: Profile;
  let context: BrowserContext;
  let console: Console;

  before(async () => {
    server = await startServer();
    const recording = new Recording();
    profile = new Profile((context) => observe(context, recording));
    context = await profile.launch();
    console = await Console.open(context, server.url, { pace: 5 });
  });
  after(async () => {
    await profile?.remove();
    server?.close();
  });

  async function ask(task: string): Promise<string> {
    await console.chat("lead");
    await console.say(task);
    const answer = console.answers(task);
    await answer.waitFor();
    await console.rest();
    return (await answer.textContent()) ?? "";
  }

  async function retire(identity: string): Promise<void> {
    await console.chat(identity);
    await console.get("chat-inspector").getByRole("button", { name: /^Actions for/ }).click();
    await console.page.getByRole("menuitem", { name: "Retire…" }).click();
    await console.page.getByRole("dialog").getByRole("button", { name: "Retire" }).click();
    await console.member(identity).waitFor({ state: "detached" });
  }

  test("members renamed: the edit is shown, and the lead works with the new names", async () => {
    await console.define((toml) => toml
      .replace("[profiles.researcher]", "[profiles.scout]")
      .replace('profile = "researcher"\nidentity = "researcher"\nlabels = { display_name = "Researcher" }', 'profile = "scout"\nidentity = "marta"\nlabels = { display_name = "Marta" }')
      .replace('identity = "writer"', 'identity = "jon"'));
    const banner = console.get("definition-banner");
    await banner.getByText("profiles.scout").first().waitFor();
    await banner.getByText("profiles.researcher").first().waitFor();
    await banner.getByRole("button", { name: "Understood" }).click();
    // A member whose profile is gone is kept and shown as broken, until somebody retires it.
    await console.member("researcher", "broken").waitFor();
    await retire("researcher");
    await retire("writer");
    await console.pace(5);
    const answer = await ask("Plan a reading group");
    assert.match(answer, /from jon and marta/i);
    assert.match(answer, /marta.*contributes/s);
    assert.doesNotMatch(answer, /researcher|writer contributes/);
  });

  test("a third specialist added: it gets a part", async () => {
    await console.define((toml) => `${toml}
[profiles.critic]
model = "demo"
peer_description = "Looks for what can go wrong"
instructions = "You are a critic. Review what a peer hands you, name the risks, and send them back with send_message."

[[members]]
profile = "critic"
identity = "vera"
labels = { display_name = "Vera" }
`);
    await console.member("vera").waitFor();
    await console.pace(5);
    const answer = await ask("Plan a summer fair");
    for (const name of ["jon", "marta", "vera"]) assert.match(answer, new RegExp(`${name}.*contributes`, "s"));
  });

  test("a wire cut: the lead says whom it cannot reach", async () => {
    await console.chat("vera");
    await console.get("chat-inspector").getByRole("button", { name: /^Actions for/ }).click();
    await console.page.getByRole("menuitem", { name: "Wiring…" }).click();
    const wire = console.page.getByRole("switch", { name: /^Wire with Lead/ });
    await wire.click();
    await console.page.getByRole("switch", { name: /^Wire with Lead/, checked: false }).waitFor();
    await console.page.getByRole("dialog").getByRole("button", { name: "Done" }).click();
    const answer = await ask("Plan a winter fair");
    assert.match(answer, /I cannot reach vera/);
    assert.doesNotMatch(answer, /vera.*contributes/);
    assert.match(answer, /from jon and marta/);
  });

  test("a definition with mistakes is refused with every path, and the mob goes on with the one it has", async () => {
    await console.tab("definition");
    const good = await console.get("definition-text").inputValue();
    const wrong = `${good}\n[profiles.critic.extra]\nunknown = 1\n`.replace('profile = "critic"', 'profile = "nobody"');
    await console.get("definition-text").fill(wrong);
    await console.get("definition-apply").click();
    const refused = console.get("definition-panel").getByRole("alert");
    await refused.waitFor();
    assert.match((await refused.textContent()) ?? "", /Not applied.*profiles\.critic\.extra.*nobody/);
    await console.leads();
    await console.tab("chat");
    await ask("Plan what comes after a mistake");

    // One that the page begins with is shown, to be mended.
    await console.page.evaluate(([wrong, storage]) => localStorage.setItem(`mobkit-console/${storage}/definition`, JSON.stringify(wrong)), [wrong, STORAGE] as const);
    await console.page.reload();
    const failed = console.get("start-failed");
    await failed.waitFor();
    assert.match((await failed.textContent()) ?? "", /profiles\.critic\.extra.*nobody/);
    await failed.getByLabel("Definition in TOML").fill(good);
    await failed.getByRole("button", { name: "Start with this definition" }).click();
    await console.ready();
    await console.pace(5);
    await ask("Plan what comes after another one");
  });
});
