import assert from "node:assert/strict";
import { test } from "node:test";
import { moduleError, startObject, startOf, type ModuleObject, type ModuleStartContext } from "../src/modules/driver.js";

const started = (module: Partial<ModuleObject>, emit: (event: string) => void = () => {}) =>
  startObject({ listTools: () => [], callTool: () => null, ...module }, emit);
const named = (name: string, message: RegExp) => (error: Error) => error instanceof Error && error.name === name && message.test(error.message);

test("tools are listed with what they lack filled in", async () => {
  const driver = await started({ listTools: async () => [{ name: "a" }, { name: "b", description: "B", inputSchema: { type: "object", required: ["x"] } }] });
  assert.deepEqual(JSON.parse(await driver.tools()), [
    { name: "a", description: "", inputSchema: { type: "object" } },
    { name: "b", description: "B", inputSchema: { type: "object", required: ["x"] } },
  ]);
});

test("a list of tools that is wrong is refused, with the field and the value", async () => {
  const cases: [unknown, RegExp][] = [
    [undefined, /must be an array, not undefined/],
    [[{ name: "a" }, null], /tools\[1\] must be an object, not null/],
    [[{ name: 5 }], /tools\[0\]\.name must be a non-empty string that no other tool has, not 5/],
    [[{ name: "a" }, { name: "a" }], /tools\[1\]\.name .* not "a"/],
    [[{ name: "a", description: 1 }], /tools\[0\]\.description must be a string, not 1/],
    [[{ name: "a", inputSchema: "x" }], /tools\[0\]\.inputSchema must be a JSON Schema object, not "x"/],
  ];
  for (const [tools, message] of cases) {
    await assert.rejects((await started({ listTools: () => tools as never })).tools(), named("ToolListFailed", message));
  }
  await assert.rejects((await started({ listTools: () => { throw new Error("no list"); } })).tools(), named("ToolListFailed", /^no list$/));
});

test("a call is given arguments, context and signal, and gives JSON", async () => {
  const seen: unknown[] = [];
  const driver = await started({ callTool: (name, args, context) => { seen.push([name, args, context.identity, context.signal]); return args.give; } });
  const { signal } = new AbortController();
  assert.equal(await driver.call("t", `{"give":{"x":1}}`, `{"identity":"lead"}`, signal), `{"x":1}`);
  assert.equal(await driver.call("t", `{}`, `{}`, undefined), "null");
  assert.deepEqual(seen[0], ["t", { give: { x: 1 } }, "lead", signal]);
  assert.equal((seen[1] as [unknown, unknown, unknown, AbortSignal])[3].aborted, false);
});

test("what a tool throws keeps its message, and a name of a module's error", async () => {
  const thrown: [unknown, string, RegExp][] = [
    [new RangeError("too far"), "ToolCallFailed", /^too far$/],
    ["text", "ToolCallFailed", /^text$/],
    [undefined, "ToolCallFailed", /^undefined$/],
    [moduleError("ToolNotFound", "no t"), "ToolNotFound", /^no t$/],
  ];
  for (const [error, name, message] of thrown) {
    await assert.rejects((await started({ callTool: () => { throw error; } })).call("t", "{}", "{}", undefined), named(name, message));
  }
});

test("a result that cannot be JSON is told apart", async () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  for (const value of [cycle, 5n, () => {}, Symbol("s")]) {
    await assert.rejects((await started({ callTool: () => value })).call("t", "{}", "{}", undefined), named("InvalidToolPayload", /^the result of the tool t cannot be JSON: /));
  }
});

test("events are told until the stop, a failure is the end, and a stop is not", async () => {
  const events: string[] = [];
  let context!: ModuleStartContext;
  const module: Partial<ModuleObject> = { start: (given) => { context = given; }, stop: () => { context.fail("too late"); } };
  const driver = await started(module, (event) => events.push(event));
  context.emit({ event_type: "ticked", payload: { at: 1 } });
  assert.throws(() => context.emit({ event_type: "", payload: null }), /event_type must be a non-empty string/);
  assert.throws(() => context.emit({ event_type: "e", payload: 5n as never }), named("InvalidToolPayload", /the event e cannot be JSON/));
  let ended: string | undefined;
  void driver.ended.then((reason) => { ended = reason; });
  await driver.stop();
  context.emit({ event_type: "late", payload: null });
  await new Promise(setImmediate);
  assert.deepEqual([events, ended], [[`{"event_type":"ticked","payload":{"at":1}}`], undefined]);

  const failing = await started(module);
  context.fail(new Error("broke"));
  assert.equal(await failing.ended, "broke");
});

test("a start or a stop that fails", async () => {
  await assert.rejects(started({ start: async () => { throw new Error("no start"); } }), named("ConnectionFailed", /^no start$/));
  await assert.rejects((await started({ stop: () => { throw new Error("no stop"); } })).stop(), named("CloseFailed", /^no stop$/));
});

test("what is no module is refused at once", async () => {
  for (const [module, message] of [
    [null, /module m: listTools must be a function, not undefined/],
    [{ listTools() {} }, /module m: callTool must be a function/],
    [{ listTools() {}, callTool() {}, stop: 1 }, /module m: stop must be a function, not 1/],
  ] as const) assert.throws(() => startOf(module as never, "module m"), message);
  const driver = await started({});
  assert.equal(await startOf({ kind: "startable", start: async () => driver }, "module m")(() => {}), driver);
});
