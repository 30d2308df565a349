// Event streams through `runtime.fetch`, on memory.

import { memory, type UnifiedRuntime } from "mobkit-web";
import { askAll, latestEvent, open, spawn, streaming, workers } from "./mob.ts";
import { delivered, Reader } from "./reader.ts";

export interface SsePage {
  /** Builds a runtime whose members stream so many events at least when they are asked, and asks them once. Answers how many there are. */
  fill(members: number, events: number): Promise<number>;
  /** Events per second that come to so many readers who read all that there is. */
  replay(readers: number): Promise<number>;
  /** The same of readers who are there while the members are asked once; without a reader, events made per second. */
  live(readers: number): Promise<number>;
}

declare global {
  interface Window {
    sse: SsePage;
  }
}

let runtime: UnifiedRuntime;
let members = workers("member", 0);

async function stream(query: string): Promise<Reader> {
  const { body, status } = await runtime.fetch(`/mob/events${query}`);
  if (!body || status !== 200) throw new Error(`a stream answered ${status}`);
  return new Reader(body);
}

window.sse = {
  async fill(count, events) {
    members = workers("member", count);
    runtime = await open(memory(), streaming(Math.ceil(events / count)));
    await spawn(runtime, members);
    await askAll(runtime, members);
    return latestEvent(runtime);
  },
  async replay(count) {
    const last = await latestEvent(runtime);
    const begin = performance.now();
    const readers = await Promise.all(Array.from({ length: count }, () => stream("?after_seq=0")));
    return delivered(readers, begin, 0, last);
  },
  async live(count) {
    const after = await latestEvent(runtime);
    const readers = await Promise.all(Array.from({ length: count }, () => stream("")));
    const begin = performance.now();
    await askAll(runtime, members);
    const made = performance.now() - begin;
    const last = await latestEvent(runtime);
    return count === 0 ? (last - after) / made * 1_000 : delivered(readers, begin, after, last);
  },
};
