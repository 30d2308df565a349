// Reports of reconciliations as lines for people: what happened, to whom.

import type { Edge, EdgesReport, ReconcileReport } from "../wire.ts";

/** One kind of thing that happened. */
export interface ReportLine {
  key: string;
  title: string;
  items: string[];
  tone: "plain" | "good" | "warn" | "bad";
}

const edgeText = ({ a, b }: Edge): string => `${a} – ${b}`;

/** The lines about members. What did not happen has no line, but for who stays. */
export function memberLines({ mob }: ReconcileReport): ReportLine[] {
  return filled([
    { key: "failures", title: "Failed", items: mob.failures.map(({ agent_identity, stage, error }) => `${agent_identity} (${stage}): ${error}`), tone: "bad" },
    { key: "spawned", title: "Spawned", items: mob.spawned.map(({ agent_identity }) => agent_identity), tone: "good" },
    { key: "retired", title: "Retired", items: mob.retired, tone: "warn" },
    { key: "retained", title: "Retained", items: mob.retained, tone: "plain" },
  ]);
}

/** The lines about edges. */
export function edgeLines(edges: EdgesReport): ReportLine[] {
  return filled([
    { key: "edge-failures", title: "Edges that failed", items: edges.failures.map(({ edge, operation, error }) => `${edgeText(edge)} (${operation}): ${error}`), tone: "bad" },
    { key: "wired", title: "Edges wired", items: edges.wired_edges.map(edgeText), tone: "good" },
    { key: "unwired", title: "Edges unwired", items: edges.unwired_edges.map(edgeText), tone: "warn" },
    { key: "skipped", title: "Edges skipped, an end is missing", items: edges.skipped_missing_members.map(edgeText), tone: "warn" },
    { key: "retained-edges", title: "Edges retained", items: edges.retained_edges.map(edgeText), tone: "plain" },
    { key: "preexisting", title: "Edges that somebody else had wired", items: edges.preexisting_edges.map(edgeText), tone: "plain" },
    { key: "pruned", title: "Edges no longer managed", items: edges.pruned_stale_managed_edges.map(edgeText), tone: "plain" },
  ]);
}

function filled(lines: ReportLine[]): ReportLine[] {
  return lines.filter(({ items }) => items.length > 0);
}

/** The report in an error's data, if it carries one: a reconciliation that succeeded in part says what it did. */
export function reportOf(data: unknown): ReconcileReport | undefined {
  const { mob, edges } = (data ?? {}) as Partial<ReconcileReport>;
  return mob && Array.isArray(mob.failures) && edges && Array.isArray(edges.failures) ? { mob, edges } : undefined;
}
