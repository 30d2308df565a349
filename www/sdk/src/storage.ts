// Storages: where a mob lives.

import type { RawStorage } from "./glue.js";

declare const storageBrand: unique symbol;

/** A storage for the builder. */
export interface Storage {
  readonly [storageBrand]: true;
}

const raws = new WeakMap<object, RawStorage>();

/** Rows in the browser's IndexedDB under this name. They survive reloads and crashes. */
export function indexedDb(name: string): Storage {
  return branded({ kind: "indexedDb", name });
}

/** Rows in memory: gone with the page, the worker, or a crash of the runtime. */
export function memory(): Storage {
  return branded({ kind: "memory" });
}

/** What crosses into the wasm. */
export function rawStorage(storage: Storage): RawStorage {
  const raw = raws.get(storage);
  if (!raw) throw new TypeError("a storage is made with indexedDb(name) or memory()");
  return raw;
}

function branded(raw: RawStorage): Storage {
  const storage = Object.freeze({}) as Storage;
  raws.set(storage, raw);
  return storage;
}
