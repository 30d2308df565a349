// Storages: where a mob lives.

import { ObjectHandle, type RawStorage } from "./glue.js";

declare const storageBrand: unique symbol;

/** A storage for the builder. */
export interface Storage {
  readonly [storageBrand]: true;
}

/** A condition on the rows as they are before a batch: this value, or undefined for no such row. */
export type StorageCheck = [key: string, value: Uint8Array<ArrayBuffer> | undefined];

/** A change: put a row, delete one, or delete those from a key up to another one (exclusive; undefined: all that follow). */
export type StorageWrite =
  | [key: string, value: Uint8Array<ArrayBuffer>]
  | [key: string]
  | [from: string, to: string | undefined, range: null];

/**
 * An ordered key-value store of your own. Keys are printable ASCII, ordered as their bytes are; values are bytes.
 *
 * Functions answer at once or by a promise, and take effect in the order in which they are called. `commit` is atomic: every check holds
 * and all writes are stored, in order, or nothing is. One runtime at a time writes: it checks a row of its own with every commit, so that one
 * that was replaced is refused.
 */
export interface StorageDriver {
  /** The longest value, in bytes. */
  readonly maxValueBytes: number;
  get(key: string): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Rows with `from <= key < to`, in order or in reverse, at most `limit`. */
  scan(from: string, to: string | undefined, reverse: boolean, limit: number): [string, Uint8Array][] | Promise<[string, Uint8Array][]>;
  /**
   * Answers the key of the first check that does not hold, undefined when all is stored. What it throws says that nothing was stored; an
   * error named `OutcomeUnknownError` says that nobody knows. `strict`: a power cut must not lose it.
   */
  commit(checks: StorageCheck[], writes: StorageWrite[], strict: boolean): string | undefined | Promise<string | undefined>;
  /** Bytes in use, and bytes that may be. */
  usage?(): [used: number | undefined, quota: number | undefined] | Promise<[used: number | undefined, quota: number | undefined]>;
  /** Nothing is called after it. */
  close?(): void;
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

/** Rows wherever your own code puts them. */
export function customStorage(driver: StorageDriver): Storage {
  return branded({ kind: "driver", driver: new ObjectHandle(driver) });
}

/** What crosses into the wasm. */
export function rawStorage(storage: Storage): RawStorage {
  const raw = raws.get(storage);
  if (!raw) throw new TypeError("a storage is made with indexedDb(name), memory() or customStorage(driver)");
  return raw;
}

function branded(raw: RawStorage): Storage {
  const storage = Object.freeze({}) as Storage;
  raws.set(storage, raw);
  return storage;
}
