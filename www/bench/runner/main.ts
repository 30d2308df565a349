// Runs one bench: `node --import tsx runner/main.ts BENCH ANSWER`. What it measured, or in a sentence why it could not, is written
// to the file ANSWER as `cargo xtask bench` reads it (xtask/src/bench/figure.rs); the directory of that file is for profiles too.

import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Bench, Figure } from "./figure.ts";
import { Lab } from "./lab.ts";

const [name, answer] = process.argv.slice(2);
if (name === undefined || answer === undefined) throw new Error("which bench, and where does its answer go?");

const write = (value: unknown): void => writeFileSync(answer, JSON.stringify(value));

try {
  const bench = await import(`../benches/${name}.ts`) as Bench;
  const [figures, browser] = "measureAlone" in bench ? [await bench.measureAlone(), ""] : await inLab(name, bench);
  // Explanations are broken into lines where they are written, and anew where they are shown.
  write({ figures: figures.map((figure) => ({ ...figure, how: figure.how.replace(/\s+/g, " ") })), browser });
} catch (error) {
  console.error(error);
  const said = error instanceof Error ? error.message : String(error);
  // The first line says what, behind Playwright's own words; what follows is where, and is shown above.
  write({ fault: said.split("\n")[0]?.replace(/^\w+\.\w+: (Error: )?/, "") });
  process.exitCode = 1;
}

async function inLab(name: string, { measure }: Extract<Bench, { measure: unknown }>): Promise<[Figure[], string]> {
  const lab = await Lab.open(name, dirname(answer ?? ""));
  try {
    return [await measure(lab), lab.browser];
  } finally {
    await lab.close();
  }
}
