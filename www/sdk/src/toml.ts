// TOML text as the JSON form of a definition. Read here and not in the wasm, where a reader is six times as large.

import type { MobDefinition } from "./contract/definition.js";
import { MobkitError } from "./error.js";
import { parse, TomlError } from "./toml-parser.js";

/** The definition that the text is. Fails with `invalid_definition`, as any mistake in a definition does. */
export function definitionFromToml(text: string): MobDefinition {
  try {
    return parse(text) as unknown as MobDefinition;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The first line says what is wrong, those after it show the place.
    const [what = ""] = error.message.split("\n");
    const message = `not valid TOML: line ${error.line}, column ${error.column}: ${what.replace(/^Invalid TOML document: /, "")}`;
    throw new MobkitError("invalid_definition", `definition error: ${message}`, { issues: [{ path: "", message }] });
  }
}
