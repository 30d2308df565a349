// What the cases of `module-cases.js` must answer, wherever they run: `run(group, name, ...args)` calls one.

import assert from "node:assert/strict";
import { EverythingServer, until } from "./module-site.mjs";

const AGAIN = `{"sum":3,"identity":"lead"}`;

/** Modules in Web Workers, by the name of the test. */
export const workerChecks = {
  "a module in a worker: tools, calls, errors, events, a cancelled call, a stop": async (run) => {
    const { tools, ...seen } = await run("worker", "works");
    assert.deepEqual(tools.map(({ name, description }) => [name, description]), [["add", "Adds"]]);
    assert.deepEqual(seen, {
      sum: AGAIN, thrown: "ToolCallFailed: out of range", bigint: seen.bigint, absent: "ToolNotFound: no tool absent", cancelled: "ToolCallFailed", ended: "not by itself",
      events: ["started", "waiting", "aborted"],
    });
    assert.match(seen.bigint, /^InvalidToolPayload: the result of the tool bigint cannot be JSON: /);
  },
  "a worker that is terminated by somebody else has crashed, in a call and without one": async (run) => {
    const seen = await run("worker", "terminated");
    assert.deepEqual([seen.open, seen.after, seen.again], [`ModuleCrashed: ${seen.reason}`, `ModuleCrashed: ${seen.reason}`, AGAIN]);
    assert.match(seen.reason, /gone/);
    assert.match(await run("worker", "idle"), /gone/);
  },
  "a worker that closes itself, an error and a rejection that nobody caught, and a module that gives up are crashes": async (run) => {
    for (const [name, reason] of [["closed", /gone/], ["uncaught", /boom/], ["rejection", /nobody cares/], ["failing", /^worn out$/]]) {
      const seen = await run("worker", name);
      assert.match(seen.reason, reason);
      const crashed = `ModuleCrashed: ${seen.reason}`;
      assert.deepEqual(seen, { open: crashed, ending: crashed, reason: seen.reason, after: crashed, again: AGAIN }, name);
    }
  },
  "a worker that cannot be loaded fails its start; one that takes its time to load does not": async (run) => {
    assert.deepEqual(await run("worker", "unloadable"), ["ConnectionFailed", "ConnectionFailed"]);
    assert.equal(await run("worker", "late"), `"late"`);
  },
};

/** MCP servers, by the name of the test. */
export const mcpChecks = {
  "an MCP server: tools, results of every kind, errors, a cancelled call, a stop": async (run) => {
    await serving(async (server) => {
      assert.deepEqual(await run("mcp", "works", server.url), {
        listed: true, echo: "Echo: hi", sum: "The sum of 2 and 3 is 5.", structured: { temperature: 36, conditions: "Light rain / drizzle", humidity: 82 },
        image: ["text", "image", "text"], wrong: "ToolCallFailed:", absent: "ToolNotFound:", cancelled: "ToolCallFailed", after: "Echo: after",
        stopped: "ToolCallFailed", ended: "not by itself",
      });
    });
  },
  "an MCP server that is killed in a call ends the module": async (run) => {
    await serving(async (server) => {
      await run("mcp", "begin", server.url);
      // The handshake is two of them.
      await until(() => server.posts >= 3, "the call");
      await server.kill();
      const seen = await run("mcp", "lost");
      assert.match(seen.reason, new RegExp(`^the connection to ${server.url} is lost: `));
      assert.deepEqual([seen.open, seen.after], [`ConnectionFailed: ${seen.reason}`, `ConnectionFailed: ${seen.reason}`]);
    });
  },
  "an MCP server that was replaced does not know the session: the module ends, and works when it is started anew": async (run) => {
    await serving(async (server) => {
      assert.equal(await run("mcp", "idle", server.url), `"Echo: first"`);
      await server.kill();
      await server.restart();
      const seen = await run("mcp", "replaced", server.url);
      assert.match(seen.reason, /is lost: /);
      assert.deepEqual([seen.late, seen.again], ["ConnectionFailed", "Echo: again"]);
    });
  },
  "a server that is not there, or is none, fails the start and is named": async (run) => {
    await serving(async (server) => {
      const { origin } = new URL(server.url);
      assert.match(await run("mcp", "refused", `${origin}/elsewhere?key=secret`), new RegExp(`^ConnectionFailed: cannot connect to ${origin}/elsewhere: HTTP 404: `));
      await server.kill();
      assert.match(await run("mcp", "refused", server.url), new RegExp(`^ConnectionFailed: cannot connect to ${server.url}: `));
    });
  },
};

async function serving(work) {
  const server = await EverythingServer.start();
  try {
    await work(server);
  } finally {
    await server.kill();
  }
}
