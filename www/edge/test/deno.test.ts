// Mobs in SQLite files under a real Deno: the storage's suite, the routes, kills, a full disk, and the template as it is.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DenoProject, type DenoServer } from "../support/deno.ts";
import { Mobs, until } from "../support/mobs.ts";
import { ModelServer } from "../support/model-server.ts";

const TOKEN = "secret-of-the-test";
const DEMO = readFileSync(new URL("../../console/public/demo.toml", import.meta.url), "utf8");
/** A case that waits in vain is ended. */
const LIMIT_MS = 60_000;

const project = new DenoProject("workers/deno");
const folders: string[] = [];
after(() => {
  project.remove();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "mobkit-mobs-"));
  folders.push(made);
  return made;
}

const serve = (directory: string, env: Record<string, string> = {}): Promise<DenoServer> =>
  project.start("mobs.ts", { DIRECTORY: directory, DEFINITION: DEMO, TOKEN, ...env });

describe("a SQLite file as a storage", () => {
  let server: DenoServer;
  const start = (): Promise<DenoServer> => project.start("suite.ts", { SUITE: new URL("../build/suite/", import.meta.url).href });
  before(async () => { server = await start(); });
  after(() => server?.kill());

  const get = (path: string, from = server): Promise<Response> => fetch(`${from.url}${path}`, { signal: AbortSignal.timeout(LIMIT_MS) });
  const told = async (path: string, from = server): Promise<any> => {
    const response = await get(path, from);
    const text = await response.text();
    assert.equal(response.status, 200, `${text}\n${server.said}`);
    return JSON.parse(text);
  };

  test("keeps what the suite of storages asks", async (context) => {
    const cases = (await told("/cases")) as string[];
    assert.ok(cases.length > 12);
    for (const name of cases) {
      await context.test(name, async () => {
        const response = await get(`/run/${name}`);
        assert.equal(await response.text(), "ok", server.said);
      });
    }
  });

  test("says that a disk is full, and what was stored stays", async (context) => {
    const disk = folder();
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], { stdio: "pipe" });
    } catch (error) {
      return context.skip(`a small disk cannot be mounted here: ${String(error)}`);
    }
    try {
      const outcome = await told(`/fill?path=${disk}/small.sqlite`);
      assert.equal(outcome.name, "QuotaExceededError");
      assert.match(outcome.message, /small\.sqlite/);
      assert.ok(outcome.stored > 0);
      assert.equal(outcome.kept, outcome.stored);
    } finally {
      execFileSync("umount", ["-l", disk], { stdio: "pipe" });
    }
  });

  test("says what is wrong with a file", async () => {
    const path = join(folder(), "other.sqlite");
    writeFileSync(path, "This is a text and no database.\n".repeat(200));
    const damaged = await told(`/open?path=${path}`);
    assert.deepEqual([damaged.name, damaged.code, damaged.data], ["MobkitError", "storage_corrupt", { path }]);
    const nowhere = await told(`/open?path=${path}.d/none.sqlite`);
    assert.equal(nowhere.code, "storage_unavailable");
  });

  test("has one process at a time, and a killed one leaves no lock behind", async () => {
    const path = join(folder(), "held.sqlite");
    const other = await start();
    try {
      assert.deepEqual(await told(`/hold?path=${path}`, other), {});
      for (const from of [server, other]) {
        const blocked = await told(`/open?path=${path}`, from);
        assert.deepEqual([blocked.name, blocked.code, blocked.data], ["MobkitError", "storage_blocked", { path }]);
        assert.match(blocked.message, /held\.sqlite is open elsewhere/);
      }
    } finally {
      await other.kill();
    }
    assert.deepEqual(await told(`/open?path=${path}`), {});
  });
});

