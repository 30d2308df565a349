// Errors: one shape for everything that fails, recognised by structure because two copies of a package break `instanceof`.

import type { Json } from "./contract/common.js";

/** An error as data: what crosses a message port. */
export interface ErrorData {
  code: string;
  message: string;
  data?: Json;
}

/** Every error of the runtime and of this package: a stable snake_case `code`, a message for people, and `data`. */
export class MobkitError extends Error {
  override readonly name = "MobkitError";
  readonly code: string;
  readonly data: Json;

  constructor(code: string, message: string, data: Json = null, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.data = data;
  }

  /** By structure, as {@link isMobkitError}: it holds for errors of the wasm and of another copy of this package too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isMobkitError(value);
  }
}

/**
 * Whether `error` is an error of the runtime, with this `code` if one is given. It looks at the structure,
 * so it also holds for an error that another copy of the package made.
 */
export function isMobkitError(error: unknown, code?: string): error is MobkitError {
  if (typeof error !== "object" || error === null) return false;
  const candidate = error as Partial<MobkitError>;
  return candidate.name === "MobkitError" && typeof candidate.code === "string" && typeof candidate.message === "string"
    && (code === undefined || candidate.code === code);
}

/** The data of an error, for a message port. A foreign error keeps its name and message under `data`. */
export function toErrorData(error: unknown): ErrorData {
  if (isMobkitError(error)) return { code: error.code, message: error.message, data: error.data ?? null };
  if (error instanceof Error || isDomException(error)) {
    const code = error.name === "AbortError" ? "aborted" : "error";
    return { code, message: error.message || error.name, data: { name: error.name, message: error.message } };
  }
  return { code: "error", message: String(error), data: null };
}

/** The error that the data of {@link toErrorData} describes. */
export function fromErrorData(error: ErrorData): MobkitError {
  return new MobkitError(error.code, error.message, error.data ?? null);
}

/** The error of everything that was open when its runtime died. */
export function crashedError(message: string): MobkitError {
  return new MobkitError("runtime_crashed", message);
}

function isDomException(error: unknown): error is DOMException {
  return typeof DOMException !== "undefined" && error instanceof DOMException;
}
