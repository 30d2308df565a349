// `mobkit-web`: a durable mob of LLM agents in a browser tab or an edge worker.

export type * from "./contract/index.js";
export { isMobkitError, MobkitError, type ErrorData } from "./error.js";
