// Edges and who made them. The ledger says which edges there are; the listing says whose they are.

import type { EdgeOwner, OwnedEdge } from "../wire.ts";

/** The owners in the order of the legend, in words. */
export const OWNER_WORDS: Readonly<Record<EdgeOwner, string>> = {
  definition: "from the definition",
  discovery: "from the edge discovery",
  hand: "wired by hand",
};

/** One name for an edge, whichever end is named first. */
export function edgeKey(a: string, b: string): string {
  return a < b ? `${a}\n${b}` : `${b}\n${a}`;
}

/** The owner of each edge. */
export function ownersOf(edges: readonly OwnedEdge[]): Map<string, EdgeOwner> {
  return new Map(edges.map(({ a, b, owner }) => [edgeKey(a, b), owner]));
}

/** How many of these edges each owner has; owners without one are left out. An edge that no listing has named yet counts for nobody. */
export function countOwners(edges: readonly (readonly [string, string])[], owners: ReadonlyMap<string, EdgeOwner>): [EdgeOwner, number][] {
  const counts = new Map<EdgeOwner, number>();
  for (const [a, b] of edges) {
    const owner = owners.get(edgeKey(a, b));
    if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  return (Object.keys(OWNER_WORDS) as EdgeOwner[]).flatMap((owner) => {
    const count = counts.get(owner);
    return count === undefined ? [] : [[owner, count]];
  });
}
