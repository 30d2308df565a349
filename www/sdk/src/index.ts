// `mobkit-web`: a durable mob of LLM agents in a browser tab or an edge worker.

export type * from "./contract/index.js";
export {
  ConsoleAggregator, type AggregatedEvent, type AggregateOptions, type ConsoleCursors, type ConsoleRuntime,
} from "./console.js";
export type { IfLocked } from "./controls.js";
export type { Accepted, InteractionOutcome } from "./convert.js";
export { isMobkitError, MobkitError, type ErrorData } from "./error.js";
export {
  demoModel, jsModel, openAiCompatible,
  type Model, type ModelDelta, type ModelMessage, type ModelObject, type ModelRequest, type OpenAiCompatibleOptions,
} from "./models.js";
export type {
  ModuleCallContext, ModuleCaller, ModuleDriver, ModuleErrorName, ModuleEvent, ModuleObject, ModuleStartContext, ModuleTool, StartableModule,
} from "./modules/driver.js";
export { workerModule, type WorkerModuleOptions } from "./modules/worker-module.js";
export type { RuntimeState, StateReport } from "./protocol.js";
export {
  UnifiedRuntime, UnifiedRuntimeBuilder,
  type BuildOptions, type ConsoleLogStore, type Edges, type EventLogOptions, type EventLogStore, type EventQueryOptions, type PersistentMetadataStore, type EventStreamOptions, type ModuleOptions, type RuntimeOptions, type SendOptions,
  type Tool, type ToolContext, type ToolDecision, type ToolRequest,
} from "./runtime.js";
export { deleteStorage, exportStorage, storageSize, type StorageSize } from "./stored.js";
export { customStorage, indexedDb, memory, type Storage, type StorageCheck, type StorageDriver, type StorageWrite } from "./storage.js";
export type { EventStream } from "./stream.js";
export { init, type InitOptions, type WasmSource } from "./wasm.js";
