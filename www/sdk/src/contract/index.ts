// Every shape of the contract, in one place.

export type * from "./agent-event.js";
export type * from "./common.js";
export type * from "./console.js";
export type * from "./definition.js";
export type * from "./event.js";
export type * from "./member.js";
export type * from "./mob-event.js";
export type * from "./modules.js";
export type * from "./report.js";
