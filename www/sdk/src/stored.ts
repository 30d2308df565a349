// What is stored, without a runtime: the rows of a storage as JSON lines, and their deletion.

import type { Json } from "./contract/common.js";
import { isMobkitError, MobkitError } from "./error.js";

/** The databases of this package are named so, followed by the name given to `indexedDb`. */
const DATABASE_PREFIX = "mobkit-web/";
/** The object store of all rows: out-of-line string keys, values of bytes. */
const ROWS = "rows";
/** Rows read at once. */
const PAGE = 256;
/** How long a deletion waits for other connections, which are asked to close at once. */
const BLOCKED_AFTER_MS = 5_000;

/**
 * Every row of an IndexedDB storage as JSON lines `{"key": …, "format": …, "value": …}`, in the order of their keys, as of
 * one moment. Needs no runtime, and does not disturb one. The stream fails with `storage_not_found` if there is no such storage.
 */
export function exportStorage(name: string): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      reader ??= (await snapshot(name)).stream().getReader();
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      await reader?.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** How much a storage holds. */
export interface StorageSize {
  rows: number;
  /** Of keys and values; what the browser needs to keep them comes on top. */
  bytes: number;
}

/**
 * Counts the rows of an IndexedDB storage and their bytes; none if there is no such storage. It reads page by page and never
 * holds up a writer for longer, so rows that are written meanwhile may count or not.
 */
export async function storageSize(name: string): Promise<StorageSize> {
  const size = { rows: 0, bytes: 0 };
  let database: IDBDatabase;
  try {
    database = await open(name);
  } catch (error) {
    if (isMobkitError(error, "storage_not_found")) return size;
    throw error;
  }
  try {
    let range: IDBKeyRange | null = null;
    for (;;) {
      const [keys, values] = await page(database.transaction(ROWS, "readonly").objectStore(ROWS), range);
      if (keys.length === 0) return size;
      size.rows += keys.length;
      keys.forEach((key, i) => { size.bytes += String(key).length + (values[i] as Uint8Array).byteLength; });
      range = IDBKeyRange.lowerBound(keys.at(-1) as IDBValidKey, true);
    }
  } finally {
    database.close();
  }
}

/**
 * Deletes an IndexedDB storage. Runtimes that have it open, in this and other tabs, are told to close and end. Fails with
 * `storage_blocked` if one of them does not within five seconds. Deleting what is not there is no error.
 */
export async function deleteStorage(name: string): Promise<void> {
  const request = factory().deleteDatabase(DATABASE_PREFIX + name);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const blocked = new Promise<never>((_, reject) => {
    request.onblocked = () => {
      timer = setTimeout(() => reject(new MobkitError(
        "storage_blocked", `the storage ${name} is open elsewhere and was not closed: it is deleted as soon as that ends`, { name },
      )), BLOCKED_AFTER_MS);
    };
  });
  try {
    await Promise.race([done(request), blocked]);
  } finally {
    clearTimeout(timer);
  }
}

/** All rows as of one moment. Blobs, so that the browser may keep a large export on disk. */
async function snapshot(name: string): Promise<Blob> {
  const database = await open(name);
  try {
    const rows = database.transaction(ROWS, "readonly").objectStore(ROWS);
    const parts: Blob[] = [];
    let range: IDBKeyRange | null = null;
    for (;;) {
      // The next page is asked for in the callback of the last one: that keeps the transaction, and so the moment, the same.
      const [keys, values] = await page(rows, range);
      if (keys.length === 0) return new Blob(parts, { type: "application/x-ndjson" });
      parts.push(new Blob(keys.map((key, i) => `${JSON.stringify(row(String(key), values[i] as Uint8Array))}\n`)));
      range = IDBKeyRange.lowerBound(keys.at(-1) as IDBValidKey, true);
    }
  } finally {
    database.close();
  }
}

/** The next rows of a range: both requests in one turn, so of one moment. */
function page(rows: IDBObjectStore, range: IDBKeyRange | null): Promise<[keys: IDBValidKey[], values: unknown[]]> {
  return Promise.all([done(rows.getAllKeys(range, PAGE)), done(rows.getAll(range, PAGE))]);
}

/** A value is a byte with its format's version and JSON text. */
function row(key: string, bytes: Uint8Array): { key: string; format: number; value: Json } {
  return { key, format: bytes[0] ?? 0, value: JSON.parse(new TextDecoder().decode(bytes.subarray(1))) as Json };
}

async function open(name: string): Promise<IDBDatabase> {
  const request = factory().open(DATABASE_PREFIX + name);
  let created = false;
  request.onupgradeneeded = () => {
    // Opening made it: undone by the abort.
    created = true;
    request.transaction?.abort();
  };
  try {
    const database = await done(request);
    database.onversionchange = () => database.close();
    return database;
  } catch (error) {
    if (created) throw new MobkitError("storage_not_found", `there is no storage named ${name}`, { name });
    throw error;
  }
}

function factory(): IDBFactory {
  if (globalThis.indexedDB) return globalThis.indexedDB;
  throw new MobkitError("storage_unavailable", "there is no IndexedDB here");
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => {
      const { name, message } = request.error ?? { name: "UnknownError", message: "the request failed" };
      reject(new MobkitError("storage_unavailable", message, { name, message }, { cause: request.error }));
    };
  });
}
