// The log of this project, called directly in the wasm: no runtime, no members. `tests/bench` is the other side.

import { createInstance } from "../../dist/mobkit_web_bench_glue.js";
import wasm from "../../dist/mobkit_web_bench_bg.wasm";
import type { Contender, Event } from "./contender.ts";

/** What the wasm exports. */
export interface Glue {
  initSync(options: { module: WebAssembly.Module }): unknown;
  eventJson(number: number): string;
  BenchLog: { open(database: string): Promise<BenchLog> };
}

interface BenchLog {
  prepare(first: number, count: number): void;
  append(perCommit: number): Promise<void>;
  replay(after: number): Promise<[events: number, last: number, letters: number]>;
  close(): Promise<void>;
}

let loaded: Promise<Glue> | undefined;

function glue(): Promise<Glue> {
  loaded ??= (async () => {
    const module = await WebAssembly.compileStreaming(fetch(wasm));
    const instance = createInstance(globalThis);
    instance.initSync({ module });
    return instance;
  })();
  return loaded;
}

/** Makes the event of a number, the same as the log's. */
export async function eventMaker(): Promise<(seq: number) => Event> {
  const { eventJson } = await glue();
  return (seq) => ({ seq, ...JSON.parse(eventJson(seq)) });
}

/** The log with so many events in one commit. */
export function log(name: string, perCommit: number): Contender {
  return {
    name,
    async open(database) {
      const log = await (await glue()).BenchLog.open(database);
      return {
        prepare: (first, count) => log.prepare(first, count),
        append: () => log.append(perCommit),
        async replay(after) {
          const [events, last, letters] = await log.replay(after);
          return { events, last, letters };
        },
        close: () => log.close(),
      };
    },
  };
}
