// Events per second that come to the readers of event streams, in a page and from a Durable Object.

import { delivered, Reader } from "../page/reader.ts";
import { type Figure, grouped, Samples } from "../runner/figure.ts";
import type { Lab } from "../runner/lab.ts";
import { Served } from "../runner/served.ts";

const RUNS = 3;
const MEMBERS = 10;
const EVENTS = 5_000;
const READERS = [1, 10, 100];

const DEFINITION = `
[mob]
id = "bench"
[profiles.worker]
model = "streaming"
${Array.from({ length: MEMBERS }, (_, at) => `
[[members]]
profile = "worker"
identity = "member-${at + 1}"
`).join("")}`;

/** Where the events come from. */
interface Source {
  /** A log of so many events. Answers how many there are. */
  fill(log: string): Promise<number>;
  replay(log: string, readers: number): Promise<number>;
  /** Without a reader: events that are made per second. */
  live(log: string, readers: number): Promise<number>;
}

export async function measure(lab: Lab): Promise<Figure[]> {
  const page = await lab.page();
  const inPage = await all({
    fill: () => page.evaluate((args) => window.sse.fill(...args), [MEMBERS, EVENTS] as const),
    replay: (_, readers) => page.evaluate((readers) => window.sse.replay(readers), readers),
    live: (_, readers) => page.evaluate((readers) => window.sse.live(readers), readers),
  });
  await page.close();
  const served = await Served.start();
  try {
    const atEdge = await all(new Edge(served));
    const what = `An event counts once for each reader it comes to, who cuts the stream into events and looks at their numbers: all must come, in order.
      Stored: a log of about ${grouped(EVENTS)} events of about 330 bytes, read from its beginning by all readers at the same time. As they are made: the readers
      are there when ${MEMBERS} members are asked whose models stream as many events again, from the question to the last reader's last event; with nobody to
      read, that is how fast they are made. ${RUNS} runs after a reader to warm up.`;
    return [{
      title: "events to the readers of GET /mob/events, in a page",
      unit: "events/s",
      better: "more",
      how: `Through \`runtime.fetch\`, on memory. ${what}`,
      rows: inPage.rows(),
    }, {
      title: "events to the readers of GET /mob/events, from a Durable Object",
      unit: "events/s",
      better: "more",
      how: `${Served.version} on this machine; every reader has a connection of its own, and all are in one Node on the same processors. ${what}`,
      rows: atEdge.rows(),
    }];
  } finally {
    served.close();
  }
}

async function all(source: Source): Promise<Samples> {
  const samples = new Samples("events/s");
  for (let run = 0; run <= RUNS; run++) {
    // Another log each time: the live readers' events lengthen it.
    const log = `log-${run}`;
    const made = await source.fill(log);
    if (made < EVENTS) throw new Error(`${made} of ${EVENTS} events were made`);
    if (run === 0) {
      await source.replay(log, 1);
      await source.live(log, 1);
      continue;
    }
    for (const readers of READERS) samples.add(`stored, ${named(readers)}`, await source.replay(log, readers));
    for (const readers of [0, ...READERS]) samples.add(`as they are made, ${named(readers)}`, await source.live(log, readers));
  }
  return samples;
}

function named(readers: number): string {
  return readers === 0 ? "nobody reads" : readers === 1 ? "1 reader" : `${readers} readers`;
}

/** Mobs in Durable Objects. */
class Edge implements Source {
  readonly #served: Served;

  constructor(served: Served) {
    this.#served = served;
  }

  async fill(log: string): Promise<number> {
    await this.#served.make(log, DEFINITION);
    await this.#askAll(log);
    return this.#served.latestEvent(log);
  }

  async replay(log: string, count: number): Promise<number> {
    const last = await this.#served.latestEvent(log);
    const begin = performance.now();
    return delivered(await this.#readers(log, count, "?after_seq=0"), begin, 0, last);
  }

  async live(log: string, count: number): Promise<number> {
    const after = await this.#served.latestEvent(log);
    const readers = await this.#readers(log, count, "");
    const begin = performance.now();
    await this.#askAll(log);
    const made = performance.now() - begin;
    const last = await this.#served.latestEvent(log);
    return count === 0 ? (last - after) / made * 1_000 : delivered(readers, begin, after, last);
  }

  #readers(log: string, count: number, query: string): Promise<Reader[]> {
    return Promise.all(Array.from({ length: count }, async () => new Reader(await this.#served.stream(`/mobs/${log}/mob/events${query}`))));
  }

  async #askAll(log: string): Promise<void> {
    await Promise.all(Array.from({ length: MEMBERS }, (_, at) => this.#served.ask(log, `member-${at + 1}`, `${EVENTS / MEMBERS} pieces`)));
  }
}
