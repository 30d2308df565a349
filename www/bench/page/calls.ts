// JSON-RPC calls that are counted, in a page and in Node alike.

/** The text of a request's body by the call's name; what it says may depend on how often it was called. */
export const CALLS: Record<string, (at: number) => string> = {
  "mobkit/status": () => body("mobkit/status"),
  "mobkit/list_members": () => body("mobkit/list_members"),
  "mobkit/mob_labels/set, a write": (at) => body("mobkit/mob_labels/set", { labels: { at: String(at) } }),
};

export function body(method: string, params: object = {}): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
}

/** What a call answered; an error is one. */
export function result(text: string): unknown {
  const { result, error } = JSON.parse(text) as { result?: unknown; error?: { message: string } };
  if (result === undefined) throw new Error(`a call failed: ${error?.message ?? text}`);
  return result;
}

/** Calls so often, so many at the same time; answers how many calls there were per second. */
export async function callsPerSecond(call: (at: number) => Promise<unknown>, calls: number, atOnce: number): Promise<number> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < calls) await call(next++);
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: atOnce }, caller));
  return calls / (performance.now() - begin) * 1_000;
}
