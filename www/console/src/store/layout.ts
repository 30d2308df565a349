// Where the members stand in the picture of the wiring. Deterministic: the same mob always looks the same.

/** A member's place, in the unit square. */
export interface Place {
  x: number;
  y: number;
}

/** Above this many members the picture is a ring by role instead of a spring layout. */
export const SPRING_LIMIT = 60;

/** Places for members given by identity and role; `edges` are the wires, `centre` stands in the middle if it is there. */
export function layout(members: readonly { identity: string; role: string }[], edges: readonly [string, string][], centre?: string): Map<string, Place> {
  const lead = (member: { identity: string }): number => (member.identity === centre ? 0 : 1);
  const sorted = [...members].sort((a, b) => lead(a) - lead(b) || (a.role === b.role ? (a.identity < b.identity ? -1 : 1) : a.role < b.role ? -1 : 1));
  const n = sorted.length;
  const places = new Map<string, Place>();
  const middle = centre !== undefined && n > 3 && sorted.some((member) => member.identity === centre) ? centre : undefined;
  const ring = sorted.filter((member) => member.identity !== middle);
  ring.forEach((member, index) => {
    const angle = -Math.PI / 2 + (2 * Math.PI * index) / ring.length;
    places.set(member.identity, { x: 0.5 + 0.4 * Math.cos(angle), y: 0.5 + 0.4 * Math.sin(angle) });
  });
  if (middle !== undefined) places.set(middle, { x: 0.5, y: 0.5 });
  if (n === 1 && sorted[0]) places.set(sorted[0].identity, { x: 0.5, y: 0.5 });
  if (n === 2 && sorted[0] && sorted[1]) {
    places.set(sorted[0].identity, { x: 0.2, y: 0.5 });
    places.set(sorted[1].identity, { x: 0.8, y: 0.5 });
  }
  if (n < 6 || n > SPRING_LIMIT) return places;
  return spring(sorted.map((member) => member.identity), edges, places);
}

/** Fruchterman and Reingold's forces, cooled over a fixed number of steps, then fitted into the square. */
function spring(names: string[], edges: readonly [string, string][], start: Map<string, Place>): Map<string, Place> {
  const index = new Map(names.map((name, at) => [name, at]));
  const x = names.map((name) => start.get(name)?.x ?? 0.5);
  const y = names.map((name) => start.get(name)?.y ?? 0.5);
  const links = edges.flatMap(([a, b]) => {
    const from = index.get(a);
    const to = index.get(b);
    return from === undefined || to === undefined ? [] : [[from, to] as const];
  });
  const n = names.length;
  const k = Math.sqrt(1 / n);
  const steps = 160;
  for (let step = 0; step < steps; step++) {
    const heat = 0.1 * (1 - step / steps);
    const dx = new Array<number>(n).fill(0);
    const dy = new Array<number>(n).fill(0);
    const force = (a: number, b: number, pull: (distance: number) => number): void => {
      const ex = (x[a] ?? 0) - (x[b] ?? 0);
      const ey = (y[a] ?? 0) - (y[b] ?? 0);
      const distance = Math.max(0.001, Math.hypot(ex, ey));
      const size = pull(distance) / distance;
      dx[a] = (dx[a] ?? 0) + ex * size;
      dy[a] = (dy[a] ?? 0) + ey * size;
      dx[b] = (dx[b] ?? 0) - ex * size;
      dy[b] = (dy[b] ?? 0) - ey * size;
    };
    for (let a = 0; a < n; a++) for (let b = a + 1; b < n; b++) force(a, b, (distance) => (k * k) / distance);
    for (const [a, b] of links) force(a, b, (distance) => -(distance * distance) / k);
    for (let a = 0; a < n; a++) {
      // A weak pull to the middle keeps members without a wire in the picture.
      dx[a] = (dx[a] ?? 0) + (0.5 - (x[a] ?? 0)) * 0.3;
      dy[a] = (dy[a] ?? 0) + (0.5 - (y[a] ?? 0)) * 0.3;
      const size = Math.max(0.001, Math.hypot(dx[a] ?? 0, dy[a] ?? 0));
      x[a] = (x[a] ?? 0) + ((dx[a] ?? 0) / size) * Math.min(size, heat);
      y[a] = (y[a] ?? 0) + ((dy[a] ?? 0) / size) * Math.min(size, heat);
    }
  }
  const fit = (values: number[]): ((value: number) => number) => {
    const low = Math.min(...values);
    const span = Math.max(...values) - low;
    return (value) => (span < 1e-6 ? 0.5 : 0.08 + (0.84 * (value - low)) / span);
  };
  const fx = fit(x);
  const fy = fit(y);
  return new Map(names.map((name, at) => [name, { x: fx(x[at] ?? 0), y: fy(y[at] ?? 0) }]));
}
