// What the entries here use of Deno, which this workspace has no types of.
declare const Deno: {
  readonly env: { get(name: string): string | undefined };
  makeTempDirSync(): string;
  addSignalListener(signal: "SIGTERM", listener: () => void): void;
  readFileSync(path: URL): Uint8Array<ArrayBuffer>;
  writeFileSync(path: string, bytes: Uint8Array): void;
  removeSync(path: string): void;
  serve(options: { port: number; hostname: string; onListen(address: { port: number }): void }, handler: (request: Request) => Response | Promise<Response>): unknown;
};
