// Two tabs on one mob: what the tab that leads is given, a follower would lead with.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientState } from "../src/client.ts";
import { Session } from "../src/session.ts";
import { Settings } from "../src/settings.ts";
import { FakeRuntime } from "./fake.ts";

const OWN = '[mob]\nid = "own"\n';
const PREFIX = "mobkit-console/m/";

/** What tabs of one origin share. */
class Shared {
  readonly kept = new Map<string, string>();
  readonly tabs: Settings[] = [];

  open(): Settings {
    const settings: Settings = new Settings("m", {
      getItem: (key) => this.kept.get(key) ?? null,
      setItem: (key, value) => this.#change(settings, key, value),
      removeItem: (key) => this.#change(settings, key, null),
    });
    this.tabs.push(settings);
    return settings;
  }

  /** As the standard has it: a change is told to the others, the same value again is none. */
  #change(by: Settings, key: string, newValue: string | null): void {
    if ((this.kept.get(key) ?? null) === newValue) return;
    if (newValue === null) this.kept.delete(key);
    else this.kept.set(key, newValue);
    for (const settings of this.tabs) if (settings !== by) settings.take({ key, newValue });
  }
}

async function tab(shared: Shared, state: ClientState): Promise<{ session: Session; controls: () => string[]; fake: FakeRuntime }> {
  const fake = new FakeRuntime({ state, pace: 0 });
  const session = new Session(fake, { storageName: "m", settings: shared.open(), servedDefinition: async () => "served" });
  await session.start();
  const controls = (): string[] => fake.calls.splice(0).filter((call) => call.method.startsWith("control:")).map((call) => `${call.method.slice(8)} ${call.params.definitionToml ?? call.params.kind}`);
  controls();
  return { session, controls, fake };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("a definition that the leading tab is given is its follower's too", async () => {
  const shared = new Shared();
  const leader = await tab(shared, "leader");
  const follower = await tab(shared, "follower");
  await leader.session.useDefinition(OWN);
  await settled();
  assert.deepEqual([leader.controls(), follower.controls()], [[`start ${OWN}`], [`start ${OWN}`]]);
  assert.equal(follower.session.definition.value, OWN);
  await leader.session.useDefinition(undefined);
  await settled();
  assert.deepEqual([leader.controls(), follower.controls()], [["start served"], ["start served"]]);

  // Who led and follows now begins nothing anew.
  leader.fake.setState("follower");
  await settled();
  assert.deepEqual(leader.controls(), []);
  leader.session.app.close();
  follower.session.app.close();
});

test("a model that the leading tab is given is its follower's too, without the key", async () => {
  const shared = new Shared();
  const leader = await tab(shared, "leader");
  const follower = await tab(shared, "follower");
  await leader.session.useModel({ kind: "openai", baseUrl: "http://x/v1", model: "m", needsKey: false }, "secret");
  await settled();
  assert.deepEqual([leader.controls(), follower.controls()], [["configure_model openai"], ["configure_model none"]]);
  await leader.session.useModel({ kind: "demo" }, "");
  await settled();
  assert.deepEqual([leader.controls(), follower.controls()], [["configure_model demo"], ["configure_model demo"]]);
  assert.equal(shared.kept.get(`${PREFIX}model`), '{"kind":"demo"}');
  leader.session.app.close();
  follower.session.app.close();
});

test("a definition that is refused changes nothing, for nobody", async () => {
  const shared = new Shared();
  const leader = await tab(shared, "leader");
  const follower = await tab(shared, "follower");
  leader.fake.failNext.set("control:start", { code: "invalid_definition", message: "unknown field" });
  await assert.rejects(leader.session.useDefinition("wrong"), { code: "invalid_definition" });
  await settled();
  assert.deepEqual([leader.controls(), follower.controls()], [["start wrong"], []]);
  assert.deepEqual([leader.session.boot.value.phase, leader.session.definition.value, shared.kept.size], ["ready", "served", 0]);
  // One whose worker has nothing left to go on with is shown, to be mended.
  leader.fake.failNext.set("control:start", { code: "storage_quota_exceeded", message: "full" });
  leader.fake.setState("stopped");
  await leader.session.useDefinition(OWN);
  assert.equal(leader.session.boot.value.phase, "failed");
  assert.equal(shared.kept.get(`${PREFIX}definition`), JSON.stringify(OWN));
  leader.session.app.close();
  follower.session.app.close();
});

test("the open chat is each tab's own, the theme is everybody's", () => {
  const shared = new Shared();
  const [one, two] = [shared.open(), shared.open()];
  one.selected.value = "lead";
  one.theme.value = "dark";
  assert.deepEqual([two.selected.value, two.theme.value], [undefined, "dark"]);
  // Another storage's settings, and the clearing of everything, are no business of these.
  two.take({ key: "mobkit-console/other/theme", newValue: '"light"' });
  two.take({ key: null, newValue: null });
  two.take({ key: `${PREFIX}theme`, newValue: '"pink"' });
  assert.equal(two.theme.value, "system");
});
