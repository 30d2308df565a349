// `mobkit-web/worker`: hosts a runtime inside a worker, for pages that connect with `mobkit-web/client`.

import { createInstance } from "./mobkit_web_glue.js";
import type { ModelChoice, StartOptions } from "./controls.js";
import { MobkitError, toErrorData } from "./error.js";
import { crossing } from "./glue.js";
import { WasmInstance } from "./instance.js";
import { demoModel, openAiCompatible, rawModel, type Model } from "./models.js";
import { PortServer } from "./port-server.js";
import type { ConnectMessage, Port, StateReport } from "./protocol.js";
import { UnifiedRuntime, type UnifiedRuntimeBuilder } from "./runtime.js";
import { indexedDb, memory } from "./storage.js";
import { deleteStorage, exportStorage, storageSize } from "./stored.js";
import { init, loadModule, type WasmSource } from "./wasm.js";
import { WorkerHost, type AliveLock, type HostedRuntime } from "./worker-host.js";

export type * from "./controls.js";
export { isMobkitError, MobkitError } from "./error.js";
export { jsModel, type ModelDelta, type ModelObject, type ModelRequest } from "./models.js";
export type { Tool, ToolDecision, ToolRequest, UnifiedRuntimeBuilder } from "./runtime.js";
export type { WasmSource } from "./wasm.js";

/** What a worker's script adds to the hosting. */
export interface ServeSetup {
  /** Where the wasm comes from; see `init`. */
  wasm?: WasmSource | Promise<WasmSource>;
  /** Adds tools, a gate, models, hooks. Definition, storage and default model are set from the `start` control before. */
  configure?(builder: UnifiedRuntimeBuilder, start: StartOptions): UnifiedRuntimeBuilder | Promise<UnifiedRuntimeBuilder>;
}

/** The part of a worker's global scope that hosting uses. */
export type WorkerScope = Pick<Port, "addEventListener">;

/**
 * Hosts a runtime in this worker: `serveRuntime(self, { wasm: wasmUrl })` is a whole worker script. The runtime begins
 * with the `start` control. Any number of pages or ports may connect.
 */
export function serveRuntime(scope: WorkerScope, setup: ServeSetup = {}): void {
  const alive = aliveLock();
  const host = new WorkerHost({
    build: (start) => build(setup, start),
    check,
    testModel: async (choice) => await testModel(setup, choice),
    deleteStorage,
    exportStorage,
    storageSize,
    estimate: async () => await globalThis.navigator?.storage?.estimate() ?? {},
    now: () => performance.now(),
    alive,
  });
  const held = alive.hold();
  scope.addEventListener("message", (event) => {
    const message = event.data as Partial<ConnectMessage> | null;
    const port = event.ports[0];
    if (message?.t !== "mobkit-connect" || !port) return;
    void held.then(() => {
      const server = new PortServer(port as Port, host, { alive: alive.name, state: host.report, onClose: () => leave() });
      const leave = host.onState((report) => server.state(report));
    });
  });
}

async function build(setup: ServeSetup, start: StartOptions): Promise<HostedRuntime> {
  await init(setup.wasm === undefined ? {} : { wasm: setup.wasm });
  let builder = UnifiedRuntime.builder()
    .definition(start.definitionToml)
    .storage(start.storageName === null ? memory() : indexedDb(start.storageName));
  const model = chosenModel(start.model ?? { kind: "none" });
  if (model) builder.defaultModel(model);
  builder = await setup.configure?.(builder, start) ?? builder;
  const runtime = await builder.build({ ifLocked: start.ifLocked ?? "follow" });
  return {
    get report(): StateReport { return runtime.report; },
    onState: (callback) => runtime.onState(callback),
    fetch: (request) => runtime.fetch(request),
    setModel: (choice) => runtime.setDefaultModel(chosenModel(choice)),
    flush: () => runtime.flush(),
    handOver: () => runtime.handOver(),
    sleep: () => runtime.sleep(),
    wake: () => runtime.wake(),
  };
}

/** Builds the mob in memory, without a model and whatever else the worker's script adds. */
async function check(definitionToml: string): Promise<void> {
  const runtime = await UnifiedRuntime.builder().definition(definitionToml).storage(memory()).build();
  await runtime.shutdown();
}

/** In an instance of its own: nothing that goes wrong with a model on trial touches a running mob. */
async function testModel(setup: ServeSetup, choice: ModelChoice): Promise<{ provider: string; text: string }> {
  const model = chosenModel(choice);
  if (!model) throw new MobkitError("model_unavailable", "no model was chosen");
  const module = await loadModule(setup.wasm === undefined ? {} : { wasm: setup.wasm });
  const instance = new WasmInstance(createInstance, module);
  try {
    return JSON.parse(await instance.run(() => instance.glue.testModel(...crossing(rawModel(model))))) as { provider: string; text: string };
  } finally {
    instance.kill(new MobkitError("runtime_stopped", "the test of the model is over"));
  }
}

function chosenModel(choice: ModelChoice): Model | null {
  switch (choice.kind) {
    case "none":
      return null;
    case "demo":
      return demoModel(choice.pace === undefined ? {} : { pace: choice.pace });
    case "openai": {
      const { kind: _, ...options } = choice;
      return openAiCompatible(options);
    }
    default:
      throw new MobkitError("invalid_params", `unknown kind of model: ${JSON.stringify(choice)}`);
  }
}

/** A lock that is released at the end of this worker, however it comes, so that its pages notice. Nameless where there are no locks. */
function aliveLock(): AliveLock & { readonly name: string | null } {
  const { locks } = globalThis.navigator ?? {};
  let name = locks ? `mobkit-web/alive/${crypto.randomUUID()}` : null;
  let letGo = new AbortController();
  return {
    get name() { return name; },
    hold: () => new Promise<void>((resolve) => {
      if (!locks || name === null) return resolve();
      const { signal } = letGo = new AbortController();
      locks.request(name, { signal }, () => {
        resolve();
        // Granted in the same moment as it was withdrawn.
        if (signal.aborted) return;
        return new Promise<void>((released) => signal.addEventListener("abort", () => released()));
      }).catch((error: unknown) => {
        if (signal.aborted) return resolve();
        console.warn("mobkit-web: no lock shows that this worker is alive", toErrorData(error));
        name = null;
        resolve();
      });
    }),
    release: () => letGo.abort(),
  };
}
