// From loading the package to the first member. Nothing of the package is loaded before it is asked for.

/** Milliseconds since the package began to load. */
export interface Started {
  /** The module is loaded and compiled. */
  loaded: number;
  /** The runtime is built and its first member is on the roster. */
  ready: number;
}

export interface StartPage {
  /** Starts a runtime over what the database holds. */
  run(database: string): Promise<Started>;
  /** Stores so many events at least. Answers how many there are. */
  fill(events: number, database: string): Promise<number>;
}

declare global {
  interface Window {
    start: StartPage;
  }
}

const DEFINITION = `
[mob]
id = "bench"
[profiles.worker]
model = "scripted"
[[members]]
profile = "worker"
identity = "first"
`;

window.start = {
  async run(database) {
    const begin = performance.now();
    const [mobkit, { default: wasm }] = await Promise.all([import("mobkit-web"), import("mobkit-web/mobkit_web_bg.wasm")]);
    await mobkit.init({ wasm });
    const loaded = performance.now() - begin;
    const { answering } = await import("./mob.ts");
    const runtime = await mobkit.UnifiedRuntime.builder().definition(DEFINITION).storage(mobkit.indexedDb(database)).model("scripted", answering).build();
    const members = await runtime.members();
    const ready = performance.now() - begin;
    const first = members.find(({ agent_identity }) => agent_identity === "first");
    if (first?.status !== "active") throw new Error("the first member is not there");
    await runtime.shutdown();
    return { loaded, ready };
  },
  async fill(events, database) {
    const { indexedDb } = await import("mobkit-web");
    const { askAll, latestEvent, open, spawn, streaming, workers } = await import("./mob.ts");
    const specs = workers("member", 100);
    const runtime = await open(indexedDb(database), streaming(Math.ceil(events / specs.length)));
    await spawn(runtime, specs);
    await askAll(runtime, specs);
    const made = await latestEvent(runtime);
    await runtime.shutdown();
    return made;
  },
};
