// What is tried of modules in a page, by name; every case answers plain data. The ones of MCP run in Node as well.

const named = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    return `${error instanceof Error ? "" : "no Error: "}${error.name}: ${error.message}`;
  }
};

const until = async (condition) => {
  for (let i = 0; !(await condition()); i++) {
    if (i === 1_500) throw new Error(`waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const call = (driver, name, args = {}, signal = undefined) => driver.call(name, JSON.stringify(args), JSON.stringify({ identity: "lead" }), signal);

/** A worker module that was started, the worker, and what it told. */
async function worker(workerModule, path = "/calc.js") {
  const seen = { workers: [], events: [] };
  const module = workerModule(() => {
    const made = new Worker(path, { type: "module" });
    seen.workers.push(made);
    return made;
  });
  const start = () => module.start((event) => seen.events.push(JSON.parse(event).event_type));
  return { seen, start };
}

/** A call is open in a worker, then `end`. Answers how the call failed, and why the module ended; a new start works. */
async function ended(workerModule, tool, end = () => {}) {
  const { seen, start } = await worker(workerModule);
  const driver = await start();
  const open = named(call(driver, "wait"));
  await until(() => seen.events.includes("waiting"));
  const ending = tool ? named(call(driver, tool)) : open;
  end(seen.workers[0]);
  const answers = { open: await open, ending: await ending, reason: await driver.ended, after: await named(driver.tools()) };
  await driver.stop();
  const again = await start();
  answers.again = await call(again, "add", { a: 1, b: 2 });
  await again.stop();
  return answers;
}

/** The cases of Web Workers. */
export const workerCases = (workerModule) => ({
  async works() {
    const { seen, start } = await worker(workerModule);
    const driver = await start();
    const tools = JSON.parse(await driver.tools());
    const answers = {
      tools, sum: await call(driver, "add", { a: 1, b: 2 }), thrown: await named(call(driver, "throw")), bigint: await named(call(driver, "bigint")), absent: await named(call(driver, "absent")),
    };
    const control = new AbortController();
    const waiting = named(call(driver, "wait", {}, control.signal));
    await until(() => seen.events.includes("waiting"));
    control.abort();
    answers.cancelled = (await waiting).split(":")[0];
    await until(() => seen.events.includes("aborted"));
    await driver.stop();
    // The browser let go of the worker's lock, and nobody took that for a crash.
    await until(async () => !(await navigator.locks.query()).held.some(({ name }) => name.startsWith("mobkit-web/module/")));
    answers.ended = await Promise.race([driver.ended, new Promise((resolve) => setTimeout(() => resolve("not by itself")))]);
    return { ...answers, events: seen.events };
  },
  terminated: () => ended(workerModule, undefined, (worker) => worker.terminate()),
  closed: () => ended(workerModule, "close"),
  uncaught: () => ended(workerModule, "uncaught"),
  rejection: () => ended(workerModule, "rejection"),
  failing: () => ended(workerModule, "fail"),
  /** No event comes of it, and nothing is open: the lock alone tells. */
  async idle() {
    const { seen, start } = await worker(workerModule);
    const driver = await start();
    seen.workers[0].terminate();
    return await driver.ended;
  },
  async late() {
    const { start } = await worker(workerModule, "/late.js");
    const driver = await start();
    const answer = await call(driver, "late");
    await driver.stop();
    return answer;
  },
  async unloadable() {
    const answers = [];
    for (const path of ["/absent.js", "/broken.js"]) answers.push((await named((await worker(workerModule, path)).start())).split(":")[0]);
    return answers;
  },
});

let driver;
let open;

/** The cases of MCP, against the reference server. */
export const mcpCases = (mcpModule) => ({
  async works(url) {
    const driver = await mcpModule({ url }).start(() => {});
    const tools = JSON.parse(await driver.tools());
    const control = new AbortController();
    const long = named(call(driver, "trigger-long-running-operation", { duration: 1_000, steps: 1 }, control.signal));
    const answers = {
      listed: tools.some(({ name, description, inputSchema }) => name === "echo" && description && inputSchema.properties.message),
      echo: JSON.parse(await call(driver, "echo", { message: "hi" })), sum: JSON.parse(await call(driver, "get-sum", { a: 2, b: 3 })),
      structured: JSON.parse(await call(driver, "get-structured-content", { location: "Chicago" })),
      image: JSON.parse(await call(driver, "get-tiny-image")).map(({ type }) => type),
      wrong: (await named(call(driver, "get-sum", { a: "x" }))).split(" ")[0], absent: (await named(call(driver, "absent"))).split(" ")[0],
    };
    control.abort();
    answers.cancelled = (await long).split(":")[0];
    // What was cancelled takes nothing with it.
    answers.after = JSON.parse(await call(driver, "echo", { message: "after" }));
    await driver.stop();
    answers.stopped = (await named(call(driver, "echo", { message: "late" }))).split(":")[0];
    answers.ended = await Promise.race([driver.ended, new Promise((resolve) => setTimeout(() => resolve("not by itself")))]);
    return answers;
  },
  /** Opens a session, and a call in it that takes longer than the test. */
  async begin(url) {
    driver = await mcpModule({ url }).start(() => {});
    open = named(call(driver, "trigger-long-running-operation", { duration: 1_000, steps: 1 }));
    return true;
  },
  /** After the server was killed. */
  async lost() {
    const answers = { open: await open, reason: await driver.ended, after: await named(driver.tools()) };
    await driver.stop();
    return answers;
  },
  async idle(url) {
    driver = await mcpModule({ url }).start(() => {});
    return (await call(driver, "echo", { message: "first" }));
  },
  /** After the server was replaced by another, which does not know the session. */
  async replaced(url) {
    const answers = { late: (await named(call(driver, "echo", { message: "second" }))).split(":")[0], reason: await driver.ended };
    driver = await mcpModule({ url }).start(() => {});
    answers.again = JSON.parse(await call(driver, "echo", { message: "again" }));
    await driver.stop();
    return answers;
  },
  refused: (url) => named(mcpModule({ url }).start(() => {})),
});

if (typeof document !== "undefined") {
  globalThis.loaded = (async () => {
    const { workerModule } = await import("/dist/index.js");
    const { mcpModule } = await import("/mcp.js");
    globalThis.cases = { worker: workerCases(workerModule), mcp: mcpCases(mcpModule) };
  })();
}
