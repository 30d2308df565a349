// `mobkit-web/serve`: a mob, or many, behind a door, on whatever host answers requests.

export { bearerToken, gate, tokenAuthorizer, refuse, withoutCredentials, type Authorize, type Caller, type CorsOptions, type GateOptions, type Handler, type Refusal } from "./gate.js";
export { mobRoutes, type Definition, type MobContext, type MobEntry, type MobHost } from "./mobs.js";
export { sqlDriver, type SqlDatabase, type SqlValue } from "./sql.js";
export { messageMob, type MessageMobOptions } from "./peers.js";
