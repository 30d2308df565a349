// What this package uses of the Workers runtime, as structural types: it works with whichever version of the runtime's own types an
// application has.

/** `ctx.storage` of an object with SQLite. */
export interface ObjectStorage {
  readonly sql: {
    exec(statement: string, ...values: unknown[]): { raw(): { toArray(): unknown[][] } };
    readonly databaseSize: number;
  };
  transactionSync<T>(work: () => T): T;
  setAlarm(at: number): Promise<void>;
  deleteAlarm(): Promise<void>;
  deleteAll(): Promise<void>;
}

/** `ctx` of an object. */
export interface ObjectState {
  readonly storage: ObjectStorage;
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
  waitUntil(promise: Promise<unknown>): void;
}

/** A binding to a class of objects. */
export interface ObjectNamespace<Stub> {
  idFromName(name: string): unknown;
  get(id: any): Stub;
}
