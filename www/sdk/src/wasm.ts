// Loads and compiles the wasm module: once per page or worker, shared by every instance.

import { MobkitError } from "./error.js";

/** Where the wasm comes from. */
export type WasmSource = string | URL | Request | Response | BufferSource | WebAssembly.Module;

/** What `init` takes. */
export interface InitOptions {
  /**
   * URL, response, bytes or compiled module of `mobkit_web_bg.wasm`. Default: the file beside this package's
   * own script, which is right for a plain `<script type="module">`; bundlers need the line that the README names.
   */
  wasm?: WasmSource | Promise<WasmSource>;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * Loads and compiles the wasm. The first call decides where it comes from; later calls wait for the same module.
 * After a failure the next call tries again. Fails with `wasm_load_failed`.
 */
export async function init(options: InitOptions = {}): Promise<void> {
  await loadModule(options);
}

/** The compiled module, loaded on first use. */
export function loadModule(options: InitOptions = {}): Promise<WebAssembly.Module> {
  compiled ??= compile(options).catch((error: unknown) => {
    compiled = undefined;
    throw error;
  });
  return compiled;
}

async function compile(options: InitOptions): Promise<WebAssembly.Module> {
  const source = await (options.wasm ?? new URL("./mobkit_web_bg.wasm", import.meta.url));
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return await WebAssembly.compile(source);
  const response = source instanceof Response ? source : await load(source);
  if (!response.ok) throw failed(`${response.url} answered ${response.status}`, response.url);
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/html")) {
    throw failed(`${response.url} is an HTML page, not the wasm file: pass init({ wasm }) the URL that your bundler gives it`, response.url);
  }
  try {
    // Streaming demands the right media type; servers that do not know it still work.
    if (type.startsWith("application/wasm")) return await WebAssembly.compileStreaming(response);
    return await WebAssembly.compile(await response.arrayBuffer());
  } catch (error) {
    throw failed(`${response.url || "the response"} could not be compiled: ${String(error)}`, response.url, error);
  }
}

async function load(source: string | URL | Request): Promise<Response> {
  try {
    return await fetch(source);
  } catch (error) {
    const url = source instanceof Request ? source.url : String(source);
    throw failed(`${url} could not be loaded: ${String(error)}`, url, error);
  }
}

function failed(message: string, url: string, cause?: unknown): MobkitError {
  return new MobkitError("wasm_load_failed", message, { url }, { cause });
}