describe("mobs in a directory", () => {
  const directory = folder();
  let server: DenoServer;
  const mobs = new Mobs(() => server.url, TOKEN, () => server.said);
  before(async () => { server = await serve(directory, { FAILING_HOOK: "1" }); });
  after(() => server?.kill());

  test("nobody comes in without the secret", async () => {
    assert.equal(await (await fetch(`${server.url}/healthz`)).text(), "ok");
    const refused = await fetch(`${server.url}/mobs`);
    assert.equal(refused.status, 401);
    assert.equal((await refused.json()).reason, "invalid_token");
    const bare = await serve(folder(), { TOKEN: "" });
    try {
      const closed = await fetch(`${bare.url}/mobs`);
      assert.equal(closed.status, 401);
      assert.equal((await closed.json()).reason, "no_authorization");
      assert.equal((await fetch(`${bare.url}/healthz`)).status, 200);
    } finally {
      await bare.kill();
    }
  });

  test("a mob is made, answers, streams and goes on from a cursor", async () => {
    assert.equal((await mobs.ask("/mobs/garden")).status, 404);
    assert.deepEqual(readdirSync(directory).filter((file) => file.startsWith("mob-")), []);
    assert.equal((await mobs.ask("/mobs/garden", { method: "PUT" })).status, 201);
    const whole = mobs.stream("/mobs/garden/mob/events?after_seq=0", ({ event }) => event === "interaction_complete");
    const outcome = await mobs.outcome("garden", await mobs.send("garden", "Plan a small garden"));
    assert.equal(outcome.status, "completed", JSON.stringify(outcome));
    assert.match(outcome.result, /Here is our answer to “Plan a small garden”/);
    const seen = await whole;
    assert.ok(seen.some(({ event }) => event === "text_delta"));
    const middle = Math.floor(seen.length / 2);
    const rest = await mobs.stream("/mobs/garden/mob/events", ({ event }) => event === "interaction_complete", { "last-event-id": seen[middle]!.id });
    assert.deepEqual(rest.map(({ id }) => id), seen.slice(middle + 1).map(({ id }) => id));
    assert.deepEqual((await mobs.json("/mobs")).mobs.map(({ name }: any) => name), ["garden"]);
  });

  test("names that differ in their letters alone are different mobs", async () => {
    for (const name of ["Case", "case", "c_ase"]) assert.equal((await mobs.ask(`/mobs/${name}`, { method: "PUT" })).status, 201);
    assert.ok(["mob-_case.sqlite", "mob-case.sqlite", "mob-c__ase.sqlite"].every((file) => existsSync(join(directory, file))));
    for (const name of ["Case", "case", "c_ase"]) assert.equal((await mobs.ask(`/mobs/${name}`, { method: "DELETE" })).status, 204);
    assert.deepEqual(readdirSync(directory).filter((file) => file.includes("ase")), []);
  });

  test("a definition that cannot be is refused and the mob goes on; another one takes its place", async () => {
    await mobs.make("pond");
    const put = (definition: string): Promise<Response> => mobs.ask("/mobs/pond", { method: "PUT", body: JSON.stringify({ definition }) });
    assert.equal((await put("[mob]\nid = \"pond\"\norchestrator = \"nobody\"")).status, 422);
    assert.equal((await mobs.outcome("pond", await mobs.send("pond", "Plan a pond"))).status, "completed");
    const before = await mobs.rpc("pond", "mobkit/list_members");
    const replaced = await put(DEMO.replace("[[members]]\nprofile = \"writer\"", "[[members]]\nprofile = \"writer\"\nlabels = { team = \"words\" }\n").replace("labels = { display_name = \"Writer\" }", ""));
    assert.equal(replaced.status, 200, await replaced.text());
    assert.equal((await mobs.rpc("pond", "mobkit/list_members")).length, before.length);
    assert.equal((await mobs.ask("/mobs/none", { method: "PUT", body: JSON.stringify({ definition: "[mob" }) })).status, 422);
    assert.equal((await mobs.ask("/mobs/none")).status, 404);
    assert.equal(existsSync(join(directory, "mob-none.sqlite")), false);
  });

  test("a deleted mob is gone with its file", async () => {
    await mobs.make("brook");
    assert.equal((await mobs.ask("/mobs/brook", { method: "DELETE" })).status, 204);
    assert.equal((await mobs.ask("/mobs/brook", { method: "DELETE" })).status, 404);
    assert.equal((await mobs.ask("/mobs/brook")).status, 404);
    assert.deepEqual(readdirSync(directory).filter((file) => file.includes("brook")), []);
  });

  test("a second process on the same directory is told which file is in use", async () => {
    await assert.rejects(serve(directory), /MobkitError: \S*index\.sqlite is open elsewhere/);
    assert.equal((await mobs.ask("/mobs/garden")).status, 200);
  });

  test("it ends in good order: streams end, and everything is there afterwards", async () => {
    const stream = await mobs.ask("/mobs/garden/mob/events?after_seq=0");
    const read = stream.text();
    assert.equal(await server.stop(), 0, server.said);
    assert.match(await read, /interaction_complete/);
    assert.match(server.said, /^finished$/m);
    assert.match(server.said, /the test's hook fails/, "a hook that fails is told");
    assert.deepEqual(readdirSync(directory).filter((file) => file.endsWith("-wal")), []);
    server = await serve(directory);
    assert.deepEqual((await mobs.json("/mobs")).mobs.map(({ name }: any) => name), ["garden", "pond"]);
    assert.match(JSON.stringify(await mobs.events("garden")), /Plan a small garden/);
  });

  test("members write to members of other mobs", async () => {
    for (const name of ["talk-a", "talk-b"]) await mobs.make(name);
    const call = `call message_mob ${JSON.stringify({ mob: "talk-b", member: "writer", message: "hello" })}`;
    const { result } = await mobs.outcome("talk-a", await mobs.send("talk-a", call));
    assert.equal(result, "said: said: hello");
    const [heard] = (await mobs.events("talk-b")).filter(({ payload }) => payload.type === "user_input");
    assert.deepEqual([heard?.agent_id, heard?.payload.origin], ["writer:0", "mob:talk-a"]);
  });
});

describe("a process that dies", () => {
  const directory = folder();
  let server: DenoServer;
  let model: ModelServer;
  const mobs = new Mobs(() => server.url, TOKEN, () => server.said);
  before(async () => {
    model = await ModelServer.start();
    model.mock.on({}, { content: "Hello from a server." });
  });
  after(async () => {
    await server?.kill();
    await model?.close();
  });

  test("goes on by itself when it is started again, and every answer comes once", async () => {
    const start = async (): Promise<void> => { server = await serve(directory, { MODEL_URL: model.url, IDLE_MS: "0" }); };
    await start();
    await mobs.make("garden");
    model.hold();
    const asked = await Promise.all(["one", "two", "three"].map((message) => mobs.send("garden", message, message)));
    await until("the model is asked", () => model.arrived === 1);
    await server.kill();
    model.release();
    await start();
    // Nobody asks anything: the model hears of all three.
    await until("the work goes on", () => model.arrived >= 4);
    for (const interaction of asked) {
      const outcome = await mobs.outcome("garden", interaction);
      assert.deepEqual([outcome.status, outcome.result], ["completed", "Hello from a server."]);
    }
    const complete = (await mobs.events("garden")).filter((event) => event.event_type === "interaction_complete");
    assert.deepEqual(complete.map((event) => event.payload.interaction_id).sort(), asked.sort());
    assert.equal(model.arrived, 4);
    // It is closed when it is at rest: that is when its log is gone.
    await until("the mob is closed", () => !existsSync(join(directory, "mob-garden.sqlite-wal")));
    assert.equal((await mobs.json("/mobs/garden")).name, "garden");
    assert.doesNotMatch(server.said, /mobkit-web:/);
  });
});

describe("the template", () => {
  const template = new DenoProject("templates/deno");
  after(() => template.remove());

  test("is right about its types", () => {
    const { status, said } = template.run("check", "main.ts");
    assert.equal(status, 0, said);
  });

  test("runs as its README says", async () => {
    const flags = (JSON.parse(readFileSync(join(template.directory, "deno.json"), "utf8")).tasks.start as string).split(" ").slice(2, -1);
    const server = await template.start("main.ts", { MOB_TOKEN: TOKEN, PORT: "0" }, flags);
    try {
      const mobs = new Mobs(() => server.url, TOKEN, () => server.said);
      assert.equal((await fetch(`${server.url}/mobs`)).status, 401);
      await mobs.make("garden");
      const events = mobs.stream("/mobs/garden/mob/events?after_seq=0", ({ event }) => event === "interaction_complete");
      await mobs.send("garden", "Plan a small garden");
      assert.ok((await events).some(({ event }) => event === "text_delta"));
      assert.ok(existsSync(join(template.directory, "mobs/mob-garden.sqlite")));
      assert.equal(await server.stop(), 0, server.said);
    } finally {
      await server.kill();
    }
  });
});
