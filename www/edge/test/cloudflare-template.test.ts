// The template of a deployed worker, as it is: bundled, with the classes and variables of its own configuration, in a real workerd.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Issuer } from "../support/issuer.ts";
import { Mobs } from "../support/mobs.ts";
import { Workerd } from "../support/workerd.ts";

const TEMPLATE = new URL("../templates/cloudflare/", import.meta.url);
const TOKEN = "secret-of-the-test";

interface Configuration {
  main: string;
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { new_sqlite_classes: string[] }[];
  vars: Record<string, string>;
}

/** `wrangler.jsonc` without its comments. */
const configuration = JSON.parse(readFileSync(new URL("wrangler.jsonc", TEMPLATE), "utf8").replaceAll(/^\s*\/\/.*$/gm, "")) as Configuration;

describe("the template of a deployed worker", () => {
  const running: Workerd[] = [];
  let issuer: Issuer;
  before(async () => { issuer = await Issuer.start(); });
  after(async () => {
    for (const workerd of running) workerd.close();
    await issuer?.close();
  });

  async function start(text: Record<string, string>): Promise<Workerd> {
    const objects = Object.fromEntries(configuration.durable_objects.bindings.map(({ name, class_name }) => [name, class_name]));
    assert.deepEqual(Object.values(objects), configuration.migrations.flatMap(({ new_sqlite_classes }) => new_sqlite_classes));
    const workerd = await Workerd.start(new URL(configuration.main, TEMPLATE), { objects, text: { ...configuration.vars, ...text } });
    running.push(workerd);
    return workerd;
  }

  test("works as its README says", async () => {
    const workerd = await start({ MOB_TOKEN: TOKEN });
    const mobs = new Mobs(() => workerd.url, TOKEN, () => workerd.said);
    assert.equal(await (await fetch(`${workerd.url}/healthz`)).text(), "ok");
    assert.equal((await fetch(`${workerd.url}/mobs`, { headers: { authorization: "Bearer wrong" } })).status, 401);
    await mobs.make("garden");
    const events = mobs.stream("/mobs/garden/mob/events?after_seq=0", ({ event }) => event === "interaction_complete");
    await mobs.send("garden", "Plan a small garden");
    assert.ok((await events).some(({ event }) => event === "text_delta"));
    assert.deepEqual((await mobs.json("/mobs")).mobs.map(({ name }: { name: string }) => name), ["garden"]);
  });

  test("lets nobody in when it was told of nobody", async () => {
    const workerd = await start({});
    const response = await fetch(`${workerd.url}/mobs`, { headers: { authorization: `Bearer ${TOKEN}` } });
    assert.deepEqual([response.status, ((await response.json()) as { reason: string }).reason], [401, "no_authorization"]);
  });

  test("takes tokens of an identity provider", async () => {
    const workerd = await start({ OIDC_ISSUER: issuer.url, OIDC_AUDIENCE: "mobs", MOB_TOKEN: TOKEN, CORS_ORIGINS: "https://a.example https://b.example" });
    const status = async (token: string): Promise<number> => (await fetch(`${workerd.url}/mobs`, { headers: { authorization: `Bearer ${token}` } })).status;
    assert.deepEqual([await status(await issuer.token()), await status(TOKEN)], [200, 401]);
    const response = await fetch(`${workerd.url}/healthz`, { headers: { origin: "https://b.example" } });
    assert.equal(response.headers.get("access-control-allow-origin"), "https://b.example");
  });
});
