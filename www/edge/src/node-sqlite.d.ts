// What is used of a module that Deno and Node have built in, and that the types of Node 20 lack. Applications have the host's types for it.
declare module "node:sqlite" {
  export interface StatementSync {
    all(...values: unknown[]): unknown[];
    /** Rows as arrays; missing in older versions of Node. */
    setReturnArrays?(enabled: boolean): void;
  }
  export class DatabaseSync {
    constructor(path: string, options?: { timeout?: number });
    prepare(statement: string): StatementSync;
    exec(statements: string): void;
    close(): void;
    readonly isTransaction?: boolean;
  }
}
