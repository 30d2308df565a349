// The golden files on disk, and what the crate's source says that they must cover. In Node; runners elsewhere are given the scenarios.

import { readdirSync, readFileSync } from "node:fs";
import type { Json, Scenario } from "./golden.ts";

const ROOT = new URL("../../../", import.meta.url);
const FOLDER = new URL("tests/golden/", ROOT);

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));

/** All scenarios, sorted by name, with their definitions. */
export function goldenScenarios(): Scenario[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith(".json")).sort();
  return files.map((file) => {
    const scenario = read(file) as Omit<Scenario, "name" | "definition"> & { definition: string | Scenario["definition"] };
    const { definition } = scenario;
    const resolved = typeof definition === "string" ? (read(`definitions/${definition}.json`) as Scenario["definition"]) : definition;
    return { ...scenario, name: file.slice(0, -".json".length), definition: resolved };
  });
}

/** Cases that say what placeholders stand for. */
export function placeholderCases(): { cases: { want: Json; got: Json; differs: string[] }[]; request: Json; filled: Json } {
  return read("cases/placeholders.json") as ReturnType<typeof placeholderCases>;
}

/** The routes in the table at the top of `src/console/mod.rs`. */
export function routes(): [method: string, path: string][] {
  const source = readFileSync(new URL("src/console/mod.rs", ROOT), "utf8");
  const rows = source.split("\n").filter((line) => line.startsWith("//! | "));
  const names = rows.map((row) => row.slice("//! | ".length).split(" | ")[0] ?? "");
  const quoted = names.flatMap((name) => [...name.matchAll(/`([^`]+)`/g)].map(([, route]) => route ?? ""));
  return quoted.flatMap((route): [string, string][] => {
    const [method, path] = route.split(" ");
    return method !== undefined && path !== undefined ? [[method, path]] : [];
  });
}

/** Whether a path, without its query, is one of a route. */
export function isOfRoute(route: string, path: string): boolean {
  const wanted = route.split("/");
  const given = (path.split("?")[0] ?? "").split("/");
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith("{") || part === given[index]);
}
